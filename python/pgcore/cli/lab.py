"""``pgcore lab``: the lecture's figures and their numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro

from pgcore import lab, plots
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse, require_at_least
from pgcore.lab.importance import BEHAVIOUR, TARGET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FieldArguments", "ImportanceArguments", "VarianceArguments", "run"]

_Out = Annotated[Path, tyro.conf.arg(metavar="FILE", aliases=("-o",))]
_Pair = Annotated[tuple[float, float], tyro.conf.arg(metavar="K SIGMA")]
StudyT = TypeVar("StudyT", lab.VarianceStudy, lab.FieldStudy, lab.ImportanceStudy)
ArgumentsT = TypeVar("ArgumentsT", "VarianceArguments", "FieldArguments", "ImportanceArguments")

_FIGURES = {
    "variance": "bias and variance of every form of the gradient with every baseline",
    "lqr-field": "ordinary and natural gradient in the plane of (k, sigma)",
    "importance": "weights, variance and bias of the off-policy forms",
}
_HELP = "\n".join(
    [
        "usage: pgcore lab FIGURE -o FILE [OPTIONS]",
        "",
        "Draw a figure about the LQR (linear dynamics, quadratic costs), a problem whose",
        "gradient is known exactly, and write its numbers to CSV files beside it.",
        "",
        "figures:",
        *(f"  {name:<12} {what}" for name, what in _FIGURES.items()),
        "",
        "Options of a figure: pgcore lab FIGURE --help",
    ]
)


@dataclass(frozen=True, kw_only=True)
class VarianceArguments:
    """Arguments of ``pgcore lab variance``."""

    out: _Out
    """Picture to write: .png, .pdf or .svg. CSV files beside it have the numbers."""
    seed: int = 0
    """Seed of the sampled episodes."""
    episodes: int = 20_000
    """Episodes per estimate; a quarter of them where rewards are shifted."""
    horizon: int = 20
    """Steps per episode."""
    k: float = -0.8
    """Gain k of the policy: action ~ N(k * state, sigma^2)."""
    sigma: float = 0.2
    """Standard deviation of the policy's actions."""

    def __post_init__(self) -> None:
        require_at_least(self, seed=0, episodes=80, horizon=1)


@dataclass(frozen=True, kw_only=True)
class FieldArguments:
    """Arguments of ``pgcore lab lqr-field``."""

    out: _Out
    """Picture to write: .png, .pdf or .svg. CSV files beside it have the numbers."""
    seed: int = 0
    """Seed of the sampled episodes."""
    episodes: int = 50
    """Episodes per sampled gradient."""
    horizon: int = 20
    """Steps per episode."""

    def __post_init__(self) -> None:
        require_at_least(self, seed=0, episodes=2, horizon=2)


@dataclass(frozen=True, kw_only=True)
class ImportanceArguments:
    """Arguments of ``pgcore lab importance``."""

    out: _Out
    """Picture to write: .png, .pdf or .svg. CSV files beside it have the numbers."""
    seed: int = 0
    """Seed of the sampled episodes."""
    episodes: int = 10_000
    """Episodes per horizon."""
    horizon: int = 50
    """Longest horizon, in steps."""
    behaviour: _Pair = BEHAVIOUR
    """Policy that plays the episodes: action ~ N(K * state, SIGMA^2)."""
    target: _Pair = TARGET
    """Policy whose gradient is estimated from them."""

    def __post_init__(self) -> None:
        require_at_least(self, seed=0, episodes=2, horizon=2)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_HELP)
        return 0
    figure, *rest = arguments
    if figure not in _FIGURES:
        raise CommandError(f"FIGURE: expected one of {', '.join(_FIGURES)}, got {figure!r}")
    if figure == "variance":
        variance = _parse(VarianceArguments, figure, rest)
        return _make(
            variance.out,
            lambda: lab.variance_study(
                k=variance.k,
                sigma=variance.sigma,
                horizon=variance.horizon,
                episodes=variance.episodes,
                seed=variance.seed,
            ),
            plots.draw_variance,
        )
    if figure == "lqr-field":
        field = _parse(FieldArguments, figure, rest)
        return _make(
            field.out,
            lambda: lab.lqr_field_study(horizon=field.horizon, episodes=field.episodes, seed=field.seed),
            plots.draw_lqr_field,
        )
    weights = _parse(ImportanceArguments, figure, rest)
    return _make(
        weights.out,
        lambda: lab.importance_study(
            behaviour=weights.behaviour,
            target=weights.target,
            horizon=weights.horizon,
            episodes=weights.episodes,
            seed=weights.seed,
        ),
        plots.draw_importance,
    )


def _parse(kind: type[ArgumentsT], figure: str, arguments: list[str]) -> ArgumentsT:
    return parse(kind, arguments, prog=f"pgcore lab {figure}", description=f"Draw the {_FIGURES[figure]}.")


def _make(out: Path, study: Callable[[], StudyT], draw: Callable[[StudyT], Figure]) -> int:
    """Compute, draw, write; all checks come first."""
    with one_line_errors():
        plots.require_matplotlib()
        plots.check_output(out)
        found = study()
        files = plots.write(out, lambda: draw(found), found.tables)
    say(textwrap.fill(found.summary(), 80))
    for file in files:
        say(f"wrote {file}")
    return 0
