"""How the pictures look: one palette, one set of line styles, one size of type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "Line", "new_figure", "number", "panel_title", "require_matplotlib", "styled"]

COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#777777",
}
"""Okabe and Ito's palette, told apart by people with any kind of colour vision; and a grey."""

_SETTINGS: dict[str, float | str | bool] = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "pgcore",  # the same numbers make the same file
}


class LineOptions(TypedDict):
    """Keyword arguments of ``Axes.plot``."""

    label: str
    color: str
    marker: str
    linestyle: str


class Line(NamedTuple):
    """The style of a line. Marker and line style tell lines apart without colours."""

    label: str
    color: str
    marker: str
    style: str = "-"

    def options(self) -> LineOptions:
        """Return it as keyword arguments of ``Axes.plot``."""
        return {
            "label": self.label,
            "color": COLORS[self.color],
            "marker": self.marker,
            "linestyle": self.style,
        }


def require_matplotlib() -> None:
    """Raise an `ImportError` that says what to install, if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401  (whether it can be)
    except ImportError as error:
        raise ImportError(
            f"matplotlib: expected it to draw with, got none ({error}): pip install 'pgcore-rl[plots]'"
        ) from error


@contextmanager
def styled() -> Iterator[None]:
    """Use the package's own settings of matplotlib inside this context; restore the user's afterwards."""
    from matplotlib import rc_context, rcParamsDefault

    # All defaults but those of the backend, which shows windows: no picture is shown here.
    # (Any: the type of the names depends on the version of matplotlib.)
    settings: dict[Any, Any] = {
        name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")
    }
    with rc_context(settings | _SETTINGS):
        yield


def number(value: float, digits: str = "g") -> str:
    """Return a number with a minus sign instead of a hyphen.

    >>> number(-0.5)
    '−0.5'
    """
    return f"{value:{digits}}".replace("-", "−")


def new_figure(title: str, subtitle: str, width: float, height: float) -> Figure:
    """Return an empty figure (inches) with a title, and a line below that says what was measured."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(width, height), layout=layout)
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontweight="bold")
    figure.text(0.01, 1 - 0.42 / height, subtitle, ha="left", va="center", fontsize=10)
    return figure


def panel_title(axes: Axes, title: str) -> None:
    """Put a title over a panel, flush left, and light grid lines under it."""
    axes.set_title(title, loc="left")
    axes.grid(True)
