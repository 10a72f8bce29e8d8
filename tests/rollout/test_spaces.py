"""Observation and action adapters."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from pgcore.rollout import ActionAdapter, ObservationAdapter
from support.toy_envs import ACTION_SPACES, OBSERVATION_SPACES


def batch_of(space, samples):
    empty = gym.vector.utils.create_empty_array(space, len(samples))
    return gym.vector.utils.concatenate(space, samples, empty)


@pytest.mark.parametrize("space", OBSERVATION_SPACES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_observations_are_flattened_as_by_gymnasium(space, dtype):
    space.seed(0)
    samples = [space.sample() for _ in range(6)]
    adapter = ObservationAdapter(space)
    assert adapter.dim == gym.spaces.flatdim(space)
    expected = np.stack([gym.spaces.flatten(space, sample) for sample in samples]).astype(dtype)
    batch = batch_of(space, samples)
    flat = adapter(batch, dtype)
    assert flat.dtype == dtype
    assert flat.flags.c_contiguous
    np.testing.assert_array_equal(flat, expected)
    out = np.full((6, adapter.dim), np.nan, dtype)
    adapter.write(batch, out)
    np.testing.assert_array_equal(out, expected)
    for i, sample in enumerate(samples):
        single = adapter.single(sample, dtype)
        assert single.dtype == dtype
        np.testing.assert_array_equal(single, expected[i : i + 1])
    assert adapter(gym.vector.utils.create_empty_array(space, 0), dtype).shape == (0, adapter.dim)


def test_write_copies():
    adapter = ObservationAdapter(spaces.Box(-1, 1, (2,)))
    obs = np.zeros((3, 2), np.float32)
    out = np.ones((3, 2), np.float32)
    adapter.write(obs, out)
    obs[:] = 5
    np.testing.assert_array_equal(out, 0)


@pytest.mark.parametrize(
    ("space", "obs", "message"),
    [
        (spaces.Box(-1, 1, (4,)), np.zeros((2, 3)), "obs: expected shape (2, 4), got (2, 3)"),
        (spaces.Box(-1, 1, (2, 3)), np.zeros((4, 3, 2)), "obs: expected shape (4, 2, 3), got (4, 3, 2)"),
        (spaces.Discrete(3), np.array([0, 3]), "obs: expected integers from [0] to [2], got [0 3]"),
        (
            spaces.Discrete(3, start=1),
            np.array([0]),
            "obs: expected integers from [1] to [3], got [0]",
        ),
        (spaces.Discrete(3), np.array([0.5]), "obs: expected integers, got float64"),
        (spaces.Discrete(3), np.zeros((2, 2), int), "obs: expected 2 integers, got 4"),
        (spaces.Discrete(3), np.array(1), "obs: expected a batch, got a scalar"),
        (
            spaces.MultiDiscrete([2, 3]),
            np.array([[1, 2], [2, 0]]),
            "obs: expected integers from [0 0] to [1 2], got [[1 2]\n [2 0]]",
        ),
        (
            spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "y": spaces.Discrete(2)}),
            {"x": np.zeros((1, 2))},
            "obs: expected an entry 'y', got dict {'x': array([[0., 0.]])}",
        ),
        (
            spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "y": spaces.Box(-1, 1, (1,))}),
            {"x": np.zeros((3, 2)), "y": np.zeros((2, 1))},
            "obs['y']: expected shape (3, 1), got (2, 1)",
        ),
        (spaces.Tuple([spaces.Discrete(2)]), 3, "obs: expected an entry 0, got int 3"),
    ],
)
def test_observations_that_do_not_fit(space, obs, message):
    with pytest.raises(ValueError) as error:
        ObservationAdapter(space)(obs)
    assert str(error.value) == message


def test_spaces_that_do_not_fit():
    with pytest.raises(ValueError, match=r"observation_space: expected a Box, .*, got Text"):
        ObservationAdapter(spaces.Text(3))
    with pytest.raises(ValueError, match=r"observation_space: expected a Box, .*, got Sequence"):
        ObservationAdapter(spaces.Dict({"s": spaces.Sequence(spaces.Discrete(2))}))
    with pytest.raises(TypeError, match="observation_space: expected a gymnasium space, got 3"):
        ObservationAdapter(3)
    for space in (spaces.Dict({"a": spaces.Discrete(2)}), spaces.Box(0, 5, (2,), np.int64)):
        with pytest.raises(ValueError, match=r"action_space: expected a Box of floats, .*, got"):
            ActionAdapter(space)
    with pytest.raises(TypeError, match="action_space: expected a gymnasium space, got None"):
        ActionAdapter(None)


@pytest.mark.parametrize("space", ACTION_SPACES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_are_what_the_environment_takes(space, dtype):
    rng = np.random.default_rng(0)
    adapter = ActionAdapter(space)
    if isinstance(space, spaces.Box):
        actions = rng.normal(scale=3, size=(50, *adapter.action_shape)).astype(dtype)
    else:
        nvec = getattr(space, "nvec", np.array(2)).reshape(-1)  # a MultiBinary has neither nvec nor n
        nvec = getattr(space, "n", 2) if isinstance(space, spaces.Discrete) else nvec
        actions = rng.integers(nvec, size=(50, *adapter.action_shape))
    before = actions.copy()
    in_env = adapter.to_env(actions)
    np.testing.assert_array_equal(actions, before)
    assert in_env.shape == (50, *space.shape)
    assert in_env.dtype == space.dtype
    for action, one in zip(actions, in_env, strict=True):
        assert space.contains(one)
        np.testing.assert_array_equal(adapter.single(action), one)
    assert gym.vector.utils.batch_space(space, 50).contains(in_env)


def test_box_actions_are_clipped_and_reshaped():
    low, high = np.array([[-1, -2], [0, -np.inf]], np.float32), np.array([[1, 2], [0, np.inf]], np.float32)
    adapter = ActionAdapter(spaces.Box(low, high))
    np.testing.assert_array_equal(
        adapter.to_env(np.array([[5.0, -5.0, 5.0, -5.0], [0.5, 0.25, -1.0, np.nan]])),
        np.array([[[1, -2], [0, -5]], [[0.5, 0.25], [0, np.nan]]], np.float32),
    )


def test_integer_actions_are_counted_from_start():
    np.testing.assert_array_equal(
        ActionAdapter(spaces.Discrete(3, start=-1)).to_env(np.arange(3)), [-1, 0, 1]
    )
    multi = ActionAdapter(spaces.MultiDiscrete([2, 3], start=[10, -1]))
    np.testing.assert_array_equal(multi.to_env(np.array([[0, 0], [1, 2]])), [[10, -1], [11, 1]])


def test_actions_of_another_shape():
    for space, actions, message in [
        (spaces.Box(-1, 1, (2,)), np.zeros((4, 3)), "actions: expected shape (N, 2), got (4, 3)"),
        (spaces.Discrete(2), np.zeros((4, 1), int), "actions: expected shape (N), got (4, 1)"),
    ]:
        with pytest.raises(ValueError) as error:
            ActionAdapter(space).to_env(actions)
        assert str(error.value) == message
