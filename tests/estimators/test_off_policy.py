"""Off-policy estimators against sums over all trajectories."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from pgcore.baselines import (
    AverageReturn,
    Constant,
    OptimalPerComponent,
    OptimalScalar,
    TimeDependent,
)
from pgcore.estimators import (
    EffectiveSampleSizeWarning,
    importance_weighted_return,
    mixture_log_probs,
    off_policy_gradient,
    policy_gradient,
)
from support.oracles import assert_close
from support.tiny_world import (
    NEXT,
    START,
    Trajectory,
    batch_of,
    exact_gradient,
    exact_return,
    expectation,
    log_probs,
    make_policy,
    probability,
    recorded,
    step_scores,
    trajectories,
)

FORMS = ("trajectory", "per_decision", "past_only", "action_only")
HORIZON = 3
TARGET, BEHAVIOUR = make_policy(0), make_policy(1, spread=0.8)


def gradient(*episodes, behaviour=BEHAVIOUR, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EffectiveSampleSizeWarning)
        return off_policy_gradient(TARGET, recorded(behaviour, *episodes), **options).gradient


def ratios(t):
    return np.exp(log_probs(TARGET.params, t) - log_probs(BEHAVIOUR.params, t))


# ---- expectations over all trajectories ----


@pytest.mark.parametrize("form", ["trajectory", "per_decision"])
@pytest.mark.parametrize("baseline", [None, Constant(1.3)])
@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_exact_forms_are_unbiased(form, baseline, gamma):
    mean = expectation(
        lambda t: gradient(t, form=form, baseline=baseline, gamma=gamma, discount_states=True),
        BEHAVIOUR,
        HORIZON,
    )
    assert_close(mean, exact_gradient(TARGET, HORIZON, gamma), 1e-12)


@pytest.mark.parametrize("form", ["trajectory", "per_decision"])
@pytest.mark.parametrize("kind", [AverageReturn, TimeDependent, OptimalScalar, OptimalPerComponent])
def test_baselines_from_the_other_episodes_leave_them_unbiased(form, kind):
    mean = expectation(lambda *t: gradient(*t, form=form, baseline=kind()), BEHAVIOUR, 2, count=2)
    assert_close(mean, exact_gradient(TARGET, 2), 1e-12)


def played_by(policies, t):
    """Probability that a different policy takes each action."""
    logs = [log_probs(policy.params, t)[i] for i, policy in enumerate(policies[: len(t)])]
    return t.chance * math.exp(sum(logs))


def first_order(share_of_past):
    """Σ_t E[∇log π'_t G_t] where one policy plays up to t, the target at t, the behaviour after it."""
    total = 0.0
    for t in trajectories(HORIZON):
        scores = step_scores(TARGET, t)
        for time in range(len(t)):
            who = [share_of_past] * time + [TARGET] + [BEHAVIOUR] * (len(t) - time - 1)
            total = total + played_by(who, t) * t.rewards[time:].sum() * scores[time]
    return total


def test_past_only_evaluates_the_behaviour_policys_future():
    mean = expectation(lambda t: gradient(t, form="past_only"), BEHAVIOUR, HORIZON)
    assert_close(mean, first_order(TARGET), 1e-12)
    assert np.linalg.norm(mean - exact_gradient(TARGET, HORIZON)) > 1e-2


def test_action_only_also_takes_the_behaviour_policys_states():
    mean = expectation(lambda t: gradient(t, form="action_only"), BEHAVIOUR, HORIZON)
    assert_close(mean, first_order(BEHAVIOUR), 1e-12)
    assert np.linalg.norm(mean - first_order(TARGET)) > 1e-2


def state_marginals(policy):
    """P(s_t = s), shape (HORIZON, 3); less than 1 in all where episodes have ended."""
    marginals = np.zeros((HORIZON, 3))
    marginals[0, list(START)] = list(START.values())
    acts = {
        (state, action): math.exp(log_probs(policy.params, Trajectory(1.0, (state,), (action,)))[0])
        for state, action in NEXT
    }
    for time in range(1, HORIZON):
        for pair, following in NEXT.items():
            for after, p in following:
                if after is not None:
                    marginals[time, after] += marginals[time - 1, pair[0]] * acts[pair] * p
    return marginals


def test_marginal_is_past_only_with_the_states_summed_out():
    new, old = state_marginals(TARGET), state_marginals(BEHAVIOUR)
    assert_close(new[0], old[0], 1e-15)

    def by_states(t):
        time = np.arange(len(t))
        ratio = np.log(new[time, t.states] / old[time, t.states])
        return gradient(t, form="marginal", state_log_ratios=ratio)

    assert_close(expectation(by_states, BEHAVIOUR, HORIZON), first_order(TARGET), 1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("self_normalize", [True, False])
def test_every_form_is_the_on_policy_one_where_the_policies_are_the_same(form, self_normalize):
    chosen = [trajectories(HORIZON)[i] for i in (0, 5, 9, 12, 20)]
    on_policy = "trajectory" if form == "trajectory" else "reward_to_go"
    for baseline in (None, TimeDependent(), OptimalScalar()):
        found = off_policy_gradient(
            TARGET, recorded(TARGET, *chosen), form=form, baseline=baseline, self_normalize=self_normalize
        )
        expected = policy_gradient(TARGET, batch_of(*chosen), form=on_policy, baseline=baseline)
        assert_close(found.gradient, expected.gradient, 1e-13)
        assert_close(found.standard_error, expected.standard_error, 1e-13)
        sizes = found.effective_sample_size
        if form != "action_only":
            assert_close(sizes, np.full(HORIZON, 5.0), 1e-13)
            assert_close(found.max_weight_share, np.full(HORIZON, 0.2), 1e-13)
        else:
            alive = [sum(len(t) > time for t in chosen) for time in range(HORIZON)]
            assert_close(sizes, np.array(alive, float), 1e-13)


def test_the_marginal_form_is_the_on_policy_one_where_the_policies_are_the_same():
    chosen = [trajectories(HORIZON)[i] for i in (0, 5, 9, 12, 20)]
    batch = recorded(TARGET, *chosen)
    found = off_policy_gradient(TARGET, batch, form="marginal", state_log_ratios=np.zeros(batch.num_steps))
    assert_close(found.gradient, policy_gradient(TARGET, batch).gradient, 1e-13)
    half = np.full(batch.num_steps, np.log(0.5))
    halved = off_policy_gradient(TARGET, batch, form="marginal", state_log_ratios=half)
    assert_close(halved.gradient, found.gradient / 2, 1e-13)


@pytest.mark.parametrize("per_decision", [True, False])
def test_the_weighted_return_is_unbiased(per_decision):
    for gamma in (1.0, 0.8):
        mean = expectation(
            lambda t, g=gamma: (
                importance_weighted_return(
                    TARGET, recorded(BEHAVIOUR, t), gamma=g, per_decision=per_decision
                ).value
            ),
            BEHAVIOUR,
            HORIZON,
        )
        assert_close(mean, exact_return(TARGET, HORIZON, gamma), 1e-12)


# ---- several behaviour policies ----


def test_a_mixture_of_policies_is_weighed_as_one():
    """With episodes from several policies, E over the mixture of any exact form is the target's gradient."""
    others, shares = [make_policy(1), make_policy(2), make_policy(3)], np.array([0.5, 0.3, 0.2])
    for form in ("trajectory", "per_decision"):
        total = 0.0
        for t in trajectories(HORIZON):
            q = sum(a * probability(p, t) for a, p in zip(shares, others, strict=True))
            batch = batch_of(t)
            batch = batch.replace(log_probs=mixture_log_probs(others, batch, proportions=10 * shares))
            assert_close(batch.log_probs.sum(), math.log(q / t.chance), 1e-12)
            total = total + q * off_policy_gradient(TARGET, batch, form=form, on_low_ess="ignore").gradient
        assert_close(total, exact_gradient(TARGET, HORIZON), 1e-12)


def test_a_mixture_of_several_episodes_is_each_ones_own():
    others = [make_policy(1), make_policy(2)]
    chosen = [trajectories(HORIZON)[i] for i in (3, 8, 14)]
    together = mixture_log_probs(others, batch_of(*chosen))
    alone = np.concatenate([mixture_log_probs(others, batch_of(t)) for t in chosen])
    assert_close(together, alone, 1e-14)
