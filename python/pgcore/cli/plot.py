"""``pgcore plot``: learning curves of run directories."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pgcore.cli.errors import CommandError, one_line_errors, run_directory_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse
from pgcore.runs import RunConfig, RunDirectory, learning_curves

__all__ = ["PlotArguments", "run"]


@dataclass(frozen=True)
class PlotArguments:
    """Arguments of ``pgcore plot``."""

    directories: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")]
    """Run directories. Runs that differ only in their seeds make one curve."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", aliases=("-o",))]
    """Picture to write: .png, .pdf or .svg. A CSV file beside it has the numbers."""
    column: str = "rollout/ep_rew_mean"
    """Column of progress.csv to draw."""

    def __post_init__(self) -> None:
        if not self.directories:
            raise ValueError("DIR: expected at least one run directory, got none")


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: PlotArguments = parse(
        PlotArguments,
        arguments,
        prog="pgcore plot",
        description="Draw learning curves of run directories.",
    )
    from pgcore import plots

    with one_line_errors(ImportError, ValueError, OSError):
        plots.require_matplotlib()
        plots.check_output(args.out)
        runs, left_out = _runs(args.directories)
        curves = learning_curves(runs, column=args.column)
        left_out += curves.left_out
        if not curves.curves:
            raise CommandError(left_out[0])
        files = plots.write(args.out, lambda: plots.draw_learning(curves), curves.tables)
    for note in left_out:
        print(f"pgcore: left out: {note}", file=sys.stderr)
    for path in files:
        say(f"wrote {path}")
    return 0


def _runs(paths: Sequence[Path]) -> tuple[list[tuple[RunConfig, Path]], list[str]]:
    """Settings and curves of the runs among ``paths``, each once, and why the other paths were left out.

    ``runs/*`` may contain a run that has just begun, one that was killed early, and pictures.
    """
    runs: dict[Path, tuple[RunConfig, Path]] = {}
    left_out: list[str] = []
    for path in paths:
        directory = RunDirectory(path)
        try:
            with run_directory_errors("DIR"):
                runs[path.resolve()] = (directory.read_config(), directory.progress_file)
        except CommandError as error:
            if not path.exists():  # a mistyped name
                raise
            left_out.append(str(error))
    return list(runs.values()), left_out
