"""Samplers of the user's own, written from outside: an algorithm learns from them as from an environment."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import pgcore
from pgcore import REINFORCE, Batch
from pgcore.baselines import LinearFeatures
from pgcore.io.checkpoint import read_checkpoint
from pgcore.policies import CategoricalPolicy
from pgcore.rollout import Collector, LocalSampler, Rollout, Sampler, make_vector_env


class InTurn(Sampler):
    """Plays several environments in turn: one makes the first batch, the next one the second."""

    def __init__(self, samplers):
        self.samplers = samplers
        self.turn = 0

    def collect(self, policy, n_steps, *, whole_episodes=False):
        sampler = self.samplers[self.turn % len(self.samplers)]
        self.turn += 1
        return sampler.collect(policy, n_steps, whole_episodes=whole_episodes)

    def begin_episodes(self, seed):
        for i, sampler in enumerate(self.samplers):
            sampler.begin_episodes(seed + i)

    def state(self):
        return {"turn": np.array(self.turn)}

    def load_state(self, state):
        self.turn = int(state["turn"])

    def close(self):
        for sampler in self.samplers:
            sampler.close()


class Replayed(Sampler):
    """Replays batches in a circle."""

    def __init__(self, batches):
        self.batches, self.next, self.calls, self.seeds = batches, 0, [], []

    def begin_episodes(self, seed):
        self.calls.append("begin_episodes")
        self.seeds.append(seed)

    def collect(self, policy, n_steps, *, whole_episodes=False):
        self.calls.append((n_steps, whole_episodes))
        batch = self.batches[self.next % len(self.batches)]
        self.next += 1
        return Rollout(batch, episode_returns=[batch.rewards.sum()], episode_lengths=[batch.num_steps])

    def state(self):
        return {"next": np.array(self.next)}

    def load_state(self, state):
        self.next = int(state["next"])


class Line(gym.Env):
    """One step an episode; the reward is 1 for one of the two actions."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, obs, good):
        self.obs, self.good = np.array(obs, np.float32), good

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.obs, {}

    def step(self, action):
        return self.obs, float(action == self.good), True, False, {}


def two_lines():
    envs = [Line([1, 0], 0), Line([0, 1], 1)]
    rng = np.random.default_rng(5)
    return InTurn([LocalSampler(make_vector_env(env), rng=rng) for env in envs])


def recorded(seed, num_episodes=6):
    rng = np.random.default_rng(seed)
    env = make_vector_env("CartPole-v1", num_envs=2, seed=seed)
    return Collector(env, CategoricalPolicy(4, 2, seed=1), rng=rng).collect(num_episodes, whole_episodes=True)


def assert_same_model(one, other):
    np.testing.assert_array_equal(one.policy.params, other.policy.params)
    assert one.num_timesteps == other.num_timesteps


def test_reinforce_learns_what_two_environments_in_turn_teach():
    model = REINFORCE(Line([0, 0], 0), sampler=two_lines(), n_steps=40, learning_rate=0.05, seed=0)
    model.learn(40 * 60)
    probability = np.exp(model.policy.log_prob(np.eye(2), np.array([0, 1])))
    assert (probability > 0.9).all()  # 0.5 before; environment number 2 alone would say 1 everywhere
    assert model.num_timesteps == 40 * 60
    assert model.logs["rollout/ep_len_mean"] == 1.0


def test_one_step_on_a_replayed_batch_is_the_formula():
    batch = recorded(0)
    sampler = Replayed([batch])
    model = REINFORCE(
        "CartPole-v1",
        sampler=sampler,
        n_steps=7,
        baseline="none",
        normalize_advantage=False,
        optimizer="sgd",
        learning_rate=0.5,
        gamma=0.9,
        seed=3,
    )
    before = model.policy.copy()
    returns = np.zeros(batch.num_steps)
    running = 0.0
    for t in reversed(range(batch.num_steps)):
        running = batch.rewards[t] + (0.0 if batch.ends[t] else 0.9 * running)
        returns[t] = running
    gradient = (before.scores(batch.obs, batch.actions) * returns[:, None]).sum(0) / batch.num_segments
    model.learn(1)
    np.testing.assert_allclose(model.policy.params, before.params + 0.5 * gradient, rtol=1e-4, atol=1e-5)
    assert sampler.calls == ["begin_episodes", (7, True)]
    assert model.num_timesteps == batch.num_steps
    assert model.logs["rollout/ep_rew_mean"] == batch.rewards.sum()


def test_the_local_sampler_is_what_an_algorithm_makes():
    def model(**arguments):
        return REINFORCE("CartPole-v1", num_envs=2, n_steps=30, whole_episodes=False, baseline="linear",
                         seed=4, **arguments)  # fmt: skip

    plain, own = model(), model()
    # What the algorithm does for itself, said from outside; the generator is the model's own.
    own.set_sampler(LocalSampler(own.env, rng=plain_rng(own)))
    assert_same_model(plain.learn(200), own.learn(200))


def plain_rng(model):
    return model.sampler.rng


def test_the_place_of_a_sampler_is_saved_and_loaded(tmp_path):
    batches = [recorded(seed) for seed in range(3)]

    def model():
        return REINFORCE("CartPole-v1", sampler=Replayed(batches), n_steps=5, seed=1)

    one_iteration = [batch.num_steps for batch in batches]
    unbroken = model().learn(one_iteration[0] + one_iteration[1])
    first = model().learn(1)
    path = first.save(tmp_path / "model")
    assert read_checkpoint(path)[1]["sampler/next"] == 1
    loaded = pgcore.load(path, env="CartPole-v1")
    with pytest.raises(ValueError, match=r"^sampler: expected one like the model was trained with, got none"):
        loaded.learn(1, reset_num_timesteps=False)
    again = pgcore.load(loaded.save(tmp_path / "again"), env="CartPole-v1")
    sampler = Replayed(batches)
    again.set_sampler(sampler)
    assert sampler.next == 1
    again.learn(1, reset_num_timesteps=False)
    assert_same_model(again, unbroken)
    loaded.set_sampler(None)  # plays in the environment from now on
    assert loaded.learn(10, reset_num_timesteps=False).num_timesteps > first.num_timesteps


def test_a_sampler_without_a_state_is_missed_too(tmp_path):
    class Same(Sampler):
        def collect(self, policy, n_steps, *, whole_episodes=False):
            return Rollout(recorded(0))

    path = REINFORCE("CartPole-v1", sampler=Same(), n_steps=5, seed=1).learn(1).save(tmp_path / "model")
    loaded = pgcore.load(path, env="CartPole-v1")
    with pytest.raises(ValueError, match=r"^sampler: expected one like the model was trained with, got none"):
        loaded.learn(1, reset_num_timesteps=False)
    loaded.set_sampler(Same())
    assert loaded.learn(1, reset_num_timesteps=False).num_updates == 2


def test_episodes_begin_with_the_first_batch_and_when_learning_begins_anew():
    batch = recorded(0)
    sampler = Replayed([batch])

    def model(seed):
        return REINFORCE("CartPole-v1", sampler=sampler, n_steps=5, seed=seed)

    def calls():
        made, sampler.calls = sampler.calls, []
        return made

    play = (5, True)
    first = model(seed=0).learn(2 * batch.num_steps)
    assert calls() == ["begin_episodes", play, play]
    first.learn(1, reset_num_timesteps=False)
    assert calls() == [play]
    first.learn(1)
    assert calls() == ["begin_episodes", play]
    first.set_sampler(sampler)
    first.learn(1, reset_num_timesteps=False)
    assert calls() == ["begin_episodes", play]
    model(seed=1).learn(1)
    model(seed=0).learn(1)
    *begun, again = sampler.seeds
    assert all(isinstance(seed, int) for seed in begun)
    assert again == begun[0]
    assert begun[0] != begun[-1]


def test_a_failed_iteration_gives_the_batch_back():
    batches = [recorded(seed) for seed in range(2)]

    class Failing(REINFORCE):
        fails = True

        def update(self, batch):
            if self.fails:
                raise RuntimeError("on purpose")
            return super().update(batch)

    model = Failing("CartPole-v1", sampler=Replayed(batches), n_steps=5, seed=1)
    with pytest.raises(RuntimeError, match="on purpose"):
        model.learn(1)
    assert model.sampler.next == 0
    model.fails = False
    expected = REINFORCE("CartPole-v1", sampler=Replayed(batches), n_steps=5, seed=1).learn(1)
    assert_same_model(model.learn(1), expected)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_model_has_a_sampler_of_its_own(twin):
    model = REINFORCE("CartPole-v1", sampler=Replayed([recorded(0), recorded(1)]), n_steps=5).learn(1)
    other = twin(model)
    assert_same_model(other.learn(1, reset_num_timesteps=False), model.learn(1, reset_num_timesteps=False))
    assert other.sampler is not model.sampler
    assert other.sampler.next == model.sampler.next == 2


def test_samplers_are_closed_with_the_model():
    closed = []

    class Closing(Replayed):
        def close(self):
            closed.append(self)

    sampler = Closing([recorded(0)])
    model = REINFORCE("CartPole-v1", sampler=sampler).learn(1)
    model.close()
    assert closed == [sampler]


def test_what_is_no_sampler_is_refused():
    class Half:
        def collect(self, policy, n_steps, *, whole_episodes=False): ...

    with pytest.raises(TypeError, match=r"^sampler: expected a pgcore.rollout.Sampler or None, got <"):
        REINFORCE("CartPole-v1", sampler=Half())
    with pytest.raises(ValueError, match=r"^num_env_steps: expected an integer >= 1, got 0"):
        Rollout(Batch(np.zeros((0, 4)), [], [], []))
    model = REINFORCE("CartPole-v1")
    with pytest.raises(AttributeError, match=r"^sampler: "):
        model.sampler = Replayed([])


def test_critics_see_where_a_replayed_batch_was_cut():
    batch = recorded(3)
    last = np.zeros(batch.num_segments, bool)
    last[-1] = True
    cut = batch.replace(terminated=batch.ends & ~np.repeat(last, batch.segment_lengths))
    model = REINFORCE("CartPole-v1", sampler=Replayed([cut]), critic=LinearFeatures(), whole_episodes=False)
    assert model.learn(1).num_timesteps == batch.num_steps
