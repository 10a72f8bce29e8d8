"""The kernels in NumPy, written for speed; `pgcore.reference` is written to be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from pgcore.benchmarks.formulas import FORMULAS, Array, Layers, Operations, loops_over_rows
from pgcore.benchmarks.libraries import Run

_LONGEST = 100_000  # rows of a loop in Python


def _scan(c: Array | float, x: Array, forward: bool) -> Array:
    y, T = x.copy(), len(x)
    steps = range(1, T) if forward else range(T - 2, -1, -1)
    before = -1 if forward else 1
    for t in steps:
        y[t] += (c if isinstance(c, float) else c[t]) * y[t + before]
    return y


def _discounts(ends: Array, like: Array, gamma: float) -> Array:
    return np.where(ends, like.dtype.type(0.0), like.dtype.type(gamma))


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _one_hot(indices: Array, like: Array) -> Array:
    rows = np.zeros_like(like)
    rows[np.arange(len(rows)), indices] = 1.0
    return rows


def _pick(rows: Array, indices: Array) -> Array:
    return rows[np.arange(len(rows)), indices]


OPERATIONS = Operations(np, _scan, _discounts, _log_softmax, _one_hot, _pick)


def _segment_sums(x: Array, ends: Array) -> Array:
    """The cumulative sums of a long column with segments, without a loop."""
    sums = np.cumsum(x, dtype=np.float64)
    starts = np.flatnonzero(ends[:-1]) + 1
    lengths = np.diff(starts, append=len(x))
    sums[starts[0] if len(starts) else len(x) :] -= np.repeat(sums[starts - 1], lengths)
    return sums.astype(x.dtype)


def _vjp(layers: Layers, x: Array, cotangent: Array) -> list[tuple[Array, Array]]:
    inputs = [x]
    for w, b in layers[:-1]:
        inputs.append(np.tanh(inputs[-1] @ w.T + b))
    gradients: list[tuple[Array, Array]] = []
    for i in reversed(range(len(layers))):
        gradients.append((cotangent.T @ inputs[i], cotangent.sum(0)))
        if i > 0:
            cotangent = (cotangent @ layers[i][0]) * (1.0 - inputs[i] * inputs[i])
    return gradients[::-1]


def _jvp(layers: Layers, x: Array, tangents: Layers) -> Array:
    d_x: Any = 0.0
    for i, ((w, b), (d_w, d_b)) in enumerate(zip(layers, tangents, strict=True)):
        u, d_u = x @ w.T + b, x @ d_w.T + d_b
        if i > 0:
            d_u += d_x @ w.T
        if i < len(layers) - 1:
            x = np.tanh(u)
            d_x = (1.0 - x * x) * d_u
    return d_u


def _solve(matrix: Array, right: Array) -> Array:
    return np.linalg.solve(matrix, right)


_OWN: dict[str, Callable[..., Any]] = {"MLP.vjp": _vjp, "MLP.jvp": _jvp, "conjugate_gradient": _solve}


settings = nullcontext  # none


def runs(kernel: str, *data: Any) -> list[Run]:
    """See `pgcore.benchmarks.libraries.Library`."""
    if kernel in _OWN:
        return [partial(_OWN[kernel], *data)]
    if loops_over_rows(kernel, data) and len(data[0]) > _LONGEST:
        return [partial(_segment_sums, *data)] if kernel == "cumulative_log_ratios" else []
    return [partial(FORMULAS[kernel], OPERATIONS, *data)] if kernel in FORMULAS else []
