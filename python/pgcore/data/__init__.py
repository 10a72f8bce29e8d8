"""Recorded experience: one flat `Batch`, and the last few of them."""

from __future__ import annotations

from pgcore.data.batch import Batch
from pgcore.data.replay import Replay

__all__ = ["Batch", "Replay"]
