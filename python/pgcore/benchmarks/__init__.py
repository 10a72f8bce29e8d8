"""What pgcore's speed is compared with: cases, other libraries, and how they are timed.

This is the one place that names libraries for arrays other than NumPy. None is imported before `installed` is
called, and none is needed.
"""

from __future__ import annotations

from pgcore.benchmarks.cases import DTYPES, Case, Problem, cases
from pgcore.benchmarks.libraries import LIBRARIES, Library, Run, describe, installed, ready
from pgcore.benchmarks.measure import Contest, Row, WrongAnswerError, duration, geometric_mean, measure

__all__ = [
    "DTYPES",
    "LIBRARIES",
    "Case",
    "Contest",
    "Library",
    "Problem",
    "Row",
    "Run",
    "WrongAnswerError",
    "cases",
    "describe",
    "duration",
    "geometric_mean",
    "installed",
    "measure",
    "ready",
]
