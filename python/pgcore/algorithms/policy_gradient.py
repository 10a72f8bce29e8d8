"""What algorithms share that step up Σ_t c_t (G_t − b_t) ∇log π_t: configuration, baseline, one step."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from pgcore.baselines import AverageReturn, Constant, LinearFeatures, TimeDependent, ValueNetwork
from pgcore.estimators.terms import checked_values
from pgcore.kernels import reward_to_go
from pgcore.optim.optimizers import OptimizerName, ScheduleName, clip_norm, make_optimizer, scheduled
from pgcore.policies import entropy_of, segments_of
from pgcore.training.algorithm import Algorithm
from pgcore.training.config import Config, PositiveFloat, PositiveInt
from pgcore.training.statistics import explained_variance, spread, standardize

if TYPE_CHECKING:
    from pgcore._arguments import FloatArray
    from pgcore.baselines import Baseline
    from pgcore.data.batch import Batch
    from pgcore.estimators.terms import StepTerms
    from pgcore.training.persistence import Component

__all__ = ["BaselineName", "PolicyGradient", "PolicyGradientConfig"]

BaselineName = Literal["none", "average_return", "time_dependent", "linear", "value_network"]


@dataclass(frozen=True)
class PolicyGradientConfig(Config):
    """Hyperparameters of every `PolicyGradient`; the shared ones are in `pgcore.training.Config`."""

    n_steps: PositiveInt = 1024
    """Steps per environment and iteration (the least number of them, as long as whole_episodes is on)."""
    whole_episodes: bool = True
    """Start each batch with new episodes and play all of them to their end."""
    discount_states: bool = False
    """Weight step t by gamma^t, the exact gradient of the discounted objective."""
    baseline: BaselineName = "time_dependent"
    """Baseline that is subtracted from the return; critic= takes any other, from Python."""
    normalize_advantage: bool = True
    """Standardise the advantages over the whole batch."""
    mean_over: Literal["episodes", "steps"] = "episodes"
    """Divide the batch's summed gradient by the number of its episodes, or of its steps."""
    optimizer: OptimizerName = "adam"
    """Optimiser that turns the gradient into a step."""
    learning_rate: PositiveFloat = 1e-2
    """Step size."""
    learning_rate_schedule: ScheduleName = "constant"
    """Step size: constant; linear: decreasing to zero; cooldown: decreasing to zero in the last fifth."""
    max_grad_norm: PositiveFloat | None = None
    """Largest norm of the gradient; longer ones are scaled down. None: no limit."""
    critic_learning_rate: PositiveFloat = 1e-3
    """Adam step size of the value network."""
    n_critic_updates: PositiveInt = 10
    """Passes of the value network over each batch."""
    batch_size: PositiveInt = 64
    """Minibatch of the value network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discount_states and not self.whole_episodes:
            raise ValueError("discount_states: expected False unless whole_episodes is True, got True")


PolicyGradientConfigT_co = TypeVar("PolicyGradientConfigT_co", bound=PolicyGradientConfig, covariant=True)


class PolicyGradient(Algorithm[PolicyGradientConfigT_co], ABC):
    """An algorithm that weighs steps by returns less a baseline; a subclass writes `update`."""

    critic: Baseline

    def setup(self) -> None:
        """Make the optimizer."""
        if self.critic.needs_whole_episodes and not self.config.whole_episodes:
            raise ValueError(
                "baseline: expected one that can value what follows a truncated segment ('linear', "
                f"'value_network') unless whole_episodes is True, got {self.critic!r}"
            )
        self.optimizer = make_optimizer(self.config.optimizer)

    def components(self) -> dict[str, Component]:
        """Save the optimizer too."""
        return {**super().components(), "optimizer": self.optimizer}

    def default_critic(self, seed: int) -> Baseline:
        """Return the baseline that the configuration names."""
        cfg = self.config
        if cfg.baseline == "value_network":
            return ValueNetwork(
                hidden=self.hidden,
                activation=self.activation,
                learning_rate=cfg.critic_learning_rate,
                n_epochs=cfg.n_critic_updates,
                batch_size=cfg.batch_size,
                seed=seed,
            )
        if cfg.baseline == "linear":
            return LinearFeatures()
        if cfg.baseline == "time_dependent":
            return TimeDependent()
        return AverageReturn() if cfg.baseline == "average_return" else Constant(0.0)

    def ascend(self, batch: Batch, terms: StepTerms) -> dict[str, float]:
        """Take a step along the mean of Σ_t c_t (G_t − b_t) ∇log π_t; return numbers for the log."""
        cfg, policy = self.config, self.policy
        # From before its fit to this batch.
        values = checked_values("values", self.critic.values(batch, terms.returns), terms.returns)
        if cfg.normalize_advantage:
            advantages = np.subtract(terms.returns, values, dtype=np.float64)
            magnitude = max(np.abs(terms.returns).max(initial=0.0), np.abs(values).max(initial=0.0))
            weighted: FloatArray = terms.factors * standardize(advantages, magnitude=float(magnitude))
        else:
            weighted = terms.weighted_advantages(values)
        segments = segments_of(policy, batch.segment_starts)
        total = policy.score_product(batch.obs, batch.actions, weighted, **segments)
        mean = total / (batch.num_segments if cfg.mean_over == "episodes" else batch.num_steps)
        gradient, norm = clip_norm(mean, cfg.max_grad_norm)
        learning_rate = scheduled(cfg.learning_rate, cfg.learning_rate_schedule, self.progress)
        entropy = float(np.mean(entropy_of(policy, batch.obs, batch.actions, segments)))
        policy.params = self.optimizer.ascend(policy.params, gradient, learning_rate)
        return {
            "gradient_norm": norm,
            "entropy": entropy,
            **spread(policy),
            "explained_variance": explained_variance(values, terms.returns),
            "learning_rate": learning_rate,
        }

    def fit_critic(self, batch: Batch) -> dict[str, float]:
        """Let the baseline learn the rewards-to-go, whatever the form: its value may continue a segment."""
        bootstrap = self.critic.bootstrap_values(batch)
        returns = reward_to_go(batch.rewards, self.config.gamma, ends=batch.ends, bootstrap_values=bootstrap)
        return self.critic.fit(batch, returns)
