"""Numbers about batches and episodes that every algorithm needs."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from pgcore._arguments import FloatArray, check_shape, float_array
from pgcore._rounding import spread_of
from pgcore.policies import GaussianPolicy, Policy

__all__ = ["explained_variance", "mean_or_nan", "spread", "standardize"]


def standardize(advantages: FloatArray, *, magnitude: float = 0.0) -> FloatArray:
    """Return (A − mean A) / (std A + 1e-8) over the whole array, computed in double precision.

    An array of one, or of equal numbers, becomes zero: a spread that rounding alone could have made, in the
    array's dtype and next to the largest |A|, is not scaled up to one.

    Parameters
    ----------
    advantages
        Shape (B,).
    magnitude
        Size of the returns and values that A is the difference of: rounding is relative to theirs.

    Returns
    -------
    FloatArray
        Shape (B,), of the same dtype.

    Examples
    --------
    >>> standardize(np.array([1.0, 3.0])).round(6)
    array([-1.,  1.])
    >>> standardize(np.full(3, 1e6))
    array([0., 0., 0.])
    """
    advantages = float_array("advantages", advantages)
    if advantages.size == 0:
        return advantages
    spread = spread_of(advantages, magnitude=magnitude)
    if spread.deviation == 0:
        return np.zeros_like(advantages)
    standardized: FloatArray = (spread.centred / (spread.deviation + 1e-8)).astype(advantages.dtype)
    return standardized


def explained_variance(values: FloatArray, returns: FloatArray) -> float:
    """Return 1 − Var[returns − values] / Var[returns]: 1 for a perfect baseline, 0 for a constant one.

    Parameters
    ----------
    values, returns
        Shape (B,).

    Returns
    -------
    float
        Not-a-number if the returns do not vary, or by no more than rounding.

    Examples
    --------
    >>> explained_variance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    returns, values = float_array("returns", returns), float_array("values", values)
    check_shape("values", values, returns.shape)
    deviation = spread_of(returns).deviation if returns.size else 0.0
    if deviation == 0:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        rest = np.subtract(returns, values, dtype=np.float64)
    return 1.0 - (spread_of(rest).deviation / deviation) ** 2


def mean_or_nan(values: Collection[float]) -> float:
    """Return the mean, NaN where there is nothing to average.

    >>> mean_or_nan([1.0, 2.0]), mean_or_nan([])
    (1.5, nan)
    """
    return float(np.mean(np.fromiter(values, np.float64, len(values)))) if values else float("nan")


def spread(policy: Policy) -> dict[str, float]:
    """Return Stable-Baselines3's ``std`` for the log: the mean σ where it is learned for all states alike.

    >>> spread(GaussianPolicy(3, 2, init_log_std=0.0))
    {'std': 1.0}
    """
    if (
        isinstance(policy, GaussianPolicy)
        and isinstance(policy.covariance, str)
        and policy.covariance == "diagonal"
    ):
        return {"std": float(np.mean(np.exp(policy.params[-policy.act_dim :])))}
    return {}
