r"""Closed forms for the scalar LQR of `pgcore.envs.LQR` under the policy a ∼ N(k s, σ²).

The state starts as s_0 ∼ N(0, m_0) and moves by s' = s + a = (1+k) s + σ ε, so that it stays Gaussian, with
mean zero and a second moment m_t that follows a linear recursion. Everything else comes from it: the return,
its gradient, the Fisher matrix of the trajectory, the ratio of two policies' state distributions.

A gain outside −2 ≤ k ≤ 0 is unstable, and over a long horizon its moments leave the range of floats. This is
not an error: they are then infinite, and so are the return (−∞) and the gradient with respect to k (with the
right sign), and no floating-point warning is raised. Infinity is never multiplied by zero: if m_0 or σ is 0,
the start or the noise contributes exactly 0.
"""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import FLOAT64, check_shape, float_array, int_array, real
from pgcore.envs._shared import Array, pair, policies, policy_with_density, problem

__all__ = [
    "exact_fisher",
    "exact_gradient",
    "exact_return",
    "optimal_gain",
    "second_moments",
    "state_log_ratios",
]


def second_moments(
    k: ArrayLike, sigma: ArrayLike, *, horizon: int, initial_second_moment: float = 1.0
) -> Array:
    """Second moments m_t = E[s_t²] of the states s_0 … s_{T−1}.

    m_{t+1} = (1+k)² m_t + σ²

    Parameters
    ----------
    k, sigma : float or arrays that broadcast to some shape (...)
        Gain k and standard deviation σ ≥ 0 of the policy a ∼ N(k s, σ²).
    horizon : int
        T, steps of an episode.
    initial_second_moment : float
        m_0 ≥ 0.

    Returns
    -------
    (T, ...)
        m_t; infinite where it exceeds every float.

    Raises
    ------
    TypeError
        If an argument is no real number, or `horizon` no integer.
    ValueError
        If a value is out of range or not finite, or the shapes of `k` and `sigma` don't broadcast.

    References
    ----------
    Lecture, part 5: variance of the linear recursion s' = (1+k) s + σ ε.

    Examples
    --------
    >>> second_moments(-0.5, 1.0, horizon=3)
    array([1.    , 1.25  , 1.3125])
    """
    gain, std = policies(k, sigma)
    horizon, m_0 = problem(horizon, initial_second_moment)
    moments = np.empty((horizon, *gain.shape))
    moments[0] = m_0
    with np.errstate(over="ignore"):
        for t in range(horizon - 1):
            # Not (1+k)² first: it may overflow where m_t is 0.
            moments[t + 1] = (1 + gain) * ((1 + gain) * moments[t]) + std * std
    return moments


@overload
def exact_return(
    k: float, sigma: float, *, horizon: int, initial_second_moment: float = ..., gamma: float = ...
) -> float: ...
@overload
def exact_return(
    k: ArrayLike, sigma: ArrayLike, *, horizon: int, initial_second_moment: float = ..., gamma: float = ...
) -> float | Array: ...
def exact_return(
    k: ArrayLike, sigma: ArrayLike, *, horizon: int, initial_second_moment: float = 1.0, gamma: float = 1.0
) -> float | Array:
    """Expected return of the policy a ∼ N(k s, σ²).

    J(k, σ) = E[Σ_t γ^t r_t] = −Σ_t γ^t [(1+k²) m_t + σ²], t = 0 … T−1

    It is computed from the end: with T−t steps to go the expected return is −(p_t s² + q_t σ²), where
    p_t = 1 + k² + γ (1+k)² p_{t+1} and q_t = 1 + γ (p_{t+1} + q_{t+1}), and J = −(p_0 m_0 + q_0 σ²).

    Parameters
    ----------
    k, sigma : float or arrays that broadcast to some shape (...)
        Gain k and standard deviation σ ≥ 0.
    horizon : int
        T, steps of an episode.
    initial_second_moment : float
        m_0 ≥ 0.
    gamma : float
        Discount γ ≥ 0 per step.

    Returns
    -------
    float or (...)
        J; −∞ where it exceeds every float.

    Raises
    ------
    TypeError
        If an argument is no real number, or `horizon` no integer.
    ValueError
        If a value is out of range or not finite, or the shapes of `k` and `sigma` don't broadcast.

    References
    ----------
    Lecture, part 5 (the example in which vanilla gradients are ill-conditioned); Peters & Schaal (2008),
    *Reinforcement learning of motor skills with policy gradients*.

    Examples
    --------
    >>> exact_return(-0.5, 1.0, horizon=2)
    -4.8125
    >>> exact_return([0.0, -0.5], 1.0, horizon=2)
    array([-5.    , -4.8125])
    """
    gain, std = policies(k, sigma)
    horizon, m_0 = problem(horizon, initial_second_moment)
    from_start, from_noise, _, _ = _costs(gain, horizon, real("gamma", gamma, minimum=0.0))
    with np.errstate(over="ignore"):
        total = _times(m_0, from_start) + _times(std, _times(std, from_noise))
    return _number_or_array(-total)


@overload
def exact_gradient(
    k: float, sigma: float, *, horizon: int, initial_second_moment: float = ..., gamma: float = ...
) -> tuple[float, float]: ...
@overload
def exact_gradient(
    k: ArrayLike, sigma: ArrayLike, *, horizon: int, initial_second_moment: float = ..., gamma: float = ...
) -> tuple[float | Array, float | Array]: ...
def exact_gradient(
    k: ArrayLike, sigma: ArrayLike, *, horizon: int, initial_second_moment: float = 1.0, gamma: float = 1.0
) -> tuple[float | Array, float | Array]:
    """Gradient of `exact_return`.

    ∂J/∂k = −(m_0 ∂p_0/∂k + σ² ∂q_0/∂k) and ∂J/∂σ = −2σ q_0, with the recursions of `exact_return`
    differentiated: ∂p_t/∂k = 2k + γ (1+k) (2 p_{t+1} + (1+k) ∂p_{t+1}/∂k) and ∂q_t/∂k = γ (∂p_{t+1}/∂k +
    ∂q_{t+1}/∂k).

    Parameters
    ----------
    k, sigma : float or arrays that broadcast to some shape (...)
        Gain k and standard deviation σ ≥ 0.
    horizon : int
        T, steps of an episode.
    initial_second_moment : float
        m_0 ≥ 0.
    gamma : float
        Discount γ ≥ 0 per step.

    Returns
    -------
    (dJ_dk, dJ_dsigma) : two floats, or two arrays of shape (...)
        ±∞ where they exceed every float. For log σ multiply the second by σ.

    Raises
    ------
    TypeError
        If an argument is no real number, or `horizon` no integer.
    ValueError
        If a value is out of range or not finite, or the shapes of `k` and `sigma` don't broadcast.

    References
    ----------
    Lecture, part 5; Peters & Schaal (2008), *Reinforcement learning of motor skills with policy gradients*.

    Examples
    --------
    >>> exact_gradient(-0.5, 1.0, horizon=2)
    (1.0, -6.5)
    """
    gain, std = policies(k, sigma)
    horizon, m_0 = problem(horizon, initial_second_moment)
    _, from_noise, start_slope, noise_slope = _costs(gain, horizon, real("gamma", gamma, minimum=0.0))
    with np.errstate(over="ignore"):
        by_gain = _times(m_0, start_slope) + _times(std, _times(std, noise_slope))
        by_std = _times(2 * std, from_noise)
    return _number_or_array(-by_gain), _number_or_array(-by_std)


def exact_fisher(k: float, sigma: float, *, horizon: int, initial_second_moment: float = 1.0) -> Array:
    """Fisher information of one whole trajectory about (k, σ).

    F = E[s sᵀ] with s = Σ_t ∇ log π(a_t∣s_t) = Σ_t ((a_t − k s_t) s_t/σ², ((a_t − k s_t)² − σ²)/σ³)
      = diag(Σ_t m_t/σ², 2T/σ²)

    The `fisher` of a policy is a mean over steps, T times smaller, and about log σ (∂/∂log σ = σ ∂/∂σ).

    Parameters
    ----------
    k, sigma : float
        Gain k and standard deviation σ > 0.
    horizon : int
        T, steps of an episode.
    initial_second_moment : float
        m_0 ≥ 0.

    Returns
    -------
    (2, 2)
        F, in the order (k, σ).

    Raises
    ------
    TypeError
        If an argument is no real number, or `horizon` no integer.
    ValueError
        If a value is out of range or not finite.

    References
    ----------
    Lecture, part 5; Kakade (2001), *A natural policy gradient*.

    Examples
    --------
    >>> exact_fisher(-0.5, 0.5, horizon=2)
    array([[ 6.,  0.],
           [ 0., 16.]])
    """
    k, sigma = policy_with_density(("k", "sigma"), (k, sigma))
    moments = second_moments(k, sigma, horizon=horizon, initial_second_moment=initial_second_moment)
    with np.errstate(over="ignore"):
        return np.diag([moments.sum(), 2.0 * len(moments)]) / sigma / sigma


def optimal_gain(
    *, horizon: int, sigma: float = 0.0, initial_second_moment: float = 1.0, gamma: float = 1.0
) -> float:
    """Gain that maximises `exact_return` among constant gains, at a given σ (by default without noise).

    J is a concave function of k on [−1, 0] and smaller outside, so that ∂J/∂k has one sign change there; it
    is enclosed to rounding. For a long undiscounted horizon without noise k → (1−√5)/2 = −0.618….

    Parameters
    ----------
    horizon : int
        T, steps of an episode.
    sigma : float
        Standard deviation σ ≥ 0.
    initial_second_moment : float
        m_0 ≥ 0. Without noise it doesn't matter.
    gamma : float
        Discount γ ≥ 0 per step.

    Returns
    -------
    float
        k*, between −1 and 0.

    Raises
    ------
    TypeError
        If an argument is no real number, or `horizon` no integer.
    ValueError
        If a value is out of range or not finite, or neither the start nor noise ever moves the state from 0.

    References
    ----------
    Lecture, part 5; Bertsekas (2017), *Dynamic programming and optimal control*, section 3.1.

    Examples
    --------
    >>> round(optimal_gain(horizon=100), 6)
    -0.618034
    >>> optimal_gain(horizon=1)
    0.0
    """
    sigma, gamma = real("sigma", sigma, minimum=0.0), real("gamma", gamma, minimum=0.0)
    horizon, m_0 = problem(horizon, initial_second_moment)
    if m_0 == 0 and (sigma == 0 or gamma == 0 or horizon == 1):
        raise ValueError(
            "initial_second_moment: expected a number > 0 where noise doesn't move the state either, got 0.0"
        )
    low, high = -1.0, 0.0
    for _ in range(8):  # 128⁻⁸ = 2⁻⁵⁶ is below a float's resolution
        grid = np.linspace(low, high, 129)
        slopes, _ = exact_gradient(grid, sigma, horizon=horizon, initial_second_moment=m_0, gamma=gamma)
        num_rising = int(np.count_nonzero(np.greater(slopes, 0)))
        low, high = float(grid[max(num_rising - 1, 0)]), float(grid[min(num_rising, 128)])
    return high


def state_log_ratios(
    states: ArrayLike,
    steps: ArrayLike,
    *,
    new: tuple[float, float],
    old: tuple[float, float],
    initial_second_moment: float = 1.0,
) -> Array:
    """Log-ratios of two policies' state distributions, each at the state's own step of the episode.

    log d_new,t(s)/d_old,t(s) = ½ log(m_old,t/m_new,t) + ½ s² (1/m_old,t − 1/m_new,t), as s_t ∼ N(0, m_t)

    Parameters
    ----------
    states : (B,)
        States s.
    steps : (B,)
        Their step numbers t within the episode, from 0, where the ratio is 1.
    new, old : (k, sigma)
        The policies a ∼ N(k s, σ²), with σ > 0.
    initial_second_moment : float
        m_0 ≥ 0.

    Returns
    -------
    (B,)
        Log-ratios; −∞ where the new policy's second moment exceeds every float, and NaN where both do.

    Raises
    ------
    TypeError
        If an argument is no real number, `steps` are no integers, or a policy is no pair.
    ValueError
        If shapes differ, or a value is out of range or not finite.

    References
    ----------
    Lecture, part 4: the state-marginal weights that first-order importance sampling drops.

    Examples
    --------
    >>> state_log_ratios([1.0, 1.0], [0, 1], new=(-0.5, 1.0), old=(-1.0, 1.0))
    array([ 0.        , -0.01157178])
    """
    s, t = float_array("states", states, FLOAT64), int_array("steps", steps)
    if s.ndim != 1:
        raise ValueError(f"states: expected shape (B,), got {s.shape}")
    check_shape("steps", t, s.shape)
    if t.size and t.min() < 0:
        raise ValueError(f"steps: expected integers >= 0, got {t.min()}")
    horizon = 1 + int(t.max(initial=0))
    m_new, m_old = (
        second_moments(
            *policy_with_density((f"{name}[0]", f"{name}[1]"), pair(name, policy)),
            horizon=horizon,
            initial_second_moment=initial_second_moment,
        )[t]
        for name, policy in (("new", new), ("old", old))
    )
    with np.errstate(all="ignore"):  # a start at 0 has no density, but is the same under both
        ratios = 0.5 * (np.log(m_old / m_new) + s * s * (1 / m_old - 1 / m_new))
    return np.where(t == 0, 0.0, ratios)


def _costs(gain: Array, horizon: int, gamma: float) -> tuple[Array, Array, Array, Array]:
    """p_0 and q_0 of `exact_return`, and their derivatives with respect to k."""
    zero = np.zeros_like(gain)
    p, q, dp, dq = zero, zero, zero, zero
    factor = 1 + gain
    with np.errstate(over="ignore"):
        for _ in range(horizon):
            p, q, dp, dq = (
                1 + gain * gain + _times(gamma, factor * (factor * p)),
                1 + _times(gamma, p + q),
                2 * gain + _times(gamma, factor * (2 * p + factor * dp)),
                _times(gamma, dp + dq),
            )
    return p, q, dp, dq


def _times(finite: ArrayLike, value: Array) -> Array:
    """Their product, in which zero times infinity is zero."""
    finite = np.asarray(finite)
    product: Array = np.multiply(finite, value, where=finite != 0, out=np.zeros_like(value))
    return product


def _number_or_array(value: Array) -> float | Array:
    return float(value) if value.ndim == 0 else value
