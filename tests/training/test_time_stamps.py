"""Training on observations that single precision can't tell apart, from the environment to the file."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import pgcore
from pgcore import NPG, PPO, REINFORCE, TRPO, Batch, BehaviourCloning, OffPolicyPG
from pgcore.io import datasets
from pgcore.policies import CategoricalPolicy, ObservationNormalizer
from pgcore.rollout import Collector, ObservationAdapter, make_vector_env
from pgcore.rollout.sync_vector import SyncVectorEnv
from pgcore.training.prediction import Predictor
from pgcore.training.spaces import Spaces

NOW = 1_700_000_000.0
FORMS = ("plain", "dict", "integers")


class Clock(gym.Env):
    """Shows a time within a second of now; the right action says whether it is before or after."""

    def __init__(self, form: str = "plain", length: int = 8) -> None:
        self.form, self.length = form, length
        self.observation_space = {
            "plain": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "dict": spaces.Dict(
                {"time": spaces.Box(-np.inf, np.inf, (1,), np.float64), "side": spaces.Discrete(2)}
            ),
            "integers": spaces.Box(0, 2**62, (2,), np.int64),
        }[form]
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def observe(self):
        self.offset = self.np_random.uniform(-1.0, 1.0)
        if self.form == "dict":
            return {"time": np.array([NOW + self.offset]), "side": int(self.t % 2)}
        if self.form == "integers":  # milliseconds
            return np.array([1000 * int(NOW) + int(1000 * self.offset), self.t], np.int64)
        return np.array([NOW + self.offset, float(self.t)])

    def step(self, action):
        reward = float(action == (self.offset > 0))
        self.t += 1
        return self.observe(), reward, self.t == self.length, False, {}


def accuracy(model, form="plain", num=300):
    env = Clock(form)
    env.reset(seed=99)
    right = 0
    for _ in range(num):
        obs = env.observe()
        right += int(model.predict(obs, deterministic=True)[0]) == int(env.offset > 0)
    return right / num


def seen(form="plain", **arguments):
    """A policy for the clock with weights of order one, whose normaliser has seen it."""
    env = Clock(form)
    flatten = ObservationAdapter(env.observation_space)
    policy = CategoricalPolicy(flatten.dim, 2, **arguments)
    policy.params = np.random.default_rng(0).normal(size=policy.num_params)
    policy.normalizer = ObservationNormalizer(policy.obs_dim)
    env.reset(seed=0)
    policy.normalizer.update(np.concatenate([flatten.single(env.observe()) for _ in range(200)]))
    return policy


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", ["sync", "gymnasium"])
def test_a_rollout_keeps_double_precision(form, backend):
    make = [lambda: gym.wrappers.TimeLimit(Clock(form), 5)] * 3
    if backend == "sync":
        env = SyncVectorEnv(make)
    else:
        env = gym.vector.SyncVectorEnv(make, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    policy = seen(form)
    batch = Collector(env, policy, rng=np.random.default_rng(0), seed=0).collect(32)
    assert batch.obs.dtype == batch.bootstrap_obs.dtype == np.float64
    assert batch.log_probs.dtype == np.float32
    column, unit = (2 if form == "dict" else 0), (1000 if form == "integers" else 1)
    assert len(np.unique(batch.obs[:, column])) > 90
    assert len(np.unique(batch.log_probs)) > 40
    bootstrap = batch.bootstrap_obs[batch.truncated]
    assert (np.abs(bootstrap[:, column] / unit - NOW) <= 1).all()
    np.testing.assert_array_equal(policy.log_prob(batch.obs, batch.actions), batch.log_probs)
    z = (batch.obs - policy.normalizer.mean) / np.sqrt(
        policy.normalizer.m2 / policy.normalizer.count + policy.normalizer.epsilon
    )
    plain = policy.copy()
    plain.normalizer = None
    np.testing.assert_allclose(batch.log_probs, plain.log_prob(np.clip(z, -10, 10), batch.actions), atol=1e-5)


def test_a_rollout_of_single_precision_stays_so_whatever_the_policy_computes_in():
    policy = CategoricalPolicy(4, 2, dtype="float64")
    env = make_vector_env("CartPole-v1", num_envs=2)
    batch = Collector(env, policy, rng=np.random.default_rng(0)).collect(16)
    assert batch.obs.dtype == np.float32
    assert batch.log_probs.dtype == np.float64


@pytest.mark.parametrize("form", FORMS)
def test_predicting_one_is_predicting_a_batch(form):
    policy, env = seen(form), Clock(form)
    predictor = Predictor(Spaces(env.observation_space, env.action_space))
    env.reset(seed=3)
    every = [env.observe() for _ in range(100)]
    batch = (
        {name: np.stack([obs[name] for obs in every]) for name in ("time", "side")}
        if form == "dict"
        else np.stack(every)
    )
    together = predictor(policy, batch, None)
    np.testing.assert_array_equal(together, [predictor(policy, obs, None) for obs in every])
    log_probs = policy.log_prob(ObservationAdapter(env.observation_space)(batch), together)
    assert len(np.unique(log_probs)) > 50


@pytest.mark.parametrize(
    ("algorithm", "arguments"),
    [
        (PPO, {"n_steps": 256, "learning_rate": 1e-2}),
        (REINFORCE, {"n_steps": 256, "learning_rate": 1e-1}),
        (TRPO, {"n_steps": 256}),
        (NPG, {"n_steps": 256}),
        (OffPolicyPG, {"n_steps": 256, "learning_rate": 1e-1}),
    ],
)
def test_time_stamps_can_be_learned_from(algorithm, arguments):
    model = algorithm(Clock(), hidden=(16,), normalize_observations=True, **arguments)
    model.learn(256 * 24)
    assert accuracy(model) > 0.85


@pytest.mark.parametrize("form", FORMS[1:])
def test_other_spaces_can_be_learned_from(form):
    model = PPO(Clock(form), hidden=(16,), n_steps=256, learning_rate=1e-2, normalize_observations=True)
    model.learn(256 * 24)
    assert accuracy(model, form) > 0.85


def demonstrations():
    rng = np.random.default_rng(0)
    offset = rng.uniform(-1, 1, 600)
    obs = np.column_stack([NOW + offset, np.arange(600) % 8])
    return Batch(obs, (offset > 0).astype(np.int64), np.ones(600), np.arange(600) % 8 == 7)


@pytest.mark.parametrize("from_file", [False, True])
def test_time_stamps_can_be_cloned_from(from_file, tmp_path):
    batch = demonstrations()
    if from_file:
        batch = datasets.load_batch(datasets.save_batch(tmp_path / "recorded", batch))
        np.testing.assert_array_equal(batch.obs, demonstrations().obs)
    model = BehaviourCloning(
        Clock(), demonstrations=batch, hidden=(16,), normalize_observations=True, learning_rate=1e-2
    )
    model.learn(20_000)
    assert accuracy(model) > 0.9


@pytest.mark.parametrize("algorithm", [PPO, OffPolicyPG])
def test_saving_and_loading_keeps_every_bit(algorithm, tmp_path):
    model = algorithm(Clock(), n_steps=64, normalize_observations=True)
    model.learn(256)
    model.save(tmp_path / "model")
    loaded = pgcore.load(tmp_path / "model", env=Clock())
    rng = np.random.default_rng(0)
    obs = np.column_stack([NOW + rng.uniform(-1, 1, 50), np.zeros(50)])
    for name, value in model.policy.normalizer.state().items():
        np.testing.assert_array_equal(loaded.policy.normalizer.state()[name], value)
    actions = np.zeros(50, np.int64)
    np.testing.assert_array_equal(loaded.policy.log_prob(obs, actions), model.policy.log_prob(obs, actions))
    if algorithm is OffPolicyPG:
        kept, restored = (m.components()["replay"].batches for m in (model, loaded))
        assert len(kept) == len(restored) > 0
        for one, other in zip(kept, restored, strict=True):
            assert one.obs.dtype == other.obs.dtype == np.float64
            np.testing.assert_array_equal(one.obs, other.obs)
