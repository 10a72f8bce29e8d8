"""The base class, by way of an algorithm as small as can be and of REINFORCE."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

import pgcore
from pgcore import REINFORCE
from pgcore.baselines import Constant
from pgcore.policies import CategoricalPolicy, GaussianPolicy, ObservationNormalizer
from pgcore.training import Algorithm, Config, PositiveFloat, persistence


@dataclass(frozen=True)
class SketchConfig(Config):
    n_steps: int = 16
    step_size: PositiveFloat = 0.1


class Sketch(Algorithm[SketchConfig]):
    """Adds `step_size` to every parameter, and remembers what it saw."""

    config_class = SketchConfig

    def setup(self):
        self.batches = []

    def update(self, batch):
        self.batches.append(batch)
        self.policy.params = self.policy.params + np.float32(self.config.step_size)
        return {"mean_reward": float(batch.rewards.mean())}


def equal_states(first, second):
    scalars, arrays = persistence.snapshot(first)
    other_scalars, other_arrays = persistence.snapshot(second)
    assert scalars == other_scalars
    assert arrays.keys() == other_arrays.keys()
    return all(np.array_equal(array, other_arrays[name]) for name, array in arrays.items())


# Construction


def test_an_algorithm_is_a_dataclass_and_an_update():
    model = Sketch("CartPole-v1", num_envs=2, step_size=0.5)
    before = model.policy.params
    assert model.learn(64) is model
    assert model.num_timesteps == 64
    assert len(model.batches) == 2
    np.testing.assert_allclose(model.policy.params, before + 1.0, rtol=1e-5)
    assert model.logs["train/mean_reward"] == 1.0
    assert model.logs["train/n_updates"] == 2


def test_log_names_are_those_of_stable_baselines3():
    logs = REINFORCE("CartPole-v1", n_steps=32).learn(1).logs
    assert list(logs)[:6] == [
        "rollout/ep_rew_mean",
        "rollout/ep_len_mean",
        "time/iterations",
        "time/fps",
        "time/time_elapsed",
        "time/total_timesteps",
    ]
    assert {
        "train/gradient_norm",
        "train/entropy",
        "train/explained_variance",
        "train/learning_rate",
        "train/n_updates",
    } <= set(logs)
    assert logs["rollout/ep_rew_mean"] == logs["rollout/ep_len_mean"] > 1


@pytest.mark.parametrize(
    "arguments", [("MlpPolicy", "CartPole-v1"), ("MlpPolicy",), ("CartPole-v1", "MlpPolicy")]
)
def test_the_other_librarys_order_is_refused_with_what_to_write(arguments):
    with pytest.raises(TypeError) as caught:
        REINFORCE(*arguments)
    assert str(caught.value).startswith("REINFORCE: expected an environment, then keywords, got ('")
    assert "write REINFORCE(env), REINFORCE(env, hidden=(64, 64)), or REINFORCE(env, policy=...)" in str(
        caught.value
    )


def test_a_policy_by_name_is_refused():
    with pytest.raises(
        TypeError, match=r"^policy: expected one from pgcore\.policies or None, got 'MlpPolicy'$"
    ):
        REINFORCE("CartPole-v1", policy="MlpPolicy")
    with pytest.raises(TypeError, match="REINFORCE: expected an environment"):
        REINFORCE("MlpPolicy", env="CartPole-v1")


def test_unknown_hyperparameters_are_named():
    with pytest.raises(TypeError) as caught:
        REINFORCE("CartPole-v1", learning_rat=0.1)
    assert str(caught.value) == (
        "REINFORCE: unknown hyperparameter 'learning_rat' (did you mean 'learning_rate'?)"
    )
    with pytest.raises(TypeError, match=r"'hiden' \(did you mean 'hidden'\?\)"):
        REINFORCE("CartPole-v1", hiden=(8,))
    with pytest.raises(ValueError, match=r"^n_steps: expected an integer >= 1, got -1$"):
        REINFORCE("CartPole-v1", n_steps=-1)


def test_seeds():
    with pytest.raises(ValueError, match=r"^seed: expected an integer >= 0 or None, got -1$"):
        REINFORCE("CartPole-v1", seed=-1)
    with pytest.raises(TypeError, match=r"^seed: expected an integer >= 0 or None, got float 0\.5$"):
        REINFORCE("CartPole-v1", seed=0.5)
    drawn = REINFORCE("CartPole-v1", seed=None)
    again = REINFORCE("CartPole-v1", seed=drawn.seed)
    np.testing.assert_array_equal(drawn.policy.params, again.policy.params)
    assert REINFORCE("CartPole-v1", seed=None).seed != drawn.seed
    assert not np.array_equal(REINFORCE("CartPole-v1", seed=1).policy.params, again.policy.params)


def test_every_kind_of_environment():
    made = [
        "CartPole-v1",
        gym.make("CartPole-v1"),
        gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync"),
        gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"),
    ]
    for env in made:
        model = REINFORCE(env, n_steps=16).learn(50)
        assert model.num_timesteps >= 50
    assert REINFORCE("CartPole-v1", num_envs=4).env.num_envs == 4
    with pytest.raises(ValueError, match="Nothing-v3"):
        REINFORCE("Nothing-v3")
    with pytest.raises(TypeError, match=r"^env: expected an id, a gymnasium\.Env or a VectorEnv, got 3$"):
        REINFORCE(3)
    with pytest.raises(ValueError, match=r"^num_envs: expected .*, got 0"):
        REINFORCE("CartPole-v1", num_envs=0)
    with pytest.raises(
        ValueError, match=r"^num_envs, backend: expected neither with a made environment, got 4, None"
    ):
        REINFORCE(gym.make("CartPole-v1"), num_envs=4)


def test_given_models_are_used():
    policy = CategoricalPolicy(4, 2, hidden=(5,), dtype="float64")
    model = REINFORCE("CartPole-v1", policy=policy, critic=Constant(3.0), n_steps=16)
    before = policy.params
    assert model.policy is policy
    assert model.critic.c == 3.0
    model.learn(16)
    assert not np.array_equal(policy.params, before)


def test_the_initial_spread_of_continuous_actions():
    model = Sketch("Pendulum-v1", init_log_std=-1.5)
    assert model.policy.params[-1] == -1.5
    discrete = Sketch("CartPole-v1", init_log_std=-1.5)  # has none
    np.testing.assert_array_equal(discrete.policy.params, Sketch("CartPole-v1").policy.params)


def test_policies_that_do_not_fit_are_refused_at_once():
    with pytest.raises(ValueError, match=r"^policy: expected obs_dim 4 to fit the environment, got 3$"):
        REINFORCE("CartPole-v1", policy=CategoricalPolicy(3, 2))
    with pytest.raises(
        ValueError, match=r"^policy: expected action_shape \(\) to fit the environment, got \(2,\)$"
    ):
        REINFORCE("CartPole-v1", policy=GaussianPolicy(4, 2))


# Learning


def test_the_normaliser_moves_after_the_update_and_only_by_what_was_learned_from():
    class Watch(Sketch):
        def update(self, batch):
            self.counts = [*getattr(self, "counts", []), self.policy.normalizer.count]
            return super().update(batch)

    model = Watch("CartPole-v1", normalize_observations=True, num_envs=2).learn(96)
    assert model.counts == [0, 32, 64]
    assert model.policy.normalizer.count == 96
    seen = np.concatenate([batch.obs for batch in model.batches])
    np.testing.assert_allclose(model.policy.normalizer.mean, seen.mean(axis=0, dtype=np.float64), atol=1e-12)
    assert model.policy.normalizer is model.components()["normalizer"]


def test_a_given_normaliser_stays_frozen_unless_asked():
    policy = CategoricalPolicy(4, 2, hidden=())
    policy.normalizer = ObservationNormalizer(4)
    policy.normalizer.update(np.random.default_rng(0).normal(size=(10, 4)))
    model = REINFORCE("CartPole-v1", policy=policy, n_steps=16).learn(32)
    assert policy.normalizer.count == 10
    assert "normalizer" in model.components()


def test_counting_goes_on_or_starts_over():
    model = Sketch("CartPole-v1").learn(32)
    model.learn(32, reset_num_timesteps=False)
    assert model.num_timesteps == 64
    assert model.num_iterations == 4
    model.learn(32)
    assert model.num_timesteps == 32
    assert model.logs["time/iterations"] == 2
    assert model.num_updates == 6
    model.learn(0)
    assert model.num_timesteps == 0


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_every_step_of_every_environment_is_counted_and_resets_are_not(mode):
    """Also the steps of environments that wait for the slowest one, which are not in the batch."""

    class Counts(gym.Wrapper):
        steps = 0

        def step(self, action):
            self.steps += 1
            return self.env.step(action)

    envs = [Counts(gym.make("CartPole-v1")) for _ in range(3)]
    vector_env = SyncVectorEnv([lambda e=e: e for e in envs], autoreset_mode=mode)
    model = Sketch(vector_env, whole_episodes=True).learn(300)
    assert model.num_timesteps == sum(env.steps for env in envs)
    assert model.num_timesteps > sum(batch.num_steps for batch in model.batches)


def test_schedules_see_how_far_training_is():
    class Watch(Sketch):
        def update(self, batch):
            self.seen = [*getattr(self, "seen", []), self.progress]
            return super().update(batch)

    assert Watch("CartPole-v1").learn(64).seen == [0.0, 0.25, 0.5, 0.75]
    model = Watch("CartPole-v1").learn(32)
    model.learn(32, reset_num_timesteps=False)
    assert model.seen == [0.0, 0.5, 0.5, 0.75]


def test_bad_amounts():
    with pytest.raises(ValueError, match=r"^total_timesteps: expected an integer >= 0, got -1$"):
        Sketch("CartPole-v1").learn(-1)
    with pytest.raises(TypeError):
        Sketch("CartPole-v1").learn(10.5)


@pytest.mark.parametrize("when", ["in the environment", "before the update", "after the update"])
@pytest.mark.parametrize("normalize", [False, True])
def test_an_interrupt_leaves_the_last_finished_iteration(when, normalize):
    """Broken off anywhere, then continued, a whole-episode run is the one that was never broken off."""

    class Interrupted(REINFORCE):
        fuse = -1

        def update(self, batch):
            self.fuse -= 1
            if self.fuse == 0 and when == "before the update":
                raise KeyboardInterrupt
            logs = super().update(batch)
            if self.fuse == 0 and when == "after the update":
                raise KeyboardInterrupt
            return logs

    class Fused(gym.Wrapper):
        fuse = -1

        def step(self, action):
            self.fuse -= 1
            if self.fuse == 0:
                raise KeyboardInterrupt
            return self.env.step(action)

    def make():
        envs = [Fused(gym.make("CartPole-v1")) for _ in range(2)]
        vector_env = SyncVectorEnv([lambda e=e: e for e in envs], autoreset_mode="Disabled")
        model = Interrupted(
            vector_env,
            n_steps=32,
            baseline="value_network",
            n_critic_updates=1,
            normalize_observations=normalize,
            seed=5,
        )
        return model, envs

    whole, _ = make()
    whole.learn(600)
    assert whole.num_iterations > 3

    model, envs = make()
    model.learn(200)
    third, _ = make()
    third.learn(200)
    if when == "in the environment":
        envs[1].fuse = 7
    else:
        model.fuse = 1
    with pytest.raises(KeyboardInterrupt):
        model.learn(400, reset_num_timesteps=False)
    assert equal_states(model, third)
    model.learn(600 - model.num_timesteps, reset_num_timesteps=False)
    assert equal_states(model, whole)


def test_same_seed_same_bits():
    def train(seed):
        return REINFORCE(
            "CartPole-v1",
            num_envs=3,
            n_steps=40,
            baseline="value_network",
            normalize_observations=True,
            seed=seed,
        ).learn(500)

    first, second = train(11), train(11)
    assert equal_states(first, second)
    np.testing.assert_array_equal(
        [first.predict(np.zeros(4))[0] for _ in range(30)],
        [second.predict(np.zeros(4))[0] for _ in range(30)],
    )
    assert not np.array_equal(train(12).policy.params, first.policy.params)


def test_bits_do_not_depend_on_the_number_of_threads(restore_threads):
    results = []
    for threads in (1, 2, 3):
        pgcore.set_num_threads(threads)
        model = REINFORCE(
            "CartPole-v1", num_envs=8, n_steps=600, baseline="value_network", n_critic_updates=1
        )
        results.append(model.learn(10_000).policy.params)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_acting_and_evaluating_in_between_change_nothing():
    def train(callback):
        return REINFORCE("CartPole-v1", n_steps=40, seed=2).learn(300, callback=callback)

    def act(model):
        model.predict(np.zeros((5, 4)))
        pgcore.evaluate_policy(model, "CartPole-v1", 2, deterministic=False)

    assert equal_states(train(None), train(act))


# Acting


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


class Still(gym.Env):
    """Any spaces, no dynamics."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def observe(self):
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample()

    def step(self, action):
        assert self.action_space.contains(action), action
        self.t += 1
        return self.observe(), 1.0, self.t == 3, False, {}


BOX = spaces.Box(-1, 1, (3,))
ACTION_SPACES = [
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Box(-0.1, 0.2, (2,)),
    spaces.Box(np.array([[-0.1, 0.0], [0.0, -1.0]]), np.array([[0.0, 0.1], [1.0, 5.0]]), dtype=np.float64),
]
OBSERVATION_SPACES = [
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Box(0, 255, (2, 3), np.uint8),
    spaces.Dict({"a": BOX, "b": spaces.Discrete(3)}),
    spaces.Tuple([spaces.Discrete(3), BOX]),
]


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
    model = Sketch(Still(BOX, spaces.Box(-0.1, 0.1, (1,))), hidden=(4,), n_steps=64).learn(1)
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


def test_gaussian_policies_for_boxes():
    assert isinstance(Sketch("Pendulum-v1").policy, GaussianPolicy)


def test_importing_an_algorithm_by_name_is_enough():
    """`pgcore.load` must find classes that nothing has imported yet."""
    code = "from pgcore.training.registry import find_algorithm; print(find_algorithm('REINFORCE').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "REINFORCE\n"
