"""PPO: several passes over a batch, on a surrogate clipped around the old policy (Schulman et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pgcore._arguments import state_entries
from pgcore.algorithms.actor_critic import (
    ActorCritic,
    ActorCriticConfig,
    gradient_statistics,
    logged_steps,
    policy_gradient,
    require_no_memory,
)
from pgcore.optim import ScoreAscent, SurrogateAscent
from pgcore.policies import CompiledPolicy, divergence
from pgcore.training import NonNegativeFloat, PositiveFloat, PositiveInt, ScheduleName, scheduled

if TYPE_CHECKING:
    from pgcore._arguments import Arrays, FloatArray
    from pgcore.algorithms.actor_critic import Advantages, CriticOptions
    from pgcore.data.batch import Batch
    from pgcore.training import Component

__all__ = ["PPO", "PPOConfig"]


@dataclass(frozen=True)
class PPOConfig(ActorCriticConfig):
    """Hyperparameters of `PPO`."""

    n_epochs: PositiveInt = 10
    """Passes of policy and value network over each batch."""
    batch_size: PositiveInt = 64
    """Minibatch size of policy and value network."""
    learning_rate: PositiveFloat = 3e-4
    """Adam step size of policy and value network."""
    learning_rate_schedule: ScheduleName = "constant"
    """Policy's step size: constant; linear: decreasing to zero; cooldown: to zero in the last fifth."""
    clip_range: PositiveFloat | None = 0.2
    """Clip probability ratios to 1 plus or minus this; None: no limit."""
    clip_range_schedule: ScheduleName = "constant"
    """Clip range: constant; linear: decreasing to zero; cooldown: decreasing to zero in the last fifth."""
    max_grad_norm: PositiveFloat | None = 0.5
    """Largest norm of each network's gradient; longer ones are scaled down. None: no limit."""
    target_kl: PositiveFloat | None = None
    """Stop an update when the KL of a minibatch exceeds 1.5 times this; None: never."""
    kl_coef: NonNegativeFloat = 0.0
    """Weight of a penalty on KL(old‖new)."""
    kl_adaptive: bool = False
    """Double kl_coef if an update's KL exceeds 1.5 target_kl, halve it below target_kl / 1.5."""
    critic_learning_rate: PositiveFloat | None = None
    """Adam step size of the value network; None: learning_rate."""
    critic_batch_size: PositiveInt | None = None
    """Minibatch size of the value network; None: batch_size."""
    n_critic_updates: PositiveInt | None = None
    """Passes of the value network over each batch; None: n_epochs."""

    def critic_options(self) -> CriticOptions:
        """Return the policy's settings, except those that are given for the critic alone."""
        return {
            "learning_rate": self.critic_learning_rate or self.learning_rate,
            "batch_size": self.critic_batch_size or self.batch_size,
            "n_epochs": self.n_critic_updates or self.n_epochs,
            "max_grad_norm": self.max_grad_norm,
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_adaptive and (self.target_kl is None or self.kl_coef == 0):
            raise ValueError("kl_adaptive: expected False unless target_kl and kl_coef are given, got True")


class PPO(ActorCritic[PPOConfig]):
    r"""Proximal policy optimisation: minibatch Adam on the clipped surrogate.

    .. math::
        \max_\theta \frac1B\sum_t
        \min\bigl(\rho_t A_t,\ \mathrm{clip}(\rho_t, 1-\epsilon, 1+\epsilon) A_t\bigr)
        + c\,H(\pi_\theta(\cdot\mid o_t)) - \beta\,\mathrm{KL}(\pi_\text{old}\|\pi_\theta)_t, \qquad
        \rho_t = \frac{\pi_\theta(a_t\mid o_t)}{\pi_\text{old}(a_t\mid o_t)}

    Advantages are standardised in each minibatch as in Stable-Baselines3: divided by the deviation with
    B − 1, and left as they are in a minibatch of a single step. The KL is estimated by ρ − 1 − log ρ. Actor
    and critic are two networks with an Adam each. Arguments are those of `pgcore.training.Algorithm`,
    hyperparameters those of `PPOConfig`.

    In the log, ``gradient_norm``, ``gradient_snr`` and ``kl_divergence_loss`` are those of at most 512 steps,
    evenly spread over the batch; with ``kl_adaptive`` the KL is that of all steps. The other numbers come
    from the minibatches.

    Examples
    --------
    >>> model = PPO("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = PPOConfig

    def setup(self) -> None:
        """Make the optimizer: compiled where the policy is."""
        super().setup()
        require_no_memory(self.policy, "batch_size")
        policy = self.policy
        self.ascent: SurrogateAscent | ScoreAscent = (
            SurrogateAscent(policy) if isinstance(policy, CompiledPolicy) else ScoreAscent(policy)
        )
        self.kl_coef = AdaptiveCoefficient(self.config.kl_coef)

    def components(self) -> dict[str, Component]:
        """Save the optimizer and the penalty's weight too."""
        return {**super().components(), "optimizer": self.ascent, "kl_coef": self.kl_coef}

    def improve_policy(self, batch: Batch, estimate: Advantages) -> dict[str, float]:
        """Make ``n_epochs`` passes of minibatch Adam over the batch, fewer if `target_kl` is exceeded."""
        cfg, policy = self.config, self.policy
        advantages = estimate.advantages  # in double, for minibatches to be centred before they are rounded
        if cfg.normalize_advantage and not estimate.vary:
            advantages = np.zeros_like(advantages)
        logged = logged_steps(policy, batch.num_steps)
        obs, actions = batch.obs[logged], batch.actions[logged]
        with np.errstate(over="ignore"):  # of the statistics alone
            rounded = advantages[logged].astype(policy.dtype, copy=False)
        gradient = policy_gradient(policy, obs, actions, rounded, cfg.ent_coef)
        statistics = gradient_statistics(policy, obs, actions, rounded, gradient)
        learning_rate = scheduled(cfg.learning_rate, cfg.learning_rate_schedule, self.progress)
        clip_range = math.inf
        if cfg.clip_range is not None:
            clip_range = scheduled(cfg.clip_range, cfg.clip_range_schedule, self.progress)
        old, old_log_probs = policy.params, self._log_probs(batch, logged)
        kl_limit = None if cfg.target_kl is None or cfg.kl_adaptive else 1.5 * cfg.target_kl
        num_steps_taken, report = 0, None
        for _ in range(cfg.n_epochs):
            latest = self.ascent.epoch(
                batch.obs,
                batch.actions,
                advantages,
                old_log_probs,
                self.rng.permutation(batch.num_steps),
                learning_rate=learning_rate,
                batch_size=cfg.batch_size,
                clip_range=clip_range,
                ent_coef=cfg.ent_coef,
                kl_coef=self.kl_coef.value,
                max_grad_norm=cfg.max_grad_norm,
                max_kl=kl_limit,
                normalize_advantage=cfg.normalize_advantage,
            )
            num_steps_taken += latest.minibatches
            report = latest if report is None or latest.minibatches else report
            if latest.stopped:
                break
        assert report is not None
        if cfg.kl_adaptive:
            obs, actions = batch.obs, batch.actions
        kl = float(np.mean(divergence(policy, obs, actions, old, {}), dtype=np.float64))
        if cfg.kl_adaptive and cfg.target_kl is not None:
            self.kl_coef.adapt(kl, cfg.target_kl)
        return {
            **statistics,
            "policy_gradient_loss": -report.surrogate,
            "entropy": report.entropy,
            "entropy_loss": -report.entropy,
            "approx_kl": report.approx_kl,
            "clip_fraction": report.clip_fraction,
            "kl_divergence_loss": kl,
            "kl_coef": self.kl_coef.value,
            "minibatch_gradient_norm": report.gradient_norm,
            "n_minibatches": num_steps_taken,
            "learning_rate": learning_rate,
            "clip_range": clip_range,
        }

    def _log_probs(self, batch: Batch, some: slice) -> FloatArray:
        """Return log π(a_t∣o_t): the batch's own if they are this policy's at ``some`` steps, bit for bit."""
        policy, given = self.policy, batch.log_probs
        if given is None or given.dtype != policy.dtype:
            return policy.log_prob(batch.obs, batch.actions)
        ours = policy.log_prob(batch.obs[some], batch.actions[some])
        return given if np.array_equal(given[some], ours) else policy.log_prob(batch.obs, batch.actions)


class AdaptiveCoefficient:
    """The weight of a KL penalty, moved towards a target (Schulman et al. 2017, section 4).

    It stays within four orders of magnitude of where it began, so that it can always return.

    >>> beta = AdaptiveCoefficient(1.0)
    >>> beta.adapt(kl=0.02, target=0.01)
    >>> beta.value
    2.0
    """

    def __init__(self, value: float) -> None:
        self.initial = self.value = value

    def adapt(self, kl: float, target: float) -> None:
        """Double the weight after more than 1.5 times the target, halve it after less than 1/1.5 of it."""
        if kl > 1.5 * target:
            self.value = min(2 * self.value, 1e4 * self.initial)
        elif kl < target / 1.5:
            self.value = max(self.value / 2, 1e-4 * self.initial)

    def state(self) -> Arrays:
        """Return the weight."""
        return {"value": np.array(self.value)}

    def load_state(self, state: Arrays) -> None:
        """Restore a weight that `state` returned; a number below 0 or not finite raises a `ValueError`."""
        self.value = float(state_entries(state, {"value": ()}, not_negative=("value",))["value"])
