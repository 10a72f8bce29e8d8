"""`Fisher.solve` where F is singular or its eigenvalues lie far apart, in both dtypes, by every method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore.kernels import CGStatus
from pgcore.policies import CategoricalPolicy, Fisher, GaussianPolicy, Policy

MAKERS = {
    "gaussian": lambda dtype: GaussianPolicy(3, 2, hidden=(8,), dtype=dtype),
    "tril": lambda dtype: GaussianPolicy(3, 2, hidden=(8,), covariance="full", dtype=dtype),
    "categorical": lambda dtype: CategoricalPolicy(3, 4, hidden=(8,), activation="relu", dtype=dtype),
}


def exact(policy: Policy, obs: np.ndarray, kind: str, actions: np.ndarray) -> np.ndarray:
    """F in double, whatever the policy's dtype."""
    scores = policy.scores(obs, actions).astype(np.float64)
    if kind == "empirical":
        return scores.T @ scores / len(obs)
    return policy.fisher(obs).dense().astype(np.float64)


def energy(F: np.ndarray, g: np.ndarray, x: np.ndarray) -> float:
    """½ xᵀF x − gᵀx, which is 0 at x = 0."""
    x = x.astype(np.float64)
    return float(0.5 * x @ F @ x - g.astype(np.float64) @ x)


@pytest.mark.covering(2)
@pytest.mark.parametrize("preconditioner", [None, "diagonal", "kronecker"])
@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize("family", ["gaussian", "categorical"])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_fewer_samples_than_parameters(
    family: str, kind: str, preconditioner: str | None, seed: int, dtype: np.dtype
) -> None:
    """g in the range of F; without damping, and for any limit of iterations."""
    rng = np.random.default_rng(seed)
    policy = MAKERS[family](dtype)
    obs = rng.standard_normal((4, 3))
    actions, _ = policy.sample(obs, rng)
    fisher = policy.fisher(obs, actions, kind=kind)
    F = exact(policy, obs, kind, actions)
    g = (F @ rng.standard_normal(policy.num_params)).astype(dtype)
    shortest = np.linalg.norm(np.linalg.pinv(F, rcond=1e-6) @ g)
    for max_iter in (1, 2, 5, 10, 15, 60):
        result = fisher.solve(g, preconditioner=preconditioner, max_iter=max_iter)
        assert energy(F, g, result.x) < 0.0
        true_residual = np.linalg.norm(g - F @ result.x) / np.linalg.norm(g)
        assert true_residual <= 1.0
        assert true_residual == pytest.approx(result.residual_norm, abs=1e-3)
    assert result.status == CGStatus.CONVERGED
    if preconditioner is None:
        assert np.linalg.norm(result.x) < 1.01 * shortest


@pytest.mark.covering(2)
@pytest.mark.parametrize("method", ["cg", "kronecker", "diagonal", "dense", "gram"])
@pytest.mark.parametrize("damping", [1e-30, 1e-20, 1e-12, 1e-8, 1e-4])
def test_gradients_outside_the_range(method: str, damping: float, dtype: np.dtype) -> None:
    """The solution has parts as large as 1/damping; it comes back only where it beats zero."""
    rng = np.random.default_rng(3)
    policy = GaussianPolicy(3, 2, hidden=(8,), dtype=dtype)
    fisher = policy.fisher(rng.standard_normal((4, 3)), damping=damping)
    g = rng.standard_normal(policy.num_params).astype(dtype)
    options: dict[str, Any] = {"max_iter": 20}
    options |= {"method": method} if method in ("cg", "dense", "gram") else {"preconditioner": method}
    result = fisher.solve(g, **options)
    assert np.isfinite(result.x).all()
    x = result.x.astype(np.float64)
    product = fisher._undamped().astype(np.float64) @ x + damping * x
    rounding = float(np.finfo(dtype).eps) * 10 * float(x @ x)
    assert 0.5 * x @ product - g @ x <= rounding


def test_inputs_on_scales_far_apart(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Squares of a million million between the diagonal's entries: all of them are known, none is noise."""
    policy = GaussianPolicy(3, 1, hidden=(), dtype=dtype)
    obs = rng.standard_normal((400, 3)) * [1e-3, 1.0, 1e3]
    fisher = policy.fisher(obs)
    solution = rng.standard_normal(policy.num_params) / [1e-3, 1.0, 1e3, 1.0, 1.0]
    g = (fisher.dense().astype(float) @ solution).astype(dtype)
    result = fisher.solve(g, preconditioner="diagonal", rtol=1e-6, max_iter=12)
    assert result.status == CGStatus.CONVERGED
    assert np.linalg.norm((result.x - solution) / solution) < 1e-2


def test_parameters_without_effect(dtype: np.dtype) -> None:
    """Rows of zeros in F: units that are never active. The diagonal has nothing to divide by."""
    rng = np.random.default_rng(0)
    policy = CategoricalPolicy(2, 3, hidden=(6,), activation="relu", dtype=dtype)
    params = policy.params.copy()
    params[12:15] = -100.0  # biases of three of the six units
    policy.params = params
    fisher = policy.fisher(rng.standard_normal((50, 2)))
    assert (fisher.diagonal() == 0).sum() >= 9
    inside = fisher @ rng.standard_normal(policy.num_params)
    outside = rng.standard_normal(policy.num_params).astype(dtype)
    for preconditioner in ("diagonal", "kronecker"):
        assert fisher.solve(inside, preconditioner=preconditioner).status == CGStatus.CONVERGED
        result = fisher.solve(outside, preconditioner=preconditioner, max_iter=30)
        assert np.isfinite(result.x).all()
        assert energy(fisher.dense().astype(float), outside, result.x) < 0.0


def test_direct_methods_give_back_zero_rather_than_something_worse() -> None:
    """What float32 makes of a solution of length 1e30 has nothing to do with it."""
    rng = np.random.default_rng(3)
    policy = GaussianPolicy(3, 2, hidden=(8,))
    fisher: Fisher = policy.fisher(rng.standard_normal((4, 3)), damping=1e-30)
    g = rng.standard_normal(policy.num_params)
    for method in ("gram", "dense"):
        result = fisher.solve(g, method=method)
        assert result.status in (CGStatus.MAX_ITER, CGStatus.NONFINITE)
        assert result.residual_norm <= 1.0 or result.curvature <= 2 * g @ result.x
