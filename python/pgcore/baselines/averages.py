"""Baselines without observations: a constant, and averages over the episodes of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgcore._arguments import AnyArray, FloatArray, real
from pgcore.baselines.base import Baseline

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["AverageReturn", "Constant", "TimeDependent"]


class Constant(Baseline):
    """The same number b for every step.

    Parameters
    ----------
    c
        b; zero is no baseline.

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore import Batch
    >>> batch = Batch(obs=[[0.0], [0.0]], actions=[0, 0], rewards=[1.0, 2.0], ends=[0, 1])
    >>> Constant(5.0).values(batch, np.array([3.0, 2.0]))
    array([5., 5.])
    """

    def __init__(self, c: float = 0.0) -> None:
        self.c = real("c", c)

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return c for every step."""
        return np.full(batch.num_steps, self.c, returns.dtype)

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {"c": self.c}


class _Average(Baseline):
    """An average over the batch's episodes, each left out of its own baseline by default.

    The plain average contains the episode's own return and shrinks the expected gradient by 1 − 1/N.
    """

    def __init__(self, *, leave_one_out: bool = True) -> None:
        self.leave_one_out = bool(leave_one_out)

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {"leave_one_out": self.leave_one_out}

    def _averages(self, totals: AnyArray, counts: AnyArray, own: FloatArray) -> FloatArray:
        """The averages, without ``own`` where that is left out; zero where there is nothing to average."""
        if self.leave_one_out:
            with np.errstate(invalid="ignore"):  # without an infinite one, what is left is not known
                totals, counts = totals - own, counts - 1
        averages: FloatArray = np.where(counts > 0, totals / np.maximum(counts, 1), 0.0)
        return averages


class AverageReturn(_Average):
    r"""The mean return of the other episodes: :math:`b_i = \frac{1}{N-1}\sum_{j \ne i} R(\tau_j)`.

    An episode's return R is the weight of its first step. With a single episode b = 0.

    Parameters
    ----------
    leave_one_out
        False takes the plain mean over all episodes, which is biased by 1 − 1/N.

    Notes
    -----
    Lecture, part 3 ("average return" baseline).

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore import Batch
    >>> batch = Batch(obs=np.zeros((3, 1)), actions=[0, 0, 0], rewards=[1.0, 2.0, 5.0], ends=[0, 1, 1])
    >>> AverageReturn().values(batch, np.array([3.0, 2.0, 5.0]))
    array([5., 5., 3.])
    """

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return the mean return of the other episodes, the same for all steps of an episode."""
        episode_returns = np.asarray(returns, np.float64)[batch.segment_starts]
        number = len(episode_returns)
        with np.errstate(over="ignore", invalid="ignore"):
            totals = np.full(number, episode_returns.sum())
        averages = self._averages(totals, np.full(number, number), episode_returns)
        return np.repeat(averages, batch.segment_lengths).astype(returns.dtype, copy=False)


class TimeDependent(_Average):
    r"""The others' mean weight at the same time: :math:`b_{i,t} = \frac{1}{N_t-1}\sum_{j\ne i} G_{j,t}`.

    N_t counts the episodes that last longer than t; where no other does, b = 0.

    Parameters
    ----------
    leave_one_out
        False takes the plain mean, which is biased by 1 − 1/N_t.

    Notes
    -----
    Lecture, part 3 (b_t may depend on time).

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore import Batch
    >>> batch = Batch(obs=np.zeros((3, 1)), actions=[0, 0, 0], rewards=[1.0, 2.0, 5.0], ends=[0, 1, 1])
    >>> TimeDependent().values(batch, np.array([3.0, 2.0, 5.0]))
    array([5., 0., 3.])
    """

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return the mean over the other episodes that are alive at the same time."""
        time = batch.step_in_segment
        totals = np.bincount(time, weights=returns)[time]
        counts = np.bincount(time)[time]
        return self._averages(totals, counts, returns).astype(returns.dtype, copy=False)
