"""Every field of every configuration does something, and does it where it should.

`EFFECTS` names a change for each field. A field that is accepted and never read makes no difference, and
fails. What exactly a field does is tested beside its algorithm, and for those that are easily mixed up below.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest

import pgcore
from pgcore import NPG, PPO, REINFORCE, TRPO, Batch, BehaviourCloning, OffPolicyPG
from pgcore.algorithms import actor_critic
from pgcore.algorithms.ppo import AdaptiveCoefficient
from pgcore.baselines import ValueNetwork
from pgcore.optim import SurrogateAscent
from pgcore.optim.line_search import LineSearchReason
from pgcore.policies import CategoricalPolicy

LQR = "pgcore.envs:pgcore/LQR-v0"
ITERATIONS = 3

# field: (settings of both runs, what one of them has besides). `env_id` counts as a setting.
OF_ALL = {
    "n_steps": ({}, {"n_steps": 48}),
    "normalize_observations": ({}, {"normalize_observations": True}),
    "init_log_std": ({"env_id": LQR}, {"init_log_std": -0.7}),
}
OF_PLAYERS = {
    **OF_ALL,
    "whole_episodes": ({"whole_episodes": False}, {"whole_episodes": True}),
    "gamma": ({}, {"gamma": 0.6}),
}
OF_ACTOR_CRITICS = {
    **OF_PLAYERS,
    "gae_lambda": ({}, {"gae_lambda": 0.2}),
    "normalize_advantage": ({}, {"normalize_advantage": False}),
    "ent_coef": ({}, {"ent_coef": 0.5}),
}
OF_NATURAL_GRADIENTS = {
    **OF_ACTOR_CRITICS,
    "target_kl": ({}, {"target_kl": 0.002}),
    "step_schedule": ({}, {"step_schedule": "linear"}),
    "cg_max_steps": ({}, {"cg_max_steps": 2}),
    "cg_damping": ({}, {"cg_damping": 0.5}),
    "cg_rtol": ({}, {"cg_rtol": 0.5}),
    "cg_preconditioner": ({"cg_max_steps": 2}, {"cg_preconditioner": "diagonal"}),
    "fisher": ({}, {"fisher": "empirical"}),
    "sub_sampling_factor": ({}, {"sub_sampling_factor": 3}),
    "fisher_sub_sampling_factor": ({}, {"fisher_sub_sampling_factor": 3}),
}
OF_POLICY_GRADIENTS = {
    **OF_PLAYERS,
    "whole_episodes": ({"baseline": "linear", "whole_episodes": False}, {"whole_episodes": True}),
    "discount_states": ({"whole_episodes": True}, {"discount_states": True}),
    "baseline": ({"baseline": "none"}, {"baseline": "linear"}),
    "normalize_advantage": ({"optimizer": "sgd"}, {"normalize_advantage": False}),
    "mean_over": ({"optimizer": "sgd"}, {"mean_over": "steps"}),
    "optimizer": ({}, {"optimizer": "sgd"}),
    "learning_rate": ({}, {"learning_rate": 0.05}),
    "learning_rate_schedule": ({}, {"learning_rate_schedule": "linear"}),
    "max_grad_norm": ({"optimizer": "sgd"}, {"max_grad_norm": 1e-3}),
}
FAR = {
    "target_kl": 2.0,
    "cg_damping": 1e-3,
}  # where the quadratic model fails, so that candidates are refused
EFFECTS = {
    NPG: {
        **OF_NATURAL_GRADIENTS,
        "step_rule": ({}, {"step_rule": "fixed"}),
        "step_size": ({"step_rule": "fixed"}, {"step_size": 0.2}),
    },
    TRPO: {
        **OF_NATURAL_GRADIENTS,
        "line_search_shrinking_factor": (FAR, {"line_search_shrinking_factor": 0.3}),
        "line_search_max_iter": (FAR, {"line_search_max_iter": 1}),
        "line_search_sub_sampling_factor": (FAR, {"line_search_sub_sampling_factor": 16}),
    },
    PPO: {
        **OF_ACTOR_CRITICS,
        "n_epochs": ({}, {"n_epochs": 2}),
        "batch_size": ({}, {"batch_size": 16}),
        "learning_rate": ({}, {"learning_rate": 0.01}),
        "learning_rate_schedule": ({}, {"learning_rate_schedule": "linear"}),
        "clip_range": ({"learning_rate": 0.05}, {"clip_range": None}),
        "clip_range_schedule": ({"learning_rate": 0.05}, {"clip_range_schedule": "linear"}),
        "max_grad_norm": ({"normalize_advantage": False}, {"max_grad_norm": 1e-6}),
        "target_kl": ({"learning_rate": 0.05}, {"target_kl": 1e-3}),
        "kl_coef": ({"learning_rate": 0.01}, {"kl_coef": 5.0}),
        "kl_adaptive": ({"kl_coef": 5.0, "target_kl": 1e-4}, {"kl_adaptive": True}),
    },
    REINFORCE: {**OF_POLICY_GRADIENTS, "form": ({}, {"form": "trajectory"})},
    OffPolicyPG: {
        **OF_POLICY_GRADIENTS,
        "form": ({}, {"form": "past_only", "min_ess": 0.0}),
        "self_normalize": ({"min_ess": 0.0}, {"self_normalize": True}),
        "clip": ({"min_ess": 0.0}, {"clip": 0.9}),
        "n_batches": ({"min_ess": 0.1}, {"n_batches": 1}),
        "n_gradient_steps": ({}, {"n_gradient_steps": 2}),
        "min_ess": ({"learning_rate": 0.05}, {"min_ess": 0.999}),
    },
    BehaviourCloning: {
        **OF_ALL,
        "batch_size": ({}, {"batch_size": 16}),
        "optimizer": ({}, {"optimizer": "sgd"}),
        "learning_rate": ({}, {"learning_rate": 0.05}),
        "learning_rate_schedule": ({}, {"learning_rate_schedule": "linear"}),
        "max_grad_norm": ({"optimizer": "sgd"}, {"max_grad_norm": 1e-3}),
        "ent_coef": ({}, {"ent_coef": 2.0}),
        "validation_fraction": ({}, {"validation_fraction": 0.4}),
    },
}
# What tells the value network alone: its parameters change, and the policy's first update does not.
CRITICS_OWN = {
    NPG: {
        "learning_rate": ({}, {"learning_rate": 0.02}),
        "batch_size": ({}, {"batch_size": 16}),
        "n_critic_updates": ({}, {"n_critic_updates": 2}),
    },
    PPO: {
        "critic_learning_rate": ({}, {"critic_learning_rate": 0.02}),
        "critic_batch_size": ({}, {"critic_batch_size": 16}),
        "n_critic_updates": ({}, {"n_critic_updates": 2}),
    },
    REINFORCE: {
        "critic_learning_rate": ({"baseline": "value_network"}, {"critic_learning_rate": 0.02}),
        "batch_size": ({"baseline": "value_network"}, {"batch_size": 16}),
        "n_critic_updates": ({"baseline": "value_network"}, {"n_critic_updates": 2}),
    },
    BehaviourCloning: {},
}
CRITICS_OWN[TRPO] = CRITICS_OWN[NPG]
CRITICS_OWN[OffPolicyPG] = CRITICS_OWN[REINFORCE]
WITHOUT_EFFECT_ON_NUMBERS = {"parallel_critic"}  # tested below


def cases(table):
    return [
        pytest.param(kind, field, *change, id=f"{kind.__name__}-{field}")
        for kind, changes in table.items()
        for field, change in changes.items()
    ]


@functools.cache
def teacher(obs_dim, discrete):
    rng = np.random.default_rng(5)
    obs = rng.normal(size=(400, obs_dim))
    actions = (obs[:, -1] + 0.5 * rng.normal(size=400) > 0).astype(int) if discrete else -0.5 * obs
    return Batch(obs, actions, np.zeros(400), np.arange(400) % 20 == 19)


def trained(kind, iterations=ITERATIONS, *, env_id="CartPole-v1", **settings):
    arguments = {"hidden": (6,), "num_envs": 2, "seed": 4, "n_steps": 64, **settings}
    if kind is BehaviourCloning:
        arguments["demonstrations"] = teacher(1 if env_id == LQR else 4, env_id != LQR)
    model = kind(env_id, **arguments)
    for _ in range(iterations):
        model.progress = model.num_iterations / iterations
        batch = model.collect()
        model.update(batch)
        model.observe(batch)
        model.num_iterations += 1
        model.num_updates += 1
    model.close()
    return model


def critic_of(model):
    return np.concatenate([np.ravel(value) for _, value in sorted(model.critic.state().items())])


@pytest.mark.parametrize("kind", list(EFFECTS), ids=lambda kind: kind.__name__)
def test_every_field_is_in_a_table(kind):
    tested = set(EFFECTS[kind]) | set(CRITICS_OWN[kind])
    fields = {field.name for field in dataclasses.fields(kind.config_class)}
    assert tested == fields - WITHOUT_EFFECT_ON_NUMBERS


@pytest.mark.parametrize(("kind", "field", "both", "change"), cases(EFFECTS))
def test_a_field_changes_what_is_learned(kind, field, both, change):
    assert field in change
    before, again, after = (trained(kind, **{**both, **more}) for more in ({}, {}, change))
    np.testing.assert_array_equal(before.policy.params, again.policy.params)  # else it would prove nothing
    difference = np.abs(before.policy.params - after.policy.params).max()
    assert difference > 1e-5


@pytest.mark.parametrize(("kind", "field", "both", "change"), cases(CRITICS_OWN))
def test_a_field_of_the_critic_changes_the_critic_alone(kind, field, both, change):
    assert field in change
    before, after = (trained(kind, 1, **{**both, **more}) for more in ({}, change))
    np.testing.assert_array_equal(before.policy.params, after.policy.params)
    assert np.abs(critic_of(before) - critic_of(after)).max() > 1e-5


@pytest.mark.parametrize("kind", [NPG, TRPO, PPO])
@pytest.mark.parametrize("parallel", [False, True])
def test_the_critic_is_fitted_on_a_second_thread_or_not(kind, parallel, monkeypatch):
    calls = []

    def spy(first, second):
        calls.append(True)
        return first(), second()

    monkeypatch.setattr(actor_critic, "side_by_side", spy)
    trained(kind, 1, parallel_critic=parallel)
    assert bool(calls) == parallel


# ---- fields that are easily mixed up ----


def model_and_batch(kind, **settings):
    """In double precision, with parameters of order one and a batch of its own actions."""
    policy = CategoricalPolicy(4, 2, hidden=(6,), dtype="float64", seed=3)
    policy.params = policy.params + 0.5 * np.random.default_rng(0).normal(size=policy.num_params)
    critic = ValueNetwork((5,), dtype="float64", seed=1, n_epochs=1)
    model = kind("CartPole-v1", policy=policy, critic=critic, **{"n_steps": 64, **settings})
    rng = np.random.default_rng(7)
    obs = rng.normal(size=(96, 4))
    batch = Batch(obs, policy.sample(obs, rng)[0], rng.normal(size=96), np.arange(96) % 12 == 11)
    return model, batch


def spied_epochs(model, monkeypatch):
    """The keyword arguments and row orders of every pass over a batch."""
    seen, original = [], SurrogateAscent.epoch

    def epoch(self, *arrays, **options):
        report = original(self, *arrays, **options)
        seen.append({**options, "order": np.array(arrays[4]), "report": report})
        return report

    monkeypatch.setattr(SurrogateAscent, "epoch", epoch)
    return seen


WHOLE = {"batch_size": 96, "learning_rate": 0.05}


def kl_after_one_step():
    model, batch = model_and_batch(PPO, n_epochs=1, **WHOLE)
    old = model.policy.log_prob(batch.obs, batch.actions)
    model.update(batch)
    log_ratios = model.policy.log_prob(batch.obs, batch.actions) - old
    return float(np.mean(np.expm1(log_ratios) - log_ratios)), np.exp(log_ratios)


@pytest.mark.parametrize(("share", "passes"), [(1 / 1.2, 2), (1 / 1.6, 1)])
def test_ppo_stops_at_one_and_a_half_times_its_target(share, passes):
    kl, _ = kl_after_one_step()
    model, batch = model_and_batch(PPO, n_epochs=2, target_kl=share * kl, **WHOLE)
    assert model.update(batch)["n_minibatches"] == passes


def test_a_minibatch_at_the_limit_is_still_taken():
    """Of the policy's own log-probabilities the KL is exactly 0."""
    model, batch = model_and_batch(PPO)
    old = model.policy.log_prob(batch.obs, batch.actions)
    data = batch.obs, batch.actions, batch.rewards, old, np.arange(96)
    ascent = SurrogateAscent(model.policy)
    first = ascent.epoch(*data, learning_rate=0.05, batch_size=96, max_kl=0.0)
    assert (first.minibatches, first.stopped) == (1, False)
    second = ascent.epoch(*data, learning_rate=0.05, batch_size=96, max_kl=0.0)
    assert (second.minibatches, second.stopped) == (0, True)


def test_ppo_makes_no_pass_after_it_stopped(monkeypatch):
    kl, _ = kl_after_one_step()
    model, batch = model_and_batch(PPO, n_epochs=6, target_kl=kl / 1.6, **WHOLE)
    seen = spied_epochs(model, monkeypatch)
    model.update(batch)
    assert [epoch["report"].stopped for epoch in seen] == [False, True]


def test_ppo_shuffles_anew_in_every_pass(monkeypatch):
    model, batch = model_and_batch(PPO, n_epochs=4)
    seen = spied_epochs(model, monkeypatch)
    model.update(batch)
    orders = [tuple(epoch["order"]) for epoch in seen]
    assert all(sorted(order) == list(range(96)) for order in orders)
    assert len({*orders, tuple(range(96))}) == 5


def test_ppo_logs_the_last_passs_share_of_clipped_ratios():
    _, ratios = kl_after_one_step()
    share = float(np.mean(np.abs(ratios - 1) > 0.1))
    assert 0 < share < 1
    model, batch = model_and_batch(PPO, n_epochs=2, clip_range=0.1, **WHOLE)
    assert model.update(batch)["clip_fraction"] == pytest.approx(share)


@pytest.mark.parametrize("name", ["learning_rate", "clip_range"])
def test_each_schedule_moves_its_own_setting(name):
    model, batch = model_and_batch(PPO, **{f"{name}_schedule": "linear"})
    model.progress = 0.75
    logs = model.update(batch)
    left = {"learning_rate": 1.0, "clip_range": 1.0, name: 0.25}
    assert logs["learning_rate"] == pytest.approx(left["learning_rate"] * 3e-4)
    assert logs["clip_range"] == pytest.approx(left["clip_range"] * 0.2)


def test_the_adapted_penalty_is_the_one_used(monkeypatch):
    model, batch = model_and_batch(PPO, kl_coef=3.0, kl_adaptive=True, target_kl=1e-7, n_epochs=1, **WHOLE)
    seen = spied_epochs(model, monkeypatch)
    for _ in range(3):
        model.update(batch)
    assert [epoch["kl_coef"] for epoch in seen] == [3.0, 6.0, 12.0]


@pytest.mark.parametrize(
    ("kl", "factor"), [(1.6, 2.0), (1.4, 1.0), (1.0, 1.0), (0.7, 1.0), (0.6, 0.5), (0.0, 0.5)]
)
def test_the_penalty_stays_near_its_target(kl, factor):
    coefficient = AdaptiveCoefficient(3.0)
    coefficient.adapt(kl=0.01 * kl, target=0.01)
    assert coefficient.value == 3.0 * factor


def test_npgs_fixed_step_follows_the_schedule():
    model, batch = model_and_batch(NPG, step_rule="fixed", step_size=0.2, step_schedule="linear")
    model.progress = 0.75
    assert model.update(batch)["step_size"] == pytest.approx(0.05)


def test_npg_halves_a_step_whose_kl_is_not_a_number(monkeypatch):
    model, batch = model_and_batch(NPG)
    original, calls = model.policy.kl, []

    def kl(obs, old, params=None):
        calls.append(True)
        return np.full(len(obs), np.nan) if len(calls) == 1 else original(obs, old, params=params)

    monkeypatch.setattr(model.policy, "kl", kl)
    logs = model.update(batch)
    assert logs["step_halvings"] == 1
    assert math.isfinite(logs["kl_divergence_loss"])
    assert logs["step_size"] > 0


def test_trpos_line_search_counts_the_entropy_bonus_as_a_gain():
    """Without rewards the bonus is all there is to gain."""
    model, batch = model_and_batch(TRPO, ent_coef=1.0, normalize_advantage=False)
    batch = batch.replace(rewards=np.zeros(96))
    before = model.policy.entropy(batch.obs).mean()
    logs = model.update(batch)
    assert logs["line_search_reason"] == LineSearchReason.ACCEPTED
    gain = model.policy.entropy(batch.obs).mean() - before
    assert gain > 0
    assert logs["policy_objective"] > 0


@pytest.mark.parametrize("shrink", [0.5, 0.8])
def test_trpo_shortens_by_its_factor(shrink):
    settings = {"target_kl": 0.5, "cg_damping": 1e-3, "line_search_shrinking_factor": shrink}
    model, batch = model_and_batch(TRPO, **settings)
    twin, _ = model_and_batch(TRPO, **settings)
    estimate = actor_critic.Advantages.of(
        batch, twin.critic, gamma=twin.config.gamma, gae_lambda=twin.config.gae_lambda
    )
    x = twin.direction(batch, twin.advantages(estimate)).x
    old = model.policy.params
    logs = model.update(batch)
    steps = logs["line_search_steps"]
    assert steps > 1
    np.testing.assert_allclose(
        model.policy.params - old, shrink ** (steps - 1) * logs["step_size"] * x, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("kind", [NPG, TRPO])
@pytest.mark.parametrize(
    ("settings", "gradient", "fisher"),
    [
        ({"sub_sampling_factor": 4}, 24, 24),
        ({"fisher_sub_sampling_factor": 4}, 96, 24),
        ({"sub_sampling_factor": 2, "fisher_sub_sampling_factor": 8}, 48, 12),
    ],
)
def test_each_subsample_has_its_own_size(kind, settings, gradient, fisher, monkeypatch):
    model, batch = model_and_batch(kind, **settings)
    rows = {"score_product": [], "fisher": []}
    for name, seen in rows.items():
        original = getattr(model.policy, name)

        def spy(obs, *rest, original=original, seen=seen, **options):
            seen.append(len(obs))
            return original(obs, *rest, **options)

        monkeypatch.setattr(model.policy, name, spy)
    model.update(batch)
    assert rows == {"score_product": [gradient], "fisher": [fisher]}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"sub_sampling_factor": 4}, 24),
        ({"line_search_sub_sampling_factor": 4}, 24),
        ({"sub_sampling_factor": 2, "line_search_sub_sampling_factor": 8}, 12),
    ],
)
def test_the_line_search_has_a_subsample_of_its_own(settings, expected, monkeypatch):
    model, batch = model_and_batch(TRPO, **settings)
    seen, original = [], model.policy.kl

    def kl(obs, old, params=None):
        seen.append(len(obs))
        return original(obs, old, params=params)

    monkeypatch.setattr(model.policy, "kl", kl)
    model.update(batch)
    assert set(seen) == {expected}


def test_off_policy_stepping_ends_by_the_newest_batch_alone():
    model = pgcore.OffPolicyPG(
        "CartPole-v1", hidden=(6,), num_envs=2, n_steps=64, min_ess=0.05, learning_rate=0.03, seed=0
    )
    for _ in range(3):
        batch = model.collect()
        logs = model.update(batch)
    assert logs["n_batches"] > 1
    own = model.share(batch)
    everything = model.share(Batch.concatenate([batch, *list(model.replay.batches)[:-1]]))
    assert logs["effective_sample_size"] == pytest.approx(own)
    assert abs(everything - own) > 1e-3
