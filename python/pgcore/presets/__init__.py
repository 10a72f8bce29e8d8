"""Tuned hyperparameters for known environments: one table per algorithm.

>>> find("reinforce", "CartPole-v1").hyperparameters["gamma"]
1.0
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Preset", "available", "find"]


Setting: TypeAlias = bool | int | float | str | tuple[int, ...] | None


@dataclass(frozen=True)
class Preset:
    """Settings that train an algorithm well in one environment.

    Parameters
    ----------
    total_timesteps
        Environment steps to train for.
    num_envs
        Number of copies of the environment.
    backend
        How to step them; ``"native"``: by the environment's own vector code.
    hidden
        Sizes of the hidden layers of the policy and of the value network.
    hyperparameters
        Fields of the algorithm's configuration that differ from their defaults.
    """

    total_timesteps: int
    num_envs: int = 1
    backend: Literal["sync", "native"] = "sync"
    hidden: tuple[int, ...] = (64, 64)
    hyperparameters: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the algorithm's constructor, all but the environment."""
        environments = {"num_envs": self.num_envs, "backend": self.backend}
        return {**environments, "hidden": self.hidden, **self.hyperparameters}


def available(algorithm: str) -> dict[str, Preset]:
    """Return all presets of an algorithm by environment id; none if it has no table.

    Parameters
    ----------
    algorithm
        Lower-case name, as on the command line.
    """
    if importlib.util.find_spec(f"{__name__}.{algorithm}") is None:
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
