"""Hyperparameters shipped for known environments: one table per algorithm.

>>> find("reinforce", "CartPole-v1").hyperparameters["gamma"]
1.0
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Preset", "available", "find"]


@dataclass(frozen=True)
class Preset:
    """What to train an algorithm with in one environment.

    Parameters
    ----------
    total_timesteps
        Environment steps to learn for.
    num_envs
        Copies of the environment.
    backend
        How to step them; ``"native"`` where the environment brings its own vector code.
    hidden
        Hidden layers of the policy, and of the value network if there is one.
    hyperparameters
        Fields of the algorithm's configuration that differ from their defaults.
    """

    total_timesteps: int
    num_envs: int = 1
    backend: Literal["sync", "native"] = "sync"
    hidden: tuple[int, ...] = (64, 64)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What to call the algorithm with, besides the environment."""
        environments = {"num_envs": self.num_envs, "backend": self.backend}
        return {**environments, "hidden": self.hidden, **self.hyperparameters}


def available(algorithm: str) -> dict[str, Preset]:
    """Return all presets of an algorithm by environment id; none if it has no table.

    Parameters
    ----------
    algorithm
        Lower-case name, as on the command line.
    """
    if not algorithm.isidentifier() or importlib.util.find_spec(f"{__name__}.{algorithm}") is None:
        return {}
    table: dict[str, Preset] = importlib.import_module(f"{__name__}.{algorithm}").PRESETS
    return table


def find(algorithm: str, env_id: str) -> Preset:
    """Return the preset of an algorithm for an environment.

    Parameters
    ----------
    algorithm
        Lower-case name, as on the command line.
    env_id
        The environment's id.

    Raises
    ------
    ValueError
        If there is none.
    """
    presets = available(algorithm)
    if env_id not in presets:
        raise ValueError(
            f"env_id: expected one with a preset for {algorithm} ({', '.join(sorted(presets)) or 'none'}), "
            f"got {env_id!r}"
        )
    return presets[env_id]
