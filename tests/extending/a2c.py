"""A2C: one step of Adam up the advantage gradient for every short rollout (Mnih et al. 2016)."""

from dataclasses import dataclass

import numpy as np

from pgcore.baselines import ValueNetwork
from pgcore.kernels import gae
from pgcore.optim import clip_norm, make_optimizer
from pgcore.training import Algorithm, Config, NonNegativeFloat, PositiveFloat, PositiveInt, UnitInterval


@dataclass(frozen=True)
class A2CConfig(Config):
    """Hyperparameters of `A2C`."""

    n_steps: PositiveInt = 16
    """Steps per environment and iteration."""
    gae_lambda: UnitInterval = 1.0
    """Weight of long against short returns in the advantages."""
    learning_rate: PositiveFloat = 3e-3
    """Step size."""
    ent_coef: NonNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: PositiveFloat | None = 0.5
    """Longer gradients are scaled down to this norm."""


class A2C(Algorithm[A2CConfig]):
    """Ascends the mean of A_t ∇log π(a_t∣o_t) + c ∇H, and fits the critic to A_t + v(o_t)."""

    config_class = A2CConfig

    def default_critic(self, seed):
        return ValueNetwork(self.hidden, activation=self.activation, n_epochs=1, seed=seed)

    def setup(self):
        self.optimizer = make_optimizer("adam")

    def components(self):
        return {**super().components(), "optimizer": self.optimizer}

    def update(self, batch):
        cfg, policy, critic = self.config, self.policy, self.critic
        values, bootstrap = critic.predict(batch.obs), critic.bootstrap_values(batch)
        advantages, targets = gae(
            batch.rewards, values, cfg.gamma, cfg.gae_lambda, ends=batch.ends, bootstrap_values=bootstrap
        )
        weights = (advantages / len(advantages)).astype(policy.dtype)
        gradient = policy.score_product(batch.obs, batch.actions, weights)
        gradient = gradient + cfg.ent_coef / len(advantages) * policy.entropy_gradient(batch.obs)
        gradient, norm = clip_norm(gradient, cfg.max_grad_norm)
        policy.params = self.optimizer.ascend(policy.params, gradient, cfg.learning_rate)
        entropy = float(np.mean(policy.entropy(batch.obs)))
        return {"gradient_norm": norm, "entropy": entropy, **critic.fit(batch, targets)}
