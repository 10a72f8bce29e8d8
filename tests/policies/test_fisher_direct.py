"""`Fisher.solve` by the direct methods where the system is regular but far from the identity."""

from __future__ import annotations

import numpy as np
import pytest

from pgcore.kernels import CGStatus
from pgcore.policies import CategoricalPolicy, Fisher, GaussianPolicy


def system(rng: np.random.Generator, damping: float) -> tuple[Fisher, np.ndarray]:
    policy = GaussianPolicy(8, 2, hidden=(16, 16), init_log_std=-1.0, seed=3)
    return policy.fisher(rng.normal(size=(200, 8)), damping=damping), rng.normal(size=policy.num_params)


@pytest.mark.parametrize("method", ["cg", "dense", "gram"])
@pytest.mark.parametrize("damping", [1.0, 1e-1, 1e-2, 1e-3])
def test_damping_below_the_rounding_of_the_largest_eigenvalue_counts(
    method: str, damping: float, rng: np.random.Generator
) -> None:
    """In float32 F is known to λ_max·P·ε or so, but what is added to it is known exactly."""
    fisher, g = system(rng, damping)
    exact = np.linalg.solve(fisher.dense().astype(float), g)
    result = fisher.solve(g, method=method)
    assert result.status == CGStatus.CONVERGED
    assert np.linalg.norm(result.x - exact) < 1e-4 * np.linalg.norm(exact)


@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize("method", ["dense", "gram"])
def test_small_damping_in_float64(method: str, kind: str, rng: np.random.Generator) -> None:
    """Eigenvalues from 1e-6 to 1e5: the Woodbury identity subtracts numbers that are nearly equal."""
    policy = GaussianPolicy(4, 2, hidden=(), dtype="float64", init_log_std=-1.0)
    obs = 100 * rng.normal(size=(50, 4))
    actions = policy.sample(obs, rng)[0] if kind == "empirical" else None
    fisher, g = policy.fisher(obs, actions, kind=kind, damping=1e-6), rng.normal(size=policy.num_params)
    result = fisher.solve(g, method=method)
    assert (result.status, result.residual_norm < 1e-8) == (CGStatus.CONVERGED, True)
    exact = np.linalg.solve(fisher.dense(), g)
    assert np.linalg.norm(result.x - exact) < 1e-4 * np.linalg.norm(exact)


def test_gram_of_a_policy_without_extra_parameters(rng: np.random.Generator) -> None:
    policy = CategoricalPolicy(3, 4, hidden=(5,), dtype="float64", seed=1)
    policy.params = rng.normal(size=policy.num_params)
    fisher = policy.fisher(rng.normal(size=(6, 3)), damping=1e-3)
    g = rng.normal(size=policy.num_params)
    np.testing.assert_allclose(
        fisher.solve(g, method="gram").x, np.linalg.solve(fisher.dense(), g), rtol=1e-8, atol=1e-8
    )


def test_the_absolute_tolerance_decides_what_is_reported() -> None:
    """Of a system without a solution: the residual is the part of g outside F's range."""
    policy = GaussianPolicy(3, 2, hidden=(), dtype="float64")
    fisher = policy.fisher(np.ones((4, 3)))  # inputs and bias are one and the same: singular
    g = np.ones(policy.num_params)
    g[0] = 2.0
    residual = fisher.solve(g, method="dense").residual_norm * float(np.linalg.norm(g))
    assert residual > 0.1
    for share, status in ((0.99, CGStatus.MAX_ITER), (1.01, CGStatus.CONVERGED)):
        assert fisher.solve(g, method="dense", atol=share * residual).status == status


@pytest.mark.parametrize("method", ["cg", "dense", "gram"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": [1.0]}, r"x0: expected shape \(\d+,\), got \(1,\)"),
        ({"max_iter": -1}, "max_iter: expected an integer >= 0, got -1"),
        ({"max_iter": 2**70}, "max_iter: expected an integer of 64 bits, got 1180591620717411303424"),
        ({"rtol": -1.0}, "rtol: expected a finite number >= 0, got -1"),
        ({"atol": -1.0}, "atol: expected a finite number >= 0, got -1"),
        (
            {"preconditioner": "nonsense"},
            "preconditioner: expected one of diagonal, kronecker, got 'nonsense'",
        ),
    ],
)
def test_arguments_are_checked_whatever_the_method(
    method: str, arguments: dict, message: str, rng: np.random.Generator
) -> None:
    fisher, g = system(rng, 0.1)
    with pytest.raises(ValueError, match=message):
        fisher.solve(g, method=method, **arguments)
