"""Learning curves of finished or running runs: mean over seeds, lowest and highest run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pgcore.io.tables import Table
from pgcore.loggers import STEPS, number_in, read_progress

__all__ = ["Curve", "LearningCurves", "MissingColumnError", "learning_curves", "read_column"]

Array = NDArray[np.float64]

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
    left_out: tuple[str, ...] = ()
    """Why runs were left out, one sentence each."""

    @property
    def tables(self) -> list[Table]:
        """The numbers, a row for every point of every curve."""
        rows: list[tuple[str | float, ...]] = [
            (curve.label, curve.num_runs, *map(float, point))
            for curve in self.curves
            for point in zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
        ]
        return [Table.of("learning", ("group", "num_runs", "steps", "mean", "lowest", "highest"), rows)]


class MissingColumnError(ValueError):
    """The file has no such column: another algorithm wrote it, or the name is mistyped."""


def read_column(progress: Path, column: str) -> tuple[Array, Array]:
    """Return steps and values of one column of a ``progress.csv``, rows without a number left out.

    The file of a run that has just begun may be missing, empty, or without numbers in that column: then both
    arrays are empty.

    Raises
    ------
    MissingColumnError
        If the file has no such column.
    ValueError
        If a cell of either column is not a number.
    """
    try:
        columns, rows = read_progress(progress)
    except FileNotFoundError:
        columns, rows = [], []
    for name in (STEPS, column):
        if rows and name not in columns:
            raise MissingColumnError(
                f"column: expected one of {', '.join(columns)}, got {name!r}, which is not in {progress}"
            )
    pairs = [(number_in(row, STEPS, progress), number_in(row, column, progress)) for row in rows]
    found = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def learning_curves(
    runs: Sequence[tuple[Mapping[str, object], Path]], *, column: str = "rollout/ep_rew_mean"
) -> LearningCurves:
    """Read runs and group those that differ in their seeds alone.

    Parameters
    ----------
    runs
        For each its configuration (``algorithm``, ``env_id``, ``seed``, hyperparameters) and its
        ``progress.csv``.
    column
        Column of ``progress.csv``, against the environment steps.

    Returns
    -------
    LearningCurves
        A group's curve ends where its shortest run ends. Left out are runs without that column or without
        numbers in it, and runs with less than half of the steps of the longest run in their group.

    Raises
    ------
    ValueError
        If a cell in that column is not a number.
    """
    groups: list[tuple[dict[str, str], list[tuple[Path, Array, Array]]]] = []
    left_out = []
    for config, progress in runs:
        try:
            steps, values = read_column(progress, column)
        except MissingColumnError as error:
            left_out.append(str(error))
            continue
        if not len(steps):
            left_out.append(f"{progress}: expected numbers under {column!r}, got none")
            continue
        settings = _settings(config)
        members = next((found for known, found in groups if known == settings), None)
        if members is None:
            groups.append((settings, members := []))
        members.append((progress, steps, values))
    labels = _labels([settings for settings, _ in groups])
    curves = []
    for label, (_, members) in zip(labels, groups, strict=True):
        longest = max(steps[-1] for _, steps, _ in members)
        for progress, steps, _ in members:
            if steps[-1] < longest / 2:
                left_out.append(
                    f"{progress}: expected at least half of the {longest:,.0f} steps of another run of "
                    f"{label}, got {steps[-1]:,.0f}"
                )
        data = [(steps, values) for _, steps, values in members if steps[-1] >= longest / 2]
        curves.append(_mean_curve(label, data))
    env_ids = dict.fromkeys(settings["env_id"] for settings, _ in groups)
    return LearningCurves(column, ", ".join(env_ids), tuple(curves), tuple(left_out))


_NOT_SETTINGS = {"seed", "total_timesteps", "pgcore_version", "save_freq", "eval_episodes"}


def _settings(config: Mapping[str, object]) -> dict[str, str]:
    """All settings that change a run, except its seed; nested ones beside the others, as text."""
    nested = config.get("hyperparameters")
    flat = {**config, **(nested if isinstance(nested, Mapping) else {})}
    flat.pop("hyperparameters", None)
    return {name: _words(value) for name, value in flat.items() if name not in _NOT_SETTINGS}


def _words(value: object) -> str:
    return ",".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)


def _labels(groups: Sequence[Mapping[str, str]]) -> list[str]:
    """Algorithm, environment if there are several, and the settings in which groups of that name differ.

    >>> _labels([{"algorithm": "ppo", "env_id": "A", "gamma": "0.9"}, {"algorithm": "ppo", "env_id": "A"}])
    ['ppo, gamma=0.9', 'ppo']
    """
    several = len({settings["env_id"] for settings in groups}) > 1
    names = [s["algorithm"] + (f" on {s['env_id']}" if several else "") for s in groups]
    labels = []
    for name, settings in zip(names, groups, strict=True):
        others = [other for label, other in zip(names, groups, strict=True) if label == name]
        differing = [key for key in settings if any(other.get(key) != settings[key] for other in others)]
        labels.append(", ".join([name, *(f"{key}={settings[key]}" for key in differing)]))
    return labels


def _mean_curve(label: str, data: Sequence[tuple[Array, Array]]) -> Curve:
    """The mean over runs; several runs are interpolated to common steps."""
    if len(data) == 1:
        steps, values = data[0]
        return Curve(label, steps, values, values, values, 1)
    first, last = max(steps[0] for steps, _ in data), min(steps[-1] for steps, _ in data)
    grid = np.linspace(first, max(first, last), _NUM_POINTS)
    values = np.stack([np.interp(grid, steps, column) for steps, column in data])
    return Curve(label, grid, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(data))
