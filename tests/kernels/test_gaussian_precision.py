"""Gaussian kernels between nearly equal distributions, over many dimensions, with extreme scales, and with
numbers that are not finite."""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels, reference
from support.gaussian_problems import cholesky_factor

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


# ---- nearly equal distributions ----


@pytest.mark.parametrize("A", [1, 3, 8])
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_kl_of_nearly_equal_factors(
    lib: ModuleType, A: int, step: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """It keeps its digits and is not negative, as far as the factors differ at all."""
    mean = np.zeros((1, A), dtype)
    for _ in range(50):
        L = np.tril(np.nan_to_num(cholesky_factor(rng, A))).astype(dtype)
        M = (L + step * np.tril(rng.standard_normal((A, A)))).astype(dtype)
        result = lib.gaussian_kl(mean, mean_q=mean, scale_tril_p=L, scale_tril_q=M)[0]
        assert result >= 0.0
        E = np.linalg.solve(M.astype(np.float64), L.astype(np.float64) - M.astype(np.float64))
        e = np.diag(E)
        # −log(1 + e) + e + e²/2, by its series, and the rest as it is
        diagonal = sum((-1) ** n * e**n / n for n in range(2, 8)) + e**2 / 2
        expected = np.sum(diagonal) + np.sum(np.tril(E, -1) ** 2) / 2
        assert result == pytest.approx(expected, rel=1e-5, abs=1e-30)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("step", [1e-3, 1e-6])
def test_kl_of_nearly_equal_deviations(
    lib: ModuleType, rows: bool, step: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    s = rng.standard_normal((40, 5) if rows else 5).astype(dtype)
    t = (s + step * rng.standard_normal(s.shape)).astype(dtype)
    mean = rng.standard_normal((40, 5)).astype(dtype)
    u = 2 * np.broadcast_to(s.astype(np.float64) - t.astype(np.float64), mean.shape)
    expected = np.sum(u**2 / 4 + u**3 / 12 + u**4 / 48, axis=1)
    np.testing.assert_allclose(lib.gaussian_kl(mean, s, mean, t), expected, rtol=1e-5)


# ---- many dimensions ----


@pytest.mark.parametrize("A", [33, 1000, 10**6])
@pytest.mark.parametrize("rows", [False, True])
def test_many_dimensions(lib: ModuleType, A: int, rows: bool, rng: np.random.Generator) -> None:
    """Sums over dimensions in float32 lose next to nothing."""
    s = np.full((1, A) if rows else A, -1.4, np.float32) + rng.random(A).astype(np.float32) / 8
    t = s + np.float32(0.1)
    a, mu = (rng.standard_normal((1, A)).astype(np.float32) for _ in range(2))
    wide_s, wide_t = s.astype(np.float64), t.astype(np.float64)
    z = (a.astype(np.float64) - mu) / np.exp(wide_s)
    entropy = np.sum(wide_s) + A * (0.5 + HALF_LOG_2PI)
    assert np.ravel(lib.gaussian_entropy(s))[0] == pytest.approx(entropy, rel=3e-6)
    log_prob = -0.5 * np.sum(z**2) - np.sum(wide_s) - A * HALF_LOG_2PI
    assert lib.gaussian_log_prob(a, mu, s)[0] == pytest.approx(log_prob, rel=1e-6)
    u = 2 * (wide_s - wide_t)
    kl = np.sum(0.5 * (np.expm1(u) - u) + 0.5 * (z * np.exp(wide_s - wide_t)) ** 2)
    assert lib.gaussian_kl(a, s, mu, t)[0] == pytest.approx(kl, rel=1e-6)


def test_many_dimensions_of_the_full_form(lib: ModuleType, rng: np.random.Generator) -> None:
    A = 400
    L = 0.25 * np.eye(A, dtype=np.float32)
    a, mu = (rng.standard_normal((2, A)).astype(np.float32) for _ in range(2))
    z = 4 * (a.astype(np.float64) - mu)
    expected = -0.5 * np.sum(z**2, axis=1) + A * (math.log(4) - HALF_LOG_2PI)
    np.testing.assert_allclose(lib.gaussian_log_prob(a, mu, scale_tril=L), expected, rtol=3e-7)


# ---- scales whose inverse leaves the dtype ----


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("share", [-1.1, -1.5, -1.9, 0.9])
def test_scales_at_the_ends_of_the_dtype(lib: ModuleType, share: float, rows: bool, dtype: np.dtype) -> None:
    """log σ beyond the logarithm of the largest number, where 1/σ is infinite."""
    s = share * math.log(float(np.finfo(dtype).max))
    log_std = np.full((3, 2) if rows else 2, s, dtype)
    s = float(log_std.flat[0])
    mean = np.zeros((3, 2), dtype)
    expected = 2 * (-s - HALF_LOG_2PI)
    np.testing.assert_allclose(lib.gaussian_log_prob(mean, mean, log_std), expected, rtol=1e-6)
    d_mean, d_log_std = lib.gaussian_score(mean, mean, log_std)
    np.testing.assert_array_equal(d_mean, 0.0)
    np.testing.assert_array_equal(d_log_std, -1.0)
    np.testing.assert_array_equal(lib.gaussian_kl(mean, log_std, mean, log_std), 0.0)
    if share < 0.0:
        with np.errstate(over="ignore"):
            assert (lib.gaussian_log_prob(mean + 1, mean, log_std) == -np.inf).all()


@pytest.mark.parametrize("s", [-95.0, -100.0])
def test_numbers_next_to_a_tiny_deviation(lib: ModuleType, s: float) -> None:
    """(a − μ)/σ is an ordinary number although 1/σ is not one of float32."""
    a = np.array([[5e-42]], np.float32)  # not a normal number either
    mean, log_std = np.zeros((1, 1), np.float32), np.array([s], np.float32)
    z = float(a[0, 0]) * math.exp(-s)
    expected = -0.5 * z * z - s - HALF_LOG_2PI
    assert lib.gaussian_log_prob(a, mean, log_std)[0] == pytest.approx(expected, rel=1e-5)
    assert lib.gaussian_kl(a, log_std, mean, log_std)[0] == pytest.approx(z * z / 2, rel=1e-5)


# ---- numbers that are not finite ----


@pytest.mark.parametrize("where", ["actions", "mean", "diagonal", "below"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_kernel_and_reference_agree_on_what_is_not_finite(
    where: str, bad: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """In the full form, with zeros among the factors' numbers, too."""
    for zeros, i in itertools.product([False, True], range(3)):
        p = {"actions": rng.standard_normal((4, 3)), "mean": rng.standard_normal((4, 3))}
        p |= {"L": np.eye(3) if zeros else np.tril(np.nan_to_num(cholesky_factor(rng, 3)))}
        p |= {"M": np.tril(np.nan_to_num(cholesky_factor(rng, 3)))}
        p = {name: x.astype(dtype) for name, x in p.items()}
        if where in p:
            p[where][1, i] = bad
        else:
            p["L"][(i, i) if where == "diagonal" else (2, i // 2)] = bad
        with np.errstate(all="ignore"):
            got, expected = (results(lib, p) for lib in (kernels, reference))
        for name, x in got.items():
            np.testing.assert_allclose(
                x, expected[name], rtol=1e-3, atol=1e-5, err_msg=f"{name}, {i}, {zeros}"
            )


def results(lib: ModuleType, p: dict[str, Any]) -> dict[str, np.ndarray]:
    a, mu, L, M = p["actions"], p["mean"], p["L"], p["M"]
    d_mean, d_tril = lib.gaussian_score(a, mu, scale_tril=L)
    return {
        "log_prob": lib.gaussian_log_prob(a, mu, scale_tril=L),
        "d_mean": d_mean,
        "d_tril": d_tril,
        "kl": lib.gaussian_kl(a, mean_q=mu, scale_tril_p=L, scale_tril_q=M),
        "kl the other way": lib.gaussian_kl(a, mean_q=mu, scale_tril_p=M, scale_tril_q=L),
        "entropy": np.array(lib.gaussian_entropy(scale_tril=L)),
    }
