"""Pictures of the numbers that `pgcore.lab` and `pgcore.runs` return. They need the extra ``plots``."""

from __future__ import annotations

from pgcore.plots.importance import draw_importance
from pgcore.plots.learning import draw_learning
from pgcore.plots.lqr_field import draw_lqr_field
from pgcore.plots.output import check_output, output_files, write
from pgcore.plots.style import require_matplotlib
from pgcore.plots.variance import draw_variance

__all__ = [
    "check_output",
    "draw_importance",
    "draw_learning",
    "draw_lqr_field",
    "draw_variance",
    "output_files",
    "require_matplotlib",
    "write",
]
