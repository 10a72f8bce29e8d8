"""What is compared: every kernel, answers that agree, and a wrong one is seen."""

from __future__ import annotations

import math
import time
from collections import Counter

import numpy as np
import pytest

from pgcore import kernels
from pgcore.benchmarks import (
    Case,
    Contest,
    Problem,
    Row,
    WrongAnswerError,
    cases,
    geometric_mean,
    installed,
    measure,
)

ALL = list(cases())
SMALL = [case for case in ALL if case.usual and not case.size.startswith(("100000", "8192", "2048 × 64"))]


def test_every_kernel_is_there():
    named = {case.kernel.partition(".")[0] for case in ALL}
    assert set(kernels.__all__) - {"CGResult", "CGStatus"} <= named
    assert {"policy", "Fisher", "predict"} <= named


def test_there_are_enough_and_each_is_there_once():
    assert len(ALL) >= 250
    assert max(Counter((case.kernel, case.size, case.dtype) for case in ALL).values()) == 1
    assert {case.kernel for case in ALL if case.usual} == {case.kernel for case in ALL}


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.kernel}-{case.size}-{case.dtype}")
def test_answers_agree(case):
    contest = Contest(case)  # compares with the reference
    if contest.problem.limit is not None:
        contest.problem.limit()
    for name, library in installed().items():
        if name in ("numpy", "scipy"):  # the others are in tests/peers
            for run in contest.runs(name, library):
                first, second = run(), run()
                assert (first is second) == (case.kernel in ("adam_step", "SurrogateAscent.epoch")), name


@pytest.mark.parametrize(("kernel", "at"), [("reward_to_go", -5), ("cumulative_log_ratios", 5)])
def test_long_columns_are_checked_in_part(monkeypatch, kernel, at):
    (case,) = [case for case in ALL if case[:3] == (kernel, "1000000, ends", "float32")]
    assert Contest(case)
    right = getattr(kernels, kernel)

    def wrong(*args, **kwargs):
        out = right(*args, **kwargs)
        out[at] += 0.01 * np.abs(out).max()
        return out

    monkeypatch.setattr(kernels, kernel, wrong)
    with pytest.raises(WrongAnswerError, match="expected the result of the reference"):
        Contest(case)


class Wrong:
    """A library whose only function is wrong."""

    def __init__(self, answer):
        self.answer = answer

    def runs(self, kernel, *data):
        return [lambda: self.answer]


def case_of(answer, **problem):
    made = Problem(lambda: answer, (), **problem)
    return Case("f", "3", "float32", True, lambda: made)


ONES = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ONES + 1e-3, "f 3 float32: expected the result of other, got one that is off by 0.001"),
        (
            np.array([1.0, np.nan, 1.0]),
            "f 3 float32: expected the result of other, got one that is off by nan",
        ),
        (np.ones(4), "f 3 float32: expected shape (3,) from other, got (4,)"),
    ],
)
def test_wrong_answers_are_not_timed(answer, message):
    with pytest.raises(WrongAnswerError) as caught:
        measure(case_of(ONES), {"other": Wrong(answer)}, 0.001)
    assert str(caught.value) == message


def test_another_reference_is_seen():
    with pytest.raises(WrongAnswerError, match="expected the result of the reference"):
        Contest(case_of(ONES, reference=lambda: ONES + 1.0))
    with pytest.raises(WrongAnswerError, match="expected the result of the reference"):
        Contest(case_of(np.array([1.0, 1.0, 2.0]), reference=lambda: np.ones(2), part=slice(1, None)))


def test_lists_of_parameters_are_one_vector():
    parts = [np.ones((2, 1)), [np.zeros(1)]]
    assert Contest(case_of(np.array([1.0, 1.0, 0.0]))).runs("other", Wrong(parts))
    with pytest.raises(WrongAnswerError):
        Contest(case_of(np.array([1.0, 0.0, 1.0]))).runs("other", Wrong(parts))
    per_row = [np.ones((2, 1, 1)), np.zeros((2, 1))]
    assert Contest(case_of(np.array([[1.0, 0.0], [1.0, 0.0]]))).runs("other", Wrong(per_row))


def test_the_fastest_way_of_a_library_counts():
    class Slow(Wrong):
        def runs(self, kernel, *data):
            def slow():
                time.sleep(1e-3)
                return self.answer

            return [slow, *super().runs(kernel, *data)]

    row = measure(case_of(ONES), {"other": Slow(ONES)}, 0.005)
    assert row.best == "other"
    assert row.seconds["other"] < 0.5e-3
    assert row.ratio == row.seconds["other"] / row.seconds["pgcore"]


def test_the_best_is_another_library():
    row = Row("f", "3", "float32", {"pgcore": 1.0, "numpy": 4.0, "scipy": 2.0})
    assert (row.best, row.ratio) == ("scipy", 2.0)
    alone = Row("f", "3", "float32", {"pgcore": 1.0})
    assert alone.best == ""
    assert math.isnan(alone.ratio)
    assert geometric_mean([row, alone, Row("f", "4", "float32", {"pgcore": 2.0, "numpy": 1.0})]) == 1.0
