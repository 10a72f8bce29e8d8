"""`SampleSpace`: systems with a Fisher matrix, solved by an equation for each sample, not each parameter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SampleSpace"]

Float64Array = NDArray[np.float64]

_REFINEMENTS = 2


class SampleSpace:
    r"""The Fisher matrix as F = Rᵀ R/B, where R has a row for each step (for the exact form: and output).

    In a layer, a row is δ ĥᵀ with ĥ = (h, 1), so that products with R and Rᵀ, and R Rᵀ with its entries
    (δ·δ')(ĥ·ĥ'), need no rows. Everything is in float64.

    Parameters
    ----------
    layers
        ĥ, shape (B, in + 1), and δ, shape (B, roots, out), of each layer. Rows that are known as such,
        (B, P), are a layer with one δ of 1.
    free_rows
        The part of the rows that follows the network's, shape (B, F); None if it has a block of its own.
    free_block
        That block, shape (F, F); of zeros if it belongs to the rows.
    """

    def __init__(
        self,
        layers: list[tuple[Float64Array, Float64Array]],
        free_rows: Float64Array | None,
        free_block: Float64Array,
    ) -> None:
        self._layers, self._free_rows, self._block = layers, free_rows, free_block
        self._num_rows, self._num_roots = layers[0][1].shape[:2]

    def solve(self, g: Float64Array, damping: float) -> Float64Array:
        """Return x with (F + damping·I) x = g; not-a-number if R is not finite or the damping vanishes."""
        size = self._num_rows * self._num_roots
        gram = self._gram().reshape(size, size) / self._num_rows + damping * np.eye(size)
        if not (np.isfinite(gram).all() and np.isfinite(self._block).all()):
            return np.full_like(g, np.nan)
        block = self._block + damping * np.eye(len(self._block))
        num_free = len(block)

        def woodbury(rhs: Float64Array) -> Float64Array:
            y = np.linalg.solve(gram, self._rows_times(rhs).ravel() / self._num_rows)
            rest = self._rows_transposed_times(y.reshape(self._num_rows, self._num_roots))
            x: Float64Array = (rhs - rest) / damping
            if self._free_rows is None and num_free:  # they have a block of their own
                x[-num_free:] = np.linalg.solve(block, rhs[-num_free:])
            return x

        # With small damping nearly all of the difference cancels: what is missing is solved for again.
        try:
            x = woodbury(g)
            for _ in range(_REFINEMENTS):
                x += woodbury(g - self._times(x) - damping * x)
        except np.linalg.LinAlgError:  # the damping was lost in rounding
            return np.full_like(g, np.nan)
        return x

    def _times(self, x: Float64Array) -> Float64Array:
        """F x."""
        product: Float64Array = self._rows_transposed_times(self._rows_times(x)) / self._num_rows
        if self._free_rows is None and len(self._block):
            product[-len(self._block) :] = self._block @ x[-len(self._block) :]
        return product

    def _gram(self) -> Float64Array:
        """R Rᵀ, shape (B, roots, B, roots)."""
        gram = np.zeros((self._num_rows, self._num_roots) * 2)
        for h, delta in self._layers:
            gram += np.tensordot(delta, delta, (2, 2)) * (h @ h.T)[:, None, :, None]
        if self._free_rows is not None:
            gram += (self._free_rows @ self._free_rows.T)[:, None, :, None]
        return gram

    def _rows_times(self, v: Float64Array) -> Float64Array:
        """R v, shape (B, roots)."""
        product = np.zeros((self._num_rows, self._num_roots))
        start = 0
        for h, delta in self._layers:
            rows, columns = delta.shape[2], h.shape[1]
            weight, bias = np.split(v[start : start + rows * columns], [rows * (columns - 1)])
            matrix = np.column_stack([weight.reshape(rows, columns - 1), bias])
            product += np.einsum("iko,io->ik", delta, h @ matrix.T)
            start += rows * columns
        if self._free_rows is not None:
            product += (self._free_rows @ v[start:])[:, None]
        return product

    def _rows_transposed_times(self, y: Float64Array) -> Float64Array:
        """Rᵀ y, shape (P,)."""
        parts = []
        for h, delta in self._layers:
            matrix = np.einsum("iko,ik->oi", delta, y) @ h
            parts += [matrix[:, :-1].ravel(), matrix[:, -1]]
        free = np.zeros(len(self._block)) if self._free_rows is None else y[:, 0] @ self._free_rows
        return np.concatenate([*parts, free])
