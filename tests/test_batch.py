"""`pgcore.Batch`: what it computes, what it shares, what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore import Batch
from pgcore.data import Demonstrations
from pgcore.data.batch import Batch as DirectBatch
from pgcore.data.batch import double_rewards
from support.batches import assert_checked


def make(**fields):
    """Two segments: steps 0-1 terminated, steps 2-4 truncated."""
    given_fields = {
        "obs": np.arange(10.0, dtype=np.float32).reshape(5, 2),
        "actions": np.array([0, 1, 1, 0, 2]),
        "rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32),
        "ends": np.array([False, True, False, False, True]),
        "terminated": np.array([False, True, False, False, False]),
        "bootstrap_obs": np.array([[np.nan, np.nan], [8.0, 9.0]], np.float32),
        "log_probs": np.linspace(-5, -1, 5, dtype=np.float32),
    }
    return Batch(**{**given_fields, **fields})


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_lazy_name_is_the_class():
    assert Batch is DirectBatch


def test_segments():
    batch = make()
    assert (batch.num_steps, batch.num_segments, batch.num_truncated) == (5, 2, 1)
    np.testing.assert_array_equal(batch.segment_starts, [0, 2])
    np.testing.assert_array_equal(batch.segment_ends, [1, 4])
    np.testing.assert_array_equal(batch.segment_lengths, [2, 3])
    np.testing.assert_array_equal(batch.step_in_segment, [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(batch.truncated, [False, True])
    assert repr(batch) == "Batch(num_steps=5, num_segments=2, num_truncated=1)"


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_segments_against_a_loop(flags):
    num_steps = len(flags)
    batch = Batch(np.zeros((num_steps, 1)), np.zeros(num_steps), np.arange(float(num_steps)), flags)
    segments, current = [], []
    for row, flag in enumerate(flags):
        current.append(row)
        if flag or row == num_steps - 1:
            segments.append(current)
            current = []
    assert batch.num_segments == len(segments)
    assert batch.num_truncated == (not flags[-1])
    np.testing.assert_array_equal(batch.segment_starts, [segment[0] for segment in segments])
    np.testing.assert_array_equal(batch.segment_ends, [segment[-1] for segment in segments])
    np.testing.assert_array_equal(
        batch.step_in_segment, np.concatenate([np.arange(len(p)) for p in segments])
    )
    for i, segment in enumerate(segments):
        np.testing.assert_array_equal(batch.segment(i).rewards, segment)


def test_open_last_row_is_an_end_and_a_truncation_and_the_caller_keeps_his_array():
    ends = np.array([True, False, False])
    batch = Batch(np.zeros((3, 1)), np.zeros(3), np.zeros(3), ends)
    np.testing.assert_array_equal(batch.ends, [True, False, True])
    np.testing.assert_array_equal(batch.terminated, [True, False, False])
    np.testing.assert_array_equal(batch.truncated, [False, True])
    np.testing.assert_array_equal(ends, [True, False, False])
    closed = Batch(np.zeros((3, 1)), np.zeros(3), np.zeros(3), ends, terminated=[1, 0, 1])
    assert closed.num_truncated == 0


def test_terminated_defaults_to_ends():
    batch = Batch(np.zeros((3, 1)), np.zeros(3), np.zeros(3), [1, 0, 1])
    np.testing.assert_array_equal(batch.terminated, [True, False, True])
    assert batch.num_truncated == 0
    assert batch.bootstrap_obs is None
    assert batch.log_probs is None


def test_nothing_is_copied_and_the_callers_arrays_stay_writeable():
    obs = np.zeros((4, 3), np.float32)
    actions, rewards, ends = np.zeros(4, np.int64), np.zeros(4, np.float32), np.array([0, 1, 0, 1], bool)
    bootstrap_obs, log_probs = np.zeros((2, 3), np.float32), np.zeros(4, np.float32)
    batch = Batch(
        obs, actions, rewards, ends, terminated=ends, bootstrap_obs=bootstrap_obs, log_probs=log_probs
    )
    for name, array in {
        "obs": obs,
        "actions": actions,
        "rewards": rewards,
        "ends": ends,
        "terminated": ends,
        "bootstrap_obs": bootstrap_obs,
        "log_probs": log_probs,
    }.items():
        held = getattr(batch, name)
        assert np.shares_memory(held, array), name
        assert array.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            held[...] = 1


@pytest.mark.parametrize("name", ["obs", "rewards", "segment_ends", "truncated", "step_in_segment"])
def test_attributes_cannot_be_exchanged(name):
    batch = make()
    with pytest.raises(AttributeError, match="immutable"):
        setattr(batch, name, np.zeros(5))
    with pytest.raises(AttributeError, match="immutable"):
        delattr(batch, name)
    if name != "step_in_segment":
        assert not getattr(batch, name).flags.writeable


def test_immutability_says_what_to_write():
    with pytest.raises(AttributeError) as error:
        make().rewards = np.zeros(5)
    assert str(error.value) == "a Batch is immutable: write batch.replace(rewards=...) for another one"


def test_replace():
    batch = make()
    other = batch.replace(rewards=batch.rewards * 2)
    np.testing.assert_array_equal(other.rewards, [2, 4, 6, 8, 10])
    assert np.shares_memory(other.obs, batch.obs)
    np.testing.assert_array_equal(batch.rewards, [1, 2, 3, 4, 5])
    assert_same(other.replace(rewards=batch.rewards), batch)
    with pytest.raises(TypeError, match="reward"):
        batch.replace(reward=batch.rewards)


def test_episode():
    batch = make()
    first, second = batch.segment(0), batch.segment(1)
    np.testing.assert_array_equal(first.rewards, [1, 2])
    assert first.num_truncated == 0
    np.testing.assert_array_equal(second.obs, batch.obs[2:])
    np.testing.assert_array_equal(second.actions, [1, 0, 2])
    np.testing.assert_array_equal(second.bootstrap_obs, [[8, 9]])
    np.testing.assert_array_equal(second.log_probs, batch.log_probs[2:])
    assert (second.num_segments, second.num_truncated) == (1, 1)
    assert np.shares_memory(second.obs, batch.obs)
    assert_same(batch.segment(-1), second)
    for i in (2, -3):
        with pytest.raises(IndexError) as error:
            batch.segment(i)
        assert str(error.value) == f"i: expected a segment of 2, got {i}"


def test_concatenate_is_the_inverse_of_episode():
    batch = make()
    again = Batch.concatenate([batch.segment(i) for i in range(batch.num_segments)])
    assert_same(again, batch)
    both = Batch.concatenate([batch, batch])
    assert (both.num_steps, both.num_segments, both.num_truncated) == (10, 4, 2)
    np.testing.assert_array_equal(both.step_in_segment, [0, 1, 0, 1, 2, 0, 1, 0, 1, 2])


def test_concatenate_fills_in_bootstrap_values_that_nobody_reads():
    terminated = Batch(
        np.ones((2, 2), np.float32), [0, 1], np.ones(2, np.float32), [0, 1], log_probs=[-1, -1]
    )
    joined = Batch.concatenate([terminated, make()])
    np.testing.assert_array_equal(joined.bootstrap_obs[-1], [8, 9])
    assert len(joined.bootstrap_obs) == 3
    assert Batch.concatenate([terminated, terminated]).bootstrap_obs is None


def test_concatenate_errors():
    batch = make()
    for batches, message in [
        ([], "batches: expected at least one batch, got none"),
        ([batch, make(log_probs=None)], "log_probs: expected in all 2 batches or none, got 1"),
        (
            [batch, make(bootstrap_obs=None)],
            "bootstrap_obs: expected for the truncated segments of every batch, got none in batch 1",
        ),
        (
            [batch, make(obs=np.zeros((5, 3)), bootstrap_obs=None)],
            "obs: expected shape (B, 2) in every batch, got (5, 3)",
        ),
        (
            [batch, make(actions=np.zeros((5, 3)))],
            "actions: expected shape (B) in every batch, got (5, 3)",
        ),
    ]:
        with pytest.raises(ValueError) as error:
            Batch.concatenate(batches)
        assert str(error.value) == message


def test_scatter_bootstrap_values_selects():
    batch = make()
    scattered = batch.scatter_bootstrap_values(np.array([np.nan, 7.0], np.float32))
    assert scattered.dtype == np.float32
    np.testing.assert_array_equal(scattered, [0, 0, 0, 0, 7])
    with pytest.raises(ValueError, match=r"values: expected shape \(2,\), got \(3,\)"):
        batch.scatter_bootstrap_values(np.zeros(3))
    terminated = make(terminated=None)
    np.testing.assert_array_equal(terminated.scatter_bootstrap_values([np.nan, np.inf]), np.zeros(5))


def test_no_steps():
    batch = Batch(np.zeros((0, 3)), np.zeros((0, 2)), [], np.zeros(0, bool), bootstrap_obs=np.zeros((0, 3)))
    assert (batch.num_steps, batch.num_segments, batch.num_truncated) == (0, 0, 0)
    assert (
        batch.step_in_segment.shape
        == batch.segment_lengths.shape
        == batch.scatter_bootstrap_values([]).shape
        == (0,)
    )
    assert Batch(np.zeros((0, 3)), [], [], []).num_steps == 0


def test_nan_and_infinity_pass():
    batch = make(
        obs=np.full((5, 2), np.nan),
        rewards=np.full(5, np.inf),
        log_probs=np.full(5, -np.inf),
        bootstrap_obs=None,
    )
    assert np.isnan(batch.obs).all()


@pytest.mark.parametrize("reborn", [copy.copy, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_copies(reborn):
    batch = make()
    assert_same(reborn(batch), batch)
    with pytest.raises(AttributeError):
        reborn(batch).obs = None


def test_dtypes():
    rewards = make(rewards=[1, 2, 3, 4, 5], log_probs=np.zeros(5, np.float16))
    assert rewards.rewards.dtype == np.float64
    assert rewards.log_probs.dtype == np.float32
    images = make(obs=np.zeros((5, 4, 4, 3), np.uint8), bootstrap_obs=None, actions=np.zeros((5, 2), bool))
    assert images.obs.dtype == np.uint8
    assert images.obs.shape == (5, 4, 4, 3)
    assert images.actions.dtype == bool
    big_endian = make(obs=np.arange(10.0).reshape(5, 2).astype(">f4"))
    assert big_endian.obs.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(big_endian.obs, make().obs)


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: a[::-1].copy()[::-1]]
)
def test_strided_inputs(layout):
    batch = make()
    fields = {name: getattr(batch, name) for name in ("obs", "actions", "rewards", "ends", "terminated")}
    other = make(**{name: layout(array) for name, array in fields.items()})
    assert other.obs.flags.c_contiguous
    assert_same(other, batch)


def test_anything_array_like():
    class Tensor:
        def __init__(self, array):
            self._array = array

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self._array, dtype)

    batch = make()
    assert_same(make(obs=Tensor(batch.obs), rewards=Tensor(batch.rewards), ends=[0, 1, 0, 0, 1]), batch)


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"rewards": np.zeros((5, 1))}, ValueError, "rewards: expected shape (B,), got (5, 1)"),
        ({"rewards": 1.0}, ValueError, "rewards: expected shape (B,), got ()"),
        (
            {"rewards": np.zeros(5, complex)},
            TypeError,
            "rewards: expected float32 or float64 (or integers), got complex128",
        ),
        (
            {"obs": np.zeros((4, 2))},
            ValueError,
            "obs: expected shape (5, ...) to go with rewards, got (4, 2)",
        ),
        ({"obs": np.zeros(())}, ValueError, "obs: expected shape (5, ...) to go with rewards, got ()"),
        (
            {"obs": np.array([["a"]] * 5)},
            TypeError,
            "obs: expected real numbers of at most 64 bits, got <U1",
        ),
        (
            {"obs": np.zeros((5, 2), np.longdouble)},
            TypeError,
            f"obs: expected real numbers of at most 64 bits, got {np.dtype(np.longdouble)}",
        ),
        (
            {"actions": np.zeros((6, 2))},
            ValueError,
            "actions: expected shape (5, ...) to go with rewards, got (6, 2)",
        ),
        ({"ends": np.zeros(4, bool)}, ValueError, "ends: expected shape (5,), got (4,)"),
        ({"ends": np.zeros(5)}, TypeError, "ends: expected booleans or integers 0 and 1, got float64"),
        ({"ends": [0, 0, 2, 0, 1]}, ValueError, "ends: expected booleans or integers 0 and 1, got 2"),
        (
            {"terminated": [0, 1, 1, 0, 0]},
            ValueError,
            "terminated: expected true only where ends is, got it at row 2",
        ),
        ({"terminated": [1]}, ValueError, "terminated: expected shape (5,), got (1,)"),
        ({"bootstrap_obs": np.zeros((3, 2))}, ValueError, "bootstrap_obs: expected shape (2, 2), got (3, 2)"),
        ({"bootstrap_obs": np.zeros((2, 3))}, ValueError, "bootstrap_obs: expected shape (2, 2), got (2, 3)"),
        ({"log_probs": np.zeros((5, 1))}, ValueError, "log_probs: expected shape (5,), got (5, 1)"),
        (
            {"log_probs": np.array(["x"] * 5)},
            TypeError,
            "log_probs: expected float32 or float64 (or integers), got <U1",
        ),
    ],
)
def test_refusals(fields, kind, message):
    with pytest.raises(kind) as error:
        make(**fields)
    assert str(error.value) == message


@pytest.mark.parametrize("full", [True, False])
def test_what_is_made_without_checks_would_pass_them(full):
    rng = np.random.default_rng(0)
    ends = np.array([0, 1, 1, 0, 0, 0], bool)
    more = {"bootstrap_obs": rng.normal(size=(3, 2)), "log_probs": rng.normal(size=6)} if full else {}
    whole = Batch(rng.normal(size=(6, 2)), rng.integers(3, size=6), rng.normal(size=6), ends,
                  terminated=[0, 1, 0, 0, 0, 0], **more)  # fmt: skip
    made = [whole.segment(i) for i in range(3)]
    made.append(Batch.concatenate([whole, made[1], whole]))
    made.append(whole.replace(rewards=np.arange(6), log_probs=[0.5] * 6))
    made.append(whole.replace(log_probs=None))
    made.append(double_rewards(whole.replace(rewards=np.ones(6, np.float32))))
    made.append(Demonstrations(whole, seed=1).take(2, 9))
    for batch in made:
        assert_checked(batch)
    assert made[-1].num_segments == 7


def test_replaced_fields_are_checked():
    batch = make()
    for name in ("rewards", "log_probs"):
        with pytest.raises(ValueError, match=f"^{name}: expected shape"):
            batch.replace(**{name: np.zeros(batch.num_steps + 1)})
    with pytest.raises(TypeError, match=r"^rewards: expected"):
        batch.replace(rewards=None)
