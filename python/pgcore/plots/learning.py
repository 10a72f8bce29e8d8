"""Pictures of learning curves."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pgcore.plots.style import COLORS, Line, new_figure, panel_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pgcore.runs import LearningCurves

__all__ = ["draw_learning"]


def draw_learning(curves: LearningCurves) -> Figure:
    """Draw the curves, each with the band between its lowest and its highest run."""
    subtitle = "Mean over runs that differ in their seeds; bands reach from the lowest run to the highest"
    figure = new_figure(curves.title, subtitle, 7.5, 4.6)
    axes = figure.subplots()
    colors = [name for name in COLORS if name != "grey"]
    markers, styles = "osD^vPX*", ("-", "--", "-.", ":")
    for i, curve in enumerate(curves.curves):
        runs = f"{curve.num_runs} runs" if curve.num_runs > 1 else "1 run"
        label = textwrap.fill(f"{curve.label}, {runs}", 60, break_on_hyphens=False)
        look = Line(label, colors[i % len(colors)], markers[i % 8], styles[i % 4])
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
