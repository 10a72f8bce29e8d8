"""The long way into a compiled kernel, for arguments that are not exactly what it takes.

Every kernel calls the compiled core with the arguments as they came. The core computes if they are exact:
C-contiguous arrays of one dtype, shapes that fit, Python numbers. Else it returns None at once. Then these
functions coerce the arguments, or refuse them by name, and the kernel calls again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import (
    FloatArray,
    check_shape,
    end_flags,
    output,
    promoted,
    real,
    to_numpy,
)

_Result = TypeVar("_Result")


def along_time(
    arrays: Mapping[str, ArrayLike],
    coefficients: Mapping[str, ArrayLike] | None = None,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    next_values: ArrayLike | None = None,
) -> dict[str, object]:
    """Return coerced arguments by name: arrays along time, of one dtype and of shape (T,) or (T, N).

    Parameters
    ----------
    arrays
        At least one; the first decides the shape.
    coefficients
        Numbers, or arrays like the others.
    ends, bootstrap_values, next_values
        As for `gae`.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``.
    """
    coefficients = {} if coefficients is None else coefficients
    each = {name: value for name, value in coefficients.items() if _is_array(name, value)}
    optional = {"bootstrap_values": bootstrap_values, "next_values": next_values}
    given = {name: value for name, value in optional.items() if value is not None}
    floats = promoted({**arrays, **each, **given})
    numbers = {name: real(name, value) for name, value in coefficients.items() if name not in each}

    first = next(iter(arrays))
    shape = floats[first].shape
    if len(shape) not in (1, 2):
        raise ValueError(f"{first}: expected shape (T,) or (T, N), got {shape}")
    for name in floats:
        if name != "bootstrap_values":
            check_shape(name, floats[name], shape)
    if bootstrap_values is not None:
        got = floats["bootstrap_values"].shape
        if got not in (shape, shape[1:]):
            raise ValueError(f"bootstrap_values: expected shape {shape} or {shape[1:]}, got {got}")
        if next_values is not None:
            raise ValueError(f"bootstrap_values: expected None beside next_values, got shape {got}")
    return {**dict.fromkeys(optional), **floats, **numbers, "ends": end_flags(ends, shape)}


def _is_array(name: str, value: ArrayLike) -> bool:
    return isinstance(value, list | tuple) or to_numpy(name, value).ndim > 0


def limit(name: str, value: float | None) -> float:
    """Return an upper limit of ratios as a number; `None` is infinite."""
    return math.inf if value is None else real(name, value, minimum=0.0, or_infinite=True)


def computed(result: _Result | None) -> _Result:
    """Return what the compiled core computed from coerced arguments."""
    if result is None:
        raise AssertionError("the compiled core refused coerced arguments; please report it")
    return result


def delivered(result: FloatArray, out: object) -> FloatArray:
    """Return the result, in `out` where there is one.

    Raises
    ------
    TypeError, ValueError
        If `out` is no array like the result that can be written to; nothing is written then.
    """
    if out is None:
        return result
    target = output("out", out, result.shape, result.dtype)
    target[...] = result
    return target


def delivered_pair(results: tuple[FloatArray, FloatArray], out: object) -> tuple[FloatArray, FloatArray]:
    """The same for two results and a tuple of two arrays, which must not share memory."""
    if out is None:
        return results
    if not isinstance(out, tuple) or len(out) != len(results):
        got = f"{len(out)} of them" if isinstance(out, tuple) else type(out).__name__
        raise TypeError(f"out: expected a tuple of two arrays, got {got}")
    first, second = (
        output(f"out[{k}]", array, result.shape, result.dtype)
        for k, (array, result) in enumerate(zip(out, results, strict=True))
    )
    if np.may_share_memory(first, second):
        raise ValueError("out: expected two arrays with memory of their own, got shared memory")
    first[...], second[...] = results
    return out
