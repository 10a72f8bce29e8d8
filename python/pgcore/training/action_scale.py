"""Warn of action boxes that a new policy's actions hardly ever reach."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from pgcore._stacklevel import user_stacklevel

if TYPE_CHECKING:
    from pgcore.policies import Policy
    from pgcore.rollout.types import AnySpace

__all__ = ["is_out_of_scale", "warn_if_out_of_scale"]

_LEAST_INSIDE = 0.1
_WIDEST = 10.0


def is_out_of_scale(low: float, high: float, std: float = 1.0) -> bool:
    """Whether actions from N(0, std²) have little to do with the interval from ``low`` to ``high``.

    That is, fewer than one in ten are inside (all others are clipped to its ends), or it reaches further than
    10 std to both sides of its centre (they never get near its ends). Infinite intervals have no scale, only
    a position.

    Examples
    --------
    Common boxes; one from 0 to 1; one that is shifted, one too small, one too large; unbounded ones:

    >>> [is_out_of_scale(-limit, limit) for limit in (0.4, 1.0, 2.0, 3.0)], is_out_of_scale(0, 1)
    ([False, False, False, False], False)
    >>> is_out_of_scale(5, 6), is_out_of_scale(0, 0.01), is_out_of_scale(30, 1017)
    (True, True, True)
    >>> is_out_of_scale(0, math.inf), is_out_of_scale(5, math.inf)
    (False, True)
    """
    below = [0.5 * math.erfc(-bound / std / math.sqrt(2)) for bound in (low, high)]
    is_wide = math.isfinite(high - low) and (high - low) / 2 > _WIDEST * std
    return below[1] - below[0] < _LEAST_INSIDE or is_wide


def warn_if_out_of_scale(action_space: AnySpace, policy: Policy) -> None:
    """Warn the caller of this package if a component of a box `is_out_of_scale` for a new shipped policy."""
    if not isinstance(action_space, gym.spaces.Box):
        return
    if policy.is_own:
        _warn_if_out_of_support(action_space, policy)
        return
    std = math.exp(min(getattr(policy, "init_log_std", 0.0), 700.0))
    bounds = zip(action_space.low.ravel().tolist(), action_space.high.ravel().tolist(), strict=True)
    bad = [(low, high) for low, high in bounds if is_out_of_scale(low, high, std)]
    if bad:
        low, high = bad[0]
        wrapper = "RescaleAction(env, -1.0, 1.0)" if math.isfinite(high - low) else "TransformAction"
        warnings.warn(
            f"action_space: expected actions around 0 on a scale of {std:.3g}, as a new policy's are, got "
            f"{low:.6g} to {high:.6g} in {len(bad)} of {action_space.low.size} components; they are clipped "
            f"to that, and little can be learned: wrap the environment in gymnasium.wrappers.{wrapper}",
            UserWarning,
            stacklevel=user_stacklevel(),
        )


def _warn_if_out_of_support(action_space: gym.spaces.Box, policy: Policy) -> None:
    """Warn of a box that a bounded policy of the user's own does not reach, or leaves nearly always."""
    low, high = policy.support
    if not math.isfinite(high - low):
        return
    below, above = action_space.low.astype(np.float64), action_space.high.astype(np.float64)
    shared = np.minimum(above, high) - np.maximum(below, low)
    bad = (shared < _LEAST_INSIDE * (high - low)) | (shared < _LEAST_INSIDE * (above - below))
    if bad.any():
        first = np.flatnonzero(bad)[0]
        warnings.warn(
            f"action_space: expected actions as the policy has them, from {low:.6g} to {high:.6g}, got "
            f"{below.flat[first]:.6g} to {above.flat[first]:.6g} in {int(bad.sum())} of {bad.size} "
            "components; wrap the environment in gymnasium.wrappers.RescaleAction",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
