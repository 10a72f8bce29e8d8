"""`ObservationNormalizer` against NumPy's own moments of everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore.policies.normalizer import ObservationNormalizer


def data(num_rows: int, dim: int = 3, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(loc=np.linspace(-5, 5, dim), scale=np.linspace(0.1, 20, dim), size=(num_rows, dim))


def assert_moments(normalizer: ObservationNormalizer, obs: np.ndarray, rtol: float = 1e-12) -> None:
    assert normalizer.count == len(obs)
    np.testing.assert_allclose(normalizer.mean, obs.mean(axis=0), rtol=rtol)
    np.testing.assert_allclose(normalizer.m2 / normalizer.count, obs.var(axis=0), rtol=rtol)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 10))
def test_any_partition_gives_the_moments_of_the_whole(sizes, seed):
    obs = data(sum(sizes) + 2, seed=seed)
    normalizer = ObservationNormalizer(3)
    start = 0
    for size in [2, *sizes]:
        normalizer.update(obs[start : start + size])
        start += size
    assert_moments(normalizer, obs)


def test_batches_longer_than_a_block():
    obs = data(10_001)
    normalizer = ObservationNormalizer(3)
    normalizer.update(obs)
    assert_moments(normalizer, obs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_moments_are_computed_in_double(dtype):
    obs = (np.abs(data(5000)) * 10).astype(dtype)
    normalizer = ObservationNormalizer(3)
    normalizer.update(obs)
    assert normalizer.mean.dtype == normalizer.m2.dtype == np.float64
    assert_moments(normalizer, obs.astype(np.float64))


def test_a_large_offset_does_not_cancel():
    obs = 1e8 + data(2000)
    normalizer = ObservationNormalizer(3)
    for part in np.array_split(obs, 7):
        normalizer.update(part)
    assert_moments(normalizer, obs, rtol=1e-7)


def test_the_input_is_not_changed():
    obs = data(10)
    before = obs.copy()
    normalizer = ObservationNormalizer(3)
    normalizer.update(obs)
    normalizer.normalize(obs)
    np.testing.assert_array_equal(obs, before)


def test_normalize_is_the_formula():
    obs, epsilon = data(500), 0.3
    normalizer = ObservationNormalizer(3, epsilon=epsilon)
    normalizer.update(obs)
    expected = (obs - obs.mean(axis=0)) / np.sqrt(obs.var(axis=0) + epsilon)
    np.testing.assert_allclose(normalizer.normalize(obs), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normalizer.normalize(obs[0]), expected[0], rtol=1e-12, atol=1e-12)


def test_normalize_clips():
    normalizer = ObservationNormalizer(1, clip=2.0)
    normalizer.update([[-1.0], [1.0]])
    np.testing.assert_array_equal(normalizer.normalize([[100.0], [-100.0], [np.inf]]), [[2.0], [-2.0], [2.0]])
    free = ObservationNormalizer(1, clip=np.inf)
    free.update([[-1.0], [1.0]])
    np.testing.assert_allclose(free.normalize([[100.0]]), [[100.0]], rtol=1e-7)


def test_identity_before_the_first_update_but_for_the_clip():
    normalizer = ObservationNormalizer(2)
    np.testing.assert_array_equal(normalizer.normalize([[3.0, -50.0]]), [[3.0, -10.0]])
    normalizer.update(np.zeros((0, 2)))
    shift, scale = normalizer.arrays()
    np.testing.assert_array_equal(shift, [0, 0])
    np.testing.assert_array_equal(scale, [1, 1])


def test_a_constant_component_becomes_zero():
    normalizer = ObservationNormalizer(2)
    normalizer.update(np.full((1000, 2), np.float32(0.1)))
    np.testing.assert_allclose(normalizer.normalize(np.full((1, 2), np.float32(0.1))), 0, atol=1e-6)


def test_dtype_of_the_result():
    normalizer = ObservationNormalizer(2)
    for given_dtype, result in [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.uint8, np.float64),
    ]:
        assert normalizer.normalize(np.ones((1, 2), given_dtype)).dtype == result


def test_normalize_never_moves_the_statistics():
    """Evaluation must not (trap 16), nor acting in the middle of a batch (trap 20)."""
    normalizer = ObservationNormalizer(3)
    normalizer.update(data(10))
    before = normalizer.state()
    normalizer.normalize(data(10, seed=1))
    normalizer.arrays(np.float32)
    for name, value in normalizer.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_arrays_are_cached_until_the_next_update():
    normalizer = ObservationNormalizer(3)
    normalizer.update(data(10))
    first = normalizer.arrays(np.float32)
    assert normalizer.arrays("float32") is first
    assert [array.dtype for array in first] == [np.float32] * 2
    assert [array.dtype for array in normalizer.arrays()] == [np.float64] * 2
    assert not any(array.flags.writeable for array in first)
    before = [array.copy() for array in first]
    normalizer.update(data(10, seed=1) + 3)
    second = normalizer.arrays(np.float32)
    assert not np.array_equal(second[0], first[0])
    assert not np.array_equal(second[1], first[1])
    np.testing.assert_array_equal(first, before)  # the caller's stay what they were
    with pytest.raises(TypeError, match="dtype: expected float32 or float64"):
        normalizer.arrays(np.int64)


def test_state_round_trip_is_exact():
    normalizer = ObservationNormalizer(3, clip=5.0, epsilon=1e-4)
    normalizer.update(data(100))
    other = ObservationNormalizer(3)
    other.arrays()
    other.load_state(normalizer.state())
    for name, value in other.state().items():
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, normalizer.state()[name])
    np.testing.assert_array_equal(other.normalize(data(9)), normalizer.normalize(data(9)))
    normalizer.update(data(50, seed=2))
    other.update(data(50, seed=2))
    np.testing.assert_array_equal(other.mean, normalizer.mean)
    np.testing.assert_array_equal(other.m2, normalizer.m2)


def test_state_and_copies_are_independent():
    normalizer = ObservationNormalizer(3, clip=4.0)
    normalizer.update(data(10))
    state, other = normalizer.state(), normalizer.copy()
    mean = normalizer.mean.copy()
    normalizer.update(data(10, seed=1))
    np.testing.assert_array_equal(state["mean"], mean)
    np.testing.assert_array_equal(other.mean, mean)
    assert (other.clip, other.count) == (4.0, 10)
    other.load_state(state)
    state["mean"][:] = 0
    np.testing.assert_array_equal(other.mean, mean)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_update_refuses_what_would_spoil_the_statistics(bad):
    normalizer = ObservationNormalizer(3)
    normalizer.update(data(5))
    before = normalizer.state()
    obs = data(10)
    obs[7, 1] = bad
    with pytest.raises(
        ValueError, match=r"obs: expected finite numbers with finite squares, got .* in row 7"
    ):
        normalizer.update(obs)
    for name, value in normalizer.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_refusals():
    normalizer = ObservationNormalizer(3)
    for call, kind, message in [
        (lambda: normalizer.update(np.zeros(3)), ValueError, "obs: expected shape (B, 3), got (3,)"),
        (lambda: normalizer.update(np.zeros((2, 4))), ValueError, "obs: expected shape (B, 3), got (2, 4)"),
        (
            lambda: normalizer.normalize(np.zeros(4)),
            ValueError,
            "obs: expected shape (3,) or (B, 3), got (4,)",
        ),
        (lambda: normalizer.update([["a"] * 3]), TypeError, "obs: expected real numbers, got <U1"),
        (lambda: ObservationNormalizer(0), ValueError, "dim: expected an integer >= 1, got 0"),
        (lambda: ObservationNormalizer(1, clip=0), ValueError, "clip: expected a number > 0, got 0.0"),
        (lambda: ObservationNormalizer(1, epsilon=0), ValueError, "epsilon: expected a number > 0, got 0.0"),
    ]:
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == message


def test_load_state_refusals_leave_it_as_it_was():
    normalizer = ObservationNormalizer(2)
    normalizer.update([[1.0, 2.0], [3.0, 5.0]])
    good = normalizer.state()
    for change, message in [
        ({"mean": np.zeros(3)}, "mean: expected shape (2,), got (3,)"),
        ({"mean": np.array([np.nan, 0.0])}, "mean: expected finite numbers, got [nan  0.]"),
        ({"m2": np.array([-1.0, 0.0])}, "m2: expected finite numbers >= 0, got [-1.  0.]"),
        ({"count": np.array(-1.0)}, "count: expected finite numbers >= 0, got -1.0"),
        ({"clip": np.array(0.0)}, "clip: expected a number > 0, got 0.0"),
        ({"epsilon": np.array(-1.0)}, "epsilon: expected a number > 0, got -1.0"),
    ]:
        with pytest.raises(ValueError) as error:
            normalizer.load_state({**good, **change})
        assert str(error.value) == message
        for name, value in normalizer.state().items():
            np.testing.assert_array_equal(value, good[name])
    with pytest.raises(ValueError, match="state: expected an entry 'm2'"):
        normalizer.load_state({name: value for name, value in good.items() if name != "m2"})


@pytest.mark.parametrize("offset", [1.7e9, -1.7e12, 1e15])
def test_moments_far_from_zero(offset):
    """In many unequal parts; the spread is a thousand times what a double resolves there."""
    spread = 1e3 * np.spacing(abs(offset))
    obs = offset + spread * np.random.default_rng(0).normal(size=(20_000, 2))
    normalizer = ObservationNormalizer(2)
    for part in np.split(obs, [1, 7, 64, 5000, 5001]):
        normalizer.update(part)
    wide = obs.astype(np.longdouble)
    np.testing.assert_allclose(normalizer.mean, wide.mean(axis=0).astype(float), rtol=3e-16)
    np.testing.assert_allclose(normalizer.m2 / 20_000, wide.var(axis=0).astype(float), rtol=1e-3)


@pytest.mark.parametrize("value", [1.7e9, 0.1, -1.7e12 + 0.3, 1e15 + 0.3, 1e-30, 0.0])
@pytest.mark.parametrize("sizes", [[1, 1, 1], [7, 4097, 10_000]])
def test_a_component_without_spread_has_none(value, sizes):
    """Not what rounding leaves of it, which of a large number would be a deviation of its own."""
    normalizer = ObservationNormalizer(2)
    rng = np.random.default_rng(0)
    for size in sizes:
        obs = np.full((size, 2), value)
        obs[:, 1] = rng.normal(size=size)
        normalizer.update(obs)
    assert normalizer.mean[0] == value
    assert normalizer.m2[0] == 0.0
    assert normalizer.m2[1] > 0.0
    assert normalizer.normalize([[value, 0.0]])[0, 0] == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.float16, ">f8", bool])
def test_every_kind_of_numbers_is_merged_as_it_is(dtype):
    obs = (data(300) * 3 + 100).astype(dtype)
    wide, normalizer = obs.astype(np.float64), ObservationNormalizer(3)
    for part in np.array_split(obs, 4):
        normalizer.update(part)
    np.testing.assert_allclose(normalizer.mean, wide.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(normalizer.m2, wide.var(axis=0) * 300, rtol=1e-10, atol=1e-20)
    expected = np.clip((wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + 1e-8), -10, 10)
    np.testing.assert_allclose(normalizer.normalize(obs), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(normalizer.normalize(obs[7]), expected[7], rtol=1e-6, atol=1e-6)


def test_normalize_takes_views_and_writes_to_none():
    normalizer = ObservationNormalizer(3)
    normalizer.update(data(20))
    obs = data(40)
    before = obs.copy()
    for view in (obs[::2], np.asfortranarray(obs[::2]), obs[::2].tolist()):
        np.testing.assert_array_equal(normalizer.normalize(view), normalizer.normalize(obs)[::2])
    assert normalizer.normalize(np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_array_equal(obs, before)
