"""Categorical log-probability, score, divergence and entropy."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore import kernels
from pgcore.kernels import (
    categorical_entropy,
    categorical_kl,
    categorical_log_prob,
    categorical_score,
)
from support import oracles
from support.oracles import assert_close, assert_same_bits

SIZES = [(0, 3), (1, 1), (1, 4), (5, 2), (15, 3), (16, 3), (17, 1), (33, 8), (100, 18), (2, 2000), (4099, 4)]
every_size = pytest.mark.parametrize(("B", "K"), SIZES)


def problem(
    rng: np.random.Generator, B: int, K: int, dtype: Any = np.float64
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions, logits, other logits."""
    logits = (2.0 * rng.normal(size=(2, B, K))).astype(dtype)
    return rng.integers(0, K, size=B), logits[0], logits[1]


def probabilities(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64))
    return weights / weights.sum(axis=1, keepdims=True)


# ---- the definitions ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_log_prob(lib: ModuleType, B: int, K: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    actions, logits, _ = problem(rng, B, K, dtype)
    result = lib.categorical_log_prob(actions, logits)
    assert result.dtype == dtype
    assert_close(result, np.log(probabilities(logits))[np.arange(B), actions])


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_score(lib: ModuleType, B: int, K: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    actions, logits, _ = problem(rng, B, K, dtype)
    result = lib.categorical_score(actions, logits)
    assert result.dtype == dtype
    chosen = np.eye(K)[actions]

    def total(z: Any) -> Any:
        return anp.sum(chosen * z) - anp.sum(anp.log(anp.sum(anp.exp(z), axis=1)))

    if K == 1:
        np.testing.assert_array_equal(result, 0.0)
    else:
        assert_close(result, autograd.grad(total)(logits.astype(np.float64)))
    assert np.max(np.abs(result.sum(axis=1)), initial=0.0) < 1e2 * np.finfo(dtype).eps


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_kl(lib: ModuleType, B: int, K: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    _, p, q = problem(rng, B, K, dtype)
    result = lib.categorical_kl(p, q)
    assert result.dtype == dtype
    P, Q = probabilities(p), probabilities(q)
    assert_close(result, np.sum(P * np.log(P / Q), axis=1))


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_entropy(lib: ModuleType, B: int, K: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    _, logits, _ = problem(rng, B, K, dtype)
    result = lib.categorical_entropy(logits)
    assert result.dtype == dtype
    P = probabilities(logits)
    assert_close(result, -np.sum(P * np.log(P), axis=1))


def test_score_by_finite_differences(lib: ModuleType, rng: np.random.Generator) -> None:
    actions, logits, _ = problem(rng, 4, 3)
    jacobian = oracles.finite_difference(lambda z: lib.categorical_log_prob(actions, z), logits)
    assert_close(np.einsum("iij->ij", jacobian), lib.categorical_score(actions, logits), 1e-7)


def test_kl_direction(lib: ModuleType) -> None:
    p, q = np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])
    forward = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    backward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5.0)
    assert lib.categorical_kl(p, q)[0] == pytest.approx(forward, rel=1e-12)
    assert lib.categorical_kl(q, p)[0] == pytest.approx(backward, rel=1e-12)


def test_expected_score_is_zero(lib: ModuleType, rng: np.random.Generator) -> None:
    """Σ_a π(a) ∇log π(a) = 0, exactly enumerated."""
    _, logits, _ = problem(rng, 1, 5)
    scores = lib.categorical_score(np.arange(5), np.repeat(logits, 5, axis=0))
    np.testing.assert_allclose(probabilities(logits)[0] @ scores, 0.0, atol=1e-15)


def test_entropy_of_equal_logits_is_log_k(lib: ModuleType, dtype: np.dtype) -> None:
    for K in (1, 2, 7, 1000):
        entropy = lib.categorical_entropy(np.full((2, K), 3.0, dtype))
        np.testing.assert_allclose(entropy, math.log(K), rtol=oracles.TOLERANCE[dtype])


# ---- extremes ----


def test_logits_may_be_shifted_by_anything(
    lib: ModuleType, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Only differences count: no overflow at ±10000."""
    actions, logits = rng.integers(0, 5, size=9), rng.integers(-3, 4, size=(9, 5)).astype(dtype)
    for shift in (-1e4, 1e4):
        moved = logits + dtype.type(shift)
        assert_same_bits(lib.categorical_log_prob(actions, moved), lib.categorical_log_prob(actions, logits))
        assert_same_bits(lib.categorical_score(actions, moved), lib.categorical_score(actions, logits))
        assert_same_bits(lib.categorical_entropy(moved), lib.categorical_entropy(logits))
        assert_same_bits(lib.categorical_kl(moved, logits), lib.categorical_kl(logits, logits))


def test_impossible_actions(lib: ModuleType, dtype: np.dtype) -> None:
    """Logits of −∞ mean probability zero, and 0·log 0 counts as 0."""
    half = math.log(0.5)
    z = np.array([[0.0, -np.inf, 0.0]], dtype)
    open_z = np.zeros((1, 3), dtype)
    assert lib.categorical_log_prob([0], z)[0] == pytest.approx(half, rel=1e-6)
    assert lib.categorical_log_prob([1], z)[0] == -np.inf
    np.testing.assert_allclose(lib.categorical_score([0], z), [[0.5, 0.0, -0.5]], rtol=1e-6)
    assert lib.categorical_entropy(z)[0] == pytest.approx(-half, rel=1e-6)
    assert lib.categorical_kl(z, open_z)[0] == pytest.approx(math.log(1.5), rel=1e-6)
    assert lib.categorical_kl(open_z, z)[0] == np.inf
    assert lib.categorical_kl(z, z)[0] == 0.0


def test_probabilities_that_underflow(lib: ModuleType, dtype: np.dtype) -> None:
    """A logit far below counts as −∞ in entropies, yet keeps its log-probability."""
    z = np.array([[0.0, -1e4]], dtype)
    assert lib.categorical_log_prob([1], z)[0] == -1e4
    assert lib.categorical_entropy(z)[0] == 0.0
    assert lib.categorical_kl(z, np.array([[0.0, -np.inf]], dtype))[0] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_stay_in_their_row(lib: ModuleType, bad: float, rng: np.random.Generator) -> None:
    actions, p, q = problem(rng, 40, 3)

    def all_results() -> list[np.ndarray]:
        return [
            lib.categorical_log_prob(actions, p),
            lib.categorical_score(actions, p),
            lib.categorical_entropy(p),
            lib.categorical_kl(p, q),
            lib.categorical_kl(q, p),
        ]

    clean = all_results()
    p[21, 1] = bad
    with np.errstate(all="ignore"):
        spoilt = all_results()
    others = np.arange(40) != 21
    for before, after in zip(clean, spoilt, strict=True):
        assert_same_bits(after[others], before[others])
        assert np.isnan(after[21]).any()


def test_rows_without_any_action_are_nan(lib: ModuleType) -> None:
    z = np.full((2, 3), -np.inf)
    with np.errstate(invalid="ignore"):
        assert np.isnan(lib.categorical_log_prob([0, 1], z)).all()
        assert np.isnan(lib.categorical_entropy(z)).all()


# ---- how arrays come in ----


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", oracles.AWKWARD)
@pytest.mark.parametrize(("B", "K"), [(9, 3), (0, 2), (1, 1)])
def test_awkward_arrays(form: str, B: int, K: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    actions, p, q = problem(rng, B, K, dtype)
    make = oracles.AWKWARD[form]
    a, pa, qa = make(actions), make(p), make(q)
    before = [x.tobytes() for x in (a, pa, qa)]
    assert_same_bits(categorical_log_prob(a, pa), categorical_log_prob(actions, p))
    assert_same_bits(categorical_score(a, pa), categorical_score(actions, p))
    assert_same_bits(categorical_kl(pa, qa), categorical_kl(p, q))
    assert_same_bits(categorical_entropy(pa), categorical_entropy(p))
    assert [x.tobytes() for x in (a, pa, qa)] == before


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, np.int64, bool, list, ">i4"])
def test_integers_of_any_kind(kind: Any) -> None:
    actions = [0, 1, 1] if kind is list else np.array([0, 1, 1]).astype(kind)
    logits = [[1.0, 2.0]] * 3
    assert_same_bits(
        categorical_log_prob(actions, logits), categorical_log_prob(np.array([0, 1, 1]), np.array(logits))
    )


@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**63)])
@pytest.mark.parametrize("name", ["categorical_log_prob", "categorical_score"])
def test_actions_outside(lib: ModuleType, name: str, bad: int) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(lib, name)(np.array([0, bad, 1]), np.zeros((3, 3)))
    assert str(caught.value) == f"actions: expected integers in 0…2, got {bad}"


def test_empty_lists() -> None:
    assert categorical_log_prob([], np.zeros((0, 3))).shape == (0,)
    assert categorical_score([], np.zeros((0, 3), np.float32)).dtype == np.float32


Z = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (categorical_log_prob, ([0.0, 1.0, 1.0], Z), TypeError, "actions: expected integers, got float64"),
        (categorical_log_prob, (["a", "b", "c"], Z), TypeError, "actions: expected integers, got <U1"),
        (categorical_log_prob, ([0, 1], Z), ValueError, "actions: expected shape (3,), got (2,)"),
        (categorical_log_prob, ([[0], [1], [1]], Z), ValueError, "actions: expected shape (3,), got (3, 1)"),
        (categorical_score, (0, Z), ValueError, "actions: expected shape (3,), got ()"),
        (
            categorical_score,
            (np.array([0, 0, 2**63], np.uint64), Z),
            ValueError,
            "actions: expected integers of 64 bits, got 9223372036854775808",
        ),
        (categorical_score, ([0], Z[0]), ValueError, "logits: expected shape (B, K), got (2,)"),
        (categorical_entropy, (Z[0],), ValueError, "logits: expected shape (B, K), got (2,)"),
        (categorical_kl, (Z[0], Z), ValueError, "logits_p: expected shape (B, K), got (2,)"),
        (categorical_kl, (Z, Z[:2]), ValueError, "logits_q: expected shape (3, 2), got (2, 2)"),
        (
            categorical_kl,
            (Z, Z.astype(complex)),
            TypeError,
            "logits_q: expected float32 or float64 (or integers), got complex128",
        ),
    ],
)
def test_errors(function: Any, arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        function(*arguments)
    assert str(caught.value) == message


# ---- properties ----

logit_rows = st.integers(1, 6).flatmap(
    lambda K: st.lists(st.lists(st.floats(-30, 30), min_size=2 * K, max_size=2 * K), min_size=1, max_size=20)
)


@given(logit_rows)
def test_bounds(rows: list[list[float]]) -> None:
    both = np.array(rows)
    K = both.shape[1] // 2
    p, q = both[:, :K], both[:, K:]
    assert np.all(kernels.categorical_kl(p, q) >= -1e-13)
    entropy = kernels.categorical_entropy(p)
    assert np.all(entropy >= 0.0)
    assert np.all(entropy <= math.log(K) + 1e-12)
    # KL to the uniform distribution is what entropy lacks to its maximum
    np.testing.assert_allclose(kernels.categorical_kl(p, np.zeros_like(p)), math.log(K) - entropy, atol=1e-12)


@pytest.mark.parametrize("K", [2, 3, 9])
def test_logits_from_one_end_of_the_range_to_the_other(lib: ModuleType, K: int, dtype: np.dtype) -> None:
    """Their difference is beyond the range, which is no fault: that probability is 0 (and no warning)."""
    z = np.full((1, K), -np.finfo(dtype).max, dtype)
    z[0, 1] = np.finfo(dtype).max
    np.testing.assert_array_equal(lib.categorical_log_prob([1], z), [0.0])
    np.testing.assert_array_equal(lib.categorical_score([1], z), np.zeros((1, K)))
    np.testing.assert_array_equal(lib.categorical_entropy(z), [0.0])
    np.testing.assert_array_equal(lib.categorical_kl(z, z), [0.0])
