"""Every kernel beside other libraries and the machine's limit, by pytest-benchmark.

    pytest bench/                         # usual sizes, float32, one thread
    pytest bench/ -k "gae or vtrace" --every-size --dtype float64
    pytest bench/ --benchmark-save before
    pytest bench/ --benchmark-compare     # with the run that was saved last

A table is a kernel at one size, a row a library; "reference" is `pgcore.reference`, and "limit" is
`numpy.copyto` of the bytes touched, or `numpy.matmul` of a network's sizes. Answers are compared before
anything is timed. All rows are measured one after the other: bench/against_peers.py, where they take turns,
decides who is faster.
"""

from __future__ import annotations

import timeit
from functools import lru_cache
from typing import Any

import pytest

from pgcore.benchmarks import Case, Contest, Library


@lru_cache(maxsize=1)
def contest(case: Case) -> Contest:
    """The case's data, which its rows share."""
    return Contest(case)


def test_kernel(benchmark: Any, case: Case, name: str, library: Library | None) -> None:
    compared = contest(case)
    if library is not None:
        runs = compared.runs(name, library)
    else:
        run = getattr(compared.problem, "ours" if name == "pgcore" else name)
        runs = [] if run is None else [run]
    if not runs:
        pytest.skip(f"{name} has no function or vectorised form for this kernel")
    benchmark.group = f"{case.kernel} {case.size}, {case.dtype}"
    benchmark.name = name
    benchmark(min(runs, key=lambda run: timeit.timeit(run, number=2)))
