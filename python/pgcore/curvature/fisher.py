"""`Fisher`: the Fisher matrix of a policy over a batch, by products alone, and linear systems with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import BoolArray, FloatArray, IntArray, check_shape, float_array, integer
from pgcore.kernels import CGResult, CGStatus
from pgcore.kernels.cg import adapted_operator, cg_tolerances, checked_callback
from pgcore.kernels.coercion import computed

if TYPE_CHECKING:
    from pgcore.curvature.products import FisherProducts
    from pgcore.policies.base import Policy
    from pgcore.policies.normalizer import ObservationNormalizer

__all__ = ["Fisher", "FisherOrigin"]

Method = Literal["cg", "dense", "gram"]
_METHODS = ("cg", "dense", "gram")
_PRECONDITIONERS = ("diagonal", "kronecker")
_MAX_GRAM_SIZE = 10_000  # a float64 matrix of 0.8 GB, and three of them at the peak


class FisherOrigin(NamedTuple):
    """What an operator was made from, to make it again."""

    policy: Policy
    params: FloatArray
    normalizer: ObservationNormalizer | None
    rows: FloatArray
    actions: FloatArray | IntArray | None
    starts: IntArray | None
    max_cache_bytes: float

    def frozen_policy(self) -> Policy:
        """Return a policy with the parameters and the normaliser of that moment, which nothing else uses."""
        policy = self.policy.copy()
        policy.params, policy.normalizer = self.params, self.normalizer
        return policy


def _made_again(origin: FisherOrigin, kind: Literal["exact", "empirical"], damping: float) -> Fisher:
    return origin.policy.fisher(
        origin.rows,
        origin.actions,
        kind=kind,
        damping=damping,
        max_cache_bytes=origin.max_cache_bytes,
        starts=origin.starts,
    )


class Fisher:
    r"""The operator F + damping·I at a policy's parameters, over a batch of observations.

    .. math:: F_\text{exact} = \frac1B\sum_i \mathbb{E}_{a\sim\pi(\cdot\mid o_i)}[s s^\top]
                             = \frac1B\sum_i J_i^\top M_i J_i, \qquad
              F_\text{empirical} = \frac1B\sum_i s_i s_i^\top

    with s = ∇_θ log π(a∣o), J the Jacobian of the network's outputs and M the Fisher matrix of the
    distribution in those outputs, which is known in closed form. The exact one is the Hessian of the mean
    KL(π_θ‖π_θ') in θ' at θ' = θ. They are different matrices: the empirical one depends on the actions taken,
    and approaches the exact one only as the mean over many samples from the policy itself.

    Both are means over steps. The lecture's sum over steps divided by N trajectories is B/N times that.

    Made by `Policy.fisher`. The operator is of the parameters and the normaliser's statistics at that moment.
    It keeps the observations, which must not be changed, and the activations they cause where those fit into
    its limit of memory. `scipy.sparse.linalg.aslinearoperator` takes it.

    Attributes
    ----------
    shape : tuple[int, int]
        (P, P).
    dtype : numpy.dtype
        The policy's.
    kind : str
        ``"exact"`` or ``"empirical"``.
    damping : float
        Multiple of the identity that products, `dense` and `solve` include.
    cached : bool
        Whether activations are kept from product to product.

    References
    ----------
    Amari 1998; Schraudolph 2002 (Gauss-Newton products); Martens 2020, *New insights and perspectives on the
    natural gradient method*. Lecture, part 5.

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore.policies import GaussianPolicy
    >>> policy = GaussianPolicy(2, 1, hidden=(), dtype="float64")
    >>> obs = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> policy.fisher(obs).dense()  # weights of both inputs, bias, log σ; σ = 1
    array([[0.5, 0. , 0.5, 0. ],
           [0. , 2. , 1. , 0. ],
           [0.5, 1. , 1. , 0. ],
           [0. , 0. , 0. , 2. ]])
    """

    def __init__(self, products: FisherProducts, kind: str, damping: float, origin: FisherOrigin) -> None:
        self._products = products
        self._origin = origin
        self.shape = (origin.policy.num_params,) * 2
        self.dtype = origin.policy.dtype
        self.kind = kind
        self.damping = damping
        self.cached = products.cached

    def matvec(self, v: ArrayLike) -> FloatArray:
        """Return (F + damping·I) v, shape (P,); v is (P,) or (P, 1)."""
        exact = self._products.multiply(v, self.damping)
        if exact is not None:
            return exact
        vector = float_array("v", v, self.dtype)
        if vector.shape == (self.shape[1], 1):  # as SciPy's operators may ask
            return self.matvec(vector[:, 0])[:, None]
        check_shape("v", vector, (self.shape[1],))
        return computed(self._products.multiply(vector, self.damping))

    rmatvec = matvec  # it is symmetric

    def __matmul__(self, v: ArrayLike) -> FloatArray:
        """Return the product with a vector (P,) or with the columns of a matrix (P, K)."""
        exact = self._products.multiply(v, self.damping)
        if exact is not None:
            return exact
        array = float_array("v", v, self.dtype)
        if array.ndim == 2:
            check_shape("v", array, (self.shape[1], array.shape[1]))
            out = np.empty_like(array)
            for j, column in enumerate(array.T):
                out[:, j] = self.matvec(column)
            return out
        return self.matvec(array)

    def diagonal(self) -> FloatArray:
        """Return the diagonal of F + damping·I, shape (P,)."""
        diagonal = self._products.diagonal()
        diagonal += self.damping
        return diagonal

    def dense(self) -> FloatArray:
        """Return F + damping·I as an array (P, P): P products, and memory for P² numbers."""
        matrix = self._undamped()
        matrix[np.diag_indices_from(matrix)] += self.damping
        return matrix

    def _undamped(self) -> FloatArray:
        """F as an array."""
        columns = np.eye(self.shape[0], dtype=self.dtype)
        matrix = np.empty_like(columns)
        for i, column in enumerate(columns):
            matrix[i] = computed(self._products.multiply(column, 0.0))
        symmetric: FloatArray = (matrix + matrix.T) / 2
        return symmetric

    def solve(
        self,
        g: ArrayLike,
        *,
        method: Method = "cg",
        rtol: float = 1e-6,
        atol: float = 0.0,
        max_iter: int | None = None,
        x0: ArrayLike | None = None,
        preconditioner: Any = None,
        callback: Callable[[FloatArray], object] | None = None,
    ) -> CGResult:
        r"""Solve (F + damping·I) x = g; for a gradient g, x is the natural gradient.

        Parameters
        ----------
        g
            Right-hand side, shape (P,).
        method
            ``"cg"``: conjugate gradient, compiled, products only. ``"dense"``: forms F and factorises it in
            float64, for small P; where F is singular and nothing is added to it, the shortest least-squares
            solution. ``"gram"``: in sample space, by the Woodbury identity
            :math:`(R^\top R + \lambda I)^{-1} g = (g - R^\top (R R^\top + \lambda I)^{-1} R g)/\lambda`,
            for batches smaller than P. R has a row for each step (for the exact form: and output) and is
            never formed. It needs a positive damping.
        rtol, atol, max_iter, x0, callback
            For ``"cg"``, as in `pgcore.kernels.conjugate_gradient`; of the others, the tolerances decide what
            is reported.
        preconditioner
            For ``"cg"``: None, ``"diagonal"`` (of F), ``"kronecker"`` (a Kronecker product for each layer,
            Martens & Grosse 2015; for compiled policies), or M⁻¹ as a matrix, an object with ``matvec`` or a
            callable. They help shallow networks with small damping: with damping from about 0.01 on, which
            already gathers most eigenvalues in one place, the plain method often needs fewer steps.

        Returns
        -------
        CGResult
            The direct methods report 0 iterations and the residual that their solution leaves; where it is
            larger than tolerances and rounding explain, the status is ``MAX_ITER``: g was not in the range of
            F, or F + damping·I is too close to a singular matrix for the dtype. They too give 0 where the
            objective ½ xᵀ(F + damping·I)x − gᵀx is smaller there than at what they found.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or range.
        """
        rhs = float_array("g", g, self.dtype)
        check_shape("g", rhs, (self.shape[0],))
        if method not in _METHODS:
            raise ValueError(f"method: expected one of {', '.join(_METHODS)}, got {method!r}")
        start = None if x0 is None else float_array("x0", x0, self.dtype)
        if start is not None:
            check_shape("x0", start, (self.shape[0],))
        limit = 10 * len(rhs) if max_iter is None else integer("max_iter", max_iter, minimum=0)
        tolerances = cg_tolerances(rtol, atol)
        callback = checked_callback(callback)
        if isinstance(preconditioner, str) and preconditioner not in _PRECONDITIONERS:
            expected = ", ".join(_PRECONDITIONERS)
            raise ValueError(f"preconditioner: expected one of {expected}, got {preconditioner!r}")
        if method != "cg":
            with np.errstate(over="ignore", invalid="ignore"):  # what isn't finite is reported
                x = self._solve_dense(rhs) if method == "dense" else self._solve_gram(rhs)
                return self._report(rhs, x, *tolerances)
        if isinstance(preconditioner, str):
            is_kronecker = preconditioner == "kronecker"
            preconditioner = (
                self._products.kronecker(self.damping) if is_kronecker else self._inverse_diagonal()
            )
        elif preconditioner is not None:
            preconditioner = adapted_operator("preconditioner", preconditioner, rhs)
        return self._products.solve(
            rhs,
            start,
            rtol=tolerances[0],
            atol=tolerances[1],
            max_iter=limit,
            damping=self.damping,
            preconditioner=preconditioner,
            callback=callback,
        )

    def _solve_dense(self, g: FloatArray) -> FloatArray:
        matrix, rhs = self._undamped().astype(np.float64), g.astype(np.float64)
        if not (np.isfinite(matrix).all() and np.isfinite(rhs).all()):
            return np.full_like(g, np.nan)
        eigenvalues, vectors = np.linalg.eigh(matrix)
        regular: BoolArray | slice
        if self.damping:
            eigenvalues, regular = np.maximum(eigenvalues, 0.0) + self.damping, slice(None)
        else:  # below the rounding of the products there is no information, and F is taken to be zero
            regular = eigenvalues > len(g) * np.finfo(self.dtype).eps * np.abs(eigenvalues).max(initial=0.0)
        along = (vectors[:, regular].T @ rhs) / eigenvalues[regular]
        x: FloatArray = (vectors[:, regular] @ along).astype(self.dtype)
        return x

    def _solve_gram(self, g: FloatArray) -> FloatArray:
        if not self.damping > 0:
            raise ValueError(f"damping: expected a number > 0 for method 'gram', got {self.damping}")
        size = self._products.num_equations
        if size > _MAX_GRAM_SIZE:
            raise ValueError(f"method: expected 'gram' for at most {_MAX_GRAM_SIZE} equations, got {size}")
        return self._products.sample_space().solve(g.astype(np.float64), self.damping).astype(self.dtype)

    def _inverse_diagonal(self) -> FloatArray:
        # Sums of squares are exact to their last bits, however small; without any, F has a row of zeros.
        diagonal = self.diagonal()
        with np.errstate(over="ignore"):
            inverse = np.divide(1, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
        return np.minimum(inverse, np.finfo(self.dtype).max)  # NaN stays: conjugate gradient reports it

    def _report(self, g: FloatArray, x: FloatArray, rtol: float, atol: float) -> CGResult:
        """Report on a solution as `conjugate_gradient` does."""
        if not np.isfinite(x).all():
            return CGResult(np.zeros_like(g), CGStatus.NONFINITE, 0, 1.0, 0.0)
        product = self.matvec(x).astype(np.float64)
        if not float(x @ (2 * g.astype(np.float64) - product)) >= 0:  # the objective is smaller at zero
            return CGResult(np.zeros_like(g), CGStatus.MAX_ITER, 0, 1.0, 0.0)
        norm = float(np.linalg.norm(g.astype(np.float64)))
        residual = float(np.linalg.norm(g - product)) / norm if norm > 0 else 0.0
        enough = max(rtol, 1e4 * float(np.finfo(self.dtype).eps))
        converged = residual <= enough or residual * norm <= atol
        status = CGStatus.CONVERGED if converged else CGStatus.MAX_ITER
        return CGResult(x, status, 0, residual, float(x @ product))

    def __reduce__(self) -> tuple[object, ...]:
        origin = self._origin._replace(policy=self._origin.frozen_policy())
        return _made_again, (origin, self.kind, self.damping)

    def __repr__(self) -> str:
        settings = f"kind={self.kind!r}, damping={self.damping:g}, dtype={self.dtype.name!r}"
        return f"Fisher(shape={self.shape}, {settings})"
