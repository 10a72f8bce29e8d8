"""Inputs that the tests of the Gaussian kernels share."""

from __future__ import annotations

from typing import Any

import numpy as np


def problem(rng: np.random.Generator, B: int, A: int, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    return {
        "actions": rng.normal(size=(B, A)).astype(dtype),
        "mean": rng.normal(size=(B, A)).astype(dtype),
        "log_std": (0.5 * rng.normal(size=A)).astype(dtype),
        "log_stds": (0.5 * rng.normal(size=(B, A))).astype(dtype),
        "tril": cholesky_factor(rng, A).astype(dtype),
    }


def cholesky_factor(rng: np.random.Generator, A: int) -> np.ndarray:
    """A well-conditioned lower-triangular matrix with NaN above the diagonal, which nothing may read."""
    L = np.tril(rng.normal(size=(A, A)) / A, -1) + np.diag(rng.uniform(0.5, 2.0, A))
    L[np.triu_indices(A, 1)] = np.nan
    return L
