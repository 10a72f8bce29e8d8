"""Episodes of the scalar LQR, made all at once, and the linear policy whose gradient there is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pgcore.data.batch import Batch
from pgcore.envs import lqr
from pgcore.policies import GaussianPolicy

__all__ = ["check_finite", "exact_policy_gradient", "linear_policy", "play"]

Array = NDArray[np.float64]


def check_finite(name: str, k: float, sigma: float, horizon: int) -> None:
    """Refuse a policy a ∼ N(k s, σ²) without a density, or whose states leave the range of floats.

    >>> check_finite("policy", 9.0, 1.0, 1000)
    Traceback (most recent call last):
    ValueError: policy: expected a gain that keeps the return finite for 1000 steps, got k = 9.0
    """
    if not (np.isfinite([k, sigma]).all() and sigma > 0):
        raise ValueError(f"{name}: expected finite k and sigma > 0, got k = {k}, sigma = {sigma}")
    # Its square enters the variances.
    if not lqr.exact_return(k, sigma, horizon=horizon) > -1e100:
        raise ValueError(
            f"{name}: expected a gain that keeps the return finite for {horizon} steps, got k = {k}"
        )


def linear_policy(k: float, sigma: float) -> GaussianPolicy:
    """Return the policy a ∼ N(k s + b, σ²) with b = 0; its parameters are (k, b, log σ).

    >>> linear_policy(-0.5, 1.0).params.tolist()
    [-0.5, 0.0, 0.0]
    """
    policy = GaussianPolicy(1, 1, hidden=(), dtype="float64")
    policy.params = np.array([k, 0.0, np.log(sigma)])
    return policy


def exact_policy_gradient(k: float, sigma: float, horizon: int) -> Array:
    """Return ∇J in the parameters of `linear_policy`, shape (3,).

    States and actions are symmetric about 0, so that nothing pulls at the bias b.

    >>> exact_policy_gradient(-0.5, 0.5, 2).tolist()
    [0.25, 0.0, -1.625]
    """
    by_gain, by_std = lqr.exact_gradient(k, sigma, horizon=horizon)
    return np.array([by_gain, 0.0, sigma * by_std])


def play(
    k: float, sigma: float, horizon: int, num_episodes: int, rng: np.random.Generator
) -> tuple[GaussianPolicy, Batch]:
    """Return `linear_policy` and episodes that it has played, with their log-probabilities.

    Parameters
    ----------
    k, sigma
        Of the policy; s_0 ∼ N(0, 1).
    horizon
        Steps of each episode.
    num_episodes
        How many.
    rng
        Source of the noise.

    Examples
    --------
    >>> policy, batch = play(-0.5, 1.0, 3, 4, np.random.default_rng(0))
    >>> batch.num_steps, batch.num_segments
    (12, 4)
    """
    state = rng.standard_normal(num_episodes)
    states, actions = np.empty((2, num_episodes, horizon))
    for t in range(horizon):
        states[:, t] = state
        actions[:, t] = k * state + sigma * rng.standard_normal(num_episodes)
        state = state + actions[:, t]
    obs, taken = states.reshape(-1, 1), actions.reshape(-1, 1)
    policy = linear_policy(k, sigma)
    batch = Batch(
        obs,
        taken,
        rewards=-np.square(obs[:, 0]) - np.square(taken[:, 0]),
        ends=np.tile(np.arange(horizon) == horizon - 1, num_episodes),
        log_probs=policy.log_prob(obs, taken),
    )
    return policy, batch
