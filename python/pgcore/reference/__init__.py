"""The functions of `pgcore.kernels` in plain NumPy, to read beside the equations. They are not fast."""

from __future__ import annotations

from pgcore.reference.adam import adam_step
from pgcore.reference.categorical import (
    categorical_entropy,
    categorical_kl,
    categorical_log_prob,
    categorical_score,
)
from pgcore.reference.cg import CGResult, CGStatus, conjugate_gradient
from pgcore.reference.gaussian import gaussian_entropy, gaussian_kl, gaussian_log_prob, gaussian_score
from pgcore.reference.mlp import MLP
from pgcore.reference.ratios import cumulative_log_ratios, effective_sample_size, weighted_reward_to_go
from pgcore.reference.scan import affine_scan, gae, n_step_return, reward_to_go, vtrace

__all__ = [
    "MLP",
    "CGResult",
    "CGStatus",
    "adam_step",
    "affine_scan",
    "categorical_entropy",
    "categorical_kl",
    "categorical_log_prob",
    "categorical_score",
    "conjugate_gradient",
    "cumulative_log_ratios",
    "effective_sample_size",
    "gae",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_prob",
    "gaussian_score",
    "n_step_return",
    "reward_to_go",
    "vtrace",
    "weighted_reward_to_go",
]
