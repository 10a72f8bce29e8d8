from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pgcore import REINFORCE, Batch
from pgcore.baselines import AverageReturn, Constant, LinearFeatures, TimeDependent, ValueNetwork
from pgcore.policies import CategoricalPolicy, GaussianPolicy

BASELINES = {
    "none": Constant,
    "average_return": AverageReturn,
    "time_dependent": TimeDependent,
    "linear": LinearFeatures,
    "value_network": ValueNetwork,
}


def make(**arguments):
    """Double precision and plain ascent with step 1: the change of the parameters is the gradient."""
    policy = CategoricalPolicy(4, 2, hidden=(6,), dtype="float64", seed=3)
    policy.params = policy.params + np.random.default_rng(0).normal(size=policy.num_params)
    arguments = {"optimizer": "sgd", "learning_rate": 1.0, "normalize_advantage": False, **arguments}
    return REINFORCE("CartPole-v1", policy=policy, n_steps=40, **arguments)


def play(rng, lengths=(3, 1, 5), terminated=True):
    """A made-up batch for CartPole's spaces, with rewards that differ from step to step."""
    steps = sum(lengths)
    ends = np.zeros(steps, bool)
    ends[np.cumsum(lengths) - 1] = True
    return Batch(
        rng.normal(size=(steps, 4)),
        rng.integers(2, size=steps),
        rng.normal(size=steps),
        ends,
        terminated=ends & terminated,
        bootstrap_obs=rng.normal(size=(len(lengths), 4)),
    )


def direct_gradient(model, batch, weight):
    """(1/N) Σ_i Σ_t ∇log π(a_it∣s_it) weight(i, t, rewards of episode i), row by row."""
    scores = model.policy.scores(batch.obs, batch.actions)
    total = np.zeros(model.policy.num_params)
    row = 0
    for i, length in enumerate(batch.segment_lengths):
        rewards = batch.rewards[row : row + length]
        for t in range(length):
            total += scores[row + t] * weight(i, t, rewards)
        row += length
    return total / batch.num_segments


def step_of(model, batch):
    before = model.policy.params
    logs = model.update(batch)
    return model.policy.params - before, logs


def discounted(rewards, gamma):
    return sum(gamma**k * reward for k, reward in enumerate(rewards))


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.0])
def test_reward_to_go_is_the_lectures_formula(rng, gamma):
    model, batch = make(gamma=gamma, baseline="none"), play(rng)
    expected = direct_gradient(model, batch, lambda i, t, rewards: discounted(rewards[t:], gamma))
    step, logs = step_of(model, batch)
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-12)
    assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(expected))


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("discount_states", [False, True])
def test_the_trajectory_form_weighs_all_steps_by_the_whole_return(rng, gamma, discount_states):
    model = make(gamma=gamma, baseline="none", form="trajectory", discount_states=discount_states)
    batch = play(rng)
    expected = direct_gradient(model, batch, lambda i, t, rewards: discounted(rewards, gamma))
    np.testing.assert_allclose(step_of(model, batch)[0], expected, rtol=1e-10, atol=1e-12)


def test_discounted_states_carry_gamma_to_the_t(rng):
    model, batch = make(gamma=0.8, baseline="none", discount_states=True), play(rng)
    expected = direct_gradient(model, batch, lambda i, t, rewards: 0.8**t * discounted(rewards[t:], 0.8))
    np.testing.assert_allclose(step_of(model, batch)[0], expected, rtol=1e-10, atol=1e-12)


def test_the_other_episodes_mean_is_subtracted(rng):
    model, batch = make(gamma=1.0, baseline="average_return", form="trajectory"), play(rng)
    totals = np.add.reduceat(batch.rewards, batch.segment_starts)
    expected = direct_gradient(model, batch, lambda i, t, rewards: totals[i] - np.delete(totals, i).mean())
    np.testing.assert_allclose(step_of(model, batch)[0], expected, rtol=1e-10, atol=1e-12)


def test_mean_over_steps(rng):
    batch = play(rng)
    episodes, steps = make(baseline="none"), make(baseline="none", mean_over="steps")
    np.testing.assert_allclose(
        step_of(steps, batch)[0] * batch.num_steps,
        step_of(episodes, batch)[0] * batch.num_segments,
        rtol=1e-9,
    )


def test_advantages_are_standardised_over_the_whole_batch(rng):
    model, batch = make(gamma=0.9, baseline="none", normalize_advantage=True), play(rng)
    returns = [
        discounted(batch.rewards[row : end + 1], 0.9)
        for start, end in zip(batch.segment_starts, batch.segment_ends, strict=True)
        for row in range(start, end + 1)
    ]
    standard = (returns - np.mean(returns)) / np.std(returns)
    expected = (
        batch.num_steps
        / batch.num_segments
        * np.mean(model.policy.scores(batch.obs, batch.actions) * standard[:, None], axis=0)
    )
    np.testing.assert_allclose(step_of(model, batch)[0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("lengths", [(1,), (1, 1), (4,)])
def test_tiny_and_constant_batches_are_finite(baseline, lengths, rng):
    model = make(baseline=baseline, normalize_advantage=True, optimizer="adam")
    batch = play(rng, lengths).replace(rewards=np.full(sum(lengths), 0.1))
    step, logs = step_of(model, batch)
    assert np.isfinite(step).all()
    assert np.isfinite(logs["gradient_norm"])


def test_a_batch_of_one_has_no_advantage(rng):
    step, logs = step_of(make(baseline="none", normalize_advantage=True), play(rng, (1,)))
    assert logs["gradient_norm"] == 0
    assert not step.any()


def test_cut_episodes_count_on_the_critic(rng):
    """What follows a truncated segment is worth the critic's value of what follows, from before its fit."""

    class Known(Constant):
        needs_whole_episodes = False

        def bootstrap_values(self, batch):
            return batch.scatter_bootstrap_values(batch.bootstrap_obs[:, 0])

    batch = play(rng, terminated=False)
    for form in ("reward_to_go", "trajectory"):
        model = make(critic=Known(0.0), gamma=0.9, form=form)

        def weight(i, t, rewards, form=form):
            start = 0 if form == "trajectory" else t
            return discounted([*rewards[start:], batch.bootstrap_obs[i, 0]], 0.9)

        expected = direct_gradient(model, batch, weight)
        np.testing.assert_allclose(step_of(model, batch)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
def test_advantages_are_from_before_the_critics_fit_and_the_fit_is_to_rewards_to_go(rng, form):
    class Watch(Constant):
        def __init__(self):
            super().__init__(0.0)
            self.calls = []

        def bootstrap_values(self, batch):
            self.calls.append("bootstrap_values")
            return super().bootstrap_values(batch)

        def values(self, batch, returns):
            self.calls.append("values")
            return super().values(batch, returns)

        def fit(self, batch, targets):
            self.calls.append("fit")
            self.targets = targets
            return {"value_loss": 1.5}

    model, batch = make(critic=Watch(), gamma=1.0, form=form), play(rng)
    _, logs = step_of(model, batch)
    assert model.critic.calls == ["bootstrap_values", "values", "bootstrap_values", "fit"]
    assert logs["value_loss"] == 1.5
    np.testing.assert_allclose(
        model.critic.targets[: batch.segment_lengths[0]],
        np.cumsum(batch.rewards[: batch.segment_lengths[0]][::-1])[::-1],
    )


def test_the_first_collected_batch_gives_the_direct_formula():
    """The whole way through the collector: the first update of a model is the formula on what it played."""

    class Keeps(REINFORCE):
        def update(self, batch):
            self.batch, self.before = batch, self.policy.params
            return super().update(batch)

    model = Keeps(
        "Pendulum-v1",
        policy=GaussianPolicy(3, 1, hidden=(5,), dtype="float64", init_log_std=-0.5),
        optimizer="sgd",
        learning_rate=1e-6,
        n_steps=200,
        num_envs=3,
        gamma=0.9,
        baseline="time_dependent",
        normalize_advantage=False,
    ).learn(600)
    assert model.num_iterations == 1
    step = (model.policy.params - model.before) / 1e-6
    model.policy.params = model.before
    batch = model.batch
    assert batch.segment_lengths.tolist() == [200, 200, 200]
    returns = np.zeros((3, 201))
    for t in reversed(range(200)):
        returns[:, t] = batch.rewards.reshape(3, 200)[:, t] + 0.9 * returns[:, t + 1]
    others = (returns.sum(axis=0) - returns) / 2
    expected = direct_gradient(model, batch, lambda i, t, rewards: returns[i, t] - others[i, t])
    np.testing.assert_allclose(step, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(model.policy.log_prob(batch.obs, batch.actions), batch.log_probs)


def test_long_gradients_are_cut(rng):
    batch = play(rng)
    free, cut = make(baseline="none"), make(baseline="none", max_grad_norm=0.01)
    (far, _), (near, logs) = step_of(free, batch), step_of(cut, batch)
    assert np.linalg.norm(near) == pytest.approx(0.01)
    np.testing.assert_allclose(near / 0.01, far / np.linalg.norm(far), rtol=1e-7)
    assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(far))


def test_the_step_is_uphill():
    """A bandit in disguise: the action that pays becomes likelier."""
    for optimizer in ("sgd", "adam"):
        model = make(optimizer=optimizer, learning_rate=0.05)
        obs = np.ones((40, 4))
        actions = np.arange(40) % 2
        batch = Batch(obs, actions, actions.astype(float), np.ones(40, bool))
        before = model.policy.log_prob(obs[:1], [1])
        model.update(batch)
        assert model.policy.log_prob(obs[:1], [1]) > before


def test_infinite_rewards_stop_training_and_spoil_nothing(rng):
    model = make(baseline="none")
    before = model.policy.params
    batch = play(rng)
    with pytest.raises(FloatingPointError, match=r"^gradient: expected finite numbers, got norm"):
        model.update(batch.replace(rewards=np.where(np.arange(9) == 3, np.inf, batch.rewards)))
    np.testing.assert_array_equal(model.policy.params, before)


@pytest.mark.parametrize(("name", "kind"), BASELINES.items())
def test_baselines_by_name(name, kind):
    model = REINFORCE("CartPole-v1", baseline=name, n_steps=40, num_envs=2).learn(160)
    assert type(model.critic) is kind
    assert model.num_timesteps >= 160


def test_the_value_network_is_made_as_asked():
    model = REINFORCE(
        "CartPole-v1",
        baseline="value_network",
        hidden=(7, 5),
        activation="relu",
        critic_learning_rate=0.02,
        n_critic_updates=3,
        batch_size=17,
    )
    assert isinstance(model.critic, ValueNetwork)
    config = model.critic.config()
    assert (config["hidden"], config["activation"]) == ([7, 5], "relu")
    assert (config["learning_rate"], config["n_epochs"], config["batch_size"]) == (0.02, 3, 17)


def test_the_critic_sees_what_the_policy_sees():
    model = REINFORCE("CartPole-v1", baseline="value_network", normalize_observations=True)
    assert model.critic.normalizer is model.policy.normalizer is not None


def test_cut_episodes_need_a_critic_that_values_them():
    for name in ("none", "average_return", "time_dependent"):
        with pytest.raises(
            ValueError, match=r"^baseline: expected one that can value what follows a truncated segment"
        ):
            REINFORCE("CartPole-v1", whole_episodes=False, baseline=name)
    with pytest.raises(ValueError, match=r"^baseline: expected .*, got AverageReturn\("):
        REINFORCE("CartPole-v1", whole_episodes=False, baseline="linear", critic=AverageReturn())
    with pytest.raises(ValueError, match=r"^discount_states: expected False unless whole_episodes is True"):
        REINFORCE("CartPole-v1", whole_episodes=False, baseline="linear", discount_states=True)
    REINFORCE("CartPole-v1", whole_episodes=False, baseline="none", critic=ValueNetwork())


def test_the_schedule_reaches_the_step():
    rates = []
    REINFORCE("CartPole-v1", n_steps=20, learning_rate=0.5, learning_rate_schedule="linear").learn(
        200, callback=lambda m: rates.append((m.logs["train/learning_rate"], m.num_timesteps))
    )
    assert rates[0][0] == 0.5
    assert rates[1][0] == pytest.approx(0.5 * (1 - rates[0][1] / 200))
    assert rates[-1][0] < 0.2


def test_every_field_is_documented():
    import inspect

    from pgcore.algorithms.reinforce import REINFORCEConfig

    source = "".join(inspect.getsource(base) for base in REINFORCEConfig.__mro__[:-1])
    for field in dataclasses.fields(REINFORCEConfig):
        declaration = source.index(f"\n    {field.name}: ")
        following = source[declaration:].split('"""')
        assert len(following) > 2, field.name
        assert following[1].strip().endswith("."), field.name
