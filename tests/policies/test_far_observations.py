"""Observations far from zero: in their own precision until the mean is taken away.

The oracle standardises by the definition, in extended precision, before a policy without a normaliser.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore.optim import SurrogateAscent
from pgcore.policies import CategoricalPolicy, GaussianPolicy, ObservationNormalizer, Policy
from support.oracles import assert_close, assert_same_bits, shifted
from support.oracles_policies import FAMILIES, METHODS, Problem, problem

every_family = pytest.mark.parametrize("family", FAMILIES)
every_method = pytest.mark.parametrize("method", METHODS)

FAR = {  # where each component is, and how far it strays
    "seconds": ([1.7e9, 1.7e9, 0.0], [1.0, 300.0, 1.0]),
    "milliseconds": ([1.7e12, -1.7e12, 5.0], [1e3, 2e3, 0.1]),
    "millimetres": ([6.4e9, -3e8, 4e8], [5.0, 0.5, 1.0]),
}
every_place = pytest.mark.parametrize("place", FAR)


def standardised(obs: np.ndarray) -> np.ndarray:
    wide = obs.astype(np.longdouble)
    return np.asarray((wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + 1e-8), np.float64)


def far_problem(family: str, place: str, num_rows: int = 300) -> tuple[Problem, Policy]:
    """A float32 policy whose normaliser has seen observations there, and one without of the same weights."""
    p = problem(family, num_rows, dtype=np.float32)
    offset, spread = FAR[place]
    p.obs = offset + np.multiply(spread, p.obs.astype(np.float64))
    plain = p.policy.copy()
    p.policy.normalizer = ObservationNormalizer(3)
    p.policy.normalizer.update(p.obs)
    return p, plain


def assert_alike(got: np.ndarray, want: np.ndarray) -> None:
    if got.dtype.kind == "f":
        assert_close(got, want, 1e-5)
    else:  # at the very border between two choices either may come
        assert (got != want).mean() < 0.02


@pytest.mark.covering(2)
@every_family
@every_method
@every_place
def test_nothing_is_lost_before_the_mean_is_taken_away(family: str, method: str, place: str) -> None:
    p, plain = far_problem(family, place)
    f = METHODS[method]
    result, expected = (
        f(policy, obs, p.actions, p.weights)
        for policy, obs in ((p.policy, p.obs), (plain, standardised(p.obs)))
    )
    assert_alike(result, expected)
    # ... to the bit what the normaliser says, and in any memory
    assert_same_bits(result, f(plain, p.policy.normalizer.normalize(p.obs), p.actions, p.weights))
    assert_same_bits(f(p.policy, shifted(p.obs, 3), p.actions, p.weights), result)
    assert_same_bits(f(p.policy, np.asfortranarray(p.obs), p.actions, p.weights), result)


@every_family
@every_place
@pytest.mark.parametrize("kind", ["exact", "empirical"])
def test_fisher(family: str, place: str, kind: str) -> None:
    p, plain = far_problem(family, place)
    v = np.random.default_rng(0).normal(size=p.policy.num_params).astype(np.float32)
    for cache in (0, 1e9):
        got, want = (
            policy.fisher(obs, p.actions, kind=kind, max_cache_bytes=cache)
            for policy, obs in ((p.policy, p.obs), (plain, standardised(p.obs)))
        )
        assert_close(got @ v, want @ v, 1e-4)
        assert_close(got.diagonal(), want.diagonal(), 1e-4)
    part = p.policy.fisher(p.obs, p.actions, kind=kind, num_samples=50)
    also = plain.fisher(standardised(p.obs), p.actions, kind=kind, num_samples=50)
    assert_close(part @ v, also @ v, 1e-4)


@every_family
@every_place
def test_surrogate_ascent(family: str, place: str) -> None:
    p, plain = far_problem(family, place)
    before = plain.params
    old = plain.log_prob(standardised(p.obs), p.actions)
    order = np.random.default_rng(0).permutation(len(p.obs))
    for policy, obs in ((p.policy, p.obs), (plain, standardised(p.obs))):
        SurrogateAscent(policy).epoch(obs, p.actions, p.weights, old, order, learning_rate=1e-2)
    assert_close(p.policy.params - before, plain.params - before, 1e-3)


@every_family
def test_an_actor_reads_double_precision_and_keeps_the_statistics_of_its_rollout(family: str) -> None:
    p, plain = far_problem(family, "seconds")
    rows = p.obs.reshape(100, 3, 3)
    obs = np.empty_like(rows)
    noise = p.policy.draw_noise(np.random.default_rng(0), 100, 3)
    actions = np.empty((100, 3, *p.policy.action_shape), p.policy.action_dtype)
    expected = plain.act(standardised(p.obs), noise.reshape(300, -1)).reshape(actions.shape)
    act = p.policy.actor(obs, noise, actions)
    for t in range(100):
        obs[t] = rows[t]  # written after the actor was made, as environments do
        act(t)
        if t == 50:
            p.policy.normalizer.update(p.obs + 1e3)
    assert_alike(actions, expected)


def test_a_double_precision_policy_reads_single_precision_without_loss() -> None:
    for policy in (GaussianPolicy(3, 2, dtype="float64"), CategoricalPolicy(3, 4, dtype="float64")):
        policy.params = np.random.default_rng(0).normal(size=policy.num_params)
        obs = np.random.default_rng(1).normal(5.0, 1.0, (40, 3)).astype(np.float32)
        actions = policy.mode(obs)
        for normalizer in (None, ObservationNormalizer(3)):
            policy.normalizer = normalizer
            if normalizer is not None:
                normalizer.update(obs)
            assert_same_bits(policy.log_prob(obs, actions), policy.log_prob(obs.astype(np.float64), actions))


STAMPS = 1_700_000_000 + np.arange(-60, 60).reshape(40, 3) * 7


@pytest.mark.parametrize(
    "obs",
    [
        pytest.param(STAMPS, id="int64"),
        pytest.param(STAMPS.astype(np.int32), id="int32"),
        pytest.param(STAMPS.astype(np.uint64), id="uint64"),
        pytest.param(STAMPS.astype(">f8"), id="big-endian float64"),
        pytest.param(STAMPS.tolist(), id="lists"),
        pytest.param((STAMPS - 1_700_000_000 + 500).astype(np.int16), id="int16"),
        pytest.param((STAMPS - 1_700_000_000 + 500).astype(np.uint16), id="uint16"),
        pytest.param((STAMPS % 200).astype(np.uint8), id="uint8"),
        pytest.param((STAMPS % 200).astype(np.float16), id="float16"),
        pytest.param((STAMPS % 200).astype(">f4"), id="big-endian float32"),
        pytest.param(STAMPS % 2 == 0, id="bool"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_numbers_is_taken_as_it_is(obs: Any, dtype: str) -> None:
    policy = CategoricalPolicy(3, 4, dtype=dtype)
    policy.params = np.random.default_rng(0).normal(size=policy.num_params)
    wide = np.asarray(obs).astype(np.float64)
    actions = np.arange(40) % 4
    assert_same_bits(policy.log_prob(obs, actions), policy.log_prob(wide.astype(dtype), actions))
    policy.normalizer = ObservationNormalizer(3)
    policy.normalizer.update(obs)
    result = policy.log_prob(obs, actions)
    assert_same_bits(result, policy.log_prob(wide, actions))
    assert len(np.unique(result)) > 20 or np.asarray(obs).dtype == bool
    policy.normalizer = None
    assert_alike(result, policy.log_prob(standardised(wide), actions))


def test_numbers_wider_than_double_precision_are_refused() -> None:
    policy = CategoricalPolicy(3, 4)
    policy.normalizer = ObservationNormalizer(3)
    wide = np.ones((2, 3), np.longdouble)
    for call in (policy.mode, policy.normalizer.update, policy.normalizer.normalize):
        with pytest.raises(TypeError, match=r"^obs: expected .*, got (float128|longdouble|float96|float64)$"):
            call(wide)
