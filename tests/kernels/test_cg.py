"""conjugate_gradient: solutions, statuses, operators in every form, and what it may not touch."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import combinations
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import linalg

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


# ---- when it stops, and what the callback sees ----


def iterates_of_scipy(a: np.ndarray, b: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Solutions after each step, by another implementation in float64."""
    iterates: list[np.ndarray] = []
    linalg.cg(a, b, callback=lambda x: iterates.append(x.copy()), **options)
    return iterates


@pytest.mark.parametrize(("rtol", "atol"), [(0.0, 0.3), (1e-2, 0.3), (1e-1, 1e-3), (0.0, 1e-5), (1e-5, 0.0)])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150])
def test_it_stops_at_the_larger_of_both_tolerances(
    lib: ModuleType, rtol: float, atol: float, scale: float, rng: np.random.Generator
) -> None:
    """`atol` is a length of the residual itself, at any size of the system."""
    a, b = spd(rng, 20), rng.normal(size=20)
    residuals = [np.linalg.norm(b - a @ x) for x in iterates_of_scipy(a, b, rtol=1e-12)]
    expected = 1 + next(k for k, r in enumerate(residuals) if r <= max(rtol * np.linalg.norm(b), atol))
    result = lib.conjugate_gradient(a, scale * b, rtol=rtol, atol=scale * atol)
    assert (result.status, result.iterations) == (CGStatus.CONVERGED, expected)
    assert result.residual_norm == pytest.approx(residuals[expected - 1] / np.linalg.norm(b), rel=1e-4)


def test_an_absolute_tolerance_that_the_start_meets(lib: ModuleType, dtype: np.dtype) -> None:
    b = np.array([3.0, 4.0], dtype)
    for size in (1.0, 1e30, 1e-30):
        rhs = np.asarray(size * b, dtype)
        loose, tight = (
            lib.conjugate_gradient(np.eye(2, dtype=dtype), rhs, atol=k * size) for k in (5.01, 4.9)
        )
        assert (loose.status, loose.iterations, loose.residual_norm) == (CGStatus.CONVERGED, 0, 1.0)
        np.testing.assert_array_equal(loose.x, 0.0)
        assert (tight.iterations, tight.residual_norm) == (1, 0.0)
    near = lib.conjugate_gradient(np.eye(2), b, x0=[3.0, 3.5], rtol=0.0, atol=0.6)
    assert (near.iterations, near.x.tolist()) == (0, [3.0, 3.5])
    huge = lib.conjugate_gradient(np.eye(2), 1e-300 * b.astype(float), atol=1e308)
    assert (huge.status, huge.iterations) == (CGStatus.CONVERGED, 0)


@pytest.mark.parametrize("setting", ["plain", "damping", "preconditioner", "start"])
def test_the_callback_sees_every_iterate(lib: ModuleType, setting: str, rng: np.random.Generator) -> None:
    """Those of SciPy, each in an array of its own; the last one is the result."""
    a, b = spd(rng, 16), rng.normal(size=16)
    damping = 0.05 if setting == "damping" else 0.0
    m = np.diag(1.0 / np.diag(a)) if setting == "preconditioner" else None
    x0 = 0.1 * rng.normal(size=16) if setting == "start" else None
    seen: list[np.ndarray] = []
    result = lib.conjugate_gradient(
        a, b, rtol=1e-6, damping=damping, preconditioner=m, x0=x0, callback=seen.append
    )
    expected = iterates_of_scipy(a + damping * np.eye(16), b, rtol=1e-6, M=m, x0=x0)
    assert len(seen) == result.iterations == len(expected) > 5
    for mine, other in zip(seen, expected, strict=True):
        assert_close(mine, other, 1e-9)
    np.testing.assert_array_equal(seen[-1], result.x)
    assert not any(np.may_share_memory(x, y) for x, y in combinations([*seen, result.x], 2))


@pytest.mark.parametrize("size", [1e-30, 1e-18, 1.0, 1e18, 1e30])
def test_the_callback_sees_iterates_in_the_units_of_the_system(
    lib: ModuleType, size: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    a, b = spd(rng, 6), rng.normal(size=6)
    for matrix, rhs in ((size, size), (1.0, size), (size, 1.0)):
        seen: list[np.ndarray] = []
        A, scaled = (matrix * a).astype(dtype), (rhs * b).astype(dtype)
        result = lib.conjugate_gradient(A, scaled, callback=seen.append)
        assert len(seen) == result.iterations > 1
        assert seen[0].dtype == dtype
        np.testing.assert_array_equal(seen[-1], result.x)
        first = (b @ b) / (b @ a @ b) * b * (rhs / matrix)
        np.testing.assert_allclose(seen[0], first, rtol=1e-5)


def test_the_callback_may_spoil_what_it_gets(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b = spd(rng, 12), rng.normal(size=12)

    def spoil(x: np.ndarray) -> str:
        x[...] = np.nan
        return "ignored"

    result, plain = lib.conjugate_gradient(a, b, callback=spoil), lib.conjugate_gradient(a, b)
    assert result.status == CGStatus.CONVERGED
    np.testing.assert_array_equal(result.x, plain.x)


def test_exceptions_of_the_callback_come_through(lib: ModuleType, rng: np.random.Generator) -> None:
    """With every iterate up to that one in the user's hands."""
    a, b = spd(rng, 12), rng.normal(size=12)
    seen: list[np.ndarray] = []

    def enough(x: np.ndarray) -> None:
        seen.append(x)
        if len(seen) == 3:
            raise StopIteration("that will do")

    for form in (a, lambda v: a @ v):
        seen.clear()
        with pytest.raises(StopIteration, match="that will do"):
            lib.conjugate_gradient(form, b, callback=enough)
        assert len(seen) == 3
        assert_close(seen[-1], lib.conjugate_gradient(a, b, max_iter=3).x, 1e-12)


def test_no_callback_without_an_iteration(lib: ModuleType) -> None:
    def never(x: np.ndarray) -> None:
        raise AssertionError("no iteration took place")

    for rhs, options in (
        (np.zeros(2), {}),
        (np.array([np.nan, 1.0]), {}),
        (np.ones(2), {"max_iter": 0}),
        (np.ones(2), {"x0": np.ones(2)}),
        (np.ones(2), {"atol": 2.0}),
    ):
        assert lib.conjugate_gradient(np.eye(2), rhs, callback=never, **options).iterations == 0
    assert lib.conjugate_gradient(-np.eye(2), np.ones(2), callback=never).iterations == 0


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


def test_a_column_gives_a_column(lib: ModuleType, rng: np.random.Generator) -> None:
    a, b = spd(rng, 6), rng.normal(size=6)
    x0 = 0.1 * b
    plain = lib.conjugate_gradient(a, b, x0=x0)
    for operator in (a, lambda v: a @ v):
        for start in (x0, x0[:, None]):
            seen: list[np.ndarray] = []
            result = lib.conjugate_gradient(operator, b[:, None], x0=start, callback=seen.append)
            assert result.x.shape == (6, 1)
            assert seen[-1].shape == (6,)
            assert_close(result.x[:, 0], plain.x, 1e-13)
    assert lib.conjugate_gradient(np.zeros((0, 0)), np.zeros((0, 1))).x.shape == (0, 1)
    assert lib.conjugate_gradient([[2.0]], [[4.0]]).x.tolist() == [[2.0]]


@pytest.mark.parametrize("n", [1, 16, 70])
def test_exact_and_coerced_arguments_give_the_same_bits(
    n: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """In any mixture: lists, strides, other kinds of numbers, subclasses."""
    a, b = spd(rng, n).astype(dtype), rng.normal(size=n).astype(dtype)
    x0 = (0.1 * rng.normal(size=n)).astype(dtype)
    numbers = {"rtol": 0.5**10, "atol": 2.0**-30, "damping": 0.25, "max_iter": 9}
    expected = conjugate_gradient(a, b, x0=x0, **numbers)
    coerced = {
        "rtol": np.float32(0.5**10),
        "atol": Fraction(1, 2**30),
        "damping": np.array(0.25),
        "max_iter": np.int8(9),
    }
    forms = [
        ((a.view(np.matrix), b), {}),
        ((oracles.strided(a), oracles.strided(b)), {"x0": oracles.strided(x0)}),
        ((np.asfortranarray(a), b), {"x0": oracles.read_only(x0)}),
        ((a, unaligned(b)), {"x0": unaligned(x0)}),
        *(((a, b), {name: value}) for name, value in coerced.items()),
    ]
    for arguments, options in forms:
        result = conjugate_gradient(*arguments, **{"x0": x0, **numbers, **options})
        np.testing.assert_array_equal(result.x, expected.x)
        assert dataclasses.astuple(result)[1:] == dataclasses.astuple(expected)[1:]
        assert type(result.x) is np.ndarray


def unaligned(array: np.ndarray) -> np.ndarray:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype)
    view[...] = array
    assert not view.flags.aligned
    return view


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
        ((np.eye(3), np.ones((3, 2))), {}, ValueError, "b: expected shape (n,) or (n, 1), got (3, 2)"),
        ((np.eye(3), np.ones((1, 3))), {}, ValueError, "b: expected shape (n,) or (n, 1), got (1, 3)"),
        ((np.eye(3), ONES), {"x0": ONES[:, None]}, ValueError, "x0: expected shape (3,), got (3, 1)"),
        ((np.eye(3), ONES), {"atol": -1.0}, ValueError, "atol: expected a finite number >= 0, got -1.0"),
        ((np.eye(3), ONES), {"atol": np.inf}, ValueError, "atol: expected a finite number >= 0, got inf"),
        ((np.eye(3), ONES), {"callback": 1}, TypeError, "callback: expected a callable, got int"),
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
        ((np.eye(3), np.ones((3, 2))), {}, "b: expected shape (n,) or (n, 1), got (3, 2)"),
        ((np.eye(3), ONES), {"x0": ONES[:, None]}, "x0: expected shape (3,), got (3, 1)"),
        ((np.eye(3), ONES[:, None]), {"x0": np.ones((3, 2))}, "x0: expected shape (3,), got (3, 2)"),
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
