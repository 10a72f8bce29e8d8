"""Gymnasium's generic classes with their parameters left open, each named once.

They are invariant in these parameters: an ``Env[NDArray, int]`` is no ``Env[object, object]``, so that only
``Any`` takes every environment.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.vector import VectorEnv

__all__ = ["AnyEnv", "AnySpace", "AnyVectorEnv", "EnvLike"]

AnySpace: TypeAlias = "gym.Space[Any]"
AnyEnv: TypeAlias = "gym.Env[Any, Any]"
AnyVectorEnv: TypeAlias = "VectorEnv[Any, Any, Any]"
EnvLike: TypeAlias = "str | AnyEnv | AnyVectorEnv"
"""An id, an environment or a vector environment."""
