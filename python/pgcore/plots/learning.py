"""Learning curves of finished or running runs: mean over seeds, and their spread."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pgcore.plots.style import COLORS, Line, new_figure, panel_title
from pgcore.plots.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curve", "LearningCurves", "draw_learning", "learning_curves", "read_column"]

Array = NDArray[np.float64]

_STEPS = "time/total_timesteps"
_NUM_POINTS = 200  # of a curve that is a mean of several


@dataclass(frozen=True)
class Curve:
    """One line: a group of runs that differ in their seeds alone."""

    label: str
    steps: Array
    """(T,)."""
    mean: Array
    """Over runs, (T,)."""
    low: Array
    """The lowest run, (T,)."""
    high: Array
    """The highest run, (T,)."""
    num_runs: int


@dataclass(frozen=True)
class LearningCurves:
    """What `learning_curves` read."""

    column: str
    title: str
    curves: tuple[Curve, ...]

    @property
    def tables(self) -> list[Table]:
        """The numbers, a row for every point of every curve."""
        rows = [
            (curve.label, curve.num_runs, *map(float, point))
            for curve in self.curves
            for point in zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
        ]
        return [Table.of("learning", ("group", "num_runs", "steps", "mean", "lowest", "highest"), rows)]


def read_column(progress: Path, column: str) -> tuple[Array, Array]:
    """Return steps and values of one column of a ``progress.csv``, rows without a number left out.

    Raises
    ------
    ValueError
        If the file has no such column, or no number in it.
    """
    with progress.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and column not in rows[0]:
        raise ValueError(f"column: expected one of {', '.join(rows[0])}, got {column!r}")
    pairs = [(float(row[_STEPS]), float(row[column])) for row in rows if row[_STEPS] and row[column]]
    found = np.array([pair for pair in pairs if np.isfinite(pair[1])]).reshape(-1, 2)
    if not len(found):
        raise ValueError(f"{progress}: expected numbers under {column!r}, got none")
    return found[:, 0], found[:, 1]


def learning_curves(
    runs: Sequence[tuple[Mapping[str, Any], Path]], *, column: str = "rollout/ep_rew_mean"
) -> LearningCurves:
    """Read runs and group those that differ in their seeds alone.

    Parameters
    ----------
    runs
        For each its configuration (``algorithm``, ``env_id``, ``seed``, hyperparameters) and its
        ``progress.csv``.
    column
        What to plot over the environment steps.

    Returns
    -------
    LearningCurves
        A group's curve ends where its shortest run does.

    Raises
    ------
    ValueError
        As `read_column`.
    """
    groups: dict[str, list[int]] = {}
    for i, (config, _) in enumerate(runs):
        key = repr(sorted((name, repr(value)) for name, value in config.items() if name not in _NOT_SETTINGS))
        groups.setdefault(key, []).append(i)
    env_ids = list(dict.fromkeys(str(config["env_id"]) for config, _ in runs))
    curves: list[Curve] = []
    for members in groups.values():
        data = [read_column(runs[i][1], column) for i in members]
        label = _label(runs[members[0]][0], [curve.label for curve in curves], show_env=len(env_ids) > 1)
        curves.append(_mean_curve(label, data))
    return LearningCurves(column, ", ".join(env_ids), tuple(curves))


_NOT_SETTINGS = {"seed", "total_timesteps", "pgcore_version", "save_freq", "eval_episodes"}


def _label(config: Mapping[str, Any], taken: Sequence[str], *, show_env: bool) -> str:
    name = str(config["algorithm"]) + (f" on {config['env_id']}" if show_env else "")
    count = sum(label == name or label.startswith(f"{name} (") for label in taken)
    return f"{name} ({count + 1})" if count else name


def _mean_curve(label: str, data: Sequence[tuple[Array, Array]]) -> Curve:
    """Interpolated to common steps where there are several runs."""
    if len(data) == 1:
        steps, values = data[0]
        return Curve(label, steps, values, values, values, 1)
    first, last = max(steps[0] for steps, _ in data), min(steps[-1] for steps, _ in data)
    grid = np.linspace(first, max(first, last), _NUM_POINTS)
    values = np.stack([np.interp(grid, steps, column) for steps, column in data])
    return Curve(label, grid, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(data))


def draw_learning(curves: LearningCurves) -> Figure:
    """Draw the curves, each with the band between its lowest and its highest run."""
    subtitle = "Mean over runs that differ in their seeds; bands reach from the lowest run to the highest"
    figure = new_figure(curves.title, subtitle, 7.5, 4.6)
    axes = figure.subplots()
    colors = [name for name in COLORS if name != "grey"]
    markers, styles = "osD^vPX*", ("-", "--", "-.", ":")
    for i, curve in enumerate(curves.curves):
        runs = f"{curve.num_runs} runs" if curve.num_runs > 1 else "1 run"
        look = Line(f"{curve.label}, {runs}", colors[i % len(colors)], markers[i % 8], styles[i % 4])
        every = max(1, len(curve.steps) // 8)
        axes.plot(curve.steps, curve.mean, markevery=every, **look.options())
        if curve.num_runs > 1:
            axes.fill_between(curve.steps, curve.low, curve.high, color=COLORS[look.color], alpha=0.18, lw=0)
    panel_title(axes, "")
    axes.set_xlabel("environment steps")
    axes.set_ylabel(_NAMES.get(curves.column, curves.column))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="best")
    return figure


_NAMES = {
    "rollout/ep_rew_mean": "mean return of the last 100 episodes",
    "rollout/ep_len_mean": "mean length of the last 100 episodes (steps)",
}
