"""Importance weights against explicit loops and at their extremes; what is said of wrong or lopsided ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import LinearFeatures, OptimalPerComponent, OptimalScalar
from pgcore.estimators import (
    EffectiveSampleSizeWarning,
    importance_weighted_return,
    mixture_log_probs,
    off_policy_gradient,
    policy_gradient,
)
from pgcore.kernels import effective_sample_size
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from support.oracles import assert_close
from support.tiny_world import make_policy, recorded, trajectories

FORMS = ("trajectory", "per_decision", "past_only", "action_only")
TARGET, BEHAVIOUR = make_policy(0), make_policy(1, spread=0.8)


# ---- weights by explicit loops ----


def by_loops(batch, log_rho, form, *, clip, self_normalize, gamma=0.9, states=0.0, bootstrap=None):
    """Weights, effective sizes and largest shares by the definition, W_t and G_t for each step."""
    bootstrap = np.zeros(batch.num_steps) if bootstrap is None else bootstrap
    states = np.broadcast_to(states, log_rho.shape)
    starts, lengths = batch.segment_starts, batch.segment_lengths
    count, horizon = len(starts), lengths.max()
    rho = [np.exp(log_rho[s : s + n]) for s, n in zip(starts, lengths, strict=True)]
    raw = []
    for r, s in zip(rho, starts, strict=True):
        if form == "trajectory":
            w = np.full(len(r), r.prod())
        elif form == "marginal":
            w = r * np.exp(states[s : s + len(r)])
        else:
            w = r.copy() if form == "action_only" else np.cumprod(r)
        raw.append(w if clip is None else np.minimum(w, clip))
    weights = [w.copy() for w in raw]
    sizes, shares = [], []
    for t in range(horizon):
        group = [i for i in range(count) if t < lengths[i] or form != "action_only"]
        current = np.array([raw[i][min(t, lengths[i] - 1)] for i in group])
        sizes.append(current.sum() ** 2 / (current**2).sum())
        shares.append(current.max() / current.sum())
        for i in range(count):
            if self_normalize and t < lengths[i]:
                weights[i][t] = len(group) * raw[i][t] / current.sum()
    returns = []
    for s, n, r in zip(starts, lengths, rho, strict=True):
        rewards = batch.rewards[s : s + n]
        for t in range(n):
            later = np.ones(n - t)
            if form == "per_decision":
                later[1:] = np.cumprod(r[t + 1 :])
            first = 0 if form == "trajectory" else t
            if form == "trajectory":
                later = np.ones(n)
            future = np.sum(gamma ** np.arange(n - first) * later * rewards[first:])
            returns.append(future + gamma ** (n - first) * later[-1] * bootstrap[s + n - 1])
    return np.concatenate(weights), np.array(returns), np.array(sizes), np.array(shares)


@pytest.fixture
def gaussian_batch():
    rng = np.random.default_rng(4)
    policy = GaussianPolicy(2, 1, hidden=(3,), dtype="float64", seed=3)
    ends = np.isin(np.arange(30), [4, 5, 13, 21, 29])
    obs, actions = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    log_rho = rng.normal(scale=0.6, size=30)
    batch = Batch(
        obs,
        actions,
        rng.normal(size=30),
        ends,
        terminated=ends & ~np.isin(np.arange(30), [4, 21]),
        bootstrap_obs=rng.normal(size=(5, 2)),
        log_probs=policy.log_prob(obs, actions) - log_rho,
    )
    return policy, batch, log_rho


class Learned(LinearFeatures):
    """A critic that has learned something, so that values and bootstrap values are not zero."""

    def __init__(self):
        super().__init__()
        self._weights = np.linspace(-1, 1, 8)


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", [*FORMS, "marginal"])
@pytest.mark.parametrize("clip", [None, 1.4])
@pytest.mark.parametrize("self_normalize", [True, False])
@pytest.mark.parametrize("discount_states", [True, False])
def test_weights_and_their_diagnostics(gaussian_batch, form, clip, self_normalize, discount_states):
    policy, batch, log_rho = gaussian_batch
    states = np.random.default_rng(1).normal(size=30) if form == "marginal" else None
    critic = Learned()
    bootstrap = critic.bootstrap_values(batch)
    assert np.count_nonzero(bootstrap) == 2
    w, returns, sizes, shares = by_loops(
        batch,
        log_rho,
        form,
        clip=clip,
        self_normalize=self_normalize,
        states=0.0 if states is None else states,
        bootstrap=bootstrap,
    )
    found = off_policy_gradient(
        policy,
        batch,
        form=form,
        gamma=0.9,
        baseline=critic,
        state_log_ratios=states,
        clip=clip,
        self_normalize=self_normalize,
        discount_states=discount_states,
        on_low_ess="ignore",
    )
    discounts = 0.9**batch.step_in_segment if discount_states and form != "trajectory" else 1.0
    advantages = returns - critic.values(batch, returns)
    expected = policy.score_product(batch.obs, batch.actions, discounts * w * advantages) / 5
    assert_close(found.gradient, expected, 1e-12)
    assert_close(found.effective_sample_size, sizes, 1e-12)
    assert_close(found.max_weight_share, shares, 1e-12)


def test_optimal_baselines_see_the_weights(gaussian_batch):
    policy, batch, log_rho = gaussian_batch
    w, returns, _, _ = by_loops(batch, log_rho, "per_decision", clip=None, self_normalize=False, gamma=1.0)
    h = policy.episode_scores(batch.obs, batch.actions, batch.ends, w * returns)
    g = policy.episode_scores(batch.obs, batch.actions, batch.ends, w)
    b = (h * g).sum() / (g * g).sum()
    found = off_policy_gradient(
        policy, batch, form="per_decision", baseline=OptimalScalar(leave_one_out=False), on_low_ess="ignore"
    )
    assert_close(found.gradient, (h - b * g).mean(axis=0), 1e-12)


@pytest.mark.parametrize("per_decision", [True, False])
def test_the_self_normalised_return_and_its_error(gaussian_batch, per_decision):
    """The value by the definition; the standard error against the derivative of the ratios, numerically."""
    policy, batch, log_rho = gaussian_batch
    form = "past_only" if per_decision else "trajectory"
    w, _, sizes, _ = by_loops(batch, log_rho, form, clip=None, self_normalize=False)
    starts, lengths = batch.segment_starts, batch.segment_lengths
    discounted = batch.rewards * 0.9**batch.step_in_segment

    def value(copies):
        """With each episode counted so many times."""
        total = 0.0
        for t in range(lengths.max()):
            last = np.array([w[s + min(t, n - 1)] for s, n in zip(starts, lengths, strict=True)])
            alive = lengths > t
            rewards = np.array([discounted[s + t] if a else 0.0 for s, a in zip(starts, alive, strict=True)])
            total += (copies * last * rewards).sum() / (copies * last).sum()
        return total

    found = importance_weighted_return(
        policy, batch, gamma=0.9, per_decision=per_decision, self_normalize=True, on_low_ess="ignore"
    )
    assert_close(found.value, value(np.ones(5)), 1e-12)
    eps = 1e-5
    influence = np.array([(value(1 + eps * e) - value(1 - eps * e)) / (2 * eps) for e in np.eye(5)])
    expected = math.sqrt((influence**2).sum() * 5 / 4)
    assert_close(found.standard_error, expected, 1e-7)
    assert_close(found.effective_sample_size, sizes[-1], 1e-12)
    plain = importance_weighted_return(
        policy, batch, gamma=0.9, per_decision=per_decision, on_low_ess="ignore"
    )
    rows = np.add.reduceat(w * discounted, starts)
    assert_close(plain.value, rows.mean(), 1e-12)
    assert_close(plain.standard_error, rows.std(ddof=1) / math.sqrt(5), 1e-12)


def test_rewards_in_float32_are_summed_in_double(gaussian_batch):
    policy, batch, _ = gaussian_batch
    rewards = (batch.rewards + 1e4).astype(np.float32)
    for function in (
        policy_gradient,
        lambda p, b: off_policy_gradient(p, b, form="past_only", on_low_ess="ignore"),
    ):
        narrow, wide = (function(policy, batch.replace(rewards=r)) for r in (rewards, rewards.astype(float)))
        assert_close(narrow.gradient, wide.gradient, 1e-12)


# ---- extremes ----


SMALL = GaussianPolicy(1, 1, hidden=(), dtype="float64")


def alike(log_rho, *, length=1, rewards=None):
    """Episodes that are all alike but for their ratios and rewards."""
    count = len(log_rho)
    obs = actions = np.ones((count, 1))
    return Batch(
        obs,
        actions,
        1.0 + np.arange(count) if rewards is None else rewards,
        np.arange(count) % length == length - 1,
        log_probs=SMALL.log_prob(obs, actions) - np.array(log_rho),
    )


def test_normalised_weights_are_compared_in_logs_of_any_size():
    batch = alike([200.0, 200, 250, 250], length=2)
    options = {"self_normalize": True, "on_low_ess": "ignore"}
    found = importance_weighted_return(SMALL, batch, per_decision=False, **options)
    assert_close(found.value, 3.0 + 4.0, 1e-12)  # the second episode has all the weight
    assert_close(found.effective_sample_size, 1.0, 1e-12)
    assert found.standard_error < 1e-12
    gradient = off_policy_gradient(SMALL, batch, form="trajectory", **options)
    second = policy_gradient(SMALL, batch.segment(1), form="trajectory")
    assert_close(gradient.gradient, second.gradient, 1e-12)
    assert_close(gradient.max_weight_share, np.ones(2), 1e-12)
    with pytest.warns(EffectiveSampleSizeWarning):
        off_policy_gradient(SMALL, batch, form="trajectory", ess_threshold=0.6)


@pytest.mark.parametrize("baseline", [None, OptimalScalar(), OptimalPerComponent()])
def test_huge_weights_of_huge_returns_stay_finite(baseline):
    batch = alike([400.0, 400, 0, 0, 1, 2], length=2)
    found = off_policy_gradient(SMALL, batch, form="per_decision", baseline=baseline, on_low_ess="ignore")
    assert np.isfinite(found.gradient).all()
    assert np.isfinite(found.standard_error).all()


def test_a_ratio_of_zero_ends_a_return():
    batch = alike([0.0, -np.inf, 800, 0], length=4, rewards=[1.0, 10, 100, 0])
    found = off_policy_gradient(SMALL, batch, form="per_decision", on_low_ess="ignore")
    assert_close(found.gradient, SMALL.scores(batch.obs, batch.actions)[0] * 1.0, 1e-12)


def test_one_episode_of_all_the_weight_gets_no_baseline_from_rounding():
    batch = alike([40.0, 0, 0.1, 0.2])
    options = {"form": "action_only", "on_low_ess": "ignore"}
    found = off_policy_gradient(SMALL, batch, baseline=OptimalScalar(), **options)
    without = off_policy_gradient(SMALL, batch, **options)
    assert_close(found.gradient, without.gradient, 1e-9)  # what is left of the sums is rounding: b = 0


def test_nan_is_not_enough_weight():
    with pytest.raises(ValueError, match="effective sample size: nan of 3"):
        off_policy_gradient(SMALL, alike([0.0, np.nan, 0.0]), form="action_only", on_low_ess="raise")


def test_times_without_any_weight_add_nothing():
    batch = alike([-np.inf, 0.0, 0.0, -np.inf]).replace(ends=[1, 0, 0, 1], terminated=[1, 0, 0, 1])
    found = importance_weighted_return(SMALL, batch, self_normalize=True, on_low_ess="ignore")
    assert math.isfinite(found.value)
    assert math.isfinite(found.standard_error)


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("self_normalize", [True, False])
@pytest.mark.parametrize("size", [90.0, 800.0, -800.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_never_overflow(form, self_normalize, size, dtype):
    """Trap 13: exp(89) is infinite in float32, exp(710) in float64."""
    policy = GaussianPolicy(2, 1, hidden=(), dtype=dtype, seed=0)
    rng = np.random.default_rng(0)
    obs, actions = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    log_rho = np.where(np.arange(12) % 5 == 1, size, 0.1)
    batch = Batch(
        obs,
        actions,
        rng.normal(size=12),
        np.arange(12) % 4 == 3,
        log_probs=policy.log_prob(obs, actions) - log_rho,
    )
    found = off_policy_gradient(policy, batch, form=form, self_normalize=self_normalize, on_low_ess="ignore")
    assert np.isfinite(found.gradient).all()
    assert np.isfinite(found.standard_error).all()
    assert (found.effective_sample_size >= 1 - 1e-12).all()
    assert (found.effective_sample_size <= 3 + 1e-12).all()


def test_weights_that_all_vanish_give_nothing():
    batch = recorded(BEHAVIOUR, *trajectories(2)[:3]).replace(log_probs=np.full(6, np.inf))
    found = off_policy_gradient(TARGET, batch, form="per_decision", self_normalize=True, on_low_ess="ignore")
    assert (found.gradient == 0).all()
    assert (found.effective_sample_size == 0).all()


# ---- warnings and errors ----


@pytest.fixture
def lopsided():
    """Ten episodes, of which one has all the weight at the second step."""
    episode = next(t for t in trajectories(2) if len(t) == 2)
    batch = recorded(TARGET, *[episode] * 10)
    logs = batch.log_probs.copy()
    logs[1] -= 50
    return batch.replace(log_probs=logs)


def test_too_few_episodes_with_weight_are_told(lopsided):
    message = (
        r"effective sample size: 1 of 10 episodes at step 1, where the largest weight has 100% of the sum"
    )
    with pytest.warns(EffectiveSampleSizeWarning, match=message):
        off_policy_gradient(TARGET, lopsided, form="per_decision", ess_threshold=0.2)
    with pytest.warns(EffectiveSampleSizeWarning) as caught:
        off_policy_gradient(TARGET, lopsided, form="per_decision", ess_threshold=0.2)
    assert caught[0].filename == __file__  # where the user called it
    with pytest.raises(ValueError, match=message):
        off_policy_gradient(TARGET, lopsided, form="per_decision", ess_threshold=0.2, on_low_ess="raise")
    with pytest.warns(EffectiveSampleSizeWarning, match=message):
        importance_weighted_return(TARGET, lopsided, ess_threshold=0.2)
    off_policy_gradient(TARGET, lopsided, form="per_decision", ess_threshold=0.05)  # no warning
    off_policy_gradient(TARGET, lopsided, form="per_decision", ess_threshold=0.2, on_low_ess="ignore")


def test_first_order_weights_are_judged_among_the_living(recwarn):
    """One long episode among ten short ones has all the weight there is at late times: no warning."""
    rng = np.random.default_rng(0)
    lengths = [1] * 10 + [5]
    obs, actions = rng.normal(size=(15, 1)), rng.normal(size=(15, 1))
    ends = np.zeros(15, bool)
    ends[np.cumsum(lengths) - 1] = True
    batch = Batch(obs, actions, np.ones(15), ends, log_probs=SMALL.log_prob(obs, actions))
    off_policy_gradient(SMALL, batch, form="action_only", ess_threshold=0.5)
    assert recwarn.list == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "td"}, "form: expected one of 'trajectory', 'per_decision', 'past_only'"),
        ({"form": "trajectory", "clip": 0}, "clip: expected a positive number or None, got 0"),
        (
            {"form": "trajectory", "on_low_ess": "cry"},
            "on_low_ess: expected one of 'warn', 'raise', 'ignore'",
        ),
        ({"form": "trajectory", "ess_threshold": -1}, "ess_threshold: expected a finite number >= 0, got -1"),
        ({"form": "marginal"}, "state_log_ratios: expected one number a step for form 'marginal', got None"),
        (
            {"form": "trajectory", "state_log_ratios": [0.0]},
            "state_log_ratios: expected None for form 'trajectory', got an array",
        ),
        (
            {"form": "marginal", "state_log_ratios": [0.0]},
            r"state_log_ratios: expected shape \(20,\), got \(1,\)",
        ),
    ],
)
def test_wrong_arguments(lopsided, arguments, message):
    with pytest.raises(ValueError, match=message):
        off_policy_gradient(TARGET, lopsided, **arguments)


def test_the_behaviour_policy_must_be_known(lopsided):
    for call in (
        lambda b: off_policy_gradient(TARGET, b, form="trajectory"),
        lambda b: importance_weighted_return(TARGET, b),
    ):
        with pytest.raises(
            ValueError, match="log_probs: expected the behaviour policy's in the batch, got None"
        ):
            call(lopsided.replace(log_probs=None))


def test_mixtures_need_policies_and_positive_proportions(lopsided):
    with pytest.raises(ValueError, match="policies: expected at least one, got none"):
        mixture_log_probs([], lopsided)
    with pytest.raises(ValueError, match="proportions: expected positive numbers"):
        mixture_log_probs([TARGET, BEHAVIOUR], lopsided, proportions=[1, 0])
    with pytest.raises(ValueError, match=r"proportions: expected shape \(2,\), got \(1,\)"):
        mixture_log_probs([TARGET, BEHAVIOUR], lopsided, proportions=[1])


# ---- infinite weights, and products of ratios beyond the range of floats ----

COIN = CategoricalPolicy(1, 2, hidden=(), dtype="float64")
COIN.params = np.zeros(4)  # both actions alike: the score of the first is (½, −½), whatever it follows


def coin_batch(log_ratios, rewards, ends=None):
    n = len(rewards)
    ends = np.arange(n) == n - 1 if ends is None else ends
    return Batch(
        np.zeros((n, 1)), np.zeros(n, int), rewards, ends, log_probs=np.log(0.5) - np.asarray(log_ratios)
    )


@pytest.mark.parametrize(
    ("log_ratios", "rewards"),
    [
        (np.r_[np.full(200, -1.5), np.full(200, 1.5)], np.ones(400)),
        (np.r_[np.full(20, -60.0), np.full(20, 60.0)], np.ones(40)),
        ([0.0, 800.0, 0.0], [1.0, 0.0, 0.0]),
        ([-800.0, 800.0, 0.0], [0.0, 1.0, 1.0]),
        ([-90.0, 0.0, 90.0], [0.0, 0.0, 1.0]),
    ],
)
def test_per_decision_needs_the_weights_of_pasts_alone(log_ratios, rewards):
    """Σ_u W_u r_u, in which later ratios can't overflow: each W_u counts once for every score until u."""
    batch = coin_batch(log_ratios, rewards)
    found = off_policy_gradient(COIN, batch, form="per_decision", on_low_ess="ignore").gradient
    weights = np.exp(np.minimum(np.cumsum(log_ratios), 170))
    expected = 0.5 * math.fsum(weights * rewards * np.arange(1, len(rewards) + 1))
    np.testing.assert_allclose(found, [0, 0, expected, -expected], rtol=1e-11)
    # With limited weights: min(W_t, clip) Σ_{u ≥ t} ρ_{t+1} ⋯ ρ_u r_u, by logs.
    clipped = off_policy_gradient(COIN, batch, form="per_decision", clip=0.5, on_low_ess="ignore").gradient
    past = np.cumsum(log_ratios)
    expected = 0.5 * math.fsum(
        math.exp(min(past[t], math.log(0.5)) + past[u] - past[t]) * rewards[u]
        for t in range(len(rewards))
        for u in range(t, len(rewards))
        if rewards[u] != 0
    )
    np.testing.assert_allclose(clipped[2], expected, rtol=1e-9)


@pytest.mark.parametrize("form", ["trajectory", "per_decision", "past_only", "action_only"])
@pytest.mark.parametrize("count", [1, 2])
def test_infinite_weights_share_everything(form, count):
    logs = np.array([np.inf] * count + [0.3, -0.2, -np.inf])
    rewards, ends = np.arange(1.0, len(logs) + 1), np.ones(len(logs), bool)
    batch = coin_batch(logs, rewards, ends)
    found = off_policy_gradient(COIN, batch, form=form, self_normalize=True, on_low_ess="ignore")
    assert found.effective_sample_size[0] == effective_sample_size(logs) == count
    assert found.max_weight_share[0] == 1 / count
    np.testing.assert_allclose(found.gradient[2], 0.5 * rewards[:count].mean(), rtol=1e-12)
    plain = off_policy_gradient(COIN, batch, form=form, on_low_ess="ignore")
    assert np.isfinite(plain.gradient).all()
    assert plain.effective_sample_size[0] == count


def test_importance_weighted_return_of_impossible_actions():
    """No number stands for a weight of ∞, unless weights are limited or normalised; and nothing warns."""
    batch = coin_batch([np.inf, 0.0, 0.0], [1.0, 2.0, 3.0], np.ones(3, bool))
    share = {"on_low_ess": "ignore"}
    found = importance_weighted_return(COIN, batch, **share)
    assert found.value == math.inf
    assert math.isnan(found.standard_error)
    assert found.effective_sample_size == 1.0
    normalised = importance_weighted_return(COIN, batch, self_normalize=True, **share)
    assert normalised.value == pytest.approx(1.0)
    assert math.isfinite(normalised.standard_error)
    assert importance_weighted_return(COIN, batch, clip=1.0, **share).value == pytest.approx(2.0)
    nothing = importance_weighted_return(COIN, batch.replace(rewards=[0.0, 2.0, 3.0]), **share)
    assert nothing.value == pytest.approx(5 / 3)


def test_actions_that_neither_policy_takes_weigh_nothing():
    class Never(CategoricalPolicy):
        def log_prob(self, obs, actions):
            return np.full(len(obs), -np.inf)

    never = Never(1, 2, hidden=(), dtype="float64")
    batch = coin_batch([0.0, 0.0], [1.0, 2.0], np.ones(2, bool)).replace(log_probs=[-np.inf, 0.0])
    for form in FORMS:
        found = off_policy_gradient(never, batch, form=form, on_low_ess="ignore")
        assert (found.gradient == 0).all()
        assert found.effective_sample_size.tolist() == [0.0]


@pytest.mark.parametrize("per_decision", [True, False])
def test_importance_weighted_return_with_limited_weights(gaussian_batch, per_decision):
    policy, batch, log_rho = gaussian_batch
    form = "past_only" if per_decision else "trajectory"
    w, *_ = by_loops(batch, log_rho, form, clip=1.4, self_normalize=False)
    expected = np.sum(w * batch.rewards * 0.9**batch.step_in_segment) / batch.num_segments
    options = {"gamma": 0.9, "per_decision": per_decision, "on_low_ess": "ignore"}
    found = importance_weighted_return(policy, batch, clip=1.4, **options)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.value != pytest.approx(importance_weighted_return(policy, batch, **options).value)
    with pytest.raises(ValueError, match="clip: expected a positive number or None, got 0"):
        importance_weighted_return(policy, batch, clip=0)
