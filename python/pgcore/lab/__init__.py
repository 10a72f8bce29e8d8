"""The laboratory of estimators: measurements on the LQR, where the true gradient is known. No pictures.

Each study returns tables of numbers (`pgcore.io.tables.Table`); `pgcore.plots` draws them.

- `variance_study`: bias and variance of every form of the policy gradient with every baseline;
- `lqr_field_study`: ordinary and natural gradient in the plane of (k, σ), and the paths that follow them;
- `importance_study`: weights, effective sample size, variance and bias of the off-policy forms.
"""

from __future__ import annotations

from pgcore.io.tables import Table
from pgcore.lab.importance import (
    ImportanceStudy,
    approximate_gradient,
    importance_study,
    trajectory_kl,
    weight_second_moment,
)
from pgcore.lab.lqr_field import FieldStudy, kl_ball, lqr_field_study
from pgcore.lab.simulate import exact_policy_gradient, linear_policy, play
from pgcore.lab.variance import VarianceStudy, variance_study

__all__ = [
    "FieldStudy",
    "ImportanceStudy",
    "Table",
    "VarianceStudy",
    "approximate_gradient",
    "exact_policy_gradient",
    "importance_study",
    "kl_ball",
    "linear_policy",
    "lqr_field_study",
    "play",
    "trajectory_kl",
    "variance_study",
    "weight_second_moment",
]
