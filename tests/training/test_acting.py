"""`Algorithm.predict`: actions in the action space, for any observation, alone or in a batch."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from support.sketch import ACTION_SPACES, BOX, OBSERVATION_SPACES, Sketch, Still


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


SPACES = {
    "box": BOX,
    "number": spaces.Box(-1, 1, ()),
    "image": spaces.Box(0, 255, (2, 3), np.uint8),
    "discrete": spaces.Discrete(3, start=1),
    "multi": spaces.MultiDiscrete([2, 3]),
    "binary": spaces.MultiBinary(4),
    "dict": spaces.Dict({"a": BOX, "b": spaces.Discrete(3)}),
    "tuple": spaces.Tuple([spaces.Discrete(3), BOX]),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("call", ["reset()", "step()"])
def test_the_outcome_of_a_call_is_no_observation(name, call):
    env = Still(SPACES[name], spaces.Discrete(2))
    model = Sketch(env, hidden=())
    outcome = env.reset() if call == "reset()" else env.step(0)
    values = "(obs, info)" if call == "reset()" else "(obs, reward, terminated, truncated, info)"
    with pytest.raises(ValueError) as error:
        model.predict(outcome)
    assert str(error.value) == (
        f"obs: expected an observation, got a tuple {values} as {call} returns it; pass its obs"
    )
    model.predict(outcome[0])


def test_a_tuple_that_is_an_observation():
    env = Still(spaces.Tuple([BOX, spaces.Dict({"b": spaces.Discrete(3)})]), spaces.Discrete(2))
    model = Sketch(env, hidden=())
    model.predict((np.zeros(3), {"b": 1}))
    with pytest.raises(ValueError, match=r"^obs: expected an observation, got a tuple \(obs, info\)"):
        model.predict(((np.zeros(3), {"b": 1}), {}))


@pytest.mark.parametrize(
    ("name", "obs", "message"),
    [
        ("box", None, "obs: expected real numbers of shape (3,), got None"),
        ("box", "abc", "obs: expected real numbers of shape (3,), got str 'abc'"),
        ("box", [[1.0], [1.0, 2.0], 3.0], "obs: expected real numbers of shape (3,), got list"),
        ("box", np.zeros(3, complex), "obs: expected "),
        ("box", np.array([0.0, None, 1.0], object), "obs: expected "),
        ("box", {"a": 1}, "obs: expected real numbers of shape (3,), got dict {'a': 1}"),
        (
            "box",
            np.zeros((2, 4)),
            "obs: expected one observation of shape (3,) or a batch (N, 3), got shape (2, 4)",
        ),
        ("number", np.zeros((2, 2)), "obs: expected one observation of shape () or a batch (N)"),
        ("image", np.zeros((3, 2)), "obs: expected one observation of shape (2, 3) or a batch (N, 2, 3)"),
        ("discrete", 7, "obs: expected integers from [1] to [3], got [7]"),
        ("discrete", 1.5, "obs: expected integers, got float64"),
        ("discrete", np.zeros((2, 2), int), "obs: expected one observation of shape () or a batch (N)"),
        ("multi", np.array([0, 5]), "obs: expected integers from [0 0] to [1 2], got"),
        ("multi", np.array([0, 1, 1]), "obs: expected one observation of shape (2,)"),
        ("binary", np.zeros(3, int), "obs: expected one observation of shape (4,)"),
        ("binary", ["a", "b", "c", "d"], "obs: expected real numbers of shape (4,)"),
        ("dict", {"a": np.zeros(3)}, "obs: expected an observation of Dict('a': Box"),
        ("dict", np.zeros(4), "obs: expected an observation of Dict('a': Box"),
        ("dict", {"a": np.zeros(4), "b": 0}, "obs: expected obs['a'] to be one observation of shape (3,)"),
        (
            "dict",
            {"a": np.zeros((2, 3)), "b": 0},
            "obs: expected one observation, or as many in every part, got",
        ),
        ("dict", {"a": np.zeros((2, 3)), "b": np.zeros(3, int)}, "obs: expected one observation, or as many"),
        ("dict", {"a": None, "b": 0}, "obs: expected obs['a'] to be real numbers of shape (3,), got None"),
        ("dict", {"a": np.zeros(3), "b": 9}, "obs['b']: expected integers from [0] to [2], got [9]"),
        ("tuple", (1,), "obs: expected an observation of Tuple(Discrete(3), Box"),
        ("tuple", 3, "obs: expected an observation of Tuple(Discrete(3), Box"),
        ("tuple", (1, np.zeros(2)), "obs: expected obs[1] to be one observation of shape (3,)"),
        ("tuple", (5, np.zeros(3)), "obs[0]: expected integers from [0] to [2], got [5]"),
    ],
)
def test_an_observation_that_is_none_of_the_space(name, obs, message):
    model = Sketch(Still(SPACES[name], spaces.Discrete(2)), hidden=())
    with pytest.raises((ValueError, TypeError)) as error:
        model.predict(obs)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "action_space", [spaces.Discrete(2), spaces.MultiDiscrete([2, 3]), spaces.Box(-1, 1, (2,))]
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_an_observation_that_is_not_finite(value, action_space, deterministic):
    model = Sketch(Still(BOX, action_space), hidden=(4,))
    obs = np.array([0.0, value, 0.0], np.float32)
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError) as error:
            model.predict(obs.astype(dtype), deterministic=deterministic)
        assert str(error.value) == f"obs[1]: expected a finite number, got {value}"
    with pytest.raises(ValueError) as error:
        model.predict(np.stack([np.zeros(3), obs]), deterministic=deterministic)
    assert str(error.value) == f"obs[1]: expected a finite number, got {value} in row 1"
    model.predict(np.full(3, 3e38, np.float32))  # large is not infinite


@pytest.mark.parametrize(
    ("space", "obs", "component"),
    [
        (spaces.Box(-1, 1, (2, 2)), np.array([[0, 0], [np.nan, 0]]), "obs[1, 0]"),
        (spaces.Box(-1, 1, ()), np.nan, "obs"),
        (spaces.Box(-1, 1, (100,)), np.where(np.arange(100) == 70, np.nan, 0), "obs[70]"),
        (
            spaces.Dict({"a": spaces.Discrete(3), "b": BOX}),
            {"a": 1, "b": np.array([0, 0, np.inf])},
            "obs['b'][2]",
        ),
        (spaces.Tuple([BOX, BOX]), (np.zeros(3), np.array([np.nan, 0, 0])), "obs[1][0]"),
    ],
)
def test_the_component_that_is_not_finite_is_named(space, obs, component):
    model = Sketch(Still(space, spaces.Discrete(2)), hidden=())
    with pytest.raises(ValueError) as error:
        model.predict(obs)
    assert str(error.value).startswith(f"{component}: expected a finite number, got ")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("deterministic", [False, True])
def test_parameters_that_are_not_finite(value, deterministic):
    model = Sketch(Still(BOX, spaces.Box(-1, 1, (2,))), hidden=())
    params = model.policy.params
    params[:] = value
    model.policy.params = params
    for obs, row in ((np.zeros(3), ""), (np.zeros((2, 3)), " in row 0")):
        with pytest.raises(ValueError) as error:
            model.predict(obs, deterministic=deterministic)
        assert str(error.value).startswith("policy: expected finite actions, got ")
        assert f"{row}, component[0]; the observation is finite, so" in str(error.value)
