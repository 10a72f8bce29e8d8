"""``pgcore bench``: the time of every kernel beside other libraries that are installed, on this machine."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from pgcore.benchmarks import (
    LIBRARIES,
    Case,
    Library,
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
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse, require_at_least

__all__ = ["BenchArguments", "run"]


@dataclass(frozen=True)
class BenchArguments:
    """Arguments of ``pgcore bench``."""

    only: Annotated[str, tyro.conf.arg(metavar="TEXT")] = ""
    """Time only kernels whose name contains TEXT."""
    dtype: Literal["float32", "float64"] = "float32"
    """Type of all arrays."""
    threads: int = 1
    """Number of threads of all libraries."""
    seconds: float = 0.03
    """Seconds that each version of a kernel is timed; medians are printed."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", aliases=("-o",))] = None
    """Picture to write: .png, .pdf or .svg. A CSV file beside it has the numbers."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as one JSON object."""

    def __post_init__(self) -> None:
        require_at_least(self, threads=1)
        if not self.seconds > 0.0:
            raise ValueError(f"seconds: expected a positive number, got {self.seconds}")


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: BenchArguments = parse(
        BenchArguments,
        arguments,
        prog="pgcore bench",
        description="Time every kernel beside NumPy and other libraries; check that they agree.",
    )
    if args.out is not None:
        from pgcore import plots

        with one_line_errors(ImportError, ValueError):
            plots.require_matplotlib()
            plots.check_output(args.out)
    usual = [case for case in cases((args.dtype,)) if case.usual]
    chosen = [case for case in usual if args.only in case.kernel]
    if not chosen:
        names = ", ".join(dict.fromkeys(case.kernel for case in usual))
        raise CommandError(f"--only: expected part of a kernel's name ({names}), got {args.only!r}")
    libraries = installed()
    # There may be no core for this machine.
    with one_line_errors(RuntimeError, ImportError), ready(libraries, args.threads):
        what = f"{describe(libraries)}, {args.dtype}"
        if not args.json:
            for line in textwrap.wrap(what, 80):
                say(line)
        rows = list(_measured(chosen, libraries, args))
    if args.json:
        say(json.dumps({"libraries": what, "rows": [_json(row) for row in rows]}))
    else:
        slower = sum(row.ratio < 1.0 for row in rows)
        say(
            f"pgcore against the fastest other: {geometric_mean(rows):.2f} × (geometric mean); "
            f"slower in {slower} of {len(rows)}"
        )
    if args.out is not None:
        from pgcore import plots

        with one_line_errors(ValueError, OSError):
            files = plots.write(args.out, lambda: plots.draw_speed(rows, what), [plots.speed_table(rows)])
        if not args.json:
            for path in files:
                say(f"wrote {path}")
    return 0


def _measured(chosen: Sequence[Case], libraries: dict[str, Library], args: BenchArguments) -> Iterator[Row]:
    """Measure, and print the table's lines meanwhile."""
    if not args.json:
        say(_line("kernel", "size", "pgcore", "NumPy", "fastest other", "ratio"))
    kernel = ""
    for case in chosen:
        try:
            row = measure(case, libraries, args.seconds)
        except WrongAnswerError as error:
            raise CommandError(str(error)) from None
        if not args.json:
            name = row.kernel if row.kernel != kernel else ""
            numpy = duration(row.seconds["numpy"]) if "numpy" in row.seconds else ""
            best = f"{LIBRARIES[row.best]} {duration(row.seconds[row.best])}" if row.best else ""
            ratio = f"{row.ratio:.2f} ×" if row.best else ""
            ours = duration(row.seconds["pgcore"])
            say(_line(name, row.size, ours, numpy, best, ratio))
        kernel = row.kernel
        yield row


def _line(*cells: str) -> str:
    kernel, size, pgcore, numpy, best, ratio = cells
    return f"{kernel:23}{size:>16}{pgcore:>9}{numpy:>9}{best:>15}{ratio:>8}"


def _json(row: Row) -> dict[str, object]:
    return {
        "kernel": row.kernel,
        "size": row.size,
        "dtype": row.dtype,
        "seconds": row.seconds,
        "best": row.best or None,
        "ratio": row.ratio if row.best else None,
    }
