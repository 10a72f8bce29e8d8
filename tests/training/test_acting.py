"""`Algorithm.predict`: actions in the action space, for any observation, alone or in a batch."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from training.sketch import ACTION_SPACES, BOX, OBSERVATION_SPACES, Sketch, Still


def test_one_observation_or_a_batch():
    model = Sketch("CartPole-v1", hidden=(8,))
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(6, 4)).astype(np.float32)
    actions, state = model.predict(batch, deterministic=True)
    assert actions.shape == (6,)
    assert actions.dtype == np.int64
    assert state is None
    for obs, action in zip(batch, actions, strict=True):
        single, _ = model.predict(obs, deterministic=True)
        assert single == action
        assert isinstance(single, np.integer)  # hashable, unlike an array without axes
        assert model.predict(obs.tolist(), deterministic=True)[0] == action
        assert model.predict(obs.astype(np.float64), deterministic=True)[0] == action
    marker = object()
    assert model.predict(batch, state=marker, episode_start=np.ones(6, bool))[1] is marker
    for shape in [(5,), (2, 3), (1, 1, 4), ()]:
        with pytest.raises(
            ValueError, match=r"^obs: expected one observation of shape \(4,\) or a batch \(N, 4\)"
        ):
            model.predict(np.zeros(shape))


def test_samples_follow_the_policy():
    model = Sketch("CartPole-v1", hidden=())
    params = np.zeros(model.policy.num_params)
    params[-1] = 1.0
    model.policy.params = params
    actions = model.predict(np.zeros((20_000, 4)))[0]
    assert actions.mean() == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.015)
    assert model.predict(np.zeros((3, 4)), deterministic=True)[0].tolist() == [1, 1, 1]
    singles = [int(model.predict(np.zeros(4))[0]) for _ in range(2000)]
    assert np.mean(singles) == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.05)


@pytest.mark.parametrize("action_space", ACTION_SPACES, ids=str)
def test_actions_are_in_the_action_space(action_space):
    model = Sketch(Still(BOX, action_space), hidden=(4,)).learn(16)
    for deterministic in (False, True):
        for obs in (np.zeros(3, np.float32), np.full(3, 0.5)):
            action, _ = model.predict(obs, deterministic=deterministic)
            assert action_space.contains(action)
        batch, _ = model.predict(np.zeros((5, 3)), deterministic=deterministic)
        assert batch.shape == (5, *(action_space.shape or ()))
        assert all(action_space.contains(action) for action in batch)


def test_scored_actions_are_not_clipped():
    model = Sketch(Still(BOX, spaces.Box(-0.2, 0.2, (1,))), hidden=(4,), n_steps=64).learn(1)
    assert np.abs(model.batches[0].actions).max() > 1


@pytest.mark.parametrize("observation_space", OBSERVATION_SPACES, ids=lambda space: type(space).__name__)
def test_any_observation_can_be_acted_on_alone_or_in_a_batch(observation_space):
    model = Sketch(Still(observation_space, spaces.Discrete(5)), hidden=()).learn(32)
    params = np.random.default_rng(1).normal(size=model.policy.num_params)
    params[-5:] = 0  # without the bias, different observations call for different actions
    model.policy.params = params
    env = SyncVectorEnv([lambda: Still(observation_space, spaces.Discrete(5))] * 30)
    batch, _ = env.reset(seed=3)
    actions, _ = model.predict(batch, deterministic=True)
    assert actions.shape == (30,)
    singles = gym.vector.utils.iterate(env.observation_space, batch)
    alone = [model.predict(obs, deterministic=True)[0] for obs in singles]
    assert alone == actions.tolist()
    assert len(set(alone)) > 1


def test_observations_of_another_structure_are_refused():
    model = Sketch(Still(OBSERVATION_SPACES[-2], spaces.Discrete(2)))
    with pytest.raises(ValueError, match=r"^obs: expected an observation of Dict"):
        model.predict(np.zeros(3))
    with pytest.raises(ValueError, match=r"^obs: expected"):
        model.predict({"a": np.zeros(4), "b": 0})


def test_acting_needs_no_environment():
    model = Sketch("CartPole-v1")
    model.close()
    assert model.env is None
    assert model.predict(np.zeros(4))[0] in (0, 1)
    with pytest.raises(ValueError, match=r"^env: expected an environment to learn in, got None"):
        model.learn(10)
    model.set_env("CartPole-v1")
    assert model.learn(16).num_timesteps == 16
    with pytest.raises(ValueError, match=r"^env: expected observation_space Box"):
        model.set_env("Pendulum-v1")
