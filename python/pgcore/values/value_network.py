"""`ValueNetwork`: a network of the observation, trained on returns by minibatch Adam in compiled code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from pgcore import _dispatch
from pgcore._arguments import (
    AnyArray,
    Arrays,
    FloatArray,
    check_shape,
    float_dtype,
    int_array,
    integer,
    integers,
    observation_array,
    real,
    state_entries,
)
from pgcore._dispatch import classes_of
from pgcore._rounding import rounding, spread_of
from pgcore.kernels import MLP
from pgcore.kernels.coercion import computed
from pgcore.values.base import ValueFunction, checked_targets

if TYPE_CHECKING:
    from pgcore._core import InputScaling, ValueFit

__all__ = ["ValueNetwork"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_MOMENT_RATE = 0.1  # of the targets' running mean and deviation


class ValueNetwork(ValueFunction):
    r"""A state value v(o) from a network, fitted to returns by minibatch Adam.

    .. math:: v(o) = m + s\, f_\phi(o), \qquad \phi \leftarrow \text{Adam on }
              \frac1b \sum_{i \in \text{minibatch}} \bigl(f_\phi(o_i) - (G_i - m)/s\bigr)^2

    m and s follow the mean and deviation of the returns, so that the network learns numbers of order one
    whatever the rewards' scale; when they move, the last layer is rewritten so that v itself does not
    (Pop-Art, van Hasselt et al. 2016). As long as returns have differed by no more than rounding there is no
    scale yet, s = 0: v is m, and the network does not learn. It is made when the first observations come.

    Parameters
    ----------
    hidden, activation
        Hidden layer sizes, and their activation.
    learning_rate
        Of Adam.
    n_epochs
        Passes over the batch in each `fit`.
    batch_size
        Steps in a minibatch.
    max_grad_norm
        Longer minibatch gradients are scaled down to this norm.
    seed
        Of the initial weights and of the order of minibatches.
    dtype
        float32 or float64.

    Examples
    --------
    >>> obs = np.linspace(-1, 1, 256)[:, None]
    >>> network = ValueNetwork(n_epochs=50)
    >>> loss = network.fit(obs, 100 * obs[:, 0])["value_loss"]
    >>> bool(np.abs(network.predict(obs) - 100 * obs[:, 0]).mean() < 10)
    True
    """

    _core: ValueFit
    _params: FloatArray
    _m: FloatArray  # Adam's moments
    _v: FloatArray

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        *,
        activation: str = "tanh",
        learning_rate: float = 1e-3,
        n_epochs: int = 10,
        batch_size: int = 64,
        max_grad_norm: float | None = None,
        seed: int = 0,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.hidden = integers("hidden", hidden, minimum=1)
        self.activation = activation
        self.learning_rate = real("learning_rate", learning_rate, minimum=0.0)
        self.n_epochs = integer("n_epochs", n_epochs, minimum=0)
        self.batch_size = integer("batch_size", batch_size, minimum=1)
        self.max_grad_norm = (
            None if max_grad_norm is None else real("max_grad_norm", max_grad_norm, minimum=0.0)
        )
        self.seed = integer("seed", seed, minimum=0)
        self.dtype = float_dtype("dtype", dtype)
        self.obs_dim = 0  # not known yet
        self._num_fits = 0
        self._step = 0
        self._mean, self._std = 0.0, 0.0  # no scale yet
        MLP(
            (1, *self.hidden, 1), activation, self.dtype
        )  # refuses a bad activation now, not at the first batch

    def predict(self, obs: AnyArray) -> FloatArray:
        """Return v(o) of raw observations (B, …): float64, shape (B,)."""
        if self.obs_dim > 0:  # the network is there
            exact = self._core.predict(self._params, obs, self._scaling, self._mean, self._std)
            if exact is not None:
                return exact
        rows = self._rows(obs)
        return computed(self._core.predict(self._params, rows, self._scaling, self._mean, self._std))

    def fit(self, obs: AnyArray, targets: FloatArray) -> dict[str, float]:
        """Take ``n_epochs`` passes over the steps; return ``value_loss``, the last one's mean squared error.

        Raises
        ------
        ValueError
            If ``targets`` are not one finite number for each step.
        FloatingPointError
            If a gradient, or the variance of the targets, is not finite.

        After an error the network is as it was before.
        """
        rows = self._rows(obs)
        returns = checked_targets(len(rows), targets)
        if len(rows) == 0:
            return {}
        # On copies, so that a fit that fails changes nothing.
        theta, m, v = self._params.copy(), self._m.copy(), self._v.copy()
        mean, std = self._follow(returns, theta)
        if std == 0:
            self._mean = mean
            self._num_fits += 1
            return {"value_loss": float(np.mean(np.square(returns - mean)))} if self.n_epochs else {}
        scaled = (np.subtract(returns, mean, dtype=np.float64) / std).astype(self.dtype)
        del returns  # in double precision: not kept while the network learns
        # Seeded by what is saved anyway, so that a restored network continues in the same order.
        rng = np.random.default_rng((self.seed, self._num_fits))
        options = _dispatch.compiled.AdamOptions(self.learning_rate, _BETA1, _BETA2, _EPSILON)
        adam = classes_of(self.dtype).AdamState(theta, m, v, self._step, options)
        loss, scaling = 0.0, self._scaling
        limit = math.inf if self.max_grad_norm is None else self.max_grad_norm
        for _ in range(self.n_epochs):
            order = rng.permutation(len(rows))
            loss = self._core.epoch(adam, rows, scaling, scaled, order, self.batch_size, limit)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    "critic: expected finite gradients, got NaN or infinity; look for infinite rewards or "
                    "observations, or lower its learning rate"
                )
        self._params, self._m, self._v, self._step = theta, m, v, adam.step
        self._mean, self._std = mean, std
        self._num_fits += 1
        return {"value_loss": loss * std**2} if self.n_epochs else {}

    def _follow(self, targets: FloatArray, theta: FloatArray) -> tuple[float, float]:
        """Move mean and deviation towards those of new targets, and ``theta`` so that v(o) stays."""
        spread = spread_of(targets)
        mean, deviation = spread.mean, spread.deviation
        variance = deviation * deviation
        if not math.isfinite(variance):
            raise FloatingPointError(f"targets: expected returns of finite variance, got {variance}")
        old_mean, old_std, rate = self._mean, self._std, _MOMENT_RATE
        gap, size = mean - old_mean, float(np.abs(targets).max())
        if old_std == 0 and (
            self._num_fits == 0 or deviation > 0 or abs(gap) <= rounding(targets.dtype) * size
        ):
            return mean, deviation  # no prediction to keep yet: v starts as the mean
        # Of the mixture of old and new: E[G²] − E[G]² would cancel where the mean is large.
        mixed = math.hypot(
            math.sqrt(1 - rate) * old_std, math.sqrt(rate) * deviation, math.sqrt(rate * (1 - rate)) * gap
        )
        mean = (1 - rate) * old_mean + rate * mean
        # Numbers that are all equal say nothing about a scale, and below rounding it is none.
        least = old_std if deviation == 0 and len(targets) > 1 else rounding(targets.dtype) * size
        std = max(mixed, least) or old_std
        last = self.hidden[-1] if self.hidden else self.obs_dim
        weight, bias = theta[-last - 1 : -1], theta[-1:]
        weight *= old_std / std
        bias[:] = (old_std * bias.astype(np.float64) + (old_mean - mean)) / std
        return mean, std

    def _rows(self, obs: AnyArray) -> FloatArray:
        rows = observation_array("obs", obs)
        rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
        if self.obs_dim == 0:
            self._build(rows.shape[1])
        elif rows.shape[1] != self.obs_dim:
            raise ValueError(f"obs: expected shape (B, {self.obs_dim}), got {rows.shape}")
        return rows

    @property
    def _scaling(self) -> InputScaling | None:
        """The normaliser's statistics of this moment, for a compiled pass; None without a normaliser."""
        normalizer = self.normalizer  # read once: another thread may take it away
        return None if normalizer is None else normalizer.scaling

    def _build(self, obs_dim: int) -> None:
        self.obs_dim = obs_dim
        sizes = [obs_dim, *self.hidden, 1]
        self._make_kernels()
        # Zero everywhere at first: an untrained network predicts nothing.
        self._params = MLP(sizes, self.activation, self.dtype).init(self.seed, final_gain=0.0)
        self._m, self._v = np.zeros_like(self._params), np.zeros_like(self._params)

    def _make_kernels(self) -> None:
        sizes = [self.obs_dim, *self.hidden, 1]
        self._core = classes_of(self.dtype).ValueFit(sizes, self.activation)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_core"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if self.obs_dim:
            self._make_kernels()

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {
            "hidden": list(self.hidden),
            "activation": self.activation,
            "learning_rate": self.learning_rate,
            "n_epochs": self.n_epochs,
            "batch_size": self.batch_size,
            "max_grad_norm": self.max_grad_norm,
            "seed": self.seed,
            "dtype": self.dtype.name,
        }

    def state(self) -> Arrays:
        """Return weights, optimiser state and counters; nothing before the first observation."""
        if self.obs_dim == 0:
            return {}
        return {
            "params": self._params.copy(),
            "m": self._m.copy(),
            "v": self._v.copy(),
            "moments": np.array([self._mean, self._std]),
            "counters": np.array([self.obs_dim, self._num_fits, self._step], np.int64),
        }

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Become the network that ``state`` was taken from; a wrong state raises and changes nothing."""
        if not state:
            self.obs_dim, self._num_fits, self._step, self._mean, self._std = 0, 0, 0, 0.0, 0.0
            return
        missing = {"params", "m", "v", "moments", "counters"} - set(state)
        if missing:
            raise ValueError(f"state: expected entries {sorted(missing)}, got {sorted(state)}")
        counters = int_array("counters", state["counters"])
        check_shape("counters", counters, (3,))
        obs_dim, num_fits, step = counters.tolist()
        if obs_dim < 1 or num_fits < 0 or step < 0:
            raise ValueError(
                f"counters: expected a length of observations and counts >= 0, got {counters.tolist()}"
            )
        mean, std = state_entries(state, {"moments": (2,)})["moments"].tolist()
        if std < 0:
            raise ValueError(f"moments: expected a deviation >= 0, got {std}")
        size = MLP((obs_dim, *self.hidden, 1), self.activation, self.dtype).num_params
        shapes = dict.fromkeys(("params", "m", "v"), (size,))
        arrays = state_entries(state, shapes, self.dtype, not_negative=("v",))
        self._build(obs_dim)
        self._params, self._m, self._v = (arrays[name] for name in ("params", "m", "v"))
        self._mean, self._std = mean, std if num_fits else 0.0
        self._num_fits, self._step = num_fits, step
