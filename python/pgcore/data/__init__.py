"""Recorded experience: one flat `Batch`, the last few of them, and epochs over recorded steps."""

from __future__ import annotations

from pgcore.data.batch import Batch
from pgcore.data.demonstrations import Demonstrations
from pgcore.data.replay import Replay

__all__ = ["Batch", "Demonstrations", "Replay"]
