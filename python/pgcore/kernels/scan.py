"""Backward recursions over time: reward-to-go, generalised advantages, V-trace.

Time is the first axis, ``(T,)`` or ``(T, N)`` for N parallel columns. ``ends`` is true at the last step
of every episode piece (the last row always is one), and ``tail_values`` holds, at ends, the value of what
follows a piece that was cut short: 0 if the episode terminated there. Pieces never influence one another.

In float32 a sum is carried in double where its discount (γ, for `gae` γλ) exceeds 1 − 1/256 in size, so that
after millions of steps only the result is rounded. With a smaller discount it is carried in float32: what is
older than some 256 steps is forgotten with its rounding errors, about 1e-5 of the sum of the rewards' sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore._dispatch import core
from pgcore.kernels._coerce import (
    FloatArray,
    check_shape,
    columns,
    cuts,
    float_arrays,
    output,
    overlaps,
    real,
)


def reward_to_go(
    rewards: ArrayLike,
    gamma: float = 1.0,
    *,
    ends: ArrayLike | None = None,
    tail_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Discounted sum of the rewards from each step to the end of its piece.

    G_t = r_t + γ·(tail_t if end else G_{t+1})

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    gamma : float
        Discount γ per step; any finite number.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each piece; by default only the last row is one.
    tail_values : like rewards, or like one row of it, optional
        Values that follow the pieces, read only at ends; one row belongs to the last row. 0 by default.
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
    >>> reward_to_go([1.0, 1.0, 1.0], ends=[True, False, False], tail_values=10.0)
    array([ 1., 12., 11.])
    """
    r, tail = float_arrays(("rewards", "tail_values"), (rewards, tail_values), last_optional=True)
    gamma = real("gamma", gamma)
    result = output("out", out, r.shape, r.dtype)
    end, tail = cuts(ends, tail, r.shape)
    # The kernel reads rows again after it has written others, so what shares memory is computed aside.
    target = np.empty_like(r) if out is not None and overlaps(out, r, end, tail) else result
    r, columns_out = columns("rewards", r, target)
    core().reward_to_go(r, end, tail, gamma, columns_out)
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
    tail_values: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Generalised advantage estimation, and the value targets that belong to it.

    δ_t = r_t + γ·(tail_t if end else v_{t+1}) − v_t;
    A_t = δ_t + γλ·(0 if end else A_{t+1});
    targets_t = A_t + v_t

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    values : like rewards
        Values v_t of the states (or observations) the rewards were earned in.
    gamma, lam : float
        Discount γ and trace decay λ per step; any finite numbers. λ = 0 gives the one-step temporal
        difference, λ = 1 the reward-to-go minus the value.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each piece; by default only the last row is one.
    tail_values : like rewards, or like one row of it, optional
        Values that follow the pieces, read only at ends; one row belongs to the last row. 0 by default.

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
    r, v, tail = float_arrays(
        ("rewards", "values", "tail_values"), (rewards, values, tail_values), last_optional=True
    )
    gamma, lam = real("gamma", gamma), real("lam", lam)
    check_shape("values", v, r.shape)
    advantages, value_targets = np.empty_like(r), np.empty_like(r)
    end, tail = cuts(ends, tail, r.shape)
    r, v, *out = columns("rewards", r, v, advantages, value_targets)
    core().gae(r, v, end, tail, gamma, lam, *out)
    return advantages, value_targets


def vtrace(
    rewards: ArrayLike,
    values: ArrayLike,
    log_ratios: ArrayLike,
    gamma: float,
    *,
    ends: ArrayLike | None = None,
    tail_values: ArrayLike | None = None,
    rho_clip: float | None = 1.0,
    c_clip: float | None = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """V-trace value targets and policy-gradient advantages from another policy's data.

    ρ̄_t = min(rho_clip, ρ_t), c̄_t = min(c_clip, ρ_t), δ_t = r_t + γ·(tail_t if end else v_{t+1}) − v_t;
    vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
    adv_t = ρ̄_t (r_t + γ·(tail_t if end else vs_{t+1}) − v_t)

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
        True at the last step of each piece; by default only the last row is one.
    tail_values : like rewards, or like one row of it, optional
        Values that follow the pieces, read only at ends; one row belongs to the last row. 0 by default.
    rho_clip, c_clip : float or None
        Upper limits of the ratios, not negative; `None` is no limit.

    Returns
    -------
    value_targets, advantages : (T,) or (T, N)
        vs_t, and the advantages that multiply ∇ log π in the policy gradient. Ratios, and products of them
        along a piece, may leave the range of floats where these don't; a temporal difference of exactly 0
        adds exactly nothing.

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
    (array([2., 1.]), array([1.5, 0.5]))
    """
    r, v, log_rho, tail = float_arrays(
        ("rewards", "values", "log_ratios", "tail_values"),
        (rewards, values, log_ratios, tail_values),
        last_optional=True,
    )
    gamma = real("gamma", gamma)
    rho_limit, c_limit = _limit("rho_clip", rho_clip), _limit("c_clip", c_clip)
    check_shape("values", v, r.shape)
    check_shape("log_ratios", log_rho, r.shape)
    value_targets, advantages = np.empty_like(r), np.empty_like(r)
    end, tail = cuts(ends, tail, r.shape)
    r, v, log_rho, *out = columns("rewards", r, v, log_rho, value_targets, advantages)
    core().vtrace(r, v, log_rho, end, tail, gamma, rho_limit, c_limit, *out)
    return value_targets, advantages


def _limit(name: str, clip: float | None) -> float:
    return float("inf") if clip is None else real(name, clip, minimum=0.0, or_infinite=True)
