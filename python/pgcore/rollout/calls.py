"""Calls of vector environments of any origin: what they return is checked, what they raise says where."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NoReturn, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import iterate

from pgcore._arguments import BOOL
from pgcore.rollout.async_vector import LOST, AsyncVectorEnv, worker_error
from pgcore.rollout.faults import (
    FaultyEnvironmentError,
    WorkerError,
    describe,
    has_own_frames,
    is_from_environment,
    mark,
    place,
    raise_located,
)
from pgcore.rollout.outcomes import check_obs, flag_array, reward_array
from pgcore.rollout.spaces import ObservationAdapter
from pgcore.rollout.sync_vector import SyncVectorEnv
from pgcore.rollout.types import AnyVectorEnv, Observation, ResetArguments, VectorOutcome

__all__ = ["raise_unfit", "reset_vector", "step_vector"]

_CHECKED = (SyncVectorEnv, AsyncVectorEnv)  # what they return, they have checked


def reset_vector(env: AnyVectorEnv, **arguments: Unpack[ResetArguments]) -> Observation:
    """Reset a vector environment and return its observations.

    Raises
    ------
    FaultyEnvironmentError
        If it doesn't return observations and an info.
    WorkerError
        If it has worker processes, and one of them ended.
    """
    try:
        outcome: object = env.reset(**arguments)
    except Exception as error:
        _raise_located(env, error, "reset()", env.reset)
    if not isinstance(outcome, tuple | list) or len(outcome) != 2:
        got = len(outcome) if isinstance(outcome, tuple | list) else describe(outcome)
        raise FaultyEnvironmentError(f"env, reset(): expected two values (obs, info), got {got}")
    if not isinstance(outcome[1], dict):
        raise FaultyEnvironmentError(f"env, reset(), info: expected a dictionary, got {describe(outcome[1])}")
    obs: Observation = outcome[0]
    return obs


def step_vector(env: AnyVectorEnv, actions: object) -> VectorOutcome:
    """Step a vector environment; return its observations, rewards, flags and info.

    Raises
    ------
    ValueError
        If there is not one action for each environment.
    FaultyEnvironmentError
        If rewards are not a number for each environment, or flags no booleans.
    WorkerError
        If it has worker processes, and one of them ended.
    """
    # Before any environment steps: gymnasium counts the actions while it sends them.
    if type(actions) is np.ndarray:
        fits = actions.shape[:1] == (env.num_envs,)
    else:
        fits = _are_for_each(env, actions)
    if not fits:
        raise ValueError(
            f"actions: expected one for each of {env.num_envs} environments, got {describe(actions)}"
        )
    try:
        outcome: object = env.step(actions)
    except Exception as error:
        _raise_located(env, error, "step()")
    if type(env) in _CHECKED:
        return outcome  # type: ignore[return-value]  # these two have checked it
    if not isinstance(outcome, tuple | list) or len(outcome) != 5:
        got = len(outcome) if isinstance(outcome, tuple | list) else describe(outcome)
        raise FaultyEnvironmentError(
            f"env, step(): expected five values (obs, rewards, terminated, truncated, info), got {got}"
        )
    obs, rewards, terminated, truncated, info = outcome
    shape = (env.num_envs,)
    if type(rewards) is not np.ndarray or rewards.dtype.kind != "f" or rewards.shape != shape:
        rewards = reward_array(_rows("rewards", rewards, shape))
    if type(terminated) is not np.ndarray or terminated.dtype is not BOOL or terminated.shape != shape:
        terminated = flag_array("terminated", _rows("terminated", terminated, shape))
    if type(truncated) is not np.ndarray or truncated.dtype is not BOOL or truncated.shape != shape:
        truncated = flag_array("truncated", _rows("truncated", truncated, shape))
    if not isinstance(info, dict):
        raise FaultyEnvironmentError(f"env, step(), info: expected a dictionary, got {describe(info)}")
    return obs, rewards, terminated, truncated, info


def raise_unfit(
    env: AnyVectorEnv, adapter: ObservationAdapter, obs: Observation, call: str, error: Exception
) -> NoReturn:
    """Say whose observation ``adapter`` refused, where that can be found out."""
    index = None
    with contextlib.suppress(Exception):  # the batch may be anything
        singles = list(iterate(env.observation_space, obs))
        for i, single in enumerate(singles if len(singles) == env.num_envs else ()):
            try:
                adapter.single(single)
            except (TypeError, ValueError) as one:
                error, index = one, i
                break
    raise FaultyEnvironmentError(f"{place(index, call)}, {error}") from error


def _are_for_each(env: AnyVectorEnv, actions: object) -> bool:
    space = env.action_space
    if isinstance(actions, Mapping | str) and not isinstance(space, gym.spaces.Dict):
        return False  # its keys are no actions
    try:
        return len(list(iterate(space, actions))) == env.num_envs
    except (TypeError, ValueError, KeyError, IndexError):
        return False


def _rows(name: str, values: object, shape: tuple[int, ...]) -> list[object]:
    """One value for each environment."""
    array = values if isinstance(values, np.ndarray) else np.array(values, object)
    if array.shape != shape:
        raise FaultyEnvironmentError(
            f"env, step(), {name}: expected an array of shape {shape}, got {describe(values)}"
        )
    return list(array)


def _raise_located(
    env: AnyVectorEnv, error: Exception, call: str, method: Callable[..., object] | None = None
) -> NoReturn:
    """Raise what a vector environment raised; with our message, if no environment's own code raised it."""
    base = env.unwrapped
    if isinstance(error, FaultyEnvironmentError | WorkerError) or is_from_environment(error):
        raise error
    index = None
    if isinstance(base, gym.vector.AsyncVectorEnv):
        if "_raise_if_errors" in _functions(error):  # gymnasium raises what a worker caught
            mark(error, f"a worker, {call}")
            raise error
        ended = None in base.parent_pipes or any(process.exitcode is not None for process in base.processes)
        if ended or isinstance(error, LOST):
            raise worker_error(base, error, call) from error
    elif isinstance(base, gym.vector.SyncVectorEnv):
        index = _index(error)
        if not has_own_frames(error):  # then gymnasium could not put the observations together
            # Private, but the only trace of the observations that could not be batched.
            observations: Sequence[object] = base._env_obs
            for i, obs in enumerate(observations):
                if obs is not None:
                    check_obs(base.single_observation_space, obs, place(i, call))
    raise_located(error, index, call, method)


def _functions(error: BaseException) -> set[str]:
    return {frame.tb_frame.f_code.co_name for frame in _frames(error)}


def _index(error: BaseException) -> int | None:
    """Number of the environment that gymnasium's vector was calling."""
    for frame in _frames(error):
        if isinstance(frame.tb_frame.f_locals.get("self"), gym.vector.SyncVectorEnv):
            index = frame.tb_frame.f_locals.get("i")
            if isinstance(index, int):
                return index
    return None


def _frames(error: BaseException) -> list[TracebackType]:
    frames: list[TracebackType] = []
    frame = error.__traceback__
    while frame is not None:
        frames.append(frame)
        frame = frame.tb_next
    return frames
