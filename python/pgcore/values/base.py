"""`ValueFunction`: how much is expected to come after an observation, learned from returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import AnyArray, Arrays, FloatArray, check_shape, float_array
from pgcore._kinds import kind_of, register

if TYPE_CHECKING:
    from typing import Self

    from pgcore.policies import ObservationNormalizer

__all__ = ["Learned", "ValueFunction", "checked_targets"]


class Learned:
    """What learns beside a policy and is saved with it: made again from `config`, continued from `state`.

    Attributes
    ----------
    normalizer : ObservationNormalizer or None
        Statistics to standardise observations with, shared with the policy; not every kind looks at them.
    """

    normalizer: ObservationNormalizer | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        register(cls)

    def config(self) -> dict[str, object]:
        """Return its kind, and the arguments to make one like it; JSON can hold them.

        A class of your own whose constructor takes arguments returns them from `arguments`.
        """
        return {"kind": kind_of(type(self)), **self.arguments()}

    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments by name, for `config` and ``repr``; none by default."""
        return {}

    def state(self) -> Arrays:
        """Return what was learned, as copies."""
        return {}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Become the one that ``state`` was taken from."""
        if state:
            raise ValueError(f"state: expected no entries, got {sorted(state)}")

    def __copy__(self) -> Self:
        return deepcopy(self)  # one that shared the normaliser, or arrays, would not be independent

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({arguments})"


class ValueFunction(Learned, ABC):
    r"""A function of the observation that predicts returns, :math:`v(o) \approx \mathbb E[G_t \mid o_t = o]`.

    Give one as ``critic=`` to an algorithm, or as ``baseline=`` to an estimator: it works through
    `pgcore.baselines.ValueBaseline`. A class of your own writes `predict` and `fit`; to be saved also
    `state` and `load_state`, and `config` if its constructor takes arguments.

    Examples
    --------
    The mean of all returns so far, whatever is observed:

    >>> class Mean(ValueFunction):
    ...     total = count = 0.0
    ...
    ...     def predict(self, obs):
    ...         return np.full(len(obs), self.total / max(self.count, 1))
    ...
    ...     def fit(self, obs, targets):
    ...         self.total, self.count = self.total + targets.sum(), self.count + len(targets)
    ...         return {}
    >>> mean = Mean()
    >>> mean.fit(np.zeros((2, 3)), np.array([1.0, 2.0]))
    {}
    >>> mean.predict(np.zeros((1, 3)))
    array([1.5])
    """

    @abstractmethod
    def predict(self, obs: AnyArray) -> FloatArray:
        """Return v(o) for raw observations (B, D), shape (B,)."""

    @abstractmethod
    def fit(self, obs: AnyArray, targets: FloatArray) -> dict[str, float]:
        """Learn that returns (B,) followed observations (B, D); return named measurements for the log."""


def checked_targets(num_steps: int, targets: ArrayLike) -> FloatArray:
    """Return what is to be learned, one finite number for each step, in a dtype of its own."""
    returns = float_array("targets", targets)
    check_shape("targets", returns, (num_steps,))
    if not np.isfinite(returns).all():
        raise ValueError("targets: expected finite returns, got NaN or infinity")
    return returns
