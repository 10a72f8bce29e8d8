"""Independent ways to the same numbers, and awkward forms of the same array.

Nothing here shares code with the package: sums are written out in O(T²), derivatives come from fourth-order
differences or from HIPS autograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

TOLERANCE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-4}


# ---- comparing ----


def assert_close(actual: Any, expected: Any, tolerance: float | None = None) -> None:
    """Equal to `tolerance` relative to the largest magnitude, with NaN and infinities in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape} is not {expected.shape}"
    if tolerance is None:
        tolerance = TOLERANCE[actual.dtype]
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    a, e = actual[finite].astype(np.float64), expected[finite].astype(np.float64)
    assert np.isfinite(a).all(), f"not finite: {a[~np.isfinite(a)][:5]}"
    if len(a) == 0:
        return
    scale = np.max(np.abs(e))
    worst = np.max(np.abs(a - e))
    assert worst <= tolerance * scale, f"off by {worst / scale if scale else worst:.3g} relative to the norm"


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Equal to the last bit, NaN payloads and signs of zero included."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes(), f"{np.sum(actual != expected)} elements differ"


# ---- sums along time, written out ----


def segments(ends: np.ndarray | None, num_rows: int) -> Iterator[range]:
    """The rows of each episode segment of one column; the last row always ends one."""
    start = 0
    for t in range(num_rows):
        if t == num_rows - 1 or (ends is not None and ends[t]):
            yield range(start, t + 1)
            start = t + 1


def by_column(f: Callable[..., tuple[np.ndarray, ...]], *arrays: np.ndarray | None) -> Any:
    """Apply a function of 1-D arrays to every column of arrays (T,) or (T, N); `None` is passed on."""
    first = arrays[0]
    assert first is not None
    if first.ndim == 1:
        return f(*arrays)
    columns = [
        f(*(None if array is None else array[:, n] for array in arrays)) for n in range(first.shape[1])
    ]
    if not columns:
        return tuple(np.zeros(first.shape) for _ in range(2))
    return tuple(np.stack(column, axis=1) for column in zip(*columns, strict=True))


def full_bootstrap_values(bootstrap: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Tails of every row, from nothing, from one row or from all rows."""
    result = np.zeros(shape)
    if bootstrap is not None and shape[0] > 0:
        bootstrap = np.asarray(bootstrap, dtype=float)
        if bootstrap.shape == shape:
            result[...] = bootstrap
        else:
            result[-1] = bootstrap
    return result


def reward_to_go_sums(
    rewards: np.ndarray, gamma: float, ends: np.ndarray | None = None, bootstrap: Any = None
) -> np.ndarray:
    """Σ_{k ≥ t} γ^{k−t} r_k + γ^{n−t} bootstrap, for a segment whose rows end before n."""

    def column(r: np.ndarray, end: np.ndarray | None, bootstrap: np.ndarray) -> tuple[np.ndarray]:
        g = np.zeros(len(r))
        for segment in segments(end, len(r)):
            for t in segment:
                g[t] = math.fsum(gamma ** (k - t) * r[k] for k in range(t, segment.stop))
                g[t] += gamma ** (segment.stop - t) * bootstrap[segment.stop - 1]
        return (g,)

    rewards = np.asarray(rewards, dtype=float)
    return by_column(column, rewards, ends, full_bootstrap_values(bootstrap, rewards.shape))[0]


def gae_sums(
    rewards: np.ndarray,
    values: np.ndarray,
    gamma: float,
    lam: float,
    ends: np.ndarray | None = None,
    bootstrap: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A_t = Σ_{k ≥ t} (γλ)^{k−t} δ_k inside the segment, and A + v."""

    def column(
        r: np.ndarray, v: np.ndarray, end: np.ndarray | None, bootstrap: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a = np.zeros(len(r))
        for segment in segments(end, len(r)):
            following = [*v[segment.start + 1 : segment.stop], bootstrap[segment.stop - 1]]
            delta = [r[t] + gamma * after - v[t] for t, after in zip(segment, following, strict=True)]
            for i, t in enumerate(segment):
                a[t] = math.fsum((gamma * lam) ** k * d for k, d in enumerate(delta[i:]))
        return a, a + v

    rewards, values = np.asarray(rewards, dtype=float), np.asarray(values, dtype=float)
    return by_column(column, rewards, values, ends, full_bootstrap_values(bootstrap, rewards.shape))


def vtrace_sums(
    rewards: np.ndarray,
    values: np.ndarray,
    log_ratios: np.ndarray,
    gamma: float,
    ends: np.ndarray | None = None,
    bootstrap: Any = None,
    rho_clip: float | None = 1.0,
    c_clip: float | None = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """vs_t = v_t + Σ_{k ≥ t} γ^{k−t} (Π_{t ≤ i < k} c̄_i) ρ̄_k δ_k, as in equation 1 of Espeholt et al."""
    rho_limit = math.inf if rho_clip is None else rho_clip
    c_limit = math.inf if c_clip is None else c_clip

    def column(
        r: np.ndarray, v: np.ndarray, log_rho: np.ndarray, end: np.ndarray | None, bootstrap: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        targets, advantages = np.zeros(len(r)), np.zeros(len(r))
        rho = [min(rho_limit, math.exp(x)) for x in log_rho]
        c = [min(c_limit, math.exp(x)) for x in log_rho]
        for segment in segments(end, len(r)):
            last = segment.stop - 1
            following = {t: (v[t + 1] if t < last else bootstrap[last]) for t in segment}
            for t in segment:
                targets[t] = v[t] + math.fsum(
                    gamma ** (k - t)
                    * math.prod(c[i] for i in range(t, k))
                    * rho[k]
                    * (r[k] + gamma * following[k] - v[k])
                    for k in range(t, segment.stop)
                )
            for t in segment:
                after = targets[t + 1] if t < last else bootstrap[last]
                advantages[t] = rho[t] * (r[t] + gamma * after - v[t])
        return advantages, targets

    arrays = [np.asarray(x, dtype=float) for x in (rewards, values, log_ratios)]
    return by_column(column, *arrays, ends, full_bootstrap_values(bootstrap, arrays[0].shape))


def cumulative_sums(log_ratios: np.ndarray, ends: np.ndarray | None, direction: str) -> np.ndarray:
    """Sums over the past (included), the future (excluded) or all of each segment."""

    def column(x: np.ndarray, end: np.ndarray | None) -> tuple[np.ndarray]:
        sums = np.zeros(len(x))
        for segment in segments(end, len(x)):
            for t in segment:
                rows = {
                    "past": range(segment.start, t + 1),
                    "future": range(t + 1, segment.stop),
                    "trajectory": segment,
                }[direction]
                sums[t] = math.fsum(x[k] for k in rows)
        return (sums,)

    return by_column(column, np.asarray(log_ratios, dtype=float), ends)[0]


def weighted_reward_to_go_sums(
    rewards: np.ndarray,
    log_ratios: np.ndarray,
    gamma: float,
    ends: np.ndarray | None = None,
    bootstrap: Any = None,
) -> np.ndarray:
    """Σ_{k ≥ t} γ^{k−t} (Π_{t < i ≤ k} ρ_i) r_k, and the bootstrap value with the last row's weight."""

    def column(
        r: np.ndarray, log_rho: np.ndarray, end: np.ndarray | None, bootstrap: np.ndarray
    ) -> tuple[np.ndarray]:
        g = np.zeros(len(r))
        for segment in segments(end, len(r)):
            for t in segment:
                weight = [
                    gamma ** (k - t) * math.exp(math.fsum(log_rho[t + 1 : k + 1]))
                    for k in range(t, segment.stop)
                ]
                g[t] = math.fsum(w * x for w, x in zip(weight, r[t : segment.stop], strict=True))
                g[t] += gamma * weight[-1] * bootstrap[segment.stop - 1]
        return (g,)

    arrays = [np.asarray(x, dtype=float) for x in (rewards, log_ratios)]
    return by_column(column, *arrays, ends, full_bootstrap_values(bootstrap, arrays[0].shape))[0]


# ---- derivatives ----


def finite_difference(f: Callable[[np.ndarray], Any], x: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Fourth-order differences of f along every element of x: f's shape, then x's."""
    x = np.array(x, dtype=np.float64)
    columns = []
    for k in range(x.size):
        offset = np.zeros(x.size)
        offset[k] = step
        offset = offset.reshape(x.shape)
        near = np.asarray(f(x + offset)) - np.asarray(f(x - offset))
        far = np.asarray(f(x + 2 * offset)) - np.asarray(f(x - 2 * offset))
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1).reshape(columns[0].shape + x.shape)


@primitive
def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


defvjp(erf, lambda ans, x: lambda g: g * 2.0 / math.sqrt(math.pi) * anp.exp(-(x**2)))

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": anp.tanh,
    "relu": lambda u: anp.maximum(u, 0.0),
    "gelu": lambda u: 0.5 * u * (1.0 + erf(u / math.sqrt(2.0))),
    "identity": lambda u: u,
}


def mlp(sizes: list[int], activation: str) -> Callable[[Any, Any], Any]:
    """A network f(theta, x) that autograd can differentiate, torch's parameter order."""

    def f(theta: Any, x: Any) -> Any:
        start = 0
        for layer in range(1, len(sizes)):
            n_in, n_out = sizes[layer - 1], sizes[layer]
            weight = anp.reshape(theta[start : start + n_in * n_out], (n_out, n_in))
            start += n_in * n_out
            x = anp.dot(x, weight.T) + theta[start : start + n_out]
            start += n_out
            if layer < len(sizes) - 1:
                x = ACTIVATIONS[activation](x)
        return x

    return f


def gaussian_log_prob(actions: Any, mean: Any, covariance: Any) -> Any:
    """Log-density rows by the determinant and the inverse of the covariance (A, A)."""
    deviation = actions - mean
    squares = anp.sum(deviation * anp.dot(deviation, anp.linalg.inv(covariance)), axis=1)
    return -0.5 * squares - 0.5 * anp.linalg.slogdet(2.0 * math.pi * covariance)[1]


def gaussian_kl(mean_p: Any, covariance_p: Any, mean_q: Any, covariance_q: Any) -> Any:
    """KL(p‖q) rows by traces, inverses and determinants."""
    inverse = np.linalg.inv(covariance_q)
    shift = mean_q - mean_p
    log_det = np.linalg.slogdet(covariance_q)[1] - np.linalg.slogdet(covariance_p)[1]
    squares = np.sum(shift * (shift @ inverse), axis=1)
    return 0.5 * (np.trace(inverse @ covariance_p) + squares - mean_p.shape[1] + log_det)


# ---- awkward arrays ----


def strided(x: np.ndarray) -> np.ndarray:
    """Every other element of every axis of something larger, with NaN (or 77) between."""
    larger = np.full(tuple(2 * n + 1 for n in x.shape), 77).astype(x.dtype)
    if x.dtype.kind == "f":
        larger[...] = np.nan
    view = larger[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def reversed_memory(x: np.ndarray) -> np.ndarray:
    """The same values, with negative strides."""
    flip = tuple(slice(None, None, -1) for _ in x.shape)
    return np.ascontiguousarray(x[flip])[flip]


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def misaligned(x: np.ndarray) -> np.ndarray:
    """The same values at an address that is no multiple of the item's size."""
    memory = np.empty(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def shifted(x: np.ndarray, items: int) -> np.ndarray:
    """A contiguous copy that starts `items` items after an address that is a multiple of 64."""
    memory = np.empty(x.nbytes + 128 + items * x.itemsize, np.uint8)
    start = -memory.ctypes.data % 64 + items * x.itemsize
    view = memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def byte_swapped(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder())


AWKWARD: dict[str, Callable[[np.ndarray], Any]] = {
    "strided": strided,
    "reversed": reversed_memory,
    "fortran": np.asfortranarray,
    "read_only": read_only,
    "misaligned": misaligned,
    "byte_swapped": byte_swapped,
}
