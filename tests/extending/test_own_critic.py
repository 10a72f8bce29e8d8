"""A critic of the user's own, written from outside: one class that predicts and fits."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pgcore
from pgcore import NPG, PPO, REINFORCE, Batch, estimators
from pgcore.baselines import ValueBaseline
from pgcore.policies import CategoricalPolicy
from pgcore.values import ValueFunction, ValueNetwork, from_config


class NearestNeighbours(ValueFunction):
    """The mean return of the k nearest observations of the last batch."""

    def __init__(self, k=5):
        self.k = k
        self.obs, self.returns = np.zeros((0, 0)), np.zeros(0)

    def predict(self, obs):
        if not len(self.returns):
            return np.zeros(len(obs))
        distances = ((obs[:, None, :] - self.obs) ** 2).sum(axis=2)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        return self.returns[nearest].mean(axis=1)

    def fit(self, obs, targets):
        self.obs, self.returns = obs.copy(), targets.copy()
        return {"value_loss": float(np.mean((self.predict(obs) - targets) ** 2))}

    def config(self):
        return {**super().config(), "k": self.k}

    def state(self):
        return {"obs": self.obs.copy(), "returns": self.returns.copy()}

    def load_state(self, state):
        self.obs, self.returns = state["obs"], state["returns"]


def two_segments():
    """Three steps that end, and two that are cut at observation 9."""
    return Batch(
        obs=[[0.0], [1.0], [2.0], [3.0], [4.0]],
        actions=[0, 1, 0, 1, 0],
        rewards=[1.0, 2.0, 3.0, 4.0, 5.0],
        ends=[0, 0, 1, 0, 1],
        terminated=[0, 0, 1, 0, 0],
        bootstrap_obs=[[0.0], [9.0]],
    )


class Described(NearestNeighbours):
    """Says its arguments alone, instead of a whole `config`."""

    config = ValueFunction.config

    def arguments(self):
        return {"k": self.k}


def test_a_critic_that_says_its_arguments_is_described_and_made_again():
    critic = Described(3)
    assert critic.config() == {"kind": f"{__name__}:Described", "k": 3}
    assert repr(critic) == "Described(k=3)"
    assert repr(from_config(critic.config())) == "Described(k=3)"


class Tripled(ValueFunction):
    """v(o) = 3 o, and what it was asked and told."""

    def __init__(self):
        self.asked, self.told = [], []

    def predict(self, obs):
        self.asked.append(obs.tolist())
        return 3 * obs[:, 0]

    def fit(self, obs, targets):
        self.told.append((obs.tolist(), targets.tolist()))
        return {"value_loss": 1.0}


@pytest.mark.parametrize("algorithm", [PPO, NPG])
def test_an_own_critic_is_trained_saved_and_loaded(tmp_path, algorithm):
    def model():
        return algorithm("CartPole-v1", critic=NearestNeighbours(3), n_steps=64, whole_episodes=True, seed=2)

    trained = model().learn(200)
    assert trained.logs["train/value_loss"] > 0
    critic = trained.critic.function
    assert isinstance(critic, NearestNeighbours)
    assert len(critic.returns) > 60
    loaded = pgcore.load(trained.save(tmp_path / "model"), env="CartPole-v1")
    assert loaded.critic.function.k == 3
    np.testing.assert_array_equal(loaded.critic.function.returns, critic.returns)
    loaded.learn(200, reset_num_timesteps=False)
    trained.learn(200, reset_num_timesteps=False)
    np.testing.assert_array_equal(loaded.policy.params, trained.policy.params)
    np.testing.assert_array_equal(loaded.critic.function.returns, trained.critic.function.returns)
    fresh = model().learn(200)
    assert (fresh.policy.params != trained.policy.params).any()


def test_a_value_function_is_asked_where_a_baseline_is():
    function = Tripled()
    batch = two_segments()
    baseline = ValueBaseline(function)
    assert baseline.bootstrap_values(batch).tolist() == [0, 0, 0, 0, 27]
    assert baseline.values(batch, batch.rewards).tolist() == [0, 3, 6, 9, 12]
    assert function.asked == [[[9.0]], batch.obs.tolist()]
    assert baseline.fit(batch, 2 * batch.rewards) == {"value_loss": 1.0}
    assert function.told == [(batch.obs.tolist(), [2, 4, 6, 8, 10])]
    assert not baseline.needs_whole_episodes


def test_images_are_flat_when_a_value_function_sees_them():
    batch = Batch(np.ones((2, 3, 4)), [0, 1], [1.0, 1.0], [1, 1], terminated=[1, 0],
                  bootstrap_obs=np.ones((2, 3, 4)))  # fmt: skip
    function = Tripled()
    ValueBaseline(function).values(batch, batch.rewards)
    ValueBaseline(function).bootstrap_values(batch)
    ValueBaseline(function).fit(batch, batch.rewards)
    assert [np.shape(obs) for obs in function.asked] == [(2, 12), (1, 12)]
    assert np.shape(function.told[0][0]) == (2, 12)


def test_an_estimator_takes_a_value_function_for_a_baseline():
    batch = two_segments()
    policy = CategoricalPolicy(1, 2, seed=1)
    estimate = estimators.policy_gradient(policy, batch, baseline=Tripled(), gamma=0.5)
    returns = np.array([1 + 1 + 0.75, 2 + 1.5, 3, 4 + 2.5 + 0.25 * 27, 5 + 0.5 * 27])
    weights = returns - 3 * batch.obs[:, 0]
    expected = (policy.scores(batch.obs, batch.actions) * weights[:, None]).sum(axis=0) / 2
    np.testing.assert_allclose(estimate.gradient, expected, rtol=1e-5, atol=1e-6)


def test_the_network_is_the_same_function_alone_and_as_a_baseline():
    rng = np.random.default_rng(0)
    obs, returns = rng.normal(size=(50, 3)), rng.normal(size=50)
    batch = Batch(obs, np.zeros(50), returns, np.ones(50, bool))
    alone, baseline = ValueNetwork((8,), seed=4), pgcore.baselines.ValueNetwork((8,), seed=4)
    assert alone.fit(obs, returns) == baseline.fit(batch, returns)
    np.testing.assert_array_equal(alone.predict(obs), baseline.values(batch, returns))
    np.testing.assert_array_equal(alone.state()["params"], baseline.state()["params"])
    baseline.learning_rate = 0.5
    assert baseline.function.learning_rate == 0.5


def test_a_given_network_is_restored_with_its_model(tmp_path):
    model = REINFORCE("CartPole-v1", critic=ValueNetwork((8,)), n_steps=32, normalize_observations=True)
    model.learn(64)
    assert model.critic.function.normalizer is model.policy.normalizer
    loaded = pgcore.load(model.save(tmp_path / "model"))
    assert loaded.critic.config() == model.critic.config()
    obs = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_array_equal(loaded.critic.predict(obs), model.critic.predict(obs))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.critic.function.normalizer is twin.policy.normalizer is not model.policy.normalizer


def test_an_assigned_value_function_becomes_the_critic():
    model = PPO("CartPole-v1", n_steps=32, batch_size=16)
    model.critic = NearestNeighbours()
    assert isinstance(model.critic, ValueBaseline)
    assert len(model.learn(32).critic.function.returns) == 32


def test_what_could_not_be_loaded_again_is_refused():
    class Forgetful(NearestNeighbours):
        def __init__(self, k, scale):
            super().__init__(k)

    with pytest.raises(ValueError, match=r"^critic: expected one whose config\(\) has the arguments of Forg"):
        PPO("CartPole-v1", critic=Forgetful(3, 1.0))


def test_a_wrong_shape_is_named():
    class Column(Tripled):
        def predict(self, obs):
            return 3 * obs

    with pytest.raises(ValueError, match=r"^predict: expected values of shape \(5,\), got \(5, 1\)"):
        ValueBaseline(Column()).values(two_segments(), np.zeros(5))
    with pytest.raises(ValueError, match=r"^targets: expected shape"):
        ValueBaseline(Tripled()).fit(two_segments(), np.zeros(4))
    with pytest.raises(TypeError, match=r"^function: expected a pgcore"):
        ValueBaseline(3)
