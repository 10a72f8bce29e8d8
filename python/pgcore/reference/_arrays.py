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


class AlongTime:
    """Arguments along time in float64, all in the shape of the first: coefficients, ends, bootstrap values.

    ``next_values`` are those that are given, else v_{t+1} inside a segment and its bootstrap value at its
    end.
    """

    def __init__(
        self,
        *arrays: ArrayLike,
        coefficients: tuple[ArrayLike, ...] = (),
        ends: ArrayLike | None = None,
        bootstrap_values: ArrayLike | None = None,
        next_values: ArrayLike | None = None,
    ) -> None:
        each = [c for c in coefficients if np.ndim(c) > 0]
        given = [x for x in (bootstrap_values, next_values) if x is not None]
        floats = float_arrays(*arrays, *each, *given)
        self.dtype = floats[0].dtype
        self.arrays = doubles(*floats[: len(arrays)])
        self.shape = self.arrays[0].shape
        self.coefficients = tuple(
            np.broadcast_to(np.asarray(c, np.float64), self.shape) for c in coefficients
        )
        self.ends = end_flags(ends, self.shape)
        self.bootstrap_values = full_bootstrap_values(bootstrap_values, self.arrays[0])
        self.given_next_values = None if next_values is None else np.asarray(next_values, np.float64)

    def next_values(self, values: FloatArray) -> FloatArray:
        """The value that follows every step."""
        if self.given_next_values is not None:
            return self.given_next_values
        shifted = np.concatenate([values[1:], np.zeros_like(values[:1])])
        return np.where(self.ends, self.bootstrap_values, shifted)


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


def deliver_pair(
    results: tuple[FloatArray, FloatArray], out: tuple[FloatArray, FloatArray] | None
) -> tuple[FloatArray, FloatArray]:
    """The same for two results."""
    if out is None:
        return results
    out[0][...], out[1][...] = results
    return out
