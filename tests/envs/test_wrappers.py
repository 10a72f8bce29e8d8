"""Hiding components, and what gymnasium's window of past observations holds."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, FrameStackObservation

from pgcore.envs import LQR, HideObservations


def cartpole():
    return gym.make("CartPole-v1")


def test_only_what_is_kept_is_seen():
    env, full = HideObservations(cartpole(), keep=[2, 0]), cartpole()
    space = full.observation_space
    assert env.observation_space == gym.spaces.Box(space.low[[2, 0]], space.high[[2, 0]], dtype=np.float32)
    obs, expected = env.reset(seed=4)[0], full.reset(seed=4)[0]
    np.testing.assert_array_equal(obs, expected[[2, 0]])
    for action in (0, 1, 1):
        obs, *rest = env.step(action)
        expected, *full_rest = full.step(action)
        np.testing.assert_array_equal(obs, expected[[2, 0]])
        assert rest == full_rest


def test_the_wrapper_is_in_the_spec():
    env = HideObservations(cartpole(), keep=[1])
    again = gym.make(env.spec)
    assert again.observation_space == env.observation_space


@pytest.mark.parametrize(
    ("make", "keep", "error", "message"),
    [
        (cartpole, [], ValueError, "keep: expected different integers from 0 to 3, got []"),
        (cartpole, [0, 4], ValueError, "keep: expected different integers from 0 to 3, got [0, 4]"),
        (cartpole, [1, 1], ValueError, "keep: expected different integers from 0 to 3, got [1, 1]"),
        (cartpole, [-1], ValueError, "keep: expected an integer >= 0, got -1"),
        (cartpole, [0.5], TypeError, "keep: expected an integer, got float"),
        (cartpole, 2, TypeError, "keep: expected a sequence of integers, got int"),
        (
            lambda: gym.make("FrozenLake-v1"),
            [0],
            TypeError,
            "env: expected Box observations, got Discrete(16)",
        ),
        (
            lambda: FrameStackObservation(LQR(), 3),
            [0],
            ValueError,
            "env: expected observations of shape (D,), got (3, 1)",
        ),
    ],
)
def test_errors(make, keep, error, message):
    env = make()
    with pytest.raises(error) as caught:
        HideObservations(env, keep)
    assert str(caught.value) == message


@pytest.mark.parametrize("padding", ["zero", "reset"])
def test_the_window_forgets_at_resets(padding):
    """What the documentation says of gymnasium's wrappers: oldest first, and filled anew by a reset."""
    env = FlattenObservation(FrameStackObservation(LQR(horizon=4), 3, padding_type=padding))
    assert env.observation_space.shape == (3,)
    for seed in (0, 1):
        obs, _ = env.reset(seed=seed)
        s = obs[-1]
        assert s == LQR().reset(seed=seed)[0][0]
        first = s if padding == "reset" else 0.0
        assert obs.tolist() == [first, first, s]
        assert env.step([1.0])[0].tolist() == [first, s, s + 1]
        assert env.step([1.0])[0].tolist() == [s, s + 1, s + 2]
        assert env.step([1.0])[0].tolist() == [s + 1, s + 2, s + 3]
