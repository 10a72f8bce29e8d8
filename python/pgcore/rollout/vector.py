"""One way to step vector environments, whatever their autoreset mode."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from pgcore._arguments import AnyArray, AnyDType, BoolArray
from pgcore.rollout.async_vector import note_step_sent
from pgcore.rollout.calls import raise_unfit, reset_vector, step_vector
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.spaces import ActionAdapter, ObservationAdapter
from pgcore.rollout.types import AnyVectorEnv, Info, Observation, ResetArguments
from pgcore.rollout.watch import watch

__all__ = ["Step", "VectorStepper", "autoreset_mode"]


def autoreset_mode(env: AnyVectorEnv) -> AutoresetMode:
    """Return how a vector environment resets finished episodes, from ``env.metadata["autoreset_mode"]``.

    Parameters
    ----------
    env
        Its metadata may hold the enumeration, or its value or name as a string.

    Returns
    -------
    gymnasium.vector.AutoresetMode

    Raises
    ------
    ValueError
        If it isn't said, or is something else. Guessing wrong would silently mix resets into the data.
    """
    options = "AutoresetMode.NEXT_STEP, SAME_STEP or DISABLED (from gymnasium.vector)"
    if "autoreset_mode" not in env.metadata:
        raise ValueError(
            f'env.metadata["autoreset_mode"]: expected {options}, got nothing; set it to how '
            f"{type(env).__name__} resets finished episodes"
        )
    mode = env.metadata["autoreset_mode"]
    base = env.unwrapped
    if (
        isinstance(base, gym.vector.SyncVectorEnv | gym.vector.AsyncVectorEnv)
        and env.metadata is base.metadata
    ):
        # Up to gymnasium 1.3 all vectors of one environment class share this dictionary: the last made wins.
        mode = base.autoreset_mode
    for known in AutoresetMode:
        if mode is known or mode in (known.value, known.name):
            return known
    raise ValueError(f'env.metadata["autoreset_mode"]: expected {options}, got {mode!r}')


class Step(NamedTuple):
    """What one step of a `VectorStepper` returned, but for the observations. Arrays over N environments."""

    rewards: AnyArray
    terminated: BoolArray
    done: BoolArray
    """Terminated or truncated: an episode ended."""
    idle: BoolArray | None
    """Where nothing happened but a reset: the row is no transition. None if nowhere."""
    cut: NDArray[np.intp]
    """Numbers of the environments whose episode was truncated and not terminated."""
    final_obs: AnyArray
    """Their last observations, shape (len(cut), dim)."""


class VectorStepper(HoldsEnv):
    """Steps a vector environment so that all three autoreset modes look the same.

    After every `step`, ``out`` holds the observations to act on next (fresh ones where an episode ended), and
    the final observations of truncated episodes come with the step. All that is left of next-step autoreset
    is that at some steps some environments are ``idle``.

    Parameters
    ----------
    env
        A gymnasium vector environment.

    Attributes
    ----------
    env, num_envs, mode
        The environment, how many it holds, and its autoreset mode.
    observations, actions
        The adapters of its spaces.

    Raises
    ------
    TypeError
        If ``env`` is no vector environment.
    ValueError
        If it doesn't say its autoreset mode, or for spaces that can't be adapted.
    """

    env: AnyVectorEnv

    def __init__(self, env: AnyVectorEnv) -> None:
        if not isinstance(env, VectorEnv):
            raise TypeError(f"env: expected a gymnasium.vector.VectorEnv, got {env!r}; see make_vector_env")
        self.env = env
        self.mode = autoreset_mode(env)
        self.num_envs = env.num_envs
        self.observations = ObservationAdapter(env.single_observation_space)
        self.actions = ActionAdapter(env.single_action_space)
        self._idle: BoolArray | None = None
        self._no_env = np.empty(0, np.intp)
        self._calls = watch(env)
        self._num_calls = self._calls.num

    @property
    def all_idle(self) -> bool:
        """Whether the next step will be a reset in every environment."""
        return self._idle is not None and bool(self._idle.all())

    @property
    def is_disturbed(self) -> bool:
        """Whether other code has stepped or reset the environment since this object did."""
        return self._calls.num != self._num_calls

    def reset(self, out: AnyArray, *, seed: int | None = None) -> None:
        """Begin new episodes everywhere and write their first observations into ``out``, shape (N, dim).

        Raises
        ------
        ValueError
            In the one case where gymnasium forgets that it was reset: next-step `AsyncVectorEnv` without
            shared memory.
        """
        base = self.env.unwrapped
        if self._idle is not None and isinstance(base, gym.vector.AsyncVectorEnv) and not base.shared_memory:
            # Its workers keep the pending autoreset, and would reset once more instead of making the first
            # step.
            raise ValueError(
                "env: expected an AsyncVectorEnv with shared memory or another autoreset mode, got one with "
                "shared_memory=False and next-step autoreset, which loses resets right after an episode's end"
            )
        self._idle = None
        obs = self._reset(seed=seed)
        try:
            self.observations.write(obs, out)
        except (TypeError, ValueError) as error:
            raise_unfit(self.env, self.observations, obs, "reset()", error)

    def step(self, actions: AnyArray, out: AnyArray) -> Step:
        """Take one step everywhere; ``actions`` are the policy's, ``out`` as in `reset`.

        Raises
        ------
        ValueError
            If a same-step environment doesn't return the final observation of a truncated episode.
        """
        idle = self._idle
        try:
            obs, rewards, terminated, truncated, info = step_vector(self.env, self.actions.to_env(actions))
        except KeyboardInterrupt:
            self._note_pending()
            raise
        self._num_calls = self._calls.num
        # Copied before anything else: the environment may reuse the array.
        try:
            self.observations.write(obs, out)
        except (TypeError, ValueError) as error:
            raise_unfit(self.env, self.observations, obs, "step()", error)
        done = np.logical_or(terminated, truncated)
        if not np.count_nonzero(done):  # several times faster than done.any() on so few
            self._idle = None
            return Step(rewards, terminated, done, idle, self._no_env, out[:0])
        cut = np.flatnonzero(np.logical_and(truncated, np.logical_not(terminated)))  # both: termination wins
        if self.mode is AutoresetMode.SAME_STEP:
            final_obs = self._same_step_final_obs(info, cut, out.dtype)
        else:
            final_obs = out[cut]
        if self.mode is AutoresetMode.NEXT_STEP:
            self._idle = done
        elif self.mode is AutoresetMode.DISABLED:
            # Only the rows that were asked for are read: what is returned in the others isn't specified.
            fresh = self._reset(options={"reset_mask": done.copy()})
            try:
                out[done] = self.observations(fresh, out.dtype)[done]
            except (TypeError, ValueError) as error:
                raise_unfit(self.env, self.observations, fresh, "reset()", error)
        return Step(rewards, terminated, done, idle, cut, final_obs)

    def _reset(self, **arguments: Unpack[ResetArguments]) -> Observation:
        try:
            result = reset_vector(self.env, **arguments)
        except KeyboardInterrupt:
            self._note_pending()
            raise
        self._num_calls = self._calls.num
        return result

    def _note_pending(self) -> None:
        """Note that the workers still have to answer a call that an interrupt ended early.

        gymnasium notes that itself, but not yet while the actions are being sent.
        """
        base = self.env.unwrapped
        if isinstance(base, gym.vector.AsyncVectorEnv):
            note_step_sent(base)

    def _same_step_final_obs(self, info: Info, cut: NDArray[np.intp], dtype: AnyDType) -> AnyArray:
        if not cut.size:
            return np.empty((0, self.observations.dim), dtype)
        found = info.get("final_obs")
        got = "nothing"
        if isinstance(found, np.ndarray) and found.dtype == object:
            # gymnasium's own layout: one object per environment, None where the episode continues
            if all(found[i] is not None for i in cut):
                return np.concatenate([self.observations.single(found[i], dtype) for i in cut])
            got = f"None among those of environments {cut.tolist()}"
        elif found is not None:  # batched like the observations
            return self.observations(found, dtype)[cut]
        raise ValueError(
            'info["final_obs"]: expected the last observations of truncated episodes, as same-step autoreset '
            f"has it, got {got}"
        )
