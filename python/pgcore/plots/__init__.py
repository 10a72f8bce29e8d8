"""The estimator laboratory: numbers where the true gradient is known, and pictures of them.

Each study computes tables without drawing anything, and ``draw_…`` makes a picture of it (which needs the
extra ``plots``):

- `variance_study`: bias and variance of every form of the policy gradient with every baseline;
- `lqr_field_study`: ordinary and natural gradient in the plane of (k, σ), and where they lead;
- `importance_study`: weights, effective sample size, variance and bias of the off-policy forms.
"""

from __future__ import annotations

from pgcore.plots.draw_importance import draw_importance
from pgcore.plots.draw_lqr_field import draw_lqr_field
from pgcore.plots.draw_variance import draw_variance
from pgcore.plots.importance import ImportanceStudy, importance_study
from pgcore.plots.lqr_field import FieldStudy, lqr_field_study
from pgcore.plots.output import check_output, output_files, write
from pgcore.plots.style import require_matplotlib
from pgcore.plots.tables import Table
from pgcore.plots.variance import VarianceStudy, variance_study

__all__ = [
    "FieldStudy",
    "ImportanceStudy",
    "Table",
    "VarianceStudy",
    "check_output",
    "draw_importance",
    "draw_lqr_field",
    "draw_variance",
    "importance_study",
    "lqr_field_study",
    "output_files",
    "require_matplotlib",
    "variance_study",
    "write",
]
