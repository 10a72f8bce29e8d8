"""What algorithms ask of any policy: closed forms where it has them, else estimates from actions taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray

if TYPE_CHECKING:
    from pgcore.policies.base import Policy

__all__ = ["Segments", "divergence", "entropy_of", "segments_of"]


class Segments(TypedDict, total=False):
    """The keyword that a policy with memory gets, and others don't."""

    starts: NDArray[np.int64]


def segments_of(policy: object, starts: NDArray[np.int64]) -> Segments:
    """Return ``{"starts": starts}`` for a policy with memory, else nothing.

    Pass the result on to `log_prob`, `score_product` and the others: ``**segments_of(policy,
    batch.segment_starts)``.

    >>> from pgcore.policies import CategoricalPolicy
    >>> segments_of(CategoricalPolicy(1, 2), np.array([0]))
    {}
    """
    return {"starts": starts} if getattr(policy, "has_memory", False) else {}


def entropy_of(policy: Policy, obs: ArrayLike, actions: ArrayLike, segments: Segments) -> FloatArray:
    """Return H(π(·∣o)) in nats, shape (B,), or −log π(a∣o), whose expectation it is.

    Parameters
    ----------
    policy
        Any.
    obs, actions
        Shapes (B, obs_dim) and (B, \\*action_shape); actions of the policy itself, read where it has no
        closed form.
    segments
        From `segments_of`.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy
    >>> entropy_of(CategoricalPolicy(1, 2), [[0.0]], [1], {}).round(4)
    array([0.6931], dtype=float32)
    """
    if "entropy" in policy.closed_forms:
        return policy.entropy(obs, **segments)
    return -policy.log_prob(obs, actions, **segments)


def divergence(
    policy: Policy,
    obs: ArrayLike,
    actions: ArrayLike,
    params_old: ArrayLike,
    segments: Segments,
    *,
    params: ArrayLike | None = None,
) -> FloatArray:
    r"""Return KL(π_old‖π) in nats, shape (B,), or :math:`\rho - 1 - \log\rho`, whose expectation it is.

    Parameters
    ----------
    policy
        Any.
    obs, actions
        Shapes (B, obs_dim) and (B, \\*action_shape); actions of the *old* policy, read where there is no
        closed form.
    params_old
        Parameters of the old policy, shape (P,).
    segments
        From `segments_of`.
    params
        Those of the new one, its own by default.

    Notes
    -----
    With ρ = π(a∣o)/π_old(a∣o): never negative and unbiased, as E_old[ρ] = 1.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=())
    >>> divergence(policy, [[0.0]], [1], policy.params, {}, params=[0.0, 0.0, 0.0, 1.0]).round(4)
    array([0.1201], dtype=float32)
    """
    if "kl" in policy.closed_forms:
        return policy.kl(obs, params_old, params=params, **segments)
    new = policy.log_prob(obs, actions, params=params, **segments).astype(np.float64)
    log_ratios = new - policy.log_prob(obs, actions, params=params_old, **segments)
    with np.errstate(over="ignore"):
        return np.asarray(np.expm1(log_ratios) - log_ratios, np.float64)
