"""The natural gradient F⁻¹g: configuration, solution, and the line search of a trust region."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from pgcore.algorithms.actor_critic import (
    ActorCritic,
    ActorCriticConfig,
    gradient_statistics,
    policy_gradient,
)
from pgcore.optim.optimizers import ScheduleName, clip_norm
from pgcore.training.algorithm import ConfigT
from pgcore.training.config import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from pgcore.data.batch import Batch
    from pgcore.kernels import CGResult
    from pgcore.policies import Policy

__all__ = [
    "Direction",
    "LineSearch",
    "LineSearchReason",
    "NaturalGradient",
    "NaturalGradientConfig",
    "backtrack",
    "cg_logs",
    "natural_gradient",
    "subsample",
]

FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True)
class NaturalGradientConfig(ActorCriticConfig):
    """Hyperparameters of methods that solve F x = g."""

    learning_rate: PositiveFloat = 1e-3
    """Adam step size of the value network."""
    batch_size: PositiveInt = 128
    """Minibatch of the value network."""
    n_critic_updates: PositiveInt = 10
    """Passes of the value network over each batch."""
    target_kl: PositiveFloat = 0.01
    """Mean KL(old‖new) per step that an update may spend, in nats."""
    step_schedule: ScheduleName = "constant"
    """Keep target_kl (and NPG's fixed step size) constant, or decrease it to zero by the end of training."""
    cg_max_steps: PositiveInt = 15
    """Limit of conjugate-gradient iterations."""
    cg_damping: NonNegativeFloat = 0.1
    """Multiple of the identity added to the Fisher matrix."""
    cg_rtol: NonNegativeFloat = 1e-6
    """Relative residual at which the iterations stop earlier."""
    cg_preconditioner: Literal["none", "diagonal", "kronecker"] = "none"
    """Preconditioner of the iterations."""
    fisher: Literal["exact", "empirical"] = "exact"
    """Expectation over the policy's actions in closed form, or mean over the actions taken."""
    sub_sampling_factor: PositiveInt = 1
    """Improve the policy by one step in so many, drawn anew in every update."""
    fisher_sub_sampling_factor: PositiveInt | None = None
    """The same for the Fisher matrix alone, in place of sub_sampling_factor."""

    def critic_options(self) -> dict[str, Any]:
        """Return the value network's settings, as arguments of `pgcore.baselines.ValueNetwork`."""
        return {
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "n_epochs": self.n_critic_updates,
        }


def subsample(rng: Generator, num_rows: int, factor: int) -> NDArray[np.int64] | slice:
    """Return the numbers of one row in ``factor``, in order; all of them for a factor of 1."""
    if factor == 1:
        return slice(None)
    return np.sort(rng.choice(num_rows, max(1, num_rows // factor), replace=False))


def natural_gradient(
    policy: Policy, batch: Batch, gradient: FloatArray, cfg: NaturalGradientConfig, rng: Generator
) -> CGResult:
    """Solve (F + damping·I) x = g over (a subsample of) the batch's observations."""
    rows = subsample(rng, batch.num_steps, cfg.fisher_sub_sampling_factor or cfg.sub_sampling_factor)
    operator = policy.fisher(batch.obs[rows], batch.actions[rows], kind=cfg.fisher, damping=cfg.cg_damping)
    preconditioner = None if cfg.cg_preconditioner == "none" else cfg.cg_preconditioner
    return operator.solve(
        gradient, max_iter=cfg.cg_max_steps, rtol=cfg.cg_rtol, preconditioner=preconditioner
    )


def cg_logs(result: CGResult) -> dict[str, float]:
    """What happened while solving, for the log; ``cg_status`` is a `pgcore.kernels.CGStatus`."""
    return {
        "cg_iterations": result.iterations,
        "cg_status": int(result.status),
        "cg_residual": result.residual_norm,
        "cg_condition": result.condition,
    }


class Direction(NamedTuple):
    """The natural gradient at a policy's parameters."""

    x: FloatArray
    """(F + damping·I)⁻¹ g, shape (P,)."""
    slope: float
    """gᵀx: what the objective gains per unit of step size, to first order."""
    curvature: float
    """xᵀ(F + damping·I)x: a step of size α makes a KL of about α²/2 times that."""
    logs: dict[str, float]
    """Norm and noise of the gradient, entropy, and how the solution went."""

    def step_size(self, kl: float) -> float:
        """Return the α with ½ α² curvature = ``kl``; 0 where there is no direction."""
        return math.sqrt(2 * kl / self.curvature) if self.curvature > 0 else 0.0


class NaturalGradient(ActorCritic[ConfigT]):
    """An `ActorCritic` that follows the natural gradient."""

    def direction(self, batch: Batch, advantages: FloatArray) -> Direction:
        """Return the natural gradient of the surrogate objective at the policy's parameters."""
        cfg, policy = self.config, self.policy
        rows = subsample(self._rng, batch.num_steps, cfg.sub_sampling_factor)
        data = batch.obs[rows], batch.actions[rows], advantages[rows]
        gradient = policy_gradient(policy, *data, cfg.ent_coef)
        clip_norm(gradient, None)  # raises where it is not finite
        solution = natural_gradient(policy, batch, gradient, cfg, self._rng)
        entropy = float(np.mean(policy.entropy(batch.obs)))
        logs = {
            **gradient_statistics(policy, *data, gradient),
            **cg_logs(solution),
            "entropy": entropy,
            "entropy_loss": -entropy,
        }
        slope = float(gradient.astype(np.float64) @ solution.x)
        return Direction(solution.x, slope, max(solution.curvature, 0.0), logs)


class LineSearchReason(enum.IntEnum):
    """Why a line search ended; for one that failed, what was wrong with its last candidate."""

    ACCEPTED = 0
    """The KL lies inside its radius and the surrogate has improved."""
    KL = 1
    """The KL was larger than its radius."""
    NO_IMPROVEMENT = 2
    """The surrogate had not improved."""
    NONFINITE = 3
    """The KL, the surrogate or a parameter was NaN or infinite."""


class LineSearch(NamedTuple):
    """What `backtrack` found."""

    params: FloatArray
    """The accepted parameters, or the old ones bit for bit."""
    reason: LineSearchReason
    steps: int
    """Candidates that were evaluated."""
    kl: float
    """KL(old‖new) of the parameters returned."""
    improvement: float
    """Gain of the surrogate with the parameters returned."""


def backtrack(
    evaluate: Callable[[FloatArray], tuple[float, float]],
    params: FloatArray,
    step: FloatArray,
    *,
    max_kl: float,
    shrink: float,
    max_iter: int,
) -> LineSearch:
    """Try θ + βʲ·step for j = 0, 1, …, until the KL is within its radius *and* the surrogate improves.

    Parameters
    ----------
    evaluate
        Returns the surrogate and KL(old‖new) of given parameters.
    params, step
        θ and the longest step, shape (P,).
    max_kl
        Radius.
    shrink
        β, between 0 and 1.
    max_iter
        Number of candidates to try.

    Returns
    -------
    LineSearch
        On failure with ``params`` themselves, and the reason.
    """
    before, _ = evaluate(params)
    reason = LineSearchReason.NONFINITE
    for j in range(max_iter):
        candidate: FloatArray = params + np.asarray(shrink**j, params.dtype) * step
        surrogate, kl = evaluate(candidate) if np.isfinite(candidate).all() else (math.nan, math.nan)
        improvement = surrogate - before
        if not (math.isfinite(improvement) and math.isfinite(kl)):
            reason = LineSearchReason.NONFINITE
        elif kl > max_kl:
            reason = LineSearchReason.KL
        elif improvement <= 0:
            reason = LineSearchReason.NO_IMPROVEMENT
        else:
            return LineSearch(candidate, LineSearchReason.ACCEPTED, j + 1, kl, improvement)
    return LineSearch(params, reason, max_iter, 0.0, 0.0)
