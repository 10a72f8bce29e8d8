"""What every reference function does to its arguments, so that the rest reads like the equations."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
FloatDType: TypeAlias = np.dtype[np.floating[Any]]


def float_arrays(*arrays: ArrayLike) -> tuple[FloatArray, ...]:
    """The arguments as arrays of one dtype: integers count as float64, float16 as float32.

    Plain Python numbers take the dtype of the others.
    """
    dtypes = [_float_dtype(np.asarray(array).dtype) for array in arrays if type(array) not in (int, float)]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return tuple(np.asarray(array).astype(dtype) for array in arrays)


def doubles(*arrays: FloatArray) -> tuple[FloatArray, ...]:
    """The arrays in float64."""
    return tuple(array.astype(np.float64) for array in arrays)


def cast(dtype: FloatDType, result: FloatArray) -> FloatArray:
    """The result in this dtype; infinite where it is too large for it."""
    with np.errstate(over="ignore"):
        return result.astype(dtype)


def _float_dtype(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def exp_excess(x: FloatArray) -> FloatArray:
    """e^x − 1 − x, by its Taylor series near 0, where the difference would cancel."""
    series = np.zeros_like(x)
    for n in range(20, 1, -1):  # Horner's rule for Σ x^(n−2)/n!
        series = series * x + 1.0 / math.factorial(n)
    excess: FloatArray = np.where(np.abs(x) < 1.0, series * x**2, np.expm1(x) - x)
    return np.where(np.isposinf(x), x, excess)


def end_flags(ends: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``ends`` as booleans, with the last row always an end (nothing is known after it)."""
    flags = np.zeros(shape, dtype=bool) if ends is None else np.array(ends, dtype=bool)
    flags[-1:] = True
    return flags


def full_bootstrap_values(bootstrap_values: ArrayLike | None, like: FloatArray) -> FloatArray:
    """``bootstrap_values`` in the shape of ``like``: one row becomes the last row, with zeros above it."""
    full = np.zeros_like(like)
    if bootstrap_values is not None and np.ndim(bootstrap_values) == like.ndim:
        full[...] = bootstrap_values
    elif bootstrap_values is not None:
        full[-1:] = bootstrap_values
    return full


def deliver(result: FloatArray, out: FloatArray | None) -> FloatArray:
    """``result`` itself, or ``out`` holding it."""
    if out is None:
        return result
    out[...] = result
    return out
