"""Fast functions on arrays: the mathematics of policy gradients in compiled form.

Arrays in, arrays out; float32 or float64; time or the batch is the first axis. Any array-like is accepted, no
input is modified, and C-contiguous arrays of one dtype are never copied. `pgcore.reference` has every
function in plain NumPy, under the same name and signature.
"""

from __future__ import annotations

from pgcore.kernels.adam import adam_step
from pgcore.kernels.categorical import (
    categorical_entropy,
    categorical_kl,
    categorical_log_prob,
    categorical_score,
)
from pgcore.kernels.cg import CGResult, CGStatus, conjugate_gradient
from pgcore.kernels.gaussian import gaussian_entropy, gaussian_kl, gaussian_log_prob, gaussian_score
from pgcore.kernels.mlp import MLP
from pgcore.kernels.ratios import cumulative_log_ratios, effective_sample_size, weighted_reward_to_go
from pgcore.kernels.scan import affine_scan, gae, n_step_return, reward_to_go, vtrace

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
