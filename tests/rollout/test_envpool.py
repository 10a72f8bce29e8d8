"""The EnvPool backend, on a stand-in for the module and (with the `peers` extra) on EnvPool itself."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from pgcore.rollout import Collector, autoreset_mode, make_vector_env
from support.toy_envs import FakePolicy


class FakePool:
    """Two-step episodes, which truncate; observes (seed, steps made since the pool began)."""

    def __init__(self, task, *, env_type, num_envs, seed=None, **config):
        assert (task, env_type) == ("Fake-v0", "gymnasium")
        self.num_envs, self.seed, self.config = num_envs, seed, config
        self.closed = False
        self.total = 0
        self.at = np.zeros(num_envs, int)

    @property
    def observation_space(self):
        warnings.warn("Box low's precision lowered by casting to float32", UserWarning, stacklevel=1)
        return spaces.Box(-np.inf, np.inf, (2,))

    action_space = spaces.Discrete(2)

    def _obs(self):
        return np.stack([np.full(self.num_envs, self.seed or 0), np.full(self.num_envs, self.total)], 1) * 1.0

    def reset(self):
        assert not self.closed
        self.at[:] = 0
        return self._obs(), {}

    def step(self, actions):
        assert not self.closed
        resets = self.at == 2
        self.at = np.where(resets, 0, self.at + 1)
        self.total += 1
        rewards = np.where(resets, 0.0, 1.0)
        return self._obs(), rewards, np.zeros(self.num_envs, bool), self.at == 2, {}

    def close(self):
        self.closed = True


@pytest.fixture
def pools(monkeypatch):
    """All pools that were made."""
    made = []

    def make(*args, **kwargs):
        made.append(FakePool(*args, **kwargs))
        return made[-1]

    module = SimpleNamespace(make=make, list_all_envs=lambda: ["Fake-v0"])
    monkeypatch.setitem(sys.modules, "envpool", module)
    return made


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ImportError) as error:
        make_vector_env("CartPole-v1", backend="envpool")
    message = str(error.value)
    assert message.startswith("backend='envpool': expected the envpool package, ")
    assert message.endswith("; pip install 'pgcore-rl[envpool]'")


def test_looks_like_a_vector_environment(pools):
    env = make_vector_env("Fake-v0", num_envs=3, backend="envpool", seed=4, num_threads=1)
    assert autoreset_mode(env) is AutoresetMode.NEXT_STEP
    assert env.num_envs == 3
    assert env.single_observation_space == spaces.Box(-np.inf, np.inf, (2,))
    assert env.observation_space.shape == (3, 2)
    assert env.single_action_space == spaces.Discrete(2)
    assert (pools[0].seed, pools[0].config) == (4, {"num_threads": 1})
    env.close()
    assert pools[0].closed


def test_seeding_makes_a_new_pool(pools):
    env = make_vector_env("Fake-v0", num_envs=1, backend="envpool", seed=4)
    env.reset(seed=4)
    assert len(pools) == 1  # nothing had happened in it yet
    env.reset()
    assert len(pools) == 1
    env.reset(seed=4)
    assert [pool.seed for pool in pools] == [4, 4]
    assert pools[0].closed
    np.testing.assert_array_equal(env.reset(seed=np.int64(9))[0], [[9, 0]])
    assert type(pools[-1].seed) is int
    env.step(np.zeros(1, int))
    np.testing.assert_array_equal(env.reset(seed=9)[0], [[9, 0]])


@pytest.mark.parametrize("seed", [2**31 - 3, 2**31 - 2, 2**31, 2**32, 2**33 + 5, 2**63, 2**100])
def test_seeds_that_are_too_large_are_mapped(pools, seed):
    """EnvPool's are 32 bits wide, and environment i adds i: what overflows is another seed, or an error."""
    for _ in range(2):
        make_vector_env("Fake-v0", num_envs=3, backend="envpool", seed=seed)
    first, again = pools
    assert first.seed == again.seed
    assert 0 <= first.seed <= 2**31 - 3
    if seed <= 2**31 - 3:
        assert first.seed == seed
    env = make_vector_env("Fake-v0", num_envs=3, backend="envpool", seed=seed + 1)
    assert pools[-1].seed != first.seed
    env.reset(seed=seed)
    assert pools[-1].seed == first.seed


@pytest.mark.parametrize(("seed", "kind"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_seeds_that_are_none(pools, seed, kind):
    with pytest.raises(kind, match=r"^seed: expected an integer >= 0 or None, got"):
        make_vector_env("Fake-v0", backend="envpool", seed=seed)
    env = make_vector_env("Fake-v0", backend="envpool")
    with pytest.raises(kind, match=r"^seed: expected an integer >= 0 or None, got"):
        env.reset(seed=seed)


def test_refusals(pools):
    with pytest.raises(ValueError) as error:
        make_vector_env("Other-v0", backend="envpool")
    assert (
        str(error.value) == "env: expected one of EnvPool's tasks (envpool.list_all_envs()), got 'Other-v0'"
    )
    with pytest.raises(ValueError) as error:
        make_vector_env("Fake-v0", num_envs=4, backend="envpool", batch_size=2)
    assert str(error.value) == "batch_size: expected num_envs, 4, got 2"
    assert make_vector_env("Fake-v0", num_envs=4, backend="envpool", batch_size=4).num_envs == 4


def test_collecting_leaves_out_its_resets(pools):
    env = make_vector_env("Fake-v0", num_envs=2, backend="envpool")
    collector = Collector(env, FakePolicy(2), rng=np.random.default_rng(0), seed=1)
    batch = collector.collect(6)
    np.testing.assert_array_equal(batch.obs[:4], [[1, 0], [1, 1], [1, 3], [1, 4]])
    np.testing.assert_array_equal(batch.rewards, 1)
    np.testing.assert_array_equal(batch.bootstrap_obs, [[1, 2], [1, 5], [1, 2], [1, 5]])
    assert collector.num_env_steps == 8
    assert collector.episode_lengths == [2] * 4


@pytest.mark.peers
@pytest.mark.parametrize(
    ("task", "policy", "limit"),
    [
        ("CartPole-v1", FakePolicy(4), 500),
        ("Pendulum-v1", FakePolicy(3, (1,), num_actions=None), 200),
        ("FrozenLake-v1", FakePolicy(16, num_actions=4), 100),
    ],
)
def test_envpool_itself(task, policy, limit):
    pytest.importorskip("envpool")

    def batches():
        env = make_vector_env(task, num_envs=4, backend="envpool", num_threads=1)
        collector = Collector(env, policy, rng=np.random.default_rng(0))
        try:
            whole = [collector.collect(30, whole_episodes=True) for _ in range(2)]
            assert max(collector.episode_lengths) <= limit
            assert collector.num_env_steps >= whole[-1].num_steps
            steps = collector.collect(250)
            assert collector.num_env_steps == steps.num_steps <= 1000
            return [*whole, steps]
        finally:
            env.close()

    for one, other in zip(batches(), batches(), strict=True):
        for name in ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        if task == "CartPole-v1":
            np.testing.assert_array_equal(one.rewards, 1)
        if task == "Pendulum-v1":
            angles = np.hypot(one.obs[:, 0], one.obs[:, 1])
            np.testing.assert_allclose(angles, 1, atol=1e-5)
            assert one.terminated.sum() == 0
            # the dynamics hold across every recorded step, so no reset row is among them
            inside = np.flatnonzero(~one.ends)
            assert np.abs(one.obs[inside + 1, 2] - one.obs[inside, 2]).max() < 1.2


@pytest.mark.peers
def test_large_seeds_of_envpool_itself():
    pytest.importorskip("envpool")
    starts = []
    for seed in (2**31, 2**31, 2**40, 0):
        env = make_vector_env("CartPole-v1", num_envs=2, backend="envpool", seed=seed)
        starts.append(env.reset()[0].tolist())
        env.close()
    assert starts[0] == starts[1]
    assert len({str(start) for start in starts}) == 3


@pytest.mark.peers
def test_unknown_task_of_envpool_itself():
    pytest.importorskip("envpool")
    with pytest.raises(ValueError, match="env: expected one of EnvPool's tasks"):
        make_vector_env("CatPole-v1", backend="envpool")
