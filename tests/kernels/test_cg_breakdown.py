"""conjugate_gradient where it must stop: zero, indefinite and singular systems, ends of the range, NaN."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from kernels.cg_problems import Operator, spd
from oracles import assert_close
from pgcore.kernels import CGStatus


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
