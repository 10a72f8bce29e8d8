"""The memory task: exactly how much memory is worth, and that policy gradients find it."""

from __future__ import annotations

from functools import partial
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FrameStackObservation

import pgcore
from pgcore.envs import Recall

ID = "pgcore.envs:pgcore/Recall-v0"


def seed_for(cue):
    """A seed whose episode has this cue."""
    return next(seed for seed in range(100) if Recall().reset(seed=seed)[0][0] == cue)


SEEDS = {cue: seed_for(cue) for cue in (-1, 1)}


def make(window, delay=3, num_envs=16):
    stack = partial(FrameStackObservation, stack_size=window, padding_type="zero")
    return gym.make_vec(
        ID,
        num_envs,
        "sync",
        wrappers=[stack] if window > 1 else [],
        vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED},
        delay=delay,
    )


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_every_episode_there_is(delay):
    for cue, actions in product((-1, 1), product((0, 1), repeat=delay + 1)):
        env = Recall(delay)
        obs, _ = env.reset(seed=SEEDS[cue])
        assert obs.tolist() == [cue, 0]
        for t, action in enumerate(actions, start=1):
            obs, reward, terminated, truncated, info = env.step(np.int64(action))
            np.testing.assert_array_equal(obs, np.float32([0, t / (delay + 1)]))
            assert obs in env.observation_space
            assert terminated == (t == delay + 1)
            assert reward == (1.0 if terminated and action == (cue + 1) // 2 else 0.0)
            assert (truncated, info) == (False, {})
        with pytest.raises(ResetNeeded):
            env.step(0)


@pytest.mark.parametrize("delay", [2, 3])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_best_policy_of_a_window(delay, extra):
    """Over both cues and all ways to act before, the best answer to what is seen when it counts."""
    window = delay + 1 + extra
    rewards: dict[bytes, np.ndarray] = {}  # of the two answers, summed over episodes that look the same
    for cue, actions in product((-1, 1), product((0, 1), repeat=delay)):
        env = FrameStackObservation(Recall(delay), window, padding_type="zero")
        obs, _ = env.reset(seed=SEEDS[cue])
        for action in actions:
            obs = env.step(action)[0]
        rewards.setdefault(obs.tobytes(), np.zeros(2))[(cue + 1) // 2] += 1
    best = sum(each.max() for each in rewards.values()) / sum(each.sum() for each in rewards.values())
    assert best == (0.5 if window <= delay else 1.0)


def test_both_cues_are_as_likely():
    env = Recall()
    cues = [env.reset(seed=0 if i == 0 else None)[0][0] for i in range(2000)]
    assert abs(np.mean(cues)) < 3.29 / np.sqrt(2000)


def test_gymnasium_makes_and_approves_it():
    env = gym.make(ID, delay=2)
    assert env.unwrapped.delay == 2
    check_env(env.unwrapped)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Recall(0), ValueError, "delay: expected an integer >= 1, got 0"),
        (lambda: Recall(2.0), TypeError, "delay: expected an integer, got float"),
        (lambda: Recall().step(0), ResetNeeded, "step: expected an episode under way, got a reset due"),
        (lambda: reset(Recall()).step(2), ValueError, "action: expected 0 or 1, got 2"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def reset(env):
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(("window", "low", "high"), [(1, 0.3, 0.7), (3, 0.3, 0.7), (4, 0.95, 1.0)])
def test_reinforce_learns_it_from_a_window_that_is_long_enough(window, low, high):
    model = pgcore.REINFORCE(make(window), hidden=(), n_steps=16, learning_rate=0.1, seed=0).learn(5000)
    mean, _ = pgcore.evaluate_policy(model, make(window), 200)
    assert low < mean <= high
