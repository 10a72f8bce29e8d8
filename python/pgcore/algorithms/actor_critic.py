"""What algorithms with an actor and a critic share: configuration, advantages, the gradient per step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeVar

import numpy as np

from pgcore._rounding import rounding, spread_of
from pgcore.baselines import ValueNetwork
from pgcore.baselines.optimal import OptimalBaseline
from pgcore.data.batch import double_rewards
from pgcore.estimators.terms import on_policy_terms
from pgcore.kernels import gae
from pgcore.training.algorithm import Algorithm
from pgcore.training.config import Config, NonNegativeFloat, UnitInterval
from pgcore.training.side_by_side import side_by_side
from pgcore.training.statistics import explained_variance, spread, standardize

if TYPE_CHECKING:
    from typing import Unpack

    from pgcore._arguments import AnyArray, FloatArray
    from pgcore.baselines import Baseline
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy
    from pgcore.policies.any_policy import Segments

__all__ = [
    "ActorCritic",
    "ActorCriticConfig",
    "Advantages",
    "CriticOptions",
    "gradient_statistics",
    "logged_steps",
    "policy_gradient",
    "require_entropy",
    "require_no_memory",
]


class CriticOptions(TypedDict, total=False):
    """Arguments of `pgcore.baselines.ValueNetwork`: how it is fitted."""

    learning_rate: float
    batch_size: int
    n_epochs: int
    max_grad_norm: float | None


@dataclass(frozen=True)
class ActorCriticConfig(Config, ABC):
    """Hyperparameters of every `ActorCritic`."""

    gae_lambda: UnitInterval = 0.95
    """GAE parameter lambda; 0: one-step TD error, 1: return minus value."""
    normalize_advantage: bool = True
    """Standardise the advantages: over the batch, in PPO over each minibatch."""
    ent_coef: NonNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    parallel_critic: bool = True
    """Fit the critic on a second thread. The numbers are the same."""

    @abstractmethod
    def critic_options(self) -> CriticOptions:
        """Return how the value network is to be fitted."""


class Advantages(NamedTuple):
    """How much better each step's action did than the critic expected of its state, in double precision."""

    advantages: FloatArray
    """A_t, shape (B,)."""
    targets: FloatArray
    """A_t + v(o_t), what the critic is to learn, (B,)."""
    values: FloatArray
    """v(o_t) as it was before this batch, (B,)."""

    @staticmethod
    def of(batch: Batch, critic: Baseline, *, gamma: float, gae_lambda: float) -> Advantages:
        """Estimate them with a critic that has not seen the batch; its value continues truncated segments."""
        batch = double_rewards(batch)
        bootstrap = critic.bootstrap_values(batch)
        values = critic.values(
            batch, on_policy_terms(batch, bootstrap, form="reward_to_go", gamma=gamma).returns
        )
        advantages, targets = gae(
            batch.rewards, values, gamma, gae_lambda, ends=batch.ends, bootstrap_values=bootstrap
        )
        return Advantages(advantages, targets, values)

    @property
    def magnitude(self) -> float:
        """The largest return or value, which rounding is relative to."""
        return float(max(np.abs(x).max(initial=0.0) for x in (self.targets, self.values)))

    @property
    def vary(self) -> bool:
        """Whether they differ by more than rounding."""
        return (
            len(self.advantages) > 0 and spread_of(self.advantages, magnitude=self.magnitude).deviation != 0
        )


def policy_gradient(
    policy: Policy,
    obs: AnyArray,
    actions: AnyArray,
    advantages: FloatArray,
    ent_coef: float = 0.0,
    **segments: Unpack[Segments],
) -> FloatArray:
    """Return (1/B) Σ_t (A_t ∇log π(a_t∣o_t) + c ∇H(π(·∣o_t))), the mean over *steps*, shape (P,)."""
    total = policy.score_product(obs, actions, advantages, **segments)
    if ent_coef:
        total = total + np.asarray(ent_coef, total.dtype) * policy.entropy_gradient(obs, **segments)
    gradient: FloatArray = total / np.asarray(len(obs), total.dtype)
    return gradient


def logged_steps(policy: Policy, num_steps: int) -> slice:
    """Return the steps that numbers of the log alone are computed from: at most 512, evenly spread.

    All steps for a policy with memory, whose segments must stay whole.
    """
    return slice(None, None, 1 if policy.has_memory else max(1, math.ceil(num_steps / 512)))


def gradient_statistics(
    policy: Policy,
    obs: AnyArray,
    actions: AnyArray,
    advantages: FloatArray,
    gradient: FloatArray,
    **segments: Unpack[Segments],
) -> dict[str, float]:
    r"""Return the gradient's norm, and its size relative to the sampling noise.

    ``gradient_snr`` is :math:`\|g\|^2 / (\mathrm{tr}\,\mathrm{Cov}[A s]/B)` with the covariance over single
    steps, taken as if they were independent, and estimated from `logged_steps`; not-a-number where there is
    no noise beyond rounding.
    """
    square = float(np.sum(np.square(gradient, dtype=np.float64)))
    some = logged_steps(policy, len(obs))
    norms = policy.score_sq_norms(obs[some], actions[some], **segments)
    weighted = np.square(advantages[some], dtype=np.float64) * norms
    mean = float(np.mean(weighted))
    noise = (mean - square) / len(obs)
    unseen = rounding(policy.dtype) * math.sqrt(len(obs)) * mean  # of a difference of two sums
    return {
        "gradient_norm": float(np.sqrt(square)),
        "gradient_snr": square / noise if mean - square > unseen else math.nan,
    }


def require_entropy(policy: Policy, ent_coef: float) -> None:
    """Raise a `ValueError` for an entropy bonus of a policy without a closed-form entropy."""
    if ent_coef and "entropy" not in policy.closed_forms:
        raise ValueError(
            f"ent_coef: expected 0 for {type(policy).__name__}, whose entropy has no closed form, got "
            f"{ent_coef}"
        )


def require_no_memory(policy: Policy, name: str) -> None:
    """Raise a `ValueError` for a policy with memory, since ``name`` takes rows out of their segments."""
    if policy.has_memory:
        raise ValueError(
            f"policy: expected one without memory for {name}, which takes rows out of their segments, got "
            f"{type(policy).__name__}; REINFORCE, and NPG and TRPO without subsampling, take it"
        )


ActorCriticConfigT_co = TypeVar("ActorCriticConfigT_co", bound=ActorCriticConfig, covariant=True)


class ActorCritic(Algorithm[ActorCriticConfigT_co]):
    """An algorithm that improves a policy by advantages from a critic.

    A subclass writes `improve_policy`. The critic learns at the same time, on another thread.
    """

    critic: Baseline

    def default_critic(self, seed: int) -> Baseline:
        """Return a value network, to be fitted as the configuration says."""
        options = self.config.critic_options()
        return ValueNetwork(self.hidden, activation=self.activation, seed=seed, **options)

    def setup(self) -> None:
        """Refuse a critic that needs the policy's scores, or treats time limits as ends of episodes.

        Refuse an entropy bonus for a policy without a closed-form entropy.
        """
        require_entropy(self.policy, self.config.ent_coef)
        if isinstance(self.critic, OptimalBaseline):
            raise ValueError(
                "critic: expected one that needs no scores of the policy (ValueNetwork, LinearFeatures), "
                f"got {self.critic!r}"
            )
        if self.critic.needs_whole_episodes and not self.config.whole_episodes:
            raise ValueError(
                "critic: expected one that can value what follows a truncated segment (ValueNetwork, "
                f"LinearFeatures) unless whole_episodes is True, got {self.critic!r}"
            )

    @abstractmethod
    def improve_policy(self, batch: Batch, estimate: Advantages) -> dict[str, float]:
        """Improve the policy by one batch; return numbers for the log.

        This may run at the same time as the critic's fit, and must leave the critic alone.
        """

    def update(self, batch: Batch) -> dict[str, float]:
        """Let actor and critic learn, both from the critic's values as they were before the batch."""
        cfg = self.config
        estimate = Advantages.of(batch, self.critic, gamma=cfg.gamma, gae_lambda=cfg.gae_lambda)
        if not cfg.parallel_critic:
            actor, critic = self.improve_policy(batch, estimate), self.fit_critic(batch, estimate)
        else:
            actor, critic = side_by_side(
                lambda: self.improve_policy(batch, estimate), lambda: self.fit_critic(batch, estimate)
            )
        return {**actor, **spread(self.policy), **critic}

    def advantages(self, estimate: Advantages) -> FloatArray:
        """Return the batch's advantages in the policy's dtype, standardised if the configuration says so."""
        cfg = self.config
        normalized = estimate.advantages
        if cfg.normalize_advantage:
            normalized = standardize(normalized, magnitude=estimate.magnitude)
        return normalized.astype(self.policy.dtype, copy=False)

    def fit_critic(self, batch: Batch, estimate: Advantages) -> dict[str, float]:
        """Let the critic learn the batch's targets; return its numbers for the log."""
        return {
            "explained_variance": explained_variance(estimate.values, estimate.targets),
            **self.critic.fit(batch, estimate.targets),
        }
