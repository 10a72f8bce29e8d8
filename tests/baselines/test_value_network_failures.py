"""`ValueNetwork`: what it refuses, and that a fit which cannot succeed says so and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pgcore
from pgcore import Batch
from pgcore.baselines import ValueNetwork

ONE_BAD = np.arange(64) == 5


def batch_of(obs: np.ndarray) -> Batch:
    size = len(obs)
    return Batch(obs, np.zeros(size), np.zeros(size), ends=np.arange(size) == size - 1)


@pytest.fixture
def fitted(rng: np.random.Generator) -> tuple[ValueNetwork, Batch]:
    network, batch = ValueNetwork(hidden=(8,), batch_size=16), batch_of(rng.normal(size=(64, 3)))
    network.fit(batch, rng.normal(size=64))
    return network, batch


def assert_same(state: dict[str, Any], before: dict[str, Any]) -> None:
    assert state.keys() == before.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (np.zeros(3), ValueError, r"targets: expected shape \(64,\), got \(3,\)"),
        (1.0, ValueError, r"targets: expected shape \(64,\), got \(\)"),
        ("abc", TypeError, "targets: expected float32 or float64"),
        (
            np.where(ONE_BAD, np.nan, 0.0),
            ValueError,
            "^targets: expected finite returns, got NaN or infinity$",
        ),
        (
            np.where(ONE_BAD, np.inf, 0.0),
            ValueError,
            "^targets: expected finite returns, got NaN or infinity$",
        ),
        (np.linspace(-1e300, 1e300, 64), FloatingPointError, "targets: expected returns of finite variance"),
    ],
)
def test_targets_that_do_not_fit(
    fitted: tuple[ValueNetwork, Batch], targets: Any, error: type[Exception], message: str
) -> None:
    network, batch = fitted
    before = network.state()
    with pytest.raises(error, match=message):
        network.fit(batch, targets)
    assert_same(network.state(), before)


def test_gradients_that_are_not_finite(fitted: tuple[ValueNetwork, Batch], rng: np.random.Generator) -> None:
    network, batch = fitted
    before, obs = network.state(), batch.obs.copy()
    obs[40, 0] = np.nan  # beyond the first minibatch, in nearly every order
    with pytest.raises(FloatingPointError, match="critic: expected finite gradients"):
        network.fit(batch_of(obs), rng.normal(size=64))
    assert_same(network.state(), before)


def test_a_critic_that_diverges_takes_nothing_with_it() -> None:
    model = pgcore.TRPO("CartPole-v1", n_steps=256, seed=0)
    model.learn(256)
    before, params = model.critic.state(), model.policy.params
    model.critic.learning_rate = 1e30
    with pytest.raises(FloatingPointError, match="critic: expected finite gradients"):
        model.learn(256, reset_num_timesteps=False)
    assert model.num_timesteps == 256
    np.testing.assert_array_equal(model.policy.params, params)
    assert_same(model.critic.state(), before)
    model.critic.learning_rate = 1e-3
    model.learn(256, reset_num_timesteps=False)
    assert model.num_timesteps == 512


def test_no_steps_teach_nothing(fitted: tuple[ValueNetwork, Batch]) -> None:
    network, _ = fitted
    before = network.state()
    empty = Batch(np.zeros((0, 3)), np.zeros(0), np.zeros(0), ends=np.zeros(0, bool))
    assert network.fit(empty, np.zeros(0)) == {}
    assert_same(network.state(), before)


def test_other_observations_are_refused(fitted: tuple[ValueNetwork, Batch]) -> None:
    with pytest.raises(ValueError) as caught:
        fitted[0].predict(np.zeros((2, 4)))
    assert str(caught.value) == "obs: expected shape (B, 3), got (2, 4)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden": (0,)}, ValueError, "hidden: expected an integer >= 1, got 0"),
        ({"hidden": 5}, TypeError, "hidden: expected a sequence of integers, got int"),
        (
            {"activation": "elu"},
            ValueError,
            "activation: expected one of tanh, relu, gelu, identity, got 'elu'",
        ),
        (
            {"learning_rate": -1.0},
            ValueError,
            "learning_rate: expected a finite number >= 0, got -1.0",
        ),
        ({"n_epochs": -1}, ValueError, "n_epochs: expected an integer >= 0, got -1"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an integer >= 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size: expected an integer, got float"),
        ({"max_grad_norm": "x"}, TypeError, "max_grad_norm: expected a real number, got str"),
        ({"seed": -1}, ValueError, "seed: expected an integer >= 0, got -1"),
        ({"dtype": "int32"}, TypeError, "dtype: expected float32 or float64, got int32"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        ValueNetwork(**arguments)
    assert str(caught.value) == message
