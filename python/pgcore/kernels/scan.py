"""Recursions over time: affine scans, reward-to-go, n-step returns, generalised advantages, V-trace.

Time is the first axis, ``(T,)`` or ``(T, N)`` for N parallel columns. ``ends`` is true at the last step
of every episode segment (the last row always is one), and ``bootstrap_values`` holds, at ends, the value of
the observation after a truncated segment: 0 if the episode terminated there. Segments never influence one
another. Discounts γ and decays λ are numbers, or arrays like the rewards: γ_t discounts what follows step t.

In float32 a sum is carried in double where its discount (γ, for `gae` γλ) exceeds 1 − 1/256 in size, so that
after millions of steps only the result is rounded. With a smaller discount it is carried in float32: rewards
more than some 256 steps away lose their weight, and so do their rounding errors; the error is about 1e-5 of
the sum of the rewards' sizes.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import FloatArray, integer
from pgcore.kernels.coercion import along_time, computed, delivered, delivered_pair, limit


def affine_scan(
    x: ArrayLike,
    c: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    direction: str = "backward",
    out: FloatArray | None = None,
) -> FloatArray:
    """First-order linear recursion with a coefficient at every step: what every return is made of.

    backward: y_t = x_t + c_t·(bootstrap_t if end else y_{t+1});
    forward: y_t = x_t + c_t·(0 at a segment's first step, else y_{t−1})

    With x the rewards and c the discounts it is the reward-to-go. With x the temporal differences it is the
    generalised advantage if c_t = γλ, the correction of Retrace if c_t = γλ min(1, ρ_{t+1}). Forward it is an
    eligibility trace.

    Parameters
    ----------
    x : (T,) or (T, N)
        What every step adds.
    c : float, or like x
        Coefficients of what follows the step (backward) or came before it (forward). Where nothing does, at
        the first step forward and at ends without bootstrap values, c_t is not read.
    ends : like x, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like x, or like one row of it, optional
        Only backward: values that follow the segments, read only at ends; one row belongs to the last row. 0
        by default.
    direction : "backward" or "forward"
        Whether a step depends on the steps after it, or on those before it.
    out : like x, of the result's dtype, optional
        Where to write the result; it may be `x` itself.

    Returns
    -------
    (T,) or (T, N)
        y.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
    ValueError
        If shapes disagree, `ends` holds other integers, `c` is a number that is not finite, `direction` is
        neither, or bootstrap values are given forward.

    References
    ----------
    Blelloch 1990, *Prefix sums and their applications*, section 1.4: such maps compose. Sutton & Barto 2018,
    equations 12.5 (eligibility traces) and 12.8 (λ-returns).

    Examples
    --------
    >>> affine_scan([1.0, 1.0, 1.0], [0.5, 0.5, 0.5])
    array([1.75, 1.5 , 1.  ])
    >>> affine_scan([1.0, 1.0, 1.0], 0.5, direction="forward")
    array([1.  , 1.5 , 1.75])
    """
    exact = _dispatch.compiled.affine_scan(x, c, ends, bootstrap_values, direction, out)
    if exact is not None:
        return exact
    if not isinstance(direction, str) or direction not in ("backward", "forward"):
        raise ValueError(f"direction: expected 'backward' or 'forward', got {direction!r}")
    if direction == "forward" and bootstrap_values is not None:
        raise ValueError("bootstrap_values: expected None in direction 'forward', got an array")
    a = along_time({"x": x}, {"c": c}, ends=ends, bootstrap_values=bootstrap_values)
    scan = _dispatch.compiled.affine_scan
    y = scan(a["x"], a["c"], a["ends"], a["bootstrap_values"], direction, None)
    return delivered(computed(y), out)


def reward_to_go(
    rewards: ArrayLike,
    gamma: ArrayLike = 1.0,
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
    gamma : float, or like rewards
        Discount γ per step, any finite number; or γ_t, which discounts what follows step t.
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
    exact = _dispatch.compiled.reward_to_go(rewards, gamma, ends, bootstrap_values, out)
    if exact is not None:
        return exact
    a = along_time({"rewards": rewards}, {"gamma": gamma}, ends=ends, bootstrap_values=bootstrap_values)
    compute = _dispatch.compiled.reward_to_go
    returns = compute(a["rewards"], a["gamma"], a["ends"], a["bootstrap_values"], None)
    return delivered(computed(returns), out)


def n_step_return(
    rewards: ArrayLike,
    values: ArrayLike,
    gamma: ArrayLike,
    n: int,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Discounted sum of n rewards and the value of the state after them.

    G_t = r_t + γ r_{t+1} + … + γⁿ⁻¹ r_{t+n−1} + γⁿ v_{t+n}; where the segment ends before, at step e ≥ t:
    G_t = r_t + … + γ^{e−t} r_e + γ^{e−t+1} bootstrap_e

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    values : like rewards
        Values v_t of the states (or observations) in which the actions were taken.
    gamma : float, or like rewards
        Discount γ per step, any finite number; or γ_t, which discounts what follows step t.
    n : int
        How many rewards, at least 1. The time is proportional to it.
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
        If an array holds no real numbers, `n` is no integer, or `out` has another dtype than the result.
    ValueError
        If shapes disagree, `ends` holds other integers, `gamma` is not finite, or `n` is below 1.

    References
    ----------
    Sutton & Barto 2018, equation 7.1.

    Examples
    --------
    >>> n_step_return([1.0, 1.0, 1.0], [5.0, 6.0, 7.0], 1.0, 2)
    array([9., 2., 1.])
    """
    exact = _dispatch.compiled.n_step_return(rewards, values, gamma, n, ends, bootstrap_values, out)
    if exact is not None:
        return exact
    n = integer("n", n, minimum=1)
    a = along_time(
        {"rewards": rewards, "values": values},
        {"gamma": gamma},
        ends=ends,
        bootstrap_values=bootstrap_values,
    )
    compute = _dispatch.compiled.n_step_return
    returns = compute(a["rewards"], a["values"], a["gamma"], n, a["ends"], a["bootstrap_values"], None)
    return delivered(computed(returns), out)


def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    gamma: ArrayLike,
    lam: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    next_values: ArrayLike | None = None,
    out: tuple[FloatArray, FloatArray] | None = None,
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
    gamma, lam : float, or like rewards
        Discount γ and trace decay λ per step, any finite numbers; or γ_t and λ_t, which belong to
        what follows step t. λ = 0 gives the one-step temporal difference, λ = 1 the reward-to-go minus the
        value.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values that follow the segments, read only at ends; one row belongs to the last row. 0 by default.
    next_values : like rewards, optional
        The value that follows every step, in place of v_{t+1} and of bootstrap values.
    out : tuple of two arrays like rewards, of the results' dtype, optional
        Where to write the results; they may be inputs.

    Returns
    -------
    advantages, value_targets : (T,) or (T, N)
        A_t, and the λ-returns A_t + v_t.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the results.
    ValueError
        If shapes disagree, `ends` holds other integers, `gamma` or `lam` is not finite, or both bootstrap
        values and next values are given.

    References
    ----------
    Schulman et al. 2016, *High-dimensional continuous control using generalized advantage estimation*,
    equations 11, 12 and 16.

    Examples
    --------
    >>> gae([1.0, 1.0], [0.5, 0.5], gamma=1.0, lam=1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    exact = _dispatch.compiled.gae(rewards, values, gamma, lam, ends, bootstrap_values, next_values, out)
    if exact is not None:
        return exact
    a = along_time(
        {"rewards": rewards, "values": values},
        {"gamma": gamma, "lam": lam},
        ends=ends,
        bootstrap_values=bootstrap_values,
        next_values=next_values,
    )
    compute = _dispatch.compiled.gae
    results = compute(
        a["rewards"],
        a["values"],
        a["gamma"],
        a["lam"],
        a["ends"],
        a["bootstrap_values"],
        a["next_values"],
        None,
    )
    return delivered_pair(computed(results), out)


def vtrace(
    rewards: ArrayLike,
    values: ArrayLike,
    log_ratios: ArrayLike,
    gamma: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    next_values: ArrayLike | None = None,
    rho_clip: float | None = 1.0,
    c_clip: float | None = 1.0,
    lam: ArrayLike = 1.0,
    pg_rho_clip: float | None = None,
    out: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """V-trace: policy-gradient advantages and value targets from another policy's data.

    ρ̄_t = min(rho_clip, ρ_t), c̄_t = λ min(c_clip, ρ_t), ρ̂_t = min(pg_rho_clip, ρ_t);
    δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t;
    vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
    adv_t = ρ̂_t (r_t + γ·(bootstrap_t if end else vs_{t+1}) − v_t)

    Parameters
    ----------
    rewards : (T,) or (T, N)
        Rewards r_t.
    values : like rewards
        Values v_t under the policy π that is being evaluated.
    log_ratios : like rewards
        log ρ_t = log π(a_t|s_t) − log μ(a_t|s_t) for the policy μ that acted.
    gamma : float, or like rewards
        Discount γ per step, any finite number; or γ_t, which discounts what follows step t.
    ends : like rewards, booleans or integers 0 and 1, optional
        True at the last step of each segment; by default only the last row is one.
    bootstrap_values : like rewards, or like one row of it, optional
        Values that follow the segments, read only at ends; one row belongs to the last row. 0 by default.
    next_values : like rewards, optional
        The value that follows every step: in δ_t in place of v_{t+1}, and of bootstrap values at ends.
    rho_clip, c_clip : float or None
        Upper limits of the ratios, not negative; `None` is no limit.
    lam : float, or like rewards
        Decay λ of the traces, a factor of c̄.
    pg_rho_clip : float or None
        Upper limit of the ratio in the advantage; `None` is `rho_clip`, infinity no limit.
    out : tuple of two arrays like rewards, of the results' dtype, optional
        Where to write the results; they may be inputs.

    Returns
    -------
    advantages, value_targets : (T,) or (T, N)
        The advantages that multiply ∇ log π in the policy gradient, and vs_t: the order of `gae`. Ratios, and
        products of them along a segment, may leave the range of floats where these don't; a temporal
        difference of exactly 0 adds exactly nothing.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the results.
    ValueError
        If shapes disagree, `ends` holds other integers, `gamma` or `lam` is not finite, a limit is
        negative, or both bootstrap values and next values are given.

    References
    ----------
    Espeholt et al. 2018, *IMPALA*, equation 1, remark 1 and section 4.2.

    Examples
    --------
    >>> vtrace([1.0, 1.0], [0.5, 0.5], [0.0, 0.0], gamma=1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    pg_limit = rho_clip if pg_rho_clip is None else pg_rho_clip
    coefficients = (gamma, lam, rho_clip, c_clip, pg_limit)
    compute = _dispatch.compiled.vtrace
    exact = compute(rewards, values, log_ratios, coefficients, ends, bootstrap_values, next_values, out)
    if exact is not None:
        return exact
    limits = (limit("rho_clip", rho_clip), limit("c_clip", c_clip), limit("pg_rho_clip", pg_limit))
    a = along_time(
        {"rewards": rewards, "values": values, "log_ratios": log_ratios},
        {"gamma": gamma, "lam": lam},
        ends=ends,
        bootstrap_values=bootstrap_values,
        next_values=next_values,
    )
    results = compute(
        a["rewards"],
        a["values"],
        a["log_ratios"],
        (a["gamma"], a["lam"], *limits),
        a["ends"],
        a["bootstrap_values"],
        a["next_values"],
        None,
    )
    return delivered_pair(computed(results), out)
