"""TRPO: a natural-gradient step no longer than a trust region (Schulman et al. 2015; lecture, part 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pgcore.algorithms.natural_gradient import NaturalGradient, NaturalGradientConfig, subsample
from pgcore.optim.line_search import LineSearchReason, backtrack
from pgcore.policies import divergence, segments_of
from pgcore.training import OpenUnitInterval, PositiveInt, scheduled

if TYPE_CHECKING:
    from pgcore._arguments import FloatArray
    from pgcore.algorithms.actor_critic import Advantages
    from pgcore.data.batch import Batch

__all__ = ["TRPO", "TRPOConfig"]


@dataclass(frozen=True)
class TRPOConfig(NaturalGradientConfig):
    """Hyperparameters of `TRPO`."""

    line_search_shrinking_factor: OpenUnitInterval = 0.8
    """Factor from one candidate step to the next."""
    line_search_max_iter: PositiveInt = 10
    """Candidates to try before the update is given up."""
    line_search_sub_sampling_factor: PositiveInt | None = None
    """Evaluate candidates on one in this many steps; None: sub_sampling_factor."""


class TRPO(NaturalGradient[TRPOConfig]):
    r"""Trust-region policy optimisation.

    .. math::
        \max_\theta \frac1B\sum_t \frac{\pi_\theta(a_t\mid o_t)}{\pi_\text{old}(a_t\mid o_t)} A_t
        \quad\text{subject to}\quad \overline{\mathrm{KL}}(\pi_\text{old}\|\pi_\theta) \le \delta

    by the longest step along x = (F + λI)⁻¹g that the quadratic model of the KL allows,
    :math:`\sqrt{2\delta/(x^\top (F + \lambda I) x)}\,x`, shortened until the true KL and the true surrogate
    agree. If none of the candidates does, the policy stays as it is, bit for bit, and the log says why
    (``line_search_reason``, a `LineSearchReason`). Arguments are those of `pgcore.training.Algorithm`,
    hyperparameters those of `TRPOConfig`.

    The KL is that of whole actions. sb3-contrib takes its mean over the dimensions of a real action, so that
    its ``target_kl=0.01`` and ``cg_damping=0.1`` are 0.03 and 0.3 here where an action has three.

    Examples
    --------
    >>> model = TRPO("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.logs["train/kl_divergence_loss"] <= model.config.target_kl
    True
    """

    config_class = TRPOConfig

    def improve_policy(self, batch: Batch, estimate: Advantages) -> dict[str, float]:
        """Take the longest step that the trust region allows."""
        cfg, policy, old = self.config, self.policy, self.policy.params
        advantages = self.advantages(estimate)
        direction = self.direction(batch, advantages)
        radius = scheduled(cfg.target_kl, cfg.step_schedule, self.progress)
        longest = direction.step_size(radius)

        rows = subsample(
            self.rng, batch.num_steps, cfg.line_search_sub_sampling_factor or cfg.sub_sampling_factor
        )
        obs, actions, weights = batch.obs[rows], batch.actions[rows], advantages[rows]
        segments = segments_of(policy, batch.segment_starts)
        log_probs = policy.log_prob(obs, actions, **segments)

        def evaluate(params: FloatArray) -> tuple[float, float]:
            ratios = np.exp(policy.log_prob(obs, actions, params=params, **segments) - log_probs)
            surrogate = float(np.mean(ratios * weights, dtype=np.float64))
            if cfg.ent_coef:
                entropy = policy.entropy(obs, params=params, **segments)
                surrogate += cfg.ent_coef * float(np.mean(entropy, dtype=np.float64))
            kl = divergence(policy, obs, actions, old, segments, params=params)
            return surrogate, float(np.mean(kl, dtype=np.float64))

        search = backtrack(
            evaluate,
            old,
            np.asarray(longest, old.dtype) * direction.x,
            max_kl=radius,
            shrink=cfg.line_search_shrinking_factor,
            max_iter=cfg.line_search_max_iter,
        )
        policy.params = search.params

        return {
            **direction.logs,
            "step_size": longest,
            "predicted_kl": 0.5 * longest**2 * direction.curvature,
            "kl_divergence_loss": search.kl,
            "predicted_improvement": longest * direction.slope,
            "policy_objective": search.improvement,
            "line_search_steps": search.steps,
            "line_search_reason": int(search.reason),
            "is_line_search_success": float(search.reason == LineSearchReason.ACCEPTED),
        }
