"""Rules that turn a gradient into a step uphill, and the state they keep from one step to the next."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Literal, Protocol, TypeAlias

import numpy as np

from pgcore._arguments import Arrays, FloatArray, float_array, state_count, state_entries
from pgcore.kernels import adam_step

__all__ = [
    "SGD",
    "Adam",
    "Optimizer",
    "OptimizerName",
    "ScheduleName",
    "clip_norm",
    "make_optimizer",
    "scheduled",
]

OptimizerName: TypeAlias = Literal["adam", "sgd"]
ScheduleName: TypeAlias = Literal["constant", "linear", "cooldown"]

_COOLDOWN = 0.2  # of the training, at its end


class Optimizer(Protocol):
    """A rule of gradient ascent, and its state."""

    def ascend(self, theta: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """Return new parameters, uphill of ``theta``."""

    def state(self) -> Arrays:
        """Return everything that is needed to continue with the same numbers."""

    def load_state(self, state: Arrays) -> None:
        """Restore ``state``, which an earlier `state` returned."""


class SGD:
    """Plain gradient ascent, θ ← θ + α g. It has no state.

    >>> SGD().ascend(np.zeros(2), np.array([1.0, -2.0]), 0.5)
    array([ 0.5, -1. ])
    """

    def ascend(self, theta: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """Return θ + α g.

        Parameters
        ----------
        theta, gradient
            Arrays of shape (P,).
        learning_rate
            α.

        Returns
        -------
        FloatArray
            A new array of ``theta``'s dtype.
        """
        step: FloatArray = np.multiply(gradient, learning_rate, dtype=theta.dtype)
        return theta + step

    def state(self) -> Arrays:
        """Return an empty state."""
        return {}

    def load_state(self, state: Arrays) -> None:
        """Accept an empty state.

        Raises
        ------
        ValueError
            If it is that of another optimizer.
        """
        if state:
            raise ValueError(f"state: expected no entries, got {sorted(state)}")


class Adam:
    """Adam, uphill: each component moves by about α, whatever the gradient's scale (Kingma & Ba 2015).

    Parameters
    ----------
    beta1, beta2
        Decay of the running first and second moment of the gradient.
    epsilon
        Added to the denominator.

    Examples
    --------
    >>> Adam().ascend(np.zeros(2), np.array([1.0, -2.0]), 0.5).round(6)
    array([ 0.5, -0.5])
    """

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._step = 0
        self._m: FloatArray = np.zeros(0)
        self._v: FloatArray = np.zeros(0)

    def ascend(self, theta: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """Return θ + α m̂ / (√v̂ + ε).

        Parameters
        ----------
        theta, gradient
            Arrays of shape (P,).
        learning_rate
            α.

        Returns
        -------
        FloatArray
            A new array of ``theta``'s dtype.
        """
        if self._step == 0:
            self._m, self._v = np.zeros_like(theta), np.zeros_like(theta)
        self._step += 1
        theta = theta.copy()
        descent = np.negative(gradient, dtype=theta.dtype)  # the kernel goes downhill
        adam_step(
            theta,
            descent,
            self._m,
            self._v,
            self._step,
            learning_rate=learning_rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
        )
        return theta

    def state(self) -> Arrays:
        """Return moments and step count."""
        return {"m": self._m.copy(), "v": self._v.copy(), "step": np.array(self._step)}

    def load_state(self, state: Arrays) -> None:
        """Restore moments and step count.

        Parameters
        ----------
        state
            What `state` returned.

        Raises
        ------
        TypeError, ValueError
            If something is missing, of another length, dtype or range; then nothing has changed.
        """
        dtype = float_array("m", state["m"]).dtype if "m" in state else np.dtype(np.float64)
        shapes = dict.fromkeys(("m", "v"), (np.size(state.get("m", ())),))
        moments = state_entries(state, shapes, dtype, not_negative=("v",))
        self._step = state_count(state, "step")
        self._m, self._v = moments["m"], moments["v"]

    def __copy__(self) -> Adam:
        return deepcopy(self)  # the moments change in place


def make_optimizer(name: OptimizerName) -> Optimizer:
    """Return a new optimizer of the kind that a configuration names."""
    return Adam() if name == "adam" else SGD()


def scheduled(value: float, schedule: ScheduleName, progress: float) -> float:
    """Return what is left of ``value`` while ``progress`` goes from 0 to 1.

    Parameters
    ----------
    value
        A step size, or another number to anneal.
    schedule
        "constant"; "linear", to zero at the end; "cooldown", constant and then linearly to zero over the last
        fifth (Hägele et al. 2024): full steps for most of the time, then time for their noise to average out.
    progress
        Share of the training that is over.

    Examples
    --------
    >>> scheduled(0.1, "linear", 0.75)
    0.025
    >>> [round(scheduled(0.1, "cooldown", progress), 3) for progress in (0.5, 0.8, 0.9)]
    [0.1, 0.1, 0.05]
    """
    left = 1.0 - progress
    factors = {"constant": 1.0, "linear": left, "cooldown": min(left / _COOLDOWN, 1.0)}
    return value * factors[schedule]


def clip_norm(gradient: FloatArray, max_norm: float | None) -> tuple[FloatArray, float]:
    """Scale ``gradient`` down to norm ``max_norm`` if it is longer.

    Parameters
    ----------
    gradient
        Array of shape (P,).
    max_norm
        The largest norm; None: no limit.

    Returns
    -------
    gradient, norm
        The gradient to use, and the norm it had *before*, summed in double precision.

    Raises
    ------
    FloatingPointError
        If the norm is not finite: the step would destroy the parameters.

    Examples
    --------
    >>> clip_norm(np.array([3.0, 4.0]), 1.0)
    (array([0.6, 0.8]), 5.0)
    """
    # Squares of numbers far from 1 leave the range of double: those are divided by the largest first.
    largest = float(np.abs(gradient).max(initial=0.0))
    unit = 1.0 if 1e-140 < largest < 1e140 or largest == 0.0 or not math.isfinite(largest) else largest
    scaled = gradient if unit == 1.0 else gradient / unit
    norm = unit * math.sqrt(float(np.sum(np.square(scaled, dtype=np.float64))))
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"gradient: expected finite numbers, got norm {norm}; look for infinite rewards or observations, "
            "or lower the learning rate"
        )
    if max_norm is not None and norm > max_norm:
        gradient = gradient * np.asarray(max_norm / norm, dtype=gradient.dtype)
    return gradient, norm
