"""Files: checkpoints, batches, Minari's datasets. Plain arrays and JSON, written whole or not at all."""

from __future__ import annotations

from pgcore.io.datasets import from_minari, load_batch, save_batch
from pgcore.io.space_json import space_from_json, space_to_json

__all__ = ["from_minari", "load_batch", "save_batch", "space_from_json", "space_to_json"]
