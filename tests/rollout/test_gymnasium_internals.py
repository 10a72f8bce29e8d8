"""Private names of gymnasium that the package uses: they exist, and mean what the package takes them for."""

from __future__ import annotations

import multiprocessing
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState

from pgcore.rollout.async_vector import awaits_answers, note_step_sent, set_idle

MAKE = [partial(gym.make, "CartPole-v1")] * 2
ACTIONS = np.zeros(2, np.int64)


def test_the_state_of_an_asynchronous_vector_says_what_it_waits_for():
    env = AsyncVectorEnv(MAKE)
    try:
        assert env._state is AsyncState.DEFAULT
        assert not awaits_answers(env)
        env.reset_async()
        assert env._state is AsyncState.WAITING_RESET
        assert awaits_answers(env)
        note_step_sent(env)
        assert env._state is AsyncState.WAITING_RESET  # what is noted stays
        env.reset_wait()
        assert not awaits_answers(env)
        env.step_async(ACTIONS)
        assert env._state is AsyncState.WAITING_STEP
        env.step_wait()
        assert not awaits_answers(env)
    finally:
        env.close()


def test_gymnasium_itself_obeys_the_state_that_is_set():
    env = AsyncVectorEnv(MAKE)
    try:
        env.reset()
        note_step_sent(env)
        with pytest.raises(gym.error.AlreadyPendingCallError):
            env.step_async(ACTIONS)
        set_idle(env)
        env.step(ACTIONS)
    finally:
        env.close()


class Recording(AsyncVectorEnv):
    polled: list[float | None]
    successes: list[tuple[bool, ...]]

    def _poll_pipe_envs(self, timeout=None):
        self.polled.append(timeout)
        return super()._poll_pipe_envs(timeout)

    def _raise_if_errors(self, successes):
        self.successes.append(tuple(successes))
        super()._raise_if_errors(successes)


def test_an_asynchronous_vector_waits_and_raises_in_the_methods_that_ours_replaces():
    Recording.polled, Recording.successes = [], []
    env = Recording(MAKE)
    try:
        env.reset_async()
        env.reset_wait(timeout=7.0)
        env.step_async(ACTIONS)
        env.step_wait(timeout=8.0)
        assert env.polled == [7.0, 8.0]
        assert env.successes[-2:] == [(True, True)] * 2
    finally:
        env.close()


def test_a_wait_without_answers_in_time_is_a_timeout():
    class Silent(AsyncVectorEnv):
        def _poll_pipe_envs(self, timeout=None):
            return False

    env = Silent(MAKE)
    env.step_async(ACTIONS)
    with pytest.raises(multiprocessing.TimeoutError):
        env.step_wait(timeout=1.0)
    env.close(terminate=True)


def test_a_serial_vector_keeps_each_environments_last_observation():
    env = SyncVectorEnv(MAKE)
    assert list(env._env_obs) == [None, None]
    obs, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env._env_obs, obs)
    obs, *_ = env.step(ACTIONS)
    np.testing.assert_array_equal(env._env_obs, obs)
