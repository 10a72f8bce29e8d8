"""Pictures of the numbers that `pgcore.lab` and `pgcore.runs` return. They need the extra ``plots``.

The studies of `pgcore.lab` are offered here too, beside what draws them.
"""

from __future__ import annotations

from pgcore.io.tables import Table
from pgcore.lab import (
    FieldStudy,
    ImportanceStudy,
    VarianceStudy,
    importance_study,
    lqr_field_study,
    variance_study,
)
from pgcore.plots.importance import draw_importance
from pgcore.plots.learning import draw_learning
from pgcore.plots.lqr_field import draw_lqr_field
from pgcore.plots.output import check_output, output_files, write
from pgcore.plots.speed import draw_speed, speed_table
from pgcore.plots.style import require_matplotlib
from pgcore.plots.variance import draw_variance

__all__ = [
    "FieldStudy",
    "ImportanceStudy",
    "Table",
    "VarianceStudy",
    "check_output",
    "draw_importance",
    "draw_learning",
    "draw_lqr_field",
    "draw_speed",
    "draw_variance",
    "importance_study",
    "lqr_field_study",
    "output_files",
    "require_matplotlib",
    "speed_table",
    "variance_study",
    "write",
]
