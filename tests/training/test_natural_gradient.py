"""Line search, subsamples, and the natural gradient where everything is known in closed form."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from pgcore import Batch
from pgcore.algorithms.natural_gradient import (
    NaturalGradientConfig,
    cg_logs,
    natural_gradient,
    subsample,
)
from pgcore.kernels import CGStatus
from pgcore.optim.line_search import LineSearchReason, backtrack
from support.oracles import assert_same_bits
from support.oracles_policies import problem

THETA, STEP = np.array([1.0, -2.0]), np.array([1.0, 1.0])


def search(evaluate, max_iter=5, **options):
    return backtrack(evaluate, THETA, STEP, **{"max_kl": 0.1, "shrink": 0.5, "max_iter": max_iter, **options})


def length(theta):
    return float((theta - THETA)[0])


def test_the_longest_step_that_satisfies_both_conditions_is_taken():
    found = search(lambda theta: (length(theta), length(theta) ** 2))  # 1, 0.25, 0.0625
    assert found.reason == LineSearchReason.ACCEPTED
    assert found.steps == 3
    assert_same_bits(found.params, THETA + 0.25 * STEP)
    assert (found.improvement, found.kl) == (0.25, 0.0625)


@pytest.mark.parametrize(
    ("surrogate", "kl", "reason"),
    [
        (lambda x: x, lambda x: 1.0, LineSearchReason.KL),
        (lambda x: -x, lambda x: 0.0, LineSearchReason.NO_IMPROVEMENT),
        (lambda x: 0.0, lambda x: 0.0, LineSearchReason.NO_IMPROVEMENT),
        (lambda x: x, lambda x: math.nan, LineSearchReason.NONFINITE),
        (lambda x: math.inf if x else 0.0, lambda x: 0.0, LineSearchReason.NONFINITE),
        (lambda x: math.nan, lambda x: 0.0, LineSearchReason.NONFINITE),
        # the last candidate counts: too far at first, of no use in the end
        (lambda x: -x, lambda x: x, LineSearchReason.NO_IMPROVEMENT),
    ],
)
def test_failures_restore_the_parameters_and_say_why(surrogate, kl, reason):
    found = search(lambda theta: (surrogate(length(theta)), kl(length(theta))), max_iter=6)
    assert found.reason == reason
    assert found.steps == 6
    assert_same_bits(found.params, THETA)
    assert (found.improvement, found.kl) == (0.0, 0.0)


def test_steps_that_are_not_finite_are_never_evaluated():
    seen = []

    def evaluate(theta):
        seen.append(theta)
        return 1.0, 0.0

    found = backtrack(evaluate, THETA, np.array([np.nan, 0.0]), max_kl=1.0, shrink=0.5, max_iter=3)
    assert found.reason == LineSearchReason.NONFINITE
    assert len(seen) == 1  # the old parameters


def test_subsamples(rng):
    assert subsample(rng, 10, 1) == slice(None)
    rows = subsample(rng, 10, 3)
    assert len(rows) == 3
    assert (np.diff(rows) > 0).all()
    assert len(subsample(rng, 2, 5)) == 1


@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize("preconditioner", ["none", "diagonal", "kronecker"])
def test_the_solution_is_that_of_the_dense_system(kind, preconditioner, rng):
    p = problem("diagonal", 60, hidden=(4,))
    batch = Batch(p.obs, p.actions, np.zeros(60), np.arange(60) == 59)
    cfg = NaturalGradientConfig(
        cg_max_steps=500, cg_rtol=1e-10, fisher=kind, cg_preconditioner=preconditioner
    )
    g = rng.normal(size=p.policy.num_params)
    solution = natural_gradient(p.policy, batch, g, cfg, rng)
    dense = p.policy.fisher(p.obs, p.actions, kind=kind, damping=cfg.cg_damping).dense()
    np.testing.assert_allclose(solution.x, np.linalg.solve(dense, g), rtol=1e-7)
    logs = cg_logs(solution)
    assert logs["cg_status"] == CGStatus.CONVERGED
    if preconditioner == "none":
        assert 1 <= logs["cg_condition"] <= np.linalg.cond(dense) * (1 + 1e-9)


# ---- the lecture's LQR: s' = s + a, r = −s² − a², a ~ N(k s, σ²), with everything exact ----

HORIZON = 20
FLOOR = 1e-4


def moments(k, sigma):
    """m_t = E[s_t²] from m_0 = 1, and its derivatives in k and σ."""
    m, d = 1.0, np.zeros(2)
    for _ in range(HORIZON):
        yield m, d
        m, d = (1 + k) ** 2 * m + sigma**2, (1 + k) ** 2 * d + np.array([2 * (1 + k) * m, 2 * sigma])


def exact(k, sigma):
    """∇J in (k, σ), and the Fisher matrix of a trajectory, diag(Σ m_t/σ², 2T/σ²)."""
    gradient, total = np.zeros(2), 0.0
    for m, d in moments(k, sigma):
        gradient -= (1 + k**2) * d + np.array([2 * k * m, 2 * sigma])
        total += m
    return gradient, np.array([total, 2 * HORIZON]) / sigma**2


@functools.cache
def optimal_k():
    """Of a deterministic policy: for a long horizon the smaller root of k² − k − 1 (−0.618)."""
    grid = np.linspace(-1, 0, 200_001)
    returns = sum((1 + grid**2) * (1 + grid) ** (2 * t) for t in range(HORIZON))
    return grid[np.argmin(returns)]


def iterations_to(k, sigma, *, natural, limit, budget=0.01):
    """Steps of the same KL, ½ dᵀFd = budget, until k is within 0.05 of the optimum."""
    target = optimal_k()
    for i in range(limit):
        if abs(k - target) < 0.05:
            return i
        gradient, fisher = exact(k, sigma)
        direction = gradient / fisher if natural else gradient
        step = direction * math.sqrt(2 * budget / (direction**2 @ fisher))
        k, sigma = k + step[0], max(sigma + step[1], FLOOR)
    return limit


def test_the_closed_form_is_the_derivative():
    def value(k, sigma):
        return -sum((1 + k**2) * m + sigma**2 for m, _ in moments(k, sigma))

    h = 1e-5
    for k, sigma in [(-1.2, 1.0), (-0.2, 0.5), (-0.6, 0.01)]:
        gradient, _ = exact(k, sigma)
        numeric = [
            (value(k + h, sigma) - value(k - h, sigma)) / (2 * h),
            (value(k, sigma + h) - value(k, sigma - h)) / (2 * h),
        ]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6)
    assert optimal_k() == pytest.approx(-0.618, abs=1e-3)


@pytest.mark.parametrize("k", [-1.2, -0.2])
@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_natural_gradient_needs_twenty_times_fewer_iterations_per_nat(k, sigma):
    natural = iterations_to(k, sigma, natural=True, limit=1000)
    assert natural < 1000
    assert iterations_to(k, sigma, natural=False, limit=20 * natural) == 20 * natural  # not there yet
