"""How to multiply by a Fisher matrix: compiled, from a network's activations, or from rows of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from pgcore._arguments import Float64Array, FloatArray, IntArray
from pgcore._dispatch import classes_of
from pgcore.curvature.sample_space import SampleSpace
from pgcore.kernels import CGResult, conjugate_gradient
from pgcore.kernels.cg import cg_result
from pgcore.kernels.coercion import computed

if TYPE_CHECKING:
    from pgcore import _core
    from pgcore.curvature.fisher import FisherOrigin
    from pgcore.policies.base import Policy

__all__ = ["CompiledProducts", "FisherProducts", "ScoreProducts"]

Preconditioner: TypeAlias = "FloatArray | _core.KroneckerInverse | Callable[[FloatArray], FloatArray]"

_BLOCK_BYTES = 2**24  # of score rows at a time, where they are not kept


class FisherProducts(Protocol):
    """What `pgcore.curvature.Fisher` needs of a matrix F = (1/B) RᵀR, without its damping."""

    cached: bool
    num_equations: int
    """Rows of R."""

    def multiply(self, v: object, damping: float) -> FloatArray | None:
        """Return (F + damping·I) v, (P,); None if ``v`` is not exactly a vector (P,) of the dtype."""

    def diagonal(self) -> FloatArray:
        """Return the diagonal of F, (P,)."""

    def sample_space(self) -> SampleSpace:
        """Return F as its factor R."""

    def solve(
        self,
        g: FloatArray,
        x0: FloatArray | None,
        *,
        rtol: float,
        atol: float,
        max_iter: int,
        damping: float,
        preconditioner: Preconditioner | None,
        callback: Callable[[FloatArray], object] | None,
    ) -> CGResult:
        """Solve (F + damping·I) x = g by conjugate gradient.

        The preconditioner is None, a vector (the diagonal of M⁻¹), a function, or what `kronecker` returned.
        """

    def kronecker(self, damping: float) -> Preconditioner:
        """Return the inverse of a Kronecker product for each layer, as `solve` takes it."""


class CompiledProducts:
    """Products of a compiled policy: through its network and back, for all rows in one call.

    Parameters
    ----------
    kernels
        The compiled distribution.
    origin
        Parameters and data.
    """

    def __init__(self, kernels: _core.Policy, origin: FisherOrigin) -> None:
        choices: FloatArray | IntArray | None
        choices = None if origin.actions is None else origin.actions.reshape(len(origin.rows), -1)
        scaling = None if origin.normalizer is None else origin.normalizer.scaling
        self._dtype = origin.params.dtype
        self._is_exact = choices is None
        self._kernels = classes_of(self._dtype).Fisher(
            kernels, origin.params, origin.rows, scaling, choices, origin.max_cache_bytes
        )
        self._num_params = len(origin.params)
        self.cached: bool = self._kernels.cached
        self.num_equations: int = self._kernels.num_rows * self._kernels.num_roots

    def multiply(self, v: object, damping: float) -> FloatArray | None:
        """Return (F + damping·I) v, (P,); None if ``v`` is not exactly a vector (P,) of the dtype."""
        return self._kernels.multiply(v, damping)

    def diagonal(self) -> FloatArray:
        """Return the diagonal of F, (P,)."""
        out = np.empty(self._num_params, self._dtype)
        self._kernels.diagonal(out)
        return out

    def sample_space(self) -> SampleSpace:
        """Return F as its factor R: in a layer, a row is δ ĥᵀ with ĥ = (h, 1)."""
        kernels, dtype = self._kernels, self._dtype
        sizes, num_rows, num_roots = kernels.layer_sizes, kernels.num_rows, kernels.num_roots
        hidden = [np.empty((num_rows, width), dtype) for width in sizes[:-1]]
        delta = [np.empty((num_rows * num_roots, width), dtype) for width in sizes[1:]]
        free_rows = np.empty((num_rows, kernels.num_free), dtype)
        kernels.factors(hidden, delta, free_rows)
        one = np.ones((num_rows, 1))
        layers: list[tuple[Float64Array, Float64Array]] = [
            (
                np.append(h.astype(np.float64), one, axis=1),
                d.astype(np.float64).reshape(num_rows, num_roots, -1),
            )
            for h, d in zip(hidden, delta, strict=True)
        ]
        if self._is_exact:
            return SampleSpace(layers, None, self._free_block())
        return SampleSpace(layers, free_rows.astype(np.float64), np.zeros((kernels.num_free,) * 2))

    def solve(
        self,
        g: FloatArray,
        x0: FloatArray | None,
        *,
        rtol: float,
        atol: float,
        max_iter: int,
        damping: float,
        preconditioner: Preconditioner | None,
        callback: Callable[[FloatArray], object] | None,
    ) -> CGResult:
        """Solve (F + damping·I) x = g in one compiled call."""
        tolerances = rtol, atol
        return cg_result(self._kernels.solve(g, x0, tolerances, max_iter, damping, preconditioner, callback))

    def kronecker(self, damping: float) -> Preconditioner:
        """Return the inverse of G ⊗ A + damping·I for each layer, in the eigenbases of its factors."""
        sizes = self._kernels.layer_sizes
        inputs = [np.empty((width + 1, width + 1), self._dtype) for width in sizes[:-1]]
        outputs = [np.empty((width, width), self._dtype) for width in sizes[1:]]
        self._kernels.kronecker_factors(inputs, outputs)
        inverse = classes_of(self._dtype).KroneckerInverse()
        blocks = [*inputs, *outputs, block] if len(block := self._free_block()) else [*inputs, *outputs]
        if not all(np.isfinite(matrix).all() for matrix in blocks):
            return np.full(self._num_params, np.nan, self._dtype)  # conjugate gradient reports it
        for A, G in zip(inputs, outputs, strict=True):
            a, q_inputs = np.linalg.eigh(A.astype(np.float64))
            g, q_outputs = np.linalg.eigh(G.astype(np.float64))
            values = self._inverse(np.outer(np.maximum(g, 0), np.maximum(a, 0)), damping)
            parts = q_inputs, q_outputs, values
            inverse.add_layer(*(np.ascontiguousarray(part, self._dtype) for part in parts))
        if len(block):
            eigenvalues, vectors = np.linalg.eigh(block)
            rest = (vectors * self._inverse(np.maximum(eigenvalues, 0), damping)) @ vectors.T
            inverse.set_rest(np.ascontiguousarray(rest, self._dtype))
        return inverse

    def _free_block(self) -> Float64Array:
        block = np.empty((self._kernels.num_free,) * 2, self._dtype)
        self._kernels.free_block(block)
        return block.astype(np.float64)

    def _inverse(self, eigenvalues: Float64Array, damping: float) -> Float64Array:
        """1/(eigenvalues + damping), but no larger than rounding allows.

        Eigenvalues below the rounding of the largest are noise: F has none of g there, so without damping
        these directions are left out. Others are taken to be at least √ε times the largest: F is no Kronecker
        product, so x gets parts that F does not see, large where eigenvalues are small, and F sees their
        rounding.
        """
        epsilon = float(np.finfo(self._dtype).eps)
        damped = eigenvalues + damping
        largest = damped.max(initial=0.0)
        known = damped > (0.0 if damping else sum(eigenvalues.shape) * epsilon * largest)
        floored = np.maximum(damped, math.sqrt(epsilon) * largest)
        inverse: Float64Array = np.divide(1, floored, out=np.zeros_like(damped), where=known)
        return inverse


class ScoreProducts:
    """Products of the empirical matrix of any policy, F = (1/B) SᵀS with the scores for rows of S.

    Parameters
    ----------
    policy
        One that nothing else changes.
    origin
        Its data.
    """

    def __init__(self, policy: Policy, origin: FisherOrigin) -> None:
        self._policy, self._origin = policy, origin
        self.num_equations = len(origin.rows)
        size = self.num_equations * policy.num_params * policy.dtype.itemsize
        self.cached = size <= origin.max_cache_bytes
        self._rows = next(self._computed(self.num_equations)) if self.cached else None

    def _blocks(self) -> Iterator[FloatArray]:
        """The scores, some rows at a time."""
        if self._rows is not None:
            yield self._rows
            return
        row_bytes = self._policy.num_params * self._policy.dtype.itemsize
        yield from self._computed(max(1, _BLOCK_BYTES // max(row_bytes, 1)))

    def _computed(self, block: int) -> Iterator[FloatArray]:
        policy, origin = self._policy, self._origin
        rows, actions = origin.rows, origin.actions
        assert actions is not None
        if origin.starts is None:  # rows can be processed on their own
            for first in range(0, len(rows), block):
                part = slice(first, first + block)
                yield policy.scores(rows[part], actions[part])
        else:
            yield policy.scores(rows, actions, starts=origin.starts)

    def multiply(self, v: object, damping: float) -> FloatArray | None:
        """Return (F + damping·I) v, (P,); None if ``v`` is not exactly a vector (P,) of the dtype."""
        policy = self._policy
        if type(v) is not np.ndarray or v.shape != (policy.num_params,) or v.dtype != policy.dtype:
            return None
        total = np.zeros(len(v))
        for scores in self._blocks():
            total += scores.T @ (scores @ v)
        product: FloatArray = (total / self.num_equations).astype(policy.dtype)
        if damping:
            product += damping * v
        return product

    def diagonal(self) -> FloatArray:
        """Return the diagonal of F, (P,)."""
        total = np.zeros(self._policy.num_params)
        for scores in self._blocks():
            total += np.square(scores, dtype=np.float64).sum(axis=0)
        return (total / self.num_equations).astype(self._policy.dtype)

    def sample_space(self) -> SampleSpace:
        """Return F as its factor R = S."""
        scores = np.concatenate([block.astype(np.float64) for block in self._blocks()])
        return SampleSpace([(scores, np.ones((len(scores), 1, 1)))], None, np.zeros((0, 0)))

    def solve(
        self,
        g: FloatArray,
        x0: FloatArray | None,
        *,
        rtol: float,
        atol: float,
        max_iter: int,
        damping: float,
        preconditioner: Preconditioner | None,
        callback: Callable[[FloatArray], object] | None,
    ) -> CGResult:
        """Solve (F + damping·I) x = g by conjugate gradient."""
        inverse: Callable[[FloatArray], FloatArray] | None
        if isinstance(preconditioner, np.ndarray):
            inverse = preconditioner.__mul__  # the diagonal of M⁻¹
        elif preconditioner is None or callable(preconditioner):
            inverse = preconditioner
        else:
            raise self._knows_no_layers()

        def times(v: FloatArray) -> FloatArray:
            return computed(self.multiply(v, 0.0))

        return conjugate_gradient(
            times,
            g,
            x0=x0,
            rtol=rtol,
            atol=atol,
            max_iter=max_iter,
            damping=damping,
            preconditioner=inverse,
            callback=callback,
        )

    def kronecker(self, damping: float) -> Preconditioner:
        """Raise a `ValueError`: rows of scores have no layers."""
        raise self._knows_no_layers()

    def _knows_no_layers(self) -> ValueError:
        return ValueError(
            f"preconditioner: expected 'diagonal' or None for {type(self._policy).__name__}, whose layers "
            "are not known, got 'kronecker'"
        )
