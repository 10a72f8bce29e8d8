"""`ObservationNormalizer`: running mean and variance of what a policy has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pgcore.kernels._coerce import float_dtype, integer, real, to_numpy

__all__ = ["ObservationNormalizer"]

_BLOCK_ROWS = 4096  # keeps the double-precision copy of a batch small


class ObservationNormalizer:
    r"""Standardises observations with the moments of all that it was updated with.

    .. math:: \mathrm{normalize}(x)_j = \mathrm{clip}\Bigl(
              \frac{x_j - \mu_j}{\sqrt{\sigma_j^2 + \varepsilon}}, -c, c\Bigr),
              \qquad \sigma_j^2 = M_{2,j} / n

    Batches are merged by the pairwise formula of Chan, Golub & LeVeque (1979), in double precision:
    :math:`\delta = \mu_b - \mu`, :math:`\mu \leftarrow \mu + \delta\, n_b/(n + n_b)`,
    :math:`M_2 \leftarrow M_2 + M_{2,b} + \delta^2\, n n_b/(n + n_b)`.

    The statistics move only in `update`. A policy that holds a normaliser must see the same numbers when it
    acts and when those actions are scored: update it after a batch's last use, never in between.

    Parameters
    ----------
    dim
        Length of a flattened observation.
    clip
        Largest absolute value that is let through, c; infinity for no limit.
    epsilon
        Added to the variance, ε.

    Attributes
    ----------
    count : float
        Observations seen, n.
    mean, m2 : numpy.ndarray
        Mean μ and sum of squared deviations M₂, float64, shape (dim,).

    Raises
    ------
    TypeError, ValueError
        For a ``dim`` below 1, or ``clip`` or ``epsilon`` that is not positive.

    Examples
    --------
    >>> normalizer = ObservationNormalizer(1)
    >>> normalizer.update([[1.0], [3.0]])
    >>> normalizer.normalize([[2.0], [4.0]]).round(3)
    array([[0.],
           [2.]])
    """

    def __init__(self, dim: int, *, clip: float = 10.0, epsilon: float = 1e-8) -> None:
        self.dim = integer("dim", dim, minimum=1)
        self.clip = _positive("clip", real("clip", clip, or_infinite=True))
        self.epsilon = _positive("epsilon", real("epsilon", epsilon))
        self.count = 0.0
        self.mean = np.zeros(self.dim)
        self.m2 = np.zeros(self.dim)
        self._arrays: dict[np.dtype[Any], tuple[NDArray[Any], NDArray[Any]]] = {}

    def update(self, obs: ArrayLike) -> None:
        """Merge the moments of more observations.

        Parameters
        ----------
        obs
            Raw observations of real transitions, shape (B, dim). None at all (B = 0) changes nothing.

        Raises
        ------
        TypeError
            If they aren't real numbers.
        ValueError
            If the shape is another, or one of them is NaN, infinite or too large to square: it would spoil
            the statistics for good. They stay as they were.
        """
        obs = self._checked(obs)
        moments = self.count, self.mean, self.m2
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            for start in range(0, len(obs), _BLOCK_ROWS):
                moments = _merged(*moments, obs[start : start + _BLOCK_ROWS].astype(np.float64))
        # A bad number anywhere makes a moment bad, so the observations needn't be searched unless one is.
        if not np.isfinite(moments[1:]).all():
            good_rows = np.isfinite(obs).all(axis=1)
            row = int(np.argmin(good_rows)) if not good_rows.all() else int(np.abs(obs).max(axis=1).argmax())
            raise ValueError(f"obs: expected finite numbers with finite squares, got {obs[row]} in row {row}")
        self.count, self.mean, self.m2 = moments
        if len(obs):
            self._arrays.clear()

    def arrays(self, dtype: DTypeLike = np.float64) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return ``(shift, scale)`` for a compiled pass: normalised is ``(x - shift) * scale``.

        Parameters
        ----------
        dtype
            float32 or float64.

        Returns
        -------
        shift, scale
            Read-only, shape (dim,): the mean and 1/√(σ² + ε), or 0 and 1 before the first update. The same
            two objects until the next update.

        Raises
        ------
        TypeError
            For another dtype.
        """
        dtype = float_dtype("dtype", dtype)
        if dtype not in self._arrays:
            shift, scale = np.zeros(self.dim, dtype), np.ones(self.dim, dtype)
            if self.count > 0:
                shift[:] = self.mean
                scale[:] = 1.0 / np.sqrt(self.m2 / self.count + self.epsilon)
            shift.flags.writeable = scale.flags.writeable = False
            # Of several threads that came here at once, all return the first one's arrays.
            return self._arrays.setdefault(dtype, (shift, scale))
        return self._arrays[dtype]

    def normalize(self, obs: ArrayLike) -> NDArray[Any]:
        """Return standardised, clipped observations; the statistics stay.

        Parameters
        ----------
        obs
            Shape (B, dim), or (dim,) for one observation. float32 (and float16) gives float32, the rest
            float64.

        Returns
        -------
        numpy.ndarray
            The same shape.

        Raises
        ------
        TypeError, ValueError
            If they aren't real numbers, or the last axis isn't ``dim`` long.
        """
        obs = self._checked(obs, one_too=True)
        single = obs.dtype.kind == "f" and obs.dtype.itemsize <= 4
        shift, scale = self.arrays(np.float32 if single else np.float64)
        normalized: NDArray[Any] = np.clip((obs - shift) * scale, -self.clip, self.clip)
        return normalized

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that `load_state` needs, as copies."""
        return {
            "count": np.array(self.count),
            "mean": self.mean.copy(),
            "m2": self.m2.copy(),
            "clip": np.array(self.clip),
            "epsilon": np.array(self.epsilon),
        }

    def load_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Become the normaliser that ``state`` was taken from.

        Raises
        ------
        ValueError
            If an entry is missing, has another shape, or can't be: the normaliser stays as it was.
        """
        arrays = {}
        for name, shape in {
            "count": (),
            "mean": (self.dim,),
            "m2": (self.dim,),
            "clip": (),
            "epsilon": (),
        }.items():
            if name not in state:
                raise ValueError(f"state: expected an entry {name!r}, got {sorted(state)}")
            arrays[name] = np.array(state[name], dtype=np.float64)
            if arrays[name].shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {arrays[name].shape}")
        for name in ("count", "m2"):
            if not (np.isfinite(arrays[name]) & (arrays[name] >= 0)).all():
                raise ValueError(f"{name}: expected finite numbers >= 0, got {arrays[name]}")
        if not np.isfinite(arrays["mean"]).all():
            raise ValueError(f"mean: expected finite numbers, got {arrays['mean']}")
        clip = _positive("clip", real("clip", float(arrays["clip"]), or_infinite=True))
        self.epsilon = _positive("epsilon", real("epsilon", float(arrays["epsilon"])))
        self.clip = clip
        self.count, self.mean, self.m2 = float(arrays["count"]), arrays["mean"], arrays["m2"]
        self._arrays.clear()

    def copy(self) -> ObservationNormalizer:
        """Return an independent normaliser with the same statistics."""
        return _restored(type(self), self.dim, self.state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.dim, self.state())  # without what is kept for compiled passes

    def __repr__(self) -> str:
        settings = f"{self.dim}, clip={self.clip:g}, epsilon={self.epsilon:g}"
        return f"ObservationNormalizer({settings}, count={self.count:g})"

    def _checked(self, obs: ArrayLike, *, one_too: bool = False) -> NDArray[Any]:
        array = to_numpy("obs", obs)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"obs: expected real numbers, got {array.dtype}")
        if not (array.ndim == 2 or (one_too and array.ndim == 1)) or array.shape[-1] != self.dim:
            expected = f"({self.dim},) or (B, {self.dim})" if one_too else f"(B, {self.dim})"
            raise ValueError(f"obs: expected shape {expected}, got {array.shape}")
        return array


def _restored(
    kind: type[ObservationNormalizer], dim: int, state: Mapping[str, ArrayLike]
) -> ObservationNormalizer:
    normalizer = kind(dim)
    normalizer.load_state(state)
    return normalizer


def _merged(
    count: float, mean: NDArray[np.float64], m2: NDArray[np.float64], block: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The moments with those of ``block`` added, which is used up."""
    total = count + len(block)
    block_mean = block.mean(axis=0)
    delta = block_mean - mean
    block -= block_mean
    block_m2 = np.einsum("ij,ij->j", block, block)
    return total, mean + delta * (len(block) / total), m2 + block_m2 + delta**2 * (count * len(block) / total)


def _positive(name: str, number: float) -> float:
    if not number > 0:
        raise ValueError(f"{name}: expected a number > 0, got {number}")
    return number
