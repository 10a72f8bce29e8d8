"""OffPolicyPG: steps along the off-policy estimate, and reuses what still has weight."""

from __future__ import annotations

import numpy as np
import pytest

import pgcore
from pgcore import Batch
from pgcore.algorithms.off_policy_pg import OffPolicyPG
from pgcore.baselines import LinearFeatures, TimeDependent
from pgcore.data.replay import Replay
from pgcore.estimators import off_policy_gradient
from pgcore.policies import GaussianPolicy
from support.oracles import assert_close


def make(seed=0, **options):
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    settings = {
        "critic": TimeDependent(),
        "gamma": 0.9,
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "normalize_advantage": False,
        "n_gradient_steps": 1,
        "min_ess": 0.0,
    }
    return OffPolicyPG("Pendulum-v1", policy=policy, seed=seed, **{**settings, **options})


def played(policy, seed=0, num_steps=60):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(num_steps, 3))
    actions, log_probs = policy.sample(obs, rng)
    ends = np.arange(num_steps) % 6 == 5
    return Batch(obs, actions, rng.normal(size=num_steps), ends, log_probs=log_probs)


class Critic(LinearFeatures):
    """One that has learned something, so that values and bootstrap values are not zero."""

    def __init__(self):
        super().__init__()
        self._weights = np.linspace(-1, 1, 10)


def cut(batch, seed=0):
    """The same steps with two segments truncated."""
    terminated = batch.ends & ~np.isin(np.arange(batch.num_steps), [11, 41])
    bootstrap = np.random.default_rng(seed).normal(size=(batch.num_segments, 3))
    return batch.replace(terminated=terminated, bootstrap_obs=bootstrap)


def step_of(model, batch):
    before = model.policy.copy()
    logs = model.update(batch)
    return before, (model.policy.params - before.params) / model.config.learning_rate, logs


@pytest.mark.parametrize("form", ["trajectory", "per_decision", "past_only", "action_only"])
@pytest.mark.parametrize("options", [{}, {"self_normalize": True}, {"clip": 1.05}, {"discount_states": True}])
def test_steps_go_along_the_estimate_from_all_batches(form, options):
    model = make(form=form, **options)
    batches = [played(model.policy)]
    before, step, logs = step_of(model, batches[0])
    expected = off_policy_gradient(
        before, batches[0], form=form, gamma=0.9, baseline=TimeDependent(), **options
    )
    assert_close(step, expected.gradient, 1e-6)
    assert logs["n_batches"] == 1
    model.policy.params = model.policy.params + 0.05  # so that the ratios are not 1
    batches.append(played(model.policy, 1))
    before, step, logs = step_of(model, batches[1])
    both = Batch.concatenate(batches[::-1])
    expected = off_policy_gradient(before, both, form=form, gamma=0.9, baseline=TimeDependent(), **options)
    assert_close(step, expected.gradient, 1e-6)
    assert logs["n_batches"] == 2
    assert np.abs(expected.effective_sample_size - both.num_segments).max() > 1e-3


def test_truncated_segments_continue_with_the_critics_value_and_the_critic_learns_afterwards():
    """Trap 17, and one gradient after another with ratios of its own."""
    model = make(critic=Critic(), n_gradient_steps=2, learning_rate=0.01)
    first, second = cut(played(model.policy)), cut(played(model.policy, 1), 1)
    model.update(first)
    old = Critic()
    old.load_state(model.critic.state())
    fitted = Critic()  # to the newest batch alone, whatever else is learned from
    bootstrap = Critic().bootstrap_values(first)
    fitted.fit(
        first, pgcore.kernels.reward_to_go(first.rewards, 0.9, ends=first.ends, bootstrap_values=bootstrap)
    )
    assert_close(model.critic.state()["weights"], fitted.state()["weights"], 1e-12)
    policy, both = model.policy.copy(), Batch.concatenate([second, first])
    for _ in range(2):
        estimate = off_policy_gradient(policy, both, form="action_only", gamma=0.9, baseline=old)
        policy.params = policy.params + 0.01 * estimate.gradient
    model.update(second)
    assert_close(model.policy.params, policy.params, 1e-9)


def test_only_the_last_batches_are_reused():
    model = make(n_batches=3)
    counts = [step_of(model, played(model.policy, seed))[2]["n_batches"] for seed in range(5)]
    assert counts == [1, 2, 3, 3, 3]
    model = make(n_batches=1)
    assert [step_of(model, played(model.policy, seed))[2]["n_batches"] for seed in range(3)] == [1, 1, 1]


def test_batches_without_weight_are_left_out_and_stepping_ends_early():
    model = make(min_ess=0.9, n_gradient_steps=20, learning_rate=0.02)
    first = played(model.policy)
    _, _, logs = step_of(model, first)
    assert 1 < logs["n_gradient_steps"] < 20
    assert logs["effective_sample_size"] < 0.9
    assert model.share(first) == logs["effective_sample_size"]
    _, _, logs = step_of(model, played(model.policy, 1))
    assert logs["n_batches"] == 1  # the first has moved too far away
    calm = make(min_ess=0.9, n_gradient_steps=20, learning_rate=1e-6)
    assert step_of(calm, first)[2]["n_gradient_steps"] == 20
    assert step_of(calm, played(calm.policy, 1))[2]["n_batches"] == 2


def test_the_share_of_weight_is_that_of_the_forms_own_weights():
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    batch = played(policy)
    shares = {}
    for form in ("trajectory", "per_decision", "past_only", "action_only"):
        model = make(form=form)
        model.policy.params = policy.params + 0.1
        shares[form] = model.share(batch)
        logs = model.policy.log_prob(batch.obs, batch.actions) - batch.log_probs
        segments = logs.reshape(10, 6)
        if form == "trajectory":
            logs = np.repeat(segments.sum(axis=1), 6)
        elif form != "action_only":
            logs = np.cumsum(segments, axis=1).reshape(-1)
        w = np.exp(logs)
        assert_close(shares[form], w.sum() ** 2 / (w**2).sum() / 60, 1e-12)
    assert shares["trajectory"] < shares["past_only"] < shares["action_only"]


def test_demonstrations_count_while_they_have_weight():
    teacher = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    teacher.params = teacher.params + 0.02
    shown = played(teacher, 7)
    model = make(demonstrations=shown)
    before, step, logs = step_of(model, batch := played(model.policy))
    expected = off_policy_gradient(
        before, Batch.concatenate([batch, shown]), form="action_only", gamma=0.9, baseline=TimeDependent()
    )
    assert_close(step, expected.gradient, 1e-6)
    assert logs["n_batches"] == 2
    assert step_of(model, played(model.policy, 1))[2]["n_batches"] == 3  # for good, not as one of the last
    strict = make(demonstrations=shown, min_ess=1.0)
    assert step_of(strict, batch)[2]["n_batches"] == 1


def test_demonstrations_must_say_their_probabilities_and_fit():
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    batch = played(policy)
    with pytest.raises(
        ValueError, match=r"demonstrations: expected a batch with the log_probs of its actions"
    ):
        make(demonstrations=batch.replace(log_probs=None))
    with pytest.raises(ValueError, match="demonstrations: expected"):
        OffPolicyPG("CartPole-v1", demonstrations=batch)


def test_demonstrations_that_nothing_can_be_learned_from_are_refused():
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    batch = played(policy)
    for name in ("rewards", "log_probs"):
        bad = getattr(batch, name).copy()
        bad[3] = np.nan
        with pytest.raises(ValueError, match=f"demonstrations: expected finite {name}"):
            make(demonstrations=batch.replace(**{name: bad}))
    open_ended = batch.replace(terminated=np.zeros(60, bool))
    with pytest.raises(ValueError, match="demonstrations: expected bootstrap_obs for truncated segments"):
        make(demonstrations=open_ended, critic=Critic())
    model = make(demonstrations=open_ended)  # a baseline that asks for no bootstrap values
    assert step_of(model, cut(played(model.policy)))[2]["n_batches"] == 2


def test_weights_of_whole_pasts_need_whole_episodes():
    with pytest.raises(ValueError, match="form: expected 'action_only' unless whole_episodes is True"):
        make(form="past_only", whole_episodes=False, critic=Critic())


def test_a_resumed_run_is_the_unbroken_one(tmp_path):
    options = {"num_envs": 2, "n_steps": 30, "whole_episodes": True, "n_gradient_steps": 3, "seed": 5}
    unbroken = OffPolicyPG("CartPole-v1", **options).learn(400)
    broken = OffPolicyPG("CartPole-v1", **options).learn(200)
    path = broken.save(tmp_path / "model.npz")
    again = pgcore.load(path, env="CartPole-v1")
    assert len(again.replay.batches) == len(broken.replay.batches) > 0
    rest = unbroken.num_timesteps - again.num_timesteps
    again.learn(rest, reset_num_timesteps=False)
    assert again.num_timesteps == unbroken.num_timesteps
    np.testing.assert_array_equal(again.policy.params, unbroken.policy.params)


def test_a_replay_keeps_whole_batches():
    policy = GaussianPolicy(3, 1, hidden=(), dtype="float64", seed=2)
    replay = Replay(2)
    for seed in range(3):
        replay.add(cut(played(policy, seed)))
    again = Replay(2)
    again.add(played(policy, 9))
    again.load_state(replay.state())
    assert len(again.batches) == 2
    for one, other in zip(again.batches, replay.batches, strict=True):
        for name in ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    again.load_state({})
    assert not again.batches
