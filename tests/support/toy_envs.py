"""Vector environments whose every number is known beforehand, and a policy with just enough interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from pgcore import Batch
from pgcore.rollout import Collector

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
TERMINATED, TRUNCATED, BOTH = "terminated", "truncated", "both"
SCRIPTS = [
    [(3, TERMINATED), (2, TRUNCATED), (1, BOTH), (4, TRUNCATED)],
    [(5, TRUNCATED), (1, TRUNCATED)],
    [(1, TERMINATED)],
    [(40, TERMINATED)],
]
FIELDS = ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs")

Episode = tuple[int, str]  # how many steps, and how it ends


OBSERVATION_SPACES = [
    spaces.Box(-1, 1, (4,)),
    spaces.Box(-1, 1, ()),
    spaces.Box(-1, 1, (2, 3), np.float64),
    spaces.Box(0, 255, (4, 5, 3), np.uint8),
    spaces.Discrete(5),
    spaces.Discrete(3, start=-2),
    spaces.MultiDiscrete([2, 3, 4]),
    spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-1, 7]]),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
    spaces.Tuple([spaces.Discrete(3, start=1), spaces.Box(-1, 1, (2, 2)), spaces.MultiBinary(2)]),
    spaces.Dict({"z": spaces.Box(-1, 1, (2,)), "a": spaces.Discrete(2)}),
    spaces.Dict(
        {
            "inner": spaces.Dict({"x": spaces.Box(0, 9, (1,)), "t": spaces.Tuple([spaces.Discrete(4)])}),
            "mode": spaces.MultiDiscrete([2, 2]),
        }
    ),
]
ACTION_SPACES = [
    spaces.Box(-1, 2, (3,)),
    spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, np.inf]), dtype=np.float64),
    spaces.Box(-1, 1, (2, 3)),
    spaces.Discrete(4),
    spaces.Discrete(4, start=3),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-1, 7]]),
    spaces.MultiDiscrete([2, 3], dtype=np.int32),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
]


class Row(NamedTuple):
    """One transition of the truth."""

    obs: tuple[float, ...]
    reward: float
    terminated: bool
    truncated: bool
    next_obs: tuple[float, ...]


def observation(env: int, episode: int, step: int) -> tuple[float, float, float]:
    return float(env), float(episode), float(step)


def reward(env: int, episode: int, step: int) -> float:
    return 100.0 * env + 10.0 * episode + step + 0.5


def truth(script: Sequence[Episode], env: int) -> Iterator[Row]:
    """All transitions that environment ``env`` will ever make, one after the other."""
    episode = 0
    while True:
        length, how = script[episode % len(script)]
        for step in range(length):
            last = step == length - 1
            yield Row(
                observation(env, episode, step),
                reward(env, episode, step),
                last and how in (TERMINATED, BOTH),
                last and how in (TRUNCATED, BOTH),
                observation(env, episode, step + 1),
            )
        episode += 1


class ToyVectorEnv(VectorEnv[Any, Any, Any]):
    """Plays scripted episodes; observes (environment, episode, step); remembers which actions it was sent.

    Always returns the same observation array, which it overwrites and which the caller must neither keep
    nor change. At resets by next-step autoreset it pays nonsense, which nobody may read. `reset` begins the
    script anew.
    """

    def __init__(
        self,
        scripts: Sequence[Sequence[Episode]],
        mode: AutoresetMode,
        *,
        action_space: gym.Space[Any] | None = None,
        batched_final_obs: bool = False,
    ) -> None:
        self.metadata = {"autoreset_mode": mode}
        self.mode, self.scripts, self.batched_final_obs = mode, scripts, batched_final_obs
        self.num_envs = len(scripts)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.single_action_space = spaces.Discrete(2) if action_space is None else action_space
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self.episode = np.zeros(self.num_envs, int)
        self.at = np.zeros(self.num_envs, int)
        self.buffer = np.empty((self.num_envs, 3))
        self.done = np.zeros(self.num_envs, bool)
        self.received: dict[tuple[int, int, int], Any] = {}
        self.reset_seeds: list[int | None] = []
        self.num_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if options is not None and "reset_mask" in options:
            mask = options["reset_mask"]
            assert self.mode is AutoresetMode.DISABLED
            assert mask.dtype == bool
            assert np.array_equal(mask, self.done)
            self.episode[mask] += 1
            self.at[mask] = 0
            obs = self._observe()
            obs[~mask] = np.nan  # unspecified, so nothing may depend on it
            self.done[:] = False
            return obs, {}
        self.reset_seeds.append(seed)
        self.received.clear()
        self.episode[:] = self.at[:] = 0
        self.done[:] = False
        return self._observe(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        assert len(actions) == self.num_envs
        self.num_steps += 1
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for i in range(self.num_envs):
            if self.done[i]:
                assert self.mode is AutoresetMode.NEXT_STEP, "stepped without a reset"
                self.episode[i] += 1
                self.at[i] = 0
                rewards[i] = 1e9
                continue
            key = (i, int(self.episode[i]), int(self.at[i]))
            assert key not in self.received, "the same step twice"
            self.received[key] = np.array(actions[i])
            rewards[i] = reward(*key)
            length, how = self.scripts[i][self.episode[i] % len(self.scripts[i])]
            self.at[i] += 1
            if self.at[i] == length:
                terminated[i], truncated[i] = how in (TERMINATED, BOTH), how in (TRUNCATED, BOTH)
        actions[...] = 0  # what it was sent is its own
        done = terminated | truncated
        obs, info = self._observe(), {}
        if self.mode is AutoresetMode.SAME_STEP and done.any():
            info = {"final_obs": self._final_obs(obs, done), "_final_obs": done.copy()}
            self.episode[done] += 1
            self.at[done] = 0
            obs = self._observe()
        self.done = done & (self.mode is not AutoresetMode.SAME_STEP)
        return obs, rewards, terminated, truncated, info

    def _final_obs(self, obs: Any, done: Any) -> Any:
        if self.batched_final_obs:
            return np.where(done[:, None], obs, np.nan)
        final_obs = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(done):
            final_obs[i] = obs[i].copy()
        return final_obs

    def _observe(self) -> Any:
        self.buffer[:, 0] = np.arange(self.num_envs)
        self.buffer[:, 1], self.buffer[:, 2] = self.episode, self.at
        return self.buffer


class FakePolicy:
    """Actions drawn around a simple function of the observation; counts what it is asked for.

    ``num_actions`` makes it discrete, with actions of the given shape; else it is Gaussian with deviation 1.
    """

    def __init__(
        self,
        obs_dim: int = 3,
        action_shape: tuple[int, ...] = (),
        *,
        num_actions: int | None = 2,
        dtype: Any = np.float32,
        noisy: bool = True,
    ) -> None:
        self.obs_dim, self.action_shape, self.num_actions = obs_dim, action_shape, num_actions
        self.dtype = np.dtype(dtype)
        self.action_dtype = self.dtype if num_actions is None else np.dtype(np.int64)
        self.noisy = noisy
        self.normalizer: Any = None
        self.acted_on: list[Any] = []
        self.noise_shapes: list[tuple[int, int]] = []
        self.num_log_prob_calls = 0

    def draw_noise(self, rng: np.random.Generator, num_steps: int, num_envs: int) -> Any:
        self.noise_shapes.append((num_steps, num_envs))
        return rng.standard_normal((num_steps, num_envs, *self.action_shape)).astype(self.dtype) * self.noisy

    def act(self, obs: Any, noise: Any, *, out: Any) -> Any:
        assert obs.dtype in (np.float32, np.float64)  # the environment's own
        assert obs.flags.c_contiguous
        assert noise.shape == (len(obs), *self.action_shape)
        self.acted_on.append(obs.copy())
        noisy = self.mean(obs) + noise
        out[...] = noisy if self.num_actions is None else np.floor(np.abs(noisy * 7)) % self.num_actions
        return out

    def actor(self, obs: Any, noise: Any, actions: Any) -> Any:
        return lambda t: self.act(obs[t], noise[t], out=actions[t])

    def mean(self, obs: Any) -> Any:
        mean = np.sin(self._normalized(obs).astype(self.dtype).sum(axis=1) * self.dtype.type(0.7))
        return np.broadcast_to(
            mean.reshape(-1, *[1] * len(self.action_shape)), (len(obs), *self.action_shape)
        )

    def log_prob(self, obs: Any, actions: Any) -> Any:
        self.num_log_prob_calls += 1
        if self.num_actions is not None:
            assert actions.dtype == np.int64
            assert ((actions >= 0) & (actions < self.num_actions)).all()
        difference = (actions - self.mean(obs)).reshape(len(obs), -1)
        return (-0.5 * difference**2).sum(axis=1).astype(self.dtype)

    def _normalized(self, obs: Any) -> Any:
        return obs if self.normalizer is None else self.normalizer.normalize(obs)


class ScriptedEnv(gym.Env[Any, Any]):
    """One scripted environment that, like some in the wild, hands out its own state array and reuses it."""

    def __init__(self, script: Sequence[Episode] = ((3, TRUNCATED), (2, TERMINATED))) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = spaces.Discrete(2)
        self.script = script
        self.state = np.zeros(3)
        self.state[1] = -1.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.state[1] += 1.0
        self.state[2] = 0.0
        return self.state, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        step, episode = int(self.state[2]), int(self.state[1])
        length, how = self.script[episode % len(self.script)]
        self.state[2] += 1.0
        last = step + 1 == length
        terminated, truncated = last and how in (TERMINATED, BOTH), last and how in (TRUNCATED, BOTH)
        return self.state, reward(0, episode, step), terminated, truncated, {}


def collector_for(env: Any, policy: Any = None, seed: int = 0) -> Collector:
    return Collector(
        env, FakePolicy() if policy is None else policy, rng=np.random.default_rng(seed), seed=11
    )


def assert_same(one: Batch, other: Batch) -> None:
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
