"""`Baseline`: what is subtracted from returns, and the value of what lies beyond a truncated segment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from pgcore._arguments import AnyArray, FloatArray
from pgcore.values.base import Learned, checked_targets

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["Baseline"]


class Baseline(Learned, ABC):
    r"""A function b_t that does not depend on the action a_t: subtracting it leaves the gradient unbiased.

    .. math:: \mathbb E[\nabla\log\pi(a_t\mid s_t)\, b_t] = 0

    Lecture, part 3. The order of use is `bootstrap_values`, `values`, then `fit`: a step is weighed with what
    the baseline knew before it saw the step's outcome.

    Attributes
    ----------
    needs_whole_episodes : bool
        True for baselines that cannot value what follows a truncated segment (their bootstrap values are
        zero).
    normalizer : ObservationNormalizer or None
        Statistics that observations are standardised with, shared with the policy; ignored by baselines that
        do not look at observations.
    """

    needs_whole_episodes = True

    @abstractmethod
    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return b_t for every step, (B,), in the dtype of ``returns`` (B,), which it is subtracted from."""

    def bootstrap_values(self, batch: Batch) -> FloatArray:
        """Return the value of what follows, (B,): at truncated segments' last steps, zero elsewhere.

        It has the dtype of the batch's rewards.
        """
        return np.zeros(batch.num_steps, batch.rewards.dtype)

    def fit(self, batch: Batch, targets: FloatArray) -> dict[str, float]:
        """Learn from the returns (B,) of a batch; return named measurements for the log.

        No steps teach nothing.

        Raises
        ------
        ValueError
            If ``targets`` are not one finite number for each step.
        """
        checked_targets(batch.num_steps, targets)
        return {}


def raw_bootstrap_obs(batch: Batch) -> AnyArray:
    """Return the observations that truncated segments stop at, one row each; there must be some."""
    if batch.bootstrap_obs is None:
        raise ValueError(
            "bootstrap_obs: expected the observations after "
            f"{batch.num_truncated} truncated segments, got None"
        )
    bootstrap: AnyArray = batch.bootstrap_obs[batch.truncated].reshape(batch.num_truncated, -1)
    return bootstrap


def scattered_bootstrap_values(batch: Batch, values_of_truncated: FloatArray) -> FloatArray:
    """Return a value for each truncated segment at its last step, zero elsewhere; shape (B,)."""
    values = np.zeros(batch.num_segments, values_of_truncated.dtype)
    values[batch.truncated] = values_of_truncated
    return batch.scatter_bootstrap_values(values)
