"""Recursions over time: affine scans, reward-to-go, n-step returns, generalised advantages, V-trace.

They run in double, whatever the arrays' dtype is: single precision would be wrong by percents after a million
steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference import _scaled
from pgcore.reference._arrays import AlongTime, FloatArray, cast, deliver, deliver_pair


def affine_scan(
    x: ArrayLike,
    c: ArrayLike,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    direction: str = "backward",
    out: FloatArray | None = None,
) -> FloatArray:
    """First-order linear recursion.

    backward: y_t = x_t + c_t·(bootstrap_t if end else y_{t+1}); forward: y_t = x_t + c_t·(0 at a segment's
    first step, else y_{t−1}). See `pgcore.kernels.affine_scan`; source: Blelloch 1990, section 1.4.

    >>> affine_scan([1.0, 1.0, 1.0], 0.5)
    array([1.75, 1.5 , 1.  ])
    """
    a = AlongTime(x, coefficients=(c,), ends=ends, bootstrap_values=bootstrap_values)
    (terms,), (factors,) = a.arrays, a.coefficients
    alone = a.ends.copy()  # where nothing follows, c_t is not read
    if bootstrap_values is not None:
        alone[-1:] = False
        if np.ndim(bootstrap_values) == terms.ndim:
            alone[...] = False
    y = np.empty_like(terms)
    neighbour = np.zeros(a.shape[1:])  # y_{t+1}, or y_{t−1}
    if direction == "backward":
        for t in reversed(range(len(y))):
            following = factors[t] * np.where(a.ends[t], a.bootstrap_values[t], neighbour)
            neighbour = y[t] = terms[t] + np.where(alone[t], 0.0, following)
    elif direction == "forward":
        for t in range(len(y)):
            first = a.ends[t - 1] if t > 0 else np.ones(a.shape[1:], bool)
            neighbour = y[t] = terms[t] + np.where(first, 0.0, factors[t] * neighbour)
    else:
        raise ValueError(f"direction: expected 'backward' or 'forward', got {direction!r}")
    return deliver(cast(a.dtype, y), out)


def reward_to_go(
    rewards: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    ends: ArrayLike | None = None,
    bootstrap_values: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Discounted sum of the rewards from each step on: G_t = r_t + γ·(bootstrap_t if end else G_{t+1}).

    See `pgcore.kernels.reward_to_go` for shapes; source: lecture part 3, reward-to-go.

    >>> reward_to_go([1.0, 2.0, 3.0], 0.5)
    array([2.75, 3.5 , 3.  ])
    """
    return affine_scan(rewards, gamma, ends=ends, bootstrap_values=bootstrap_values, out=out)


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
    """Discounted sum of n rewards and the value after them: r_t + γ r_{t+1} + … + γⁿ v_{t+n}.

    A segment's last steps take what is left of it, and its bootstrap value. See
    `pgcore.kernels.n_step_return`; source: Sutton & Barto 2018, equation 7.1.

    >>> n_step_return([1.0, 1.0, 1.0], [5.0, 6.0, 7.0], 1.0, 2)
    array([9., 2., 1.])
    """
    a = AlongTime(rewards, values, coefficients=(gamma,), ends=ends, bootstrap_values=bootstrap_values)
    (r, v), (discount,) = a.arrays, a.coefficients
    returns = v
    for _ in range(min(n, len(r))):  # from k steps to k + 1: the first reward, then the return of k steps
        following = np.where(a.ends, a.bootstrap_values, np.concatenate([returns[1:], returns[:1]]))
        returns = r + discount * following
    return deliver(cast(a.dtype, returns), out)


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

    δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t; A_t = δ_t + γλ·(0 if end else A_{t+1}); targets = A
    + v. See `pgcore.kernels.gae`; source: Schulman et al. 2016, equations 11, 12 and 16.

    >>> gae([1.0, 1.0], [0.5, 0.5], 1.0, 1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    a = AlongTime(
        rewards,
        values,
        coefficients=(gamma, lam),
        ends=ends,
        bootstrap_values=bootstrap_values,
        next_values=next_values,
    )
    (r, v), (discount, decay) = a.arrays, a.coefficients
    next_value = a.next_values(v)

    advantages = np.empty_like(r)
    next_advantage = np.zeros(a.shape[1:])
    for t in reversed(range(len(r))):
        delta = r[t] + discount[t] * next_value[t] - v[t]
        carried = discount[t] * decay[t] * next_advantage
        next_advantage = advantages[t] = delta + np.where(a.ends[t], 0.0, carried)
    return deliver_pair((cast(a.dtype, advantages), cast(a.dtype, advantages + v)), out)


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
    """V-trace: policy-gradient advantages and value targets under truncated importance ratios.

    ρ̄_t = min(rho_clip, ρ_t), c̄_t = λ min(c_clip, ρ_t), ρ̂_t = min(pg_rho_clip, ρ_t);
    vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
    adv_t = ρ̂_t (r_t + γ·(bootstrap_t if end else vs_{t+1}) − v_t).
    See `pgcore.kernels.vtrace`; source: Espeholt et al. 2018, equation 1 and section 4.2.

    >>> vtrace([1.0, 1.0], [0.5, 0.5], [0.0, 0.0], 1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    a = AlongTime(
        rewards,
        values,
        log_ratios,
        coefficients=(gamma, lam),
        ends=ends,
        bootstrap_values=bootstrap_values,
        next_values=next_values,
    )
    (r, v, log_rho), (discount, decay) = a.arrays, a.coefficients
    next_value = a.next_values(v)
    rho = _scaled.exp(log_rho)
    clipped_rho, clipped_c, clipped_pg = (
        rho if clip is None else _scaled.minimum(rho, clip)
        for clip in (rho_clip, c_clip, rho_clip if pg_rho_clip is None else pg_rho_clip)
    )

    targets, advantages = np.empty_like(r), np.empty_like(r)
    nothing = _scaled.scaled(np.zeros(a.shape[1:]))
    correction = nothing  # vs_{t+1} − v_{t+1}
    value_after = np.zeros(a.shape[1:])  # v_{t+1}
    for t in reversed(range(len(r))):
        end = a.ends[t]
        rho_t, c_t, pg_t = (_scaled.Scaled(x.m[t], x.e[t]) for x in (clipped_rho, clipped_c, clipped_pg))
        gamma_t = _scaled.scaled(discount[t])
        delta = _scaled.scaled(r[t] + discount[t] * next_value[t] - v[t])
        # r_t + γ·(what follows) − v_t, where vs_{t+1} follows inside a segment
        followed = np.where(end, next_value[t], value_after)
        own = _scaled.scaled(r[t] + discount[t] * followed - v[t])
        error = _scaled.plus(own, _scaled.where(end, nothing, _scaled.times(gamma_t, correction)))
        advantages[t] = _scaled.times(pg_t, error).to_floats()
        carried = _scaled.times(gamma_t, _scaled.scaled(decay[t]), c_t, correction)
        correction = _scaled.plus(_scaled.times(rho_t, delta), _scaled.where(end, nothing, carried))
        targets[t] = v[t] + correction.to_floats()
        value_after = v[t]
    return deliver_pair((cast(a.dtype, advantages), cast(a.dtype, targets)), out)
