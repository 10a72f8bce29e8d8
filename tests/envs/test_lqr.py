"""The LQR's closed forms against independent derivations: plain loops, differences, samples, SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from pgcore.envs import LQRVector, lqr

Z = 3.29  # of a two-sided 99.9 % interval

PROBLEMS = [
    {"horizon": 1},
    {"horizon": 7, "initial_second_moment": 0.3},
    {"horizon": 20, "initial_second_moment": 2.5, "gamma": 0.9},
    {"horizon": 5, "initial_second_moment": 0.0, "gamma": 1.0},
    {"horizon": 6, "gamma": 0.0},
]
POLICIES = [(-0.6, 0.4), (0.0, 1.3), (-1.0, 0.2), (0.3, 0.7), (-2.2, 0.5), (-1.7, 1.0)]


def slow_return(k, sigma, *, horizon, initial_second_moment=1.0, gamma=1.0):
    """J by the definition, from the start; also for complex arguments."""
    m, total = initial_second_moment, 0.0
    for t in range(horizon):
        total -= gamma**t * ((1 + k * k) * m + sigma * sigma)
        m = (1 + k) * (1 + k) * m + sigma * sigma
    return total


def difference(f, x, h=3e-4):
    """Fourth-order central difference."""
    return (f(x - 2 * h) - 8 * f(x - h) + 8 * f(x + h) - f(x + 2 * h)) / (12 * h)


def sample(k, sigma, *, horizon, num_episodes, seed, initial_second_moment=1.0):
    """States and actions of many episodes, (T, N) each, and their returns; all from one seed."""
    envs = LQRVector(num_episodes, horizon, initial_second_moment)
    rng = np.random.default_rng(seed)
    obs, _ = envs.reset(seed=seed)
    states, actions, total = [], [], np.zeros(num_episodes)
    for _ in range(horizon):
        action = k * obs + sigma * rng.standard_normal(obs.shape)
        states.append(obs[:, 0])
        actions.append(action[:, 0])
        obs, rewards, *_ = envs.step(action)
        total += rewards
    return np.array(states), np.array(actions), total


# ---- moments and return ----


def test_moments_by_hand():
    np.testing.assert_allclose(
        lqr.second_moments(-0.5, 2.0, horizon=4, initial_second_moment=8), [8, 6, 5.5, 5.375], rtol=1e-15
    )


def test_moments_of_many_policies_at_once():
    gains, stds = np.array([[-0.5], [0.2]]), np.array([0.1, 1.0, 2.0])
    moments = lqr.second_moments(gains, stds, horizon=5)
    assert moments.shape == (5, 2, 3)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(moments[:, i, j], lqr.second_moments(gains[i, 0], stds[j], horizon=5))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("k", "sigma"), POLICIES)
def test_return_is_the_definition(k, sigma, problem):
    value = lqr.exact_return(k, sigma, **problem)
    assert type(value) is float
    assert value == pytest.approx(slow_return(k, sigma, **problem), rel=1e-13)


def test_return_is_the_sum_over_moments():
    moments = lqr.second_moments(-0.7, 0.5, horizon=9)
    expected = -np.sum(0.95 ** np.arange(9) * ((1 + 0.7**2) * moments + 0.25))
    assert lqr.exact_return(-0.7, 0.5, horizon=9, gamma=0.95) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("k", "sigma"), [(-0.6, 0.4), (0.2, 0.5), (-1.5, 0.3)])
def test_return_is_the_mean_of_the_environments(k, sigma):
    problem = {"horizon": 8, "initial_second_moment": 1.7}
    states, _, returns = sample(k, sigma, num_episodes=200_000, seed=1, **problem)
    error = returns.std() / math.sqrt(len(returns))
    assert abs(returns.mean() - lqr.exact_return(k, sigma, **problem)) < Z * error
    # The interval is narrow enough to notice a slightly different policy.
    assert abs(returns.mean() - lqr.exact_return(k, 1.2 * sigma, **problem)) > Z * error
    squares = states**2
    errors = squares.std(axis=1) / math.sqrt(len(returns))
    assert (abs(squares.mean(axis=1) - lqr.second_moments(k, sigma, **problem)) < 4.5 * errors).all()


# ---- gradient ----


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("k", "sigma"), POLICIES)
def test_gradient_is_the_complex_step(k, sigma, problem):
    h = 1e-30
    expected = [
        slow_return(k + 1j * h, sigma, **problem).imag / h,
        slow_return(k, sigma + 1j * h, **problem).imag / h,
    ]
    gradient = lqr.exact_gradient(k, sigma, **problem)
    assert [type(value) for value in gradient] == [float, float]
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("problem", PROBLEMS[:3])
@pytest.mark.parametrize(("k", "sigma"), POLICIES[:4])
def test_gradient_is_the_slope_of_the_return(k, sigma, problem):
    gradient = lqr.exact_gradient(k, sigma, **problem)
    slopes = (
        difference(lambda x: lqr.exact_return(x, sigma, **problem), k),
        difference(lambda x: lqr.exact_return(k, x, **problem), sigma),
    )
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-9)


def test_grids():
    """For pictures: one call for a plane of policies."""
    gains, stds = np.linspace(-1.5, 0.5, 5)[:, None], np.linspace(0, 1, 4, dtype=np.float32)
    values = lqr.exact_return(gains, stds, horizon=6, gamma=0.9)
    slopes = lqr.exact_gradient(gains, stds, horizon=6, gamma=0.9)
    assert values.dtype == slopes[0].dtype == slopes[1].dtype == np.float64
    assert values.shape == slopes[0].shape == slopes[1].shape == (5, 4)
    for i, j in np.ndindex(5, 4):
        policy = float(gains[i, 0]), float(stds[j])
        assert values[i, j] == lqr.exact_return(*policy, horizon=6, gamma=0.9)
        assert (slopes[0][i, j], slopes[1][i, j]) == lqr.exact_gradient(*policy, horizon=6, gamma=0.9)


# ---- overflow ----


@pytest.mark.parametrize("gamma", [0.9, 1.0])
@pytest.mark.parametrize(("k", "slope"), [(10.0, -math.inf), (-12.0, math.inf)])
def test_unstable_gains_are_infinitely_bad(k, slope, gamma):
    problem = {"horizon": 1000, "initial_second_moment": 0.5}
    assert lqr.second_moments(k, 0.3, **problem)[-1] == math.inf
    assert lqr.exact_return(k, 0.3, gamma=gamma, **problem) == -math.inf
    assert lqr.exact_gradient(k, 0.3, gamma=gamma, **problem) == (slope, -math.inf)
    assert lqr.exact_fisher(k, 0.3, **problem).tolist() == [[math.inf, 0], [0, pytest.approx(2000 / 0.09)]]


def test_infinity_times_nothing_is_nothing():
    still = {"horizon": 1000, "initial_second_moment": 0.0}
    assert lqr.exact_return(10.0, 0.0, **still) == 0
    assert lqr.exact_gradient(10.0, 0.0, **still) == (0, 0)
    assert not lqr.second_moments(1e200, 0.0, **still).any()
    assert lqr.exact_return(10.0, 0.0, horizon=1000) == -math.inf
    assert lqr.exact_gradient(10.0, 0.0, horizon=1000) == (-math.inf, 0)
    assert lqr.exact_return(10.0, 0.3, horizon=1000, gamma=0.0) == pytest.approx(-101.09)


# ---- Fisher ----


def test_fisher_is_the_second_moment_of_the_score():
    k, sigma = -0.4, 0.6
    problem = {"horizon": 6, "initial_second_moment": 0.8}
    s, a, _ = sample(k, sigma, num_episodes=200_000, seed=2, **problem)
    scores = np.array(
        [((a - k * s) * s / sigma**2).sum(axis=0), (((a - k * s) ** 2 - sigma**2) / sigma**3).sum(axis=0)]
    )
    products = scores[:, None] * scores[None]
    error = products.std(axis=2) / math.sqrt(products.shape[2])
    fisher = lqr.exact_fisher(k, sigma, **problem)
    assert fisher.shape == (2, 2)
    assert (abs(products.mean(axis=2) - fisher) < Z * error).all()
    assert (error.diagonal() < 0.01 * fisher.diagonal()).all()


def test_fisher_by_hand():
    fisher = lqr.exact_fisher(-0.5, 0.5, horizon=3, initial_second_moment=2.0)
    np.testing.assert_allclose(fisher, np.diag([(2 + 0.75 + 0.4375) / 0.25, 6 / 0.25]), rtol=1e-15)


# ---- the best gain ----


def test_best_gain_of_a_long_horizon_is_the_golden_section():
    assert lqr.optimal_gain(horizon=200) == pytest.approx((1 - math.sqrt(5)) / 2, abs=1e-14)


@pytest.mark.parametrize(
    "problem",
    [
        {"horizon": 2},
        {"horizon": 3, "gamma": 0.5},
        {"horizon": 15, "sigma": 0.7, "initial_second_moment": 0.1, "gamma": 0.99},
        {"horizon": 4, "sigma": 0.7, "initial_second_moment": 0.0},
    ],
)
def test_no_other_gain_is_better(problem):
    best = lqr.optimal_gain(**problem)
    assert -1 < best < 0
    problem = {"sigma": 0.0, **problem}
    slope, _ = lqr.exact_gradient(best, **problem)
    assert slope == pytest.approx(0, abs=1e-12)
    others = lqr.exact_return(np.linspace(-3, 1, 4001), **problem)
    assert lqr.exact_return(best, **problem) >= np.max(others)


def test_best_gain_of_two_steps():
    """J ∝ (1+k²)(1 + (1+k)²): the slope is 4k³ + 6k² + 6k + 2, whose only real root is −1/2."""
    assert lqr.optimal_gain(horizon=2) == pytest.approx(-0.5, abs=1e-15)
    assert lqr.optimal_gain(horizon=1) == 0


# ---- state ratios ----


def test_state_ratios_are_those_of_normal_densities(rng):
    new, old = (-0.3, 0.5), (-1.4, 0.8)
    steps = np.repeat(np.arange(6), 5)
    states = 3 * rng.standard_normal(len(steps))
    ratios = lqr.state_log_ratios(states, steps, new=new, old=old, initial_second_moment=0.4)
    stds = [
        np.sqrt(lqr.second_moments(*policy, horizon=6, initial_second_moment=0.4))[steps]
        for policy in (new, old)
    ]
    expected = norm.logpdf(states, scale=stds[0]) - norm.logpdf(states, scale=stds[1])
    np.testing.assert_allclose(ratios, expected, rtol=1e-11, atol=1e-13)
    assert not ratios[:5].any()
    assert ratios[5:].all()


def test_state_ratios_weigh_one_policy_s_states_as_the_other_s():
    new, old = (-0.7, 0.5), (-0.5, 0.6)
    states, _, _ = sample(*old, horizon=4, num_episodes=100_000, seed=3)
    steps = np.repeat(np.arange(4), states.shape[1])
    weights = np.exp(lqr.state_log_ratios(states.ravel(), steps, new=new, old=old)).reshape(states.shape)
    for values, expected in ((weights, 1), (weights * states**2, lqr.second_moments(*new, horizon=4))):
        errors = values.std(axis=1) / math.sqrt(values.shape[1])
        assert (abs(values.mean(axis=1) - expected) <= 4 * errors).all()


def test_state_ratios_at_the_edges():
    policies = {"new": (-0.5, 1.0), "old": (-0.9, 1.0)}
    assert lqr.state_log_ratios([], [], **policies).shape == (0,)
    start = lqr.state_log_ratios([0.0, 0.5], [0, 1], initial_second_moment=0.0, **policies)
    assert start.tolist() == [0, 0]
    same = lqr.state_log_ratios([2.0, -1.0], [3, 9], new=(-0.5, 0.1), old=(-0.5, 0.1))
    assert same.tolist() == [0, 0]
    far = lqr.state_log_ratios([1.0], [1000], new=(10.0, 1.0), old=(-0.5, 1.0))
    assert far.tolist() == [-math.inf]


# ---- errors ----


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: lqr.exact_return(-0.5, -0.1, horizon=3),
            ValueError,
            "sigma: expected numbers >= 0, got -0.1",
        ),
        (
            lambda: lqr.exact_return([0, math.nan], 1, horizon=3),
            ValueError,
            "k: expected finite numbers, got nan",
        ),
        (lambda: lqr.second_moments(0, "a", horizon=3), TypeError, "sigma: expected float32 or float64"),
        (
            lambda: lqr.exact_gradient([0, 0], [1, 1, 1], horizon=3),
            ValueError,
            "sigma: expected a shape that broadcasts with (2,), got (3,)",
        ),
        (
            lambda: lqr.exact_return(0, 1, horizon=0),
            ValueError,
            "horizon: expected an integer >= 1, got 0",
        ),
        (
            lambda: lqr.exact_return(0, 1, horizon=2.0),
            TypeError,
            "horizon: expected an integer, got float",
        ),
        (
            lambda: lqr.exact_return(0, 1, horizon=2, gamma=-0.1),
            ValueError,
            "gamma: expected a finite number >= 0, got -0.1",
        ),
        (
            lambda: lqr.exact_return(0, 1, horizon=2, initial_second_moment=-1),
            ValueError,
            "initial_second_moment: expected a finite number >= 0, got -1.0",
        ),
        (
            lambda: lqr.exact_fisher(0, 0, horizon=2),
            ValueError,
            "sigma: expected a number > 0, got 0.0",
        ),
        (
            lambda: lqr.optimal_gain(horizon=9, initial_second_moment=0),
            ValueError,
            "initial_second_moment: expected a number > 0 where noise doesn't move the state either, got 0.0",
        ),
        (
            lambda: lqr.state_log_ratios([0.0], [0], new=(0, 1), old=(0, 0)),
            ValueError,
            "old[1]: expected a number > 0, got 0.0",
        ),
        (
            lambda: lqr.state_log_ratios([0.0], [0], new=(0, 1), old=1.0),
            TypeError,
            "old: expected a tuple (k, sigma), got 1.0",
        ),
        (
            lambda: lqr.state_log_ratios([0.0], [0, 1], new=(0, 1), old=(0, 1)),
            ValueError,
            "steps: expected shape (1,), got (2,)",
        ),
        (
            lambda: lqr.state_log_ratios([[0.0]], [[0]], new=(0, 1), old=(0, 1)),
            ValueError,
            "states: expected shape (B,), got (1, 1)",
        ),
        (
            lambda: lqr.state_log_ratios([0.0], [-1], new=(0, 1), old=(0, 1)),
            ValueError,
            "steps: expected integers >= 0, got -1",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)
