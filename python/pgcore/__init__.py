"""Policy gradients on CPUs: an Eigen C++ core, NumPy in and out, trained with gymnasium.

Submodules and names load at first use, so that ``import pgcore`` costs little more than nothing:

- `pgcore.kernels`: fast functions on arrays; `pgcore.reference`: the same in plain NumPy;
- `pgcore.policies`, `pgcore.baselines`: models with analytic score functions; `pgcore.Batch`: data;
- `pgcore.rollout`: experience from gymnasium vector environments; `pgcore.envs`: environments with exact
  answers;
- `pgcore.estimators`: the policy gradient in every form, with its statistics;
- `pgcore.REINFORCE`, `pgcore.NPG`, `pgcore.TRPO`, `pgcore.PPO`, `pgcore.OffPolicyPG`,
  `pgcore.BehaviourCloning`: training;
  `pgcore.load`, `pgcore.evaluate_policy`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pgcore import algorithms  # which imports none of them
from pgcore._version import __version__

if TYPE_CHECKING:
    from pgcore import baselines, envs, estimators, kernels, policies, reference, rollout
    from pgcore._build_info import build_info
    from pgcore._dispatch import get_num_threads, set_num_threads
    from pgcore.algorithms import NPG as NPG
    from pgcore.algorithms import PPO as PPO
    from pgcore.algorithms import REINFORCE as REINFORCE
    from pgcore.algorithms import TRPO as TRPO
    from pgcore.algorithms import BehaviourCloning as BehaviourCloning
    from pgcore.algorithms import OffPolicyPG as OffPolicyPG
    from pgcore.data import Batch
    from pgcore.evaluation import evaluate_policy
    from pgcore.loading import load

_HOME = {
    "Batch": "pgcore.data",
    **dict.fromkeys(algorithms.__all__, "pgcore.algorithms"),
    "build_info": "pgcore._build_info",
    "evaluate_policy": "pgcore.evaluation",
    "get_num_threads": "pgcore._dispatch",
    "load": "pgcore.loading",
    "set_num_threads": "pgcore._dispatch",
}
_SUBMODULES = ("baselines", "envs", "estimators", "kernels", "policies", "reference", "rollout")

__all__ = [  # noqa: PLE0604 - one table of algorithms
    *algorithms.__all__,
    "Batch",
    "__version__",
    "baselines",
    "build_info",
    "envs",
    "estimators",
    "evaluate_policy",
    "get_num_threads",
    "kernels",
    "load",
    "policies",
    "reference",
    "rollout",
    "set_num_threads",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"pgcore.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'pgcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
