"""The policy gradient estimated in every form, with standard errors, variance and weight diagnostics.

- `policy_gradient`, `maximum_likelihood_gradient`: from the policy's own episodes, or demonstrations;
- `off_policy_gradient`, `importance_weighted_return`, `mixture_log_probs`: from other policies' episodes.
"""

from __future__ import annotations

from pgcore.estimators.estimate import GradientEstimate
from pgcore.estimators.off_policy import (
    OffPolicyGradientEstimate,
    ReturnEstimate,
    importance_weighted_return,
    off_policy_gradient,
)
from pgcore.estimators.on_policy import maximum_likelihood_gradient, policy_gradient
from pgcore.estimators.weights import EffectiveSampleSizeWarning, mixture_log_probs

__all__ = [
    "EffectiveSampleSizeWarning",
    "GradientEstimate",
    "OffPolicyGradientEstimate",
    "ReturnEstimate",
    "importance_weighted_return",
    "maximum_likelihood_gradient",
    "mixture_log_probs",
    "off_policy_gradient",
    "policy_gradient",
]
