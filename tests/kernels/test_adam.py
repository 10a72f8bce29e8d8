"""adam_step: in place, against the algorithm in plain Python."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore.kernels import adam_step
from support import oracles
from support.oracles import assert_close, assert_same_bits


def plain_adam(
    theta: list[float], gradients: list[list[float]], lr: float, beta1: float, beta2: float, epsilon: float
) -> list[float]:
    """Algorithm 1 of Kingma & Ba, number by number."""
    theta = list(theta)
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    for t, g in enumerate(gradients, start=1):
        for i in range(len(theta)):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            theta[i] -= lr * m_hat / (math.sqrt(v_hat) + epsilon)
    return theta


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize("n", [0, 1, 7, 64, 1001])
@pytest.mark.parametrize("options", [{}, {"beta1": 0.0, "beta2": 0.5, "epsilon": 1e-3}])
def test_several_steps(
    lib: ModuleType, n: int, options: dict[str, float], dtype: np.dtype, rng: np.random.Generator
) -> None:
    theta = rng.normal(size=n).astype(dtype)
    gradients = [rng.normal(size=n).astype(dtype) for _ in range(6)]
    defaults = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8} | options
    expected = plain_adam(theta.tolist(), [g.tolist() for g in gradients], 0.01, **defaults)
    m, v = np.zeros(n, dtype), np.zeros(n, dtype)
    for step, gradient in enumerate(gradients, start=1):
        assert lib.adam_step(theta, gradient, m, v, step, learning_rate=0.01, **options) is None
    assert theta.dtype == dtype
    assert_close(theta, expected)


def test_first_step_has_the_learning_rates_size(lib: ModuleType) -> None:
    theta, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    lib.adam_step(theta, [1e-3, -5.0, 1e6], m, v, 1, learning_rate=0.1)
    np.testing.assert_allclose(theta, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_descends_to_a_minimum(lib: ModuleType) -> None:
    theta, m, v = np.array([3.0, -2.0]), np.zeros(2), np.zeros(2)
    for step in range(1, 2001):
        lib.adam_step(theta, 2.0 * (theta - [1.0, 1.0]), m, v, step, learning_rate=0.02)
    np.testing.assert_allclose(theta, [1.0, 1.0], atol=1e-3)


@pytest.mark.parametrize("form", oracles.AWKWARD)
def test_awkward_gradients(form: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    gradient = rng.normal(size=9).astype(dtype)
    results = []
    for g in (gradient, oracles.AWKWARD[form](gradient)):
        theta, m, v = np.ones(9, dtype), np.zeros(9, dtype), np.zeros(9, dtype)
        adam_step(theta, g, m, v, 1, learning_rate=0.1)
        results.append(theta)
    assert_same_bits(*results)


def test_gradient_takes_thetas_dtype_and_is_not_modified() -> None:
    theta, m, v = np.ones(2, np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32)
    gradient = np.array([1.0, -2.0])
    adam_step(theta, gradient, m, v, 1, learning_rate=0.5)
    np.testing.assert_array_equal(gradient, [1.0, -2.0])
    np.testing.assert_allclose(theta, [0.5, 1.5], rtol=1e-6)
    adam_step(theta, [1, 1], m, v, 2, learning_rate=0)


# ---- the ends of the range ----


def run(
    lib: ModuleType, dtype: np.dtype, gradients: list[Any], epsilon: float = 0.0, **options: float
) -> list[np.ndarray]:
    """Parameters after each step, from zero on, with a learning rate of 0.1."""
    theta, m, v = (np.zeros(np.size(gradients[0]), dtype) for _ in range(3))
    path = []
    for step, gradient in enumerate(gradients, start=1):
        lib.adam_step(theta, gradient, m, v, step, learning_rate=0.1, epsilon=epsilon, **options)
        path.append(theta.copy())
    assert np.isfinite([*m, *v]).all()
    return path


@pytest.mark.parametrize("epsilon", [0.0, 1e-320, 1e-50, 1e-8])
def test_without_a_gradient_there_is_no_step(lib: ModuleType, epsilon: float, dtype: np.dtype) -> None:
    path = run(lib, dtype, [[0.0, 1.0], [0.0, 0.0], [2.0, 1.0]], epsilon)
    expected = plain_adam([0.0], [[1.0], [0.0], [1.0]], 0.1, 0.9, 0.999, epsilon)
    assert [theta[0] for theta in path[:2]] == [0.0, 0.0]
    assert path[2][1] == pytest.approx(expected[0], rel=1e-5)
    assert path[2][0] < 0.0


@pytest.mark.covering(2)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("power", [-0.99, -0.6, 0.6, 0.99])
def test_steps_do_not_depend_on_the_gradients_size(
    lib: ModuleType, power: float, sign: float, dtype: np.dtype
) -> None:
    """A constant gradient makes steps of the learning rate, also where its square is out of range."""
    size = float(np.finfo(dtype).max) ** power
    path = run(lib, dtype, [[sign * size]] * 60)
    np.testing.assert_allclose(np.ravel(path), -0.1 * sign * np.arange(1, 61), rtol=1e-3)


def test_a_gradient_whose_square_overflows_does_not_freeze_a_parameter(
    lib: ModuleType, dtype: np.dtype
) -> None:
    huge = float(np.finfo(dtype).max) ** 0.7
    path = np.ravel(run(lib, dtype, [[huge]] + [[1.0]] * 8000, beta1=0.5, beta2=0.9))
    assert path[0] == pytest.approx(-0.1, rel=1e-3)
    assert abs(path[-1] - path[-1001]) == pytest.approx(100.0, rel=1e-2)  # a thousand steps of 0.1
    assert np.abs(np.diff(path)).max() < 0.11


def test_gradients_that_are_not_finite_show(lib: ModuleType, dtype: np.dtype) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        theta, m, v = (np.zeros(2, dtype) for _ in range(3))
        lib.adam_step(theta, [bad, 1.0], m, v, 1, learning_rate=0.1)
        assert not np.isfinite(theta[0])
        assert theta[1] == pytest.approx(-0.1)


@pytest.mark.parametrize("integer", [np.uint8, np.int8, np.uint64, np.int64, np.bool_])
def test_gradients_of_integers_do_not_wrap(lib: ModuleType, integer: type, dtype: np.dtype) -> None:
    gradient = np.array([1, 100, 0]).astype(integer)
    theta, m, v = (np.zeros(3, dtype) for _ in range(3))
    lib.adam_step(theta, gradient, m, v, 1, learning_rate=0.1)
    np.testing.assert_allclose(v, 1e-3 * gradient.astype(float) ** 2, rtol=1e-6)
    np.testing.assert_allclose(theta, [-0.1, -0.1, 0.0], rtol=1e-5)


@pytest.mark.parametrize("step", [1, 2, 10**6, 2**53, 2**62])
@pytest.mark.parametrize("beta2", [0.0, 0.999, 1 - 1e-10])
def test_corrections_at_any_step(lib: ModuleType, step: int, beta2: float) -> None:
    """With v = (1 − β₂ᵗ) g² the root of v̂ is g, whatever t is."""
    share = -math.expm1(step * math.log(beta2)) if beta2 else 1.0
    theta, m, v = np.zeros(1), np.zeros(1), np.array([share * 4.0])
    lib.adam_step(theta, [2.0], m, v, step, learning_rate=1.0, beta1=0.0, beta2=beta2, epsilon=0.0)
    expected = -math.sqrt(share / (beta2 * share + (1 - beta2)))
    assert theta[0] == pytest.approx(expected, rel=1e-12)


def arrays(**changes: Any) -> dict[str, Any]:
    return {"theta": np.ones(3), "grad": np.ones(3), "m": np.zeros(3), "v": np.zeros(3)} | changes


SHARED = np.zeros(3)


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"theta": [1.0, 1.0, 1.0]}, {}, TypeError, "theta: expected a numpy array, got list"),
        ({"m": None}, {}, TypeError, "m: expected a numpy array, got NoneType"),
        ({"theta": np.ones(3, np.int64)}, {}, TypeError, "theta: expected float32 or float64, got int64"),
        ({"theta": np.ones((3, 1))}, {}, ValueError, "theta: expected shape (P,), got (3, 1)"),
        ({"m": np.zeros(3, np.float32)}, {}, TypeError, "m: expected float64, got float32"),
        ({"v": np.zeros(2)}, {}, ValueError, "v: expected shape (3,), got (2,)"),
        ({"grad": np.zeros(2)}, {}, ValueError, "grad: expected shape (3,), got (2,)"),
        (
            {"grad": ["a", "b", "c"]},
            {},
            TypeError,
            "grad: expected float32 or float64 (or integers), got <U1",
        ),
        (
            {"theta": oracles.read_only(np.ones(3))},
            {},
            ValueError,
            "theta: expected a writeable, contiguous, aligned array, got one that is not writeable",
        ),
        (
            {"v": np.zeros(6)[::2]},
            {},
            ValueError,
            "v: expected a writeable, contiguous, aligned array, got one that is not contiguous",
        ),
        ({"m": SHARED, "v": SHARED}, {}, ValueError, "v: expected memory of its own, got that of m"),
        ({}, {"step": 0}, ValueError, "step: expected an integer >= 1, got 0"),
        ({}, {"step": 1.0}, TypeError, "step: expected an integer, got float"),
        ({}, {"learning_rate": np.nan}, ValueError, "learning_rate: expected a finite number, got nan"),
        ({}, {"beta1": 1.0}, ValueError, "beta1: expected a number below 1, got 1.0"),
        ({}, {"beta2": -0.1}, ValueError, "beta2: expected a finite number >= 0, got -0.1"),
        ({}, {"epsilon": -1.0}, ValueError, "epsilon: expected a finite number >= 0, got -1.0"),
    ],
)
def test_errors(
    changes: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    settings = {"step": 1, "learning_rate": 0.1} | options
    with pytest.raises(error) as caught:
        adam_step(**arrays(**changes), **settings)
    assert str(caught.value) == message
