"""`check_policy`: whether a policy family does what `Policy` says, method by method."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import check_shape
from pgcore.policies.any_policy import segments_of
from pgcore.policies.base import Policy

__all__ = ["check_policy"]


def check_policy(policy: Policy, obs: ArrayLike, *, derivatives: bool = False) -> None:
    r"""Raise an error that names the first method of a policy that returns what doesn't fit.

    It calls `initial_state`, `act`, `mode`, `log_prob` and `score_product`; algorithms call it with a policy
    of your own before they begin. Call it with ``derivatives=True`` in the tests of a new family: then
    `score_product` is compared with the difference of `log_prob` along a direction v in parameter space,

    .. math:: v^\top \sum_i w_i \nabla\log\pi_\theta(a_i\mid o_i) \approx \sum_i w_i
        \frac{\log\pi_{\theta+hv}(a_i\mid o_i) - \log\pi_{\theta-hv}(a_i\mid o_i)}{2h}

    Parameters
    ----------
    policy
        To be checked. Its parameters stay as they are.
    obs
        Observations that it may meet, shape (B, obs_dim), at least two.
    derivatives
        Whether to compare `score_product` with `log_prob`.

    Raises
    ------
    TypeError, ValueError
        ``{method}: expected {what}, got {what}``.

    Examples
    --------
    >>> from pgcore.policies import GaussianPolicy
    >>> check_policy(GaussianPolicy(3, 2), np.eye(3), derivatives=True)
    """
    rows = policy.checked_obs(obs)
    num_rows, rng = len(rows), np.random.default_rng(0)
    with np.errstate(all="ignore"):
        noise = policy.draw_noise(rng, 1, num_rows)[0]
        policy.checked_actions(policy.mode(rows, *_memory(policy, num_rows)), num_rows, "mode")
        actions = policy.checked_actions(policy.act(rows, noise, *_memory(policy, num_rows)), num_rows)
        segments = segments_of(policy, np.arange(num_rows))  # every row begins one, as it was acted on
        for params in (None, policy.params):
            log_probs = policy.log_prob(rows, actions, params=params, **segments)
            _require_floats("log_prob", log_probs, num_rows)
        weights = rng.standard_normal(num_rows).astype(policy.dtype)
        product = policy.score_product(rows, actions, weights, **segments)
        _require_floats("score_product", product, policy.num_params)
        if not derivatives:
            return
        direction = rng.standard_normal(policy.num_params)
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
        step = float(np.finfo(policy.dtype).eps) ** (1 / 3)
        ahead, behind = (
            np.asarray(policy.log_prob(rows, actions, params=policy.params + h * direction, **segments))
            for h in (step, -step)
        )
        slope = float(np.dot(weights.astype(np.float64), ahead.astype(np.float64) - behind)) / (2 * step)
        found = float(np.dot(product.astype(np.float64), direction))
        scale = float(np.linalg.norm(product)) + float(np.abs(weights).sum())
        if not abs(slope - found) <= 10 * step * scale:
            raise ValueError(
                f"score_product: expected the derivative of log_prob, {slope:.6g} along a random direction, "
                f"got {found:.6g}"
            )


def _require_floats(name: str, value: object, length: int) -> None:
    if not isinstance(value, np.ndarray) or value.dtype.char not in "fd":
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name}: expected an array of float32 or float64, got {got}")
    check_shape(name, value, (length,))


def _memory(policy: Policy, num_rows: int) -> tuple[np.ndarray, ...]:
    """The state argument of `act` and `mode`: there is none for a policy without memory."""
    if not policy.has_memory:
        return ()
    state = policy.initial_state(num_rows)
    if not isinstance(state, np.ndarray):
        raise TypeError(f"initial_state: expected an array to be written to, got {type(state).__name__}")
    if state.shape[:1] != (num_rows,):
        raise ValueError(f"initial_state: expected shape ({num_rows}, ...), got {state.shape}")
    return (state,)
