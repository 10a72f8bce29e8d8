"""Conjugate gradient on dense systems, against the NumPy reference and the time to read the matrix as often.

    python bench/bench_cg.py

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
    iterations = sizes.CG_ITERATIONS
    for n in sizes.SYSTEMS:
        factor = rng.standard_normal((n, n)) / np.sqrt(n)
        A = (factor @ factor.T + 0.5 * np.eye(n)).astype(dtype)
        b = rng.standard_normal(n).astype(dtype)
        options = {"rtol": 0.0, "max_iter": iterations}
        peers = {}
        linalg = harness.optional("scipy.sparse.linalg")
        if linalg is not None:
            peers = {"scipy": lambda A=A, b=b, cg=linalg.cg: cg(A, b, rtol=0.0, maxiter=iterations)[0]}
        yield Case(
            "conjugate_gradient",
            f"matrix {n}, {iterations} it.",
            lambda A=A, b=b, o=options: kernels.conjugate_gradient(A, b, **o).x,
            lambda A=A, b=b, o=options: reference.conjugate_gradient(A, b, **o).x,
            copy_limit(A, repeat=iterations),
            peers,
        )
        yield Case(
            "conjugate_gradient",
            f"function {n}, {iterations} it.",
            lambda A=A, b=b, o=options: kernels.conjugate_gradient(lambda v: A @ v, b, **o).x,
            lambda A=A, b=b, o=options: reference.conjugate_gradient(lambda v: A @ v, b, **o).x,
            copy_limit(A, repeat=iterations),
        )


if __name__ == "__main__":
    harness.main(cases, __doc__)
