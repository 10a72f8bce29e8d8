"""Categorical distributions: log-probability, score, KL divergence and entropy, against the NumPy reference.

    python bench/bench_categorical.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import harness
import sizes
from harness import Case, copy_limit
from pgcore import kernels, reference


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    B, K = sizes.CATEGORICAL
    p, q = (rng.standard_normal((B, K)).astype(dtype) for _ in range(2))
    a = rng.integers(0, K, B)
    out = np.empty(B, dtype)
    size = f"{B} × {K}"
    yield Case(
        "categorical_log_prob",
        size,
        lambda: kernels.categorical_log_prob(a, p),
        lambda: reference.categorical_log_prob(a, p),
        copy_limit(a, p, out),
    )
    yield Case(
        "categorical_score",
        size,
        lambda: kernels.categorical_score(a, p),
        lambda: reference.categorical_score(a, p),
        copy_limit(a, p, p),
    )
    yield Case(
        "categorical_kl",
        size,
        lambda: kernels.categorical_kl(p, q),
        lambda: reference.categorical_kl(p, q),
        copy_limit(p, q, out),
    )
    yield Case(
        "categorical_entropy",
        size,
        lambda: kernels.categorical_entropy(p),
        lambda: reference.categorical_entropy(p),
        copy_limit(p, out),
    )


if __name__ == "__main__":
    harness.main(cases, __doc__)
