"""Numbers m·2^e with an exponent of their own, for products of ratios outside the range of floats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Scaled(NamedTuple):
    """An array of numbers m·2^e."""

    m: NDArray[np.float64]
    """0, infinite, NaN, or of a size in [½, 1)."""
    e: NDArray[np.int64]

    def to_floats(self) -> NDArray[np.float64]:
        """Return the numbers as doubles, infinite or 0 where they are too large or small."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.m, np.clip(self.e, -4000, 4000).astype(np.intc))


def scaled(values: ArrayLike, exponents: ArrayLike = 0) -> Scaled:
    """Return values·2^exponents; 0 and what is not finite have no exponent."""
    m, e = np.frexp(np.asarray(values, np.float64))
    ordinary = np.isfinite(m) & (m != 0)
    return Scaled(m, np.where(ordinary, e + np.asarray(exponents, np.int64), 0))


def exp(x: ArrayLike) -> Scaled:
    """Return e^x for x of any size."""
    x = np.asarray(x, np.float64)
    bounded = np.clip(x, -1e9, 1e9)
    n = np.where(np.isfinite(x), np.rint(bounded / np.log(2)), 0.0)
    high, low = 0.693145751953125, 1.42860682030941723212e-6  # ln 2; n·high is exact
    with np.errstate(invalid="ignore"):  # infinity less infinity, which is not taken
        remainder = np.where(np.isfinite(x), (bounded - n * high) - n * low, x)
    return scaled(np.exp(remainder), np.nan_to_num(n).astype(np.int64))


def times(*factors: Scaled) -> Scaled:
    """Return the product, from the left."""
    product = factors[0]
    for factor in factors[1:]:
        with np.errstate(invalid="ignore"):  # 0·∞ is NaN, as everywhere
            product = scaled(product.m * factor.m, product.e + factor.e)
    return product


def plus(a: Scaled, b: Scaled) -> Scaled:
    """Return the sum."""
    e = np.where(a.m == 0, b.e, np.where(b.m == 0, a.e, np.maximum(a.e, b.e)))
    with np.errstate(invalid="ignore", under="ignore"):  # ∞ − ∞ is NaN
        total = sum(np.ldexp(x.m, np.maximum(x.e - e, -200).astype(np.intc)) for x in (a, b))
    return scaled(total, e)


def where(condition: NDArray[np.bool_], a: Scaled, b: Scaled) -> Scaled:
    """Select elements of a where the condition holds, else of b."""
    return Scaled(np.where(condition, a.m, b.m), np.where(condition, a.e, b.e))


def minimum(a: Scaled, limit: float) -> Scaled:
    """Return the smaller of a number and a limit; NaN stays."""
    return where(plus(a, scaled(-limit)).m > 0, scaled(np.full_like(a.m, limit)), a)
