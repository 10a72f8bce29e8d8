"""Value functions as baselines: the bridge, and the network under the name that users know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from pgcore import values
from pgcore._arguments import AnyArray, Arrays, FloatArray, FloatDType
from pgcore._kinds import is_shipped
from pgcore.baselines.base import Baseline, raw_bootstrap_obs, scattered_bootstrap_values
from pgcore.values import ValueFunction
from pgcore.values.base import checked_targets

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.policies import ObservationNormalizer

__all__ = ["ValueBaseline", "ValueNetwork", "as_baseline"]

T = TypeVar("T")


class ValueBaseline(Baseline):
    """A value function of the observation as a baseline: b_t = v(o_t).

    The value of a truncated segment's last observation stands for what follows it.

    Parameters
    ----------
    function
        A `pgcore.values.ValueFunction`, or the ``config()`` of one.

    Attributes
    ----------
    function
        The value function.

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore import Batch
    >>> obs = np.linspace(-1, 1, 256)[:, None]
    >>> batch = Batch(obs, np.zeros(256), np.zeros(256), ends=np.zeros(256, bool))
    >>> baseline = ValueBaseline(values.ValueNetwork(n_epochs=50))
    >>> loss = baseline.fit(batch, 100 * obs[:, 0])["value_loss"]
    >>> bool(np.abs(baseline.values(batch, obs[:, 0]) - 100 * obs[:, 0]).mean() < 10)
    True
    """

    needs_whole_episodes = False

    def __init__(self, function: ValueFunction | Mapping[str, object]) -> None:
        if isinstance(function, Mapping):
            function = values.from_config(function)
        if not isinstance(function, ValueFunction):
            raise TypeError(f"function: expected a pgcore.values.ValueFunction, got {function!r}")
        self.function = function

    @property
    def normalizer(self) -> ObservationNormalizer | None:
        """That of the value function."""
        return self.function.normalizer

    @normalizer.setter
    def normalizer(self, normalizer: ObservationNormalizer | None) -> None:
        self.function.normalizer = normalizer

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Return v(o_t) for every step, (B,)."""
        return self.predict(batch.obs).astype(returns.dtype, copy=False)

    def bootstrap_values(self, batch: Batch) -> FloatArray:
        """Return v of the observation each truncated segment stops at."""
        if batch.num_truncated == 0:
            return super().bootstrap_values(batch)
        values = self.predict(raw_bootstrap_obs(batch))
        return scattered_bootstrap_values(batch, values.astype(batch.rewards.dtype, copy=False))

    def predict(self, obs: AnyArray) -> FloatArray:
        """Return v(o) of raw observations (B, …), shape (B,)."""
        predicted = self.function.predict(_rows(obs))
        if predicted.shape != (len(obs),):
            raise ValueError(f"predict: expected values of shape ({len(obs)},), got {predicted.shape}")
        return predicted

    def fit(self, batch: Batch, targets: FloatArray) -> dict[str, float]:
        """Let the value function learn; see its `fit`. No steps teach nothing.

        Raises
        ------
        ValueError
            If ``targets`` are not one finite number for each step.
        """
        returns = checked_targets(batch.num_steps, targets)
        return self.function.fit(_rows(batch.obs), returns) if batch.num_steps else {}

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {"function": self.function.config()}

    def state(self) -> Arrays:
        """Return what the value function has learned, as copies."""
        state = self.function.state()
        if is_shipped(type(self.function)):
            return state
        return {name: np.array(value) for name, value in state.items()}  # whatever the user's class returns

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Let the value function become the one that ``state`` was taken from."""
        self.function.load_state(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.function!r})"


class _OfTheNetwork(Generic[T]):
    """An attribute that the network has; read and assigned there."""

    def __set_name__(self, owner: type[ValueNetwork], name: str) -> None:
        self.name = name

    def __get__(self, baseline: ValueNetwork, owner: type[ValueNetwork]) -> T:
        value: T = getattr(baseline.function, self.name)
        return value

    def __set__(self, baseline: ValueNetwork, value: T) -> None:
        setattr(baseline.function, self.name, value)


class ValueNetwork(ValueBaseline):
    """A network's value as a baseline: `ValueBaseline` of a `pgcore.values.ValueNetwork`, in one name.

    Parameters and attributes are the network's.

    Examples
    --------
    >>> ValueNetwork((32,)).function
    ValueNetwork(hidden=[32], activation='tanh', learning_rate=0.001, n_epochs=10, batch_size=64, \
max_grad_norm=None, seed=0, dtype='float32')
    """

    function: values.ValueNetwork
    hidden = _OfTheNetwork[tuple[int, ...]]()
    activation = _OfTheNetwork[str]()
    learning_rate = _OfTheNetwork[float]()
    n_epochs = _OfTheNetwork[int]()
    batch_size = _OfTheNetwork[int]()
    max_grad_norm = _OfTheNetwork[float | None]()
    seed = _OfTheNetwork[int]()
    dtype = _OfTheNetwork[FloatDType]()
    obs_dim = _OfTheNetwork[int]()

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
        network = values.ValueNetwork(
            hidden,
            activation=activation,
            learning_rate=learning_rate,
            n_epochs=n_epochs,
            batch_size=batch_size,
            max_grad_norm=max_grad_norm,
            seed=seed,
            dtype=dtype,
        )
        super().__init__(network)

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {name: value for name, value in self.function.config().items() if name != "kind"}

    def __repr__(self) -> str:
        return repr(self.function).replace("ValueNetwork", type(self).__name__, 1)


def as_baseline(baseline: Baseline | ValueFunction) -> Baseline:
    """Return a value function as a baseline, and a baseline as it is.

    >>> as_baseline(values.ValueNetwork())
    ValueBaseline(ValueNetwork(hidden=[64, 64], activation='tanh', learning_rate=0.001, n_epochs=10, \
batch_size=64, max_grad_norm=None, seed=0, dtype='float32'))
    """
    return ValueBaseline(baseline) if isinstance(baseline, ValueFunction) else baseline


def _rows(obs: AnyArray) -> AnyArray:
    """Flat observations, (B, D)."""
    return obs.reshape(len(obs), math.prod(obs.shape[1:]))
