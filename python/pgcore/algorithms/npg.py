"""NPG: ascend the natural policy gradient (Kakade 2001; Rajeswaran et al. 2017; lecture, part 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pgcore.training import PositiveFloat, ScheduleName, clip_norm, scheduled
from pgcore.training.actor_critic import ActorCritic, gradient_statistics, policy_gradient
from pgcore.training.natural_gradient import NaturalGradientConfig, cg_logs, natural_gradient

if TYPE_CHECKING:
    from pgcore.batch import Batch

__all__ = ["NPG", "NPGConfig"]


@dataclass(frozen=True)
class NPGConfig(NaturalGradientConfig):
    """Hyperparameters of `NPG`."""

    step_rule: Literal["kl", "fixed"] = "kl"
    """Scale each step so that it spends target_kl, or multiply F⁻¹g by learning_rate."""
    learning_rate: PositiveFloat = 0.05
    """Step size α of the fixed rule."""
    learning_rate_schedule: ScheduleName = "constant"
    """Keep the step size (or, for the KL rule, its budget), or let it fall to zero at the end of training."""
    max_step_size: PositiveFloat = 100.0
    """Upper limit of the KL rule's α, for gradients that have nearly vanished."""


class NPG(ActorCritic[NPGConfig]):
    r"""Natural policy gradient: steepest ascent per nat of KL, whatever the parameterisation.

    .. math:: \theta \leftarrow \theta + \alpha F^{-1} g, \qquad
              \alpha = \sqrt{2\delta / (x^\top F x)} \text{ with } x = F^{-1}g \text{ for the KL rule}

    with g and F both means over steps. There is no line search; `TRPO` adds one. Arguments are those of
    `pgcore.training.Algorithm`, hyperparameters those of `NPGConfig`.

    Examples
    --------
    >>> model = NPG("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = NPGConfig

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one step along the natural gradient, then let the critic learn."""
        cfg, policy, old = self.config, self.policy, self.policy.params
        advantages, estimate = self.advantages(batch)
        gradient = policy_gradient(policy, batch.obs, batch.actions, advantages, cfg.ent_coef)
        clip_norm(gradient, None)  # raises where it is not finite
        statistics = gradient_statistics(policy, batch.obs, batch.actions, advantages, gradient)

        solution = natural_gradient(policy, batch, gradient, cfg, self._rng)
        curvature = max(solution.curvature, 0.0)
        if cfg.step_rule == "fixed":
            alpha = scheduled(cfg.learning_rate, cfg.learning_rate_schedule, self.progress)
        else:
            budget = scheduled(cfg.target_kl, cfg.learning_rate_schedule, self.progress)
            alpha = min(math.sqrt(2 * budget / curvature), cfg.max_step_size) if curvature > 0 else 0.0
        entropy = float(np.mean(policy.entropy(batch.obs)))
        policy.params = old + np.asarray(alpha, old.dtype) * solution.x

        return {
            **statistics,
            **cg_logs(solution),
            "step_size": alpha,
            "predicted_kl": 0.5 * alpha**2 * curvature,
            "kl_divergence_loss": float(np.mean(policy.kl(batch.obs, old))),
            "predicted_improvement": alpha * float(gradient.astype(np.float64) @ solution.x),
            "entropy": entropy,
            **self.critic_logs(batch, estimate),
        }
