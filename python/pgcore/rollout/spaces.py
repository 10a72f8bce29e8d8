"""Between gymnasium's spaces and what policies read and write: flat observations, plain arrays of actions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, DTypeLike

from pgcore._arguments import AnyArray, AnyDType, observation_dtype
from pgcore.rollout.types import AnySpace

__all__ = ["ActionAdapter", "ObservationAdapter", "check_fit"]

_Path: TypeAlias = tuple[str | int, ...]
"""Keys of nested dictionaries and positions in tuples, from the outside."""


class ObservationAdapter:
    """Flattens batches of observations, in the layout of `gymnasium.spaces.flatten`, all rows at a time.

    A `Box` of any shape and a `MultiBinary` are reshaped; a `Discrete` and each component of a
    `MultiDiscrete` become one-hot (counted from ``start``); the parts of a `Dict` or `Tuple` follow each
    other in the space's order.

    Parameters
    ----------
    space
        Observation space of one environment.

    Attributes
    ----------
    space
        As given.
    dim : int
        Length of a flattened observation.
    dtype : numpy.dtype
        Of flattened observations: the smaller of float32 and float64 that loses nothing of what the space
        holds, float64 for floats of 64 and integers of more than 16 bits.

    Raises
    ------
    TypeError
        If ``space`` is no gymnasium space.
    ValueError
        For kinds of spaces without a fixed-size flat form (`Text`, `Sequence`, `Graph`, `OneOf`).

    Examples
    --------
    >>> adapter = ObservationAdapter(spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=5)]))
    >>> adapter((np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), np.array([5, 7])))
    array([[0.1, 0.2, 1. , 0. , 0. ],
           [0.3, 0.4, 0. , 0. , 1. ]], dtype=float32)
    """

    def __init__(self, space: AnySpace) -> None:
        self.space = space
        self._parts = list(_parts(space, "obs"))
        self._only = self._parts[0][1] if len(self._parts) == 1 and not self._parts[0][0] else None
        self.dim = sum(part.width for _, part in self._parts)
        self.dtype = observation_dtype(*(part.dtype for _, part in self._parts))

    def __call__(self, obs: object, dtype: DTypeLike | None = None) -> AnyArray:
        """Flatten a batch of observations.

        Parameters
        ----------
        obs
            What a vector environment returns: an array of shape (N, ...), or a dictionary or tuple of such.
        dtype
            Of the result; by default what loses nothing of ``obs``, whatever its space says.

        Returns
        -------
        numpy.ndarray
            Shape (N, dim), C-contiguous. May share memory with ``obs``; `write` always copies.

        Raises
        ------
        ValueError
            If ``obs`` doesn't have the space's structure, shapes, or (for one-hot parts) range.
        """
        if isinstance(self._only, _Numbers):
            values = np.asarray(obs)
            if values.ndim:
                self._only.check(values, len(values))
                dtype = self._dtype_of(values) if dtype is None else dtype
                return np.ascontiguousarray(values.reshape(len(values), self.dim), dtype)
        flat = np.empty((self._batch_size(obs), self.dim), self._dtype_of(obs) if dtype is None else dtype)
        self.write(obs, flat)
        return flat

    def single(self, obs: object, dtype: DTypeLike | None = None) -> AnyArray:
        """Flatten one observation of the space into a batch of one, shape (1, dim). Otherwise like a call."""
        flat = np.empty((1, self.dim), self._dtype_of(obs) if dtype is None else dtype)
        column = 0
        for path, part in self._parts:
            values = np.asarray(_at(obs, path))
            part.write(values[None], flat[:, column : column + part.width])
            column += part.width
        return flat

    def write(self, obs: object, out: AnyArray) -> None:
        """Flatten a batch of observations into ``out``, a float array of shape (N, dim)."""
        if self._only is not None:  # a single array, at every step of a rollout
            self._only.write(np.asarray(obs), out)
            return
        column = 0
        for path, part in self._parts:
            part.write(np.asarray(_at(obs, path)), out[:, column : column + part.width])
            column += part.width

    def _dtype_of(self, obs: object) -> AnyDType:
        """What loses nothing of these observations."""
        numbers = [np.asarray(_at(obs, path)) for path, part in self._parts if isinstance(part, _Numbers)]
        return observation_dtype(*(array.dtype for array in numbers))

    def _batch_size(self, obs: object) -> int:
        path, part = self._parts[0]
        shape = np.asarray(_at(obs, path)).shape
        if not shape:
            raise ValueError(f"{part.name}: expected a batch, got a scalar")
        return int(shape[0])

    def component(self, column: int) -> str:
        """Return which component of an observation a column of the flat ones holds, as messages call it.

        >>> ObservationAdapter(spaces.Dict({"x": spaces.Box(-1, 1, (2, 2))})).component(3)
        "obs['x'][1, 1]"
        """
        for _, part in self._parts:
            if column < part.width:
                return part.component(column)
            column -= part.width
        raise ValueError(f"column: expected an integer below {self.dim}, got {column + self.dim}")


class ActionAdapter:
    """Turns a policy's actions into the environment's.

    ===============  ================================================  ===============================
    space            a policy's actions                                become
    ===============  ================================================  ===============================
    `Box` of floats  (N, A) floats, A the number of elements           clipped to the bounds, reshaped
    `Discrete`       (N,) integers 0…n−1                               plus ``start``
    `MultiDiscrete`  (N, D) integers 0…nvec_d−1                        plus ``start``, reshaped
    `MultiBinary`    (N, D) integers 0 and 1                           reshaped
    ===============  ================================================  ===============================

    All in the space's dtype. A policy's own array is never modified: it is the unclipped action that gets
    scored.

    Parameters
    ----------
    space
        Action space of one environment.

    Attributes
    ----------
    space
        As given.
    action_shape : tuple of int
        Shape of one action on the policy's side.
    nvec : tuple of int or None
        How many each of the policy's choices is among; None for a `Box`.

    Raises
    ------
    TypeError
        If ``space`` is no gymnasium space.
    ValueError
        For other spaces than the four.

    Examples
    --------
    >>> ActionAdapter(spaces.Box(-1, 1, (2,))).to_env(np.array([[0.5, -3.0]]))
    array([[ 0.5, -1. ]], dtype=float32)
    >>> ActionAdapter(spaces.Discrete(3, start=-1)).to_env(np.array([0, 2]))
    array([-1,  1])
    """

    def __init__(self, space: AnySpace) -> None:
        self.space = space
        self._bounds: tuple[AnyArray, AnyArray] | None = None
        self._start: AnyArray | None = None
        self.nvec: tuple[int, ...] | None = None
        if isinstance(space, spaces.Box) and space.dtype.kind == "f":
            self._bounds = space.low.reshape(1, -1), space.high.reshape(1, -1)
            self._env_shape, self._dtype = space.shape, space.dtype
            self.action_shape: tuple[int, ...] = (space.low.size,)
        elif isinstance(space, spaces.Discrete):
            self._start = np.array(space.start)
            self._env_shape, self._dtype = (), np.dtype(space.dtype)
            self.action_shape = ()
            self.nvec = (int(space.n),)
        elif isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
            if isinstance(space, spaces.MultiDiscrete):
                self._start = np.asarray(space.start).reshape(-1)
            self._env_shape, self._dtype = space.shape, np.dtype(space.dtype)
            self.action_shape = (math.prod(self._env_shape),)
            nvec = space.nvec if isinstance(space, spaces.MultiDiscrete) else np.full(self._env_shape, 2)
            self.nvec = tuple(nvec.ravel().tolist())
        else:
            require_space("action_space", space)
            raise ValueError(
                f"action_space: expected a Box of floats, Discrete, MultiDiscrete or MultiBinary, got {space}"
            )
        if self._start is not None and not self._start.any():
            self._start = None
        self._same_shape = self.action_shape == self._env_shape

    def to_env(self, actions: AnyArray) -> AnyArray:
        """Return the environments' actions for a batch of the policy's, as in the table above.

        Parameters
        ----------
        actions
            Shape (N, *action_shape).

        Returns
        -------
        numpy.ndarray
            Shape (N, *space.shape), in the space's dtype; never ``actions`` itself.

        Raises
        ------
        ValueError
            If the shape is another.
        """
        if actions.shape[1:] != self.action_shape:
            expected = ", ".join(map(str, ("N", *self.action_shape)))
            raise ValueError(f"actions: expected shape ({expected}), got {actions.shape}")
        if self._bounds is not None:
            low, high = self._bounds
            actions = np.minimum(np.maximum(actions, low), high)  # np.clip goes through more Python
        elif self._start is not None:
            actions = actions + self._start
        else:
            actions = actions.copy()  # an environment may change what it is given
        if actions.dtype is not self._dtype:
            actions = actions.astype(self._dtype)
        return actions if self._same_shape else actions.reshape(len(actions), *self._env_shape)

    def single(self, action: AnyArray) -> AnyArray | np.generic:
        """Return one environment's action for one of the policy's, of shape ``action_shape``."""
        single: AnyArray | np.generic = self.to_env(np.asarray(action)[None])[0]
        return single


class FitsSpaces(Protocol):
    """What `check_fit` compares of a policy."""

    @property
    def obs_dim(self) -> int: ...
    @property
    def action_shape(self) -> tuple[int, ...]: ...


def check_fit(policy: FitsSpaces, observations: ObservationAdapter, actions: ActionAdapter) -> None:
    """Raise a `ValueError` unless ``policy`` is one for these spaces.

    One that does not say its ``nvec`` is taken to make the right ones.
    """
    found = getattr(policy, "nvec", actions.nvec)
    for what, expected, got in (
        ("obs_dim", observations.dim, policy.obs_dim),
        ("action_shape", actions.action_shape, tuple(policy.action_shape)),
        ("actions that are", _kind(actions.nvec), _kind(found)),
    ):
        if got != expected:
            raise ValueError(f"policy: expected {what} {expected} to fit the environment, got {got}")


def _kind(nvec: tuple[int, ...] | None) -> str:
    return "real numbers" if nvec is None else f"choices among {tuple(nvec)}"


def require_space(name: str, space: object) -> None:
    """Raise `TypeError` unless ``space`` is a gymnasium space."""
    if not isinstance(space, spaces.Space):
        raise TypeError(f"{name}: expected a gymnasium space, got {space!r}")


# The parts of an observation: leaves of nested Dict and Tuple spaces, each written into its own columns.


class _Part(Protocol):
    name: str
    width: int
    dtype: AnyDType

    def write(self, values: AnyArray, out: AnyArray) -> None: ...
    def component(self, column: int) -> str: ...


class _Numbers:
    """Elements of a `Box` or `MultiBinary`, as they are."""

    def __init__(self, name: str, space: AnySpace) -> None:
        self.name = name
        self.shape: tuple[int, ...] = space.shape or ()
        self.width = math.prod(self.shape)
        self.dtype = np.dtype(space.dtype)

    def check(self, values: AnyArray, num: int) -> None:
        if values.shape != (num, *self.shape):
            raise ValueError(f"{self.name}: expected shape {(num, *self.shape)}, got {values.shape}")
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{self.name}: expected real numbers, got {values.dtype}")

    def write(self, values: AnyArray, out: AnyArray) -> None:
        self.check(values, len(out))
        out[...] = values if values.ndim == 2 else values.reshape(out.shape)

    def component(self, column: int) -> str:
        index = ", ".join(map(str, np.unravel_index(column, self.shape)))
        return f"{self.name}[{index}]" if self.shape else self.name


class _OneHot:
    """One or several integers, each within its own range, as indicators."""

    dtype = np.dtype(np.bool_)  # of the indicators, whatever the integers have

    def __init__(self, name: str, start: ArrayLike, num: ArrayLike) -> None:
        self.name = name
        self._start, self._num = np.atleast_1d(start).reshape(-1), np.atleast_1d(num).reshape(-1)
        self._first_column = np.cumsum(self._num) - self._num
        self.width = int(self._num.sum())

    def write(self, values: AnyArray, out: AnyArray) -> None:
        if values.size != len(out) * len(self._num):
            raise ValueError(f"{self.name}: expected {len(out) * len(self._num)} integers, got {values.size}")
        digits = values.reshape(len(out), len(self._num)) - self._start
        if digits.dtype.kind not in "iu":
            raise ValueError(f"{self.name}: expected integers, got {values.dtype}")
        if (digits < 0).any() or (digits >= self._num).any():  # a negative index would set another column
            last = self._start + self._num - 1
            raise ValueError(f"{self.name}: expected integers from {self._start} to {last}, got {values}")
        out[...] = 0
        np.put_along_axis(out, digits + self._first_column, 1, axis=1)

    def component(self, column: int) -> str:
        return self.name


def _parts(space: AnySpace, name: str, path: _Path = ()) -> Iterator[tuple[_Path, _Part]]:
    """Where each leaf of the space is found in an observation, and how to flatten it."""
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        yield path, _Numbers(name, space)
    elif isinstance(space, spaces.Discrete):
        yield path, _OneHot(name, space.start, space.n)
    elif isinstance(space, spaces.MultiDiscrete):
        yield path, _OneHot(name, space.start, space.nvec)
    elif isinstance(space, spaces.Dict | spaces.Tuple):
        named = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in named:
            yield from _parts(part, f"{name}[{key!r}]", (*path, key))
    else:
        require_space("observation_space", space)
        raise ValueError(
            "observation_space: expected a Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of "
            f"such, got {space}"
        )


def _at(obs: object, path: _Path) -> object:
    for key in path:
        try:
            obs = obs[key]  # type: ignore[index]  # what has no such entry raises
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"obs: expected an entry {key!r}, got {type(obs).__name__} {obs!r}") from None
    return obs
