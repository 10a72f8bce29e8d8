"""Batches from gymnasium's own environments, against a log of what those really said."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pgcore import Batch
from pgcore.policies.normalizer import ObservationNormalizer
from pgcore.rollout import make_vector_env
from support.toy_envs import (
    MODES,
    FakePolicy,
    ScriptedEnv,
    assert_same,
    collector_for,
)


class StepLog(gym.vector.VectorWrapper):
    """Writes down what the environment really said and got, copied."""

    def __init__(self, env):
        super().__init__(env)
        self.log = []

    def reset(self, *, seed=None, options=None):
        masked = options is not None and "reset_mask" in options
        obs, info = self.env.reset(seed=seed, options=options)
        if not masked:
            self.obs = obs.copy()
            self.pending = np.zeros(self.num_envs, bool)
        else:
            self.obs = obs.copy()
        return obs, info

    def step(self, actions):
        before = self.obs
        obs, rewards, terminated, truncated, info = self.env.step(actions)
        mode = self.env.metadata["autoreset_mode"]
        done = terminated | truncated
        final = obs.copy()
        if mode is AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(done):
                final[i] = info["final_obs"][i]
        self.log.append(
            (
                before,
                np.array(actions),
                rewards.copy(),
                terminated.copy(),
                truncated.copy(),
                final,
                ~self.pending,
            )
        )
        self.pending = done & (mode is AutoresetMode.NEXT_STEP)
        self.obs = obs.copy()
        return obs, rewards, terminated, truncated, info


def check_against_log(batch: Batch, log: list, num_envs: int, *, discrete: bool) -> None:
    """Rebuild the batch from the log with plain loops."""
    row = segment = 0
    for i in range(num_envs):
        real = [entry for entry in log if entry[6][i]]
        for k, (obs, actions, rewards, terminated, truncated, final, _) in enumerate(real):
            np.testing.assert_array_equal(batch.obs[row], obs[i].astype(np.float32))
            if discrete:
                assert batch.actions[row] == actions[i]
            else:
                np.testing.assert_array_equal(np.clip(batch.actions[row], -2, 2), actions[i])
            assert batch.rewards[row] == rewards[i]
            assert batch.terminated[row] == terminated[i]
            assert batch.ends[row] == (terminated[i] or truncated[i] or k == len(real) - 1)
            if batch.ends[row]:
                bootstrap = np.zeros_like(final[i]) if terminated[i] else final[i]
                np.testing.assert_array_equal(batch.bootstrap_obs[segment], bootstrap.astype(np.float32))
                segment += 1
            row += 1
    assert row == batch.num_steps
    assert segment == batch.num_segments


@pytest.mark.parametrize(
    ("env_id", "backend", "mode"),
    [
        ("CartPole-v1", "native", None),
        ("CartPole-v1", "sync", None),
        ("CartPole-v1", "async", None),
        ("Pendulum-v1", "sync", None),
        ("Pendulum-v1", "async", None),
        *[
            (env_id, kind, mode)
            for env_id in ("CartPole-v1", "Pendulum-v1")
            for kind in ("sync", "async")
            for mode in MODES
        ],
    ],
)
def test_real_environments(env_id, backend, mode):
    discrete = env_id == "CartPole-v1"
    if mode is None:
        inner = make_vector_env(env_id, num_envs=3, backend=backend, max_episode_steps=25)
    else:
        inner = gym.make_vec(
            env_id,
            num_envs=3,
            vectorization_mode=backend,
            vector_kwargs={"autoreset_mode": mode},
            max_episode_steps=25,
        )
    policy = FakePolicy(4) if discrete else FakePolicy(3, (1,), num_actions=None)
    env = StepLog(inner)
    try:
        collector = collector_for(env, policy)
        for n_steps in (40, 13, 60):
            env.log.clear()
            batch = collector.collect(n_steps)
            assert collector.num_env_steps == batch.num_steps
            check_against_log(batch, env.log, 3, discrete=discrete)
            assert batch.num_truncated > 0
            if discrete:
                assert collector.episode_returns == collector.episode_lengths
    finally:
        env.close()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_every_backend_and_mode_gives_the_same_whole_episodes(env_id):
    """The environments' own noise included: sync and async, resetting whenever they like."""
    batches = []
    for backend in ("sync", "async"):
        for mode in (None, *MODES):
            if mode is None:
                env = make_vector_env(env_id, num_envs=3, backend=backend, max_episode_steps=15)
            else:
                env = gym.make_vec(
                    env_id,
                    num_envs=3,
                    vectorization_mode=backend,
                    vector_kwargs={"autoreset_mode": mode},
                    max_episode_steps=15,
                )
            policy = FakePolicy(4) if env_id == "CartPole-v1" else FakePolicy(3, (1,), num_actions=None)
            try:
                collector = collector_for(env, policy)
                batches.append([collector.collect(20, whole_episodes=True) for _ in range(2)])
            finally:
                env.close()
    for pair in batches[1:]:
        for batch, reference in zip(pair, batches[0], strict=True):
            assert_same(batch, reference)


def test_an_environment_that_reuses_its_observation_array():
    """As some do. Hence we make no same-step environments: their final observation is that very array."""
    expected = [[0, 0, 3], [0, 2, 3]]
    for env in (
        make_vector_env(ScriptedEnv()),
        SyncVectorEnv([ScriptedEnv], autoreset_mode=AutoresetMode.NEXT_STEP),
    ):
        batch = collector_for(env).collect(6, whole_episodes=True)
        np.testing.assert_array_equal(batch.segment_lengths, [3, 2, 3])
        np.testing.assert_array_equal(batch.bootstrap_obs[batch.truncated], expected)


class Structured(gym.Env):
    """Observes a dictionary, takes a `Discrete` that doesn't begin at 0."""

    def __init__(self):
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (2, 2), np.uint8),
                "mode": spaces.Discrete(3, start=1),
                "pair": spaces.Tuple([spaces.MultiBinary(2), spaces.MultiDiscrete([2, 2])]),
            }
        )
        self.action_space = spaces.Discrete(3, start=5)
        self.actions = []

    def _obs(self):
        t = self.t
        return {
            "image": np.full((2, 2), t, np.uint8),
            "mode": np.int64(1 + t % 3),
            "pair": (np.array([t % 2, 1], np.int8), np.array([0, t % 2])),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.actions.append(int(action))
        self.t += 1
        return self._obs(), 1.0, False, self.t == 3, {}


@pytest.mark.parametrize("mode", MODES)
def test_structured_spaces(mode):
    envs = [Structured(), Structured()]
    env = SyncVectorEnv([lambda: envs[0], lambda: envs[1]], autoreset_mode=mode)
    policy = FakePolicy(4 + 3 + 2 + 4, num_actions=3)
    batch = collector_for(env, policy).collect(7)

    def flat(t):
        return [t] * 4 + [t % 3 == k for k in range(3)] + [t % 2, 1, 1, 0, t % 2 == 0, t % 2]

    rows = slice(0, batch.num_steps // 2)
    times = [0, 1, 2, 0, 1, 2] + [0] * (mode is not AutoresetMode.NEXT_STEP)
    np.testing.assert_array_equal(batch.obs[rows], [flat(t) for t in times])
    np.testing.assert_array_equal(batch.bootstrap_obs[:2], [flat(3), flat(3)])
    np.testing.assert_array_equal(batch.actions[rows] + 5, envs[0].actions)


def test_discrete_and_image_observations():
    frozen = make_vector_env("FrozenLake-v1", num_envs=2)
    batch = collector_for(frozen, FakePolicy(16, num_actions=4)).collect(30)
    np.testing.assert_array_equal(batch.obs.sum(axis=1), 1)
    np.testing.assert_array_equal(batch.obs[batch.segment_starts[0]], np.eye(16)[0])


@pytest.mark.parametrize("mode", MODES)
def test_gymnasium_vector_wrappers(mode):
    def make():
        kwargs = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
        return gym.make_vec("CartPole-v1", num_envs=2, **kwargs)

    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(make())
    assert_same(
        collector_for(wrapped, FakePolicy(4)).collect(60), collector_for(make(), FakePolicy(4)).collect(60)
    )


def test_with_the_policies_of_the_package():
    """The real thing, end to end: discrete and continuous, ratios of exactly 1 (trap 18)."""
    from pgcore.policies import CategoricalPolicy, GaussianPolicy

    for env_id, policy in [
        ("CartPole-v1", CategoricalPolicy(4, 2, hidden=(8,), seed=1)),
        ("Pendulum-v1", GaussianPolicy(3, 1, hidden=(8,), init_log_std=1.0, seed=1)),
    ]:
        policy.normalizer = ObservationNormalizer(policy.obs_dim)
        collector = collector_for(make_vector_env(env_id, num_envs=3), policy)
        for whole in (False, True):
            batch = collector.collect(64, whole_episodes=whole)
            assert batch.num_steps >= 192
            np.testing.assert_array_equal(policy.log_prob(batch.obs, batch.actions), batch.log_probs)
            assert np.isfinite(batch.log_probs).all()
            policy.normalizer.update(batch.obs)
        if env_id == "Pendulum-v1":
            assert np.abs(batch.actions).max() > 2  # sampled, not clipped
