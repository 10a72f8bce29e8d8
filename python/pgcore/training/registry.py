"""Find an algorithm by name without importing the layer above."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pgcore._kinds import find_class

if TYPE_CHECKING:
    from .algorithm import Algorithm

__all__ = ["find_algorithm"]


def find_algorithm(name: object) -> type[Algorithm[Any]]:
    """The algorithm class that files call ``name``: one of `pgcore.algorithms`, or ``module:class``.

    Raises
    ------
    ValueError
        If there is none.
    """
    from .algorithm import Algorithm

    # By name and only when asked for: a static import would point upwards, and load every algorithm.
    algorithms = importlib.import_module("pgcore.algorithms")
    shipped = {known: getattr(algorithms, known) for known in algorithms.__all__}
    return find_class("algorithm", name, Algorithm, shipped)
