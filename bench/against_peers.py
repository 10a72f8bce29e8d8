"""Who is faster? Every public kernel against the best of the other libraries, from one number to millions.

    python bench/against_peers.py                                  # about ten minutes
    python bench/against_peers.py --only vtrace --dtype float32
    python bench/against_peers.py --csv docs/notebook/against-peers.csv

The others are those of the extra ``peers`` that are installed: NumPy, numba, JAX, PyTorch, SciPy. Each gets
arrays of its own kind and allocates its results, as pgcore does. All versions of a case run on one processor,
in one process, in turns, after their answers were compared; times are medians. A case is won if the best of
the others takes at least 0.95 times as long. bench/reasons.csv says why a case is not.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pgcore.benchmarks import (
    DTYPES,
    Row,
    WrongAnswerError,
    cases,
    describe,
    duration,
    geometric_mean,
    installed,
    measure,
    ready,
)

LEAST = 0.95
REASONS = Path(__file__).with_name("reasons.csv")
Key = tuple[str, str, str]


def key(row: Row) -> Key:
    return row.kernel, row.size, row.dtype


def read_reasons() -> dict[Key, str]:
    """Why a case is slower, by kernel, size and dtype."""
    with REASONS.open(encoding="utf-8", newline="") as file:
        return {
            (line["kernel"], line["size"], line["dtype"]): line["reason"] for line in csv.DictReader(file)
        }


def line_of(row: Row) -> str:
    times = ", ".join(f"{name} {duration(seconds)}" for name, seconds in row.seconds.items())
    return f"{row.ratio:6.2f}  {row.kernel:24}{row.size:22}{row.dtype:9}{times}"


def report(rows: Sequence[Row], reasons: dict[Key, str]) -> list[str]:
    """Lines of what follows from all cases."""
    slower = [row for row in rows if row.ratio < LEAST]
    lines = [
        "",
        f"{len(rows)} cases, {len(slower)} below {LEAST}; geometric mean {geometric_mean(rows):.2f}",
    ]
    explained = [row for row in slower if key(row) in reasons]
    if explained:
        lines += ["", f"below {LEAST} for a reason:"]
        lines += [f"{row.ratio:6.2f}  {' '.join(key(row))}: {reasons[key(row)]}" for row in explained]
    lines += ["", "the worst:", *map(line_of, sorted(rows, key=lambda row: row.ratio)[:10])]
    return lines


def write(path: Path, rows: Sequence[Row], reasons: dict[Key, str]) -> None:
    """Write microseconds by library, a case in each line."""
    names = list(dict.fromkeys(name for row in rows for name in row.seconds))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kernel", "size", "dtype", "ratio", "best", *names, "reason"])
        for row in rows:
            times = [f"{1e6 * row.seconds[name]:.4g}" if name in row.seconds else "" for name in names]
            reason = reasons.get(key(row), "") if row.ratio < LEAST else ""
            table.writerow([*key(row), f"{row.ratio:.3f}", row.best, *times, reason])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dtype", choices=DTYPES, help="of all arrays (default: both, one after the other)")
    parser.add_argument("--only", default="", help="cases with this text in their kernel or size")
    parser.add_argument("--minutes", type=float, default=9.0, help="that all cases may take (default: 9)")
    parser.add_argument("--csv", type=Path, help="write the times there, in microseconds")
    arguments = parser.parse_args()
    chosen = [
        case
        for case in cases((arguments.dtype,) if arguments.dtype else DTYPES)
        if arguments.only in case.kernel or arguments.only in case.size
    ]
    if not chosen:
        parser.error(f"--only: expected part of a kernel or a size, got {arguments.only!r}")
    libraries = installed(Path(tempfile.gettempdir()) / "pgcore-bench")
    reasons, rows, wrong = read_reasons(), [], 0
    deadline = time.monotonic() + 60.0 * arguments.minutes
    with ready(libraries):
        print(describe(libraries), flush=True)
        print(" ratio  of the fastest other library to pgcore", flush=True)
        for i, case in enumerate(chosen):
            share = (deadline - time.monotonic()) / (len(chosen) - i)
            # Compiling, making the data and checking take about as long as measuring some five versions.
            try:
                row = measure(case, libraries, min(0.2, max(0.02, share / 10.0)))
            except WrongAnswerError as error:
                print(f" wrong  {error}", flush=True)
                wrong += 1
                continue
            print(line_of(row), flush=True)
            rows += [row] if row.best else []
    print("\n".join(report(rows, reasons)))
    if arguments.csv:
        write(arguments.csv, rows, reasons)
    if wrong:
        raise SystemExit(f"{wrong} cases have a wrong answer, and were not timed")


if __name__ == "__main__":
    main()
