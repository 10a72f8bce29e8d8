"""Numbers about batches and episodes that every algorithm needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np

from pgcore.policies import GaussianPolicy, Policy

__all__ = ["explained_variance", "mean_or_nan", "spread", "standardize"]

FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]


def standardize(advantages: FloatArray) -> FloatArray:
    """Return (A − mean A) / (std A + 1e-8) over the whole array, computed in double precision.

    An array of one, or of equal numbers, becomes zero: a spread that rounding alone could have made, next to
    the largest |A|, is not blown up to one.

    Parameters
    ----------
    advantages
        Shape (B,).

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
    if advantages.size == 0:
        return advantages
    exact = advantages.astype(np.float64)
    centred = exact - exact.mean()
    deviation = float(centred.std())
    if deviation <= 1e-12 * float(np.abs(exact).max()):
        return np.zeros_like(advantages)
    standardized: FloatArray = (centred / (deviation + 1e-8)).astype(advantages.dtype)
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
        Not-a-number if the returns do not vary.

    Examples
    --------
    >>> explained_variance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    exact = np.asarray(returns, np.float64)
    variance = float(np.var(exact)) if exact.size else 0.0
    if variance == 0.0:
        return float("nan")
    return 1.0 - float(np.var(exact - values)) / variance


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
