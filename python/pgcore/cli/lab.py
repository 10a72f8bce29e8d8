"""``pgcore lab``: the lecture's figures, with the numbers behind them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from pgcore import plots
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse, require_at_least
from pgcore.plots.importance import BEHAVIOUR, TARGET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FieldArguments", "ImportanceArguments", "VarianceArguments", "run"]

_Out = Annotated[Path, tyro.conf.arg(metavar="FILE", aliases=("-o",))]
_Pair = Annotated[tuple[float, float], tyro.conf.arg(metavar="K SIGMA")]
StudyT = TypeVar("StudyT", plots.VarianceStudy, plots.FieldStudy, plots.ImportanceStudy)

_FIGURES = {
    "variance": "bias and variance of every form of the gradient with every baseline",
    "lqr-field": "ordinary and natural gradient in the plane of (k, sigma)",
    "importance": "weights, variance and bias of the off-policy forms",
}
_HELP = "\n".join(
    [
        "usage: pgcore lab FIGURE -o FILE [OPTIONS]",
        "",
        "Figures on the LQR, whose gradient is known, and their numbers as CSV beside them.",
        "",
        "figures:",
        *(f"  {name:<12} {what}" for name, what in _FIGURES.items()),
        "",
        "Their options: pgcore lab FIGURE --help",
    ]
)


@dataclass(frozen=True, kw_only=True)
class VarianceArguments:
    """What ``pgcore lab variance`` can be told."""

    out: _Out
    """Picture to write: .png, .pdf or .svg; tables go beside it."""
    seed: int = 0
    """Seed of the episodes."""
    episodes: int = 20_000
    """Episodes without a reward shift; a quarter of them with one."""
    horizon: int = 20
    """Steps of an episode."""
    k: float = -0.8
    """Gain of the policy a ~ N(k s, sigma^2)."""
    sigma: float = 0.2
    """Standard deviation of the policy."""

    def __post_init__(self) -> None:
        require_at_least(self, seed=0, episodes=80, horizon=1)


@dataclass(frozen=True, kw_only=True)
class FieldArguments:
    """What ``pgcore lab lqr-field`` can be told."""

    out: _Out
    """Picture to write: .png, .pdf or .svg; tables go beside it."""
    seed: int = 0
    """Seed of the samples."""
    episodes: int = 50
    """Episodes of one sampled gradient."""
    horizon: int = 20
    """Steps of an episode."""

    def __post_init__(self) -> None:
        require_at_least(self, seed=0, episodes=2, horizon=2)


@dataclass(frozen=True, kw_only=True)
class ImportanceArguments:
    """What ``pgcore lab importance`` can be told."""

    out: _Out
    """Picture to write: .png, .pdf or .svg; tables go beside it."""
    seed: int = 0
    """Seed of the episodes."""
    episodes: int = 10_000
    """Episodes for every horizon."""
    horizon: int = 50
    """The longest horizon."""
    behaviour: _Pair = BEHAVIOUR
    """Policy a ~ N(k s, sigma^2) that makes the episodes."""
    target: _Pair = TARGET
    """Policy whose gradient is wanted."""

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
        variance: VarianceArguments = _parse(VarianceArguments, figure, rest)
        return _make(
            variance.out,
            lambda: plots.variance_study(
                k=variance.k,
                sigma=variance.sigma,
                horizon=variance.horizon,
                episodes=variance.episodes,
                seed=variance.seed,
            ),
            plots.draw_variance,
        )
    if figure == "lqr-field":
        field: FieldArguments = _parse(FieldArguments, figure, rest)
        return _make(
            field.out,
            lambda: plots.lqr_field_study(horizon=field.horizon, episodes=field.episodes, seed=field.seed),
            plots.draw_lqr_field,
        )
    weights: ImportanceArguments = _parse(ImportanceArguments, figure, rest)
    return _make(
        weights.out,
        lambda: plots.importance_study(
            behaviour=weights.behaviour,
            target=weights.target,
            horizon=weights.horizon,
            episodes=weights.episodes,
            seed=weights.seed,
        ),
        plots.draw_importance,
    )


def _parse(kind: type[Any], figure: str, arguments: list[str]) -> Any:
    return parse(kind, arguments, prog=f"pgcore lab {figure}", description=f"Draw the {_FIGURES[figure]}.")


def _make(out: Path, study: Callable[[], StudyT], draw: Callable[[StudyT], Figure]) -> int:
    """Compute, draw, write; everything that can be refused is refused first."""
    with one_line_errors():
        plots.require_matplotlib()
        plots.check_output(out)
        found = study()
        files = plots.write(out, lambda: draw(found), found.tables)
    say(textwrap.fill(found.summary(), 80))
    for file in files:
        say(f"wrote {file}")
    return 0
