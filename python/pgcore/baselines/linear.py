"""`LinearFeatures`: ridge regression on simple features of observation and time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pgcore._arguments import AnyArray, Arrays, Float64Array, FloatArray, IntArray, real, state_entries
from pgcore._rounding import rounding
from pgcore.baselines.base import (
    Baseline,
    raw_bootstrap_obs,
    scattered_bootstrap_values,
)
from pgcore.values.base import checked_targets

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["LinearFeatures"]

_CLIP = 10.0


class LinearFeatures(Baseline):
    r"""A linear value of :math:`\phi = [o, o^2, t/100, (t/100)^2, (t/100)^3, 1]`, fitted in closed form.

    .. math:: w = \arg\min_w \frac1B \sum_t (w^\top\phi_t - G_t)^2 + \lambda \lVert w \rVert^2

    Observations are standardised by the `normalizer` if there is one, and clipped to ±10; a warning names
    components that are never within. Until its first fit it is zero everywhere.

    Parameters
    ----------
    ridge
        λ.

    Notes
    -----
    Duan et al. (2016), appendix 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore import Batch
    >>> obs = np.linspace(-1, 1, 50)[:, None]
    >>> batch = Batch(obs, np.zeros(50), np.zeros(50), ends=np.arange(50) % 10 == 9)
    >>> baseline = LinearFeatures()
    >>> _ = baseline.fit(batch, 3 * obs[:, 0] ** 2)
    >>> bool(np.abs(baseline.values(batch, np.zeros(50)) - 3 * obs[:, 0] ** 2).max() < 0.01)
    True
    """

    needs_whole_episodes = False

    def __init__(self, *, ridge: float = 1e-5) -> None:
        self.ridge = real("ridge", ridge, minimum=0.0)
        self._weights: Float64Array | None = None

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return the fitted value at every step, (B,)."""
        return self._predict(batch.obs, batch.step_in_segment).astype(returns.dtype, copy=False)

    def bootstrap_values(self, batch: Batch) -> FloatArray:
        """Return the fitted value at the observation each truncated segment stops at."""
        if batch.num_truncated == 0 or self._weights is None:
            return super().bootstrap_values(batch)
        values = self._predict(raw_bootstrap_obs(batch), batch.segment_lengths[batch.truncated])
        return scattered_bootstrap_values(batch, values.astype(batch.rewards.dtype, copy=False))

    def fit(self, batch: Batch, targets: FloatArray) -> dict[str, float]:
        """Fit to a batch's returns, in place of what was fitted before; return their mean squared error.

        Raises
        ------
        ValueError
            If ``targets`` are not one finite number for each step.
        FloatingPointError
            If an observation is NaN, or the targets' variance is not finite.

        After an error the weights are as they were.
        """
        y = checked_targets(batch.num_steps, targets).astype(np.float64)
        if not len(y):
            return {}
        features = self._features(batch.obs, batch.step_in_segment)
        centre = features.mean(axis=0)
        if not np.isfinite(centre).all():
            raise FloatingPointError(
                "critic: expected finite features, got NaN; look for NaN in observations"
            )
        if self.normalizer is None:
            _warn_of_clipped_columns(batch.obs, centre)
        centre[-1] = 0.0  # the constant stays
        features -= centre
        size = float(np.abs(y).max()) or 1.0  # so that no intermediate result overflows
        y /= size
        weights = self._solve(features, centre, y)
        loss = float(np.mean(np.square(features @ weights - y))) * size * size
        if not math.isfinite(loss):
            raise FloatingPointError("targets: expected returns of finite variance, got inf")
        weights[-1] -= centre @ weights
        self._weights = size * weights
        return {"value_loss": loss}

    def _solve(self, features: Float64Array, centre: Float64Array, y: Float64Array) -> Float64Array:
        """Return the weights of ``features`` less their ``centre``, for which the system is well conditioned.

        The penalty is still on the weights of the features as they are: w, and b − centre·w for the constant.
        """
        uncentred = np.eye(len(centre))
        uncentred[-1] -= centre
        system = features.T @ features / len(y) + self.ridge * (uncentred.T @ uncentred)
        # Each column over its own size: (t/100)³ of a long segment is 10⁸ times as large as an observation.
        sizes = np.sqrt(system.diagonal())
        sizes[sizes <= rounding(sizes.dtype) * np.abs(centre)] = np.inf  # constant: there is nothing to learn
        scaled = system / np.outer(sizes, sizes)
        # Features may still depend on each other: lstsq takes the shortest of all solutions.
        weights: Float64Array = np.linalg.lstsq(scaled, features.T @ y / len(y) / sizes, rcond=None)[0]
        return weights / sizes

    def _features(self, obs: AnyArray, time: IntArray) -> Float64Array:
        flat = np.asarray(obs, np.float64).reshape(len(obs), math.prod(obs.shape[1:]))
        if self.normalizer is not None:
            flat = self.normalizer.normalize(flat)
        flat = np.clip(flat, -_CLIP, _CLIP)
        t = (time / 100.0)[:, None]
        return np.concatenate([flat, flat**2, t, t**2, t**3, np.ones_like(t)], axis=1)

    def _predict(self, obs: AnyArray, time: IntArray) -> Float64Array:
        if self._weights is None:
            return np.zeros(len(obs))
        features = self._features(obs, time)
        if features.shape[1] != len(self._weights):
            fitted, got = ((width - 4) // 2 for width in (len(self._weights), features.shape[1]))
            raise ValueError(f"obs: expected {fitted} numbers in each, as when fitted, got {got}")
        values: Float64Array = features @ self._weights
        return values

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {"ridge": self.ridge}

    def state(self) -> Arrays:
        """Return the weights, if it was ever fitted."""
        return {} if self._weights is None else {"weights": self._weights.copy()}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Load the weights; a wrong state raises and changes nothing."""
        if "weights" not in state:
            self._weights = None
            return
        if np.ndim(state["weights"]) != 1:
            raise ValueError(f"weights: expected shape (features,), got {np.shape(state['weights'])}")
        shapes = {"weights": np.shape(state["weights"])}
        self._weights = state_entries(state, shapes)["weights"].astype(np.float64)


def _warn_of_clipped_columns(obs: AnyArray, means: Float64Array) -> None:
    """Warn of components of which clipping leaves nothing."""
    flat = obs.reshape(len(obs), math.prod(obs.shape[1:]))
    clipped = np.flatnonzero(np.abs(means[: flat.shape[1]]) == _CLIP)
    lost = clipped[(flat[:, clipped] != flat[0, clipped]).any(axis=0)]
    if len(lost):
        warnings.warn(
            f"obs: expected numbers within ±{_CLIP:g} where there is no normalizer, got none in components "
            f"{lost.tolist()}: LinearFeatures clips them all; normalize_observations=True standardises them",
            stacklevel=3,
        )
