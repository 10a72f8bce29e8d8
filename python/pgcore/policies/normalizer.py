"""`ObservationNormalizer`: running mean and variance of what a policy has seen."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pgcore import _dispatch
from pgcore._arguments import (
    FLOAT64,
    AnyArray,
    FloatArray,
    FloatDType,
    check_shape,
    float_array,
    float_dtype,
    integer,
    observation_array,
    real,
    to_numpy,
)

if TYPE_CHECKING:
    from pgcore._core import InputScaling

__all__ = ["ObservationNormalizer"]

_ENTRIES = ("count", "mean", "m2", "clip", "epsilon")
_BLOCK_ROWS = 4096  # keeps the double-precision copy of a batch small


class ObservationNormalizer:
    r"""Standardises observations with the moments of all that it was updated with.

    .. math:: \mathrm{normalize}(x)_j = \mathrm{clip}\Bigl(
              \frac{x_j - \mu_j}{\sqrt{\sigma_j^2 + \varepsilon}}, -c, c\Bigr),
              \qquad \sigma_j^2 = M_{2,j} / n

    Batches are merged by the pairwise formula of Chan, Golub & LeVeque (1979), in double precision:
    :math:`\delta = \mu_b - \mu`, :math:`\mu \leftarrow \mu + \delta\, n_b/(n + n_b)`,
    :math:`M_2 \leftarrow M_2 + M_{2,b} + \delta^2\, n n_b/(n + n_b)`.

    Subtraction, scaling and clipping are in double precision too, on the observations as they came; the
    result is cast. So time stamps, 1.7e9 ± 1, lose nothing.

    The statistics move only in `update`. A policy that holds a normaliser must see the same numbers when it
    acts and when those actions are scored: update it after a batch's last use, never in between.

    Any number of threads may use a normaliser: each of their calls sees the statistics of one moment, and
    those that begin after an `update` has returned see the new ones.

    Parameters
    ----------
    dim
        Length of a flattened observation.
    clip
        Limit of the results' absolute values, c; infinity for no limit.
    epsilon
        Added to the variance, ε.

    Attributes
    ----------
    clip, epsilon : float
        As above.
    count : float
        Observations seen, n.
    mean, m2 : numpy.ndarray
        Mean μ and sum of squared deviations M₂, float64, shape (dim,), read-only.

    All may be assigned; policies that hold the normaliser use the new value from their next call on.

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
        zeros = np.zeros(self.dim)
        self._statistics = _Statistics(
            {"count": 0.0, "mean": zeros, "m2": zeros, "clip": clip, "epsilon": epsilon}, self.dim
        )
        self._writing = threading.Lock()

    @property
    def clip(self) -> float:
        """Limit of the results' absolute values."""
        return self._statistics.clip

    @clip.setter
    def clip(self, value: float) -> None:
        self._set(clip=value)

    @property
    def epsilon(self) -> float:
        """What is added to the variance."""
        return self._statistics.epsilon

    @epsilon.setter
    def epsilon(self, value: float) -> None:
        self._set(epsilon=value)

    @property
    def count(self) -> float:
        """Observations seen."""
        return self._statistics.count

    @count.setter
    def count(self, value: float) -> None:
        self._set(count=value)

    @property
    def mean(self) -> FloatArray:
        """Mean of what was seen, shape (dim,), read-only."""
        return self._statistics.mean

    @mean.setter
    def mean(self, value: ArrayLike) -> None:
        self._set(mean=value)

    @property
    def m2(self) -> FloatArray:
        """Sum of squared deviations from the mean, shape (dim,), read-only."""
        return self._statistics.m2

    @m2.setter
    def m2(self, value: ArrayLike) -> None:
        self._set(m2=value)

    def _set(self, **entries: ArrayLike) -> None:
        with self._writing:
            self._statistics = self._statistics.replace(**entries)

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
            If the shape is another, or one of them is NaN, infinite or too large to square: it would make all
            later statistics wrong. They stay as they were.
        """
        obs = self._checked(obs)
        if len(obs) == 0:
            return
        with self._writing:
            self._statistics = self._merged_with(obs)

    def _merged_with(self, obs: AnyArray) -> _Statistics:
        old = self._statistics
        moments = old.count, old.mean, old.m2
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            for start in range(0, len(obs), _BLOCK_ROWS):
                moments = _merged(*moments, obs[start : start + _BLOCK_ROWS])
        # A bad number anywhere makes a moment bad, so the observations needn't be searched unless one is.
        if not np.isfinite(moments[1:]).all():
            good_rows = np.isfinite(obs).all(axis=1)
            row = int(np.argmin(good_rows)) if not good_rows.all() else int(np.abs(obs).max(axis=1).argmax())
            raise ValueError(f"obs: expected finite numbers with finite squares, got {obs[row]} in row {row}")
        count, mean, m2 = moments
        return old.replace(count=count, mean=mean, m2=m2)

    def arrays(self, dtype: DTypeLike = np.float64) -> tuple[AnyArray, AnyArray]:
        """Return ``(shift, scale)``: normalised is ``(x - shift) * scale``, clipped.

        Parameters
        ----------
        dtype
            float32 or float64. What is far from 0 is to be shifted in float64.

        Returns
        -------
        shift, scale
            Read-only, shape (dim,): the mean and 1/√(σ² + ε), or 0 and 1 before the first update. The same
            two objects until something changes.

        Raises
        ------
        TypeError
            For another dtype.
        """
        return self._statistics.arrays(float_dtype("dtype", dtype))

    @property
    def scaling(self) -> InputScaling:
        """The statistics of this moment as compiled passes take them; the object never changes."""
        return self._statistics.scaling()

    def normalize(self, obs: ArrayLike) -> AnyArray:
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
        given = self._checked(obs, one_too=True)
        single = given.dtype.kind == "f" and given.dtype.itemsize <= 4
        out = np.empty(given.shape, np.float32 if single else np.float64)
        rows = observation_array("obs", given).reshape(-1, self.dim)
        self.scaling.normalize(rows, out.reshape(-1, self.dim))
        return out

    def state(self) -> dict[str, AnyArray]:
        """Return everything that `load_state` needs, as copies."""
        statistics = self._statistics
        return {name: np.array(getattr(statistics, name)) for name in _ENTRIES}

    def load_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Become the normaliser that ``state`` was taken from.

        Raises
        ------
        ValueError
            If an entry is missing, has another shape, or can't be: the normaliser stays as it was.
        """
        for name in _ENTRIES:
            if name not in state:
                raise ValueError(f"state: expected an entry {name!r}, got {sorted(state)}")
        with self._writing:
            self._statistics = _Statistics(state, self.dim)

    def copy(self) -> ObservationNormalizer:
        """Return an independent normaliser with the same statistics."""
        return _restored(type(self), self.dim, self.state())

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.dim, self.state())  # without what is kept for compiled passes

    def __repr__(self) -> str:
        settings = f"{self.dim}, clip={self.clip:g}, epsilon={self.epsilon:g}"
        return f"ObservationNormalizer({settings}, count={self.count:g})"

    def _checked(self, obs: ArrayLike, *, one_too: bool = False) -> AnyArray:
        array = to_numpy("obs", obs)
        if array.dtype.kind not in "biuf" or array.dtype.char == "g":
            limit = " of at most 64 bits" if array.dtype.char == "g" else ""
            raise TypeError(f"obs: expected real numbers{limit}, got {array.dtype}")
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


class _Statistics:
    """Everything that a normaliser knows, checked and read-only: replaced as a whole, never changed.

    What is derived of it is kept here, so that no thread can combine it with newer statistics.
    """

    def __init__(self, entries: Mapping[str, ArrayLike], dim: int) -> None:
        arrays = {name: float_array(name, entries[name], FLOAT64).copy() for name in ("count", "mean", "m2")}
        for name, array in arrays.items():
            check_shape(name, array, () if name == "count" else (dim,))
        for name in ("count", "m2"):
            if not (np.isfinite(arrays[name]) & (arrays[name] >= 0)).all():
                raise ValueError(f"{name}: expected finite numbers >= 0, got {arrays[name]}")
        if not np.isfinite(arrays["mean"]).all():
            raise ValueError(f"mean: expected finite numbers, got {arrays['mean']}")
        self.count = float(arrays["count"])
        self.mean, self.m2 = arrays["mean"], arrays["m2"]
        self.clip = _positive("clip", real("clip", entries["clip"], or_infinite=True))
        self.epsilon = _positive("epsilon", real("epsilon", entries["epsilon"]))
        self.mean.flags.writeable = self.m2.flags.writeable = False
        self._arrays: dict[FloatDType, tuple[AnyArray, AnyArray]] = {}
        self._scaling: InputScaling | None = None

    def replace(self, **entries: ArrayLike) -> _Statistics:
        own = {name: getattr(self, name) for name in _ENTRIES}
        return _Statistics({**own, **entries}, len(self.mean))

    def arrays(self, dtype: FloatDType) -> tuple[AnyArray, AnyArray]:
        if dtype not in self._arrays:
            shift, scale = np.zeros(len(self.mean), dtype), np.ones(len(self.mean), dtype)
            if self.count > 0:
                shift[:] = self.mean
                scale[:] = 1.0 / np.sqrt(self.m2 / self.count + self.epsilon)
            shift.flags.writeable = scale.flags.writeable = False
            # Of several threads that came here at once, all return the first one's arrays.
            return self._arrays.setdefault(dtype, (shift, scale))
        return self._arrays[dtype]

    def scaling(self) -> InputScaling:
        if self._scaling is None:
            self._scaling = _dispatch.compiled.InputScaling(*self.arrays(FLOAT64), self.clip)
        return self._scaling


def _merged(
    count: float, mean: FloatArray, m2: FloatArray, block: AnyArray
) -> tuple[float, FloatArray, FloatArray]:
    """The moments with those of ``block`` added."""
    total = count + len(block)
    # About its first row, so that a component without spread has that mean and a deviation of 0, exactly.
    deviations = block.astype(np.float64)
    first = deviations[0].copy()
    deviations -= first
    offset = deviations.mean(axis=0)
    deviations -= offset
    delta = (first - mean) + offset
    block_m2 = np.einsum("ij,ij->j", deviations, deviations)
    return total, mean + delta * (len(block) / total), m2 + block_m2 + delta**2 * (count * len(block) / total)


def _positive(name: str, number: float) -> float:
    if not number > 0:
        raise ValueError(f"{name}: expected a number > 0, got {number}")
    return number
