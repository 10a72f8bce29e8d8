"""On the lecture's LQR the gradient is known: every unbiased estimator's mean lies around it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import AverageReturn, Constant, OptimalPerComponent, OptimalScalar, TimeDependent
from pgcore.envs import lqr
from pgcore.estimators import importance_weighted_return, off_policy_gradient, policy_gradient
from pgcore.policies import GaussianPolicy

NUM_EPISODES = 100_000
SIGMAS = 4.06  # a 99.9 % interval for each of about twenty comparisons at once: 1 − 0.999^(1/20) on two sides


def linear_policy(k, sigma):
    """A ∼ N(k s + b, σ²), with b = 0; parameters k, b, log σ."""
    policy = GaussianPolicy(1, 1, hidden=(), dtype="float64")
    policy.params = [k, 0.0, np.log(sigma)]
    return policy


@functools.cache
def played(k, sigma, horizon, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.standard_normal(NUM_EPISODES)
    obs, actions, rewards = [], [], []
    for _ in range(horizon):
        a = k * s + sigma * rng.standard_normal(NUM_EPISODES)
        obs.append(s)
        actions.append(a)
        rewards.append(-(s**2) - a**2)
        s = s + a
    flat = [np.stack(x, axis=1).reshape(-1) for x in (obs, actions, rewards)]
    ends = np.tile(np.arange(horizon) == horizon - 1, NUM_EPISODES)
    policy = linear_policy(k, sigma)
    x, a = flat[0][:, None], flat[1][:, None]
    return Batch(x, a, flat[2], ends, log_probs=policy.log_prob(x, a))


def exact(k, sigma, horizon, gamma=1.0):
    dk, dsigma = lqr.exact_gradient(k, sigma, horizon=horizon, gamma=gamma)
    return np.array([dk, 0.0, sigma * dsigma])  # s is symmetric, so nothing pulls at the bias


def deviations(estimate, expected):
    return np.abs(estimate.gradient - expected) / estimate.standard_error


PLACES = [(-0.6, 0.5, 5), (-1.2, 1.0, 3), (-0.2, 0.3, 10)]


@pytest.mark.parametrize(("k", "sigma", "horizon"), PLACES)
@pytest.mark.parametrize(
    ("form", "baseline"),
    [
        ("trajectory", None),
        ("reward_to_go", None),
        ("reward_to_go", Constant(-3.0)),
        ("trajectory", AverageReturn()),
        ("reward_to_go", TimeDependent()),
        ("trajectory", OptimalScalar()),
        ("reward_to_go", OptimalScalar()),
        ("reward_to_go", OptimalPerComponent()),
        ("gpomdp", OptimalScalar()),
        ("gpomdp", OptimalPerComponent()),
    ],
)
def test_on_policy_means_lie_around_the_gradient(k, sigma, horizon, form, baseline):
    batch = played(k, sigma, horizon)
    estimate = policy_gradient(linear_policy(k, sigma), batch, form=form, baseline=baseline)
    assert estimate.num_episodes == NUM_EPISODES
    assert (deviations(estimate, exact(k, sigma, horizon)) < SIGMAS).all()
    # so that the test can fail: the interval is narrow
    assert (estimate.standard_error[[0, 2]] < 0.1 * np.abs(exact(k, sigma, horizon)).max()).all()


def test_the_discounted_objective_needs_discounted_states():
    k, sigma, _ = PLACES[0]
    policy, batch, expected = linear_policy(k, sigma), played(*PLACES[0]), exact(*PLACES[0], gamma=0.7)
    found = policy_gradient(policy, batch, baseline=TimeDependent(), gamma=0.7, discount_states=True)
    assert (deviations(found, expected) < SIGMAS).all()
    practice = policy_gradient(policy, batch, baseline=TimeDependent(), gamma=0.7)
    assert deviations(practice, expected).max() > SIGMAS


OLD, NEW, HORIZON = (-0.6, 0.6), (-0.75, 0.5), 4


@pytest.mark.parametrize("form", ["trajectory", "per_decision"])
@pytest.mark.parametrize("baseline", [None, TimeDependent(), OptimalPerComponent()])
def test_exact_off_policy_means_lie_around_the_gradient(form, baseline):
    estimate = off_policy_gradient(
        linear_policy(*NEW), played(*OLD, HORIZON), form=form, baseline=baseline, on_low_ess="ignore"
    )
    assert (deviations(estimate, exact(*NEW, HORIZON)) < SIGMAS).all()


def future_of_the_old_policy():
    """Σ_t E_{π'}[∇log π' Q^μ]: at each time, one step by the new gain from the new states, then the old one.

    The derivative in (k, log σ) of an episode that is new up to t, has the varied policy at t, and is old
    afterwards, at the new policy, summed over t; by central differences of a recursion of second moments.
    """

    def value(k, sigma, t):
        m, total = 1.0, 0.0
        for step in range(HORIZON):
            gain, spread = (k, sigma) if step == t else (NEW if step < t else OLD)
            if step >= t:
                total -= (1 + gain**2) * m + spread**2
            m = (1 + gain) ** 2 * m + spread**2
        return total

    k, sigma = NEW
    eps = 1e-5
    dk = sum(value(k + eps, sigma, t) - value(k - eps, sigma, t) for t in range(HORIZON)) / (2 * eps)
    up, down = sigma * np.exp(eps), sigma * np.exp(-eps)
    dlog = sum(value(k, up, t) - value(k, down, t) for t in range(HORIZON)) / (2 * eps)
    return np.array([dk, 0.0, dlog])


def test_dropping_the_futures_ratios_evaluates_the_old_policys_future():
    policy, batch = linear_policy(*NEW), played(*OLD, HORIZON)
    states = lqr.state_log_ratios(batch.obs[:, 0], batch.step_in_segment, new=NEW, old=OLD)
    biased = future_of_the_old_policy()
    for form, ratios in (("past_only", None), ("marginal", states)):
        found = off_policy_gradient(
            policy, batch, form=form, state_log_ratios=ratios, baseline=Constant(-3.0), on_low_ess="ignore"
        )
        assert (deviations(found, biased) < SIGMAS).all()
        assert deviations(found, exact(*NEW, HORIZON)).max() > SIGMAS
    first_order = off_policy_gradient(
        policy, batch, form="action_only", baseline=Constant(-3.0), on_low_ess="ignore"
    )
    assert deviations(first_order, exact(*NEW, HORIZON)).max() > SIGMAS
    assert deviations(first_order, biased).max() > SIGMAS


@pytest.mark.parametrize("per_decision", [True, False])
@pytest.mark.parametrize("self_normalize", [True, False])
def test_weighted_returns_lie_around_the_return(per_decision, self_normalize):
    found = importance_weighted_return(
        linear_policy(*NEW),
        played(*OLD, HORIZON),
        per_decision=per_decision,
        self_normalize=self_normalize,
        on_low_ess="ignore",
    )
    expected = lqr.exact_return(*NEW, horizon=HORIZON)
    assert abs(found.value - expected) < SIGMAS * found.standard_error
    assert found.standard_error < 0.02 * abs(expected)
    assert abs(lqr.exact_return(*OLD, horizon=HORIZON) - expected) > 10 * found.standard_error


@pytest.mark.parametrize("kind", ["exact", "empirical"])
def test_the_fisher_matrix_per_step_and_per_trajectory(kind):
    """The closed form is of a whole trajectory, in σ: the operator's mean over steps times T, in log σ."""
    k, sigma, horizon = PLACES[2]
    batch = played(k, sigma, horizon)
    found = linear_policy(k, sigma).fisher(batch.obs, batch.actions, kind=kind).dense()
    by_k, by_sigma = np.diag(lqr.exact_fisher(k, sigma, horizon=horizon))
    expected = np.array([by_k, sigma**2 * by_sigma]) / horizon
    np.testing.assert_allclose(np.diag(found)[[0, 2]], expected, rtol=0.02)
    assert abs(found[0, 2]) < 0.02 * np.sqrt(found[0, 0] * found[2, 2])


def test_exact_gradients_vanish_with_sigma_while_sampled_ones_spread():
    """The lecture's picture of arrows that grow as σ falls is one of samples."""
    spreads, exact_ones = [], []
    for sigma in (0.2, 0.1, 0.05):
        estimate = policy_gradient(linear_policy(-0.6, sigma), played(-0.6, sigma, 3))
        spreads.append(estimate.standard_error[0] * np.sqrt(NUM_EPISODES))
        exact_ones.append(lqr.exact_gradient(-0.6, sigma, horizon=3)[1])
    np.testing.assert_allclose(np.array(exact_ones) / exact_ones[0], [1, 0.5, 0.25], rtol=1e-12)
    np.testing.assert_allclose(np.array(spreads) / spreads[0], [1, 2, 4], rtol=0.15)
