"""REINFORCE: ascend the sampled policy gradient (Williams 1992; lecture, parts 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pgcore.baselines import AverageReturn, Constant, LinearFeatures, TimeDependent, ValueNetwork
from pgcore.kernels import reward_to_go
from pgcore.training import (
    Algorithm,
    Component,
    Config,
    OptimizerName,
    PositiveFloat,
    PositiveInt,
    ScheduleName,
    clip_norm,
    explained_variance,
    make_optimizer,
    scheduled,
    standardize,
)

if TYPE_CHECKING:
    from pgcore.baselines import Baseline
    from pgcore.batch import Batch
    from pgcore.training.optimizers import FloatArray

__all__ = ["REINFORCE", "REINFORCEConfig"]


@dataclass(frozen=True)
class REINFORCEConfig(Config):
    """Hyperparameters of `REINFORCE`; the shared ones are in `pgcore.training.Config`."""

    n_steps: PositiveInt = 1024
    """Steps per environment and iteration (the least number of them, as long as whole_episodes is on)."""
    whole_episodes: bool = True
    """Begin every batch with fresh episodes and play them out."""
    form: Literal["trajectory", "reward_to_go"] = "reward_to_go"
    """Weight of a step: its trajectory's whole return R, or the rewards from there on, G_t."""
    discount_states: bool = False
    """Weight step t by gamma^t, as the discounted objective's gradient has it (R already contains it)."""
    baseline: Literal["none", "average_return", "time_dependent", "linear", "value_network"] = (
        "time_dependent"
    )
    """What is subtracted from the return; anything else can be given as critic=."""
    normalize_advantage: bool = True
    """Standardise the advantages over the whole batch."""
    mean_over: Literal["episodes", "steps"] = "episodes"
    """Divide the batch's summed gradient by its episodes, 1/N as in the lecture, or by its steps, 1/B."""
    optimizer: OptimizerName = "adam"
    """Rule that turns the gradient into a step uphill."""
    learning_rate: PositiveFloat = 1e-2
    """Step size."""
    learning_rate_schedule: ScheduleName = "constant"
    """Keep the step size, or let it fall to zero at the end of training."""
    max_grad_norm: PositiveFloat | None = None
    """Longer gradients are scaled down to this norm."""
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


class REINFORCE(Algorithm[REINFORCEConfig]):
    r"""Policy gradient as weighted maximum likelihood: raise log π(a_t∣s_t) by how well things went after it.

    .. math:: \nabla J \approx \frac1N \sum_{i=1}^N \sum_t \nabla\log\pi_\theta(a_{i,t}\mid s_{i,t})
              \, (W_{i,t} - b_{i,t}), \qquad
              W_{i,t} = \begin{cases} R(\tau_i) = \sum_{t'} \gamma^{t'} r_{i,t'} & \text{trajectory} \\
              G_{i,t} = \sum_{t' \ge t} \gamma^{t'-t} r_{i,t'} & \text{reward to go} \end{cases}

    Arguments are those of `pgcore.training.Algorithm`, hyperparameters those of `REINFORCEConfig`.

    Examples
    --------
    >>> model = REINFORCE("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = REINFORCEConfig
    critic: Baseline

    def setup(self) -> None:
        """Make the optimizer."""
        if self.critic.needs_whole_episodes and not self.config.whole_episodes:
            raise ValueError(
                "baseline: expected one that can value what follows a cut episode ('linear', "
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

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one step up the policy gradient, then let the baseline learn."""
        cfg, policy, critic = self.config, self.policy, self.critic
        returns = reward_to_go(
            batch.rewards, cfg.gamma, ends=batch.ends, tail_values=critic.tail_values(batch)
        )
        weights: FloatArray = returns  # G_t
        if cfg.form == "trajectory":
            weights = np.repeat(returns[batch.piece_starts], batch.piece_lengths)  # R = G_0, at every step
        values = critic.values(batch, weights)  # from before its fit to this batch
        advantages: FloatArray = weights - values
        if cfg.normalize_advantage:
            advantages = standardize(advantages)
        if cfg.discount_states and cfg.form == "reward_to_go":
            advantages = advantages * cfg.gamma**batch.step_in_piece

        total = policy.score_product(batch.obs, batch.actions, advantages)
        mean = total / (batch.num_episodes if cfg.mean_over == "episodes" else batch.num_steps)
        gradient, norm = clip_norm(mean, cfg.max_grad_norm)
        learning_rate = scheduled(cfg.learning_rate, cfg.learning_rate_schedule, self.progress)
        entropy = float(np.mean(policy.entropy(batch.obs)))
        policy.params = self.optimizer.ascend(policy.params, gradient, learning_rate)

        critic_logs = critic.fit(batch, returns)
        return {
            "gradient_norm": norm,
            "entropy": entropy,
            "explained_variance": explained_variance(values, weights),
            "learning_rate": learning_rate,
            **critic_logs,
        }
