"""conjugate_gradient: solutions, statuses, operators in every form, and what it may not touch."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore import kernels, reference
from pgcore.kernels import CGResult, CGStatus, conjugate_gradient
from support import oracles
from support.cg_problems import Operator, spd
from support.oracles import assert_close

# ---- solutions ----


@pytest.mark.light
@pytest.mark.parametrize("n", [1, 2, 5, 33, 60])
def test_against_a_dense_solve(lib: ModuleType, n: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    a, b = spd(rng, n).astype(dtype), rng.normal(size=n).astype(dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-6
    result = lib.conjugate_gradient(a, b, rtol=rtol)
    assert result.status == CGStatus.CONVERGED
    assert result.x.dtype == dtype
    assert result.residual_norm <= rtol
    assert_close(result.x, np.linalg.solve(a.astype(float), b.astype(float)))
    assert result.curvature == pytest.approx(float(result.x @ a @ result.x), rel=1e-4)


@pytest.mark.light
@pytest.mark.parametrize("condition", [1e0, 1e2, 1e4, 1e6, 1e8])
def test_ill_conditioned_systems(lib: ModuleType, condition: float, rng: np.random.Generator) -> None:
    """The error is bounded by the condition number times the residual that was reported, for any b."""
    n = 40
    a = spd(rng, n, condition)
    b = a @ rng.normal(size=n)
    result = lib.conjugate_gradient(a, b, rtol=1e-10, max_iter=100 * n)
    exact = np.linalg.solve(a, b)
    assert result.status == CGStatus.CONVERGED
    true_residual = np.linalg.norm(b - a @ result.x) / np.linalg.norm(b)
    assert true_residual <= 1e-10 + 1e-15 * condition
    error = np.linalg.norm(result.x - exact) / np.linalg.norm(exact)
    assert error <= condition * (true_residual + 1e-15)


def test_exact_in_n_steps(lib: ModuleType, rng: np.random.Generator) -> None:
    """A matrix with k distinct eigenvalues takes k steps; the identity takes one."""
    b = rng.normal(size=12)
    assert lib.conjugate_gradient(np.eye(12), b).iterations == 1
    q, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    a = (q * np.repeat([1.0, 2.0, 5.0], 4)) @ q.T
    assert lib.conjugate_gradient(0.5 * (a + a.T), b, rtol=1e-10).iterations == 3


def test_both_implementations_take_the_same_steps(rng: np.random.Generator) -> None:
    a, b = spd(rng, 30, 20.0), rng.normal(size=30)
    m = np.diag(1.0 / np.diag(a))
    for options in (
        {},
        {"max_iter": 7},
        {"damping": 0.1},
        {"preconditioner": m},
        {"x0": rng.normal(size=30)},
    ):
        fast, slow = (lib.conjugate_gradient(a, b, **options) for lib in (kernels, reference))
        assert (fast.status, fast.iterations) == (slow.status, slow.iterations)
        assert_close(fast.x, slow.x)
        assert fast.residual_norm == pytest.approx(slow.residual_norm, rel=1e-3)
        assert fast.curvature == pytest.approx(slow.curvature, rel=1e-9)
        assert fast.condition == pytest.approx(slow.condition, rel=1e-5)


def test_damping(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b = spd(rng, 20), rng.normal(size=20)
    result = lib.conjugate_gradient(a, b, damping=0.3, rtol=1e-12)
    damped = a + 0.3 * np.eye(20)
    assert_close(result.x, np.linalg.solve(damped, b))
    assert result.curvature == pytest.approx(result.x @ damped @ result.x, rel=1e-10)
    # Damping makes a singular matrix definite
    assert lib.conjugate_gradient(np.zeros((3, 3)), np.ones(3), damping=0.5).x.tolist() == [2.0, 2.0, 2.0]


def test_warm_start(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b = spd(rng, 20), rng.normal(size=20)
    exact = np.linalg.solve(a, b)
    near = exact + 1e-3 * rng.normal(size=20)
    cold, warm = (lib.conjugate_gradient(a, b, x0=x0, rtol=1e-9) for x0 in (None, near))
    assert warm.iterations < cold.iterations
    assert_close(warm.x, exact, 1e-7)
    assert warm.curvature == pytest.approx(warm.x @ a @ warm.x, rel=1e-7)
    there = lib.conjugate_gradient(a, b, x0=exact)
    assert (there.status, there.iterations) == (CGStatus.CONVERGED, 0)
    np.testing.assert_array_equal(there.x, exact)


def test_preconditioner(lib: ModuleType, rng: np.random.Generator) -> None:
    """The inverse diagonal tames a badly scaled matrix; the inverse itself takes one step."""
    n = 60
    scales = np.logspace(0, 4, n)
    a = spd(rng, n, 2.0) * np.outer(scales, scales)
    b = rng.normal(size=n)
    plain = lib.conjugate_gradient(a, b, rtol=1e-10, max_iter=30)
    jacobi = lib.conjugate_gradient(a, b, rtol=1e-10, max_iter=30, preconditioner=lambda r: r / np.diag(a))
    assert plain.status == CGStatus.MAX_ITER
    assert jacobi.status == CGStatus.CONVERGED
    assert_close(jacobi.x, np.linalg.solve(a, b), 1e-6)
    inverse = np.linalg.inv(spd(rng, n))
    once = lib.conjugate_gradient(np.linalg.inv(inverse), b, preconditioner=inverse)
    assert once.iterations == 1


def test_residual_and_curvature_before_convergence(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b = spd(rng, 30, 1e4), rng.normal(size=30)
    for max_iter in (0, 1, 5):
        result = lib.conjugate_gradient(a, b, max_iter=max_iter, damping=0.01)
        assert (result.status, result.iterations) == (CGStatus.MAX_ITER, max_iter)
        damped = a + 0.01 * np.eye(30)
        residual = np.linalg.norm(b - damped @ result.x) / np.linalg.norm(b)
        assert result.residual_norm == pytest.approx(residual, rel=1e-9)
        assert result.curvature == pytest.approx(result.x @ damped @ result.x, rel=1e-9, abs=1e-15)


def test_default_limit_is_ten_times_n(lib: ModuleType, rng: np.random.Generator) -> None:
    """A matrix that is another one at every product never converges."""
    calls = []

    def restless(v: np.ndarray) -> np.ndarray:
        calls.append(1)
        return rng.uniform(1.0, 9.0, 3) * v

    result = lib.conjugate_gradient(restless, np.array([1.0, 2.0, 5.0]), rtol=0.0)
    assert (result.status, result.iterations) == (CGStatus.MAX_ITER, 30)
    assert len(calls) == 30


def test_vanishing_tolerance(lib: ModuleType) -> None:
    """rtol=0 accepts nothing but an exact residual of zero."""
    result = lib.conjugate_gradient(np.diag([1.0, 2.0]), np.array([4.0, 0.0]), rtol=0.0)
    assert (result.status, result.iterations, result.residual_norm) == (CGStatus.CONVERGED, 1, 0.0)


# ---- what is not positive definite, or not finite ----


# ---- operators in every form, and aliasing ----


class Sparse:
    """Like SciPy's sparse matrices: a product with @ and no array interface."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape = matrix, matrix.shape

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.matrix @ v


@pytest.mark.parametrize("role", ["operator", "preconditioner"])
@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        lambda a: a.tolist(),
        np.asfortranarray,
        oracles.strided,
        lambda a: a.astype(np.float32),
        Operator,
        Sparse,
        lambda a: lambda v: a @ v,
        lambda a: lambda v: (a @ v).tolist(),
        lambda a: lambda v: oracles.strided(a @ v),
        lambda a: lambda v: oracles.read_only(a @ v),
        lambda a: lambda v: (a @ v).astype(np.float32),
    ],
    ids=[
        "matrix",
        "list",
        "fortran",
        "strided",
        "float32",
        "matvec",
        "sparse",
        "callable",
        "returns a list",
        "returns a view",
        "returns read-only",
        "returns float32",
    ],
)
def test_operators_in_every_form(form: Any, role: str, rng: np.random.Generator) -> None:
    a, b = spd(rng, 12), rng.normal(size=12)
    if role == "operator":
        result = conjugate_gradient(form(a), b, rtol=1e-6, damping=0.1)
    else:
        result = conjugate_gradient(a, b, rtol=1e-6, damping=0.1, preconditioner=form(np.linalg.inv(a)))
    assert result.status == CGStatus.CONVERGED
    assert result.x.dtype == np.float64
    assert_close(result.x, np.linalg.solve(a + 0.1 * np.eye(12), b), 1e-4)


def test_matvec_is_preferred_to_call_and_products_are_counted(rng: np.random.Generator) -> None:
    """One product a step, none to find residual and curvature, one more for a warm start."""
    a, b = spd(rng, 12), rng.normal(size=12)

    class Both(Operator):
        def __call__(self, v: np.ndarray) -> np.ndarray:
            raise AssertionError("LinearOperators are multiplied by matvec")

    operator = Both(a)
    result = conjugate_gradient(operator, b, rtol=1e-10)
    assert operator.products == result.iterations
    operator.products = 0
    result = conjugate_gradient(operator, b, rtol=1e-10, x0=np.ones(12))
    assert operator.products == result.iterations + 1


def test_vectors_follow_b(rng: np.random.Generator) -> None:
    a = spd(rng, 6)
    seen = []

    def operator(v: np.ndarray) -> np.ndarray:
        seen.append(v.dtype)
        return a @ v

    assert conjugate_gradient(operator, np.ones(6, np.float32)).x.dtype == np.float32
    assert set(seen) == {np.dtype(np.float32)}
    assert conjugate_gradient(operator, [1, 2, 3, 4, 5, 6]).x.dtype == np.float64
    assert conjugate_gradient(operator, np.ones(6, np.float32), x0=np.zeros(6)).x.dtype == np.float64
    assert conjugate_gradient(a, np.ones(6, np.float32)).x.dtype == np.float64
    assert conjugate_gradient(a.astype(np.float32), np.ones(6, np.float32)).x.dtype == np.float32


def test_nothing_aliases(lib: ModuleType, rng: np.random.Generator) -> None:
    """Operators may spoil what they are given, hand it back, and reuse one buffer for all results."""
    b = rng.normal(size=15)
    a = spd(rng, 15)
    expected = lib.conjugate_gradient(a, b, rtol=1e-12).x
    buffer = np.empty(15)

    def spoiling(v: np.ndarray) -> np.ndarray:
        buffer[...] = a @ v
        v[...] = np.nan
        return buffer

    def spoiling_copy(r: np.ndarray) -> np.ndarray:
        z = r.copy()
        r[...] = np.nan
        return z

    for preconditioner in (None, lambda r: r, spoiling_copy):
        result = lib.conjugate_gradient(spoiling, b, rtol=1e-12, preconditioner=preconditioner)
        assert_close(result.x, expected, 1e-12)
    handed_back = lib.conjugate_gradient(lambda v: v, b)
    np.testing.assert_array_equal(handed_back.x, b)
    assert not np.may_share_memory(handed_back.x, b)


def test_inputs_are_not_modified(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b, x0 = spd(rng, 15), rng.normal(size=15), rng.normal(size=15)
    before = a.copy(), b.copy(), x0.copy()
    for array in (a, b, x0):
        array.flags.writeable = False
    result = lib.conjugate_gradient(a, b, x0=x0)
    for array, copy in zip((a, b, x0), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert not np.may_share_memory(result.x, x0)
    assert result.x.flags.writeable


def test_exceptions_of_operators_come_through(lib: ModuleType) -> None:
    def broken(v: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("not my fault")

    with pytest.raises(ZeroDivisionError, match="not my fault"):
        lib.conjugate_gradient(broken, np.ones(3))
    with pytest.raises(ZeroDivisionError, match="not my fault"):
        lib.conjugate_gradient(np.eye(3), np.ones(3), preconditioner=broken)


# ---- the result ----


def test_condition_is_a_lower_bound_of_the_condition_number(
    lib: ModuleType, rng: np.random.Generator
) -> None:
    q = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    a = q @ np.diag(np.logspace(0, 3, 30)) @ q.T
    result = lib.conjugate_gradient(a, rng.normal(size=30), rtol=1e-10)
    assert 100 < result.condition <= 1000 * (1 + 1e-9)
    assert lib.conjugate_gradient(np.diag([3.0, 3.0]), np.ones(2)).condition == pytest.approx(1.0)
    assert np.isnan(lib.conjugate_gradient(a, np.zeros(30)).condition)
    assert np.isnan(lib.conjugate_gradient(a, np.ones(30), max_iter=0).condition)


def test_result_is_frozen(lib: ModuleType) -> None:
    result = lib.conjugate_gradient(np.eye(1), np.ones(1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.x = np.zeros(1)
    assert [field.name for field in dataclasses.fields(result)] == [
        "x",
        "status",
        "iterations",
        "residual_norm",
        "curvature",
        "condition",
    ]
    assert (type(result.iterations), type(result.residual_norm), type(result.curvature)) == (
        int,
        float,
        float,
    )


def test_statuses(lib: ModuleType) -> None:
    names = {status.name: int(status) for status in lib.CGStatus}
    assert names == {"CONVERGED": 0, "MAX_ITER": 1, "NEGATIVE_CURVATURE": 2, "NONFINITE": 3}
    assert isinstance(conjugate_gradient(np.eye(1), [1.0]), CGResult)


ONES = np.ones(3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.eye(3), np.ones((3, 1))), {}, ValueError, "b: expected shape (n,), got (3, 1)"),
        ((np.eye(2), ONES), {}, ValueError, "operator: expected shape (3, 3), got (2, 2)"),
        ((np.ones(3), ONES), {}, ValueError, "operator: expected shape (3, 3), got (3,)"),
        ((lambda v: v[:2], ONES), {}, ValueError, "operator: expected shape (3,), got (2,)"),
        ((lambda v: v[:, None], ONES), {}, ValueError, "operator: expected shape (3,), got (3, 1)"),
        (
            (lambda v: 1j * v, ONES),
            {},
            TypeError,
            "operator: expected float32 or float64 (or integers), got complex128",
        ),
        ((None, ONES), {}, TypeError, "operator: expected float32 or float64 (or integers), got object"),
        (
            (np.eye(3, dtype=complex), ONES),
            {},
            TypeError,
            "operator: expected float32 or float64 (or integers), got complex128",
        ),
        ((np.eye(3), ONES), {"x0": [0.0]}, ValueError, "x0: expected shape (3,), got (1,)"),
        ((np.eye(3), ONES), {"rtol": -1e-6}, ValueError, "rtol: expected a finite number >= 0, got -1e-06"),
        ((np.eye(3), ONES), {"rtol": np.nan}, ValueError, "rtol: expected a finite number >= 0, got nan"),
        (
            (np.eye(3), ONES),
            {"damping": -0.1},
            ValueError,
            "damping: expected a finite number >= 0, got -0.1",
        ),
        ((np.eye(3), ONES), {"max_iter": -1}, ValueError, "max_iter: expected an integer >= 0, got -1"),
        ((np.eye(3), ONES), {"max_iter": 1.5}, TypeError, "max_iter: expected an integer, got float"),
        (
            (np.eye(3), ONES),
            {"preconditioner": np.eye(2)},
            ValueError,
            "preconditioner: expected shape (3, 3), got (2, 2)",
        ),
        ((Sparse(np.eye(2)), ONES), {}, ValueError, "operator: expected shape (3, 3), got (2, 2)"),
        ((Sparse(np.ones((3, 2))), ONES), {}, ValueError, "operator: expected shape (3, 3), got (3, 2)"),
        (
            (np.eye(3), ONES),
            {"preconditioner": Sparse(np.eye(4))},
            ValueError,
            "preconditioner: expected shape (3, 3), got (4, 4)",
        ),
        (
            (np.eye(3), ONES),
            {"preconditioner": lambda r: r[:1]},
            ValueError,
            "preconditioner: expected shape (3,), got (1,)",
        ),
    ],
)
def test_errors(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        conjugate_gradient(*arguments, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.eye(3), np.ones((3, 1))), {}, "b: expected shape (n,), got (3, 1)"),
        ((np.eye(2), ONES), {}, "operator: expected shape (3, 3), got (2, 2)"),
        ((np.ones((3, 2)), ONES), {}, "operator: expected shape (3, 3), got (3, 2)"),
        ((lambda v: v[:2], ONES), {}, "operator: expected shape (3,), got (2,)"),
        ((np.eye(3), ONES), {"x0": [0.0]}, "x0: expected shape (3,), got (1,)"),
        (
            (np.eye(3), ONES),
            {"preconditioner": np.eye(2)},
            "preconditioner: expected shape (3, 3), got (2, 2)",
        ),
        (
            (np.eye(3), ONES),
            {"preconditioner": lambda r: r[:1]},
            "preconditioner: expected shape (3,), got (1,)",
        ),
    ],
)
def test_both_name_wrong_shapes_alike(
    lib: ModuleType, arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="expected shape") as caught:
        lib.conjugate_gradient(*arguments, **options)
    assert str(caught.value) == message


# ---- properties ----


@given(st.integers(1, 8), st.integers(0, 10_000), st.floats(0.0, 2.0))
def test_any_well_conditioned_system(n: int, seed: int, damping: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = spd(rng, n, 50.0), rng.normal(size=n)
    result = conjugate_gradient(a, b, damping=damping, rtol=1e-11)
    assert result.status == CGStatus.CONVERGED
    assert_close(result.x, np.linalg.solve(a + damping * np.eye(n), b))
    assert result.curvature >= 0.0
