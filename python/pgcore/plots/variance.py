"""The picture of a `VarianceStudy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgcore.lab.simulate import exact_policy_gradient
from pgcore.lab.variance import BASELINES, VarianceStudy
from pgcore.plots.style import COLORS, Line, new_figure, number, panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_variance"]

_FORMS = {
    "trajectory": Line("whole trajectory's return", "vermillion", "s", ""),
    "reward_to_go": Line("reward-to-go", "blue", "o", ""),
    "gpomdp": Line("GPOMDP, by reward", "green", "^", ""),
}
_BASELINES = {
    "none": "none",
    "constant": "constant: exact J",
    "average": "average return",
    "time": "average at each time",
    "linear": "linear in features of s, t\n(fitted to other episodes)",
    "optimal": "optimal scalar",
    "optimal_component": "optimal per component",
}
_SHIFTED = {
    ("trajectory", "none"): Line("trajectory, none", "vermillion", "s", "-"),
    ("trajectory", "average"): Line("trajectory, average", "vermillion", "s", ":"),
    ("reward_to_go", "none"): Line("reward-to-go, none", "blue", "o", "-"),
    ("reward_to_go", "average"): Line("reward-to-go, average", "blue", "D", ":"),
    ("reward_to_go", "optimal"): Line("reward-to-go, optimal scalar", "sky", "v", "--"),
    ("gpomdp", "optimal"): Line("GPOMDP, optimal scalar at each time", "green", "^", "-."),
    ("reward_to_go", "linear"): Line("reward-to-go, linear", "black", "x", "--"),
}


def draw_variance(study: VarianceStudy) -> Figure:
    """Draw variance and bias of all combinations, and the variance against the reward shift."""
    episodes = int(study.estimates.where(reward_shift=0.0).column("episodes")[0])
    figure = new_figure(
        "What is wrong with the policy gradient? Its variance, by form and baseline",
        f"LQR s' = s + a, r = −s² − a², T = {study.horizon} steps; a ~ N({number(study.k)} s, "
        f"{study.sigma:g}²); parameters (k, b, log σ); {episodes:,} episodes; bars: ± 2 standard errors",
        12.5,
        6.0,
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.05, 0.75, 1.45))
    _variances(left, study)
    _biases(middle, study)
    _shifts(right, study)
    handles, labels = left.get_legend_handles_labels()
    # Not the panel's own legend, which would push the panels apart.
    figure.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.08, 0.08), ncols=3)
    return figure


def _rows(axes: Axes, study: VarianceStudy, value: str, error: str) -> None:
    at_zero = study.estimates.where(reward_shift=0.0)
    for offset, (form, line) in zip((-0.2, 0.0, 0.2), _FORMS.items(), strict=True):
        own = at_zero.where(form=form)
        y = np.array([BASELINES.index(name) for name in own.column("baseline")]) + offset
        axes.errorbar(own.column(value), y, xerr=2 * own.column(error), **line.options(), elinewidth=1.2)
    axes.set_ylim(len(BASELINES) - 0.5, -0.5)
    axes.set_yticks(range(len(BASELINES)), [_BASELINES[name] for name in BASELINES])
    for boundary in np.arange(len(BASELINES) - 1) + 0.5:
        axes.axhline(boundary, color="#DDDDDD", linewidth=0.6)


def _variances(axes: Axes, study: VarianceStudy) -> None:
    from matplotlib.ticker import LogLocator

    panel_title(axes, "(a) Variance")
    axes.grid(False, axis="y")
    _rows(axes, study, "variance_trace", "variance_trace_standard_error")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xlabel("trace of one episode's covariance [return²]")
    axes.set_ylabel("baseline")


def _biases(axes: Axes, study: VarianceStudy) -> None:
    exact = exact_policy_gradient(study.k, study.sigma, study.horizon)[0]
    panel_title(axes, "(b) Bias of ∂J/∂k")
    axes.grid(False, axis="y")
    axes.axvline(0.0, color=COLORS["black"], linewidth=0.8)
    _rows(axes, study, "bias_k", "bias_k_standard_error")
    axes.tick_params(axis="y", labelleft=False)
    axes.set_xlabel(f"estimate − exact ∂J/∂k [return]\n(exact: {number(exact, '.3g')})")


def _shifts(axes: Axes, study: VarianceStudy) -> None:
    panel_title(axes, "(c) The same gradient, all rewards shifted")
    for (form, baseline), line in _SHIFTED.items():
        own = study.estimates.where(form=form, baseline=baseline)
        axes.plot(
            own.column("reward_shift"),
            own.column("variance_trace"),
            **line.options(),
            markerfacecolor="white",
        )
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=0.5, linscale=0.9)
    ticks = [-10, -5, -2, -0.5, 0, 0.5, 2, 5, 10]
    axes.set_xticks(ticks, [number(tick) for tick in ticks])
    axes.set_xlabel("constant added to every reward (log scale beyond ± 0.5)")
    axes.set_ylabel("trace of one episode's covariance [return²]")
    axes.legend(loc="upper center", bbox_to_anchor=(0.48, -0.13), ncols=2)
