"""What the LQR's formulas and environments share: checks of arguments, and how a seed is used."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FLOAT64, float_array, integer, real

Array = NDArray[np.float64]


def policies(k: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array]:
    """Gains and standard deviations as float64 arrays of one shape."""
    gain, std = float_array("k", k, FLOAT64), float_array("sigma", sigma, FLOAT64)
    for name, values in (("k", gain), ("sigma", std)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite numbers, got {values[~np.isfinite(values)][0]}")
    if (std < 0).any():
        raise ValueError(f"sigma: expected numbers >= 0, got {std.min()}")
    try:
        return cast("tuple[Array, Array]", np.broadcast_arrays(gain, std))
    except ValueError:
        raise ValueError(
            f"sigma: expected a shape that broadcasts with {gain.shape}, got {std.shape}"
        ) from None


def policy_with_density(names: tuple[str, str], policy: tuple[float, float]) -> tuple[float, float]:
    """Gain and standard deviation as numbers, the latter positive."""
    k, sigma = real(names[0], policy[0]), real(names[1], policy[1])
    if sigma <= 0:
        raise ValueError(f"{names[1]}: expected a number > 0, got {sigma}")
    return k, sigma


def pair(name: str, policy: tuple[float, float]) -> tuple[float, float]:
    """What must be the two numbers of a policy."""
    if not isinstance(policy, tuple) or len(policy) != 2:
        raise TypeError(f"{name}: expected a tuple (k, sigma), got {policy!r}")
    return policy


def problem(horizon: int, initial_second_moment: float) -> tuple[int, float]:
    """Horizon and initial second moment, checked."""
    return (
        integer("horizon", horizon, minimum=1),
        real("initial_second_moment", initial_second_moment, minimum=0.0),
    )


def generator_for(seed: int) -> np.random.Generator:
    """Return an environment's generator for a seed.

    gymnasium's own is ``default_rng(seed)``. A policy's noise with the same seed would be equal to the first
    states, and averages would disagree with the formulas.
    """
    return np.random.default_rng([seed, 0x4C5152])  # "LQR" in ASCII
