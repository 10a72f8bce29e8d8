"""What ``pgcore train`` can be told: fields, their defaults and the lines of ``--help``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import tyro

from pgcore._arguments import integers
from pgcore.cli.parse import require_at_least
from pgcore.io.datasets import MINARI
from pgcore.training import Config

__all__ = ["CloneArguments", "ReuseArguments", "TrainArguments"]

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True, kw_only=True)
class TrainArguments(Generic[ConfigT]):
    """What ``pgcore train`` can be told, whatever the algorithm."""

    env_id: Annotated[str, tyro.conf.arg(metavar="ID")]
    """Environment that gymnasium knows ("module:Name-v0" imports the module first)."""
    total_timesteps: int = 100_000
    """Environment steps to learn for, summed over environments."""
    seed: int = 0
    """Seed of everything random."""
    num_envs: int = 1
    """Copies of the environment."""
    backend: Literal["sync", "async", "native", "envpool"] = "sync"
    """Step the copies in turn, in processes, by the environment's own vector code, by EnvPool."""
    hidden: Annotated[tuple[int, ...], tyro.conf.arg(metavar="[N ...]")] = (64, 64)
    """Hidden layer sizes of the policy, and of the value network if there is one."""
    activation: Literal["tanh", "relu", "gelu", "identity"] = "tanh"
    """Activation of the hidden layers."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run directory; by default a new one in runs/."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run in --out, up to --total-timesteps."""
    save_freq: int = 50_000
    """Environment steps between two checkpoints."""
    eval_episodes: int = 100
    """Fresh episodes to play at the end; 0 for none."""
    hyperparameters: ConfigT
    """Those of the algorithm itself."""

    def __post_init__(self) -> None:
        require_at_least(self, total_timesteps=1, seed=0, num_envs=1, save_freq=1, eval_episodes=0)
        integers("hidden", self.hidden, minimum=1)


@dataclass(frozen=True, kw_only=True)
class ReuseArguments(TrainArguments[ConfigT]):
    """What ``pgcore train offpolicy`` can be told."""

    demonstrations: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Recorded steps to learn from too, a .npz file that says their log_probs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # In full, so that the run can be resumed from another directory.
        if isinstance(self.demonstrations, str) and not self.demonstrations.startswith(MINARI):
            path = os.path.abspath(os.path.expanduser(self.demonstrations))
            object.__setattr__(self, "demonstrations", path)


@dataclass(frozen=True, kw_only=True)
class CloneArguments(ReuseArguments[ConfigT]):
    """What ``pgcore train bc`` can be told."""

    demonstrations: Annotated[str, tyro.conf.arg(metavar="FILE")] = tyro.MISSING
    """Recorded steps to learn from, a .npz file; or minari:ID, a Minari dataset on this machine."""
    total_timesteps: int = 100_000
    """Demonstrated steps to show the policy; divided by those in the file, epochs."""
    num_envs: Annotated[int, tyro.conf.Suppress] = 1  # none is stepped
    """Copies of the environment."""
    save_freq: int = 50_000
    """Demonstrated steps between two checkpoints."""
