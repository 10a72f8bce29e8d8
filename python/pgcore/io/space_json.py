"""Gymnasium's spaces as JSON, so that a checkpoint can hold them without pickles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from pgcore.rollout.spaces import require_space

if TYPE_CHECKING:
    from pgcore._arguments import AnyArray, AnyDType
    from pgcore.rollout.types import AnySpace

__all__ = ["space_from_json", "space_to_json"]


def space_to_json(space: AnySpace) -> dict[str, object]:
    """Describe a space by what JSON can hold; `space_from_json` is the inverse.

    Parameters
    ----------
    space
        A `Box`, `Discrete`, `MultiDiscrete`, `MultiBinary`, or a `Dict` (with keys that are strings or
        integers) or `Tuple` of such.

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If ``space`` is no gymnasium space.
    ValueError
        For another kind of space.

    Examples
    --------
    >>> space_to_json(spaces.Discrete(3))
    {'kind': 'Discrete', 'n': 3, 'start': 0, 'dtype': 'int64'}
    >>> space_from_json(space_to_json(spaces.Box(-1, float("inf"), (2,))))
    Box(-1.0, inf, (2,), float32)
    """
    require_space("space", space)
    dtype = str(space.dtype)
    if isinstance(space, spaces.Box):
        low, high = _bound_to_json(space.low), _bound_to_json(space.high)
        return {"kind": "Box", "low": low, "high": high, "shape": list(space.shape), "dtype": dtype}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": dtype}
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = np.asarray(space.nvec).tolist(), np.asarray(space.start).tolist()
        return {"kind": "MultiDiscrete", "nvec": nvec, "start": start, "dtype": dtype}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "shape": list(space.shape)}
    if isinstance(space, spaces.Dict) and all(_is_plain_key(key) for key in space.spaces):
        # A list of pairs, because the order counts and JSON objects have none (and no integers for keys).
        keys = (key if isinstance(key, str) else int(key) for key in space.spaces)
        parts = map(space_to_json, space.spaces.values())
        return {"kind": "Dict", "spaces": [list(pair) for pair in zip(keys, parts, strict=True)]}
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "spaces": [space_to_json(part) for part in space.spaces]}
    raise ValueError(
        "space: expected a Box, Discrete, MultiDiscrete, MultiBinary, or a Tuple or a Dict (with strings or "
        f"integers as keys) of such, got {space}"
    )


def _is_plain_key(key: object) -> bool:
    return isinstance(key, str | int | np.integer) and not isinstance(key, bool)


def space_from_json(description: Mapping[str, object]) -> AnySpace:
    """Make the space that `space_to_json` described.

    Raises
    ------
    ValueError
        If ``description`` isn't one.
    """
    try:
        return _space_from_json(description)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"description: expected one of space_to_json, got {description!r}") from error


def _space_from_json(description: Mapping[str, Any]) -> AnySpace:  # what JSON held: the spaces check it
    kind = description["kind"]
    if kind == "Box":
        shape, dtype = tuple(description["shape"]), np.dtype(description["dtype"])
        low, high = (_bound_from_json(description[name], shape, dtype) for name in ("low", "high"))
        return spaces.Box(low, high, dtype=dtype.type)
    if kind == "Discrete":
        other = {} if description["dtype"] == "int64" else {"dtype": np.dtype(description["dtype"]).type}
        return spaces.Discrete(description["n"], start=description["start"], **other)
    if kind == "MultiDiscrete":
        dtype = np.dtype(description["dtype"]).type
        return spaces.MultiDiscrete(
            np.array(description["nvec"]), dtype, start=np.array(description["start"])
        )
    if kind == "MultiBinary":
        shape = tuple(description["shape"])
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
    if kind == "Dict":
        return spaces.Dict([(key, _space_from_json(part)) for key, part in description["spaces"]])
    if kind == "Tuple":
        return spaces.Tuple([_space_from_json(part) for part in description["spaces"]])
    raise KeyError(kind)


def _bound_to_json(bound: AnyArray) -> object:
    """One number if all are equal, else nested lists; infinities as strings, which strict JSON lacks."""
    if bound.size and (bound == bound.flat[0]).all():
        bound = bound.reshape(-1)[0]
    return _map_nested(lambda x: x if math.isfinite(x) else str(x), bound.tolist())


def _bound_from_json(bound: object, shape: tuple[int, ...], dtype: AnyDType) -> AnyArray:
    numbers = np.array(_map_nested(lambda x: float(x) if isinstance(x, str) else x, bound), dtype)
    return np.broadcast_to(numbers.reshape(numbers.shape or (1,) * len(shape)), shape).copy()


def _map_nested(function: Callable[[Any], object], value: object) -> object:
    if isinstance(value, list):
        return [_map_nested(function, element) for element in value]
    return function(value)
