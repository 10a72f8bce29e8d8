"""What is said of environments that return what they must not, and what becomes of their exceptions."""

from __future__ import annotations

import copy
import pickle
import traceback
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from pgcore.rollout import Collector, VectorStepper, make_vector_env
from pgcore.rollout.async_vector import AsyncVectorEnv
from pgcore.rollout.calls import reset_vector, step_vector
from pgcore.rollout.faults import FaultyEnvironmentError, is_from_environment
from pgcore.rollout.sync_vector import SyncVectorEnv
from support.faulty_envs import (
    BOX,
    DICT,
    IMAGE,
    TUPLE,
    Faulty,
    OddStep,
    WithoutOptions,
    WithoutSeed,
    divide,
    lose_the_simulator,
    returning,
)
from support.toy_envs import MODES, FakePolicy, ScriptedEnv, ToyVectorEnv

# observation space, what a step returns, what is said
OUTCOMES = [
    (BOX, returning()[:4], "expected five values (obs, reward, terminated, truncated, info), got 4"),
    (BOX, np.zeros(3), "expected five values (obs, reward, terminated, truncated, info), got float64 of"),
    (BOX, None, "expected five values"),
    (BOX, returning(np.zeros(4)), "obs: expected float32 of shape (3,), got float64 of shape (4,)"),
    (BOX, returning(np.zeros(1)), "obs: expected float32 of shape (3,), got float64 of shape (1,)"),
    (BOX, returning(np.float64(1.0)), "obs: expected float32 of shape (3,), got float64 np.float64(1.0)"),
    (BOX, returning(1.0), "obs: expected float32 of shape (3,), got float 1.0"),
    (BOX, returning([1.0, None, 2.0]), "obs: expected float32 of shape (3,), got list [1.0, None, 2.0]"),
    (BOX, returning(["1", "2", "3"]), "obs: expected float32 of shape (3,), got list ['1', '2', '3']"),
    (BOX, returning([[1.0], [2.0, 3.0], 1.0]), "obs: expected float32 of shape (3,), got list"),
    (
        BOX,
        returning(np.zeros(3, complex)),
        "obs: expected float32 of shape (3,), got complex128 of shape (3,)",
    ),
    (BOX, returning(np.zeros(3, object)), "obs: expected float32 of shape (3,), got object of shape (3,)"),
    (BOX, returning({}), "obs: expected float32 of shape (3,), got dict {}"),
    (
        IMAGE,
        returning(np.full((2, 2), 0.7)),
        "obs: expected uint8 of shape (2, 2), got float64 of shape (2, 2)",
    ),
    (IMAGE, returning(np.full((2, 2), 300.2)), "obs: expected uint8 of shape (2, 2), got float64"),
    (IMAGE, returning(np.full((2, 2), -1)), "obs: expected uint8 of shape (2, 2), got int64 of shape (2, 2)"),
    (IMAGE, returning(np.full((2, 2), np.nan)), "obs: expected uint8 of shape (2, 2), got float64"),
    (spaces.Discrete(3), returning(1.0), "obs: expected int64, one number, got float 1.0"),
    (
        spaces.Discrete(3),
        returning(np.array([1])),
        "obs: expected int64, one number, got int64 of shape (1,)",
    ),
    (spaces.MultiBinary(2), returning([0.0, 1.0]), "obs: expected int8 of shape (2,), got list [0.0, 1.0]"),
    (spaces.MultiBinary(2), returning([0, 300]), "obs: expected integers that int8 holds, got 300"),
    (spaces.MultiDiscrete([2, 2]), returning([0]), "obs: expected int64 of shape (2,), got list [0]"),
    (DICT, returning({"a": np.zeros(2)}), "obs: expected a key 'b', got keys ['a']"),
    (
        DICT,
        returning({"a": np.zeros(1), "b": 0}),
        "obs['a']: expected float32 of shape (2,), got float64 of shape",
    ),
    (DICT, returning({"a": np.zeros(2), "b": 0.5}), "obs['b']: expected int64, one number, got float 0.5"),
    (DICT, returning(np.zeros(3)), "obs: expected a dictionary, got float64 of shape (3,)"),
    (TUPLE, returning((1,)), "obs: expected a tuple of 2, got one of 1"),
    (TUPLE, returning((1, np.zeros(3))), "obs[1]: expected float32 of shape (2,), got float64 of shape (3,)"),
    (TUPLE, returning(3), "obs: expected a tuple, got int 3"),
    (BOX, returning(reward=None), "reward: expected a real number, got None"),
    (BOX, returning(reward="1.5"), "reward: expected a real number, got str '1.5'"),
    (BOX, returning(reward=1j), "reward: expected a real number, got complex 1j"),
    (BOX, returning(reward=np.ones(1)), "reward: expected a real number, got float64 of shape (1,)"),
    (BOX, returning(reward={"goal": 1.0}), "reward: expected a real number, got dict {'goal': 1.0}"),
    (BOX, returning(terminated=0.0), "terminated: expected True or False, got float 0.0"),
    (BOX, returning(terminated=0.5), "terminated: expected True or False, got float 0.5"),
    (BOX, returning(terminated=None, truncated=None), "terminated: expected True or False, got None"),
    (BOX, returning(truncated="no"), "truncated: expected True or False, got str 'no'"),
    (BOX, returning(truncated=2), "truncated: expected True or False, got int 2"),
    (
        BOX,
        returning(truncated=np.array([False])),
        "truncated: expected True or False, got bool of shape (1,)",
    ),
    (BOX, (*returning()[:4], None), "info: expected a dictionary, got None"),
    (BOX, (*returning()[:4], "info"), "info: expected a dictionary, got str 'info'"),
]
RESETS = [
    (BOX, np.zeros(3, np.float32), "expected two values (obs, info), got float32 of shape (3,)"),
    (spaces.Box(-1, 1, (2,)), np.zeros(2), "expected two values (obs, info), got float64 of shape (2,)"),
    (BOX, (np.zeros(3), {}, {}), "expected two values (obs, info), got 3"),
    (BOX, (np.zeros(3), None), "info: expected a dictionary, got None"),
    (TUPLE, (1, np.zeros(2)), "info: expected a dictionary, got float64 of shape (2,)"),
    (BOX, (np.zeros(2), {}), "obs: expected float32 of shape (3,), got float64 of shape (2,)"),
    (IMAGE, (np.full((2, 2), 0.7), {}), "obs: expected uint8 of shape (2, 2), got float64 of shape (2, 2)"),
    (DICT, ({"b": 0}, {}), "obs: expected a key 'a', got keys ['b']"),
]
BACKENDS = [SyncVectorEnv, AsyncVectorEnv]


def said_by(action):
    with warnings.catch_warnings(), pytest.raises(FaultyEnvironmentError) as caught:  # noqa: PT012
        warnings.simplefilter("ignore")  # gymnasium warns of some of it
        action()
    return str(caught.value)


def steps(env, num):
    env.reset(seed=0)
    for _ in range(num):
        env.step(np.zeros(env.num_envs, int))


@pytest.mark.covering(1)
@pytest.mark.parametrize(("space", "outcome", "message"), OUTCOMES)
@pytest.mark.parametrize("at", [1, 7])
def test_an_outcome_that_does_not_fit(space, outcome, message, at):
    outcome = (lambda: None) if outcome is None else outcome
    env = SyncVectorEnv([lambda: Faulty(space), lambda: Faulty(space, outcome=outcome, at=at)])
    steps(env, at - 1)
    said = said_by(lambda: env.step(np.zeros(2, int)))
    assert said.startswith("environment 1, step()")
    assert message in said


@pytest.mark.parametrize(("space", "first", "message"), RESETS)
def test_a_reset_that_does_not_fit(space, first, message):
    env = SyncVectorEnv([lambda: Faulty(space), lambda: Faulty(space, first=first)])
    said = said_by(lambda: env.reset(seed=0))
    assert said.startswith("environment 1, reset()")
    assert message in said
    said = said_by(lambda: make_vector_env(Faulty(space, first=first), seed=0))
    assert said.startswith("environment 0, reset()")
    assert message in said


@pytest.mark.parametrize("which", [0, 3, 4, 22, 29, 34, 41])
def test_workers_check_too(which):
    space, outcome, message = OUTCOMES[which]
    env = AsyncVectorEnv([partial(Faulty, space), partial(Faulty, space, outcome=outcome, at=2)])
    try:
        steps(env, 1)
        said = said_by(lambda: env.step(np.zeros(2, int)))
        assert said.startswith("environment 1, step()")
        assert message in said
    finally:
        env.close()


@pytest.mark.parametrize("which", [0, 3, 5, 7])
def test_workers_check_resets_too(which):
    space, first, message = RESETS[which]
    env = AsyncVectorEnv([partial(Faulty, space, first=first)])
    try:
        said = said_by(lambda: env.reset(seed=0))
        assert said.startswith("environment 0, reset()")
        assert message in said
    finally:
        env.close()


@pytest.mark.covering(1)
@pytest.mark.parametrize(("space", "outcome", "message"), OUTCOMES)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_gymnasiums_own_vector_is_checked_at_the_first_step(space, outcome, message, mode):
    outcome = (lambda: None) if outcome is None else outcome
    env = gym.vector.SyncVectorEnv(
        [lambda: Faulty(space), lambda: Faulty(space, outcome=outcome)], autoreset_mode=mode
    )
    env = make_vector_env(env, seed=0)
    said = said_by(lambda: step_vector(env, np.zeros(2, int)))
    assert said.startswith("environment 1, step()")
    assert message in said


@pytest.mark.parametrize("which", [0, 3, 4, 13, 22, 23])
def test_gymnasiums_own_vector_later(which):
    """What it fails at is told; what it converts silently, nobody sees."""
    space, outcome, message = OUTCOMES[which]
    env = gym.vector.SyncVectorEnv([lambda: Faulty(space), lambda: Faulty(space, outcome=outcome, at=4)])
    env = make_vector_env(env, seed=0)
    for _ in range(3):
        step_vector(env, np.zeros(2, int))
    said = said_by(lambda: step_vector(env, np.zeros(2, int)))
    assert said.startswith("environment 1, step()")
    assert message.split(", got")[0] in said


def test_the_checks_of_the_first_step_go_away():
    single = Faulty()
    theirs = gym.vector.SyncVectorEnv([lambda: gym.wrappers.TimeLimit(single, 9)])
    env = make_vector_env(theirs, seed=0)
    assert type(theirs.envs[0]) is not gym.wrappers.TimeLimit
    copies = [copy.deepcopy(env), env]
    for one in copies:
        step_vector(one, np.zeros(1, int))
        assert type(one.envs[0]) is gym.wrappers.TimeLimit
        assert type(one.envs[0].env) is Faulty
    assert theirs.envs[0].env is single
    wrapped = gym.wrappers.TimeLimit(single, 9)
    env = make_vector_env(make_vector_env(wrapped, seed=0), seed=0)
    assert env.envs[0] is wrapped
    env.step(np.zeros(1, int))
    assert wrapped.env is single
    pickle.loads(pickle.dumps(make_vector_env(wrapped, seed=0).envs))


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize(
    ("single", "lacking"), [(WithoutSeed, "seed and options"), (WithoutOptions, "options")]
)
def test_a_reset_without_parameters(kind, single, lacking):
    for make in (single, lambda: gym.wrappers.TimeLimit(single(), 5)):
        env = kind([make])
        try:
            assert said_by(lambda: env.reset(seed=0)) == (  # noqa: B023
                "environment 0, reset(): expected keyword arguments seed and options, got a method without "
                f"{lacking}"
            )
        finally:
            env.close()


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize("which", [0, 3, 22, 29, 41])
def test_inside_of_gymnasiums_wrappers(backend, which):
    """They would meet the fault first, and fail with an assertion or in Python's words."""
    space, outcome, message = OUTCOMES[which]
    gym.register("pgcore-test/Faulty-v0", partial(Faulty, space, outcome=outcome), max_episode_steps=9)
    try:
        env = make_vector_env("pgcore-test/Faulty-v0", num_envs=2, backend=backend, seed=0)
        try:
            said = said_by(lambda: env.step(np.zeros(2, int)))
        finally:
            env.close()
    finally:
        del gym.registry["pgcore-test/Faulty-v0"]
    assert said.startswith("environment 0, step()")
    assert message in said


def test_a_wrapper_that_is_at_fault():
    env = SyncVectorEnv([lambda: gym.wrappers.TimeLimit(OddStep(Faulty()), 5)])
    env.reset(seed=0)
    assert said_by(lambda: env.step(np.zeros(1, int))) == (
        "environment 0, step(): expected five values (obs, reward, terminated, truncated, info), got what it "
        "refuses: ValueError: not enough values to unpack (expected 5, got 4)"
    )


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("outcome", [divide, lose_the_simulator])
def test_an_exception_of_an_environment_stays_what_it_is(kind, outcome):
    error = {divide: ZeroDivisionError, lose_the_simulator: ConnectionResetError}[outcome]
    env = kind([Faulty, partial(Faulty, outcome=outcome, at=2)])
    try:
        steps(env, 1)
        with pytest.raises(error) as caught:
            step_vector(env, np.zeros(2, int))
        text = "".join(traceback.format_exception(caught.value))
        assert outcome.__name__ in text  # the line that raised it
        assert "environment 1" in text
        assert is_from_environment(caught.value)
        env.reset(seed=0)
        env.step(np.zeros(2, int))  # the fault comes at the second step only
    finally:
        env.close()


def test_an_exception_that_cannot_be_sent():
    class LocalError(Exception):
        pass

    def fail():
        raise LocalError("here")

    env = AsyncVectorEnv([lambda: Faulty(outcome=fail)])
    try:
        env.reset(seed=0)
        with pytest.raises(Exception, match=r"^LocalError: here") as caught:
            env.step(np.zeros(1, int))
        assert "in fail" in "".join(traceback.format_exception(caught.value))
    finally:
        env.close()


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (lambda o, r, e, c, i: (o, r, e, c), "expected five values .*, got 4"),
        (
            lambda o, r, e, c, i: (o, r[:1], e, c, i),
            r"rewards: expected an array of shape \(2,\), got float64",
        ),
        (
            lambda o, r, e, c, i: (o, 1.0, e, c, i),
            r"rewards: expected an array of shape \(2,\), got float 1.0",
        ),
        (lambda o, r, e, c, i: (o, [1.0, None], e, c, i), "reward: expected a real number, got None"),
        (lambda o, r, e, c, i: (o, r, e * 0.5, c, i), "terminated: expected True or False, got float64"),
        (lambda o, r, e, c, i: (o, r, e, None, i), r"truncated: expected an array of shape \(2,\), got None"),
        (lambda o, r, e, c, i: (o, r, e, c, None), "info: expected a dictionary, got None"),
        (lambda o, r, e, c, i: (o[:, :2], r, e, c, i), r"obs: expected shape \(1, 3\), got \(1, 2\)"),
        (lambda o, r, e, c, i: (o[:1], r, e, c, i), r"obs: expected shape \(2, 3\), got \(1, 3\)"),
        (lambda o, r, e, c, i: (o.astype(str), r, e, c, i), "obs: expected real numbers, got <U"),
        (lambda o, r, e, c, i: (None, r, e, c, i), "obs: expected"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_vector_environment_at_fault(outcome, message, mode):
    class Odd(ToyVectorEnv):
        def step(self, actions):
            return outcome(*super().step(actions))

    stepper, obs = VectorStepper(Odd([[(5, "terminated")]] * 2, mode)), np.empty((2, 3))
    stepper.reset(obs)
    with pytest.raises(FaultyEnvironmentError, match=rf"step\(\).*{message}"):
        stepper.step(np.zeros(2, int), obs)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (lambda obs: obs, "expected two values"),
        (lambda obs: (obs, None), "info: expected a dictionary, got None"),
        (lambda obs: (obs[0], {}), r"obs: expected shape \(2, 3\), got \(3,\)"),
    ],
)
def test_a_vector_environments_reset_at_fault(outcome, message):
    class Odd(ToyVectorEnv):
        def reset(self, **kwargs):
            return outcome(super().reset(**kwargs)[0])

    with pytest.raises(FaultyEnvironmentError, match=rf"^env, reset\(\).*{message}"):
        VectorStepper(Odd([[(5, "terminated")]] * 2, MODES[0])).reset(np.empty((2, 3)))


def test_an_observation_out_of_range_names_its_environment():
    makes = [partial(Faulty, DICT, obs={"a": np.zeros(2), "b": number}) for number in (2, 3)]
    env = make_vector_env(gym.vector.SyncVectorEnv(makes))
    with pytest.raises(
        FaultyEnvironmentError, match=r"^environment 1, reset\(\), obs\['b'\]: expected integers"
    ):
        VectorStepper(env).reset(np.empty((2, 5)))


@pytest.mark.parametrize(
    "kind", [SyncVectorEnv, partial(gym.vector.SyncVectorEnv, autoreset_mode="Disabled")]
)
@pytest.mark.parametrize(
    ("space", "obs"),
    [
        (BOX, np.arange(3.0)),
        (BOX, [1, 2, 3]),
        (BOX, np.array([True, False, True])),
        (IMAGE, np.full((2, 2), 7, np.uint8)),
        (spaces.Box(-9, 9, (2,), np.int32), np.array([1, -2])),
        (spaces.Box(-9, 9, (2,), np.float64), np.array([1, -2], np.float32)),
        (spaces.Box(-9, 9, ()), 1.5),
        (spaces.Discrete(3), np.array(2)),
        (spaces.MultiBinary(2), [0, 1]),
        (DICT, {"b": np.int32(1), "a": (0.5, 1), "more": None}),
        (TUPLE, [2, [0.5, 1.0]]),
    ],
)
def test_what_gymnasium_takes_is_taken(kind, space, obs):
    """The two agree on what comes out, too."""
    env = kind([lambda: Faulty(space, obs=obs)] * 2)
    expected = gym.vector.utils.concatenate(
        space, [obs] * 2, gym.vector.utils.create_empty_array(space, 2, np.zeros)
    )
    for got in (env.reset(seed=0)[0], env.step(np.zeros(2, int))[0]):
        np.testing.assert_equal(got, expected)
        dtypes = (
            [a.dtype for a in gym.vector.utils.iterate(env.observation_space, got)] if space == BOX else []
        )
        assert all(dtype == space.dtype for dtype in dtypes)


@pytest.mark.parametrize("reward", [1, True, np.float32(1), np.int64(1), np.array(1.0), 1.0])
@pytest.mark.parametrize("flag", [0, np.False_, np.array(False), np.int8(0)])
def test_numbers_and_flags_of_any_kind(reward, flag):
    env = SyncVectorEnv([Faulty, lambda: Faulty(outcome=returning(reward=reward, terminated=flag))])
    env.reset(seed=0)
    _, rewards, terminated, truncated, _ = env.step(np.zeros(2, int))
    assert rewards.dtype == np.float64
    assert rewards.tolist() == [1.0, 1.0]
    assert terminated.dtype == truncated.dtype == bool
    assert not terminated.any()


@pytest.mark.covering(2)
@pytest.mark.parametrize("collected", ["obs", "bootstrap", "reward"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("whole_episodes", [False, True])
def test_what_is_not_finite_is_named(collected, value, mode, whole_episodes):
    class Odd(ToyVectorEnv):
        def step(self, actions):
            obs, rewards, *rest = super().step(actions)
            if self.num_steps == (6 if collected == "bootstrap" else 3):
                if collected == "reward":
                    rewards[1] = value
                else:
                    obs[1, 2] = value
            return obs, rewards, *rest

    env = Odd([[(9, "terminated")]] * 2, mode)
    collector = Collector(env, FakePolicy(num_actions=None), rng=np.random.default_rng(0), seed=1)
    name, step = ("reward", 2) if collected == "reward" else ("obs[2]", 6 if collected == "bootstrap" else 3)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(FaultyEnvironmentError) as caught,
    ):
        collector.collect(6, whole_episodes=whole_episodes)
    assert str(caught.value) == (
        f"{name}: expected a finite number, got {value} in environment 1 at step {step} of the rollout"
    )


@pytest.mark.parametrize("mode", MODES)
def test_rows_that_nobody_reads_may_hold_anything(mode):
    class Odd(ToyVectorEnv):
        def step(self, actions):
            idle = self.done.copy() if self.mode is AutoresetMode.NEXT_STEP else np.zeros(2, bool)
            obs, rewards, *rest = super().step(actions)
            rewards[idle] = np.nan
            return obs, rewards, *rest

    env = Odd([[(2, "terminated")]] * 2, mode)
    batch = Collector(env, FakePolicy(), rng=np.random.default_rng(0)).collect(9)
    assert np.isfinite(batch.rewards).all()


def test_actions_that_are_not_finite():
    class Broken(FakePolicy):
        def mean(self, obs):
            return super().mean(obs) * np.where(obs[:, 2:] == 4, np.nan, 1)

    policy = Broken(action_shape=(2,), num_actions=None)
    env = ToyVectorEnv([[(9, "terminated")]] * 2, MODES[2], action_space=spaces.Box(-1, 1, (2,)))
    with pytest.raises(FloatingPointError) as caught:
        Collector(env, policy, rng=np.random.default_rng(0)).collect(6)
    assert str(caught.value) == (
        "policy: expected finite actions, got nan in environment 0 at step 4 of the rollout, component [0]; "
        "its observation is finite, so its parameters are not"
    )


def test_a_policy_that_minds_is_told_where():
    class Minds(FakePolicy):
        def act(self, obs, noise, *, out):
            if np.isnan(obs).any():
                raise ValueError("logits: expected finite numbers, got nan in row 0")
            return super().act(obs, noise, out=out)

    single = Faulty(outcome=returning(np.array([0, np.nan, 0], np.float32)), at=2)
    env = SyncVectorEnv([Faulty, lambda: single])
    with pytest.raises(FaultyEnvironmentError) as caught:
        Collector(env, Minds(), rng=np.random.default_rng(0)).collect(6)
    assert str(caught.value) == (
        "obs[1]: expected a finite number, got nan in environment 1 at step 2 of the rollout"
    )


def test_an_environment_that_minds_actions_is_told_of_them():
    class Minds(ScriptedEnv):
        def step(self, action):
            assert np.isfinite(action).all(), "a bad action"
            return super().step(action)

    class Broken(FakePolicy):
        def mean(self, obs):
            return super().mean(obs) * np.nan

    env = Minds()
    env.action_space = spaces.Box(-1, 1, (1,))
    policy = Broken(action_shape=(1,), num_actions=None)
    with pytest.raises(
        FloatingPointError, match=r"^policy: expected finite actions, got nan in environment 0 at step 0"
    ):
        Collector(SyncVectorEnv([lambda: env]), policy, rng=np.random.default_rng(0)).collect(6)


def test_not_finite_numbers_are_ended_early_in_episodes_that_never_end():
    """Where every step of the environment is NaN, it may never terminate."""

    class Endless(Faulty):
        action_space = spaces.Box(-1, 1, (1,))

        def step(self, action):
            self.t += 1
            assert self.t < 1000, "for ever"
            return np.full(3, np.nan, np.float32), 1.0, False, False, {}

    policy = FakePolicy(action_shape=(1,), num_actions=None)
    with pytest.raises(FaultyEnvironmentError, match=r"^obs.0.: expected a finite number, got nan") as caught:
        Collector(SyncVectorEnv([Endless]), policy, rng=np.random.default_rng(0)).collect(
            3, whole_episodes=True
        )
    assert "for ever" not in str(caught.value.__context__)


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 2**100, np.int64(7), np.uint64(2**63)])
@pytest.mark.parametrize("backend", ["sync", "native", "async"])
def test_seeds_of_any_size(number, backend):
    starts = []
    for _ in range(2):
        env = make_vector_env("CartPole-v1", num_envs=2, backend=backend, seed=number)
        try:
            starts.append([reset_vector(env), reset_vector(env, seed=int(number))])
        finally:
            env.close()
    np.testing.assert_array_equal(*starts)


@pytest.mark.parametrize(
    ("number", "kind"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]
)
@pytest.mark.parametrize("backend", ["sync", "native", "async"])
def test_seeds_that_are_none(number, kind, backend):
    with pytest.raises(kind, match=r"^seed: expected an integer >= 0 or None, got"):
        make_vector_env("CartPole-v1", num_envs=2, backend=backend, seed=number)
