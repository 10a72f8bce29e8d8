"""Gaussian log-density, score, divergence and entropy, diagonal and full."""

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
from pgcore.kernels import gaussian_kl
from support import oracles
from support.gaussian_problems import problem
from support.oracles import assert_close, assert_same_bits

# Batches around the kernel's groups of 16 rows and blocks of 2048, and vectors longer than its stack buffers.
SIZES = [(0, 3), (1, 1), (1, 4), (5, 2), (15, 3), (16, 3), (17, 1), (33, 8), (100, 17), (2, 70), (2049, 3)]
every_size = pytest.mark.parametrize(("B", "A"), SIZES)


def covariances(log_std: np.ndarray, B: int) -> list[np.ndarray]:
    """Σ of each row of a diagonal form."""
    rows = np.broadcast_to(log_std, (B, log_std.shape[-1])).astype(float)
    return [np.diag(np.exp(2.0 * row)) for row in rows]


def wide(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


def sigma(tril: np.ndarray) -> np.ndarray:
    lower = np.tril(np.nan_to_num(tril.astype(float)))
    return lower @ lower.T


# ---- log-density ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
@pytest.mark.parametrize("form", ["log_std", "log_stds"])
def test_log_prob_of_the_diagonal_form(
    lib: ModuleType, B: int, A: int, form: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, B, A, dtype)
    result = lib.gaussian_log_prob(p["actions"], p["mean"], p[form])
    assert result.dtype == dtype
    a, mu, s = wide(p["actions"], p["mean"], p[form])
    sd = np.exp(np.broadcast_to(s, a.shape))
    # By the textbook density of one number, its logarithm taken of the product
    expected = np.sum(-0.5 * ((a - mu) / sd) ** 2 - np.log(sd * math.sqrt(2 * math.pi)), axis=1)
    assert_close(result, expected)


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_log_prob_of_the_full_form(
    lib: ModuleType, B: int, A: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, B, A, dtype)
    result = lib.gaussian_log_prob(p["actions"], p["mean"], scale_tril=p["tril"])
    assert result.dtype == dtype
    expected = oracles.gaussian_log_prob(*wide(p["actions"], p["mean"]), sigma(p["tril"]))
    assert_close(result, expected)


def test_log_prob_is_a_sum_over_components(lib: ModuleType, rng: np.random.Generator) -> None:
    p = problem(rng, 9, 5)
    parts = [
        lib.gaussian_log_prob(p["actions"][:, [j]], p["mean"][:, [j]], p["log_std"][[j]]) for j in range(5)
    ]
    assert_close(lib.gaussian_log_prob(p["actions"], p["mean"], p["log_std"]), np.sum(parts, axis=0), 1e-13)


def test_density_integrates_to_one(lib: ModuleType) -> None:
    grid = np.linspace(-12.0, 12.0, 241)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    L = np.array([[0.8, 0.0], [0.5, 1.3]])
    for options in ({"log_std": [-0.3, 0.2]}, {"scale_tril": L}):
        density = np.exp(lib.gaussian_log_prob(points, np.zeros_like(points), **options))
        assert np.sum(density) * 0.1**2 == pytest.approx(1.0, abs=1e-10)


def test_forms_agree_on_diagonal_covariances(lib: ModuleType, rng: np.random.Generator) -> None:
    p = problem(rng, 20, 4)
    a, mu, s = p["actions"], p["mean"], p["log_std"]
    L = np.diag(np.exp(s))
    assert_close(lib.gaussian_log_prob(a, mu, scale_tril=L), lib.gaussian_log_prob(a, mu, s), 1e-13)
    d_mean, d_tril = lib.gaussian_score(a, mu, scale_tril=L)
    expected_mean, d_log_std = lib.gaussian_score(a, mu, s)
    assert_close(d_mean, expected_mean, 1e-13)
    diagonal = np.einsum("bjj->bj", d_tril)
    assert_close(diagonal * np.exp(s), d_log_std, 1e-13)  # ∂/∂log σ = σ ∂/∂σ
    q = rng.normal(size=a.shape)
    assert_close(
        lib.gaussian_kl(mu, mean_q=q, scale_tril_p=L, scale_tril_q=2.0 * L),
        lib.gaussian_kl(mu, s, q, s + math.log(2.0)),
        1e-13,
    )
    assert lib.gaussian_entropy(scale_tril=L) == pytest.approx(lib.gaussian_entropy(s), rel=1e-13)


@pytest.mark.parametrize("name", ["log_prob", "score", "kl", "entropy"])
def test_factors_with_negative_diagonals(lib: ModuleType, name: str, rng: np.random.Generator) -> None:
    """Any L with L Lᵀ = Σ will do; ∂/∂L is that of the L that was given."""
    p, q = problem(rng, 7, 3), problem(rng, 7, 3)
    signs = np.array([1.0, -1.0, -1.0])
    flipped = p["tril"] * signs
    if name == "log_prob":
        results = [lib.gaussian_log_prob(p["actions"], p["mean"], scale_tril=L) for L in (p["tril"], flipped)]
    elif name == "score":
        results = [
            lib.gaussian_score(p["actions"], p["mean"], scale_tril=L)[1] * sign
            for L, sign in ((p["tril"], np.ones(3)), (flipped, signs))
        ]
    elif name == "kl":
        results = [
            lib.gaussian_kl(p["mean"], mean_q=q["mean"], scale_tril_p=L, scale_tril_q=q["tril"] * sign)
            for L, sign in ((p["tril"], np.ones(3)), (flipped, -signs))
        ]
    else:
        results = [lib.gaussian_entropy(scale_tril=L) for L in (p["tril"], flipped)]
    np.testing.assert_allclose(*results, rtol=1e-12, atol=1e-12)


# ---- score ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
@pytest.mark.parametrize("form", ["log_std", "log_stds"])
def test_score_of_the_diagonal_form(
    lib: ModuleType, B: int, A: int, form: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, B, A, dtype)
    d_mean, d_log_std = lib.gaussian_score(p["actions"], p["mean"], p[form])
    assert d_mean.dtype == d_log_std.dtype == dtype
    assert d_mean.shape == d_log_std.shape == (B, A)
    a, mu, s = wide(p["actions"], p["mean"], p[form])

    def total(mean: Any, log_std: Any) -> Any:
        z = (a - mean) / anp.exp(log_std)
        return anp.sum(-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi))

    rows = np.array(np.broadcast_to(s, a.shape))
    assert_close(d_mean, autograd.grad(total, 0)(mu, rows))
    assert_close(d_log_std, autograd.grad(total, 1)(mu, rows))


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize(("B", "A"), [size for size in SIZES if size[1] < 100])
def test_score_of_the_full_form(
    lib: ModuleType, B: int, A: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, B, A, dtype)
    d_mean, d_tril = lib.gaussian_score(p["actions"], p["mean"], scale_tril=p["tril"])
    assert d_mean.dtype == d_tril.dtype == dtype
    assert d_tril.shape == (B, A, A)
    a, mu = wide(p["actions"], p["mean"])
    L = np.tril(np.nan_to_num(p["tril"].astype(float)))

    def total(mean: Any, factor: Any) -> Any:
        return anp.sum(oracles.gaussian_log_prob(a, mean, anp.dot(factor, factor.T)))

    assert_close(d_mean, autograd.grad(total, 0)(mu, L))
    assert_close(d_tril.sum(axis=0), np.tril(autograd.grad(total, 1)(mu, L)))
    for i in range(min(B, 3)):  # rows on their own, too
        one = autograd.grad(
            lambda factor, i=i: anp.sum(
                oracles.gaussian_log_prob(a[i : i + 1], mu[i : i + 1], anp.dot(factor, factor.T))
            )
        )(L)
        assert_close(d_tril[i], np.tril(one))
    assert not np.any(np.triu(d_tril, 1))


@pytest.mark.parametrize("form", ["diagonal", "rows", "full"])
def test_score_by_finite_differences(lib: ModuleType, form: str, rng: np.random.Generator) -> None:
    p = problem(rng, 3, 2)
    a, mu = p["actions"], p["mean"]
    key = {"diagonal": "log_std", "rows": "log_stds", "full": "tril"}[form]
    name = "scale_tril" if form == "full" else "log_std"
    spread = np.nan_to_num(p[key])
    d_mean, d_spread = lib.gaussian_score(a, mu, **{name: spread})
    by_mean = oracles.finite_difference(lambda m: lib.gaussian_log_prob(a, m, **{name: spread}), mu)
    assert_close(np.einsum("iij->ij", by_mean), d_mean, 1e-7)
    by_spread = oracles.finite_difference(lambda s: lib.gaussian_log_prob(a, mu, **{name: s}), spread)
    if form == "rows":
        by_spread = np.einsum("iij->ij", by_spread)
    assert_close(by_spread, d_spread, 1e-7)


def test_score_has_mean_zero_and_fisher_variance(lib: ModuleType, rng: np.random.Generator) -> None:
    """E[score] = 0; E[score²] = (1/σ², 2) in (μ, log σ)."""
    n, s = 200_000, 0.3
    actions = 1.0 + math.exp(s) * rng.normal(size=(n, 1))
    d_mean, d_log_std = lib.gaussian_score(actions, np.ones((n, 1)), [s])
    for score, fisher in ((d_mean, math.exp(-2 * s)), (d_log_std, 2.0)):
        assert abs(score.mean()) < 5 * math.sqrt(fisher / n)
        assert np.mean(score**2) == pytest.approx(fisher, rel=0.03)


# ---- divergence ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
@pytest.mark.parametrize("forms", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_kl_of_the_diagonal_form(
    lib: ModuleType, B: int, A: int, forms: tuple[int, int], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p, q = problem(rng, B, A, dtype), problem(rng, B, A, dtype)
    s_p, s_q = ((x["log_std"], x["log_stds"])[form] for x, form in zip((p, q), forms, strict=True))
    result = lib.gaussian_kl(p["mean"], s_p, q["mean"], s_q)
    assert result.dtype == dtype
    m_p, m_q = wide(p["mean"], q["mean"])
    sd_p, sd_q = (np.exp(np.broadcast_to(s.astype(float), m_p.shape)) for s in (s_p, s_q))
    expected = np.log(sd_q / sd_p) + (sd_p**2 + (m_p - m_q) ** 2) / (2 * sd_q**2) - 0.5
    assert_close(result, np.sum(expected, axis=1))


@pytest.mark.covering(2)
@pytest.mark.light
@every_size
def test_kl_of_the_full_form(
    lib: ModuleType, B: int, A: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p, q = problem(rng, B, A, dtype), problem(rng, B, A, dtype)
    result = lib.gaussian_kl(p["mean"], mean_q=q["mean"], scale_tril_p=p["tril"], scale_tril_q=q["tril"])
    assert result.dtype == dtype
    m_p, m_q = wide(p["mean"], q["mean"])
    assert_close(result, oracles.gaussian_kl(m_p, sigma(p["tril"]), m_q, sigma(q["tril"])))


def test_kl_direction(lib: ModuleType) -> None:
    """KL(N(0,1)‖N(0,2²)) is not KL(N(0,2²)‖N(0,1))."""
    zero, narrow, broad = [[0.0]], [0.0], [math.log(2.0)]
    forward, backward = math.log(2.0) + 1 / 8 - 1 / 2, -math.log(2.0) + 4 / 2 - 1 / 2
    assert lib.gaussian_kl(zero, narrow, zero, broad)[0] == pytest.approx(forward, rel=1e-12)
    assert lib.gaussian_kl(zero, broad, zero, narrow)[0] == pytest.approx(backward, rel=1e-12)
    full = {"scale_tril_p": [[1.0]], "scale_tril_q": [[2.0]]}
    assert lib.gaussian_kl(zero, mean_q=zero, **full)[0] == pytest.approx(forward, rel=1e-12)


def test_kl_by_sampling(lib: ModuleType, rng: np.random.Generator) -> None:
    """The mean of log p − log q over samples of p."""
    n = 100_000
    L_p, L_q = np.array([[1.0, 0.0], [0.4, 0.8]]), np.array([[1.2, 0.0], [-0.3, 1.0]])
    m_p, m_q = np.array([0.3, -0.2]), np.array([-0.1, 0.4])
    x = m_p + rng.normal(size=(n, 2)) @ L_p.T
    rows_p, rows_q = np.broadcast_to(m_p, x.shape), np.broadcast_to(m_q, x.shape)
    log_p = lib.gaussian_log_prob(x, rows_p, scale_tril=L_p)
    log_q = lib.gaussian_log_prob(x, rows_q, scale_tril=L_q)
    (kl,) = lib.gaussian_kl(m_p[None], mean_q=m_q[None], scale_tril_p=L_p, scale_tril_q=L_q)
    error = np.std(log_p - log_q) / math.sqrt(n)
    assert abs(np.mean(log_p - log_q) - kl) < 5 * error


def test_kl_of_nearly_equal_distributions_keeps_its_digits(dtype: np.dtype) -> None:
    """A small difference of large numbers: ½(e^u − 1 − u) must not cancel away."""
    step = 1e-3
    mean = np.zeros((1, 1), dtype)
    s_p, s_q = np.array([0.5], dtype), np.array([0.5 + step], dtype)
    u = 2 * (float(s_p[0]) - float(s_q[0]))
    expected = 0.5 * (math.expm1(u) - u)
    assert gaussian_kl(mean, s_p, mean, s_q)[0] == pytest.approx(expected, rel=1e-6)


def test_kl_from_itself_is_zero(lib: ModuleType, dtype: np.dtype, rng: np.random.Generator) -> None:
    p = problem(rng, 20, 3, dtype)
    for s in (p["log_std"], p["log_stds"]):
        np.testing.assert_array_equal(lib.gaussian_kl(p["mean"], s, p["mean"], s), 0.0)
    full = lib.gaussian_kl(p["mean"], mean_q=p["mean"], scale_tril_p=p["tril"], scale_tril_q=p["tril"])
    assert np.max(np.abs(full)) < 10 * np.finfo(dtype).eps


# ---- entropy ----


@pytest.mark.light
@pytest.mark.parametrize("A", [1, 2, 17, 70])
def test_entropy(lib: ModuleType, A: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    p = problem(rng, 5, A, dtype)
    tolerance = oracles.TOLERANCE[dtype]
    one = lib.gaussian_entropy(p["log_std"])
    assert type(one) is float
    (covariance,) = covariances(p["log_std"], 1)
    log_det = np.linalg.slogdet(2 * math.pi * math.e * covariance)[1]
    assert one == pytest.approx(0.5 * log_det, rel=tolerance)

    many = lib.gaussian_entropy(p["log_stds"])
    assert many.dtype == dtype
    assert_close(
        many,
        [0.5 * np.linalg.slogdet(2 * math.pi * math.e * c)[1] for c in covariances(p["log_stds"], 5)],
    )

    full = lib.gaussian_entropy(scale_tril=p["tril"])
    assert type(full) is float
    log_det = np.linalg.slogdet(2 * math.pi * math.e * sigma(p["tril"]))[1]
    assert full == pytest.approx(0.5 * log_det, rel=tolerance, abs=A * tolerance)


def test_entropy_of_empty_batches(lib: ModuleType) -> None:
    assert lib.gaussian_entropy(np.zeros((0, 3))).shape == (0,)


def test_entropy_is_minus_the_mean_log_prob(lib: ModuleType, rng: np.random.Generator) -> None:
    n, s = 100_000, np.array([0.2, -0.4])
    x = np.exp(s) * rng.normal(size=(n, 2))
    log_p = lib.gaussian_log_prob(x, np.zeros_like(x), s)
    assert abs(np.mean(log_p) + lib.gaussian_entropy(s)) < 5 * np.std(log_p) / math.sqrt(n)


# ---- NaN, infinity, tiny and huge scales ----


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("spread", ["log_std", "log_stds", "tril"])
def test_bad_numbers_stay_in_their_row(
    lib: ModuleType, bad: float, spread: str, rng: np.random.Generator
) -> None:
    p, q = problem(rng, 40, 3), problem(rng, 40, 3)
    name = "scale_tril" if spread == "tril" else "log_std"

    def all_results() -> list[np.ndarray]:
        options = {name: p[spread]}
        log_prob = lib.gaussian_log_prob(p["actions"], p["mean"], **options)
        two = {f"{name}_p": p[spread], f"{name}_q": q[spread]}
        scores = lib.gaussian_score(p["actions"], p["mean"], **options)
        return [log_prob, *scores, lib.gaussian_kl(p["mean"], mean_q=q["mean"], **two)]

    with np.errstate(all="ignore"):
        clean = all_results()
        p["mean"][21, 1] = bad
        if spread == "log_stds":
            p["log_stds"][21, 2] = bad
        spoilt = all_results()
    others = np.arange(40) != 21
    for before, after in zip(clean, spoilt, strict=True):
        assert_same_bits(after[others], before[others])
        assert not np.isfinite(after[21]).all()


def test_extreme_scales(lib: ModuleType, dtype: np.dtype) -> None:
    """Scales far from 1 but inside the float's range: e^±30."""
    for s in (-30.0, 30.0):
        sd = math.exp(s)
        mean = np.zeros((1, 1), dtype)
        actions = np.array([[2.0 * sd]], dtype)
        log_std = np.array([s], dtype)
        expected = -2.0 - s - 0.5 * math.log(2 * math.pi)
        tolerance = oracles.TOLERANCE[dtype]
        assert lib.gaussian_log_prob(actions, mean, log_std)[0] == pytest.approx(expected, rel=tolerance)
        d_mean, d_log_std = lib.gaussian_score(actions, mean, log_std)
        assert d_mean[0, 0] == pytest.approx(2.0 / sd, rel=tolerance)
        assert d_log_std[0, 0] == pytest.approx(3.0, rel=tolerance)


# ---- properties ----


@given(
    st.lists(
        st.tuples(st.floats(-10, 10), st.floats(-3, 3), st.floats(-10, 10), st.floats(-3, 3)), min_size=1
    )
)
def test_kl_is_never_negative(rows: list[tuple[float, ...]]) -> None:
    mean_p, s_p, mean_q, s_q = np.array(rows).T[:, :, None]
    assert np.all(kernels.gaussian_kl(mean_p, s_p, mean_q, s_q) >= 0.0)
