"""The GPOMDP form with a baseline for every time: needs the running score of every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pgcore.estimators.estimate import MAX_BYTES, Moments, chunks, flat_obs
from pgcore.policies import segments_of

if TYPE_CHECKING:
    from pgcore.baselines import OptimalBaseline
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy

__all__ = ["RunningScores", "gpomdp_moments"]

Array = NDArray[np.float64]


def gpomdp_moments(scores: RunningScores, baseline: OptimalBaseline, max_bytes: float = MAX_BYTES) -> Moments:
    r"""Return the moments of :math:`\sum_h z_h (r_h - b_h)` over episodes.

    b_h minimises the variance of the term that it stands in, E[z_h² r_h]/E[z_h²]; that the terms of different
    h are correlated is ignored, as by Peters & Schaal (2008). An episode that has ended
    continues with its running score and no reward: E[z_h] is zero over all episodes, not over those that
    survive.
    """
    batch, num_params = scores.batch, scores.policy.num_params
    horizon = int(batch.segment_lengths.max())
    shape = (horizon, num_params if baseline.per_component else 1)
    numerator, denominator = np.zeros(shape), np.zeros(shape)
    runs = list(chunks(batch, 2 * 8 * num_params, 5 * 8 * num_params, max_bytes))

    def products(z: Array, r: Array) -> tuple[Array, Array]:
        squares = np.square(z) if baseline.per_component else np.square(z).sum(axis=1, keepdims=True)
        return squares * r, squares

    for episodes in runs:
        for h, z, r in scores.times(episodes):
            own_numerator, own_denominator = products(z, r)
            numerator[h] += own_numerator.sum(axis=0)
            denominator[h] += own_denominator.sum(axis=0)
    moments = Moments(num_params)
    for episodes in runs:
        gradients = np.zeros((episodes.stop - episodes.start, num_params))
        for h, z, r in scores.times(episodes):
            gradients += z * (r - baseline.coefficients(numerator[h], denominator[h], *products(z, r)))
        moments.add(gradients)
    return moments


@dataclass(frozen=True)
class RunningScores:
    """z_h = Σ_{k≤h} γ^{h−k} ∇log π_k of every episode; with ``discount_states`` γʰ Σ_{k≤h} ∇log π_k."""

    policy: Policy
    batch: Batch
    gamma: float
    discount_states: bool

    def times(self, episodes: slice) -> Iterator[tuple[int, Array, Array]]:
        """Yield h, the z_h (n, P) and the r_h (n, 1) of some episodes, up to the batch's longest one."""
        batch = self.batch
        starts, lengths = batch.segment_starts[episodes], batch.segment_lengths[episodes]
        rows = slice(starts[0], batch.segment_ends[episodes.stop - 1] + 1)
        scores = self.policy.scores(
            flat_obs(batch)[rows], batch.actions[rows], **segments_of(self.policy, starts - starts[0])
        )
        decay = 1.0 if self.discount_states else self.gamma
        running = np.zeros((len(starts), self.policy.num_params))
        for h in range(int(batch.segment_lengths.max())):
            alive = np.flatnonzero(lengths > h)
            at = starts[alive] + h
            if decay != 1.0:
                running *= decay
            running[alive] += scores[at - starts[0]]
            rewards = np.zeros((len(starts), 1))
            rewards[alive, 0] = batch.rewards[at]
            weight = self.gamma**h if self.discount_states else 1.0
            yield h, running if weight == 1.0 else weight * running, rewards
