"""Problems for scans over time, and one way to call each of the three that make advantages."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

FUNCTIONS = ["reward_to_go", "gae", "vtrace"]
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def problem(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64, density: float = 0.2
) -> dict[str, Any]:
    """Random arrays with random ends, and bootstrap values that are NaN wherever they must not be read."""
    ends = rng.random(shape) < density
    bootstrap = rng.normal(size=shape).astype(dtype)
    read = ends.copy()
    read[-1:] = True
    bootstrap[~read] = np.nan
    return {
        "rewards": rng.normal(size=shape).astype(dtype),
        "values": rng.normal(size=shape).astype(dtype),
        "log_ratios": (0.3 * rng.normal(size=shape)).astype(dtype),
        "ends": ends,
        "bootstrap_values": bootstrap,
    }


def call(
    lib: ModuleType, name: str, p: dict[str, Any], gamma: float = 0.95, **options: Any
) -> tuple[Any, ...]:
    """One of the three functions on a problem; always a tuple of results."""
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    if name == "reward_to_go":
        return (lib.reward_to_go(p["rewards"], gamma, **cut),)
    if name == "gae":
        return lib.gae(p["rewards"], p["values"], gamma, options.get("lam", 0.9), **cut)
    return lib.vtrace(p["rewards"], p["values"], p["log_ratios"], gamma, **cut, **options)
