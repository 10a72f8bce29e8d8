"""Parameterised distributions over actions, with analytic scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcore._kinds import make
from pgcore.curvature.fisher import Fisher
from pgcore.optim.surrogate import SurrogateAscent, SurrogateReport
from pgcore.policies.any_policy import divergence, entropy_of, segments_of
from pgcore.policies.base import Policy
from pgcore.policies.categorical import CategoricalPolicy, MultiBinaryPolicy, MultiDiscretePolicy
from pgcore.policies.check import check_policy
from pgcore.policies.compiled import CompiledPolicy
from pgcore.policies.gaussian import GaussianPolicy
from pgcore.policies.normalizer import ObservationNormalizer

if TYPE_CHECKING:
    import gymnasium

__all__ = [
    "CategoricalPolicy",
    "CompiledPolicy",
    "Fisher",
    "GaussianPolicy",
    "MultiBinaryPolicy",
    "MultiDiscretePolicy",
    "ObservationNormalizer",
    "Policy",
    "SurrogateAscent",
    "SurrogateReport",
    "check_policy",
    "divergence",
    "entropy_of",
    "for_spaces",
    "from_config",
    "segments_of",
]

_FAMILIES: dict[str, type[Policy]] = {
    family.__name__: family
    for family in (GaussianPolicy, CategoricalPolicy, MultiDiscretePolicy, MultiBinaryPolicy)
}


def from_config(config: Mapping[str, Any]) -> Policy:
    """Make a policy of the kind and size that `Policy.config` described, with fresh parameters.

    Raises
    ------
    ValueError
        If ``config["kind"]`` is not a policy family.
    """
    policy: Policy = make(config, Policy, _FAMILIES)
    return policy


def for_spaces(obs_dim: int, action_space: gymnasium.Space[Any], **arguments: Any) -> Policy:
    """Make the policy that fits an action space.

    Parameters
    ----------
    obs_dim
        Length of a flattened observation.
    action_space
        Box of any shape (`GaussianPolicy` on the flattened action), Discrete, MultiDiscrete or MultiBinary.
    **arguments
        Passed to the policy: ``hidden``, ``activation``, ``dtype``, ``seed``; for a Box also ``covariance``,
        ``init_log_std``.

    Raises
    ------
    TypeError
        For other spaces.
    """
    import numpy as np
    from gymnasium import spaces

    if isinstance(action_space, spaces.Box):
        return GaussianPolicy(obs_dim, int(np.prod(action_space.shape)), **arguments)
    if isinstance(action_space, spaces.Discrete):
        return CategoricalPolicy(obs_dim, int(action_space.n), **arguments)
    if isinstance(action_space, spaces.MultiDiscrete):
        return MultiDiscretePolicy(obs_dim, [int(n) for n in action_space.nvec.ravel()], **arguments)
    if isinstance(action_space, spaces.MultiBinary):
        return MultiBinaryPolicy(obs_dim, int(np.prod(action_space.shape)), **arguments)
    raise TypeError(f"action_space: expected Box, Discrete, MultiDiscrete or MultiBinary, got {action_space}")
