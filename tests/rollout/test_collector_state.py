"""What a collector calls, keeps, shares and refuses: noise, memory, seeds, running episodes."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from pgcore.rollout import Collector, make_vector_env
from support.toy_envs import (
    FIELDS,
    MODES,
    SCRIPTS,
    TERMINATED,
    TRUNCATED,
    FakePolicy,
    ToyVectorEnv,
    assert_same,
    collector_for,
)


@pytest.mark.parametrize("mode", MODES)
def test_one_call_of_everything_per_step(mode):
    policy = FakePolicy()
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env, policy)
    collector.collect(25)
    assert env.num_steps == len(policy.acted_on) == 25
    assert policy.noise_shapes == [(25, 4)]
    assert policy.num_log_prob_calls == 1
    collector.collect(25)
    assert env.num_steps == len(policy.acted_on) == 50
    assert policy.noise_shapes == [(25, 4)] * 2


def test_the_policy_acts_on_what_the_batch_says():
    policy = FakePolicy()
    batch = collector_for(ToyVectorEnv(SCRIPTS, AutoresetMode.DISABLED), policy).collect(12)
    np.testing.assert_array_equal(np.stack(policy.acted_on).transpose(1, 0, 2).reshape(-1, 3), batch.obs)


@pytest.mark.parametrize("mode", MODES)
def test_batches_do_not_share_memory_with_anything(mode):
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env)
    first = collector.collect(10)
    kept = [getattr(first, name).copy() for name in FIELDS]
    env.buffer[:] = np.nan  # the environment may do with its array what it wants
    second = collector.collect(10)
    for name, copy in zip(FIELDS, kept, strict=True):
        np.testing.assert_array_equal(getattr(first, name), copy)
        assert not np.shares_memory(getattr(first, name), getattr(second, name))
    assert np.isfinite(second.obs).all()
    assert np.isfinite(second.bootstrap_obs).all()


def test_environments_and_policies_may_reuse_the_action_array():
    class Vandal(ToyVectorEnv):
        def step(self, actions):
            outcome = super().step(actions)
            actions[:] = -77
            return outcome

    env = Vandal(SCRIPTS, AutoresetMode.SAME_STEP)
    batch = collector_for(env).collect(5)
    assert (batch.actions >= 0).all()


def test_the_action_reaches_its_own_environment_and_step():
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.NEXT_STEP, action_space=spaces.Discrete(5, start=-2))
    policy = FakePolicy(num_actions=5)
    batch = collector_for(env, policy).collect(30)
    assert set(batch.actions) == set(range(5))
    for obs, action in zip(batch.obs, batch.actions, strict=True):
        assert env.received[tuple(int(x) for x in obs)] == action - 2


@pytest.mark.parametrize(
    ("space", "shape", "num_actions"),
    [(spaces.MultiDiscrete([3, 3]), (2,), 3), (spaces.MultiBinary((2, 2)), (4,), 2)],
)
def test_products_of_discrete_actions(space, shape, num_actions):
    policy = FakePolicy(action_shape=shape, num_actions=num_actions)
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=space)
    batch = collector_for(env, policy).collect(9)
    assert batch.actions.shape == (36, *shape)
    assert batch.actions.dtype == np.int64
    for obs, action in zip(batch.obs, batch.actions, strict=True):
        received = env.received[tuple(int(x) for x in obs)]
        assert space.contains(received)
        np.testing.assert_array_equal(received.ravel(), action)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_the_policys_but_for_observations(dtype):
    policy = FakePolicy(dtype=dtype, action_shape=(1,), num_actions=None)
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=spaces.Box(-1, 1, (1,)))
    batch = collector_for(env, policy).collect(4)
    for name in ("actions", "log_probs"):
        assert getattr(batch, name).dtype == dtype, name
    for name in ("obs", "bootstrap_obs"):
        assert getattr(batch, name).dtype == env.single_observation_space.dtype == np.float64, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rewards_are_those_that_the_environment_returned(dtype):
    class Rich(ToyVectorEnv):
        def step(self, actions):
            obs, rewards, *rest = super().step(actions)
            return obs, 1e8 + np.asarray(rewards, np.float64) % 2, *rest

    policy = FakePolicy(dtype=dtype, action_shape=(1,), num_actions=None)
    env = Rich(SCRIPTS, AutoresetMode.SAME_STEP, action_space=spaces.Box(-1, 1, (1,)))
    batch = collector_for(env, policy).collect(4)
    plain = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=spaces.Box(-1, 1, (1,)))
    expected = collector_for(plain, policy).collect(4).rewards % 2
    np.testing.assert_array_equal(batch.rewards - 1e8, expected)


def test_returns_are_summed_in_double():
    class Fine(ToyVectorEnv):
        def step(self, actions):
            obs, rewards, *rest = super().step(actions)
            return obs, np.full_like(rewards, 1 + 2.0**-40), *rest

    collector = collector_for(Fine([[(8, TERMINATED)]], AutoresetMode.SAME_STEP))
    collector.collect(8)
    assert collector.episode_returns == [8 * (1 + 2.0**-40)]
    assert collector.episode_lengths == [8]
    assert type(collector.episode_returns[0]) is float
    assert type(collector.episode_lengths[0]) is int


def test_episodes_are_listed_in_the_order_in_which_they_ended():
    scripts = [[(5, TERMINATED)], [(3, TRUNCATED), (9, TERMINATED)], [(2, TERMINATED), (9, TERMINATED)]]
    collector = collector_for(ToyVectorEnv(scripts, AutoresetMode.SAME_STEP))
    collector.collect(4)
    assert collector.episode_lengths == [2, 3]
    collector.collect(4)
    assert collector.episode_lengths == [5]
    collector.collect(2)
    assert collector.episode_lengths == [5]
    collector.collect(1)
    assert collector.episode_lengths == [9]  # environment 2: nine steps over three batches


def test_seeds():
    def reset_seeds(seed, whole):
        env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP)
        collector = Collector(env, FakePolicy(), rng=np.random.default_rng(3), seed=seed)
        for _ in range(3):
            collector.collect(2, whole_episodes=whole)
        return env.reset_seeds

    assert reset_seeds(7, False) == [7]
    drawn = reset_seeds(None, False)
    assert len(drawn) == 1
    assert drawn == reset_seeds(None, False)
    whole = reset_seeds(7, True)
    assert len(set(whole)) == 3
    assert whole == reset_seeds(8, True)
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in drawn + whole)


def test_whole_episodes_can_be_resumed_from_the_generator_alone():
    def batches(collector, num):
        return [collector.collect(150, whole_episodes=True) for _ in range(num)]

    env = make_vector_env("CartPole-v1", num_envs=3)
    policy = FakePolicy(obs_dim=4)
    unbroken = Collector(env, policy, rng=np.random.default_rng(0))
    expected = batches(unbroken, 4)
    first = Collector(make_vector_env("CartPole-v1", num_envs=3), policy, rng=np.random.default_rng(0))
    first.collect(3000, whole_episodes=True)  # a larger buffer must make no difference
    first.rng = np.random.default_rng(0)
    for batch, other in zip(batches(first, 2), expected, strict=False):
        assert_same(batch, other)
    second = Collector(make_vector_env("CartPole-v1", num_envs=3), policy, rng=first.rng)
    for batch, other in zip(batches(second, 2), expected[2:], strict=True):
        assert_same(batch, other)


def test_switching_between_steps_and_whole_episodes():
    env = ToyVectorEnv([[(6, TERMINATED)]] * 2, AutoresetMode.NEXT_STEP)
    collector = collector_for(env)
    collector.collect(4)
    batch = collector.collect(1, whole_episodes=True)
    np.testing.assert_array_equal(batch.obs[:, 2], [*range(6), *range(6)])
    assert collector.episode_lengths == [6, 6]  # not 4 more
    batch = collector.collect(2)
    np.testing.assert_array_equal(batch.obs[:, 2], [0, 1, 0, 1])
    collector.collect(4)
    assert collector.episode_lengths == [6, 6]
    assert len(env.reset_seeds) == 3


@pytest.mark.parametrize("broken", ["step", "log_prob"])
def test_an_interrupted_rollout_begins_anew(broken):
    env, policy = ToyVectorEnv([[(6, TERMINATED)]], AutoresetMode.DISABLED), FakePolicy()
    collector = collector_for(env, policy)
    collector.collect(3)
    target = env if broken == "step" else policy
    original = getattr(target, broken)

    def interrupt(*_):
        raise KeyboardInterrupt

    setattr(target, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        collector.collect(2)
    setattr(target, broken, original)
    batch = collector.collect(6)
    np.testing.assert_array_equal(batch.obs[:, 2], range(6))
    assert collector.episode_lengths == [6]
    assert env.reset_seeds[0] == 11
    assert env.reset_seeds[1] not in (None, 11)  # not the same episodes once more


def test_shorter_and_longer_rollouts_follow_each_other():
    env = ToyVectorEnv([[(100, TERMINATED)]] * 2, AutoresetMode.SAME_STEP)
    collector = collector_for(env)
    seen = [collector.collect(n).segment(0).obs[:, 2] for n in (5, 2, 30, 1, 7)]
    np.testing.assert_array_equal(np.concatenate(seen), range(45))


def test_refusals():
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP)
    rng = np.random.default_rng(0)
    for call, kind, message in [
        (lambda: collector_for(env).collect(0), ValueError, "n_steps: expected an integer >= 1, got 0"),
        (lambda: collector_for(env).collect(2.5), TypeError, "n_steps: expected an integer, got float"),
        (
            lambda: Collector(env, FakePolicy(obs_dim=4), rng=rng),
            ValueError,
            "policy: expected obs_dim 3 to fit the environment, got 4",
        ),
        (
            lambda: Collector(env, FakePolicy(action_shape=(2,)), rng=rng),
            ValueError,
            "policy: expected action_shape () to fit the environment, got (2,)",
        ),
    ]:
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == message
