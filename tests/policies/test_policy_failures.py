"""The errors of constructors and of every method of a policy, word for word."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiBinaryPolicy,
    MultiDiscretePolicy,
    Policy,
)

GAUSSIAN = GaussianPolicy(3, 2, hidden=())
CHOICE = CategoricalPolicy(3, 4, hidden=())
CHOICES = MultiDiscretePolicy(3, [2, 3], hidden=())
OBS, ACTIONS, WEIGHTS = np.zeros((5, 3)), np.zeros((5, 2)), np.zeros(5)
RNG = np.random.default_rng(0)
FLOATS = "float32 or float64 (or integers)"


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda: GAUSSIAN.mode(OBS[0]), ValueError, "obs: expected shape (B, 3), got (3,)"),
        (lambda: GAUSSIAN.mode(OBS[:, :2]), ValueError, "obs: expected shape (B, 3), got (5, 2)"),
        (lambda: GAUSSIAN.entropy(OBS[None]), ValueError, "obs: expected shape (B, 3), got (1, 5, 3)"),
        (
            lambda: GAUSSIAN.mode(OBS.astype(complex)),
            TypeError,
            f"obs: expected {FLOATS}, got complex128",
        ),
        (
            lambda: GAUSSIAN.mode(OBS.astype(np.longdouble)),
            TypeError,
            f"obs: expected {FLOATS}, got {np.dtype(np.longdouble)}",
        ),
        (
            lambda: GAUSSIAN.log_prob(OBS, ACTIONS[:4]),
            ValueError,
            "actions: expected shape (5, 2), got (4, 2)",
        ),
        (
            lambda: GAUSSIAN.scores(OBS, ACTIONS[:, 0]),
            ValueError,
            "actions: expected shape (5, 2), got (5,)",
        ),
        (
            lambda: GAUSSIAN.score_product(OBS, ACTIONS, WEIGHTS[:3]),
            ValueError,
            "weights: expected shape (5,), got (3,)",
        ),
        (
            lambda: GAUSSIAN.score_product(OBS, ACTIONS, WEIGHTS[:, None]),
            ValueError,
            "weights: expected shape (5,), got (5, 1)",
        ),
        (
            lambda: GAUSSIAN.score_product(OBS, ACTIONS, ["a"] * 5),
            TypeError,
            f"weights: expected {FLOATS}, got <U1",
        ),
        (
            lambda: GAUSSIAN.episode_scores(OBS, ACTIONS, [0, 1]),
            ValueError,
            "ends: expected shape (5,), got (2,)",
        ),
        (
            lambda: GAUSSIAN.episode_scores(OBS, ACTIONS, [0, 0, 2, 0, 1]),
            ValueError,
            "ends: expected booleans or integers 0 and 1, got 2",
        ),
        (
            lambda: GAUSSIAN.kl(OBS, np.zeros(7)),
            ValueError,
            "params_old: expected shape (10,), got (7,)",
        ),
        (
            lambda: CHOICE.log_prob(OBS, [0, 1, 2, 3, 4]),
            ValueError,
            "actions: expected integers in 0…3, got 4",
        ),
        (
            lambda: CHOICE.score_sq_norms(OBS, [0, 1, -1, 3, 0]),
            ValueError,
            "actions: expected integers in 0…3, got -1",
        ),
        (
            lambda: CHOICE.log_prob(OBS, np.zeros(5)),
            TypeError,
            "actions: expected integers, got float64",
        ),
        (
            lambda: CHOICE.log_prob(OBS, np.zeros((5, 1), int)),
            ValueError,
            "actions: expected shape (5,), got (5, 1)",
        ),
        (
            lambda: CHOICES.scores(OBS, [[0, 0], [1, 2], [0, 1], [2, 1], [0, 0]]),
            ValueError,
            "actions: expected integers in 0…1, got 2",
        ),
        (
            lambda: CHOICES.score_product(OBS, [[0, 0], [1, 3], [0, 1], [1, 1], [0, 0]], WEIGHTS),
            ValueError,
            "actions: expected integers in 0…2, got 3",
        ),
        (
            lambda: CHOICES.episode_scores(OBS, np.zeros(5, int), [0, 0, 0, 0, 1]),
            ValueError,
            "actions: expected shape (5, 2), got (5,)",
        ),
        (
            lambda: GAUSSIAN.sample(OBS, 0),
            TypeError,
            "rng: expected a numpy.random.Generator, got int",
        ),
        (
            lambda: CHOICE.sample(OBS, np.random),
            TypeError,
            "rng: expected a numpy.random.Generator, got module",
        ),
        (
            lambda: GAUSSIAN.act(OBS, np.zeros((5, 2), complex)),
            TypeError,
            "noise: expected float32 or float64 (or integers), got complex128",
        ),
        (
            lambda: GAUSSIAN.act(OBS, np.zeros((4, 2), np.float32)),
            ValueError,
            "noise: expected shape (5, 2), got (4, 2)",
        ),
        (
            lambda: GAUSSIAN.act(OBS, np.zeros((5, 2), np.float32), out=np.empty((5, 2))),
            TypeError,
            "out: expected float32, got float64",
        ),
        (
            lambda: CHOICE.act(OBS, np.zeros((5, 1), np.float32), out=np.empty((5, 1), np.int64)),
            ValueError,
            "out: expected shape (5,), got (5, 1)",
        ),
        (
            lambda: GAUSSIAN.actor(OBS[None].astype(np.int64), np.zeros((1, 5, 2)), np.zeros((1, 5, 2))),
            TypeError,
            "obs: expected float32, got int64",
        ),
        (
            lambda: GAUSSIAN.actor(OBS[None].astype(np.float32), np.zeros((2, 5, 2)), np.zeros((2, 5, 2))),
            ValueError,
            f"obs: expected shape (2, 5, {OBS.shape[1]}), got (1, 5, {OBS.shape[1]})",
        ),
        (
            lambda: GAUSSIAN.actor(OBS[None].astype(np.float32), np.zeros((5, 2)), np.zeros((1, 5, 2))),
            ValueError,
            "noise: expected shape (T, N, 2), got (5, 2)",
        ),
        (
            lambda: CHOICE.actor(
                OBS[None].astype(np.float32), np.zeros((1, 5, 1)), np.zeros((1, 5, 1), np.int64)
            ),
            ValueError,
            "actions: expected shape (1, 5), got (1, 5, 1)",
        ),
        (
            lambda: GAUSSIAN.actor(
                OBS[None].astype(np.float32), np.zeros((1, 5, 3)), np.zeros((1, 5, 2), np.float32)
            ),
            ValueError,
            "noise: expected shape (5, 2), got (5, 3)",
        ),
    ],
)
def test_wrong_arguments(function: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        function()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GaussianPolicy(0, 1), ValueError, "obs_dim: expected an integer >= 1, got 0"),
        (lambda: GaussianPolicy(2.0, 1), TypeError, "obs_dim: expected an integer, got float"),
        (lambda: GaussianPolicy(3, 0), ValueError, "act_dim: expected an integer >= 1, got 0"),
        (
            lambda: GaussianPolicy(3, 1, hidden=(4, 0)),
            ValueError,
            "hidden: expected an integer >= 1, got 0",
        ),
        (lambda: GaussianPolicy(3, 1, hidden=(4.5,)), TypeError, "hidden: expected an integer, got float"),
        (
            lambda: GaussianPolicy(3, 1, hidden=64),
            TypeError,
            "hidden: expected a sequence of integers, got int",
        ),
        (
            lambda: GaussianPolicy(3, 1, activation="elu"),
            ValueError,
            "activation: expected one of tanh, relu, gelu, identity, got 'elu'",
        ),
        (
            lambda: CategoricalPolicy(3, 2, dtype="float16"),
            TypeError,
            "dtype: expected float32 or float64, got float16",
        ),
        (
            lambda: GaussianPolicy(3, 1, init_log_std=math.inf),
            ValueError,
            "init_log_std: expected a finite number, got inf",
        ),
        (
            lambda: GaussianPolicy(3, 1, covariance="spherical"),
            ValueError,
            "covariance: expected 'diagonal', 'full', 'state' or an (A, A) array, got 'spherical'",
        ),
        (
            lambda: GaussianPolicy(3, 2, covariance=[1.0, 2.0]),
            ValueError,
            "covariance: expected shape (2, 2), got (2,)",
        ),
        (
            lambda: GaussianPolicy(3, 2, covariance=[[1.0, 0.5], [0.4, 1.0]]),
            ValueError,
            "covariance: expected a symmetric matrix, got one that is not",
        ),
        (
            lambda: GaussianPolicy(3, 2, covariance=[[1.0, 2.0], [2.0, 1.0]]),
            ValueError,
            "covariance: expected a positive definite matrix, got one that is not",
        ),
        (
            lambda: GaussianPolicy(3, 1, covariance=[[0.0]]),
            ValueError,
            "covariance: expected a positive definite matrix, got one that is not",
        ),
        (
            lambda: GaussianPolicy(3, 1, covariance=[[math.inf]]),
            ValueError,
            "covariance: expected finite numbers, got inf",
        ),
        (
            lambda: GaussianPolicy(3, 1, covariance=[[math.nan]]),
            ValueError,
            "covariance: expected finite numbers, got nan",
        ),
        (lambda: CategoricalPolicy(3, 0), ValueError, "num_actions: expected an integer >= 1, got 0"),
        (lambda: CategoricalPolicy(3, "2"), TypeError, "num_actions: expected an integer, got str"),
        (
            lambda: MultiDiscretePolicy(3, []),
            ValueError,
            "nvec: expected at least one number, got none",
        ),
        (
            lambda: MultiDiscretePolicy(3, [2, 0]),
            ValueError,
            "nvec: expected an integer >= 1, got 0",
        ),
        (lambda: MultiDiscretePolicy(3, [2.5]), TypeError, "nvec: expected an integer, got float"),
        (
            lambda: MultiDiscretePolicy(3, 2),
            TypeError,
            "nvec: expected a sequence of integers, got int",
        ),
        (lambda: MultiBinaryPolicy(3, 0), ValueError, "num_bits: expected an integer >= 1, got 0"),
    ],
)
def test_wrong_constructor_arguments(
    make: Callable[[], Policy], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_covariances_that_only_rounding_makes_asymmetric_are_taken(scale: float) -> None:
    """Entries that should be 0 may be anything of the size of rounding; both halves are not the same."""
    covariance = scale * np.array([[1.0, 1e-17, 1e-3], [-3e-17, 4.0, 0.0], [1e-3, 1e-18, 9.0]])
    policy = GaussianPolicy(2, 3, covariance=covariance, dtype="float64")
    assert np.isfinite(policy.log_prob(np.zeros((1, 2)), np.zeros((1, 3)))).all()
    with pytest.raises(ValueError, match=r"^covariance: expected a symmetric matrix"):
        GaussianPolicy(2, 3, covariance=covariance + scale * np.diag([1e-5, 0], k=1))
