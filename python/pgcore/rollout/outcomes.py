"""What environments return, checked against gymnasium's interface and their own spaces."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from pgcore._arguments import BOOL, FLOAT64, AnyArray, AnyDType, BoolArray, Float64Array, to_numpy
from pgcore.rollout.faults import FaultyEnvironmentError, describe, place, raise_located
from pgcore.rollout.types import (
    AnyEnv,
    AnySpace,
    AnyWrapper,
    Keywords,
    Observation,
    ResetOutcome,
    StepOutcome,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Batcher",
    "FirstOutcomes",
    "StepCheck",
    "check_first_outcomes",
    "check_obs",
    "check_reset",
    "check_step",
    "flag_array",
    "flag_arrays",
    "not_finite",
    "reward_array",
    "shares_memory",
]


def check_reset(space: AnySpace, outcome: object, where: str) -> ResetOutcome:
    """Return what an environment's `reset` returned, if it is an observation of the space and an ``info``.

    Raises
    ------
    FaultyEnvironmentError
        If not. The message begins with ``where``.
    """
    if not isinstance(outcome, tuple | list) or len(outcome) != 2:
        raise FaultyEnvironmentError(f"{where}: expected two values (obs, info), got {_values(outcome)}")
    obs, info = outcome
    if not isinstance(info, dict):
        raise FaultyEnvironmentError(f"{where}, info: expected a dictionary, got {describe(info)}")
    check_obs(space, obs, where)
    return obs, info


def check_step(space: AnySpace, outcome: object, where: str) -> StepOutcome:
    """Return what an environment's `step` returned, if it is all that it should be; see `check_reset`."""
    if not isinstance(outcome, tuple | list) or len(outcome) != 5:
        raise FaultyEnvironmentError(
            f"{where}: expected five values (obs, reward, terminated, truncated, info), got "
            f"{_values(outcome)}"
        )
    obs, reward, terminated, truncated, info = outcome
    check_obs(space, obs, where)
    _check_reward(reward, where)
    _check_flag("terminated", terminated, where)
    _check_flag("truncated", truncated, where)
    if not isinstance(info, dict):
        raise FaultyEnvironmentError(f"{where}, info: expected a dictionary, got {describe(info)}")
    return obs, reward, terminated, truncated, info


class StepCheck:
    """`check_step` for one environment, cheaper where all values have the most common types.

    Parameters
    ----------
    space
        Of the observations.
    where
        What messages begin with.
    """

    def __init__(self, space: AnySpace, where: str) -> None:
        self._space, self._where = space, where
        self._shape, self._dtype = space.shape, space.dtype

    def __call__(self, outcome: object) -> StepOutcome:
        """Return the outcome of a step, checked."""
        if type(outcome) is tuple and len(outcome) == 5:
            obs, reward, terminated, truncated, info = outcome
            if (
                type(obs) is np.ndarray
                and obs.dtype is self._dtype
                and obs.shape == self._shape
                and (type(reward) is float or type(reward) is np.float64)
                and type(terminated) is type(truncated) is bool
                and type(info) is dict
            ):
                return outcome
        return check_step(self._space, outcome, self._where)


def check_obs(space: AnySpace, obs: object, where: str, name: str = "obs") -> None:
    """Raise an `FaultyEnvironmentError` unless gymnasium could put ``obs`` into an array for the space.

    Shapes must be equal, and the dtype one that the space's holds: float64 may become float32, no float an
    integer. Whether numbers are within the bounds is not looked at.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(obs, Mapping):
            raise FaultyEnvironmentError(f"{where}, {name}: expected a dictionary, got {describe(obs)}")
        for key, part in space.spaces.items():
            if key not in obs:
                raise FaultyEnvironmentError(f"{where}, {name}: expected a key {key!r}, got keys {list(obs)}")
            check_obs(part, obs[key], where, f"{name}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(obs, Sequence) or isinstance(obs, str):
            raise FaultyEnvironmentError(f"{where}, {name}: expected a tuple, got {describe(obs)}")
        if len(obs) != len(space.spaces):
            raise FaultyEnvironmentError(
                f"{where}, {name}: expected a tuple of {len(space.spaces)}, got one of {len(obs)}"
            )
        for i, part in enumerate(space.spaces):
            check_obs(part, obs[i], where, f"{name}[{i}]")
    elif _is_array_space(space):
        _check_array(space, obs, f"{where}, {name}")


def _is_array_space(space: AnySpace) -> bool:
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def _check_array(space: AnySpace, value: object, name: str) -> None:
    shape = space.shape
    if type(value) is np.ndarray and value.dtype == space.dtype and value.shape == shape:
        return
    dtype = np.dtype(space.dtype)
    expected = f"{dtype} of shape {shape}" if shape else f"{dtype}, one number"
    try:
        array = to_numpy(name, cast("ArrayLike", value))  # which refuses what is none
    except (TypeError, ValueError):
        raise FaultyEnvironmentError(f"{name}: expected {expected}, got {describe(value)}") from None
    if array.shape != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise FaultyEnvironmentError(f"{name}: expected {expected}, got {describe(value)}")
    _narrowed(array, dtype, name)


def _narrowed(array: AnyArray, dtype: AnyDType, name: str) -> AnyArray:
    """``array`` in another dtype of its kind; integers must stay what they are."""
    narrow = array.astype(dtype)
    if dtype.kind in "iu" and not np.can_cast(array.dtype, dtype):
        changed = narrow != array
        if changed.any():
            raise FaultyEnvironmentError(
                f"{name}: expected integers that {dtype} holds, got {array[changed][0]}"
            )
    return narrow


def _check_reward(reward: object, where: str) -> float:
    if isinstance(reward, numbers.Real):  # NumPy's scalars are, but for its booleans
        return float(reward)
    try:
        array = np.asarray(reward)
    except Exception:  # whatever it is, it's no number
        array = np.empty(0)
    if array.ndim or array.dtype.kind not in "biuf":
        raise FaultyEnvironmentError(f"{where}, reward: expected a real number, got {describe(reward)}")
    return float(array)


def _check_flag(name: str, flag: object, where: str) -> bool:
    if type(flag) is bool or isinstance(flag, np.bool_):
        return bool(flag)
    is_scalar = isinstance(flag, numbers.Integral) or (isinstance(flag, np.ndarray) and flag.ndim == 0)
    if is_scalar and np.asarray(flag).dtype.kind in "biu" and flag in (0, 1):
        return bool(flag)
    raise FaultyEnvironmentError(f"{where}, {name}: expected True or False, got {describe(flag)}")


def _values(outcome: object) -> str:
    if isinstance(outcome, tuple | list):
        return f"{len(outcome)}"
    return describe(outcome)


def not_finite(obs: object, name: str = "obs") -> tuple[str, int, float] | None:
    """Return the first number in a batch of observations that is NaN or infinite; None if there is none.

    Parameters
    ----------
    obs
        An array of shape (N, ...), or a dictionary or tuple of such.
    name
        What to call it.

    Returns
    -------
    component, row, value
        Name and indices of the component, and in which of the N observations it is.
    """
    if isinstance(obs, Mapping | tuple):
        named = obs.items() if isinstance(obs, Mapping) else enumerate(obs)
        found = (not_finite(part, f"{name}[{key!r}]") for key, part in named)
        return next((one for one in found if one is not None), None)
    array = np.asarray(obs)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    row, *index = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
    component = f"{name}[{', '.join(map(str, index))}]" if index else name
    return component, row, float(array[(row, *index)])


def shares_memory(one: object, other: object) -> bool:
    """Whether two observations share the memory of an array."""
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and any(
            shares_memory(one[key], other[key]) for key in one.keys() & other.keys()
        )
    if isinstance(one, tuple | list):
        return isinstance(other, Sequence) and any(map(shares_memory, one, other))
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.may_share_memory(one, other)


# Many environments' values at once: what is as it should be costs one array each.


def reward_array(rewards: Sequence[object]) -> Float64Array:
    """Rewards of all environments as an array, shape (N,)."""
    try:
        array = np.array(rewards)
    except Exception:  # of several shapes, or no numbers at all
        pass
    else:
        if array.ndim == 1 and array.dtype.kind in "fiub":
            return array if array.dtype is FLOAT64 else array.astype(FLOAT64)
    return np.array([_check_reward(reward, place(i, "step()")) for i, reward in enumerate(rewards)])


def flag_arrays(terminated: Sequence[object], truncated: Sequence[object]) -> BoolArray:
    """Both flags of all environments as an array, shape (2, N)."""
    try:
        array = np.array((terminated, truncated))
    except Exception:
        pass
    else:
        if array.dtype is BOOL and array.ndim == 2:
            return array
    return np.array([flag_array("terminated", terminated), flag_array("truncated", truncated)])


def flag_array(name: str, flags: Sequence[object]) -> BoolArray:
    """Flags of all environments, each of them checked, as an array, shape (N,)."""
    return np.array([_check_flag(name, flag, place(i, "step()")) for i, flag in enumerate(flags)], BOOL)


class Batcher:
    """Batches observations of several environments into new arrays, dictionaries and tuples of arrays.

    Parameters
    ----------
    space
        Of one environment.
    """

    def __init__(self, space: AnySpace) -> None:
        self._space = space
        self._is_array = _is_array_space(space)
        self._shape = space.shape
        self._dtype = np.dtype(space.dtype)  # of spaces of one array, which have one
        self._entries: dict[str, Batcher] = {}
        self._items: list[Batcher] = []
        if isinstance(space, spaces.Dict):
            self._entries = {key: Batcher(part) for key, part in space.spaces.items()}
        elif isinstance(space, spaces.Tuple):
            self._items = [Batcher(part) for part in space.spaces]

    def __call__(self, observations: Sequence[Observation], call: str) -> Observation:
        """Return all environments' observations as gymnasium's vector environments do.

        Raises
        ------
        FaultyEnvironmentError
            If one is none of the space.
        """
        try:
            return self._batch(observations)
        except Exception:
            for i, obs in enumerate(observations):
                check_obs(self._space, obs, place(i, call))
            raise

    def _batch(self, observations: Sequence[Observation]) -> Observation:
        if self._is_array:
            batch = np.array(observations)
            if batch.shape[1:] == self._shape:
                if batch.dtype == self._dtype:
                    return batch
                if batch.dtype.kind == self._dtype.kind == "f":
                    with np.errstate(over="ignore"):  # whoever reads it reports infinity
                        return batch.astype(self._dtype)
            # Environment by environment: together, integers and floats make floats.
            arrays = []
            for i, obs in enumerate(observations):
                _check_array(self._space, obs, f"{i}")
                arrays.append(np.asarray(obs).astype(self._dtype))
            return np.stack(arrays)
        # What has not the space's structure raises here, and the caller says why.
        if isinstance(self._space, spaces.Dict):
            return {
                key: part._batch([obs[key] for obs in observations])  # type: ignore[index, call-overload]  # raises
                for key, part in self._entries.items()
            }
        if isinstance(self._space, spaces.Tuple):
            return tuple(
                part._batch([obs[i] for obs in observations])  # type: ignore[index]  # raises
                for i, part in enumerate(self._items)
            )
        return tuple(observations)


class FirstOutcomes(AnyWrapper):
    """Checks an environment's first reset and first step, then removes itself.

    Inside of all other wrappers it comes before those that would fail with an error of Python's; outside, in
    gymnasium's own vector, before what would be converted silently. Later steps are not slowed down.

    Parameters
    ----------
    env
        The environment.
    index
        Its number in the vector environment.
    holder
        The list, or the wrapper, that held it.
    """

    def __init__(self, env: AnyEnv, index: int, holder: list[AnyEnv] | AnyWrapper) -> None:
        super().__init__(env)
        self._index, self._holder, self._was_reset = index, holder, False

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> ResetOutcome:
        """Reset the environment, and check what it returns the first time."""
        try:
            outcome = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise_located(error, self._index, "reset()", self.env.reset)
        if not self._was_reset:
            check_reset(self.env.observation_space, outcome, place(self._index, "reset()"))
            self._was_reset = True
        return outcome

    def step(self, action: object) -> StepOutcome:
        """Step the environment, check what it returns, and leave."""
        outcome = self.env.step(action)
        check_step(self.env.observation_space, outcome, place(self._index, "step()"))
        if isinstance(self._holder, list):
            self._holder[self._index] = self.env
        else:
            self._holder.env = self.env
        return outcome


def check_first_outcomes(env: AnyEnv, index: int) -> None:
    """Let the first reset and step of the innermost environment be checked, if it is inside of wrappers.

    The vector environment itself checks what the outermost wrapper returns.
    """
    if isinstance(env, gym.Wrapper):
        while isinstance(env.env, gym.Wrapper):
            env = env.env
            if isinstance(env, FirstOutcomes):
                return
        env.env = FirstOutcomes(env.env, index, env)
