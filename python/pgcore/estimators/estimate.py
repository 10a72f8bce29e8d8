"""`GradientEstimate`: a mean over episodes and how far to trust it, gathered chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from pgcore._arguments import AnyArray, Float64Array, real
from pgcore._rounding import rounding

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy

__all__ = [
    "MAX_BYTES",
    "GradientEstimate",
    "Moments",
    "chunks",
    "flat_obs",
    "gradient_rows",
    "signal_to_noise",
]

Array = Float64Array

MAX_BYTES = 2**26
"""Memory that an estimator takes for gradients of single episodes, by default."""


@dataclass(frozen=True)
class GradientEstimate:
    """The mean of N episodes' gradients."""

    gradient: Array
    """(1/N) Σ_i g_i, shape (P,)."""
    standard_error: Array
    """Of each component, from the spread over episodes (N − 1 degrees of freedom); NaN for one episode."""
    variance_trace: float
    """Trace of the covariance of *one* episode's gradient; NaN for one episode."""
    signal_to_noise: float
    """‖g‖² / (variance_trace / N)."""
    num_episodes: int
    """N."""


class Statistics(TypedDict):
    """The fields of a `GradientEstimate`, by name."""

    gradient: Array
    standard_error: Array
    variance_trace: float
    signal_to_noise: float
    num_episodes: int


class Moments:
    """Mean and spread of rows that come a chunk at a time, summed in double (Chan et al. 1983).

    Examples
    --------
    >>> moments = Moments(1)
    >>> moments.add(np.array([[1.0], [2.0]]))
    >>> moments.add(np.array([[6.0]]))
    >>> moments.mean.tolist(), moments.variance().tolist()
    ([3.0], [7.0])
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self._squares = np.zeros(size)  # of deviations from the mean

    def add(self, rows: Array) -> None:
        """Add rows, shape (n, size)."""
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        difference = mean - self.mean
        total = self.count + len(rows)
        self._squares += np.square(rows - mean).sum(axis=0)
        self._squares += np.square(difference) * (self.count * len(rows) / total)
        self.mean = self.mean + difference * (len(rows) / total)
        self.count = total

    def variance(self) -> Array:
        """Return each component's variance with n − 1 degrees of freedom; NaN for fewer than two rows."""
        if self.count < 2:
            return np.full_like(self._squares, np.nan)
        return self._squares / (self.count - 1)

    def statistics(self) -> Statistics:
        """Return the fields of a `GradientEstimate`."""
        variance = self.variance()
        trace = float(variance.sum())
        return {
            "gradient": self.mean,
            "standard_error": np.sqrt(variance / max(self.count, 1)),
            "variance_trace": trace,
            "signal_to_noise": signal_to_noise(self.mean, trace, self.count),
            "num_episodes": self.count,
        }


def signal_to_noise(gradient: Array, variance_trace: float, count: int) -> float:
    """Return ‖g‖²/(variance_trace/N): infinite without noise, NaN where there is neither.

    Noise that rounding alone makes of equal gradients is none.
    """
    signal, noise = float(np.sum(np.square(gradient))), variance_trace / max(count, 1)
    if noise <= rounding(gradient.dtype) ** 2 * signal:
        return math.inf if signal > 0 else math.nan
    return signal / noise


def chunks(
    batch: Batch, bytes_per_step: float, bytes_per_episode: float, max_bytes: float
) -> Iterator[slice]:
    """Cut a batch's episodes into runs that need at most so much memory each, or are one episode."""
    max_bytes = real("max_bytes", max_bytes, minimum=0.0, or_infinite=True)
    cost = np.cumsum(batch.segment_lengths * bytes_per_step + bytes_per_episode)
    first, spent = 0, 0.0
    while first < batch.num_segments:
        last = max(first + 1, int(np.searchsorted(cost, spent + max_bytes, side="right")))
        yield slice(first, last)
        first, spent = last, float(cost[last - 1])


def flat_obs(batch: Batch) -> AnyArray:
    """Return the observations as rows, (B, D), whatever their shape."""
    rows: AnyArray = batch.obs.reshape(batch.num_steps, -1) if batch.num_steps else batch.obs
    return rows


def gradient_rows(policy: Policy, batch: Batch, episodes: slice, *weights: AnyArray) -> list[Array]:
    """Return Σ_t w_t ∇log π(a_t∣o_t) of some episodes for each of several weights (B,), as (n, P) doubles.

    Weights may be far beyond the range of the policy's dtype: its kernels get them divided by their largest.
    """
    rows = slice(batch.segment_starts[episodes.start], batch.segment_ends[episodes.stop - 1] + 1)
    obs, actions, ends = flat_obs(batch)[rows], batch.actions[rows], batch.ends[rows]
    result = []
    for weight in weights:
        part = np.asarray(weight[rows], np.float64)
        largest = float(np.max(np.abs(part), initial=0.0))
        scale = largest if 0 < largest < math.inf else 1.0
        gradients = policy.episode_scores(obs, actions, ends, (part / scale).astype(policy.dtype))
        result.append(gradients.astype(np.float64) * scale)
    return result
