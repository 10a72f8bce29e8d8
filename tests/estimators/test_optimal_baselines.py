"""Optimal baselines of a policy gradient: what they are, by explicit loops, and that nothing varies less."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import Constant, OptimalPerComponent, OptimalScalar
from pgcore.estimators import off_policy_gradient, policy_gradient
from pgcore.kernels import reward_to_go
from pgcore.policies import CategoricalPolicy, GaussianPolicy, MultiBinaryPolicy, Policy
from support.oracles import assert_close
from support.tiny_world import batch_of, episodes_of, expectation, make_policy, step_scores

FORMS = ("trajectory", "reward_to_go", "gpomdp")


def own_baselines(kind, h, g, *, leave_one_out):
    """b of each episode from h and g as rows, by the definition."""
    result = []
    for i in range(len(h)):
        rest = [j for j in range(len(h)) if j != i or not leave_one_out]
        products, squares = h[rest] * g[rest], g[rest] ** 2
        if kind is OptimalScalar:
            products, squares = products.sum(axis=1), squares.sum(axis=1)
        above, below = products.sum(axis=0), squares.sum(axis=0)
        result.append(np.where(below > 0, above / np.where(below > 0, below, 1), 0.0))
    return np.array(result).reshape(len(h), -1)


@pytest.mark.parametrize("kind", [OptimalScalar, OptimalPerComponent])
@pytest.mark.parametrize("size", [0.1, 1e150, 1e-150])
def test_a_remainder_of_rounding_is_no_denominator(kind, size):
    """All scores are one episode's: without it there is nothing, whatever the difference of the sums says."""
    own = np.array([[size], [0.0], [0.0]])
    below = own.sum(axis=0)
    for off in (1.0, 1 + 2.0**-52, 1 - 2.0**-53, 1 + 2.0**-50):
        b = kind().coefficients(5 * below * off, below * off, 5 * own, own)
        assert_close(b, np.array([[0.0], [5.0], [5.0]]), 1e-14)
    little = np.array([[size], [1e-12 * size], [0.0]])
    b = kind().coefficients(7 * little.sum(axis=0), little.sum(axis=0), 7 * little, little)
    assert_close(b, np.full((3, 1), 7.0), 1e-3)


@pytest.mark.parametrize("leave_one_out", [True, False])
@pytest.mark.parametrize("kind", [OptimalScalar, OptimalPerComponent])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_optimal_baselines_are_what_they_say(form, kind, leave_one_out, gamma):
    policy = make_policy(4)
    episodes = episodes_of()
    scores = [step_scores(policy, t) for t in episodes]
    if form == "gpomdp":
        rows = np.zeros((len(episodes), policy.num_params))
        for time in range(4):
            decay = [gamma ** np.arange(time, -1, -1)[: len(s)] for s in scores]
            z = np.array(
                [d @ s[: time + 1] for d, s in zip(decay, scores, strict=True)]
            )  # the ended ones too
            r = np.array([[t.rewards[time] if time < len(t) else 0.0] for t in episodes])
            rows += z * r - own_baselines(kind, z * r, z, leave_one_out=leave_one_out) * z
    else:
        g = np.array([s.sum(axis=0) for s in scores])
        returns = [reward_to_go(t.rewards, gamma) for t in episodes]
        if form == "trajectory":
            returns = [np.full(len(G), G[0]) for G in returns]
        h = np.array([s.T @ G for s, G in zip(scores, returns, strict=True)])
        rows = h - own_baselines(kind, h, g, leave_one_out=leave_one_out) * g
    estimate = policy_gradient(
        policy,
        batch_of(*episodes),
        form=form,
        gamma=gamma,
        baseline=kind(leave_one_out=leave_one_out),
    )
    assert_close(estimate.gradient, rows.mean(axis=0), 1e-12)
    assert_close(estimate.variance_trace, rows.var(axis=0, ddof=1).sum(), 1e-12)
    assert_close(estimate.standard_error, rows.std(axis=0, ddof=1) / math.sqrt(len(rows)), 1e-12)
    expected = (rows.mean(axis=0) ** 2).sum() / (rows.var(axis=0, ddof=1).sum() / len(rows))
    assert_close(estimate.signal_to_noise, expected, 1e-11)
    assert estimate.num_episodes == len(rows)


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
def test_no_constant_has_less_variance_than_the_optimal_one(form):
    """Around the mean that all unbiased estimates share, Σ_i p_i ‖h_i − b g_i‖² is least at b*; a theorem."""
    policy = make_policy(5)
    share = {"policy": policy, "horizon": 3}

    def gradient(t, baseline=None):
        return policy_gradient(policy, batch_of(t), form=form, baseline=baseline).gradient

    def second_moment(b):
        return expectation(lambda t: (gradient(t, Constant(b)) ** 2).sum(), **share)

    def parts(t):
        h = gradient(t)
        g = h - gradient(t, Constant(1.0))
        return np.array([h @ g, g @ g])

    above, below = expectation(parts, **share)
    best = above / below
    least = second_moment(best)
    around = [second_moment(best + d) for d in (-3, -0.5, -1e-2, 1e-2, 0.5, 3)]
    assert all(least < other for other in around)
    # and on a batch, by the class itself: no constant spreads less about the estimate without a baseline
    episodes = episodes_of(40, 3)
    batch = batch_of(*episodes)
    kept = policy_gradient(policy, batch, form=form, baseline=OptimalScalar(leave_one_out=False))
    size = kept.num_episodes

    def spread(estimate):  # Σ‖g_i‖²/N, whatever the mean
        return estimate.variance_trace * (size - 1) / size + (estimate.gradient**2).sum()

    for b in np.linspace(-4, 4, 33):
        assert spread(kept) <= spread(policy_gradient(policy, batch, form=form, baseline=Constant(b))) + 1e-12


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
def test_every_component_has_its_own_best_constant(form):
    """On a batch: no other constant gives any component a smaller second moment."""
    policy = make_policy(5)
    batch = batch_of(*episodes_of(40, 3))

    def second_moments(baseline):
        found = policy_gradient(policy, batch, form=form, baseline=baseline)
        variance = found.standard_error**2 * found.num_episodes
        return variance * (found.num_episodes - 1) / found.num_episodes + found.gradient**2

    least = second_moments(OptimalPerComponent(leave_one_out=False))
    for b in np.linspace(-4, 4, 33):
        assert (least <= second_moments(Constant(b)) + 1e-12).all()
    one_for_all = second_moments(OptimalScalar(leave_one_out=False))
    assert (least <= one_for_all + 1e-12).all()
    assert least.sum() < 0.999 * one_for_all.sum()


def test_components_without_scores_get_no_baseline():
    """Trap 6: with one observation always zero, its weights have no gradient at all."""
    policy = CategoricalPolicy(2, 2, hidden=(), dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    obs = np.stack([np.zeros(12), rng.normal(size=12)], axis=1)
    batch = Batch(obs, rng.integers(0, 2, 12), rng.normal(size=12), np.arange(12) % 3 == 2)
    for form in FORMS:
        estimate = policy_gradient(policy, batch, form=form, baseline=OptimalPerComponent())
        assert np.isfinite(estimate.gradient).all()
        assert (estimate.gradient[[0, 2]] == 0).all()
        assert (estimate.gradient[[1, 3]] != 0).all()


@pytest.mark.parametrize("kind", [OptimalScalar, OptimalPerComponent])
def test_what_rounding_leaves_of_a_denominator_is_none(kind):
    """One episode has all the score: without it nothing is left but rounding, and the baseline is 0."""
    own = np.array([[0.1], [0.2], [0.3]]) ** 2 * 1e20
    own[1:] *= 1e-40
    total = own.sum(axis=0) * (1 + 2e-16)  # as sums of chunks may round
    assert total[0] > own[0, 0]  # a difference that says nothing
    b = kind().coefficients(5 * total, total, 5 * own, own)
    assert b[0, 0] == 0.0
    np.testing.assert_allclose(b[1:], 5.0)
    # and a difference that is worth something is used
    b = kind().coefficients(5 * np.array([3.0]), np.array([3.0]), np.array([[10.0], [5.0]]), np.ones((2, 1)))
    np.testing.assert_allclose(b, [[2.5], [5.0]])


@pytest.mark.parametrize("leave_one_out", [True, False])
@pytest.mark.parametrize("kind", [OptimalScalar, OptimalPerComponent])
@pytest.mark.parametrize("family", ["choice", "real", "bits"])
@pytest.mark.parametrize("form", ["trajectory", "reward_to_go", "off-policy"])
def test_rewards_around_a_large_number_keep_their_differences(family, kind, leave_one_out, form):
    """Returns of 1e8 ± 1 with a policy in float32: its scores may be rounded, the returns may not."""
    policy: Policy = {
        "choice": CategoricalPolicy(2, 3, hidden=(4,)),
        "real": GaussianPolicy(2, 2, hidden=(4,), covariance="full"),
        "bits": MultiBinaryPolicy(2, 2, hidden=()),
    }[family]
    rng = np.random.default_rng(3)
    obs = rng.normal(size=(60, 2))
    actions, log_probs = policy.sample(obs, rng)
    differences = rng.normal(size=60)
    batch = Batch(obs, actions, 1e8 + differences, np.ones(60, bool), log_probs=log_probs)
    baseline = kind(leave_one_out=leave_one_out)
    if form == "off-policy":
        found = off_policy_gradient(policy, batch, form="trajectory", baseline=baseline)
    else:
        found = policy_gradient(policy, batch, form=form, baseline=baseline)
    g = policy.scores(obs, actions).astype(np.float64)
    b = own_baselines(kind, g * batch.rewards[:, None], g, leave_one_out=leave_one_out)
    expected = g * (batch.rewards[:, None] - b)
    assert_close(found.gradient, expected.mean(axis=0), 1e-5)
    assert found.variance_trace == pytest.approx(expected.var(axis=0, ddof=1).sum(), rel=1e-5)


@pytest.mark.parametrize("kind", [OptimalScalar, OptimalPerComponent])
def test_an_episode_without_others_to_learn_from_has_no_baseline(kind):
    """b is 0, not what returns have in common."""
    policy = CategoricalPolicy(1, 2, hidden=())
    batch = Batch([[1.0], [1.0]], [0, 1], [5.0, 3.0], [True, True])
    one = batch.segment(0)
    expected = 5.0 * policy.scores(one.obs, one.actions)[0].astype(np.float64)
    assert_close(policy_gradient(policy, one, baseline=kind()).gradient, expected, 1e-6)
