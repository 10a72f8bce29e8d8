"""AWR over recorded data: clone the actions, each by how much better it did (Peng et al. 2019)."""

from dataclasses import dataclass

import numpy as np

from pgcore import Batch
from pgcore.baselines import ValueNetwork
from pgcore.io import load_batch
from pgcore.kernels import reward_to_go
from pgcore.optim import make_optimizer
from pgcore.training import Algorithm, Config, PositiveFloat, PositiveInt, standardize


@dataclass(frozen=True)
class AWRConfig(Config):
    """Hyperparameters of `AWR`."""

    temperature: PositiveFloat = 1.0
    """β: a step counts exp(A/β), with the advantage A in standard deviations."""
    max_weight: PositiveFloat = 20.0
    """Larger weights count as this."""
    learning_rate: PositiveFloat = 1e-2
    """Step size."""
    batch_size: PositiveInt = 64
    """Minibatch."""


class AWR(Algorithm[AWRConfig]):
    """Ascends the mean of exp(A_t/β) ∇log π(a_t∣o_t) over recorded steps; no environment is stepped."""

    config_class = AWRConfig
    demonstrations_are = "required"
    recorded = None  # not saved with the model

    def __init__(self, env, *, demonstrations, **arguments):
        super().__init__(env, **arguments)
        self.set_demonstrations(demonstrations)

    def set_demonstrations(self, demonstrations):
        recorded = demonstrations if isinstance(demonstrations, Batch) else load_batch(demonstrations)
        self.spaces.check_batch(recorded)
        self.recorded = recorded

    def default_critic(self, seed):
        return ValueNetwork(self.hidden, activation=self.activation, seed=seed)

    def setup(self):
        self.optimizer = make_optimizer("adam")

    def components(self):
        return {**super().components(), "optimizer": self.optimizer}

    def collect(self):
        """Return all that was recorded; one pass over it is an iteration."""
        self.training_state.count(self.recorded.num_steps)
        return self.recorded

    def update(self, batch):
        cfg, policy = self.config, self.policy
        returns = reward_to_go(batch.rewards, cfg.gamma, ends=batch.ends)
        logs = self.critic.fit(batch, returns)
        advantages = standardize(returns - self.critic.predict(batch.obs))
        weights = np.minimum(np.exp(advantages / cfg.temperature), cfg.max_weight).astype(policy.dtype)
        shuffled = self.rng.permutation(batch.num_steps)
        for first in range(0, batch.num_steps, cfg.batch_size):
            rows = shuffled[first : first + cfg.batch_size]
            total = policy.score_product(batch.obs[rows], batch.actions[rows], weights[rows])
            policy.params = self.optimizer.ascend(policy.params, total / len(rows), cfg.learning_rate)
        log_probs = policy.log_prob(batch.obs, batch.actions)
        return {**logs, "log_likelihood": float(log_probs.mean()), "mean_weight": float(weights.mean())}
