"""Products of importance ratios along segments, in logarithms, and the effective sample size.

With ρ_t = π(a_t|s_t)/μ(a_t|s_t) a product of ratios is a sum of log-ratios: products over hundreds of steps
leave the range of floats long before their logarithms do. Shapes and ``ends`` are those of `scan`.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import FloatArray
from pgcore.kernels.coercion import along_time, computed, delivered


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
    exact = _dispatch.compiled.cumulative_log_ratios(log_ratios, ends, direction, out)
    if exact is not None:
        return exact
    if not isinstance(direction, str) or direction not in ("past", "future", "trajectory"):
        raise ValueError(f"direction: expected 'past', 'future' or 'trajectory', got {direction!r}")
    a = along_time({"log_ratios": log_ratios}, ends=ends)
    sums = _dispatch.compiled.cumulative_log_ratios(a["log_ratios"], a["ends"], direction, None)
    return delivered(computed(sums), out)


def weighted_reward_to_go(
    rewards: ArrayLike,
    log_ratios: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Reward-to-go under another policy: every later reward weighted by the ratios between it and now.

    G_t = r_t + γ·(bootstrap_t if end else ρ_{t+1} G_{t+1})

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    log_ratios : like rewards
        log ρ_t = log π(a_t|s_t) − log μ(a_t|s_t); those of first steps of segments are not read.
    gamma : float, or like rewards
        Discount γ per step, any finite number; or γ_t, which discounts what follows step t.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values (under π) that follow the segments, read only at ends; one row belongs to the last row. 0 by
        default.
    out : like rewards, of the result's dtype, optional
        Where to write the result; it may be an input.

    Returns
    -------
    (T,) or (T, N)
        The weighted returns G_t, in which r_{t'} has the weight γ^{t'−t} Π_{t<k≤t'} ρ_k. Ratios and their
        products may leave the range of floats where G_t doesn't.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
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
    compute = _dispatch.compiled.weighted_reward_to_go
    exact = compute(rewards, log_ratios, gamma, ends, bootstrap_values, out)
    if exact is not None:
        return exact
    a = along_time(
        {"rewards": rewards, "log_ratios": log_ratios},
        {"gamma": gamma},
        ends=ends,
        bootstrap_values=bootstrap_values,
    )
    returns = compute(a["rewards"], a["log_ratios"], a["gamma"], a["ends"], a["bootstrap_values"], None)
    return delivered(computed(returns), out)


def effective_sample_size(log_weights: ArrayLike, *, out: FloatArray | None = None) -> float | FloatArray:
    """Kish's effective number of samples of importance weights given by their logarithms.

    n_eff = (Σ_i w_i)²/Σ_i w_i², over the first axis: n for equal weights, 1 if one outweighs all others

    Only differences of log-weights matter, so none is too large or too small. If weights are infinite, they
    share the whole weight equally; without any weight (no samples, or all weights zero) n_eff is 0.

    Parameters
    ----------
    log_weights : (T,) or (T, N)
        log w_i.
    out : (N,), of the result's dtype, optional
        Where to write the result of several columns.

    Returns
    -------
    float or (N,)
        One number for each column.

    Raises
    ------
    TypeError
        If `log_weights` holds no real numbers, or `out` has another dtype than the result.
    ValueError
        If it has any other number of dimensions, or `out` is given for one column: its result is a float.

    References
    ----------
    Kish 1965, *Survey sampling*, section 11.7; Owen 2013, *Monte Carlo theory, methods and examples*,
    equation 9.13.

    Examples
    --------
    >>> effective_sample_size([0.0, 0.0, -float("inf")])
    2.0
    """
    exact = _dispatch.compiled.effective_sample_size(log_weights, out)
    if exact is not None:
        return exact
    a = along_time({"log_weights": log_weights})
    sizes = _dispatch.compiled.effective_sample_size(a["log_weights"], None)
    if not isinstance(sizes, float):
        return delivered(computed(sizes), out)
    if out is not None:
        raise ValueError("out: expected None for log-weights of shape (T,), got an array")
    return sizes
