"""`Algorithm.learn`: what it counts, when the normaliser moves, interrupts, repeatability."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

import pgcore
from pgcore import REINFORCE
from pgcore.policies import CategoricalPolicy, ObservationNormalizer
from support.sketch import Sketch, equal_states


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
