"""Products of importance ratios along segments, in logarithms, and the effective sample size.

With ρ_t = π(a_t|s_t)/μ(a_t|s_t) a product of ratios is a sum of log-ratios: products over hundreds of steps
leave the range of floats long before their logarithms do. Shapes and ``ends`` are those of `scan`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import (
    FloatArray,
    check_shape,
    end_flags,
    float_array,
    float_arrays,
    output,
    overlaps,
    real,
)
from pgcore._dispatch import core

_DIRECTIONS = {"past": 0, "future": 1, "trajectory": 2}


def cumulative_log_ratios(
    log_ratios: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    direction: str = "past",
    out: FloatArray | None = None,
) -> FloatArray:
    """Sums of log-ratios inside each segment, at every step: the logs of products of importance ratios.

    "past": Σ_{t'≤t} log ρ_{t'}; "future": Σ_{t'>t} log ρ_{t'}; "trajectory": Σ over the whole segment

    Parameters
    ----------
    log_ratios : (T,) or (T, N)
        log ρ_t = log π(a_t|s_t) − log μ(a_t|s_t).
    ends : like log_ratios, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    direction : "past", "future" or "trajectory"
        Which steps of its segment each step sums over.
    out : like log_ratios, of the result's dtype, optional
        Where to write the result; it may be `log_ratios` itself.

    Returns
    -------
    (T,) or (T, N)
        The sums, accumulated in double.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
    ValueError
        If shapes disagree, `ends` holds other integers, or `direction` is none of the three.

    References
    ----------
    Lecture part 4, off-policy gradients: Π_{t'≤t} ρ_{t'} weighs the past, Π_{t'>t} ρ_{t'} the future.

    Examples
    --------
    >>> cumulative_log_ratios([1.0, 2.0, 4.0])
    array([1., 3., 7.])
    >>> cumulative_log_ratios([1.0, 2.0, 4.0], ends=[0, 1, 1], direction="future")
    array([2., 0., 0.])
    """
    log_rho = float_array("log_ratios", log_ratios)
    code = _DIRECTIONS.get(direction) if isinstance(direction, str) else None
    if code is None:
        raise ValueError(f"direction: expected 'past', 'future' or 'trajectory', got {direction!r}")
    result = output("out", out, log_rho.shape, log_rho.dtype)
    end = end_flags(ends, log_rho.shape)
    # The kernel reads rows again after it has written others, so they must not share memory.
    target = np.empty_like(log_rho) if out is not None and overlaps(out, log_rho, end) else result
    core().cumulative_log_ratios(log_rho, end, code, target)
    if target is not result:
        result[...] = target
    return result


def weighted_reward_to_go(
    rewards: ArrayLike,
    log_ratios: ArrayLike,
    gamma: float = 1.0,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
) -> FloatArray:
    """Reward-to-go under another policy: every later reward weighted by the ratios between it and now.

    G_t = r_t + γ·(bootstrap_t if end else ρ_{t+1} G_{t+1})

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    log_ratios : like rewards
        log ρ_t = log π(a_t|s_t) − log μ(a_t|s_t); those of first steps of segments are not read.
    gamma : float
        Discount γ per step; any finite number.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values (under π) that follow the segments, read only at ends; one row belongs to the last row. 0 by
        default.

    Returns
    -------
    (T,) or (T, N)
        The weighted returns G_t, in which r_{t'} has the weight γ^{t'−t} Π_{t<k≤t'} ρ_k. Ratios and their
        products may leave the range of floats where G_t doesn't.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, `ends` holds other integers, or `gamma` is not finite.

    References
    ----------
    Lecture part 4, the reward-to-go with its future weights. Precup, Sutton & Singh 2000,
    *Eligibility traces for off-policy policy evaluation*, section 3 (per-decision importance sampling).

    Examples
    --------
    >>> weighted_reward_to_go([1.0, 1.0], [0.0, 0.0], 0.5)
    array([1.5, 1. ])
    """
    r, log_rho, bootstrap = float_arrays(
        ("rewards", "log_ratios", "bootstrap_values"),
        (rewards, log_ratios, bootstrap_values),
        last_optional=True,
    )
    gamma = real("gamma", gamma)
    check_shape("log_ratios", log_rho, r.shape)
    result: FloatArray = np.empty_like(r)
    end = end_flags(ends, r.shape)
    core().weighted_reward_to_go(r, log_rho, end, bootstrap, gamma, result)
    return result


def effective_sample_size(log_weights: ArrayLike) -> float | FloatArray:
    """Kish's effective number of samples of importance weights given by their logarithms.

    n_eff = (Σ_i w_i)²/Σ_i w_i², over the first axis: n for equal weights, 1 if one outweighs all others

    Only differences of log-weights matter, so none is too large or too small. If weights are infinite, they
    share the whole weight equally; without any weight (no samples, or all weights zero) n_eff is 0.

    Parameters
    ----------
    log_weights : (T,) or (T, N)
        log w_i.

    Returns
    -------
    float or (N,)
        One number for each column.

    Raises
    ------
    TypeError
        If `log_weights` holds no real numbers.
    ValueError
        If it has any other number of dimensions.

    References
    ----------
    Kish 1965, *Survey sampling*, section 11.7; Owen 2013, *Monte Carlo theory, methods and examples*,
    equation 9.13.

    Examples
    --------
    >>> effective_sample_size([0.0, 0.0, -float("inf")])
    2.0
    """
    log_w = float_array("log_weights", log_weights)
    sizes: FloatArray = np.empty(log_w.shape[1:] or (1,), log_w.dtype)
    core().effective_sample_size(log_w, sizes)
    if log_w.ndim == 1:
        return float(sizes[0])
    return sizes
