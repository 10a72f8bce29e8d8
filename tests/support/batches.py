"""Batches of episodes made by hand, for the baselines' tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgcore import Batch


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
