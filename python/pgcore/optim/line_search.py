"""The line search of a trust region: the longest step with a small KL and an improvement."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pgcore._arguments import FloatArray

__all__ = ["LineSearch", "LineSearchReason", "backtrack"]


class LineSearchReason(enum.IntEnum):
    """Why a line search ended; for one that failed, what was wrong with its last candidate."""

    ACCEPTED = 0
    """The KL is inside its radius and the surrogate has improved."""
    KL = 1
    """The KL was larger than its radius."""
    NO_IMPROVEMENT = 2
    """The surrogate had not improved."""
    NONFINITE = 3
    """The KL, the surrogate or a parameter was NaN or infinite."""


class LineSearch(NamedTuple):
    """What `backtrack` found."""

    params: FloatArray
    """The accepted parameters, or the old ones bit for bit."""
    reason: LineSearchReason
    steps: int
    """Candidates that were evaluated."""
    kl: float
    """KL(old‖new) of the parameters returned."""
    improvement: float
    """Gain of the surrogate with the parameters returned."""


def backtrack(
    evaluate: Callable[[FloatArray], tuple[float, float]],
    params: FloatArray,
    step: FloatArray,
    *,
    max_kl: float,
    shrink: float,
    max_iter: int,
) -> LineSearch:
    """Try θ + βʲ·step for j = 0, 1, …, until the KL is within its radius *and* the surrogate improves.

    Parameters
    ----------
    evaluate
        Returns the surrogate and KL(old‖new) of given parameters.
    params, step
        θ and the longest step, shape (P,).
    max_kl
        Radius.
    shrink
        β, between 0 and 1.
    max_iter
        Number of candidates to try.

    Returns
    -------
    LineSearch
        On failure with ``params`` themselves, and the reason.
    """
    before, _ = evaluate(params)
    reason = LineSearchReason.NONFINITE
    for j in range(max_iter):
        candidate: FloatArray = params + np.asarray(shrink**j, params.dtype) * step
        surrogate, kl = evaluate(candidate) if np.isfinite(candidate).all() else (math.nan, math.nan)
        improvement = surrogate - before
        if not (math.isfinite(improvement) and math.isfinite(kl)):
            reason = LineSearchReason.NONFINITE
        elif kl > max_kl:
            reason = LineSearchReason.KL
        elif improvement <= 0:
            reason = LineSearchReason.NO_IMPROVEMENT
        else:
            return LineSearch(candidate, LineSearchReason.ACCEPTED, j + 1, kl, improvement)
    return LineSearch(params, reason, max_iter, 0.0, 0.0)
