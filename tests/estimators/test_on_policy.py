"""On-policy estimators against sums over all trajectories, explicit loops, and the policy's own kernels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import (
    AverageReturn,
    Baseline,
    Constant,
    LinearFeatures,
    OptimalPerComponent,
    OptimalScalar,
    TimeDependent,
    ValueNetwork,
)
from pgcore.estimators import maximum_likelihood_gradient, off_policy_gradient, policy_gradient
from pgcore.kernels import reward_to_go
from pgcore.policies import GaussianPolicy
from support.oracles import assert_close
from support.tiny_world import (
    batch_of,
    episodes_of,
    exact_gradient,
    expectation,
    make_policy,
    step_scores,
    trajectories,
)

FORMS = ("trajectory", "reward_to_go", "gpomdp")
FROM_OTHERS = (AverageReturn, TimeDependent, OptimalScalar, OptimalPerComponent)


def gradient(policy, *episodes, **options):
    return policy_gradient(policy, batch_of(*episodes), **options).gradient


class Fitted(LinearFeatures):
    """A function of the observation that has nothing to do with the batch."""

    def __init__(self):
        super().__init__()
        self._weights = np.array([0.3, -2.0, 0.1, 0.9, 5.0, 0.0, 1.0, -0.4])


# ---- unbiased: expectations over all trajectories ----


@pytest.mark.parametrize(
    ("form", "baseline"), [*((form, None) for form in FORMS), *((form, Constant(1.7)) for form in FORMS[:2])]
)
@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_the_mean_over_all_trajectories_is_the_gradient(form, baseline, gamma):
    policy = make_policy()
    mean = expectation(
        lambda t: gradient(policy, t, form=form, baseline=baseline, gamma=gamma, discount_states=True),
        policy,
        4,
    )
    assert_close(mean, exact_gradient(policy, 4, gamma), 1e-12)


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
@pytest.mark.parametrize("baseline", [Fitted(), ValueNetwork((3,), seed=1)])
def test_functions_of_the_observation_leave_it_unbiased(form, baseline):
    policy = make_policy(1)
    mean = expectation(lambda t: gradient(policy, t, form=form, baseline=baseline), policy, 3)
    tolerance = 1e-12 if isinstance(baseline, Fitted) else 1e-6  # values of a network in float32
    assert_close(mean, exact_gradient(policy, 3), tolerance)


@pytest.mark.parametrize(
    ("form", "kind"),
    [*itertools.product(FORMS[:2], FROM_OTHERS), ("gpomdp", OptimalScalar), ("gpomdp", OptimalPerComponent)],
)
@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_baselines_from_the_other_episodes_leave_it_unbiased(form, kind, gamma):
    """Over all pairs of trajectories, each with a baseline from the other."""
    policy = make_policy(2)
    mean = expectation(
        lambda *t: gradient(policy, *t, form=form, baseline=kind(), gamma=gamma, discount_states=True),
        policy,
        2,
        count=2,
    )
    assert_close(mean, exact_gradient(policy, 2, gamma), 1e-12)


@pytest.mark.parametrize("kind", FROM_OTHERS)
def test_baselines_that_contain_the_episode_itself_are_biased(kind):
    policy = make_policy(2)
    mean = expectation(
        lambda *t: gradient(policy, *t, form="trajectory", baseline=kind(leave_one_out=False)),
        policy,
        2,
        count=2,
    )
    expected = exact_gradient(policy, 2)
    if kind is AverageReturn:
        assert_close(mean, expected / 2, 1e-12)  # 1 − 1/N
    else:
        assert np.linalg.norm(mean - expected) > 0.1 * np.linalg.norm(expected)


def test_an_action_has_nothing_to_do_with_rewards_before_it():
    """Causality: E[∇log π_t r_t'] = 0 for every t' < t, and not for t' = t."""
    policy = make_policy(3)

    def product(time, earlier):
        def f(t):
            if len(t) <= time:
                return np.zeros(policy.num_params)
            return step_scores(policy, t)[time] * t.rewards[earlier]

        return expectation(f, policy, 3)

    for time in range(3):
        for earlier in range(time):
            assert np.abs(product(time, earlier)).max() < 1e-14
        assert np.abs(product(time, time)).max() > 1e-3


def test_practice_drops_the_discount_of_the_states():
    """Trap 3: without discount_states the weights are G_t alone."""
    policy = make_policy(3)

    def by_hand(t):
        returns = [sum(0.8 ** (k - h) * t.rewards[k] for k in range(h, len(t))) for h in range(len(t))]
        return step_scores(policy, t).T @ np.array(returns)

    expected = expectation(by_hand, policy, 3)
    mean = expectation(lambda t: gradient(policy, t, gamma=0.8), policy, 3)
    assert_close(mean, expected, 1e-12)
    assert_close(
        expectation(lambda t: gradient(policy, t, gamma=0.8, form="gpomdp"), policy, 3), expected, 1e-12
    )
    assert np.linalg.norm(mean - exact_gradient(policy, 3, 0.8)) > 1e-3


# ---- what an estimate is, by explicit loops ----


def test_gpomdp_does_not_overwrite_its_running_scores():
    """Trap 5: with an accumulator that aliases, the first reward would be weighed by all scores."""
    policy = make_policy(6)
    (episode,) = [t for t in trajectories(3) if len(t) == 3][:1]
    scores = step_scores(policy, episode)
    one = batch_of(episode).replace(rewards=[1.0, 0.0, 0.0])
    found = policy_gradient(policy, one, form="gpomdp", baseline=OptimalScalar()).gradient
    assert_close(found, scores[0], 1e-12)


def test_gpomdp_is_reward_to_go_in_another_order():
    policy = make_policy(7)
    batch = batch_of(*episodes_of())
    for gamma, discount_states in itertools.product([1.0, 0.7], [True, False]):
        options = {"gamma": gamma, "discount_states": discount_states}
        a = policy_gradient(policy, batch, **options)
        b = policy_gradient(policy, batch, form="gpomdp", **options)
        assert_close(b.gradient, a.gradient, 1e-13)
        assert_close(b.standard_error, a.standard_error, 1e-13)
        by_rows = policy_gradient(
            policy, batch, form="gpomdp", baseline=_Zero(leave_one_out=False), **options
        )  # through the running scores
        assert_close(by_rows.gradient, a.gradient, 1e-13)


class _Zero(OptimalScalar):
    def coefficients(self, numerator, denominator, own_numerator, own_denominator):
        return np.zeros_like(own_numerator)


# ---- one truth with the kernels and the algorithms' conventions ----


@pytest.fixture
def gaussian_batch():
    rng = np.random.default_rng(3)
    ends = np.isin(np.arange(60), [9, 10, 31, 59])
    terminated = np.isin(np.arange(60), [9, 31])
    batch = Batch(
        rng.normal(size=(60, 3)),
        rng.normal(size=(60, 2)),
        rng.normal(size=60),
        ends,
        terminated=terminated,
        bootstrap_obs=rng.normal(size=(4, 3)),
    )
    return GaussianPolicy(3, 2, hidden=(5,), dtype="float64", seed=1), batch


def test_it_is_the_score_product_over_the_number_of_episodes(gaussian_batch):
    policy, batch = gaussian_batch
    returns = reward_to_go(batch.rewards, 0.9, ends=batch.ends)
    expected = policy.score_product(batch.obs, batch.actions, returns) / 4
    assert_close(policy_gradient(policy, batch, gamma=0.9).gradient, expected, 1e-13)
    assert_close(maximum_likelihood_gradient(policy, batch, weights=returns).gradient, expected, 1e-13)
    plain = policy.score_product(batch.obs, batch.actions, np.ones(60)) / 4
    assert_close(maximum_likelihood_gradient(policy, batch).gradient, plain, 1e-13)


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
def test_truncated_segments_continue_with_the_baselines_value(gaussian_batch, form):
    policy, batch = gaussian_batch
    critic = Fitted3()
    bootstrap = critic.bootstrap_values(batch)
    assert np.count_nonzero(bootstrap) == 2
    returns = reward_to_go(batch.rewards, 0.9, ends=batch.ends, bootstrap_values=bootstrap)
    if form == "trajectory":
        returns = np.repeat(returns[batch.segment_starts], batch.segment_lengths)
    advantages = returns - critic.values(batch, returns)
    expected = policy.score_product(batch.obs, batch.actions, advantages) / 4
    found = policy_gradient(policy, batch, form=form, gamma=0.9, baseline=critic)
    assert_close(found.gradient, expected, 1e-13)


class Fitted3(LinearFeatures):
    def __init__(self):
        super().__init__()
        self._weights = np.linspace(-1, 1, 10)


@pytest.mark.parametrize("baseline", [None, OptimalScalar(), OptimalPerComponent()])
@pytest.mark.parametrize("form", FORMS)
def test_a_stream_of_single_episodes_gives_the_same(gaussian_batch, form, baseline):
    policy, batch = gaussian_batch
    at_once = policy_gradient(policy, batch, form=form, baseline=baseline)
    for max_bytes in (0, 5000):
        streamed = policy_gradient(policy, batch, form=form, baseline=baseline, max_bytes=max_bytes)
        assert_close(streamed.gradient, at_once.gradient, 1e-13)
        assert_close(streamed.standard_error, at_once.standard_error, 1e-12)


def test_one_episode_has_no_spread():
    policy = make_policy()
    estimate = policy_gradient(policy, batch_of(trajectories(3)[0]))
    assert np.isnan(estimate.standard_error).all()
    assert math.isnan(estimate.variance_trace)
    assert math.isnan(estimate.signal_to_noise)
    twice = policy_gradient(policy, batch_of(*[trajectories(3)[0]] * 2))
    assert twice.variance_trace == 0
    assert twice.signal_to_noise == math.inf


@pytest.mark.parametrize("num_episodes", [2, 3, 7, 100])
@pytest.mark.parametrize("max_bytes", [0, 2**26])
@pytest.mark.parametrize("baseline", [None, Constant(0.1), OptimalScalar()])
def test_equal_episodes_have_no_noise(num_episodes, max_bytes, baseline):
    """Rounding sets their mean apart from each of them."""
    estimate = policy_gradient(
        make_policy(), batch_of(*[trajectories(3)[0]] * num_episodes), baseline=baseline, max_bytes=max_bytes
    )
    assert estimate.signal_to_noise == math.inf or not estimate.gradient.any()


def test_float32_is_good_to_its_precision(gaussian_batch):
    policy, batch = gaussian_batch
    single = GaussianPolicy(3, 2, hidden=(5,), seed=1)
    single.params = policy.params
    a, b = policy_gradient(policy, batch), policy_gradient(single, batch)
    assert_close(b.gradient, a.gradient, 1e-5)
    assert b.gradient.dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"form": "td"},
            ValueError,
            "form: expected one of 'trajectory', 'reward_to_go', 'gpomdp', got 'td'",
        ),
        ({"baseline": 3.0}, TypeError, "baseline: expected one from pgcore.baselines or None, got 3.0"),
        ({"gamma": -1}, ValueError, "gamma: expected a finite number >= 0, got -1"),
        ({"form": "gpomdp", "baseline": Constant(1)}, ValueError, "expected None, OptimalScalar or Optimal"),
        ({"max_bytes": -1}, ValueError, "max_bytes: expected a number >= 0, got -1"),
    ],
)
def test_wrong_arguments(gaussian_batch, arguments, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        policy_gradient(*gaussian_batch, **arguments)


def test_an_empty_batch_and_wrong_weights(gaussian_batch):
    policy, batch = gaussian_batch
    empty = Batch(np.zeros((0, 3)), np.zeros((0, 2)), [], [])
    with pytest.raises(ValueError, match="batch: expected at least one episode, got none"):
        policy_gradient(policy, empty)
    with pytest.raises(ValueError, match=r"weights: expected shape \(60,\), got \(3,\)"):
        maximum_likelihood_gradient(policy, batch, weights=[1, 2, 3])


def test_a_baseline_of_ones_own_will_do(gaussian_batch):
    class Ramp(Baseline):
        def values(self, batch, returns):
            return batch.step_in_segment.astype(returns.dtype)

    policy, batch = gaussian_batch
    expected = policy.score_product(
        batch.obs, batch.actions, reward_to_go(batch.rewards, ends=batch.ends) - batch.step_in_segment
    )
    assert_close(policy_gradient(policy, batch, baseline=Ramp()).gradient, expected / 4, 1e-13)


def test_optimal_baselines_say_where_they_belong(gaussian_batch):
    _, batch = gaussian_batch
    with pytest.raises(TypeError, match="estimators can use it"):
        OptimalScalar().values(batch, batch.rewards)


class Far(Constant):
    """A value of 1e8 and a little, in the dtypes that are asked for."""

    needs_whole_episodes = False

    def values(self, batch, returns):
        return (1e8 + batch.obs[:, 0]).astype(returns.dtype)

    def bootstrap_values(self, batch):
        bootstrap = np.zeros(batch.num_segments)
        bootstrap[batch.truncated] = 1e8 + batch.bootstrap_obs[batch.truncated, 0]
        return batch.scatter_bootstrap_values(bootstrap).astype(batch.rewards.dtype)


@pytest.mark.parametrize("estimate", [policy_gradient, off_policy_gradient], ids=lambda f: f.__name__)
def test_large_values_keep_their_differences_with_rewards_in_float32(rng, estimate):
    policy = GaussianPolicy(3, 2, hidden=(5,), dtype="float64")
    obs = rng.normal(size=(12, 3))
    actions, log_probs = policy.sample(obs, rng)
    rewards, ends = rng.integers(3, size=12).astype(np.float32), np.arange(12) % 4 == 3
    batch = Batch(
        obs,
        actions,
        rewards,
        ends,
        terminated=np.zeros(12, bool),
        bootstrap_obs=rng.normal(size=(3, 3)),
        log_probs=log_probs,
    )
    options = {"form": "trajectory" if estimate is off_policy_gradient else "reward_to_go", "gamma": 1.0}
    double = batch.replace(rewards=rewards.astype(np.float64))
    single, wide = (estimate(policy, b, baseline=Far(), **options) for b in (batch, double))
    np.testing.assert_array_equal(single.gradient, wide.gradient)
    assert np.abs(single.gradient).max() < 100
