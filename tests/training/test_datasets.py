from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest

from pgcore import Batch
from pgcore.data import Demonstrations
from pgcore.io import datasets
from pgcore.io.datasets import check_fit, load_batch, save_batch
from support.sketch import refusal

FIELDS = ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs")


def recorded(rng, lengths=(3, 1, 5), **fields):
    """Made-up steps in CartPole's spaces; the second episode was cut."""
    steps, ends = sum(lengths), np.cumsum(lengths) - 1
    flags = np.isin(np.arange(steps), ends)
    batch = Batch(
        rng.normal(size=(steps, 4)).astype(np.float32),
        rng.integers(2, size=steps),
        rng.normal(size=steps),
        flags,
        terminated=flags & (np.arange(steps) != ends[1]),
        bootstrap_obs=rng.normal(size=(len(lengths), 4)).astype(np.float32),
        log_probs=-rng.random(steps).astype(np.float32),
    )
    return batch.replace(**fields)


def assert_same(first, second):
    for name in FIELDS:
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=name)


# Files


@pytest.mark.parametrize(
    "fields",
    [{}, {"log_probs": None}, {"bootstrap_obs": None, "log_probs": None}],
    ids=["all", "some", "few"],
)
def test_a_batch_comes_back_as_it_was(rng, tmp_path, fields):
    batch = recorded(rng, **fields)
    path = save_batch(tmp_path / "new" / "demos", batch)
    assert path == tmp_path / "new" / "demos.npz"
    assert_same(load_batch(path), batch)
    assert_same(load_batch(tmp_path / "new" / "demos"), batch)
    assert_same(datasets.load(str(path)), batch)
    assert datasets.load(batch) is batch
    assert [entry.name for entry in path.parent.iterdir()] == ["demos.npz"]


def test_files_can_be_written_by_hand(tmp_path):
    np.savez(tmp_path / "demos.npz", obs=[[0.0], [1.0]], actions=[1, 0], rewards=[1, 1], ends=[0, 1], more=3)
    batch = load_batch(tmp_path / "demos.npz")
    assert (batch.num_steps, batch.num_segments, batch.num_truncated) == (2, 1, 0)


def test_a_failed_write_leaves_the_old_file(rng, tmp_path, monkeypatch):
    path = save_batch(tmp_path / "demos.npz", recorded(rng))
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="disk full"):
        save_batch(path, recorded(rng))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_are_refused_by_name(rng, tmp_path):
    path = tmp_path / "demos.npz"
    with pytest.raises(FileNotFoundError) as missing:
        load_batch(path)
    assert str(missing.value) == f"path: expected a file with a batch, got {path}, which is no file"
    np.savez(path, obs=np.zeros((2, 1)), actions=[0, 1])
    with pytest.raises(ValueError) as caught:
        load_batch(path)
    assert str(caught.value) == f"path: expected a file with a batch, got {path} (no array 'rewards' in it)"
    np.savez(path, obs=np.zeros((2, 1)), actions=[0, 1, 1], rewards=[0, 1], ends=[0, 1])
    with pytest.raises(ValueError, match=r"got .*demos.npz \(actions: expected shape \(2, ...\)"):
        load_batch(path)
    np.savez(path, **{name: [0] for name in FIELDS[:4]}, pgcore_batch_version=2)
    with pytest.raises(ValueError, match=r"demos.npz \(format version 2; this pgcore reads up to 1\)"):
        load_batch(path)
    np.savez(path, obs=np.array([{}], object), actions=[0], rewards=[0], ends=[1])
    with pytest.raises(ValueError, match=r"^path: expected a file with a batch, got .*demos.npz \(Object"):
        load_batch(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one.npy \(a single array\)$"):
        load_batch(tmp_path / "one.npy")
    for content in (b"", b"no zip", b"PK\x03\x04 no zip either"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^path: expected a file with a batch, got .*demos.npz \("):
            load_batch(path)


def test_damage_anywhere_is_noticed(rng, tmp_path):
    path = save_batch(tmp_path / "demos.npz", recorded(rng))
    whole = path.read_bytes()
    for length in (len(whole) - 50, len(whole) // 2, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^path: expected a file with a batch, got "):
            load_batch(path)
    place = whole.index(recorded(np.random.default_rng(20240229)).obs.tobytes()[:16]) + 5
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"Bad CRC"):
        load_batch(path)


def test_no_single_bit_makes_another_batch_of_it(rng, tmp_path):
    batch = recorded(rng, lengths=(1, 2))
    path = save_batch(tmp_path / "demos.npz", batch)
    whole, num_refused = path.read_bytes(), 0
    for place in range(len(whole)):
        flipped = whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :]
        path.write_bytes(flipped)
        if (reason := refusal(load_batch, path)) is not None:
            assert reason.startswith(f"path: expected a file with a batch, got {path} (")
            num_refused += 1
        else:
            assert_same(load_batch(path), batch)
    assert num_refused > len(whole) / 2


@pytest.mark.parametrize("name", ["terminated", "bootstrap_obs", "log_probs"])
def test_lost_arrays_are_noticed(rng, tmp_path, name):
    """What may be missing in a file written by hand was there when this one was written."""
    path = save_batch(tmp_path / "demos.npz", recorded(rng))
    with np.load(path) as file:
        rest = {key: file[key] for key in file.files if key != name}
    np.savez(path, **rest)
    with pytest.raises(ValueError, match=r"demos.npz \(not the arrays that were written\)$"):
        load_batch(path)


def test_other_sources_are_refused():
    with pytest.raises(TypeError) as caught:
        datasets.load(3)
    assert str(caught.value) == ("demonstrations: expected a Batch, a file or 'minari:<dataset id>', got 3")


# Fitting the spaces


@pytest.mark.parametrize(
    ("space", "fields", "message"),
    [
        (
            gym.spaces.Discrete(2),
            {"obs": np.zeros((9, 3)), "bootstrap_obs": None},
            "obs of shape (9, 4), got (9, 3)",
        ),
        (gym.spaces.Discrete(2), {"actions": np.zeros((9, 1), int)}, "actions of shape (9,), got (9, 1)"),
        (
            gym.spaces.Box(-1, 1, (2, 3)),
            {"actions": np.zeros((9, 2, 3))},
            "actions of shape (9, 6), got (9, 2, 3)",
        ),
        (gym.spaces.Discrete(2), {"actions": np.zeros(9)}, "integers as actions, got float64"),
        (
            gym.spaces.Discrete(2, start=1),
            {"actions": np.arange(9) % 2 + 1},
            "actions from 0 to 1, got 2 in row 1",
        ),
        (gym.spaces.Discrete(2), {"actions": np.arange(9) - 8}, "actions from 0 to 1, got -8 in row 0"),
        (
            gym.spaces.MultiDiscrete([2, 3]),
            {"actions": np.full((9, 2), 2)},
            "actions from 0 to [1 2], got [2 2] in row 0",
        ),
        (gym.spaces.MultiBinary(1), {"actions": np.full((9, 1), 2)}, "actions from 0 to 1, got [2] in row 0"),
        (
            gym.spaces.Discrete(2),
            {"obs": np.where(np.arange(36).reshape(9, 4) == 9, np.nan, 0.0)},
            "finite obs, got [ 0. nan  0.  0.] in row 2",
        ),
        (
            gym.spaces.Box(-1, 1, (1,)),
            {"actions": np.full((9, 1), np.inf)},
            "finite actions, got [inf] in row 0",
        ),
    ],
)
def test_what_does_not_fit_is_named(rng, space, fields, message):
    with pytest.raises(ValueError) as caught:
        check_fit(recorded(rng, **fields), 4, space)
    assert str(caught.value) == f"demonstrations: expected {message}"


def test_what_fits_passes(rng):
    check_fit(recorded(rng), 4, gym.spaces.Discrete(2, start=5))
    check_fit(recorded(rng, actions=rng.normal(size=(9, 6)) * 9), 4, gym.spaces.Box(-1, 1, (2, 3)))
    check_fit(
        recorded(rng, actions=np.tile([1, 2, 0, 0], (9, 1))), 4, gym.spaces.MultiDiscrete([[2, 3], [1, 1]])
    )
    check_fit(recorded(rng, actions=np.ones((9, 4), np.int8)), 4, gym.spaces.MultiBinary((2, 2)))
    empty = Batch(np.zeros((0, 4)), np.zeros(0, int), [], [])
    with pytest.raises(ValueError, match=r"^demonstrations: expected at least one step, got none$"):
        check_fit(empty, 4, gym.spaces.Discrete(2))


# Epochs


def numbered(lengths):
    """Steps whose action is their row number."""
    steps = sum(lengths)
    ends = np.isin(np.arange(steps), np.cumsum(lengths) - 1)
    return Batch(np.arange(steps, dtype=float)[:, None], np.arange(steps), np.arange(steps), ends)


def test_every_epoch_has_every_step_once_in_an_order_of_its_own():
    demonstrations = Demonstrations(numbered([4, 6]), seed=3)
    taken = demonstrations.take(0, 30)
    np.testing.assert_array_equal(taken.obs[:, 0], taken.actions)
    np.testing.assert_array_equal(taken.rewards, taken.actions)
    assert taken.num_segments == 30
    epochs = taken.actions.reshape(3, 10)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(10), (3, 1)))
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
    assert demonstrations.validation(5) is None


def test_stretches_do_not_depend_on_what_was_asked_before():
    whole = Demonstrations(numbered([4, 6]), seed=3).take(0, 40).actions
    other = Demonstrations(numbered([4, 6]), seed=3)
    for start, stop in ((33, 35), (0, 1), (5, 37), (9, 11)):
        np.testing.assert_array_equal(other.take(start, stop).actions, whole[start:stop])
    assert Demonstrations(numbered([4, 6]), seed=4).take(0, 40).actions.tolist() != whole.tolist()


@pytest.mark.parametrize(("fraction", "segments"), [(0.25, 2), (0.01, 1), (0.99, 7), (0.5, 4)])
def test_whole_episodes_are_held_out(fraction, segments):
    batch = numbered([3, 1, 4, 1, 5, 9, 2, 6])
    demonstrations = Demonstrations(batch, validation_fraction=fraction, seed=0)
    held_out = demonstrations.validation(100).actions
    learned = demonstrations.take(0, 31 - len(held_out)).actions
    assert sorted([*held_out, *learned]) == list(range(31))
    np.testing.assert_array_equal(np.sort(learned), demonstrations.rows)
    segment = np.repeat(np.arange(8), batch.segment_lengths)
    assert not set(segment[held_out]) & set(segment[learned])
    assert len(set(segment[held_out])) == segments
    np.testing.assert_array_equal(demonstrations.validation(1).actions, held_out[:1])


def test_one_episode_cannot_be_shared():
    with pytest.raises(ValueError) as caught:
        Demonstrations(numbered([5]), validation_fraction=0.2, seed=0)
    assert str(caught.value) == "validation_fraction: expected 0 with a single episode, got 0.2"


# Minari


def minari_dataset(tmp_path, monkeypatch, observation_space, action_space, lengths, flags):
    """A dataset of random samples on this disk; episode e ends as flags[e] = (terminated, truncated) says."""
    minari = pytest.importorskip("minari")
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    observation_space.seed(0)
    action_space.seed(1)
    buffers = [
        EpisodeBuffer(
            id=i,
            observations=_gathered([observation_space.sample() for _ in range(length + 1)]),
            actions=[action_space.sample() for _ in range(length)],
            rewards=list(range(length)),
            terminations=[False] * (length - 1) + [terminated],
            truncations=[False] * (length - 1) + [truncated],
        )
        for i, (length, (terminated, truncated)) in enumerate(zip(lengths, flags, strict=True))
    ]
    return minari.create_dataset_from_buffers(
        "pgcore/test-v0",
        buffers,
        observation_space=observation_space,
        action_space=action_space,
        author="nobody",
        author_email="nobody@example.org",
        code_permalink="https://example.org",
        algorithm_name="random",
        description="random samples",
    )


def _gathered(observations):
    """A list of samples as one sample of lists."""
    if isinstance(observations[0], dict):
        return {key: _gathered([obs[key] for obs in observations]) for key in observations[0]}
    if isinstance(observations[0], tuple):
        return tuple(_gathered(list(part)) for part in zip(*observations, strict=True))
    return list(observations)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("observation_space", "action_space"),
    [
        (gym.spaces.Box(-1, 1, (2, 2), np.float64), gym.spaces.Discrete(3, start=4)),
        (
            gym.spaces.Dict(position=gym.spaces.Box(-1, 1, (3,)), mode=gym.spaces.Discrete(2)),
            gym.spaces.Box(-1, 1, (2, 2)),
        ),
        (
            gym.spaces.Tuple([gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-1, 1, (2,))]),
            gym.spaces.MultiDiscrete([2, 3]),
        ),
    ],
    ids=["box", "dict", "tuple"],
)
def test_minari_datasets_become_batches(tmp_path, monkeypatch, observation_space, action_space):
    lengths, flags = (4, 1, 3), ((True, False), (False, True), (False, False))
    dataset = minari_dataset(tmp_path, monkeypatch, observation_space, action_space, lengths, flags)
    # A Dict's order is the environment's: the dataset itself comes back from disk with its keys sorted.
    batch = datasets.load("minari:pgcore/test-v0", observation_space)
    assert_same(batch, datasets.from_minari(dataset, observation_space))
    own = datasets.load("minari:pgcore/test-v0")
    np.testing.assert_allclose(own.obs.sum(axis=1), batch.obs.sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(batch.segment_lengths, lengths)
    np.testing.assert_array_equal(batch.truncated, [False, True, True])
    np.testing.assert_array_equal(batch.rewards, [0, 1, 2, 3, 0, 0, 1, 2])
    double = observation_space.dtype == np.float64
    assert batch.obs.dtype == (np.float64 if double else np.float32)

    observation_space.seed(0)
    action_space.seed(1)
    for e, length in enumerate(lengths):
        flat = [gym.spaces.flatten(observation_space, observation_space.sample()) for _ in range(length + 1)]
        np.testing.assert_allclose(batch.segment(e).obs, flat[:-1], rtol=1e-6)
        np.testing.assert_allclose(batch.bootstrap_obs[e], flat[-1], rtol=1e-6)
        actions = np.array([action_space.sample() for _ in range(length)])
        start = 4 if isinstance(action_space, gym.spaces.Discrete) else 0
        expected = actions - start if actions.ndim == 1 else actions.reshape(length, -1)
        np.testing.assert_array_equal(batch.segment(e).actions, expected)
    check_fit(batch, batch.obs.shape[1], action_space)


def test_minari_datasets_that_are_not_there(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with pytest.raises(ValueError) as caught:
        datasets.load("minari:no/thing-v0")
    assert str(caught.value).startswith(
        "demonstrations: expected a Minari dataset on this machine, got 'no/thing-v0' ("
    )
    assert str(caught.value).endswith("; 'minari download no/thing-v0' fetches one that is public")


def test_without_minari_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r"minari:some/thing-v0 with, got none .*'pgcore-rl\[minari\]'$"):
        datasets.load("minari:some/thing-v0")
