"""The conjugate gradient method for symmetric positive-definite systems known by their products."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference._arrays import FloatArray, float_arrays


class CGStatus(enum.IntEnum):
    """Why the iteration stopped."""

    CONVERGED = 0  # ‖r‖ ≤ rtol·‖b‖
    MAX_ITER = 1  # the iteration limit came first
    NEGATIVE_CURVATURE = 2  # a search direction with pᵀ(A + damping·I)p ≤ 0; x is the iterate so far
    NONFINITE = 3  # NaN or infinity turned up; x is the last finite iterate


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
    operator: Any,
    b: ArrayLike,
    *,
    x0: ArrayLike | None = None,
    rtol: float = 1e-6,
    max_iter: int | None = None,
    damping: float = 0.0,
    preconditioner: Any = None,
) -> CGResult:
    """Solve (A + damping·I) x = b by preconditioned conjugate gradients.

    r = b − A x, p = 0, then repeat: z = M⁻¹ r; β = rᵀz/(the last rᵀz); p = z + β p; α = rᵀz/pᵀAp; x += α p;
    r −= α A p, until ‖r‖ ≤ rtol·‖b‖.
    See `pgcore.kernels.conjugate_gradient`; source: Hestenes & Stiefel 1952; Golub & Van Loan 2013,
    algorithm 11.5.1.

    >>> conjugate_gradient([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).x
    array([1., 1.])
    """
    apply_a, rhs, start = _system(operator, b, x0)
    apply_m = np.copy if preconditioner is None else _product(preconditioner)
    limit = 10 * len(rhs) if max_iter is None else max_iter
    number = rhs.dtype.type
    if not np.isfinite(start).all():
        return CGResult(np.zeros_like(rhs), CGStatus.NONFINITE, 0, 1.0, 0.0)
    largest = np.abs(rhs).max(initial=0.0)
    if largest == 0.0:
        return CGResult(np.zeros_like(rhs), CGStatus.CONVERGED, 0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        b_norm = _norm(rhs)
    if not 1e-125 < b_norm < 1e125 and np.isfinite(largest):  # squares leave the range of double
        scaled = conjugate_gradient(
            operator, rhs / largest, x0=None if x0 is None else start / largest,
            rtol=rtol, max_iter=limit, damping=damping, preconditioner=preconditioner,
        )  # fmt: skip
        curvature = scaled.curvature * float(largest) * float(largest)
        return dataclasses.replace(scaled, x=scaled.x * largest, curvature=curvature)

    def damped(v: FloatArray) -> FloatArray:
        product: FloatArray = np.asarray(apply_a(v.copy())).astype(rhs.dtype) + number(damping) * v
        return product

    with np.errstate(all="ignore"):  # overflow is found by looking at the numbers, and reported as a status
        x = np.zeros_like(rhs) if x0 is None else start
        r = rhs - damped(x) if np.any(x) else rhs.copy()
        quotients: list[float] = []
        p, rz = np.zeros_like(rhs), math.inf  # so that the first β is 0
        for iterations in itertools.count():
            residual_norm = _norm(r) / b_norm
            if not np.isfinite(residual_norm):
                status = CGStatus.NONFINITE
                break
            if residual_norm <= rtol:
                status = CGStatus.CONVERGED
                break
            if iterations == limit:
                status = CGStatus.MAX_ITER
                break
            z = np.asarray(apply_m(r.copy())).astype(rhs.dtype)
            rz, previous_rz = _dot(r, z), rz
            p = z + number(rz / previous_rz) * p
            a_p = damped(p)
            p_a_p = _dot(p, a_p)
            alpha = number(rz / p_a_p) if p_a_p != 0.0 else number(0.0)
            next_x, next_r = x + alpha * p, r - alpha * a_p
            if not np.isfinite([p_a_p, *next_x, *next_r]).all():
                status = CGStatus.NONFINITE
                break
            if p_a_p <= 0.0:
                status = CGStatus.NEGATIVE_CURVATURE
                break
            quotients.append(p_a_p / _dot(p, p))
            x, r = next_x, next_r
        curvature = _dot(x, rhs - r) if np.any(x) else 0.0
    condition = max(quotients) / min(quotients) if quotients else math.nan
    return CGResult(x, status, iterations, residual_norm, curvature, condition)


def _system(
    operator: Any, b: ArrayLike, x0: ArrayLike | None
) -> tuple[Callable[[FloatArray], Any], FloatArray, FloatArray]:
    """The product with A, b and x0, in one dtype."""
    start: ArrayLike = b if x0 is None else x0
    if hasattr(operator, "matvec") or callable(operator):
        rhs, start = float_arrays(b, start)
        return _product(operator), rhs, start
    matrix, rhs, start = float_arrays(operator, b, start)
    return _product(matrix), rhs, start


def _product(operator: Any) -> Callable[[FloatArray], Any]:
    """How to multiply a vector by a matrix, an object with `matvec`, or a callable."""
    product: Callable[[FloatArray], Any]
    if hasattr(operator, "matvec"):
        product = operator.matvec
        return product
    if callable(operator):
        product = operator
        return product
    return np.asarray(operator).__matmul__


def _dot(x: FloatArray, y: FloatArray) -> float:
    """The dot product in double, whatever the vectors' dtype: it decides when to stop."""
    return float(np.dot(x.astype(np.float64), y.astype(np.float64)))


def _norm(x: FloatArray) -> float:
    return float(np.sqrt(_dot(x, x)))
