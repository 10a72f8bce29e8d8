"""`Demonstrations`: endless epochs over recorded steps."""

from __future__ import annotations

import numpy as np

from pgcore._arguments import IntArray
from pgcore.data.batch import Batch, trusted_batch

__all__ = ["Demonstrations"]


class Demonstrations:
    """Recorded steps to learn from, shuffled anew in every epoch, and some to validate with.

    Epochs follow each other without end, and any range of them can be taken at any time. There is no state to
    save: a run that is resumed asks for what comes next.

    Parameters
    ----------
    batch
        All that was recorded, at least one step.
    validation_fraction
        Share of the episode segments to hold out, drawn at random; rounded, but at least one and not all of
        them. (Whole segments: steps of one episode resemble each other too much to stand on both sides.)
    seed
        Of that draw and of the epochs' orders.

    Attributes
    ----------
    batch
        As given.
    rows
        Row numbers of the steps to learn from: an epoch, shape (n,).

    Raises
    ------
    ValueError
        If ``validation_fraction`` is not 0 and there is one segment only.

    Examples
    --------
    >>> recorded = Batch(np.zeros((3, 1)), actions=[0, 1, 2], rewards=np.ones(3), ends=[False, False, True])
    >>> demonstrations = Demonstrations(recorded, seed=0)
    >>> sorted(demonstrations.take(3, 6).actions.tolist())  # the second epoch
    [0, 1, 2]
    """

    def __init__(self, batch: Batch, validation_fraction: float = 0.0, *, seed: int) -> None:
        segments = batch.num_segments
        if validation_fraction > 0 and segments < 2:
            raise ValueError(
                f"validation_fraction: expected 0 with a single episode, got {validation_fraction}"
            )
        num_held_out = (
            min(max(round(validation_fraction * segments), 1), segments - 1) if validation_fraction else 0
        )
        rng = np.random.default_rng(seed)
        chosen = np.isin(np.arange(segments), rng.permutation(segments)[:num_held_out])
        held_out = np.repeat(chosen, batch.segment_lengths)
        self.batch, self.seed = batch, seed
        self.rows = np.flatnonzero(~held_out)
        self._held_out = rng.permutation(np.flatnonzero(held_out))
        self._latest = -1, self.rows

    def take(self, start: int, stop: int) -> Batch:
        """Return steps number ``start`` to ``stop`` − 1 of all epochs, each as a segment of its own."""
        ranges = []
        while start < stop:
            epoch, first = divmod(start, len(self.rows))
            ranges.append(self._epoch(epoch)[first : first + stop - start])
            start += len(ranges[-1])
        return self._steps(np.concatenate(ranges))

    def validation(self, most: int) -> Batch | None:
        """Return the steps that are held out, at most the first ``most`` of them; None if there are none."""
        rows = self._held_out[:most]
        return self._steps(rows) if len(rows) else None

    def _steps(self, rows: IntArray) -> Batch:
        data = self.batch
        ends = np.ones(len(rows), np.bool_)
        return trusted_batch(data.obs[rows], data.actions[rows], data.rewards[rows], ends, terminated=ends)

    def _epoch(self, epoch: int) -> IntArray:
        if self._latest[0] != epoch:
            self._latest = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return self._latest[1]
