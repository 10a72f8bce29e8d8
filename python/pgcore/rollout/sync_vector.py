"""`SyncVectorEnv`: gymnasium's, without what a rollout never reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import concatenate
from numpy.typing import NDArray

__all__ = ["SyncVectorEnv"]

Array: TypeAlias = NDArray[Any]


class SyncVectorEnv(gym.vector.SyncVectorEnv):
    """Environments of this process, one after another, that nobody resets but the caller.

    It differs from gymnasium's of that name in what it leaves out: ``info`` is always empty. Merging it key
    by key takes as long as a third of a MuJoCo step, and a rollout does not look at it (without automatic
    resets, it holds no final observations either).

    Parameters
    ----------
    env_fns
        Functions that make an environment each.

    Examples
    --------
    >>> env = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)
    >>> obs, info = env.reset(seed=0)
    >>> obs, rewards, terminated, truncated, info = env.step(np.array([0, 1]))
    >>> obs.shape, rewards, info
    ((2, 4), array([1., 1.]), {})
    """

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        super().__init__(env_fns, autoreset_mode=AutoresetMode.DISABLED)
        self.spec = self.envs[0].spec
        space = self.single_observation_space
        self._box_dtype = space.dtype if isinstance(space, gym.spaces.Box) else None

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Take one step everywhere; return observations, rewards, terminated, truncated, and no info.

        Raises
        ------
        ValueError
            If an episode that ended has not been reset, or there are not as many actions as environments.
        """
        if np.count_nonzero(self._autoreset_envs):
            raise ValueError(
                "env: expected ended episodes to be reset by options={'reset_mask': ...} before the next "
                f"step, got a step in environments {np.flatnonzero(self._autoreset_envs).tolist()}"
            )
        obs, rewards = self._env_obs, self._rewards
        terminated, truncated = self._terminations, self._truncations
        for i, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            obs[i], rewards[i], terminated[i], truncated[i], _ = env.step(action)
        self._autoreset_envs = np.logical_or(terminated, truncated)
        return self._batch(obs), rewards.copy(), terminated.copy(), truncated.copy(), {}

    def _batch(self, obs: list[Any]) -> Any:
        if self._box_dtype is not None:
            return np.array(obs, self._box_dtype)
        return deepcopy(concatenate(self.single_observation_space, obs, self._observations))

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        return vector_infos
