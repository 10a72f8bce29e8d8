"""Normal distributions: log-density, score, KL divergence and entropy, against the NumPy reference.

    python bench/bench_gaussian.py

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
    B, A = sizes.GAUSSIAN
    a, mean, other = (rng.standard_normal((B, A)).astype(dtype) for _ in range(3))
    shared = (0.3 * rng.standard_normal(A)).astype(dtype)
    rows = (0.3 * rng.standard_normal((B, A))).astype(dtype)
    out = np.empty(B, dtype)
    size = f"{B} × {A}"

    def log_prob_and_score(lib: Any) -> tuple[np.ndarray, ...]:
        return lib.gaussian_log_prob(a, mean, shared), *lib.gaussian_score(a, mean, shared)

    yield Case(
        "log_prob + score",
        size,
        lambda: log_prob_and_score(kernels),
        lambda: log_prob_and_score(reference),
        copy_limit(a, mean, out, a, mean, a, mean),
    )
    for name, log_std in (("", shared), (", σ by row", rows)):
        of_rows = [log_std] if log_std is rows else []
        yield Case(
            "gaussian_log_prob",
            size + name,
            lambda s=log_std: kernels.gaussian_log_prob(a, mean, s),
            lambda s=log_std: reference.gaussian_log_prob(a, mean, s),
            copy_limit(a, mean, out, *of_rows),
        )
        yield Case(
            "gaussian_score",
            size + name,
            lambda s=log_std: kernels.gaussian_score(a, mean, s),
            lambda s=log_std: reference.gaussian_score(a, mean, s),
            copy_limit(a, mean, a, mean, *of_rows),
        )
        yield Case(
            "gaussian_kl",
            size + name,
            lambda s=log_std: kernels.gaussian_kl(mean, s, other, s - dtype.type(0.1)),
            lambda s=log_std: reference.gaussian_kl(mean, s, other, s - dtype.type(0.1)),
            copy_limit(mean, other, out, *of_rows, *of_rows),
        )
    yield Case(
        "gaussian_entropy",
        f"{size}, σ by row",
        lambda: kernels.gaussian_entropy(rows),
        lambda: reference.gaussian_entropy(rows),
        copy_limit(rows, out),
    )

    B, A = sizes.GAUSSIAN_FULL
    a, mean, out = a[:B].copy(), mean[:B].copy(), out[:B].copy()
    tril = (np.tril(0.2 * rng.standard_normal((A, A))) + np.eye(A)).astype(dtype)
    size = f"{B} × {A}, full Σ"
    yield Case(
        "gaussian_log_prob",
        size,
        lambda: kernels.gaussian_log_prob(a, mean, scale_tril=tril),
        lambda: reference.gaussian_log_prob(a, mean, scale_tril=tril),
        copy_limit(a, mean, out),
    )
    yield Case(
        "gaussian_score",
        size,
        lambda: kernels.gaussian_score(a, mean, scale_tril=tril),
        lambda: reference.gaussian_score(a, mean, scale_tril=tril),
        copy_limit(a, mean, a, np.empty((B, A, A), dtype)),
    )


if __name__ == "__main__":
    harness.main(cases, __doc__)
