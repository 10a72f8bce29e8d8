"""The picture of a `FieldStudy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgcore.envs import lqr
from pgcore.lab.lqr_field import (
    BALL_KL,
    BALL_RADIUS,
    GAIN_RANGE,
    KL_RADIUS,
    SIGMA_RANGE,
    STARTS,
    FieldStudy,
    kl_ball,
)
from pgcore.plots.style import COLORS, new_figure, number, panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_lqr_field"]

_PATHS = (("vermillion", "o"), ("blue", "s"), ("green", "^"), ("purple", "D"))
_MARGIN = (0.08, 0.06)
_MARKED = {"exact": 50, "sampled": 5}  # steps between two marks; of natural paths always 5
_SOURCES = {"exact": "exact", "sampled": "{} episodes a step"}


def draw_lqr_field(study: FieldStudy) -> Figure:
    """Draw exact and sampled fields with paths, the steps in two balls, and what happens as σ goes to 0."""
    figure = new_figure(
        f"Ordinary and natural gradient of the LQR: k* = {number(study.best_gain, '.3f')}, not −1",
        f"s' = s + a, r = −s² − a², T = {study.horizon} steps; a ~ N(k s, σ²); arrows show directions; "
        f"marks every {_MARKED['sampled']} steps, in (a) every {_MARKED['exact']}; "
        "grey curves: equal J; ★: optimum (k*, σ = 0)",
        12.5,
        7.8,
    )
    panels = figure.subplots(2, 3, width_ratios=(1, 1, 1.05))
    for row, source in enumerate(("exact", "sampled")):
        for column, kind in enumerate(("ordinary", "natural")):
            _field(panels[row][column], study, source, kind)
    _balls(panels[0][2], study)
    _noise(panels[1][2], study)
    return figure


def _plane(axes: Axes, study: FieldStudy) -> None:
    axes.set_xlim(GAIN_RANGE[0] - _MARGIN[0], GAIN_RANGE[1] + _MARGIN[0])
    axes.set_ylim(-0.03, SIGMA_RANGE[1] + _MARGIN[1])  # paths along σ = 0 must be seen
    axes.axhline(0.0, color=COLORS["grey"], linewidth=0.6, zorder=1)
    axes.set_xlabel("gain k")
    axes.set_ylabel("standard deviation σ of the action")
    axes.plot(
        study.best_gain,
        0.0,
        marker="*",
        markersize=15,
        color=COLORS["orange"],
        markeredgecolor="black",
        zorder=6,
    )


def _field(axes: Axes, study: FieldStudy, source: str, kind: str) -> None:
    letter = {("exact", "ordinary"): "a", ("exact", "natural"): "b", ("sampled", "ordinary"): "d"}.get(
        (source, kind), "e"
    )
    counts = [int(study.path(source, kind, start).rows[-1][3]) for start in range(len(STARTS))]
    title = f"({letter}) {kind.capitalize()} gradient, {_SOURCES[source].format(study.episodes)}"
    panel_title(axes, f"{title}\n{_note(study, source, kind, counts)}")
    axes.grid(False)
    _contours(axes, study.horizon)
    field = study.field
    k, sigma = field.column("k"), field.column("sigma")
    # An arrow's length means nothing here: the picture's scales stretch k and σ differently.
    right = field.column(f"{source}_{kind}_k") / np.ptp(GAIN_RANGE)
    up = field.column(f"{source}_{kind}_sigma") / np.ptp(SIGMA_RANGE)
    length = np.hypot(right, up)
    axes.quiver(
        k,
        sigma,
        right / length,
        up / length,
        angles="uv",
        pivot="mid",
        scale=26,
        width=0.0035,
        color=COLORS["grey"],
    )
    for start, (color, marker) in enumerate(_PATHS):
        path = study.path(source, kind, start)
        x, y, steps = path.column("k"), path.column("sigma"), path.column("step")
        every = _MARKED[source if kind == "ordinary" else "sampled"]
        marked = np.searchsorted(steps, np.arange(0, steps[-1] + 1, every)).tolist()
        axes.plot(x, y, color=COLORS[color], marker=marker, markevery=marked, markersize=4, zorder=4)
        axes.plot(*STARTS[start], marker=marker, markersize=8, color=COLORS[color], zorder=5)
        if path.rows[-1][-1] == "left":
            axes.plot(
                x[-1], y[-1], marker="X", markersize=9, color=COLORS[color], markeredgecolor="black", zorder=6
            )
    _plane(axes, study)


def _contours(axes: Axes, horizon: int) -> None:
    k = np.linspace(GAIN_RANGE[0] - _MARGIN[0], GAIN_RANGE[1] + _MARGIN[0], 120)
    sigma = np.linspace(0.0, SIGMA_RANGE[1] + _MARGIN[1], 80)
    losses = -np.asarray(lqr.exact_return(*np.meshgrid(k, sigma), horizon=horizon))
    levels = np.geomspace(losses.min() * 1.2, losses.max(), 11)
    axes.contour(k, sigma, losses, levels=levels, colors="#C8C8C8", linewidths=0.7, zorder=0)


def _note(study: FieldStudy, source: str, kind: str, counts: list[int]) -> str:
    if kind == "natural":
        return f"{max(counts)} steps of {KL_RADIUS:g} nats (mean KL per time step)"
    rate = f"learning rate {study.learning_rate:.2g}"
    if source == "exact":
        return f"{max(counts)} steps, {rate}"
    broken = sum(study.path(source, kind, start).rows[-1][-1] == "left" for start in range(len(STARTS)))
    if broken:
        return f"same rate; ✖: a step to σ ≤ 0, after {min(counts)} to {max(counts)}"
    return f"{max(counts)} steps, {rate}"


def _balls(axes: Axes, study: FieldStudy) -> None:
    panel_title(
        axes,
        f"(c) Steps in a ball: ‖(Δk, Δσ)‖ ≤ {BALL_RADIUS:g},\nor mean KL per time step ≤ {BALL_KL:g} nats",
    )
    axes.grid(False)
    angle = np.linspace(0, 2 * np.pi, 100)
    looks = {"euclidean": ("vermillion", "--"), "kl": ("blue", "-")}
    labels = {"euclidean": "Euclidean ball and step", "kl": "KL ball (per time step) and step"}
    numbers = zip(*(study.steps.column(name) for name in ("k", "sigma", "step_k", "step_sigma")), strict=True)
    for ball, (k, sigma, dk, dsigma) in zip(study.steps.column("ball"), numbers, strict=True):
        color, style = looks[ball]
        if ball == "euclidean":
            boundary = np.stack(
                [k + BALL_RADIUS * np.cos(angle), sigma + BALL_RADIUS * np.sin(angle)], axis=1
            )
        else:
            boundary = kl_ball(k, sigma, study.horizon, BALL_KL)
        axes.plot(
            *boundary.T,
            color=COLORS[color],
            linestyle=style,
            linewidth=1.2,
            label=labels.pop(ball, None),
        )
        axes.annotate(
            "",
            (k + dk, sigma + dsigma),
            (k, sigma),
            arrowprops={
                "arrowstyle": "-|>",
                "color": COLORS[color],
                "lw": 1.5,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 9,
            },
        )
        axes.plot(k, sigma, marker="o", markersize=3, color="black", zorder=5)
    _plane(axes, study)
    axes.set_xlim(-1.52, -0.1)
    axes.set_aspect("equal")
    axes.legend(loc="center", bbox_to_anchor=(0.5, 0.57), handlelength=2)


def _noise(axes: Axes, study: FieldStudy) -> None:
    panel_title(axes, "(f) At k*, as σ → 0: the noise grows,\nthe exact gradient vanishes")
    sigma = study.noise.column("sigma")
    spreads = {"k": ("k", "vermillion", "s"), "sigma": ("σ", "blue", "o")}
    for name, (symbol, color, marker) in spreads.items():
        axes.plot(
            sigma,
            study.noise.column(f"standard_deviation_{name}"),
            color=COLORS[color],
            marker=marker,
            markerfacecolor="white",
            label=f"∂J/∂{symbol} of one episode: standard deviation",
        )
    axes.plot(
        sigma,
        np.abs(study.noise.column("exact_sigma")),
        color=COLORS["blue"],
        linestyle="--",
        label="exact |∂J/∂σ| = 2 q₀ σ",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    low = float(np.abs(study.noise.column("exact_sigma")).min())
    axes.set_ylim(bottom=low / 30)
    axes.set_xlabel("standard deviation σ of the action")
    axes.set_ylabel("size [return per unit of k or σ]")
    axes.legend(loc="lower right", handlelength=2)
