"""`Parts`: what a model is made of, for the constructor and for loading alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgcore.baselines import Baseline
    from pgcore.policies import Policy
    from pgcore.training.config import Config
    from pgcore.training.spaces import Spaces

__all__ = ["Parts"]


@dataclass(frozen=True, eq=False)
class Parts:
    """All that a model consists of, besides its environment and what it has learned.

    Parameters
    ----------
    config
        Hyperparameters.
    spaces
        What the model acts in.
    policy, critic
        None for the default.
    hidden, activation
        Of the default policy and critic.
    seed
        Of everything random.
    num_envs, backend
        How an environment's id is made into an environment.
    """

    config: Config
    spaces: Spaces
    policy: Policy | None
    critic: Baseline | None
    hidden: tuple[int, ...]
    activation: str
    seed: int
    num_envs: int
    backend: str
