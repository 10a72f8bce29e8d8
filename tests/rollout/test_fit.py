"""Policies that do not fit an environment's spaces are refused, by whoever is given both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import pgcore
from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiBinaryPolicy,
    MultiDiscretePolicy,
    Policy,
)
from pgcore.rollout import Collector, make_vector_env


class Choices(gym.Env[Any, Any]):
    observation_space = spaces.Box(-1.0, 1.0, (3,))

    def __init__(self, action_space: spaces.Space[Any]) -> None:
        self.action_space = action_space

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(3, np.float32), 0.0, False, True, {}


BOX = spaces.Box(-1.0, 1.0, (2,))
PAIR = spaces.MultiDiscrete([2, 3])

MISFITS: list[tuple[spaces.Space[Any], Callable[[], Policy], str]] = [
    (BOX, lambda: GaussianPolicy(4, 2), "obs_dim 3 to fit the environment, got 4"),
    (BOX, lambda: GaussianPolicy(3, 1), r"action_shape \(2,\) to fit the environment, got \(1,\)"),
    (BOX, lambda: CategoricalPolicy(3, 2), r"action_shape \(2,\) to fit the environment, got \(\)"),
    (BOX, lambda: MultiDiscretePolicy(3, [5, 5]), r"real numbers to fit .*, got choices among \(5, 5\)"),
    (PAIR, lambda: GaussianPolicy(3, 2), r"choices among \(2, 3\) to fit the environment, got real numbers"),
    (PAIR, lambda: MultiDiscretePolicy(3, [3, 2]), r"among \(2, 3\) .* got choices among \(3, 2\)"),
    (PAIR, lambda: MultiBinaryPolicy(3, 2), r"among \(2, 3\) .* got choices among \(2, 2\)"),
    (spaces.Discrete(2), lambda: CategoricalPolicy(3, 1), r"among \(2,\) .* got choices among \(1,\)"),
    (spaces.Discrete(2), lambda: CategoricalPolicy(3, 5), r"among \(2,\) .* got choices among \(5,\)"),
    (spaces.MultiBinary(2), lambda: MultiDiscretePolicy(3, [2, 3]), r"among \(2, 2\) .* got choices"),
]


@pytest.mark.parametrize(("space", "make", "message"), MISFITS)
def test_misfits_are_refused(space: spaces.Space[Any], make: Callable[[], Policy], message: str) -> None:
    env = Choices(space)
    for algorithm in (pgcore.REINFORCE, pgcore.NPG, pgcore.TRPO, pgcore.PPO):
        with pytest.raises(ValueError, match=f"^policy: expected .*{message}"):
            algorithm(env, policy=make())
    with pytest.raises(ValueError, match=f"^policy: expected .*{message}"):
        Collector(make_vector_env(env), make(), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("space", "make"),
    [
        (BOX, lambda: GaussianPolicy(3, 2, covariance="full")),
        (spaces.Discrete(4, start=-1), lambda: CategoricalPolicy(3, 4)),
        (PAIR, lambda: MultiDiscretePolicy(3, [2, 3])),
        (spaces.MultiBinary(2), lambda: MultiBinaryPolicy(3, 2)),
        (spaces.MultiBinary(2), lambda: MultiDiscretePolicy(3, [2, 2])),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), lambda: MultiDiscretePolicy(3, [2, 3, 4, 5])),
    ],
)
def test_fits_are_taken(space: spaces.Space[Any], make: Callable[[], Policy]) -> None:
    model = pgcore.PPO(Choices(space), policy=make(), n_steps=4).learn(8)
    assert model.num_timesteps == 8


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden": 64}, TypeError, "hidden: expected a sequence of integers, got int"),
        ({"hidden": None}, TypeError, "hidden: expected a sequence of integers, got NoneType"),
        ({"hidden": (64, 0)}, ValueError, "hidden: expected an integer >= 1, got 0"),
        ({"critic": "value"}, TypeError, "critic: expected one from pgcore.baselines or None, got 'value'"),
        (
            {"critic": pgcore.baselines.ValueNetwork},
            TypeError,
            "critic: expected one from pgcore.baselines or None, got <class",
        ),
        (
            {"critic": pgcore.baselines.OptimalScalar(), "whole_episodes": True},
            ValueError,
            "critic: expected one that needs no scores of the policy",
        ),
        ({"init_log_std": float("nan")}, ValueError, "init_log_std: expected a finite number, got nan"),
        (
            {"n_steps": 2**70},
            ValueError,
            "n_steps: expected an integer of 64 bits, got 1180591620717411303424",
        ),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        pgcore.PPO("CartPole-v1", **arguments)
