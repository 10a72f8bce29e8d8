"""`SyncVectorEnv`: gymnasium's, without what a rollout never reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import iterate

from pgcore._arguments import AnyArray
from pgcore.rollout.faults import place, raise_located
from pgcore.rollout.outcomes import (
    Batcher,
    check_first_outcomes,
    check_reset,
    check_step,
    flag_arrays,
    reward_array,
    shares_memory,
)
from pgcore.rollout.seeds import environment_seed
from pgcore.rollout.types import AnyEnv, Float64Outcome, Keywords, Observation, ResetOutcome

__all__ = ["SyncVectorEnv"]


class SyncVectorEnv(gym.vector.SyncVectorEnv):
    """Environments of this process, one after another, which only the caller resets.

    It differs from gymnasium's of that name in what it leaves out: ``info`` is always empty. Merging it key
    by key takes as long as a third of a MuJoCo step, and a rollout does not look at it (without automatic
    resets, it holds no final observations either).

    What environments return is checked at every step: shapes and dtypes of observations, rewards that are no
    numbers, flags that are neither true nor false. Where gymnasium converts silently (None to NaN, 0.5 to
    True), this refuses.

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

    def __init__(self, env_fns: Sequence[Callable[[], AnyEnv]]) -> None:
        super().__init__(env_fns, autoreset_mode=AutoresetMode.DISABLED)
        self.spec = self.envs[0].spec
        self._batch = Batcher(self.single_observation_space)
        # The batched space of most is one array; those of tuples and dictionaries are iterated part by part.
        self._iterates = isinstance(self.action_space, gym.spaces.Tuple | gym.spaces.Dict)
        self._one_array = False  # whether the environments observe by one array of their class
        self._step_rewards: list[object] = [0.0] * self.num_envs
        self._step_terminated: list[object] = [False] * self.num_envs
        self._step_truncated: list[object] = [False] * self.num_envs
        # Not gymnasium's `_env_obs` and `_autoreset_envs`, which are private to it.
        self._last_obs: list[Observation] = [None] * self.num_envs  # type: ignore[list-item]  # not reset yet
        self._needs_reset = np.zeros(self.num_envs, np.bool_)
        for i, env in enumerate(self.envs):
            check_first_outcomes(env, i)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Keywords | None = None,
    ) -> ResetOutcome:
        """Begin new episodes; return observations and no info.

        Parameters
        ----------
        seed
            Environment i gets ``seed + i``, or its own of a sequence.
        options
            ``{"reset_mask": mask}`` resets only where the mask, of shape (N,), is true; the other rows of the
            result mean nothing. Environments get whatever else is in it.

        Raises
        ------
        FaultyEnvironmentError
            If an environment does not return an observation of its space and a dictionary.
        """
        options = None if options is None else dict(options)
        mask = None if options is None else options.pop("reset_mask", None)
        which = range(self.num_envs) if mask is None else self._marked(mask)
        seeds = self._seeds(seed)
        given = []
        for i in which:
            reset = self.envs[i].reset
            try:
                outcome = reset(seed=seeds[i], options=options)
            except Exception as error:
                raise_located(error, i, "reset()", reset)
            obs, _ = check_reset(self.single_observation_space, outcome, place(i, "reset()"))
            given.append(obs)
            self._last_obs[i] = deepcopy(obs)
            self._needs_reset[i] = False
        if mask is None:
            self._one_array = len(given) > 1 and shares_memory(given[0], given[1])
        return self._batch(self._last_obs, "reset()"), {}

    def step(self, actions: object) -> Float64Outcome:
        """Take one step everywhere; return observations, rewards, terminated, truncated, and no info.

        Raises
        ------
        ValueError
            If an episode that ended has not been reset, or there are not as many actions as environments.
        FaultyEnvironmentError
            If an environment returns anything else than an observation of its space, a number, two booleans
            and a dictionary.
        """
        if np.count_nonzero(self._needs_reset):
            raise ValueError(
                "env: expected ended episodes to be reset by options={'reset_mask': ...} before the next "
                f"step, got a step in environments {np.flatnonzero(self._needs_reset).tolist()}"
            )
        if type(actions) is np.ndarray and not self._iterates and len(actions) == self.num_envs:
            each: AnyArray | Sequence[object] = actions
        else:
            each = self._each(actions)
        obs, rewards, terminated, truncated = (
            self._last_obs,
            self._step_rewards,
            self._step_terminated,
            self._step_truncated,
        )
        one_array, all_go_on = self._one_array, True
        info: object
        for i, env in enumerate(self.envs):
            try:
                outcome = env.step(each[i])
            except Exception as error:
                raise_located(error, i, "step()")
            try:
                obs[i], rewards[i], terminated[i], truncated[i], info = outcome
            except (TypeError, ValueError):
                info = None
            if type(info) is not dict:
                obs[i], rewards[i], terminated[i], truncated[i], _ = check_step(
                    self.single_observation_space, outcome, place(i, "step()")
                )
            if one_array:  # which the next environment will write to
                obs[i] = deepcopy(obs[i])
            if terminated[i] is not False or truncated[i] is not False:
                all_go_on = False  # or it is said by something else than Python's booleans
        if all_go_on:
            flags = np.zeros((2, self.num_envs), np.bool_)
        else:
            flags = flag_arrays(terminated, truncated)
            self._needs_reset = np.logical_or(flags[0], flags[1])
        return self._batch(obs, "step()"), reward_array(rewards), flags[0], flags[1], {}

    def close_extras(self, **kwargs: object) -> None:
        """Close every environment, also after one that fails to."""
        failure: Exception | None = None
        for i, env in enumerate(getattr(self, "envs", ())):
            try:
                env.close()
            except Exception as error:
                if failure is None:
                    failure, where = error, i
        if failure is not None:
            raise_located(failure, where, "close()")

    def _each(self, actions: object) -> Sequence[object]:
        """Return a sequence of actions, as many as there are environments."""
        each = cast("Sequence[object]", actions)  # has a length, or is refused
        if self._iterates:
            each = self._of_parts(actions)
        elif isinstance(actions, Mapping | str) or not hasattr(actions, "__len__"):
            raise TypeError(
                f"actions: expected an array of {self.num_envs} actions, one for each environment, got "
                f"{type(actions).__name__}"
            )
        if len(each) != self.num_envs:
            raise ValueError(f"actions: expected {self.num_envs}, one for each environment, got {len(each)}")
        return each

    def _of_parts(self, actions: object) -> list[object]:
        """Actions from a dictionary or a tuple of arrays, as `Dict` and `Tuple` spaces batch them."""
        try:
            return list(iterate(self.action_space, actions))
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ValueError(
                f"actions: expected a batch of {self.action_space}, got {type(actions).__name__} ({error})"
            ) from error

    def _marked(self, mask: object) -> list[int]:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
            raise ValueError(
                f"options['reset_mask']: expected booleans of shape ({self.num_envs},), got {got}"
            )
        if not mask.any():
            raise ValueError("options['reset_mask']: expected an environment to reset, got none")
        if any(obs is None for obs in self._last_obs):
            raise ValueError("env: expected a reset of all environments first, got one of some")
        return np.flatnonzero(mask).tolist()

    def _seeds(self, seed: object) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, Sequence | np.ndarray):
            if len(seed) != self.num_envs:
                raise ValueError(f"seed: expected {self.num_envs} seeds, got {len(seed)}")
            return [None if one is None else environment_seed(one) for one in seed]
        return [environment_seed(seed) + i for i in range(self.num_envs)]
