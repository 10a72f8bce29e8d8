"""effective_sample_size: against sums in exact-enough arithmetic, and its limits."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore.kernels import effective_sample_size
from support import oracles
from support.oracles import assert_close


def sample_size(log_weights: np.ndarray) -> float:
    """In exact-enough arithmetic: weights divided by their largest, sums by fsum."""
    largest = max(log_weights)
    w = [math.exp(x - largest) for x in log_weights]
    return math.fsum(w) ** 2 / math.fsum(x * x for x in w)


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize("shape", [(1,), (2,), (17,), (1000,), (1, 1), (5, 3), (100, 7), (33, 40)], ids=str)
def test_effective_sample_size(
    lib: ModuleType, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    log_w = (3.0 * rng.normal(size=shape)).astype(dtype)
    result = lib.effective_sample_size(log_w)
    if len(shape) == 1:
        assert type(result) is float
        assert result == pytest.approx(sample_size(log_w.astype(float)), rel=oracles.TOLERANCE[dtype])
    else:
        assert result.dtype == dtype
        assert_close(result, np.array([sample_size(column) for column in log_w.astype(float).T]))


def test_effective_sample_size_depends_on_differences_only(
    lib: ModuleType, dtype: np.dtype, rng: np.random.Generator
) -> None:
    log_w = rng.integers(-3, 4, size=50).astype(dtype)
    expected = lib.effective_sample_size(log_w)
    for offset in (-10_000.0, -500.0, 100.0, 10_000.0):
        assert lib.effective_sample_size(log_w + dtype.type(offset)) == expected


@pytest.mark.covering(2)
@pytest.mark.parametrize(
    ("log_weights", "expected"),
    [
        ([], 0.0),
        ([-np.inf, -np.inf], 0.0),
        ([0.0, 0.0, 0.0], 3.0),
        ([5.0], 1.0),
        ([1000.0, -1000.0], 1.0),
        ([-np.inf, 2.0, 2.0], 2.0),
        ([np.inf, 0.0, np.inf, -np.inf], 2.0),
        ([np.inf, 1e38], 1.0),
        ([np.nan, 0.0], np.nan),
        ([np.nan, np.inf], np.nan),
        ([np.nan, -np.inf], np.nan),
    ],
)
def test_effective_sample_size_limits(
    lib: ModuleType, log_weights: list[float], expected: float, dtype: np.dtype
) -> None:
    log_w = np.array(log_weights, dtype)
    np.testing.assert_equal(lib.effective_sample_size(log_w), expected)
    columns = np.stack([log_w, np.zeros(len(log_w), dtype)], axis=1)
    np.testing.assert_array_equal(lib.effective_sample_size(columns), [expected, len(log_w)])


def test_effective_sample_size_of_no_columns(lib: ModuleType) -> None:
    assert lib.effective_sample_size(np.zeros((3, 0))).shape == (0,)
    np.testing.assert_array_equal(lib.effective_sample_size(np.zeros((0, 3))), np.zeros(3))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_effective_sample_size_lies_between_one_and_all(log_weights: list[float]) -> None:
    size = effective_sample_size(log_weights)
    assert 1.0 - 1e-12 <= size <= len(log_weights) + 1e-9
    assert size == pytest.approx(sample_size(np.array(log_weights)), rel=1e-9)


@pytest.mark.light
@pytest.mark.parametrize("num_rows", [2, 17, 31, 33, 1003])
def test_the_largest_weight_may_stand_anywhere(lib: ModuleType, dtype: np.dtype, num_rows: int) -> None:
    """Also in what is left after the last whole vector: divided by a smaller one it would overflow."""
    for where in {0, num_rows // 2, num_rows - 2, num_rows - 1}:
        for size in (800.0, 5000.0):
            log_w = np.zeros(num_rows, dtype)
            log_w[where] = size
            assert lib.effective_sample_size(log_w) == 1.0
            columns = np.stack([log_w, log_w], axis=1)
            np.testing.assert_array_equal(lib.effective_sample_size(columns), [1.0, 1.0])


def test_log_weights_from_one_end_of_the_range_to_the_other(lib: ModuleType, dtype: np.dtype) -> None:
    """Their difference is beyond the range, which is no fault: that weight is 0 (and no warning)."""
    largest = np.finfo(dtype).max
    assert lib.effective_sample_size(np.array([largest, -largest, largest], dtype)) == 2.0
    assert lib.effective_sample_size(np.array([[largest], [-largest]], dtype)).tolist() == [1.0]
