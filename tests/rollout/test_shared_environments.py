"""An environment that somebody else uses between two rollouts: new episodes begin."""

from __future__ import annotations

import copy
import inspect
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from pgcore import PPO, evaluate_policy
from pgcore.policies import CategoricalPolicy
from pgcore.rollout import Collector, make_vector_env
from pgcore.rollout.watch import watch
from support.toy_envs import MODES, TERMINATED, ToyVectorEnv, collector_for


def step(env):
    env.step(np.array([env.single_action_space.sample() for _ in range(env.num_envs)]))


def others(env, collector):
    return {
        "nobody": lambda: None,
        "a step": lambda: step(env),
        "a reset": getattr(env, "reset", None),
        "another collector": lambda: collector_for(env).collect(2),
        "a second one on the same": lambda: collector_for(collector.env).collect(1),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("who", list(others(None, None)))
def test_episodes_begin_anew_after_somebody_else(mode, who):
    env = ToyVectorEnv([[(9, TERMINATED)]] * 2, mode)
    collector = collector_for(env)
    collector.collect(4)
    others(env, collector)[who]()
    batch = collector.collect(6)
    first = 4 if who == "nobody" else 0
    np.testing.assert_array_equal(batch.segment(0).obs[:, 2], range(first, first + len(batch.segment(0).obs)))
    if who != "nobody":
        collector.collect(3)
        assert collector.episode_lengths == [9, 9]  # none with steps of somebody else's


def vectors():
    single = gym.make("CartPole-v1")
    return {
        "an id": (make_vector_env("CartPole-v1", num_envs=2), None),
        "native": (make_vector_env("CartPole-v1", num_envs=2, backend="native"), None),
        "gymnasium's": (SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2), None),
        "wrapped": (gym.wrappers.vector.ClipReward(gym.make_vec("CartPole-v1", 2), 0, 1), None),
        "a single one": (single, single),
    }


@pytest.mark.parametrize("kind", list(vectors()))
@pytest.mark.parametrize("who", ["evaluate_policy", "another model", "reset", "step", "beneath"])
def test_models_notice(kind, who):
    env, single = vectors()[kind]
    model = PPO(env, n_steps=8, hidden=(4,), normalize_observations=True)
    model.learn(16)
    given = model.env if single is None else single
    if who == "evaluate_policy":
        evaluate_policy(model, given, 2)
    elif who == "another model":
        PPO(given, n_steps=4, hidden=(4,))
    elif who == "reset":
        given.reset()
    else:
        used = given.unwrapped if who == "beneath" else given
        action = 0 if single is not None else np.zeros(2, int)
        used.reset()
        used.step(action)
    batches = []
    update = model.update
    model.update = lambda batch: batches.append(batch) or update(batch)
    model.learn(8, reset_num_timesteps=False)
    starts = batches[0].obs[batches[0].segment_starts]
    assert np.abs(starts).max() <= 0.05  # where CartPole's episodes begin


def test_nobody_else_changes_nothing():
    def train(env):
        return PPO(env, n_steps=8, hidden=(4,)).learn(200).policy.params

    expected = train(make_vector_env("CartPole-v1", num_envs=2))
    env = make_vector_env("CartPole-v1", num_envs=2)
    watch(env)
    np.testing.assert_array_equal(train(env), expected)


def test_watched_environments_copy_and_are_let_go():
    env = gym.make("CartPole-v1")
    vector = make_vector_env(env)
    calls = watch(vector)
    assert watch(vector) is calls
    env.reset(seed=0)
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env.unwrapped))):
        before = calls.num
        other.reset()
        other.step(0)
        assert calls.num == before
    env.reset()
    assert calls.num == before + 1
    assert "seed" in inspect.signature(env.unwrapped.reset).parameters


def test_what_a_user_has_put_in_place_of_a_method_is_called():
    env = ToyVectorEnv([[(9, TERMINATED)]], MODES[0])
    seen, step = [], env.step
    env.step = lambda actions: seen.append(actions) or step(actions)
    collector = Collector(env, CategoricalPolicy(3, 2), rng=np.random.default_rng(0))
    collector.collect(4)
    assert len(seen) == 4


def test_environments_that_refuse_attributes_are_not_watched():
    class Closed(ToyVectorEnv):
        def __setattr__(self, name, value):
            if name in ("step", "reset"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    collector = collector_for(Closed([[(9, TERMINATED)]], MODES[0]))
    collector.collect(4)
    np.testing.assert_array_equal(collector.collect(4).obs[:, 2], range(4, 8))
