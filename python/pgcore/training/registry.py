"""Find an algorithm by name without importing the floor above: classes register themselves when defined."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .config import nearest

if TYPE_CHECKING:
    from .algorithm import Algorithm

__all__ = ["find_algorithm", "register"]

_algorithms: dict[str, type[Algorithm[Any]]] = {}


def register(algorithm: type[Algorithm[Any]]) -> None:
    """Make ``algorithm`` findable by its class name. `Algorithm` calls this for every subclass."""
    _algorithms[algorithm.__name__] = algorithm


def find_algorithm(name: str) -> type[Algorithm[Any]]:
    """The algorithm class called ``name``: one defined by the user, or one of `pgcore.algorithms`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _algorithms:
        # By name and only when asked for: a static import would point upwards, and load every algorithm.
        shipped = importlib.import_module("pgcore.algorithms")
        if name not in shipped.__all__:
            known = sorted({*_algorithms, *shipped.__all__})
            raise ValueError(
                f"algorithm: expected one of {', '.join(known)}, got {name!r}{nearest(name, known)}"
            )
        getattr(shipped, name)
    return _algorithms[name]
