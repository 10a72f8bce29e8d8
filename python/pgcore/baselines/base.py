"""`Baseline`: what is subtracted from returns, and the value of what lies beyond a truncated segment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import check_shape, float_array
from pgcore._kinds import kind_of, register

if TYPE_CHECKING:
    from typing import Self

    from pgcore.data.batch import Batch
    from pgcore.policies import ObservationNormalizer

__all__ = ["Baseline"]

FloatArray = NDArray[np.floating[Any]]


class Baseline(ABC):
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    needs_whole_episodes = True
    normalizer: ObservationNormalizer | None = None

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
        checked_targets(batch, targets)
        return {}

    def config(self) -> dict[str, Any]:
        """Return what `pgcore.baselines.from_config` needs to make the same kind of baseline; JSON-able.

        A class of your own whose constructor takes arguments adds them by their names.
        """
        return {"kind": kind_of(type(self)), **self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what was learned, as copies."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become the baseline that ``state`` was taken from."""
        if state:
            raise ValueError(f"state: expected no entries, got {sorted(state)}")

    def __copy__(self) -> Self:
        return deepcopy(self)  # one that shared the normaliser, or arrays, would not be independent

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"


def checked_targets(batch: Batch, targets: ArrayLike) -> FloatArray:
    """Return what a baseline is to learn, one finite number for each step, in a dtype of its own."""
    returns = float_array("targets", targets)
    check_shape("targets", returns, (batch.num_steps,))
    if not np.isfinite(returns).all():
        raise ValueError("targets: expected finite returns, got NaN or infinity")
    return returns


def raw_bootstrap_obs(batch: Batch) -> NDArray[Any]:
    """Return the observations that truncated segments stop at, one row each; there must be some."""
    if batch.bootstrap_obs is None:
        raise ValueError(
            "bootstrap_obs: expected the observations after "
            f"{batch.num_truncated} truncated segments, got None"
        )
    bootstrap: NDArray[Any] = batch.bootstrap_obs[batch.truncated].reshape(batch.num_truncated, -1)
    return bootstrap


def scattered_bootstrap_values(batch: Batch, values_of_truncated: FloatArray) -> FloatArray:
    """Return a value for each truncated segment at its last step, zero elsewhere; shape (B,)."""
    values = np.zeros(batch.num_segments, values_of_truncated.dtype)
    values[batch.truncated] = values_of_truncated
    return batch.scatter_bootstrap_values(values)
