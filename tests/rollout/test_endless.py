"""Rollouts of whole episodes where an episode does not end."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from pgcore import REINFORCE
from pgcore.rollout import Collector, limits
from support.toy_envs import MODES, TERMINATED, TRUNCATED, FakePolicy, ToyVectorEnv

ENDLESS = (10**9, TERMINATED)


def limited(env, max_steps):
    return Collector(env, FakePolicy(), rng=np.random.default_rng(0), seed=11, max_steps=max_steps)


@pytest.mark.parametrize("mode", MODES)
def test_endless_episodes_are_truncated_where_they_are_cut(mode):
    scripts = [[(3, TERMINATED), ENDLESS], [(5, TRUNCATED)], [ENDLESS], [(2, TRUNCATED), (12, TERMINATED)]]
    collector = limited(ToyVectorEnv(scripts, mode), 10)
    with pytest.warns(RuntimeWarning, match=r"in environment \d .* max_steps = 10 steps") as caught:
        batch = collector.collect(4, whole_episodes=True)
    assert len(caught) == 1
    lengths = [3, 11, 5, 14, 2, 12]  # an environment plays 4 + 10 steps at most
    np.testing.assert_array_equal(batch.segment_lengths, lengths)
    np.testing.assert_array_equal(batch.terminated[batch.ends], [True, False, False, False, False, True])
    np.testing.assert_array_equal(batch.truncated, [False, True, True, True, True, False])
    np.testing.assert_array_equal(
        batch.bootstrap_obs, [[0, 0, 0], [0, 1, 11], [1, 0, 5], [2, 0, 14], [3, 0, 2], [0, 0, 0]]
    )
    assert sorted(collector.episode_lengths) == sorted(lengths)
    again = collector.collect(4, whole_episodes=True)  # in silence: warnings are errors here
    np.testing.assert_array_equal(again.segment_lengths, lengths)


@pytest.mark.parametrize("mode", MODES)
def test_episodes_that_end_in_time_are_left_alone(mode):
    collector = limited(ToyVectorEnv([[(14, TERMINATED)], [(14, TRUNCATED)], [(3, TERMINATED)]], mode), 10)
    batch = collector.collect(4, whole_episodes=True)
    np.testing.assert_array_equal(batch.segment_lengths, [14, 14, 3, 3])
    np.testing.assert_array_equal(batch.truncated, [False, True, False, False])
    limited(ToyVectorEnv([[ENDLESS]], mode), 3).collect(50)  # not of whole episodes


def test_reinforce_learns_where_episodes_never_end(monkeypatch):
    monkeypatch.setattr(limits, "MAX_EPISODE_STEPS", 50)
    endless = gym.make("Pendulum-v1").unwrapped
    endless.spec = None
    model = REINFORCE(endless, hidden=(), n_steps=20, baseline="value_network")
    with pytest.warns(RuntimeWarning, match="Give the environment a time limit") as caught:
        model.learn(200)
    assert model.num_timesteps == 210
    assert [warning.filename for warning in caught] == [__file__]
    assert model.logs["rollout/ep_len_mean"] == 70
    limited_again = REINFORCE("Pendulum-v1", hidden=(), n_steps=20).learn(200)
    assert limited_again.num_timesteps == 200  # its own limit is longer


def test_bad_limits():
    env = ToyVectorEnv([[ENDLESS]], MODES[0])
    with pytest.raises(ValueError, match=r"^max_steps: expected an integer >= 1, got 0$"):
        limited(env, 0)
    with pytest.raises(TypeError, match=r"^max_steps: expected an integer, got float$"):
        limited(env, 2.5)
