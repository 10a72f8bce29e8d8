"""The picture of how fast kernels are beside other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pgcore.benchmarks import LIBRARIES, duration
from pgcore.io.tables import Table
from pgcore.plots.style import COLORS, Line, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pgcore.benchmarks import Row

__all__ = ["draw_speed", "speed_table"]

_COLORS = ("blue", "orange", "green", "vermillion", "purple")
_LOOKS = {
    name: Line(title, color, marker, "")
    for (name, title), color, marker in zip(LIBRARIES.items(), _COLORS, "os^Dv", strict=True)
}
_MOST = 32  # rows of a panel; more are split between two
_ROW = 0.2  # inches


def draw_speed(rows: Sequence[Row], what: str) -> Figure:
    """Draw for each row how many times as long as pgcore the other libraries take.

    Parameters
    ----------
    rows
        The measurements.
    what
        One line on what ran where.
    """
    panels = _panels(rows)
    height = 1.35 + _ROW * max(map(len, panels))
    figure = new_figure("Time of a call, as a multiple of pgcore's", what, 7.0 * len(panels), height)
    times = [seconds / row.seconds["pgcore"] for row in rows for seconds in row.seconds.values()]
    limits = min(0.5, 0.8 * min(times)), max(2.0, 1.25 * max(times))
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw(axes, panel, limits)
    known = {name for row in rows for name in row.seconds}
    handles = [
        all_axes[0].plot([], [], **look.options())[0] for name, look in _LOOKS.items() if name in known
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    return figure


def _panels(rows: Sequence[Row]) -> list[list[Row]]:
    """All rows in one panel or two, without dividing a kernel."""
    if len(rows) <= _MOST:
        return [list(rows)]
    panels: list[list[Row]] = [[], []]
    for _, group in groupby(rows, key=lambda row: row.kernel):
        panels[len(panels[0]) >= len(rows) // 2].extend(group)
    return panels


def _draw(axes: Axes, rows: Sequence[Row], limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvspan(limits[0], 1.0, color="#F2F2F2", lw=0)
    axes.axvline(1.0, color=COLORS["black"], lw=1.2)
    axes.grid(True, axis="x")
    labels, kernel = [], ""
    for y, row in enumerate(rows):
        if row.kernel != kernel and y > 0:
            axes.axhline(y - 0.5, color="#CCCCCC", lw=0.6)
        labels.append(f"{row.kernel}   {row.size}" if row.kernel != kernel else row.size)
        kernel = row.kernel
        for name, seconds in row.seconds.items():
            if name != "pgcore":
                look = _LOOKS[name].options()
                axes.plot([seconds / row.seconds["pgcore"]], [y], **look, zorder=3)
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    times = axes.secondary_yaxis("right")
    times.set_yticks(range(len(rows)), [duration(row.seconds["pgcore"]) for row in rows])
    times.tick_params(axis="y", length=0)
    times.spines["right"].set_visible(False)
    axes.set_xlabel("grey: faster than pgcore, whose own time is on the right")


def speed_table(rows: Sequence[Row]) -> Table:
    """Return the seconds of all calls."""
    return Table.of(
        "speed",
        ("kernel", "size", "dtype", "library", "seconds"),
        [(row.kernel, row.size, row.dtype, *item) for row in rows for item in row.seconds.items()],
    )
