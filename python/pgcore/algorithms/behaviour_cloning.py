"""Behaviour cloning: raise the likelihood of recorded actions (Pomerleau 1991; lecture, part 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from pgcore.algorithms.actor_critic import policy_gradient, require_entropy, require_no_memory
from pgcore.data import Demonstrations
from pgcore.io.datasets import load
from pgcore.policies import entropy_of
from pgcore.rollout import RecordedSampler
from pgcore.training import (
    Algorithm,
    Component,
    Config,
    NonNegativeFloat,
    OptimizerName,
    PositiveFloat,
    PositiveInt,
    ScheduleName,
    clip_norm,
    make_optimizer,
    scheduled,
)
from pgcore.training.config import Range

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.io.datasets import DataLike
    from pgcore.rollout.types import EnvLike

__all__ = ["BehaviourCloning", "BehaviourCloningConfig"]


@dataclass(frozen=True)
class BehaviourCloningConfig(Config):
    """Hyperparameters of `BehaviourCloning`."""

    # Settings of playing and of returns: nothing is played here, and no reward is read. (Mypy reports that a
    # field of the parent becomes a constant of the class; here that is the purpose.)
    whole_episodes: ClassVar[bool] = False  # type: ignore[misc]
    gamma: ClassVar[float] = 1.0  # type: ignore[misc]

    n_steps: PositiveInt = 2048
    """Recorded steps per iteration; each iteration logs one line."""
    batch_size: PositiveInt = 64
    """Minibatch."""
    optimizer: OptimizerName = "adam"
    """Optimiser that turns the gradient into a step."""
    learning_rate: PositiveFloat = 1e-3
    """Step size."""
    learning_rate_schedule: ScheduleName = "constant"
    """Step size: constant; linear: decreasing to zero; cooldown: decreasing to zero in the last fifth."""
    max_grad_norm: PositiveFloat | None = None
    """Largest norm of the gradient; longer ones are scaled down. None: no limit."""
    ent_coef: NonNegativeFloat = 0.0
    """Weight of an entropy bonus, which keeps the policy from becoming deterministic."""
    normalize_observations: bool = False
    """Standardise observations with the demonstrations' mean and variance, then clip at 10."""
    validation_fraction: Annotated[float, Range("a number in [0, 1)", lambda value: 0 <= value < 1)] = 0.0
    """Share of the episodes kept for validation; their log-likelihood is logged."""


class BehaviourCloning(Algorithm[BehaviourCloningConfig]):
    r"""Maximum likelihood on demonstrations: the policy gradient with every weight 1, on recorded actions.

    .. math:: \max_\theta \frac1N \sum_{i=1}^N \sum_t \log\pi_\theta(a_{i,t}\mid o_{i,t}), \qquad
              \nabla = \frac1N \sum_{i=1}^N \sum_t \nabla\log\pi_\theta(a_{i,t}\mid o_{i,t})

    The ascent takes minibatches of steps and the mean gradient over steps, since Adam ignores a gradient's
    length. A *timestep* is one demonstrated step shown to the policy: ``learn(n)`` shows n of them, rounded
    up to whole iterations of ``n_steps``, in epochs that are shuffled anew. The environment is never stepped.
    Its spaces say what the policy looks like, and ``rollout/…`` stays not-a-number in the log.

    Parameters
    ----------
    env
        As for `pgcore.training.Algorithm`.
    demonstrations
        A `pgcore.Batch`, a file that `pgcore.io.datasets.save_batch` wrote, or
        ``"minari:{dataset id}"``. Observations are flat, (B, obs_dim), as a `Collector`'s are. Actions are a
        policy's: (B, A) real numbers, inside a `Box` or not, or choices counted from 0 whatever the space's
        ``start``. Rewards are not read. Not saved with the model: after loading, `set_demonstrations` first.
    **arguments
        The others of `pgcore.training.Algorithm`, except for a critic, and the hyperparameters in
        `BehaviourCloningConfig`.

    Attributes
    ----------
    demonstrations : Demonstrations or None
        What it learns from; ``demonstrations.batch`` is all of it.

    Raises
    ------
    TypeError, ValueError, OSError
        For demonstrations that cannot be read, or don't fit the environment's spaces, and a critic.

    Notes
    -----
    The log-likelihood of a `GaussianPolicy` has no maximum where the teacher never varies its action: its
    ``log_std`` decreases as long as training continues. Stop early (``validation_fraction`` shows when) or
    give an ``ent_coef``, above all if a policy gradient is to continue from there.

    References
    ----------
    Pomerleau 1991, *Efficient training of artificial neural networks for autonomous navigation*.

    Examples
    --------
    >>> from pgcore import Batch
    >>> obs = np.random.default_rng(0).normal(size=(500, 4))  # of a teacher that follows the pole
    >>> teacher = Batch(obs, actions=obs[:, 2] > 0, rewards=np.ones(500), ends=np.arange(500) % 50 == 49)
    >>> model = BehaviourCloning("CartPole-v1", demonstrations=teacher, n_steps=500, seed=0).learn(10_000)
    >>> int(model.predict([0.0, 0.0, 0.5, 0.0], deterministic=True)[0])
    1
    """

    config_class = BehaviourCloningConfig
    command = "bc"
    demonstrations_are = "required"
    demonstrations: Demonstrations | None = None

    def __init__(self, env: EnvLike, *, demonstrations: DataLike, **arguments: Any) -> None:
        super().__init__(env, **arguments)
        try:
            self.set_demonstrations(demonstrations)
        except BaseException:
            if isinstance(env, str):
                self.close()  # nothing else refers to it
            raise

    def set_demonstrations(self, demonstrations: DataLike) -> None:
        """Learn from these from now on, at the place in the epochs where training is.

        An observation normaliser gets their statistics, unless it has some already, as after loading.
        """
        batch = load(demonstrations, self.observation_space)
        self.spaces.check_batch(batch)
        kept = Demonstrations(batch, self.config.validation_fraction, seed=self.seed)
        normalizer = self.policy.normalizer
        if self.config.normalize_observations and normalizer is not None and normalizer.count == 0:
            normalizer.update(batch.obs[kept.rows])
        self.demonstrations = kept
        self.set_sampler(RecordedSampler(kept, position=self.num_updates * self.config.n_steps))

    def setup(self) -> None:
        """Make the optimizer."""
        if self.critic is not None:
            raise ValueError(f"critic: expected None, since nothing is valued here, got {self.critic!r}")
        require_entropy(self.policy, self.config.ent_coef)
        require_no_memory(self.policy, "batch_size")
        self.optimizer = make_optimizer(self.config.optimizer)

    def components(self) -> dict[str, Component]:
        """Save the optimizer too."""
        return {**super().components(), "optimizer": self.optimizer}

    def collect(self) -> Batch:
        """Take the next ``n_steps`` demonstrated steps, each a segment of its own, and count them."""
        if self.demonstrations is None:
            raise ValueError("demonstrations: expected some to learn from, got none; call set_demonstrations")
        return super().collect()

    def update(self, batch: Batch) -> dict[str, float]:
        """Make one pass of minibatch ascent over the batch."""
        cfg, policy = self.config, self.policy
        learning_rate = scheduled(cfg.learning_rate, cfg.learning_rate_schedule, self.progress)
        norms = []
        for start in range(0, batch.num_steps, cfg.batch_size):
            rows = slice(start, start + cfg.batch_size)
            obs, actions = batch.obs[rows], batch.actions[rows]
            mean = policy_gradient(policy, obs, actions, np.ones(len(obs), policy.dtype), cfg.ent_coef)
            gradient, norm = clip_norm(mean, cfg.max_grad_norm)
            policy.params = self.optimizer.ascend(policy.params, gradient, learning_rate)
            norms.append(norm)
        return {
            "log_likelihood": self._log_likelihood(batch),
            **self._progress(),
            "entropy": float(np.mean(entropy_of(policy, batch.obs, batch.actions, {}), dtype=np.float64)),
            "gradient_norm": float(np.mean(norms)),
            "learning_rate": learning_rate,
        }

    def _log_likelihood(self, batch: Batch) -> float:
        return float(np.mean(self.policy.log_prob(batch.obs, batch.actions), dtype=np.float64))

    def _progress(self) -> dict[str, float]:
        """Epochs so far, and the likelihood of what is held out."""
        if self.demonstrations is None:
            return {}
        n_steps = self.config.n_steps
        logs = {"epochs": (self.num_updates + 1) * n_steps / len(self.demonstrations.rows)}
        if (held_out := self.demonstrations.validation(n_steps)) is not None:
            logs["validation_log_likelihood"] = self._log_likelihood(held_out)
        return logs

    def observe(self, batch: Batch) -> None:
        """Leave the normaliser alone: it has seen the demonstrations, once each."""
