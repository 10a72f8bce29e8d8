"""The conjugate gradient method for symmetric positive-definite systems known by their products."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference._arrays import FloatArray, float_arrays


class HasMatvec(Protocol):
    """What multiplies vectors: the linear operators of SciPy."""

    def matvec(self, v: FloatArray, /) -> ArrayLike:
        """Return the product with a vector (n,)."""


class HasMatmul(Protocol):
    """What multiplies vectors by ``@``: the sparse matrices of SciPy."""

    def __matmul__(self, v: FloatArray, /) -> ArrayLike: ...


Operator: TypeAlias = ArrayLike | HasMatvec | HasMatmul | Callable[[FloatArray], ArrayLike]
"""A matrix, or how to multiply a vector by it."""


class CGStatus(enum.IntEnum):
    """Why the iteration stopped."""

    CONVERGED = 0  # ‖r‖ ≤ max(rtol·‖b‖, atol)
    MAX_ITER = 1  # the iteration limit came first
    NEGATIVE_CURVATURE = 2  # a search direction with pᵀ(A + damping·I)p ≤ 0; x is the iterate so far
    NONFINITE = 3  # NaN or infinity occurred; x is the last finite iterate


@dataclass(frozen=True, eq=False)
class CGResult:
    """What `conjugate_gradient` found."""

    x: FloatArray
    status: CGStatus
    iterations: int
    residual_norm: float  # ‖b − (A + damping·I) x‖/‖b‖, from the recurrence
    curvature: float  # xᵀ (A + damping·I) x
    condition: float = math.nan  # largest over smallest pᵀ(A + damping·I)p/pᵀp


def conjugate_gradient(
    operator: Operator,
    b: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iter: int | None = None,
    damping: float = 0.0,
    preconditioner: Operator | None = None,
    callback: Callable[[FloatArray], object] | None = None,
) -> CGResult:
    """Solve (A + damping·I) x = b by preconditioned conjugate gradients.

    r = b − A x, p = 0, then repeat: z = M⁻¹ r; β = rᵀz/(the last rᵀz); p = z + β p; α = rᵀz/pᵀAp; x += α p;
    r −= α A p, until ‖r‖ ≤ max(rtol·‖b‖, atol).
    See `pgcore.kernels.conjugate_gradient`; source: Hestenes & Stiefel 1952; Golub & Van Loan 2013,
    algorithm 11.5.1.

    >>> conjugate_gradient([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).x
    array([1., 1.])
    """
    apply_a, rhs, start = _system(operator, b, x0)
    damped = _ScaledProduct(apply_a, damping)
    precondition: Callable[[FloatArray], FloatArray] = np.copy
    if preconditioner is not None:
        precondition = _ScaledProduct(_product("preconditioner", preconditioner, rhs), 0.0)
    limit = 10 * len(rhs) if max_iter is None else max_iter
    with np.errstate(all="ignore"):  # overflow is found by looking at the numbers, and reported as a status
        found = _solve(damped, precondition, rhs, start, rtol=rtol, atol=atol, limit=limit, callback=callback)
    return dataclasses.replace(found, x=found.x.reshape(np.shape(b)))


def _solve(
    damped: _ScaledProduct,
    precondition: Callable[[FloatArray], FloatArray],
    b: FloatArray,
    start: FloatArray,
    *,
    rtol: float,
    atol: float,
    limit: int,
    callback: Callable[[FloatArray], object] | None,
) -> CGResult:
    """The solution, from iterates whose size is in the middle of the range."""
    zero = np.zeros_like(b)
    if not (np.isfinite(b).all() and np.isfinite(start).all()):
        return CGResult(zero, CGStatus.NONFINITE, 0, 1.0, 0.0)
    if not b.any():
        return CGResult(zero, CGStatus.CONVERGED, 0, 0.0, 0.0)
    b_exponent = _exponent(b)
    b = np.ldexp(b, -b_exponent)
    begun = _begin(damped, b, start, b_exponent)
    if begun is None:
        return CGResult(zero, CGStatus.NONFINITE, 0, 1.0, 0.0)

    def unscaled(x: FloatArray) -> FloatArray:
        size: FloatArray = np.ldexp(x, b_exponent - damped.exponent)
        return size

    def show(x: FloatArray) -> None:
        if callback is not None:
            callback(unscaled(x))

    goal = max(rtol, float(np.ldexp(atol, -b_exponent) / _norm(b)), _LOST[b.dtype.char])
    scaled = _iterate(
        damped, precondition, b, begun, b_exponent=b_exponent, goal=goal, limit=limit, show=show
    )
    curvature = float(np.ldexp(scaled.curvature, 2 * b_exponent - damped.exponent))
    return dataclasses.replace(scaled, x=unscaled(scaled.x), curvature=curvature)


def _iterate(
    damped: _ScaledProduct,
    precondition: Callable[[FloatArray], FloatArray],
    b: FloatArray,
    begun: tuple[FloatArray, FloatArray],
    *,
    b_exponent: int,
    goal: float,
    limit: int,
    show: Callable[[FloatArray], None],
) -> CGResult:
    """The iteration itself, from x and its residual r."""
    number, epsilon, b_norm = b.dtype.type, float(np.finfo(b.dtype).eps), _norm(b)
    x, r = best = begun
    gained, drifted = _gain(x, b, r), False
    quotients: list[float] = []
    p, rz = np.zeros_like(b), math.inf  # so that the first β is 0
    for iterations in itertools.count():
        if _norm(r) / b_norm <= goal:
            status = CGStatus.MAX_ITER if drifted else CGStatus.CONVERGED
            break
        if iterations == limit:
            status = CGStatus.MAX_ITER
            break
        z = precondition(r)
        rz, previous_rz = _dot(r, z), rz
        if (verdict := _verdict(rz, _norm(r) * _norm(z), b)) is not None:
            status = verdict
            break
        p = z + number(rz / previous_rz) * p
        a_p = damped(p)
        p_a_p, p_p = _dot(p, a_p), _dot(p, p)
        steepest = max([*quotients, _norm(a_p) / math.sqrt(p_p)])
        if (verdict := _verdict(p_a_p, steepest * p_p, b)) is not None:
            status = verdict
            break
        alpha = number(rz / p_a_p)
        next_x, next_r = x + alpha * p, r - alpha * a_p
        if not np.isfinite([*next_r, *next_x, *np.ldexp(next_x, b_exponent - damped.exponent)]).all():
            status = CGStatus.NONFINITE
            break
        x, r = next_x, next_r
        quotients.append(p_a_p / p_p)
        gained += rz / p_a_p * rz
        rounding = epsilon * max(quotients) * _dot(x, x)
        drift = abs(_gain(x, b, r) - gained)
        drifted = drifted or not (drift <= _TOLERATED_DRIFT * gained and rounding <= gained)
        if not drifted:
            best = x, r
        show(x)
    x, r = best
    curvature = _dot(x, b - r) if x.any() else 0.0
    condition = max(quotients) / min(quotients) if quotients else math.nan
    return CGResult(x, status, iterations, _norm(r) / b_norm, curvature, condition)


# Vectors are scaled by powers of two where their size leaves 2^±reach; a residual below the lost part of b is
# zero. See cpp/src/curvature/cg.cpp for all of these.
_REACH = {"f": 32, "d": 64}
_LOST = {"f": 1e-24, "d": 1e-100}
_TOLERATED_DRIFT = 0.1


def _exponent(v: FloatArray) -> int:
    """The exponent of the largest entry, 0 where it needs no scaling."""
    size = np.abs(v).max(initial=0.0)
    exponent = int(np.frexp(size)[1]) - 1
    return exponent if size > 0.0 and abs(exponent) > _REACH[v.dtype.char] else 0


class _ScaledProduct:
    """v ↦ 2^−exponent (A + damping·I) v in the middle of the range; the first product shows A's size."""

    def __init__(self, multiply: Callable[[FloatArray], FloatArray], damping: float) -> None:
        self._multiply, self._damping = multiply, damping
        self._measured = False
        self.exponent = 0

    def __call__(self, v: FloatArray) -> FloatArray:
        out = self._run(v)
        for _ in range(0 if self._measured else 3):
            change = self._misfit(v, out)
            self.exponent += change
            if change == 0:
                break
            out = self._run(v)
        if not self._measured and not out.any():
            self.exponent = 0
        self._measured = True
        return out

    def _run(self, v: FloatArray) -> FloatArray:
        half = int(self.exponent / 2)
        out = np.ldexp(self._multiply(np.ldexp(v, -half)), half - self.exponent)
        product: FloatArray = out + v.dtype.type(math.ldexp(self._damping, -self.exponent)) * v
        return product

    def _misfit(self, v: FloatArray, out: FloatArray) -> int:
        reach = _REACH[v.dtype.char]
        if np.isnan(out).any():
            return 0
        finite = out[np.isfinite(out)]
        if len(finite) < len(out):  # beside large numbers, infinity is overflow
            large = not finite.any() or np.frexp(np.abs(finite).max())[1] - 1 > reach
            return 2 * reach if large else 0
        if not out.any():
            return -2 * reach if v.any() else 0
        return _exponent(out)


def _begin(
    damped: _ScaledProduct, rhs: FloatArray, start: FloatArray, b_exponent: int
) -> tuple[FloatArray, FloatArray] | None:
    """Return x and r to begin with: zero where `start` is no better; `None` if A times it is not finite."""
    zero = np.zeros_like(rhs), rhs.copy()
    if not start.any():
        return zero
    exponent = _exponent(start)
    x = np.ldexp(start, -exponent)
    product = damped(x)
    if not np.isfinite(product).all():
        return None
    shift = exponent + damped.exponent - b_exponent
    if shift > _REACH[rhs.dtype.char]:
        return zero
    x, r = np.ldexp(x, shift), rhs - np.ldexp(product, shift)
    return (x, r) if math.isfinite(_norm(r)) and _gain(x, rhs, r) >= 0.0 else zero


def _gain(x: FloatArray, b: FloatArray, r: FloatArray) -> float:
    """xᵀ(b + r) = 2 bᵀx − xᵀAx, which every step makes larger by α rᵀz."""
    return float(np.dot(x.astype(np.float64), b.astype(np.float64) + r.astype(np.float64)))


def _verdict(form: float, size: float, like: FloatArray) -> CGStatus | None:
    """What a quadratic form that should be > 0 ends the iteration with; rounding explains small ones."""
    if not math.isfinite(form):
        return CGStatus.NONFINITE
    if form > 0.0:
        return None
    rounding = float(np.finfo(like.dtype).eps) * math.sqrt(len(like)) * size
    return CGStatus.NEGATIVE_CURVATURE if form == 0.0 or form < -4.0 * rounding else CGStatus.MAX_ITER


def _system(
    operator: Operator, b: ArrayLike, x0: ArrayLike | None
) -> tuple[Callable[[FloatArray], FloatArray], FloatArray, FloatArray]:
    """The product with A, b and x0 (zero if there is none), in one dtype."""
    if hasattr(operator, "matvec") or callable(operator):
        rhs, start = float_arrays(b, b if x0 is None else x0)
    else:
        operator, rhs, start = float_arrays(cast("ArrayLike", operator), b, b if x0 is None else x0)
    if rhs.ndim != 1 and not (rhs.ndim == 2 and rhs.shape[1] == 1):
        raise ValueError(f"b: expected shape (n,) or (n, 1), got {rhs.shape}")
    if start.shape not in (rhs.shape, (len(rhs),)):
        raise ValueError(f"x0: expected shape ({len(rhs)},), got {start.shape}")
    rhs, start = rhs.ravel(), start.ravel()
    return _product("operator", operator, rhs), rhs, np.zeros_like(rhs) if x0 is None else start


def _product(name: str, operator: Operator, like: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """How to multiply a vector like b by a matrix, an object with `matvec`, or a callable."""
    if hasattr(operator, "matvec"):
        multiply = operator.matvec
    elif callable(operator):
        multiply = operator
    else:
        matrix = np.asarray(cast("ArrayLike", operator))
        multiply = matrix.__matmul__
        _check_shape(name, matrix.shape, (len(like), len(like)))

    def product(v: FloatArray) -> FloatArray:
        result = np.asarray(multiply(v.copy()))
        _check_shape(name, result.shape, like.shape)
        return result.astype(like.dtype)

    return product


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {shape}")


def _dot(x: FloatArray, y: FloatArray) -> float:
    """The dot product in double, whatever the vectors' dtype: it decides when to stop."""
    return float(np.dot(x.astype(np.float64), y.astype(np.float64)))


def _norm(x: FloatArray) -> float:
    return float(np.sqrt(_dot(x, x)))
