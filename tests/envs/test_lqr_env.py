"""The LQR as an environment: one copy, many copies, through gymnasium, and under the algorithms."""

from __future__ import annotations

import math
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import pgcore
from pgcore.envs import LQR, LQRVector, lqr
from pgcore.policies import GaussianPolicy
from pgcore.rollout import Collector, make_vector_env

ID = "pgcore.envs:pgcore/LQR-v0"


# ---- one copy ----


def test_dynamics():
    env = LQR(horizon=3, initial_second_moment=4.0)
    s, info = env.reset(seed=5)
    assert s.shape == (1,)
    assert s.dtype == np.float64
    assert info == {}
    assert s[0] == 2 * LQR().reset(seed=5)[0][0]
    for t, a in enumerate([-300.0, 0.25, 1e9]):
        before = s.copy()
        s, reward, terminated, truncated, info = env.step(np.array([a]))
        assert s[0] == before[0] + a
        assert reward == -(before[0] ** 2 + a**2)
        assert (terminated, truncated, info) == (t == 2, False, {})
        assert type(reward) is float
        assert type(terminated) is bool


def test_gymnasium_makes_and_approves_it():
    env = gym.make(ID, horizon=50)
    assert env.unwrapped.horizon == 50
    assert env.spec.max_episode_steps is None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    # It is unbounded, which is all that there is to say.
    unbounded = "infinity. This is probably too|we recommend using a symmetric and normalized space"
    assert not [w for w in caught if not any(part in str(w.message) for part in unbounded.split("|"))]
    assert caught


def test_overflow_is_silent():
    env, envs = LQR(horizon=3), LQRVector(2, horizon=3)
    env.reset(seed=0)
    envs.reset(seed=0)
    assert env.step([1e200])[1] == -math.inf
    assert env.step([1e200])[1] == -math.inf
    for _ in range(2):
        assert (envs.step(np.full((2, 1), 1e200))[1] == -math.inf).all()


# ---- many copies ----


def test_a_vector_of_one_is_the_single_environment(rng):
    env, envs = LQR(4, 0.5), LQRVector(1, 4, 0.5)
    single, many = env.reset(seed=7)[0], envs.reset(seed=7)[0]
    for _ in range(3):
        np.testing.assert_array_equal(many[0], single)
        for _ in range(4):
            action = rng.standard_normal((1, 1))
            single, *rest = env.step(action[0])
            many, *many_rest = envs.step(action)
            np.testing.assert_array_equal(many[0], single)
            assert [value[0] for value in many_rest[:3]] == rest[:3]
        assert rest[1]
        single, many = env.reset()[0], envs.reset(options={"reset_mask": np.array([True])})[0]


def test_many_copies_are_single_environments_with_a_common_generator(rng):
    """Step by step, bit for bit, with resets of some copies in mid-episode."""
    n, horizon = 5, 3
    envs, singles = LQRVector(n, horizon, 2.0), [LQR(horizon, 2.0) for _ in range(n)]
    obs, _ = envs.reset(seed=11)
    np.testing.assert_array_equal(obs[0], singles[0].reset(seed=11)[0])
    for i in range(1, n):
        singles[i].np_random = singles[0].np_random
        np.testing.assert_array_equal(obs[i], singles[i].reset()[0])
    ended = 0
    for _ in range(40):
        actions = rng.standard_normal((n, 1))
        obs, rewards, terminated, truncated, info = envs.step(actions)
        expected = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        np.testing.assert_array_equal(obs, [step[0] for step in expected])
        np.testing.assert_array_equal(rewards, [step[1] for step in expected])
        np.testing.assert_array_equal(terminated, [step[2] for step in expected])
        assert not truncated.any()
        assert info == {}
        ended += terminated.sum()
        mask = terminated | (rng.random(n) < 0.2)
        if mask.any():
            obs, _ = envs.reset(options={"reset_mask": mask})
            for i in np.flatnonzero(mask):
                np.testing.assert_array_equal(obs[i], singles[i].reset()[0])
    assert 10 < ended < 60


def test_a_policy_s_noise_may_have_the_same_seed():
    noise = np.random.default_rng(5).standard_normal(2000)
    states = LQRVector(1000).reset(seed=5)[0][:, 0]
    lags = [np.corrcoef(states, noise[lag : lag + 1000])[0, 1] for lag in range(1000)]
    assert np.max(np.abs(lags)) < 5 / np.sqrt(1000)
    assert LQR().reset(seed=5)[0][0] not in noise


def test_seeds():
    envs = LQRVector(100)
    first, second, again = envs.reset(seed=3)[0], envs.reset()[0], envs.reset(seed=3)[0]
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(np.concatenate([first, second]))) == 200
    assert (LQRVector(100).reset(seed=4)[0] != first).all()
    mask = np.arange(100) < 2
    fresh, _ = envs.reset(seed=3, options={"reset_mask": mask})
    np.testing.assert_array_equal(fresh, first)


def test_what_is_returned_is_the_caller_s(rng):
    envs, twin = LQRVector(3, 4), LQRVector(3, 4)
    kept, other = [envs.reset(seed=0)[0]], [twin.reset(seed=0)[0]]
    for _ in range(4):
        actions = rng.standard_normal((3, 1))
        before = actions.copy()
        other.extend(array.copy() for array in twin.step(actions)[:4])
        step = envs.step(actions)[:4]
        np.testing.assert_array_equal(actions, before)
        kept.extend(step)
    for old, expected in zip(kept, other, strict=True):
        np.testing.assert_array_equal(old, expected)
    for i, array in enumerate(kept):
        assert not any(np.shares_memory(array, later) for later in kept[i + 1 :])
    kept[-3][:] = False  # the last flags of termination
    with pytest.raises(ResetNeeded):
        envs.step(actions)
    obs, _ = envs.reset(seed=1)
    expected, _ = twin.reset(seed=1)
    obs[:] = 99.0
    np.testing.assert_array_equal(envs.step(actions)[0], expected + actions)


def test_copies_that_have_ended_wait_for_their_reset():
    envs = LQRVector(3, horizon=2)
    still = np.zeros((3, 1))
    with pytest.raises(ResetNeeded, match="a reset due in 3 copies, the first of which is 0"):
        envs.step(still)
    envs.reset(seed=0)
    envs.step(still)
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert envs.step(still)[2].tolist() == [False, True, False]
    with pytest.raises(ResetNeeded, match="a reset due in 1 copies, the first of which is 1"):
        envs.step(still)
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert envs.step(still)[2].tolist() == [True, False, True]


def test_gymnasium_makes_the_vector():
    envs = gym.make_vec(ID, 6, "vector_entry_point", horizon=9, initial_second_moment=0.25)
    assert isinstance(envs, LQRVector)
    assert (envs.num_envs, envs.horizon, envs.initial_second_moment) == (6, 9, 0.25)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert envs.observation_space.shape == envs.action_space.shape == (6, 1)
    assert envs.single_observation_space == LQR().observation_space
    assert envs.single_action_space == LQR().action_space
    assert envs.reset(seed=0)[0] in envs.observation_space
    assert envs.step(envs.action_space.sample())[0] in envs.observation_space


# ---- under the algorithms ----


def test_collector_takes_whole_episodes():
    env = make_vector_env(ID, num_envs=4, backend="native", horizon=5)
    policy = GaussianPolicy(1, 1, hidden=(), dtype="float64")
    batch = Collector(env, policy, rng=np.random.default_rng(0), seed=0).collect(10)
    assert batch.num_segments == 8
    assert batch.num_truncated == 0
    s, a = batch.obs.reshape(8, 5), batch.actions.reshape(8, 5)
    np.testing.assert_array_equal(s[:, 1:], s[:, :-1] + a[:, :-1])
    np.testing.assert_array_equal(batch.rewards.reshape(8, 5), -(s * s + a * a))


def test_reinforce_improves_the_native_vector():
    model = pgcore.REINFORCE(
        ID, num_envs=8, backend="native", n_steps=20, hidden=(), learning_rate=0.05, seed=0
    )
    assert isinstance(model.env.unwrapped, LQRVector)

    def expected_return():
        weight, bias, log_std = model.policy.params.tolist()
        assert abs(bias) < 0.5
        return lqr.exact_return(weight, math.exp(log_std), horizon=20)

    before = expected_return()
    model.learn(8 * 20 * 60)
    assert before < -100
    assert expected_return() > -4  # the best is -1.618, without noise


# ---- errors ----


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LQR(horizon=0), ValueError, "horizon: expected an integer >= 1, got 0"),
        (lambda: LQR(horizon=1.5), TypeError, "horizon: expected an integer, got float"),
        (
            lambda: LQR(initial_second_moment=-0.5),
            ValueError,
            "initial_second_moment: expected a finite number >= 0, got -0.5",
        ),
        (
            lambda: LQRVector(2, initial_second_moment=math.inf),
            ValueError,
            "initial_second_moment: expected a finite number >= 0, got inf",
        ),
        (lambda: LQRVector(0), ValueError, "num_envs: expected an integer >= 1, got 0"),
        (lambda: fresh(LQR()).step(np.zeros(2)), ValueError, "action: expected shape (1,), got (2,)"),
        (lambda: fresh(LQR()).step(0.5), ValueError, "action: expected shape (1,), got ()"),
        (lambda: LQR().step([0.5]), ResetNeeded, "step: expected an episode under way, got a reset due"),
        (
            lambda: fresh(LQRVector(2)).step(np.zeros(2)),
            ValueError,
            "actions: expected shape (2, 1), got (2,)",
        ),
        (
            lambda: LQRVector(2).reset(options={"reset_mask": np.ones(3, bool)}),
            ValueError,
            "options['reset_mask']: expected shape (2,), got (3,)",
        ),
        (
            lambda: LQRVector(2).reset(options={"reset_mask": np.ones(2)}),
            TypeError,
            "options['reset_mask']: expected booleans or integers 0 and 1, got float64",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def fresh(env):
    env.reset(seed=0)
    return env
