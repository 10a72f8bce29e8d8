"""Time kernels, their NumPy references, other libraries and the machine's limits, in one process.

Imported, not run. A benchmark file has a function ``cases(dtype)`` that yields `Case` objects, and passes it
to `main`. Results are compared before anything is timed. All versions take turns, so that other load on the
machine affects them alike. Medians and ratios are printed. One thread, unless ``--threads`` is given.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import threadpoolctl

import pgcore

Run = Callable[[], Any]

_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
_MIN_SAMPLE = 1e-4  # seconds: shorter calls are repeated within a sample


@dataclass(frozen=True)
class Limit:
    """A lower bound of the time on this machine: the time of ``run``, times ``scale``."""

    name: str
    run: Run
    scale: float = 1.0


@dataclass(frozen=True)
class Case:
    """One row of the table: several functions without arguments that return the same result."""

    kernel: str
    size: str
    ours: Run
    reference: Run | None = None
    limit: Limit | None = None
    peers: dict[str, Run] = field(default_factory=dict)
    tolerance: float | None = None  # relative to the answer's norm; by its dtype if not given
    reference_share: float = 1.0  # below 1: the reference gets only the first part of the data


# ---- limits ----


def copy_limit(*arrays: np.ndarray, repeat: int = 1) -> Limit:
    """Moving the bytes of ``arrays`` (all that is read and written) ``repeat`` times, by `numpy.copyto`."""
    touched = sum(array.nbytes for array in arrays)
    source = np.zeros(max(1, touched // 2), np.uint8)
    target = np.ones_like(source)
    return Limit(f"copy {touched * repeat / 1e6:.3g} MB", lambda: np.copyto(target, source), float(repeat))


def matmul_limit(shapes: Iterable[tuple[int, int, int]], flops: float, dtype: np.dtype[Any]) -> Limit:
    """Doing ``flops`` useful operations at the rate of NumPy's matrix products of the given (m, k, n)."""
    rng = np.random.default_rng(0)
    products, total = [], 0.0
    for m, k, n in shapes:
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        products.append((a, b, np.empty((m, n), dtype)))
        total += 2.0 * m * k * n

    def run() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return Limit(f"matmul {flops / 1e6:.1f} Mflop", run, flops / total)


# ---- other libraries ----


def optional(name: str) -> ModuleType | None:
    """A module that may not be installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# ---- measuring ----


def _seconds(run: Run, repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        run()
    return (time.perf_counter() - start) / repeat


def medians(runs: Sequence[Run], budget: float) -> list[float]:
    """Median seconds of one call of each, in turns; about ``budget`` seconds for each of them."""
    first = [_seconds(run, 1) for run in runs]
    repeats = [max(1, round(_MIN_SAMPLE / max(seconds, 1e-9))) for seconds in first]
    rounds = [min(1000, int(budget / (s * r))) for s, r in zip(first, repeats, strict=True)]
    # A first call is a warm-up, unless it has used the budget up.
    samples = [[seconds] if num == 0 else [] for seconds, num in zip(first, rounds, strict=True)]
    for turn in range(max(rounds)):
        for i, run in enumerate(runs):
            if turn < rounds[i]:
                samples[i].append(_seconds(run, repeats[i]))
    return [statistics.median(sample) for sample in samples]


def check(case: Case) -> None:
    """Raise `AssertionError` unless all functions return the same result."""
    ours = _arrays(case.ours())
    others = {"reference": case.reference, **case.peers} if case.reference else dict(case.peers)
    for name, run in others.items():
        answers = _arrays(run())
        assert len(answers) == len(ours), (
            f"{case.kernel}: {name} gives {len(answers)} arrays, not {len(ours)}"
        )
        for mine, other in zip(ours, answers, strict=True):
            if name == "reference" and case.reference_share < 1.0:
                mine = mine[: len(other)]  # noqa: PLW2901  (the reference saw the first rows only)
            assert mine.shape == other.shape, (
                f"{case.kernel}: {name} has shape {other.shape}, not {mine.shape}"
            )
            tolerance = _TOLERANCE.get(mine.dtype.name, 0.0) if case.tolerance is None else case.tolerance
            error = np.abs(mine.astype(np.float64) - other).max(initial=0.0)
            scale = np.abs(other.astype(np.float64)).max(initial=0.0)
            assert error <= tolerance * scale, (
                f"{case.kernel} {case.size}: {name} is off by {error / scale:.2g}"
            )


def _arrays(answer: Any) -> list[np.ndarray]:
    parts = answer if isinstance(answer, tuple) else (answer,)
    return [np.atleast_1d(np.asarray(part)) for part in parts]


def measure(case: Case, budget: float) -> list[str]:
    """Check and time a case; return the cells of its row."""
    check(case)
    runs = [case.ours]
    runs += [case.reference] if case.reference else []
    runs += [case.limit.run] if case.limit else []
    runs += case.peers.values()
    times = iter(medians(runs, budget))
    ours = next(times)
    cells = [case.kernel, case.size, _time(ours)]
    if case.reference:
        reference = next(times) / case.reference_share
        about = "" if case.reference_share == 1.0 else "≈ "
        cells += [about + _time(reference), f"{reference / ours:.1f}×"]
    else:
        cells += ["", ""]
    if case.limit:
        limit = next(times) * case.limit.scale
        cells += [case.limit.name, _time(limit), f"{100 * limit / ours:.0f} %"]
    else:
        cells += ["", "", ""]
    peers = [
        f"{name} {_time(seconds)} ({seconds / ours:.1f}×)"
        for name, seconds in zip(case.peers, times, strict=True)
    ]
    return [*cells, ", ".join(peers)]


# ---- printing ----

HEADER = ["kernel", "size", "pgcore", "NumPy", "ratio", "machine's limit", "takes", "of limit", "others"]


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1.0 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError


def table(rows: Iterable[list[str]], widths: Sequence[int]) -> Iterator[str]:
    """Lines of a table whose columns are at least so wide."""
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def describe(threads: int, dtype: str) -> str:
    """One line on what runs, and where."""
    info = pgcore.build_info()
    return (
        f"pgcore {info['version']} {info['variant']} ({info['compiler']}, Eigen {info['eigen']}), "
        f"NumPy {np.__version__}, Python {platform.python_version()}, {dtype}, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )


def main(cases: Callable[[np.dtype[Any]], Iterable[Case]], description: str | None) -> None:
    """Run a benchmark file from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1, help="threads of all libraries (default: 1)")
    parser.add_argument("--dtype", choices=sorted(_TOLERANCE), default="float32")
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.5,
        help="seconds to measure each function of each row (default: 0.5)",
    )
    parser.add_argument("--only", default="", help="time only rows whose kernel or size contains this")
    arguments = parser.parse_args()
    pgcore.set_num_threads(arguments.threads)
    torch = optional("torch")
    if torch is not None:
        torch.set_num_threads(arguments.threads)
    with threadpoolctl.threadpool_limits(arguments.threads):
        print(describe(pgcore.get_num_threads(), arguments.dtype))
        widths = [32, 26, 9, 10, 7, 18, 9, 8, 0]
        for line in table([HEADER], widths):
            print(line)
        for case in cases(np.dtype(arguments.dtype)):
            if arguments.only in case.kernel or arguments.only in case.size:
                for line in table([measure(case, arguments.seconds)], widths):
                    print(line, flush=True)
