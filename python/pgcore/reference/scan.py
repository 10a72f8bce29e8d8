"""Backward recursions over time: reward-to-go, generalised advantages, V-trace.

They run in double, whatever the arrays' dtype is: single precision would be wrong by percents after a million
steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference import _scaled
from pgcore.reference._arrays import (
    FloatArray,
    cast,
    deliver,
    doubles,
    end_flags,
    float_arrays,
    full_bootstrap_values,
)


def reward_to_go(
    rewards: ArrayLike,
    gamma: float = 1.0,
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
    r, bootstrap = float_arrays(rewards, 0.0 if bootstrap_values is None else bootstrap_values)
    end, bootstrap, dtype = end_flags(ends, r.shape), full_bootstrap_values(bootstrap, r), r.dtype
    r, bootstrap = doubles(r, bootstrap)

    returns = np.empty_like(r)
    following = np.zeros(r.shape[1:], r.dtype)  # G_{t+1}, 0 beyond the last row
    for t in reversed(range(len(r))):
        returns[t] = r[t] + gamma * np.where(end[t], bootstrap[t], following)
        following = returns[t]
    return deliver(cast(dtype, returns), out)


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

    δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t; A_t = δ_t + γλ·(0 if end else A_{t+1}); targets = A
    + v. See `pgcore.kernels.gae`; source: Schulman et al. 2016, equations 11, 12 and 16.

    >>> gae([1.0, 1.0], [0.5, 0.5], 1.0, 1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    r, v, bootstrap = float_arrays(rewards, values, 0.0 if bootstrap_values is None else bootstrap_values)
    end, bootstrap, dtype = end_flags(ends, r.shape), full_bootstrap_values(bootstrap, r), r.dtype
    r, v, bootstrap = doubles(r, v, bootstrap)

    advantages = np.empty_like(r)
    zero = np.zeros(r.shape[1:], r.dtype)
    next_value, next_advantage = zero, zero
    for t in reversed(range(len(r))):
        delta = r[t] + gamma * np.where(end[t], bootstrap[t], next_value) - v[t]
        advantages[t] = delta + gamma * lam * np.where(end[t], zero, next_advantage)
        next_value, next_advantage = v[t], advantages[t]
    return cast(dtype, advantages), cast(dtype, advantages + v)


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
    """V-trace: policy-gradient advantages and value targets under truncated importance ratios.

    ρ̄_t = min(rho_clip, ρ_t), c̄_t = min(c_clip, ρ_t);
    vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
    adv_t = ρ̄_t (r_t + γ·(bootstrap_t if end else vs_{t+1}) − v_t).
    See `pgcore.kernels.vtrace`; source: Espeholt et al. 2018, equation 1 and section 4.2.

    >>> vtrace([1.0, 1.0], [0.5, 0.5], [0.0, 0.0], 1.0)
    (array([1.5, 0.5]), array([2., 1.]))
    """
    r, v, log_rho, bootstrap = float_arrays(
        rewards, values, log_ratios, 0.0 if bootstrap_values is None else bootstrap_values
    )
    end, bootstrap, dtype = end_flags(ends, r.shape), full_bootstrap_values(bootstrap, r), r.dtype
    r, v, log_rho, bootstrap = doubles(r, v, log_rho, bootstrap)
    rho = _scaled.exp(log_rho)
    clipped_rho = rho if rho_clip is None else _scaled.minimum(rho, rho_clip)
    clipped_c = rho if c_clip is None else _scaled.minimum(rho, c_clip)

    targets, advantages = np.empty_like(r), np.empty_like(r)
    nothing = _scaled.scaled(np.zeros(r.shape[1:]))
    next_value, correction = nothing.m, nothing  # v_{t+1}, and vs_{t+1} − v_{t+1} scaled
    for t in reversed(range(len(r))):
        delta = _scaled.scaled(r[t] + gamma * np.where(end[t], bootstrap[t], next_value) - v[t])
        rho_t, c_t = (_scaled.Scaled(x.m[t], x.e[t]) for x in (clipped_rho, clipped_c))
        discounted = _scaled.times(_scaled.scaled(gamma), correction)
        error = _scaled.plus(delta, _scaled.where(end[t], nothing, discounted))
        advantages[t] = _scaled.times(rho_t, error).to_floats()
        carried = _scaled.times(_scaled.scaled(gamma), c_t, correction)
        correction = _scaled.plus(_scaled.times(rho_t, delta), _scaled.where(end[t], nothing, carried))
        targets[t] = v[t] + correction.to_floats()
        next_value = v[t]
    return cast(dtype, advantages), cast(dtype, targets)
