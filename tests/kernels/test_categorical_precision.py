"""Categorical kernels near certainty, between nearly equal distributions, and over many choices.

The oracles work in float64 on the float32 logits, or with the numbers that such logits stand for in closed
form: relative errors of small results, not errors relative to 1.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from pgcore import kernels

EPS = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-14}


def certain(distance: float, K: int, dtype: np.dtype) -> np.ndarray:
    """Choice 1 is certain but for w = e^−distance of each other one."""
    z = np.zeros((1, K), dtype)
    z[0, 1] = distance
    return z


# ---- near certainty ----


@pytest.mark.covering(2)
@pytest.mark.parametrize("K", [2, 3, 18, 100])
@pytest.mark.parametrize("distance", [1.0, 5.0, 20.0, 36.0, 80.0])
def test_near_certainty(lib: ModuleType, K: int, distance: float, dtype: np.dtype) -> None:
    z, w = certain(distance, K, dtype), math.exp(-distance)
    others = (K - 1) * w
    rtol = EPS[dtype]
    assert lib.categorical_log_prob([1], z)[0] == pytest.approx(-math.log1p(others), rel=rtol)
    score = lib.categorical_score([1], z)[0]
    expected = np.full(K, -w / (1 + others))
    expected[1] = others / (1 + others)
    np.testing.assert_allclose(score, expected, rtol=rtol)
    entropy = math.log1p(others) + others * distance / (1 + others)
    assert lib.categorical_entropy(z)[0] == pytest.approx(entropy, rel=rtol)


@pytest.mark.covering(2)
@pytest.mark.parametrize("K", [2, 3, 18, 100])
@pytest.mark.parametrize("distance", [5.0, 16.0, 30.0])
@pytest.mark.parametrize("step", [0.25, -0.25, 4.0])
def test_kl_near_certainty(lib: ModuleType, K: int, distance: float, step: float, dtype: np.dtype) -> None:
    p, q = certain(distance, K, dtype), certain(distance + step, K, dtype)
    # log q/p is c for the certain choice and c − step for each of the others; Σ p (e^d − 1 − d)
    others_p, others_q = ((K - 1) * math.exp(-x) for x in (distance, distance + step))
    c = math.log1p(others_p) - math.log1p(others_q)
    share = others_p / (1 + others_p)
    expected = (excess(c) + others_p * excess(c - step)) / (1 + others_p)
    assert 0 < expected < 2 * share * excess(abs(step))
    assert lib.categorical_kl(p, q)[0] == pytest.approx(expected, rel=2 * EPS[dtype])


def excess(x: float) -> float:
    """e^x − 1 − x."""
    return sum(x**n / math.factorial(n) for n in range(2, 60))


def test_ties_at_the_top(lib: ModuleType, dtype: np.dtype) -> None:
    """Two equally probable choices are no near certainty."""
    z = np.array([[30.0, 0.0, 30.0]], dtype)
    assert lib.categorical_log_prob([0], z)[0] == pytest.approx(-math.log(2), rel=1e-6)
    np.testing.assert_allclose(lib.categorical_score([2], z)[0], [-0.5, -0.5 * math.exp(-30), 0.5], rtol=1e-6)


# ---- nearly equal distributions ----


@pytest.mark.covering(2)
@pytest.mark.parametrize("K", [2, 5, 18, 300])
@pytest.mark.parametrize("step", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("drift", [0.0, 8.0, 1000.0])
def test_small_divergences(
    lib: ModuleType, K: int, step: float, drift: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """They keep their digits, and none is below 0; only differences of logits count."""
    p = rng.standard_normal((500, K)).astype(dtype)
    q = (p + step * rng.standard_normal(p.shape)).astype(dtype)
    q += dtype.type(drift)
    result = lib.categorical_kl(p, q)
    assert (result >= 0.0).all()
    # KL = log E_p[e^(t − E_p t)], t = z_q − z_p, by its series in double
    wide_p, t = p.astype(np.float64), q.astype(np.float64) - p.astype(np.float64)
    weights = np.exp(wide_p - wide_p.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    t -= t[:, :1]
    t -= np.sum(weights * t, axis=1, keepdims=True)
    expected = np.log1p(np.sum(weights * (t**2 / 2 + t**3 / 6 + t**4 / 24 + t**5 / 120), axis=1))
    # Where logits drift a little, their differences are rounded like the logits; where much, they are taken
    # in double.
    rounded = 8 * float(np.finfo(dtype).eps) if drift == 8.0 else 0.0
    np.testing.assert_allclose(np.sqrt(result), np.sqrt(expected), rtol=1e-4, atol=rounded)


@pytest.mark.parametrize("far", [20.0, 60.0, 200.0])
def test_divergences_of_distributions_far_apart(lib: ModuleType, far: float, dtype: np.dtype) -> None:
    p, q = np.array([[0.0, -far, 1.0]], dtype), np.array([[-far, 0.0, 1.0]], dtype)
    with np.errstate(over="ignore"):
        result = lib.categorical_kl(p, q)[0]
    wide = [[math.exp(x) for x in row] for row in ([0.0, -far, 1.0], [-far, 0.0, 1.0])]
    probabilities = [[x / sum(row) for x in row] for row in wide]
    expected = sum(x * (math.log(x) - math.log(y)) for x, y in zip(*probabilities, strict=True))
    assert result == pytest.approx(expected, rel=1e-6)


def test_divergence_keeps_mass_that_only_q_has(lib: ModuleType, dtype: np.dtype) -> None:
    """Where p has nothing, q's mass is missing elsewhere."""
    p, q = np.array([[0.0, -np.inf]], dtype), np.array([[0.0, -18.0]], dtype)
    assert lib.categorical_kl(p, q)[0] == pytest.approx(math.log1p(math.exp(-18.0)), rel=1e-6)
    p[0, 1] = -1e4
    assert lib.categorical_kl(p, q)[0] == pytest.approx(math.log1p(math.exp(-18.0)), rel=1e-6)


def test_bad_logits_of_q(dtype: np.dtype, lib: ModuleType) -> None:
    for p in (0.0, -np.inf):
        with np.errstate(all="ignore"):
            result = lib.categorical_kl(np.array([[0.0, p]], dtype), np.array([[0.0, np.nan]], dtype))
        assert np.isnan(result[0])


# ---- many choices ----


@pytest.mark.parametrize("K", [33, 10_000, 151_936])
def test_many_choices(lib: ModuleType, K: int, rng: np.random.Generator) -> None:
    """Sums over choices in float32 lose next to nothing."""
    flat = np.zeros((1, K), np.float32)
    z = (3 * rng.standard_normal((2, K))).astype(np.float32)
    other = (z + 0.1 * rng.standard_normal(z.shape)).astype(np.float32)
    wide = [
        x.astype(np.float64) - np.log(np.exp(x.astype(np.float64)).sum(1, keepdims=True)) for x in (z, other)
    ]
    P = np.exp(wide[0])
    assert lib.categorical_entropy(flat)[0] == pytest.approx(math.log(K), rel=2e-7)
    np.testing.assert_allclose(lib.categorical_entropy(z), -(P * wide[0]).sum(1), rtol=1e-6)
    np.testing.assert_allclose(lib.categorical_log_prob([0, K - 1], z), wide[0][[0, 1], [0, -1]], rtol=3e-7)
    np.testing.assert_allclose(lib.categorical_kl(z, other), (P * (wide[0] - wide[1])).sum(1), rtol=2e-6)
    score = lib.categorical_score([0, K - 1], z)
    np.testing.assert_allclose(score[0, 1:], -P[0, 1:], rtol=3e-6)


def test_longer_rows_give_the_same_bits_wherever_they_lie(rng: np.random.Generator) -> None:
    z = rng.standard_normal((40, 100)).astype(np.float32)
    together = kernels.categorical_entropy(z)
    alone = [kernels.categorical_entropy(z[i : i + 1].copy())[0] for i in range(40)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.covering(2)
@pytest.mark.parametrize("K", [33, 48, 64, 200])
@pytest.mark.parametrize("scale", [30.0, 1e3, 1e4])
def test_entropies_beside_choices_of_no_probability(
    lib: ModuleType, K: int, scale: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Many choices, most of them with a weight of exactly 0; the second most probable in every place."""
    z = (scale * rng.normal(size=(400, K)) - 2 * scale * K).astype(dtype)
    z[np.arange(400), rng.integers(0, K, 400)] = 0.0
    z[np.arange(400), rng.integers(0, K, 400)] = -6.0
    x = z.astype(np.longdouble)
    x -= x.max(axis=1, keepdims=True)
    w = np.exp(x)
    total = w.sum(axis=1)
    expected = np.log(total) - (w * x).sum(axis=1) / total
    np.testing.assert_allclose(lib.categorical_entropy(z), expected, rtol=1e-5, atol=1e-7)
