"""Policy-gradient algorithms, a file each: a configuration dataclass and a readable ``update(batch)``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcore.algorithms.npg import NPG
    from pgcore.algorithms.ppo import PPO
    from pgcore.algorithms.reinforce import REINFORCE
    from pgcore.algorithms.trpo import TRPO

__all__ = ["NPG", "PPO", "REINFORCE", "TRPO"]


def __getattr__(name: str) -> Any:
    """Import an algorithm's file when the algorithm is first asked for."""
    if name in __all__:
        return getattr(importlib.import_module(f"pgcore.algorithms.{name.lower()}"), name)
    raise AttributeError(f"module 'pgcore.algorithms' has no attribute {name!r}")
