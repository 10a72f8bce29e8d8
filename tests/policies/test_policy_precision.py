"""Policies near certainty, between nearly equal parameters, over many choices, and with tiny variances."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from pgcore.policies import CategoricalPolicy, GaussianPolicy, MultiBinaryPolicy, MultiDiscretePolicy

RTOL = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-13}


def by_biases(policy: Any, biases: np.ndarray) -> Any:
    """A linear policy whose outputs are the same everywhere."""
    params = np.zeros(policy.num_params)
    params[-len(biases) :] = biases
    policy.params = params
    return policy


def certain_policies(distance: float, dtype: np.dtype) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Policies, the certain action, and logits: choice 1 of each is e^distance times as likely as others."""
    one = np.array([0.0, distance])
    three = np.array([0.0, distance, 0.0])
    return [
        (by_biases(CategoricalPolicy(1, 2, hidden=(), dtype=dtype), one), np.array([1]), one),
        (by_biases(CategoricalPolicy(1, 3, hidden=(), dtype=dtype), three), np.array([1]), three),
        (
            by_biases(MultiDiscretePolicy(1, [3, 2], hidden=(), dtype=dtype), np.concatenate([three, one])),
            np.array([[1, 1]]),
            np.concatenate([three, one]),
        ),
        (
            by_biases(MultiBinaryPolicy(1, 2, hidden=(), dtype=dtype), np.concatenate([one, one])),
            np.array([[1, 1]]),
            np.concatenate([one, one]),
        ),
    ]


def parts(policy: Any, logits: np.ndarray) -> list[np.ndarray]:
    return np.split(logits, np.cumsum(policy.nvec)[:-1])


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("distance", [3.0, 20.0, 35.0])
def test_near_certainty(case: int, distance: float, dtype: np.dtype) -> None:
    policy, action, logits = certain_policies(distance, dtype)[case]
    rtol, w = RTOL[dtype], math.exp(-distance)
    obs = np.zeros((1, 1))
    others = [(len(z) - 1) * w for z in parts(policy, logits)]
    assert policy.log_prob(obs, action)[0] == pytest.approx(-sum(map(math.log1p, others)), rel=rtol)
    entropy = sum(math.log1p(o) + o * distance / (1 + o) for o in others)
    assert policy.entropy(obs)[0] == pytest.approx(entropy, rel=rtol)

    score = np.concatenate(
        [
            [o / (1 + o) if k == 1 else -w / (1 + o) for k in range(len(z))]
            for o, z in zip(others, parts(policy, logits), strict=True)
        ]
    )
    width = len(logits)
    np.testing.assert_allclose(policy.scores(obs, action)[0, -width:], score, rtol=rtol)
    np.testing.assert_allclose(policy.score_product(obs, action, [1.0])[-width:], score, rtol=rtol)
    assert policy.score_sq_norms(obs, action)[0] == pytest.approx(np.sum(score**2), rel=2 * rtol)
    empirical = policy.fisher(obs, action, kind="empirical").dense()[-width:, -width:]
    np.testing.assert_allclose(empirical, np.outer(score, score), rtol=3 * rtol)

    blocks, gradients = [], []
    for o, z in zip(others, parts(policy, logits), strict=True):
        p = np.full(len(z), w / (1 + o))
        p[1] = 1 / (1 + o)
        block = -np.outer(p, p)
        np.fill_diagonal(block, p * w * (len(z) - 2 + 1 / w) / (1 + o))
        block[1, 1] = p[1] * o / (1 + o)
        blocks.append(block)
        # −p_k (log p_k + H): of the certain one −p (H − log1p(o)), of others −p (H − log1p(o) − distance)
        beyond = o * distance / (1 + o)
        gradient = -p * (beyond - distance)
        gradient[1] = -p[1] * beyond
        gradients.append(gradient)
    exact = np.zeros((width, width))
    start = 0
    for block in blocks:
        exact[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    fisher = policy.fisher(obs)
    columns = np.stack([fisher @ e for e in np.eye(policy.num_params)[-width:]])[:, -width:]
    np.testing.assert_allclose(columns, exact, rtol=rtol)
    np.testing.assert_allclose(fisher.diagonal()[-width:], np.diag(exact), rtol=rtol)
    np.testing.assert_allclose(
        policy.entropy_gradient(obs)[-width:], np.concatenate(gradients), rtol=3 * rtol
    )


@pytest.mark.parametrize("case", range(4))
def test_fisher_near_certainty_is_symmetric_and_positive(
    case: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    policy, _, logits = certain_policies(20.0, dtype)[case]
    fisher, width = policy.fisher(np.zeros((8, 1))), len(logits)
    F = np.stack([fisher @ e for e in np.eye(policy.num_params)[-width:]])[:, -width:].astype(np.float64)
    np.testing.assert_allclose(F, F.T, rtol=RTOL[dtype])
    for v in rng.standard_normal((50, width)):
        x = np.zeros(policy.num_params)
        x[-width:] = v
        assert v @ (fisher @ x)[-width:].astype(np.float64) > 0
    g = np.zeros(policy.num_params)
    g[-2:] = math.exp(-20.0), -math.exp(-20.0)
    solution = fisher.solve(g)
    assert solution.status.name == "CONVERGED"
    np.testing.assert_allclose((fisher @ solution.x)[-2:], g[-2:], rtol=1e-4)


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("distance", [0.5, 12.0])
@pytest.mark.parametrize("step", [1e-3, 1.0])
def test_kl_keeps_its_digits(case: int, distance: float, step: float, dtype: np.dtype) -> None:
    old, _, logits = certain_policies(distance, dtype)[case]
    new, _, moved = certain_policies(distance + step, dtype)[case]
    expected = 0.0
    for before, after in zip(parts(old, logits.astype(dtype)), parts(old, moved.astype(dtype)), strict=True):
        t = after.astype(np.float64) - before
        p = np.exp(before - before.max(), dtype=np.float64)
        p /= p.sum()
        t -= p @ t
        expected += math.log1p(p @ sum(t**n / math.factorial(n) for n in range(2, 30)))
    assert new.kl(np.zeros((3, 1)), old.params)[2] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("covariance", ["diagonal", "state", "full", [[2.0, 0.5], [0.5, 1.0]]])
def test_kl_of_nearly_equal_gaussian_policies(
    covariance: Any, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Against the quadratic form ½ dᵀ F d, which it is for small steps d."""
    policy = GaussianPolicy(2, 2, hidden=(), covariance=covariance, dtype=dtype)
    policy.params = 0.3 * rng.standard_normal(policy.num_params)
    other = policy.copy()
    obs = rng.standard_normal((40, 2))
    step = 1e-3
    for _ in range(10):
        other.params = policy.params + (step * rng.standard_normal(policy.num_params)).astype(dtype)
        d = other.params.astype(np.float64) - policy.params
        kl = other.kl(obs, policy.params).astype(np.float64)
        assert (kl >= 0.0).all()
        quadratic = d @ (policy.fisher(obs) @ d).astype(np.float64) / 2
        # What the means are rounded to, relative to their step
        rounding = 300 * float(np.finfo(dtype).eps) / step
        assert kl.mean() == pytest.approx(quadratic, rel=20 * step + rounding)


def test_many_choices_and_many_dimensions() -> None:
    """Sums over choices and dimensions in float32."""
    D = 20_000
    bits = by_biases(MultiBinaryPolicy(1, D, hidden=()), np.tile([0.0, 0.3], D))
    p = 1 / (1 + math.exp(-0.3))
    obs = np.zeros((1, 1))
    assert bits.entropy(obs)[0] == pytest.approx(-D * (p * math.log(p) + (1 - p) * math.log1p(-p)), rel=3e-7)
    assert bits.log_prob(obs, np.ones((1, D), int))[0] == pytest.approx(D * math.log(p), rel=3e-7)
    before = np.concatenate([np.zeros(2 * D), np.tile([0.0, 0.2], D)])
    q = 1 / (1 + math.exp(-float(np.float32(0.2))))
    kl = D * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)))
    assert bits.kl(obs, before)[0] == pytest.approx(kl, rel=1e-5)
    wide = GaussianPolicy(1, D, hidden=(), init_log_std=-1.4)
    s = float(np.float32(-1.4))
    entropy = D * (s + 0.5 * (1 + math.log(2 * math.pi)))
    assert wide.entropy(obs)[0] == pytest.approx(entropy, rel=1e-6)


def test_score_norms_of_many_inputs() -> None:
    """‖∇ log π‖² over a wide layer, in float32."""
    D = 200_000
    policy = GaussianPolicy(D, 1, hidden=())
    obs = np.full((1, D), 0.1, np.float32)
    policy.params = np.zeros(policy.num_params)
    expected = 4.0 * (D * float(np.float32(0.1)) ** 2 + 1.0) + 9.0
    assert policy.score_sq_norms(obs, [[2.0]])[0] == pytest.approx(expected, rel=3e-7)


# ---- scales that leave the dtype ----


@pytest.mark.parametrize("covariance", ["diagonal", "state", "full"])
@pytest.mark.parametrize(
    ("log_std", "dtype_name"), [(-100.0, "float32"), (-170.0, "float32"), (-720.0, "float64")]
)
def test_tiny_standard_deviations(covariance: Any, log_std: float, dtype_name: str) -> None:
    """1/σ is not in the range of the dtype, log π at the mean is."""
    if covariance == "full":  # σ is a number in double there
        log_std = max(log_std, -700.0)
    policy = GaussianPolicy(1, 2, hidden=(), covariance=covariance, init_log_std=log_std, dtype=dtype_name)
    obs, mean = np.zeros((3, 1)), np.zeros((3, 2))
    expected = 2 * (-log_std - 0.5 * math.log(2 * math.pi))
    np.testing.assert_allclose(policy.log_prob(obs, mean), expected, rtol=1e-6)
    np.testing.assert_allclose(
        policy.entropy(obs), 2 * (log_std + 0.5 + 0.5 * math.log(2 * math.pi)), rtol=1e-6
    )
    np.testing.assert_array_equal(policy.kl(obs, policy.params), 0.0)
    assert policy.log_prob(obs, mean + 1.0)[0] == -np.inf
    scores = policy.scores(obs, mean)
    assert not np.isnan(scores).any()
    assert (scores == -1.0).any()  # ∂/∂ log σ = z² − 1


@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
def test_tiny_fixed_covariances(dtype_name: str) -> None:
    policy = GaussianPolicy(1, 1, hidden=(), covariance=[[1e-100]], dtype=dtype_name)
    expected = 50 * math.log(10) - 0.5 * math.log(2 * math.pi)
    assert policy.log_prob([[0.0]], [[0.0]])[0] == pytest.approx(expected, rel=1e-6)
    large = GaussianPolicy(1, 1, hidden=(), covariance=[[1e39]], dtype=dtype_name)
    at_one_std = large.log_prob([[0.0]], [[math.sqrt(1e39)]])[0]
    expected = -0.5 - 19.5 * math.log(10) - 0.5 * math.log(2 * math.pi)
    assert at_one_std == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"covariance": [[1e80]]},
            "covariance: expected standard deviations from e^-177 to e^89 (dtype float32), got e^92.1034",
        ),
        (
            {"covariance": [[1e-200]]},
            "covariance: expected standard deviations from e^-177 to e^89 (dtype float32), got e^-230.259",
        ),
        (
            {"init_log_std": 1e39},
            "init_log_std: expected standard deviations from e^-177 to e^89 (dtype float32), got e^1e+39",
        ),
        (
            {"init_log_std": -800.0},
            "init_log_std: expected standard deviations from e^-177 to e^89 (dtype float32), got e^-800",
        ),
        (
            {"init_log_std": 710.0, "dtype": "float64", "covariance": "full"},
            "init_log_std: expected standard deviations from e^-708 to e^710 (dtype float64), got e^710",
        ),
        (
            {"init_log_std": -1420.0, "dtype": "float64", "covariance": "state"},
            "init_log_std: expected standard deviations from e^-1420 to e^710 (dtype float64), got e^-1420",
        ),
    ],
)
def test_scales_outside_the_dtype_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GaussianPolicy(1, 1, hidden=(), **arguments)


def test_samples_reach_the_largest_numbers(dtype: np.dtype) -> None:
    """σ = e^s up to the largest number of the dtype, not only up to e^88."""
    s = float(np.log(np.finfo(dtype).max)) * (1 - 1e-6)
    policy = GaussianPolicy(1, 1, hidden=(), dtype=dtype)
    policy.params = [0.0, 0.0, s]
    rounded = np.float64(policy.params[-1])
    action = policy.act(np.zeros((1, 1)), np.ones((1, 1), dtype))[0, 0]
    assert float(action) == pytest.approx(float(np.exp(rounded)), rel=64 * float(np.finfo(dtype).eps))
