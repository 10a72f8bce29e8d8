"""First weights: orthogonal, and the same bits whatever NumPy was built with, on any processor."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

import pgcore
from pgcore import _dispatch, reference
from pgcore.kernels import MLP

SHAPES = [(1, 1), (1, 5), (7, 3), (64, 64), (256, 376), (376, 256)]


def gram_schmidt(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns in extended precision, twice over, by sums that NumPy makes itself."""
    q = columns.astype(np.longdouble)
    for j in range(q.shape[1]):
        for _ in range(2):
            for k in range(j):
                q[:, j] -= np.sum(q[:, k] * q[:, j]) * q[:, k]
        q[:, j] /= np.sqrt(np.sum(q[:, j] ** 2))
    return q


@pytest.mark.light
@pytest.mark.parametrize("shape", SHAPES)
def test_columns_are_orthonormal(shape: tuple[int, int], dtype: np.dtype) -> None:
    n_in, n_out = shape
    weight = MLP([n_in, n_out], dtype=dtype).init(0)[: n_in * n_out].reshape(n_out, n_in).astype(float)
    gram = weight.T @ weight if n_out >= n_in else weight @ weight.T
    accuracy = 1e-14 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=accuracy)


@pytest.mark.light
@pytest.mark.parametrize("sizes", [[3, 8, 2], [64, 64, 64, 1], [17, 40, 30, 6]])
def test_by_an_independent_algorithm(sizes: list[int]) -> None:
    """Also the positive signs, and how random numbers are consumed."""
    rng, parts = np.random.default_rng(5), []
    for n_in, n_out in pairwise(sizes):
        q = gram_schmidt(rng.standard_normal((max(n_in, n_out), min(n_in, n_out))))
        parts += [(q if n_out >= n_in else q.T).ravel(), np.zeros(n_out)]
    expected = np.concatenate(parts)
    theta = MLP(sizes, dtype="float64").init(5, final_gain=np.sqrt(2.0)) / np.sqrt(2.0)
    np.testing.assert_allclose(theta, expected.astype(float), rtol=0, atol=1e-13)
    by_qr = reference.MLP(sizes, dtype="float64").init(5, final_gain=np.sqrt(2.0)) / np.sqrt(2.0)
    np.testing.assert_allclose(theta, by_qr, rtol=0, atol=1e-12)
    narrow = MLP(sizes, dtype="float32").init(5, final_gain=np.sqrt(2.0)) / np.sqrt(2.0)
    np.testing.assert_allclose(narrow, expected.astype(float), rtol=0, atol=1e-7)


def test_nearly_dependent_columns() -> None:
    """One pass of Gram and Schmidt's would leave them at right angles to 1e-6 or so."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1, 40)) + 1e-10 * rng.standard_normal((12, 40))
    before = rows.copy()
    _dispatch.compiled.orthonormalize(rows)
    np.testing.assert_allclose(rows @ rows.T, np.eye(12), atol=1e-14)
    assert (np.sum(rows * before, axis=1) > 0).all()


@pytest.mark.parametrize("shape", [(3, 2), (4,)])
def test_shapes_that_have_no_orthonormal_rows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows: expected"):
        _dispatch.compiled.orthonormalize(np.ones(shape))


def test_no_library_of_linear_algebra_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the result depends on how NumPy was built")

    for name in ("qr", "svd", "cholesky", "solve", "eigh"):
        monkeypatch.setattr(np.linalg, name, refuse)
    for name in ("dot", "matmul", "inner", "vdot", "tensordot"):
        monkeypatch.setattr(np, name, refuse)
    MLP([8, 64, 3]).init(0)


def test_the_same_bits_at_every_level_and_number_of_threads() -> None:
    code = (
        "import hashlib; from pgcore.kernels import MLP\n"
        "for dtype in ('float32', 'float64'):\n"
        "    print(hashlib.sha256(MLP([17, 130, 64, 6], dtype=dtype).init(3).tobytes()).hexdigest())"
    )
    outputs = set()
    for level in pgcore.build_info()["levels_supported"]:
        if level in pgcore.build_info()["levels_built"]:
            for threads in ("1", "3"):
                environment = os.environ | {"PGCORE_ISA": level, "PGCORE_HYPOTHESIS_PROFILE": "light"}
                environment |= {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
                command = [sys.executable, "-c", code]
                run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                outputs.add(run.stdout)
    assert len(outputs) == 1
