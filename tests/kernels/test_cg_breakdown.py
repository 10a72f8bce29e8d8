"""conjugate_gradient where it must stop: zero, indefinite and singular systems, ends of the range, NaN."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

from pgcore import kernels, reference
from pgcore.kernels import CGStatus
from support.cg_problems import Operator, spd
from support.oracles import assert_close


def test_zero_right_hand_side(lib: ModuleType, dtype: np.dtype) -> None:
    operator = Operator(np.eye(3))
    for x0 in (None, np.ones(3, dtype)):
        result = lib.conjugate_gradient(operator, np.zeros(3, dtype), x0=x0)
        np.testing.assert_array_equal(result.x, np.zeros(3))
        assert (result.status, result.iterations) == (CGStatus.CONVERGED, 0)
        assert (result.residual_norm, result.curvature) == (0.0, 0.0)
    assert operator.products == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-140, 1e140, 1e160, 1e300])
def test_right_hand_sides_whose_squares_leave_the_range_of_double(lib: ModuleType, scale: float) -> None:
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    result = lib.conjugate_gradient(a, scale * b, rtol=1e-12, x0=[0.1 * scale, 0.0])
    assert (result.status, result.iterations) == (CGStatus.CONVERGED, 2)
    np.testing.assert_allclose(result.x / scale, np.linalg.solve(a, b), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_matrices_whose_solutions_have_squares_out_of_range(lib: ModuleType, scale: float) -> None:
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    result = lib.conjugate_gradient(scale * a, b, rtol=1e-12)
    assert (result.status, result.iterations) == (CGStatus.CONVERGED, 2)
    np.testing.assert_allclose(result.x * scale, np.linalg.solve(a, b), rtol=1e-12)


def test_nothing_to_solve(lib: ModuleType) -> None:
    result = lib.conjugate_gradient(np.zeros((0, 0)), np.zeros(0))
    assert (result.x.shape, result.status, result.iterations) == ((0,), CGStatus.CONVERGED, 0)


def test_indefinite_matrix(lib: ModuleType) -> None:
    """The first direction bends up, the second down: the iterate before it is kept."""
    a, b = np.diag([2.0, -1.0]), np.array([1.0, 0.5])
    result = lib.conjugate_gradient(a, b)
    assert (result.status, result.iterations) == (CGStatus.NEGATIVE_CURVATURE, 1)
    alpha = (b @ b) / (b @ a @ b)
    np.testing.assert_allclose(result.x, alpha * b, rtol=1e-15)
    assert result.curvature == pytest.approx(result.x @ a @ result.x, rel=1e-12)
    assert result.residual_norm == pytest.approx(
        np.linalg.norm(b - a @ result.x) / np.linalg.norm(b), rel=1e-12
    )


def test_negative_definite_matrix(lib: ModuleType) -> None:
    result = lib.conjugate_gradient(-np.eye(3), np.ones(3))
    assert (result.status, result.iterations) == (CGStatus.NEGATIVE_CURVATURE, 0)
    np.testing.assert_array_equal(result.x, np.zeros(3))
    assert (result.residual_norm, result.curvature) == (1.0, 0.0)


def test_zero_curvature(lib: ModuleType) -> None:
    """pᵀAp = 0 must not be divided by."""
    for a in (np.zeros((2, 2)), np.array([[1.0, 0.0], [0.0, -1.0]])):
        result = lib.conjugate_gradient(a, np.ones(2))
        assert result.status == CGStatus.NEGATIVE_CURVATURE
        assert np.isfinite(result.x).all()


def test_singular_matrix(lib: ModuleType) -> None:
    """Inside the range a solution is found; outside, the impossible part shows as a flat direction."""
    a = np.diag([1.0, 3.0, 0.0])
    inside = lib.conjugate_gradient(a, np.array([1.0, 3.0, 0.0]))
    assert inside.status == CGStatus.CONVERGED
    np.testing.assert_allclose(inside.x, [1.0, 1.0, 0.0], atol=1e-12)
    outside = lib.conjugate_gradient(np.diag([1.0, 0.0]), np.ones(2))
    assert outside.status == CGStatus.NEGATIVE_CURVATURE
    assert np.isfinite(outside.x).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_right_hand_side_that_is_not_finite(lib: ModuleType, bad: float) -> None:
    result = lib.conjugate_gradient(np.eye(3), np.array([1.0, bad, 1.0]))
    assert (result.status, result.iterations) == (CGStatus.NONFINITE, 0)
    np.testing.assert_array_equal(result.x, np.zeros(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 1, 4])
def test_products_that_are_not_finite(
    lib: ModuleType, bad: float, at: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """The iterate before the bad product is kept, and is what stopping there gives."""
    a, b = spd(rng, 20, 100.0).astype(dtype), rng.normal(size=20).astype(dtype)
    calls = []

    def operator(v: np.ndarray) -> np.ndarray:
        product = a @ v
        if len(calls) == at:
            product[3] = bad
        calls.append(1)
        return product

    result = lib.conjugate_gradient(operator, b, rtol=1e-12)
    assert (result.status, result.iterations) == (CGStatus.NONFINITE, at)
    expected = lib.conjugate_gradient(a, b, rtol=1e-12, max_iter=at)
    assert_close(result.x, expected.x, 1e-5 if dtype == np.float32 else 1e-12)
    assert result.residual_norm == pytest.approx(expected.residual_norm, rel=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_preconditioners_that_are_not_finite(lib: ModuleType, bad: float, rng: np.random.Generator) -> None:
    a, b = spd(rng, 9), rng.normal(size=9)
    calls = []

    def preconditioner(r: np.ndarray) -> np.ndarray:
        calls.append(1)
        return r * (bad if len(calls) == 3 else 1.0)

    result = lib.conjugate_gradient(a, b, rtol=1e-14, preconditioner=preconditioner)
    assert (result.status, result.iterations) == (CGStatus.NONFINITE, 2)
    assert_close(result.x, lib.conjugate_gradient(a, b, max_iter=2).x, 1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_starts_that_are_not_finite(lib: ModuleType, bad: float) -> None:
    result = lib.conjugate_gradient(np.eye(2), [1.0, 2.0], x0=[bad, 0.0])
    assert (result.status, result.iterations, result.residual_norm) == (CGStatus.NONFINITE, 0, 1.0)
    np.testing.assert_array_equal(result.x, 0.0)


def test_steps_that_overflow(lib: ModuleType) -> None:
    """A curvature near zero asks for a step beyond the float's range: the finite iterate is kept."""
    tiny = np.array([[1e-42]], np.float32)
    result = lib.conjugate_gradient(tiny, np.ones(1, np.float32))
    assert (result.status, result.iterations) == (CGStatus.NONFINITE, 0)
    np.testing.assert_array_equal(result.x, np.zeros(1))
    assert np.isfinite([result.residual_norm, result.curvature]).all()


def test_large_numbers_in_float32_do_not_overflow_in_dot_products(lib: ModuleType) -> None:
    """Squares of 1e25 leave float32's range; dot products are in double."""
    result = lib.conjugate_gradient(np.eye(3, dtype=np.float32), np.full(3, 1e25, np.float32))
    assert result.status == CGStatus.CONVERGED
    np.testing.assert_array_equal(result.x, np.full(3, 1e25, np.float32))


# ---- sizes at the ends of the range ----

SIZES = {
    np.dtype(np.float32): (1e-30, 1e-18, 1e18, 1e30),
    np.dtype(np.float64): (1e-250, 1e-160, 1e160, 1e250),
}


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", ["matrix", "callable"])
@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize("small_a", [0, 1, 2, 3])
def test_any_size_of_matrix_and_right_hand_side(
    lib: ModuleType, form: str, preconditioned: bool, small_a: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Where A, b and x can be told in their dtype, so can be what happens on the way."""
    size = SIZES[dtype][small_a]
    a, x = spd(rng, 6), rng.uniform(1, 2, 6)
    A = (size * a).astype(dtype)
    m = np.diag(1 / np.diag(A.astype(float))).astype(dtype) if preconditioned else None
    for x_size in (1e-4, 1.0, 1e4, *((1 / size,) if 0.1 < size < 1 else ())):
        b = (A.astype(float) @ (x_size * x)).astype(dtype)
        if not (np.isfinite(b).all() and np.abs(b).min() > np.finfo(dtype).tiny):
            continue
        operator = A if form == "matrix" else lambda v, A=A: A @ v
        for damping in (0.0, size):
            expected = np.linalg.solve(A / size + damping / size * np.eye(6), b / size)
            result = lib.conjugate_gradient(operator, b, damping=damping, preconditioner=m)
            assert result.status == CGStatus.CONVERGED
            np.testing.assert_allclose(result.x / x_size, expected / x_size, rtol=2e-4)
            curvature = float(result.x.astype(float) @ b.astype(float))
            assert result.curvature == pytest.approx(curvature, rel=1e-4, abs=1e-300)


@pytest.mark.parametrize("size", [1e-18, 1e18])
def test_the_curvature_is_that_of_the_system_given(lib: ModuleType, size: float) -> None:
    """Scaled twice with b, once with A."""
    b = np.array([3.0, 4.0], np.float32)
    for operator in (np.eye(2), size * np.eye(2)):
        for factor in (size, 1.0):
            a, rhs = operator.astype(np.float32), np.float32(factor) * b
            result = lib.conjugate_gradient(a, rhs)
            expected = float(rhs.astype(float) @ rhs) / a[0, 0]
            assert result.curvature == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1e-200, 1e-100, 1.0, 1e100])
def test_starts_far_larger_than_the_solution(lib: ModuleType, size: float) -> None:
    """Zero is a better start than one whose objective is larger."""
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    for x0 in ([1.0, 1.0], [-1e150, 1e-10]):
        result = lib.conjugate_gradient(a, size * b, x0=x0, rtol=1e-12)
        assert result.status == CGStatus.CONVERGED
        np.testing.assert_allclose(result.x / size, np.linalg.solve(a, b), rtol=1e-9)
    stopped = lib.conjugate_gradient(a, size * b, x0=[1e3 * size, 0.0], max_iter=0)
    assert (stopped.status, stopped.residual_norm) == (CGStatus.MAX_ITER, 1.0)
    np.testing.assert_array_equal(stopped.x, 0.0)


# ---- rounding ----


@pytest.mark.parametrize("n", [3, 8, 12])
@pytest.mark.parametrize("rtol", [0.0, 1e-6])
def test_rounding_is_not_negative_curvature(lib: ModuleType, n: int, rtol: float, dtype: np.dtype) -> None:
    """Hilbert's matrices are positive definite, and singular to any precision soon."""
    hilbert = (1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)).astype(dtype)
    result = lib.conjugate_gradient(hilbert, np.ones(n, dtype), rtol=rtol, max_iter=1000)
    assert result.status in (CGStatus.CONVERGED, CGStatus.MAX_ITER)
    assert objective(hilbert, np.ones(n), result.x) < 0.0


def test_converged_says_that_the_residual_it_returns_is_within_the_tolerance(lib: ModuleType) -> None:
    """Where rounding has taken over, the residual of the steps goes on falling; that of b − Ax does not."""
    statuses = set()
    for n in (7, 8, 11, 12, 13):
        hilbert = (1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)).astype(np.float32)
        for rtol in (0.1, 1e-4, 1e-5):
            result = lib.conjugate_gradient(hilbert, np.ones(n, np.float32), rtol=rtol, max_iter=500)
            assert (result.status == CGStatus.CONVERGED) == (result.residual_norm <= rtol), (n, rtol)
            statuses.add(result.status)
    assert statuses == {CGStatus.CONVERGED, CGStatus.MAX_ITER}


def objective(a: np.ndarray, b: np.ndarray, x: np.ndarray, damping: float = 0.0) -> float:
    a, b, x = (array.astype(np.float64) for array in (a, b, x))
    return float(0.5 * x @ (a @ x + damping * x) - b @ x)


@pytest.mark.covering(2)
@pytest.mark.parametrize("matrix", [1e-70, 1e-45, 1e-12, 1.0, 1e12, 1e70])
@pytest.mark.parametrize("right", [1e-45, 1.0, 1e45])
@pytest.mark.parametrize("inverse", [None, 1e-50, 1e50])
def test_sizes_that_multiply_are_not_negative_curvature(
    lib: ModuleType, matrix: float, right: float, inverse: float | None
) -> None:
    """Without a tolerance r falls until it is lost: pᵀAp must not be lost before."""
    a, b = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]]), np.array([1.0, -2.0, 0.5])
    preconditioner = None if inverse is None else inverse * np.diag([0.5, 1.0, 2.0])
    for x0 in (None, right / matrix * np.ones(3)):
        result = lib.conjugate_gradient(
            matrix * a, right * b, rtol=0.0, max_iter=200, x0=x0, preconditioner=preconditioner
        )
        assert result.status == CGStatus.CONVERGED
        assert_close(result.x * (matrix / right), np.linalg.solve(a, b), 1e-14)


@pytest.mark.covering(2)
@pytest.mark.parametrize("case", ["large inverse", "inconsistent", "warm"])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_worse_than_zero_comes_back(lib: ModuleType, case: str, seed: int, dtype: np.dtype) -> None:
    """Singular systems; a preconditioner that makes rounding as large as the rest; a start. Any limit."""
    rng = np.random.default_rng(seed)
    n, rank = 24, 9
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    values = np.where(np.arange(n) < rank, rng.uniform(0.5, 2.0, n), 0.0)
    a = ((q * values) @ q.T).astype(dtype)
    a = (a + a.T) / 2
    solution = (q[:, :rank] @ rng.normal(size=rank)).astype(dtype)
    b = rng.normal(size=n).astype(dtype) if case == "inconsistent" else (a @ solution).astype(dtype)
    m = x0 = None
    if case == "large inverse":
        floor = np.finfo(dtype).eps
        m = ((q / np.maximum(values, floor)) @ q.T).astype(dtype)
    if case == "warm":
        x0 = (solution + 0.1 * rng.normal(size=n)).astype(dtype)
    start = 0.0 if x0 is None else min(0.0, objective(a, b, x0))
    for max_iter in (1, 2, 5, 10, 15, 40, 200):
        result = lib.conjugate_gradient(a, b, x0=x0, preconditioner=m, rtol=0.0, max_iter=max_iter)
        assert np.isfinite(result.x).all()
        scale = float(np.linalg.norm(b.astype(float)) * np.linalg.norm(result.x.astype(float)))
        assert objective(a, b, result.x) <= start + 1e-5 * scale, (max_iter, result.status.name)
        if case != "inconsistent":
            residual = np.linalg.norm(b.astype(float) - a.astype(float) @ result.x) / np.linalg.norm(b)
            assert residual <= 1.0


def test_truncated_iterations_on_ill_conditioned_systems_keep_their_progress(
    lib: ModuleType, rng: np.random.Generator
) -> None:
    """The residual is above its start for a long time, while the objective falls at every step."""
    q, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    a = ((q * np.logspace(0, -6, 30)) @ q.T).astype(np.float32)
    b = rng.normal(size=30).astype(np.float32)
    results = [lib.conjugate_gradient(a, b, max_iter=k) for k in range(1, 25)]
    values = [objective(a, b, result.x) for result in results]
    assert all(after < before for before, after in pairwise(values))
    assert max(result.residual_norm for result in results) > 2.0


@pytest.mark.parametrize("preconditioned", [False, True])
def test_implementations_end_alike(preconditioned: bool, dtype: np.dtype) -> None:
    """Status, steps and solution, also of indefinite matrices and preconditioners."""
    rng = np.random.default_rng(3)
    statuses = set()
    for _ in range(150):
        n = int(rng.integers(1, 9))
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        a = (q * rng.uniform(-0.5, 2.0, n)) @ q.T
        m = np.diag(rng.uniform(-0.2, 1.0, n)).astype(dtype) if preconditioned else None
        a, b = ((a + a.T) / 2).astype(dtype), rng.normal(size=n).astype(dtype)
        options = {"preconditioner": m, "max_iter": int(rng.integers(0, n + 1)), "rtol": 1e-3}
        options["x0"] = rng.normal(size=n).astype(dtype) if rng.random() < 0.5 else None
        fast, slow = (module.conjugate_gradient(a, b, **options) for module in (kernels, reference))
        assert (fast.status, fast.iterations) == (slow.status, slow.iterations)
        assert_close(fast.x, slow.x, 1e-2 if dtype == np.float32 else 1e-8)
        statuses.add(fast.status)
    assert statuses >= {CGStatus.CONVERGED, CGStatus.MAX_ITER, CGStatus.NEGATIVE_CURVATURE}
