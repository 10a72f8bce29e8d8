"""OffPolicyPG: the policy gradient from the last few batches, weighed by importance (lecture, part 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pgcore.algorithms.policy_gradient import BaselineName, PolicyGradient, PolicyGradientConfig
from pgcore.data.batch import Batch, double_rewards
from pgcore.data.replay import Replay
from pgcore.estimators.off_policy import form_log_weights, off_policy_terms
from pgcore.io.datasets import load
from pgcore.kernels import effective_sample_size
from pgcore.training import PositiveFloat, PositiveInt
from pgcore.training.config import UnitInterval

if TYPE_CHECKING:
    from pgcore._arguments import FloatArray
    from pgcore.io.datasets import DataLike
    from pgcore.rollout.types import EnvLike
    from pgcore.training import Component

__all__ = ["OffPolicyPG", "OffPolicyPGConfig"]


@dataclass(frozen=True)
class OffPolicyPGConfig(PolicyGradientConfig):
    """Hyperparameters of `OffPolicyPG`; the shared ones are in `PolicyGradientConfig`."""

    form: Literal["trajectory", "per_decision", "past_only", "action_only"] = "action_only"
    """Probability ratios that weight a step; all but action_only need short episodes."""
    self_normalize: bool = False
    """Divide the weights at each time by their mean."""
    clip: PositiveFloat | None = None
    """Upper limit of the weights; None: no limit."""
    baseline: BaselineName = "value_network"
    """Baseline that is subtracted from the return; critic= takes any other, from Python."""
    learning_rate: PositiveFloat = 3e-3
    """Step size."""
    n_batches: PositiveInt = 4
    """Largest number of batches in use, the newest one included."""
    n_gradient_steps: PositiveInt = 10
    """Largest number of gradient steps per iteration."""
    min_ess: UnitInterval = 0.8
    """Least effective sample size, as a share of the batch, for another step or reuse."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form != "action_only" and not self.whole_episodes:
            raise ValueError(f"form: expected 'action_only' unless whole_episodes is True, got {self.form!r}")


class OffPolicyPG(PolicyGradient[OffPolicyPGConfig]):
    r"""Policy gradient that takes several steps on each batch, and reuses earlier ones.

    .. math:: \nabla J(\theta) \approx \frac1N \sum_{i=1}^N \sum_t W_{i,t}\,
              \nabla\log\pi_\theta(a_{i,t}\mid o_{i,t}) \,(G_{i,t} - b_{i,t})

    over the newest batch, those of the last ``n_batches`` whose effective sample size is still at least
    ``min_ess`` of their steps, and recorded demonstrations under the same condition. W_t is made of the
    ratios ρ_t = π_θ(a_t∣o_t)/μ(a_t∣o_t) to the policy μ that acted, as ``form`` says; the default, the
    first-order form, weighs a step by its own ratio alone. Stepping ends early when the newest batch's
    effective sample size falls under ``min_ess``. Advantages are standardised over all of them, unless
    ``normalize_advantage`` is off. A saved model holds the batches that may be reused.

    Parameters
    ----------
    env
        As for `pgcore.training.Algorithm`.
    demonstrations
        A `pgcore.Batch` with ``log_probs``, or a file of one: episodes of another policy to learn from too.
        Where the teacher's probabilities are unknown, clone it (`pgcore.BehaviourCloning`) and take the
        clone's. Not saved with the model: after loading, `set_demonstrations` again.
    **arguments
        The others of `pgcore.training.Algorithm`, and the hyperparameters in `OffPolicyPGConfig`.

    Raises
    ------
    TypeError, ValueError, OSError
        For demonstrations that cannot be read, don't fit the spaces, or lack ``log_probs``.

    Notes
    -----
    Levine & Koltun (2013); lecture, part 4.

    Examples
    --------
    >>> model = OffPolicyPG("CartPole-v1", num_envs=4, n_steps=64, seed=0).learn(1000)
    >>> model.num_timesteps >= 1000
    True
    """

    config_class = OffPolicyPGConfig
    command = "offpolicy"
    demonstrations_are = "optional"
    demonstrations: Batch | None = None

    def __init__(self, env: EnvLike, *, demonstrations: DataLike | None = None, **arguments: Any) -> None:
        super().__init__(env, **arguments)
        try:
            if demonstrations is not None:
                self.set_demonstrations(demonstrations)
        except BaseException:
            if isinstance(env, str):
                self.close()  # nothing else refers to it
            raise

    def set_demonstrations(self, demonstrations: DataLike) -> None:
        """Learn from these too from now on."""
        batch = load(demonstrations, self.observation_space)
        self.spaces.check_batch(batch)
        if batch.log_probs is None:
            raise ValueError(
                "demonstrations: expected a batch with the log_probs of its actions, got none; "
                "BehaviourCloning makes a policy that computes them"
            )
        for name in ("rewards", "log_probs"):
            if not np.isfinite(getattr(batch, name)).all():
                raise ValueError(f"demonstrations: expected finite {name}, got NaN or infinity")
        if batch.num_truncated and batch.bootstrap_obs is None:
            if not self.critic.needs_whole_episodes:
                raise ValueError("demonstrations: expected bootstrap_obs for truncated segments, got none")
            batch = batch.replace(
                bootstrap_obs=np.zeros((batch.num_segments, *batch.obs.shape[1:]), batch.obs.dtype)
            )
        self.demonstrations = batch

    def setup(self) -> None:
        """Make the optimizer and room for batches."""
        super().setup()
        self.replay = Replay(self.config.n_batches - 1)

    def components(self) -> dict[str, Component]:
        """Save the batches too."""
        return {**super().components(), "replay": self.replay}

    def update(self, batch: Batch) -> dict[str, float]:
        """Take up to ``n_gradient_steps`` steps on all batches in use, then let the baseline learn."""
        cfg = self.config
        earlier = [*self.replay.batches, *([] if self.demonstrations is None else [self.demonstrations])]
        reused = [other for other in earlier if self.share(other) >= cfg.min_ess]
        data = double_rewards(Batch.concatenate([batch, *reused]))
        self.replay.add(batch)
        bootstrap = self.critic.bootstrap_values(data)
        logs: dict[str, float] = {}
        num_steps = 0
        while True:
            log_weights = form_log_weights(self.policy, data, cfg.form, clip=cfg.clip)
            share = _share(log_weights.weights[: batch.num_steps])  # the newest come first
            if num_steps == cfg.n_gradient_steps or share < cfg.min_ess:
                break
            terms = off_policy_terms(
                data,
                log_weights,
                bootstrap,
                gamma=cfg.gamma,
                discount_states=cfg.discount_states,
                log_mean=log_weights.compare(data).log_mean if cfg.self_normalize else None,
            )
            logs = self.ascend(data, terms)
            num_steps += 1
        return {
            **logs,
            "n_gradient_steps": num_steps,
            "n_batches": 1 + len(reused),
            "effective_sample_size": share,
            **self.fit_critic(batch),
        }

    def share(self, batch: Batch) -> float:
        """Return the effective sample size of a batch's weights under the policy, as a share of its steps."""
        cfg = self.config
        return _share(form_log_weights(self.policy, batch, cfg.form, clip=cfg.clip).weights)


def _share(log_weights: FloatArray) -> float:
    return float(effective_sample_size(log_weights)) / len(log_weights)
