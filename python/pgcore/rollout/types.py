"""What environments are, take and return: gymnasium's generic classes, and the values of their calls.

Gymnasium's classes are invariant in their parameters: an ``Env[NDArray, int]`` is no ``Env[object, object]``,
so that only ``Any`` takes every environment. Here each is named once, with its parameters left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat, TypeAlias, TypedDict

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pgcore._arguments import AnyArray, BoolArray, Float64Array, FloatArray

__all__ = [
    "AnyEnv",
    "AnySpace",
    "AnyVectorEnv",
    "AnyWrapper",
    "EnvLike",
    "Float64Outcome",
    "Info",
    "Keywords",
    "Observation",
    "ResetArguments",
    "ResetOutcome",
    "StepOutcome",
    "VectorOutcome",
]

AnySpace: TypeAlias = gym.Space[Any]
AnyEnv: TypeAlias = gym.Env[Any, Any]
AnyWrapper: TypeAlias = gym.Wrapper[Any, Any, Any, Any]
AnyVectorEnv: TypeAlias = VectorEnv[Any, Any, Any]
EnvLike: TypeAlias = str | AnyEnv | AnyVectorEnv
"""An id, an environment or a vector environment."""

Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments of a function of gymnasium or of an environment, which checks them itself."""

Observation: TypeAlias = (
    "AnyArray | np.generic | float | str | Mapping[str, Observation] | tuple[Observation, ...]"
)
"""What an environment observes, or a vector environment: an array, a number, or nested ones."""
Info: TypeAlias = dict[str, object]
"""What an environment adds to an observation, by names of its own."""


class ResetArguments(TypedDict, total=False):
    """Arguments of a vector environment's `reset`; those that are not given are not passed."""

    seed: int | None
    options: Keywords | None


ResetOutcome: TypeAlias = tuple[Observation, Info]
"""Observation and info, as `gymnasium.Env.reset` returns them."""
StepOutcome: TypeAlias = tuple[Observation, SupportsFloat, bool, bool, Info]
"""Observation, reward, terminated, truncated and info, as `gymnasium.Env.step` returns them."""
VectorOutcome: TypeAlias = tuple[Observation, FloatArray, BoolArray, BoolArray, Info]
"""The same of N environments: batched observations, three arrays of shape (N,), one info."""
Float64Outcome: TypeAlias = tuple[Observation, Float64Array, BoolArray, BoolArray, Info]
"""The same, of vectors whose rewards are always float64."""
