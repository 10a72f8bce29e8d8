"""Batches of episodes made by hand, and what holds for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgcore import Batch
from pgcore.data.batch import FIELDS


def batch_of(lengths: Sequence[int], *, truncated: Sequence[int] = (), dim: int = 2, seed: int = 0) -> Batch:
    """Random observations in segments of given lengths; those in ``truncated`` don't terminate."""
    rng = np.random.default_rng(seed)
    num_rows = sum(lengths)
    ends = np.zeros(num_rows, bool)
    last = np.cumsum(lengths, dtype=int) - 1
    ends[last] = True
    terminated = ends.copy()
    terminated[last[list(truncated)]] = False
    bootstrap_obs = rng.normal(size=(len(lengths), dim))
    unread = np.setdiff1d(np.arange(len(lengths)), truncated)
    bootstrap_obs[unread] = np.nan
    return Batch(
        rng.normal(size=(num_rows, dim)),
        np.zeros(num_rows),
        rng.normal(size=num_rows),
        ends,
        terminated=terminated,
        bootstrap_obs=bootstrap_obs,
    )


def episodes_of(batch: Batch, values: Any) -> list[np.ndarray]:
    """``values`` (B,) cut into episodes."""
    return np.split(np.asarray(values), batch.segment_ends[:-1] + 1)


ATTRIBUTES = (*FIELDS, "segment_starts", "segment_ends", "truncated")


def assert_checked(batch: Batch) -> None:
    """A batch that was made without checks is what the constructor makes of its arrays."""
    checked = Batch(**{name: getattr(batch, name) for name in FIELDS})
    for name in ATTRIBUTES:
        got, expected = getattr(batch, name), getattr(checked, name)
        if expected is None:
            assert got is None, name
            continue
        assert got.dtype == expected.dtype, name
        np.testing.assert_array_equal(got, expected, err_msg=name)
        assert got.flags.c_contiguous, name
        assert not got.flags.writeable, name
    np.testing.assert_array_equal(batch.step_in_segment, checked.step_in_segment)
