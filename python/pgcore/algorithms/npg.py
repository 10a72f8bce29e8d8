"""NPG: ascend the natural policy gradient (Kakade 2001; Rajeswaran et al. 2017; lecture, part 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pgcore.algorithms.natural_gradient import NaturalGradient, NaturalGradientConfig
from pgcore.policies import divergence, segments_of
from pgcore.training import PositiveFloat, scheduled

if TYPE_CHECKING:
    from pgcore._arguments import FloatArray
    from pgcore.algorithms.actor_critic import Advantages
    from pgcore.data.batch import Batch

__all__ = ["NPG", "NPGConfig"]

_MAX_HALVINGS = 10


@dataclass(frozen=True)
class NPGConfig(NaturalGradientConfig):
    """Hyperparameters of `NPG`."""

    step_rule: Literal["kl", "fixed"] = "kl"
    """Scale each step to a KL of target_kl, or multiply F⁻¹g by step_size."""
    step_size: PositiveFloat = 0.05
    """Step size α of the fixed rule."""


class NPG(NaturalGradient[NPGConfig]):
    r"""Natural policy gradient: steepest ascent per nat of KL, whatever the parameterisation.

    .. math:: \theta \leftarrow \theta + \alpha F^{-1} g, \qquad
              \alpha = \sqrt{2\delta / (x^\top (F + \lambda I)\, x)} \text{ for the KL rule, with }
              x = (F + \lambda I)^{-1} g

    with g and F both means over steps and λ the damping. There is no line search, which `TRPO` adds; but
    the KL rule halves a step whose true KL turns out more than twice its budget, where the quadratic model
    has failed. Arguments are those of `pgcore.training.Algorithm`, hyperparameters those of `NPGConfig`.

    Examples
    --------
    >>> model = NPG("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = NPGConfig

    def improve_policy(self, batch: Batch, estimate: Advantages) -> dict[str, float]:
        """Take one step along the natural gradient."""
        cfg, policy, old = self.config, self.policy, self.policy.params
        direction = self.direction(batch, self.advantages(estimate))
        budget = scheduled(cfg.target_kl, cfg.step_schedule, self.progress)
        alpha = direction.step_size(budget)
        if cfg.step_rule == "fixed":
            alpha = scheduled(cfg.step_size, cfg.step_schedule, self.progress)
        predicted_kl = 0.5 * alpha**2 * direction.curvature
        kl = self._kl_of_step(batch, old, alpha * direction.x)
        num_halvings = 0
        while cfg.step_rule == "kl" and not kl <= 2 * budget and num_halvings < _MAX_HALVINGS:
            num_halvings += 1
            alpha /= 2
            kl = self._kl_of_step(batch, old, alpha * direction.x)
        if not math.isfinite(kl) or (cfg.step_rule == "kl" and kl > 2 * budget):
            alpha, kl = 0.0, 0.0
        else:
            policy.params = _stepped(old, alpha * direction.x)

        return {
            **direction.logs,
            "step_size": alpha,
            "step_halvings": num_halvings,
            "predicted_kl": predicted_kl,
            "kl_divergence_loss": kl,
            "predicted_improvement": alpha * direction.slope,
        }

    def _kl_of_step(self, batch: Batch, old: FloatArray, step: FloatArray) -> float:
        """Return the mean KL(old‖new) that a step from the old parameters would make."""
        segments = segments_of(self.policy, batch.segment_starts)
        kl = divergence(self.policy, batch.obs, batch.actions, old, segments, params=_stepped(old, step))
        return float(np.mean(kl, dtype=np.float64))


def _stepped(old: FloatArray, step: FloatArray) -> FloatArray:
    return old + step.astype(old.dtype)
