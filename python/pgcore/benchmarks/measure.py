"""Check that all versions of a kernel give one answer, then time them in turns."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pgcore.benchmarks.cases import Case
from pgcore.benchmarks.libraries import Library, Run

__all__ = ["Contest", "Row", "WrongAnswerError", "duration", "geometric_mean", "measure"]

_TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # relative to the largest value
_MIN_SAMPLE = 1e-4  # seconds: shorter calls are repeated within a sample
_MIN_ROUNDS, _MAX_ROUNDS = 5, 1000
_HOPELESS = 4.0  # times the fastest version: two samples are enough


class WrongAnswerError(Exception):
    """A version of a kernel computes something else than pgcore does."""


class Contest:
    """A case with its data, whose answer was compared with the reference.

    Raises
    ------
    WrongAnswerError
        If the reference has another one.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.problem = case.problem()
        self._answer = _arrays(self.problem.ours())
        if self.problem.reference is not None:
            self._compare("the reference", self.problem.reference(), self.problem.part)

    def runs(self, name: str, library: Library) -> list[Run]:
        """Return the library's ways to compute the case, each called once and compared with pgcore's answer.

        Raises
        ------
        WrongAnswerError
            If one has another answer.
        """
        found = library.runs(self.case.kernel, *self.problem.data)
        for run in found:
            self._compare(name, run(), ...)
        return found

    def _compare(self, name: str, answer: Any, part: Any) -> None:
        case, theirs = self.case, _arrays(answer)
        what = f"{case.kernel} {case.size} {case.dtype}"
        ours = [array[part] for array in self._answer]
        if len(ours) == 1 and len(theirs) > 1:  # parameters as a list of arrays
            rows = (len(ours[0]),) if ours[0].ndim == 2 else ()
            theirs = [np.concatenate([array.reshape(*rows, -1) for array in theirs], axis=-1)]
        tolerance = self.problem.tolerance or _TOLERANCE[case.dtype]
        for mine, other in zip(ours, theirs, strict=True):
            if mine.shape != other.shape:
                raise WrongAnswerError(f"{what}: expected shape {mine.shape} from {name}, got {other.shape}")
            error = np.abs(mine - other.astype(np.float64)).max(initial=0.0)
            scale = np.abs(other).max(initial=0.0)
            if not error <= tolerance * scale:
                raise WrongAnswerError(
                    f"{what}: expected the result of {name}, got one that is off by {error / scale:.2g}"
                )


@dataclass(frozen=True)
class Row:
    """Seconds of one call of a kernel, by library; ``"pgcore"`` is the first."""

    kernel: str
    size: str
    dtype: str
    seconds: dict[str, float]

    @property
    def best(self) -> str:
        """The fastest of the other libraries; empty if there is none."""
        others = [name for name in self.seconds if name != "pgcore"]
        return min(others, key=self.seconds.__getitem__, default="")

    @property
    def ratio(self) -> float:
        """How many times as long the best of the others takes; NaN if there is none."""
        return self.seconds.get(self.best, math.nan) / self.seconds["pgcore"]


def measure(case: Case, libraries: Mapping[str, Library], seconds: float) -> Row:
    """Check all versions of a case, and time them in turns for about ``seconds`` each.

    A library that offers several ways counts with the fastest. Times are medians.

    Raises
    ------
    WrongAnswerError
        If the answers differ.
    """
    contest = Contest(case)
    runs = [("pgcore", contest.problem.ours)]
    for name, library in libraries.items():
        runs += [(name, run) for run in contest.runs(name, library)]
    if "numpy" not in dict(runs) and contest.problem.part is ... and contest.problem.reference is not None:
        runs.append(("numpy", contest.problem.reference))
    best: dict[str, float] = {}
    for (name, _), median in zip(runs, _medians([run for _, run in runs], seconds), strict=True):
        best[name] = min(median, best.get(name, math.inf))
    return Row(case.kernel, case.size, case.dtype, best)


def _medians(runs: Sequence[Run], budget: float) -> list[float]:
    estimates = [min(_seconds(run, 1) for _ in range(2)) for run in runs]
    fastest = min(estimates)
    repeats, rounds = [], []
    for estimate in estimates:
        repeats.append(max(1, round(_MIN_SAMPLE / max(estimate, 1e-9))))
        wanted = round(budget / (estimate * repeats[-1]))
        rounds.append(min(_MAX_ROUNDS, max(_MIN_ROUNDS if estimate < _HOPELESS * fastest else 2, wanted)))
    samples: list[list[float]] = [[] for _ in runs]
    order, shuffle = list(range(len(runs))), random.Random(0).shuffle
    for turn in range(max(rounds)):
        shuffle(order)  # one after another, each would always find the caches as the same other left them
        for i in order:
            if turn < rounds[i]:
                samples[i].append(_seconds(runs[i], repeats[i]))
    return [statistics.median(sample) for sample in samples]


def _seconds(run: Run, repeat: int) -> float:
    loop = itertools.repeat(None, repeat)
    started = time.perf_counter()
    for _ in loop:
        run()
    return (time.perf_counter() - started) / repeat


def _arrays(answer: Any) -> list[NDArray[Any]]:
    """All arrays of nested lists and tuples, as NumPy's, in order."""
    if isinstance(answer, list | tuple):
        return [array for part in answer for array in _arrays(part)]
    return [np.atleast_1d(np.asarray(answer))]


def geometric_mean(rows: Sequence[Row]) -> float:
    """Return the geometric mean of the ratios, of rows that have one."""
    ratios = [row.ratio for row in rows if row.best]
    return statistics.geometric_mean(ratios) if ratios else math.nan


def duration(seconds: float) -> str:
    """Return a time to three digits.

    >>> duration(4e-7), duration(1.234e-6), duration(0.5)
    ('400 ns', '1.23 µs', '500 ms')
    """
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{seconds * factor:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds:#.3g} s"
