"""The conjugate gradient method for symmetric positive-definite systems known by their products."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import (
    FloatArray,
    check_shape,
    float_array,
    float_arrays,
    integer,
    real,
)
from pgcore.kernels.coercion import computed

if TYPE_CHECKING:
    from pgcore._core import CgSolution


class HasMatvec(Protocol):
    """What multiplies vectors: `pgcore.curvature.Fisher`, the linear operators of SciPy."""

    def matvec(self, v: FloatArray, /) -> ArrayLike:
        """Return the product with a vector (n,)."""


class HasMatmul(Protocol):
    """What multiplies vectors by ``@``: the sparse matrices of SciPy."""

    def __matmul__(self, v: FloatArray, /) -> ArrayLike: ...


Operator: TypeAlias = ArrayLike | HasMatvec | HasMatmul | Callable[[FloatArray], ArrayLike]
"""A matrix, or how to multiply a vector by it."""


class CGStatus(enum.IntEnum):
    """Why `conjugate_gradient` stopped."""

    CONVERGED = 0
    """‖r‖ ≤ max(rtol·‖b‖, atol)."""
    MAX_ITER = 1
    """The limit of iterations came first, or rounding errors prevent further progress."""
    NEGATIVE_CURVATURE = 2
    """A search direction had pᵀ(A + damping·I)p ≤ 0, or a residual rᵀM⁻¹r ≤ 0, by more than rounding can
    explain: one of the matrices is not positive definite."""
    NONFINITE = 3
    """NaN or infinity occurred in b, in a product or in an iterate."""


_STATUSES = tuple(CGStatus)  # a look-up takes a tenth of the time of CGStatus(number)


@dataclass(frozen=True, eq=False)
class CGResult:
    """What `conjugate_gradient` found."""

    x: FloatArray
    """The solution (n,); without convergence the best iterate, which is finite."""
    status: CGStatus
    """Why it stopped."""
    iterations: int
    """Steps taken."""
    residual_norm: float
    """‖b − (A + damping·I) x‖/‖b‖, from the recurrence."""
    curvature: float
    """xᵀ (A + damping·I) x."""
    condition: float = math.nan
    """Largest over smallest pᵀ(A + damping·I)p/pᵀp of the search directions: the condition number of
    A + damping·I is at least that. Not-a-number without iterations."""


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
    """Solve (A + damping·I) x = b for a symmetric positive-definite A, a matrix or a function.

    r = b − A x, p = 0, then repeat: z = M⁻¹ r; β = rᵀz/(the last rᵀz); p = z + β p; α = rᵀz/pᵀAp; x += α p;
    r −= α A p, until ‖r‖ ≤ max(rtol·‖b‖, atol)

    Every step makes the objective ½ xᵀ(A + damping·I)x − bᵀx smaller, by ½ α rᵀz; the residual may grow in
    between, by up to the root of the condition number. So the last iterate is the best one, until rounding
    errors dominate: if the objective computed from x and r differs by a tenth from the sum of the steps'
    reductions, or rounding x alone may cause that difference, x stays as it was before, and the status says
    that it did not converge. Up to rounding, the objective at the result is never above that at x0, nor
    above zero.

    Vectors are of b's dtype; dot products accumulate in double. Where A, M⁻¹, b or x0 are so large or small
    that intermediate numbers could leave the dtype's range, they are scaled by powers of two.

    Parameters
    ----------
    operator : (n, n) matrix, object with ``matvec``, or callable
        A, or a function that multiplies a vector by it.
    b : (n,) or (n, 1)
        Right-hand side. For b = 0 the result is x = 0.
    x0 : (n,) or like b, optional
        The first iterate; zero by default, and if the objective at `x0` is larger than at zero.
    rtol : float
        Tolerance relative to ‖b‖, not negative.
    atol : float
        Tolerance of ‖r‖ itself, not negative. For rtol = atol = 0, until r is zero or lost in underflow.
    max_iter : int, optional
        Limit of iterations, not negative; 10·n by default.
    damping : float
        Multiple of the identity that is added to A, not negative.
    preconditioner : (n, n) matrix, object with ``matvec``, or callable, optional
        M⁻¹, or a function that multiplies a vector by it; symmetric and positive definite.
    callback : callable, optional
        Called as ``callback(x)`` after each iteration, with the iterate (n,): an array of its own, which you
        may keep or change. Its exceptions end the iteration and reach you; what it returns is ignored.

    Returns
    -------
    CGResult
        `x` (of b's shape), `status`, `iterations`, `residual_norm`, `curvature` and `condition`.

    Raises
    ------
    TypeError
        If `operator` or `preconditioner` is none of the three, an array holds no real numbers, or `callback`
        can't be called.
    ValueError
        If a shape is wrong or a number is outside its range.

    References
    ----------
    Hestenes & Stiefel 1952; Golub & Van Loan 2013, *Matrix computations*, algorithm 11.5.1.
    Lecture, *Advanced policy gradients*: the natural gradient as the solution of F x = g.

    Examples
    --------
    >>> result = conjugate_gradient([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
    >>> result.x, result.status.name, result.iterations
    (array([1., 1.]), 'CONVERGED', 2)
    >>> conjugate_gradient(lambda v: 2.0 * v, [2.0, 4.0], damping=2.0).x
    array([0.5, 1. ])
    >>> iterates = []
    >>> _ = conjugate_gradient(np.diag([2.0, 4.0]), np.array([2.0, 4.0]), callback=iterates.append)
    >>> len(iterates), iterates[-1]
    (2, array([1., 1.]))
    """
    solve = _dispatch.compiled.conjugate_gradient
    if preconditioner is None and callback is None and isinstance(operator, np.ndarray):
        exact = solve(operator, b, x0, (rtol, atol), max_iter, damping, None, None)
        if exact is not None:
            return cg_result(exact)
    product = _product(operator)
    if product is None:
        dense = cast("ArrayLike", operator)
        matrix, rhs, start = float_arrays(("operator", "b", "x0"), (dense, b, x0), last_optional=True)
    else:
        rhs, start = float_arrays(("b", "x0"), (b, x0), last_optional=True)
    shape = rhs.shape
    if rhs.ndim != 1 and not (rhs.ndim == 2 and shape[1] == 1):
        raise ValueError(f"b: expected shape (n,) or (n, 1), got {shape}")
    rhs = rhs.reshape(-1)
    n = len(rhs)
    if start is not None:
        start = start.reshape(-1) if start.shape == shape else start
        check_shape("x0", start, (n,))
    if product is None:
        check_shape("operator", matrix, (n, n))
    found = solve(
        matrix if product is None else adapted_operator("operator", operator, rhs),
        rhs,
        start,
        cg_tolerances(rtol, atol),
        None if max_iter is None else integer("max_iter", max_iter, minimum=0),
        real("damping", damping, minimum=0.0),
        None if preconditioner is None else adapted_operator("preconditioner", preconditioner, rhs),
        checked_callback(callback),
    )
    result = cg_result(computed(found))
    return result if shape == (n,) else dataclasses.replace(result, x=result.x.reshape(shape))


def cg_result(solution: CgSolution) -> CGResult:
    """What a compiled solver returns, as users see it."""
    x, status, iterations, residual_norm, curvature, condition = solution
    result = object.__new__(CGResult)  # `CGResult(…)` sets one frozen field after the other: twice the time
    vars(result).update(
        x=x,
        status=_STATUSES[status],
        iterations=iterations,
        residual_norm=residual_norm,
        curvature=curvature,
        condition=condition,
    )
    return result


def cg_tolerances(rtol: float, atol: float) -> tuple[float, float]:
    """Return both as a compiled solver takes them."""
    return real("rtol", rtol, minimum=0.0), real("atol", atol, minimum=0.0)


def checked_callback(
    callback: Callable[[FloatArray], object] | None,
) -> Callable[[FloatArray], object] | None:
    """Return what can be called, or None."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a callable, got {type(callback).__name__}")
    return callback


def _product(operator: Operator) -> Callable[[FloatArray], ArrayLike] | None:
    """How to multiply by anything but a dense matrix; `None` for what must be one."""
    if isinstance(operator, np.ndarray):
        return None
    if hasattr(operator, "matvec"):
        return cast("HasMatvec", operator).matvec
    if callable(operator):
        return operator
    if hasattr(operator, "__matmul__") and not hasattr(operator, "__array__"):  # SciPy's sparse matrices
        return cast("HasMatmul", operator).__matmul__
    return None


def adapted_operator(name: str, operator: Operator, like: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """A function whose results are what the core takes: vectors like b, of its dtype."""
    product = _product(operator)
    if product is None:
        matrix = float_array(name, cast("ArrayLike", operator), like.dtype)
        check_shape(name, matrix, (len(like), len(like)))
        product = matrix.__matmul__
    elif (shape := getattr(operator, "shape", None)) is not None and tuple(shape) != (len(like),) * 2:
        raise ValueError(f"{name}: expected shape {(len(like),) * 2}, got {tuple(shape)}")

    def adapted(vector: FloatArray) -> FloatArray:
        result = float_array(name, product(vector), like.dtype)
        check_shape(name, result, like.shape)
        return result

    return adapted
