"""Products of importance ratios along segments, in logarithms, and the effective sample size."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference import _scaled
from pgcore.reference._arrays import AlongTime, FloatArray, cast, deliver, float_arrays


def cumulative_log_ratios(
    log_ratios: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    direction: str = "past",
    out: FloatArray | None = None,
) -> FloatArray:
    """Sums of log-ratios inside each segment: "past" Σ_{t'≤t}, "future" Σ_{t'>t}, "trajectory" all of them.

    See `pgcore.kernels.cumulative_log_ratios`; source: lecture part 4, the products of ρ_t.

    >>> cumulative_log_ratios([1.0, 2.0, 4.0], direction="future")
    array([6., 4., 0.])
    """
    a = AlongTime(log_ratios, ends=ends)
    (log_rho,), end, dtype = a.arrays, a.ends, a.dtype
    if direction not in ("past", "future", "trajectory"):
        raise ValueError(f"direction: expected 'past', 'future' or 'trajectory', got {direction!r}")

    sums = np.empty_like(log_rho)
    zero = np.zeros(log_rho.shape[1:], log_rho.dtype)
    if direction == "future":
        following = zero  # Σ_{t'≥t+1} inside the segment
        for t in reversed(range(len(log_rho))):
            sums[t] = np.where(end[t], zero, following)
            following = log_rho[t] + sums[t]
        return deliver(cast(dtype, sums), out)

    running, segment_starts = zero, np.ones_like(zero, dtype=bool)
    for t in range(len(log_rho)):
        running = np.where(segment_starts, zero, running) + log_rho[t]
        sums[t] = running
        segment_starts = end[t]
    if direction == "trajectory":  # every step of a segment takes the past sum of the segment's last step
        for t in reversed(range(len(log_rho) - 1)):
            sums[t] = np.where(end[t], sums[t], sums[t + 1])
    return deliver(cast(dtype, sums), out)


def weighted_reward_to_go(
    rewards: ArrayLike,
    log_ratios: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Reward-to-go with each later reward weighted: G_t = r_t + γ·(bootstrap_t if end else ρ_{t+1} G_{t+1}).

    See `pgcore.kernels.weighted_reward_to_go`; source: lecture part 4; Precup et al. 2000 (per-decision).

    >>> weighted_reward_to_go([1.0, 1.0], [0.0, np.log(2.0)])
    array([3., 1.])
    """
    a = AlongTime(rewards, log_ratios, coefficients=(gamma,), ends=ends, bootstrap_values=bootstrap_values)
    (r, log_rho), (discount,) = a.arrays, a.coefficients
    rho = _scaled.exp(log_rho)

    returns = np.empty_like(r)
    weighted = _scaled.scaled(np.zeros(r.shape[1:]))  # ρ_{t+1} G_{t+1}
    for t in reversed(range(len(r))):
        following = _scaled.where(a.ends[t], _scaled.scaled(a.bootstrap_values[t]), weighted)
        total = _scaled.plus(_scaled.scaled(r[t]), _scaled.times(_scaled.scaled(discount[t]), following))
        returns[t] = total.to_floats()
        weighted = _scaled.times(_scaled.Scaled(rho.m[t], rho.e[t]), total)
    return deliver(cast(a.dtype, returns), out)


def effective_sample_size(log_weights: ArrayLike, *, out: FloatArray | None = None) -> float | FloatArray:
    """Kish's effective number of samples, (Σw)²/Σw² over the first axis, for weights given by their logs.

    See `pgcore.kernels.effective_sample_size`; source: Kish 1965, section 11.7.

    >>> effective_sample_size([0.0, 0.0, -np.inf])
    2.0
    """
    (log_w,) = float_arrays(log_weights)
    columns = log_w[:, None] if log_w.ndim == 1 else log_w
    sizes = np.array([_effective_sample_size(column) for column in columns.T], dtype=log_w.dtype)
    return float(sizes[0]) if log_w.ndim == 1 else deliver(sizes, out)


def _effective_sample_size(log_w: FloatArray) -> float:
    if len(log_w) == 0 or np.all(log_w == -np.inf):
        return 0.0
    largest = np.max(log_w)  # the ratio is the same for weights divided by their largest
    if largest == np.inf:
        return float(np.sum(log_w == np.inf))
    with np.errstate(over="ignore"):  # so far below the largest that it is 0
        w = np.exp(log_w.astype(np.float64) - largest)
    return float(np.sum(w) ** 2 / np.sum(w**2))
