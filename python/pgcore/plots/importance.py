"""The picture of an `ImportanceStudy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgcore.lab.importance import ImportanceStudy
from pgcore.plots.style import COLORS, Line, new_figure, number, panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_importance"]

_FORMS = {
    "trajectory": Line("trajectory", "vermillion", "s", "-"),
    "per_decision": Line("per-decision", "blue", "o", "--"),
    "past_only": Line("past only", "green", "^", "-."),
    "action_only": Line("action only (first order)", "purple", "D", ":"),
}


def draw_importance(study: ImportanceStudy) -> Figure:
    """Draw weights, effective sample size and variance against the horizon, and bias against the KL."""
    behaviour, target = (f"a ~ N({number(k)} s, {sigma:g}²)" for k, sigma in (study.behaviour, study.target))
    figure = new_figure(
        "Importance sampling: the longer the trajectory, the fewer episodes count",
        f"LQR s' = s + a, r = −s² − a²; behaviour {behaviour}, target {target}; "
        f"(a–c): {study.episodes:,} episodes, no baseline",
        12.5,
        7.8,
    )
    panels = figure.subplots(2, 2)
    _weights(panels[0][0], study)
    _sample_sizes(panels[0][1], study)
    _variances(panels[1][0], study)
    _bias(panels[1][1], study)
    return figure


def _weights(axes: Axes, study: ImportanceStudy) -> None:
    panel_title(axes, "(a) Weights spread with time")
    looks = {"product": ("vermillion", "s", "-"), "ratio": ("purple", "D", ":")}
    labels = {"product": "W = ρ₀ ⋯ ρₜ", "ratio": "W = ρₜ alone"}
    for name, (color, marker, style) in looks.items():
        own = study.weights.where(weight=name)
        t = own.column("step")
        low, middle, high = (10.0 ** own.column(f"log10_quantile_{q}") for q in ("0.05", "0.5", "0.95"))
        every = max(1, len(t) // 10)
        axes.fill_between(t, low, high, color=COLORS[color], alpha=0.22, linewidth=0)
        axes.plot(
            t,
            middle,
            color=COLORS[color],
            linestyle=style,
            marker=marker,
            markevery=every,
            label=f"{labels[name]}: median, 5–95 %",
        )
        axes.plot(
            t,
            10.0 ** own.column("log10_largest"),
            color=COLORS[color],
            linestyle=style,
            linewidth=0.9,
            label=f"{labels[name]}: largest",
        )
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("time t [steps]")
    axes.set_ylabel("weight W (its mean is 1)")
    axes.set_ylim(top=1e3 * 10.0 ** study.weights.column("log10_largest").max())  # room for the legend
    axes.legend(loc="upper left", ncols=2, columnspacing=1.0)


def _sample_sizes(axes: Axes, study: ImportanceStudy) -> None:
    panel_title(axes, "(b) Effective sample size")
    lines = {
        "trajectory": "trajectory",
        "per_decision": "per-decision, past only: mean over t",
        "action_only": "action only: mean over t",
    }
    for form, label in lines.items():
        own = study.horizons.where(form=form)
        axes.plot(
            own.column("horizon"),
            100 * own.column("effective_sample_fraction_mean"),
            **_FORMS[form]._replace(label=label).options(),
            markerfacecolor="white",
        )
    own = study.horizons.where(form="trajectory")
    axes.plot(
        own.column("horizon"),
        100 * own.column("effective_sample_fraction_exact"),
        color="black",
        linewidth=0.9,
        label="1/E[W²] of the trajectory, exact",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _horizon_ticks(axes, study)
    lowest = 100 * own.column("effective_sample_fraction_mean").min()
    ticks = [tick for tick in (0.01, 0.1, 1, 3, 10, 30, 100) if tick >= lowest / 3]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylabel("effective sample size [% of the episodes]")
    axes.legend(loc="lower left")


def _variances(axes: Axes, study: ImportanceStudy) -> None:
    panel_title(axes, "(c) Variance")
    for form, line in _FORMS.items():
        own = study.horizons.where(form=form)
        axes.plot(
            own.column("horizon"), own.column("variance_trace"), **line.options(), markerfacecolor="white"
        )
    own = study.horizons.where(form="on_policy")
    axes.plot(
        own.column("horizon"),
        own.column("variance_trace"),
        color="black",
        linewidth=0.9,
        label="target's own episodes, reward-to-go",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _horizon_ticks(axes, study)
    axes.set_ylabel("trace of one episode's covariance [return²]")
    axes.legend(loc="upper left")


def _horizon_ticks(axes: Axes, study: ImportanceStudy) -> None:
    from matplotlib.ticker import NullLocator

    horizons = np.unique(study.horizons.column("horizon"))
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("horizon T [steps]")


def _bias(axes: Axes, study: ImportanceStudy) -> None:
    panel_title(axes, f"(d) Bias of the cheaper forms, T = {study.bias_horizon} steps")
    lines = {
        "action_only": Line("action only (first order)", "purple", "D", ":"),
        "marginal": Line("marginal, past only", "green", "^", "-."),
    }
    kl = study.bias.column("kl_trajectory")
    for form, line in lines.items():
        exact = 100 * study.bias.column(f"{form}_relative_bias")
        axes.plot(kl, exact, **line._replace(label=f"{line.label}: closed form", marker="").options())
        found, error = (100 * study.bias.column(f"{form}_{name}") for name in ("sampled", "standard_error"))
        # On a logarithmic axis a bar that reaches below zero has no end: such points stay in the table.
        seen = found > 4 * error
        axes.errorbar(
            kl[seen],
            found[seen],
            yerr=2 * error[seen],
            **line._replace(label=f"{line.label}: sampled ± 2 s.e., if > 4", style="").options(),
            markerfacecolor="white",
            elinewidth=1.2,
        )
    start = 100 * study.bias.column("action_only_relative_bias")[0]
    axes.plot(
        kl, 1.6 * start * np.sqrt(kl / kl[0]), color=COLORS["grey"], linewidth=0.9, label="slope ½: √KL"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=100 * study.bias.column("marginal_relative_bias").min() / 12)  # for the legend
    axes.set_xlabel("KL(behaviour ‖ target) of a trajectory [nats]")
    axes.set_ylabel("bias [% of the exact gradient's length]")
    axes.legend(loc="lower right")
