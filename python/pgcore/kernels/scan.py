"""Backward recursions over time: reward-to-go, generalised advantages, V-trace.

Time is the first axis, ``(T,)`` or ``(T, N)`` for N parallel columns. ``ends`` is true at the last step
of every episode segment (the last row always is one), and ``bootstrap_values`` holds, at ends, the value of
the observation after a truncated segment: 0 if the episode terminated there. Segments never influence one
another.

In float32 a sum is carried in double where its discount (γ, for `gae` γλ) exceeds 1 − 1/256 in size, so that
after millions of steps only the result is rounded. With a smaller discount it is carried in float32: rewards
more than some 256 steps away lose their weight, and so do their rounding errors; the error is about 1e-5 of
the sum of the rewards' sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import (
    FloatArray,
    check_shape,
    end_flags,
    float_arrays,
    output,
    overlaps,
    real,
)
from pgcore._dispatch import core


def reward_to_go(
    rewards: ArrayLike,
    gamma: float = 1.0,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Discounted sum of the rewards from each step to the end of its segment.

    G_t = r_t + γ·(bootstrap_t if end else G_{t+1})

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    gamma : float
        Discount γ per step; any finite number.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values that follow the segments, read only at ends; one row belongs to the last row. 0 by default.
    out : like rewards, of the result's dtype, optional
        Where to write the result; it may be `rewards` itself.

    Returns
    -------
    (T,) or (T, N)
        The returns G_t.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
    ValueError
        If shapes disagree, `ends` holds other integers, or `gamma` is not finite.

    References
    ----------
    Lecture part 3, reward-to-go. Sutton & Barto 2018, equation 3.9.

    Examples
    --------
    >>> reward_to_go([1.0, 2.0, 3.0], 0.5)
    array([2.75, 3.5 , 3.  ])
    >>> reward_to_go([1.0, 1.0, 1.0], ends=[True, False, False], bootstrap_values=10.0)
    array([ 1., 12., 11.])
    """
    r, bootstrap = float_arrays(
        ("rewards", "bootstrap_values"), (rewards, bootstrap_values), last_optional=True
    )
    gamma = real("gamma", gamma)
    result = output("out", out, r.shape, r.dtype)
    end = end_flags(ends, r.shape)
    # The kernel reads rows again after it has written others, so they must not share memory.
    target = np.empty_like(r) if out is not None and overlaps(out, r, end, bootstrap) else result
    core().reward_to_go(r, end, bootstrap, gamma, target)
    if target is not result:
        result[...] = target
    return result


def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    gamma: float,
    lam: float,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Generalised advantage estimation, and the value targets that belong to it.

    δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t;
    A_t = δ_t + γλ·(0 if end else A_{t+1});
    targets_t = A_t + v_t

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    values : like rewards
        Values v_t of the states (or observations) in which the actions were taken.
    gamma, lam : float
        Discount γ and trace decay λ per step; any finite numbers. λ = 0 gives the one-step temporal
        difference, λ = 1 the reward-to-go minus the value.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values that follow the segments, read only at ends; one row belongs to the last row. 0 by default.

    Returns
    -------
    advantages, value_targets : (T,) or (T, N)
        A_t, and the λ-returns A_t + v_t.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, `ends` holds other integers, or `gamma` or `lam` is not finite.

    References
    ----------
    Schulman et al. 2016, *High-dimensional continuous control using generalized advantage estimation*,
    equations 11, 12 and 16.

    Examples
    --------
    >>> gae([1.0, 1.0], [0.5, 0.5], gamma=1.0, lam=1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    r, v, bootstrap = float_arrays(
        ("rewards", "values", "bootstrap_values"), (rewards, values, bootstrap_values), last_optional=True
    )
    gamma, lam = real("gamma", gamma), real("lam", lam)
    check_shape("values", v, r.shape)
    advantages, value_targets = np.empty_like(r), np.empty_like(r)
    end = end_flags(ends, r.shape)
    core().gae(r, v, end, bootstrap, gamma, lam, advantages, value_targets)
    return advantages, value_targets


def vtrace(
    rewards: ArrayLike,
    values: ArrayLike,
    log_ratios: ArrayLike,
    gamma: float,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    rho_clip: float | None = 1.0,
    c_clip: float | None = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """V-trace: policy-gradient advantages and value targets from another policy's data.

    ρ̄_t = min(rho_clip, ρ_t), c̄_t = min(c_clip, ρ_t), δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t;
    vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
    adv_t = ρ̄_t (r_t + γ·(bootstrap_t if end else vs_{t+1}) − v_t)

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    values : like rewards
        Values v_t under the policy π that is being evaluated.
    log_ratios : like rewards
        log ρ_t = log π(a_t|s_t) − log μ(a_t|s_t) for the policy μ that acted.
    gamma : float
        Discount γ per step; any finite number.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values that follow the segments, read only at ends; one row belongs to the last row. 0 by default.
    rho_clip, c_clip : float or None
        Upper limits of the ratios, not negative; `None` is no limit.

    Returns
    -------
    advantages, value_targets : (T,) or (T, N)
        The advantages that multiply ∇ log π in the policy gradient, and vs_t: the order of `gae`. Ratios, and
        products of them along a segment, may leave the range of floats where these don't; a temporal
        difference of exactly 0 adds exactly nothing.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, `ends` holds other integers, `gamma` is not finite, or a limit is negative.

    References
    ----------
    Espeholt et al. 2018, *IMPALA*, equation 1, remark 1 and section 4.2.

    Examples
    --------
    >>> vtrace([1.0, 1.0], [0.5, 0.5], [0.0, 0.0], gamma=1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    r, v, log_rho, bootstrap = float_arrays(
        ("rewards", "values", "log_ratios", "bootstrap_values"),
        (rewards, values, log_ratios, bootstrap_values),
        last_optional=True,
    )
    gamma = real("gamma", gamma)
    options = core().VtraceOptions(gamma, _limit("rho_clip", rho_clip), _limit("c_clip", c_clip))
    check_shape("values", v, r.shape)
    check_shape("log_ratios", log_rho, r.shape)
    advantages, value_targets = np.empty_like(r), np.empty_like(r)
    end = end_flags(ends, r.shape)
    core().vtrace(r, v, log_rho, end, bootstrap, options, advantages, value_targets)
    return advantages, value_targets


def _limit(name: str, clip: float | None) -> float:
    return float("inf") if clip is None else real(name, clip, minimum=0.0, or_infinite=True)
