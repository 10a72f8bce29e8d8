"""How far numbers are spread, and how much of that rounding alone may have caused."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pgcore._arguments import FLOAT64, Float64Array, FloatArray, FloatDType

__all__ = ["Spread", "rounding", "spread_of"]


class Spread(NamedTuple):
    """Numbers around their mean, in double precision."""

    centred: Float64Array
    """x − mean, shape (B,)."""
    mean: float
    deviation: float
    """The standard deviation (of all B), exactly 0 where rounding alone may have caused it."""


def rounding(dtype: FloatDType) -> float:
    """Return how far apart rounding may set numbers of a dtype that should be equal, relative to their size.

    What is float32 was rounded once, at the end; float64 results come out of sums over many steps.
    """
    return (64 if dtype == FLOAT64 else 4) * float(np.finfo(dtype).eps)


def spread_of(values: FloatArray, *, magnitude: float = 0.0) -> Spread:
    """Return mean and deviation of numbers of any size; NaN and infinity make the deviation NaN.

    Parameters
    ----------
    values
        Shape (B,), at least one.
    magnitude
        Size of the numbers that ``values`` are differences of, where it is larger than their own.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # Relative to the first: differences of nearly equal numbers are exact, and those of equal ones 0.
        centred = np.subtract(values, values[0], dtype=np.float64)
        shift = float(centred.mean())
        centred -= shift
        mean, largest = float(values[0]) + shift, float(np.abs(centred).max())
        if largest == 0:
            return Spread(centred, mean, 0.0)
        # Divided first: the squares of very large and very small numbers leave the range.
        deviation = largest * float(np.sqrt(np.mean(np.square(centred / largest))))
        size = max(float(np.abs(values).max()), magnitude)
    return Spread(centred, mean, 0.0 if deviation <= rounding(values.dtype) * size else deviation)
