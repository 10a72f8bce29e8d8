"""adam_step: in place, against the algorithm in plain Python."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import oracles
from oracles import assert_close, assert_same_bits
from pgcore.kernels import adam_step


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
