"""Environments of our own: an LQR with exact formulas for every answer, and a task that needs memory.

Importing this module registers ``pgcore/LQR-v0`` and ``pgcore/Recall-v0`` with gymnasium, so that
``gymnasium.make("pgcore.envs:pgcore/LQR-v0")`` finds them without an import of its own.
"""

from __future__ import annotations

import gymnasium

from pgcore.envs import lqr
from pgcore.envs.lqr_env import LQR, LQRVector
from pgcore.envs.recall import Recall
from pgcore.envs.wrappers import HideObservations

__all__ = ["LQR", "HideObservations", "LQRVector", "Recall", "lqr"]

gymnasium.register(
    "pgcore/LQR-v0",
    entry_point="pgcore.envs.lqr_env:LQR",
    vector_entry_point="pgcore.envs.lqr_env:LQRVector",
)
gymnasium.register("pgcore/Recall-v0", entry_point="pgcore.envs.recall:Recall")
