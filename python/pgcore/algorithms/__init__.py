"""Policy-gradient algorithms, a file each: a configuration dataclass and a readable ``update(batch)``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcore.algorithms.behaviour_cloning import BehaviourCloning
    from pgcore.algorithms.npg import NPG
    from pgcore.algorithms.off_policy_pg import OffPolicyPG
    from pgcore.algorithms.ppo import PPO
    from pgcore.algorithms.reinforce import REINFORCE
    from pgcore.algorithms.trpo import TRPO

__all__ = ["NPG", "PPO", "REINFORCE", "TRPO", "BehaviourCloning", "OffPolicyPG"]

COMMANDS = {
    "bc": "BehaviourCloning",
    "npg": "NPG",
    "offpolicy": "OffPolicyPG",
    "ppo": "PPO",
    "reinforce": "REINFORCE",
    "trpo": "TRPO",
}
"""What the command line calls each."""

_MODULES = {
    "BehaviourCloning": "behaviour_cloning",
    "NPG": "npg",
    "OffPolicyPG": "off_policy_pg",
    "PPO": "ppo",
    "REINFORCE": "reinforce",
    "TRPO": "trpo",
}


def __getattr__(name: str) -> Any:
    """Import an algorithm's file when the algorithm is first asked for."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"pgcore.algorithms.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'pgcore.algorithms' has no attribute {name!r}")
