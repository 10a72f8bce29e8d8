"""`LinearFeatures`: ridge regression on simple features of observation and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pgcore.baselines.base import Baseline, FloatArray, raw_tail_obs, scattered_tails
from pgcore.kernels._coerce import real

if TYPE_CHECKING:
    from pgcore.batch import Batch

__all__ = ["LinearFeatures"]


class LinearFeatures(Baseline):
    r"""A linear value of :math:`\phi = [o, o^2, t/100, (t/100)^2, (t/100)^3, 1]`, fitted in closed form.

    .. math:: w = \arg\min_w \frac1B \sum_t (w^\top\phi_t - G_t)^2 + \lambda \lVert w \rVert^2

    Observations are standardised by the `normalizer` if there is one, and clipped to ±10. Until its first fit
    it is zero everywhere.

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
        self._weights: NDArray[np.float64] | None = None

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return the fitted value at every step, (B,)."""
        return self._predict(batch.obs, batch.step_in_piece).astype(returns.dtype, copy=False)

    def tail_values(self, batch: Batch) -> FloatArray:
        """Return the fitted value at the observation each truncated piece stops at."""
        if batch.num_truncated == 0 or self._weights is None:
            return super().tail_values(batch)
        values = self._predict(raw_tail_obs(batch), batch.piece_lengths[batch.truncated])
        return scattered_tails(batch, values.astype(batch.rewards.dtype, copy=False))

    def fit(self, batch: Batch, targets: FloatArray) -> dict[str, float]:
        """Fit to a batch's returns; the old weights are forgotten."""
        features = self._features(batch.obs, batch.step_in_piece)
        y = np.asarray(targets, np.float64)
        gram = features.T @ features / len(y)
        moments = features.T @ y / len(y)
        # The features may be dependent (a constant observation): lstsq takes the shortest of all solutions.
        regular = gram + self.ridge * np.eye(len(gram))
        weights: NDArray[Any] = np.linalg.lstsq(regular, moments, rcond=None)[0]
        self._weights = weights
        return {"value_loss": float(np.mean((features @ weights - y) ** 2))}

    def _features(self, obs: NDArray[Any], time: NDArray[np.int64]) -> NDArray[np.float64]:
        flat = np.asarray(obs, np.float64).reshape(len(obs), -1)
        if self.normalizer is not None:
            flat = self.normalizer.normalize(flat)
        flat = np.clip(flat, -10.0, 10.0)
        t = (time / 100.0)[:, None]
        return np.concatenate([flat, flat**2, t, t**2, t**3, np.ones_like(t)], axis=1)

    def _predict(self, obs: NDArray[Any], time: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._weights is None:
            return np.zeros(len(obs))
        features = self._features(obs, time)
        if features.shape[1] != len(self._weights):
            fitted, got = ((width - 4) // 2 for width in (len(self._weights), features.shape[1]))
            raise ValueError(f"obs: expected {fitted} numbers in each, as when fitted, got {got}")
        values: NDArray[np.float64] = features @ self._weights
        return values

    def _arguments(self) -> dict[str, Any]:
        return {"ridge": self.ridge}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights, if it was ever fitted."""
        return {} if self._weights is None else {"weights": self._weights.copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over the weights."""
        if "weights" not in state:
            self._weights = None
            return
        weights = np.array(state["weights"], np.float64)
        if weights.ndim != 1:
            raise ValueError(f"weights: expected shape (features,), got {weights.shape}")
        self._weights = weights
