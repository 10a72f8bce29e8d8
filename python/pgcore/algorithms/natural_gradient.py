"""What algorithms share that follow the natural gradient F⁻¹g: configuration and solution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np

from pgcore.algorithms.actor_critic import (
    ActorCritic,
    ActorCriticConfig,
    gradient_statistics,
    logged_steps,
    policy_gradient,
    require_no_memory,
)
from pgcore.optim.optimizers import ScheduleName, clip_norm
from pgcore.policies import entropy_of, segments_of
from pgcore.training.config import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from pgcore._arguments import FloatArray
    from pgcore.algorithms.actor_critic import CriticOptions
    from pgcore.data.batch import Batch
    from pgcore.kernels import CGResult
    from pgcore.policies import Policy

__all__ = [
    "Direction",
    "NaturalGradient",
    "NaturalGradientConfig",
    "cg_logs",
    "natural_gradient",
    "subsample",
]


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
    """Mean KL(old‖new) per step that an update may reach, in nats."""
    step_schedule: ScheduleName = "constant"
    """target_kl and NPG's step_size: constant; linear: to zero; cooldown: to zero in the last fifth."""
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
    """Use one in this many steps for the policy's update, drawn anew each time."""
    fisher_sub_sampling_factor: PositiveInt | None = None
    """The same for the Fisher matrix alone; None: sub_sampling_factor."""

    def critic_options(self) -> CriticOptions:
        """Return the value network's settings."""
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
    operator = policy.fisher(
        batch.obs[rows],
        batch.actions[rows],
        kind=cfg.fisher,
        damping=cfg.cg_damping,
        **segments_of(policy, batch.segment_starts),
    )
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


NaturalGradientConfigT_co = TypeVar("NaturalGradientConfigT_co", bound=NaturalGradientConfig, covariant=True)


class NaturalGradient(ActorCritic[NaturalGradientConfigT_co]):
    """An `ActorCritic` that follows the natural gradient.

    In the log, ``entropy`` is that of at most 512 steps, evenly spread over the batch; so is the noise in
    ``gradient_snr``.
    """

    def setup(self) -> None:
        """Refuse what the policy has no closed form for, and subsamples of a policy with memory."""
        super().setup()
        cfg, policy = self.config, self.policy
        if cfg.fisher == "exact" and "fisher" not in policy.closed_forms:
            raise ValueError(
                f"fisher: expected 'empirical' for {type(policy).__name__}, whose Fisher matrix has no "
                "closed form, got 'exact'"
            )
        for name, value in vars(cfg).items():
            if name.endswith("sub_sampling_factor") and value not in (None, 1):
                require_no_memory(policy, name)

    def direction(self, batch: Batch, advantages: FloatArray) -> Direction:
        """Return the natural gradient of the surrogate objective at the policy's parameters."""
        cfg, policy = self.config, self.policy
        rows = subsample(self.rng, batch.num_steps, cfg.sub_sampling_factor)
        data = batch.obs[rows], batch.actions[rows], advantages[rows]
        segments = segments_of(policy, batch.segment_starts)
        gradient = policy_gradient(policy, *data, cfg.ent_coef, **segments)
        clip_norm(gradient, None)  # raises where it is not finite
        solution = natural_gradient(policy, batch, gradient, cfg, self.rng)
        some = logged_steps(policy, batch.num_steps)
        entropy = float(np.mean(entropy_of(policy, batch.obs[some], batch.actions[some], segments)))
        logs = {
            **gradient_statistics(policy, *data, gradient, **segments),
            **cg_logs(solution),
            "entropy": entropy,
            "entropy_loss": -entropy,
        }
        slope = float(gradient.astype(np.float64) @ solution.x)
        return Direction(solution.x, slope, max(solution.curvature, 0.0), logs)
