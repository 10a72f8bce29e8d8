"""``pgcore plot``: learning curves of run directories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pgcore.cli.errors import one_line_errors
from pgcore.cli.parse import parse
from pgcore.cli.run_directory import RunDirectory

__all__ = ["PlotArguments", "run"]


@dataclass(frozen=True)
class PlotArguments:
    """What ``pgcore plot`` can be told."""

    directories: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run directories; those that differ in their seeds alone make one curve."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", aliases=("-o",))]
    """Picture to write: .png, .pdf or .svg; the numbers go beside it as CSV."""
    column: str = "rollout/ep_rew_mean"
    """Column of progress.csv."""

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
    from pgcore.plots.learning import draw_learning, learning_curves

    with one_line_errors(ImportError, ValueError, OSError):
        plots.require_matplotlib()
        plots.check_output(args.out)
        runs = []
        for path in args.directories:
            directory = RunDirectory(path)
            runs.append((directory.read_config(), directory.progress_file))
        curves = learning_curves(runs, column=args.column)
        for path in plots.write(args.out, lambda: draw_learning(curves), curves.tables):
            print(f"wrote {path}")
    return 0
