"""Run directories of ``pgcore train``: their files, and the learning curves of several runs.

Examples
--------
>>> from pathlib import Path
>>> from pgcore.runs import RunDirectory
>>> RunDirectory(Path("runs/ppo-1")).progress_file.name
'progress.csv'
"""

from __future__ import annotations

from pgcore.runs.curves import Curve, LearningCurves, MissingColumnError, learning_curves, read_column
from pgcore.runs.directory import RunConfig, RunDirectory

__all__ = [
    "Curve",
    "LearningCurves",
    "MissingColumnError",
    "RunConfig",
    "RunDirectory",
    "learning_curves",
    "read_column",
]
