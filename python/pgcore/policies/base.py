"""`Policy`: what every parameterised distribution over actions can do, on top of its compiled kernels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pgcore._arguments import (
    bool_array,
    check_shape,
    float_array,
    float_dtype,
    int_array,
    integer,
    integers,
    observation_array,
    real,
)
from pgcore._dispatch import classes_of
from pgcore._kinds import kind_of, register
from pgcore.curvature.fisher import Fisher, FisherOrigin
from pgcore.kernels import MLP
from pgcore.policies.acting import Acting
from pgcore.policies.normalizer import ObservationNormalizer

__all__ = ["Policy"]

FloatArray = NDArray[np.floating[Any]]
_FISHER_KINDS = ("exact", "empirical")
_ACTIVATIONS = ("tanh", "relu", "gelu", "identity")
_FINAL_GAIN = 0.01  # nearly the same distribution everywhere at first (Andrychowicz et al. 2021, section 3.2)


class Policy(Acting):
    r"""A distribution π_θ(a∣o) made by a network, with its analytic score ∇_θ log π_θ(a∣o).

    Make one of its families: `GaussianPolicy`, `CategoricalPolicy`, `MultiDiscretePolicy`,
    `MultiBinaryPolicy`.

    Observations are (B, obs_dim). With a `normalizer` they are standardised inside the compiled pass, so
    callers always give raw ones: in double precision, as they came. Then they are cast to the policy's dtype.

    Attributes
    ----------
    obs_dim : int
        Length of an observation.
    action_shape : tuple[int, ...]
        Shape of one action: ``(A,)``, or ``()`` for a single choice.
    action_dtype : numpy.dtype
        The policy's dtype for real actions, int64 for choices.
    nvec : tuple[int, ...] or None
        How many each choice is among; None for real actions.
    num_params : int
        P, the length of ``params``.
    normalizer : ObservationNormalizer or None
        Statistics that observations are standardised with.
    """

    nvec: tuple[int, ...] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    def __init__(
        self,
        obs_dim: int,
        num_outputs: int,
        head: tuple[Any, ...],
        *,
        hidden: Sequence[int],
        activation: str,
        dtype: DTypeLike,
        seed: int,
    ) -> None:
        self.obs_dim = integer("obs_dim", obs_dim, minimum=1)
        self.hidden = integers("hidden", hidden, minimum=1)
        self.activation = activation
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
        self.dtype = float_dtype("dtype", dtype)
        self.normalizer: ObservationNormalizer | None = None
        self._head = head
        self._core = self._kernels()
        self.num_params: int = self._core.num_params
        self._params = np.zeros(self.num_params, self.dtype)
        net = MLP((self.obs_dim, *self.hidden, num_outputs), activation, self.dtype)
        self._params[: net.num_params] = net.init(seed, final_gain=_FINAL_GAIN)

    @property
    def params(self) -> FloatArray:
        """The parameters θ, flat, shape (P,): reading gives a copy, assigning replaces them all.

        The network's weights (out, in) row-major and biases, layer by layer, then the family's extra ones.
        """
        return self._params.copy()

    @params.setter
    def params(self, value: ArrayLike) -> None:
        array = float_array("params", value, self.dtype)
        check_shape("params", array, (self.num_params,))
        self._params = array.copy()

    def copy(self) -> Self:
        """Return an independent policy with the same parameters and normaliser statistics."""
        return deepcopy(self)

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, all of them JSON-able."""

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make a policy of the same kind and size; JSON-able.

        A class of your own whose constructor takes other arguments adds them by their names.
        """
        return {"kind": kind_of(type(self)), **self._arguments()}

    def _network_arguments(self) -> dict[str, Any]:
        return {
            "obs_dim": self.obs_dim,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "dtype": self.dtype.name,
        }

    # The distribution

    def log_prob(self, obs: ArrayLike, actions: ArrayLike) -> FloatArray:
        """Return log π(a∣o) in nats, shape (B,)."""
        obs, actions = self._data(obs, actions)
        out = np.empty(len(obs), self.dtype)
        self._core.log_prob(self._params, obs, self._scaling, actions, out)
        return out

    def entropy(self, obs: ArrayLike) -> FloatArray:
        """Return the entropy of π(·∣o) in nats, shape (B,)."""
        obs = self._obs(obs)
        out = np.empty(len(obs), self.dtype)
        self._core.entropy(self._params, obs, self._scaling, out)
        return out

    def kl(self, obs: ArrayLike, params_old: ArrayLike) -> FloatArray:
        """Return KL(π_old‖π) in nats at each observation, shape (B,), from other parameters to these."""
        obs = self._obs(obs)
        old = float_array("params_old", params_old, self.dtype)
        check_shape("params_old", old, (self.num_params,))
        out = np.empty(len(obs), self.dtype)
        self._core.kl(old, self._params, obs, self._scaling, out)
        return out

    # The score

    def score_product(self, obs: ArrayLike, actions: ArrayLike, weights: ArrayLike) -> FloatArray:
        r"""Return :math:`\sum_i w_i \nabla\log\pi(a_i\mid o_i)`, shape (P,).

        This is the weighted maximum-likelihood gradient; with rewards-to-go (or advantages) for weights it
        is the policy gradient, summed over the batch.
        """
        obs, actions = self._data(obs, actions)
        weights = float_array("weights", weights, self.dtype)
        check_shape("weights", weights, (len(obs),))
        out = np.empty(self.num_params, self.dtype)
        self._core.score_product(self._params, obs, self._scaling, actions, weights, out)
        return out

    def scores(self, obs: ArrayLike, actions: ArrayLike) -> FloatArray:
        """Return ∇ log π(a_i∣o_i) as rows, shape (B, P)."""
        obs, actions = self._data(obs, actions)
        out = np.empty((len(obs), self.num_params), self.dtype)
        self._core.scores(self._params, obs, self._scaling, actions, out)
        return out

    def episode_scores(
        self, obs: ArrayLike, actions: ArrayLike, ends: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        r"""Return :math:`\sum_t w_t \nabla\log\pi(a_t\mid o_t)` of each episode, shape (E, P).

        ``ends``, shape (B,), is true at each episode's last step; the last row always counts as an end.
        ``weights``, shape (B,), are ones by default.
        """
        obs, actions = self._data(obs, actions)
        if weights is not None:
            weights = float_array("weights", weights, self.dtype)
            check_shape("weights", weights, (len(obs),))
        flags = bool_array("ends", ends, (len(obs),))
        last = np.flatnonzero(flags)
        starts = np.concatenate([[0], last + 1]).astype(np.int64)
        if starts[-1] != len(obs):
            starts = np.append(starts, len(obs))
        out = np.empty((len(starts) - 1, self.num_params), self.dtype)
        self._core.episode_scores(self._params, obs, self._scaling, actions, weights, starts, out)
        return out

    def score_sq_norms(self, obs: ArrayLike, actions: ArrayLike) -> FloatArray:
        """Return ‖∇ log π(a_i∣o_i)‖², shape (B,), without forming the rows."""
        obs, actions = self._data(obs, actions)
        out = np.empty(len(obs), self.dtype)
        self._core.score_sq_norms(self._params, obs, self._scaling, actions, out)
        return out

    def entropy_gradient(self, obs: ArrayLike) -> FloatArray:
        r"""Return :math:`\sum_i \nabla H(\pi(\cdot\mid o_i))`, shape (P,): what an entropy bonus adds."""
        obs = self._obs(obs)
        out = np.empty(self.num_params, self.dtype)
        self._core.entropy_gradient(self._params, obs, self._scaling, out)
        return out

    # Curvature

    def fisher(
        self,
        obs: ArrayLike,
        actions: ArrayLike | None = None,
        *,
        kind: Literal["exact", "empirical"] = "exact",
        damping: float = 0.0,
        num_samples: int | None = None,
        seed: int = 0,
        max_cache_bytes: float = 2**28,
    ) -> Fisher:
        r"""Return the Fisher matrix over a batch of observations as an operator.

        Parameters
        ----------
        obs
            Shape (B, obs_dim), at least one.
        actions
            For ``"empirical"``: the actions taken, shape (B, \*action_shape). ``"exact"`` looks at none.
        kind
            ``"exact"``: the expectation over the policy's own actions, in closed form. ``"empirical"``: the
            mean outer product of the scores of the given actions.
        damping
            Multiple of the identity to add, not negative.
        num_samples
            Take that many rows of the batch, drawn without replacement; all by default, or where there are
            fewer.
        seed
            Of that draw.
        max_cache_bytes
            Up to this size activations are kept from product to product, B·(widths of all layers) numbers;
            beyond it they are computed again in each.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or range.
        """
        if kind not in _FISHER_KINDS:
            raise ValueError(f"kind: expected 'exact' or 'empirical', got {kind!r}")
        rows = self._obs(obs)
        choices: NDArray[Any] | None = None
        if kind == "empirical":
            if actions is None:
                raise ValueError("actions: expected those taken for kind 'empirical', got None")
            rows, choices = self._data(rows, actions)
        if len(rows) == 0:
            raise ValueError("obs: expected at least one observation, got none")
        if num_samples is not None and integer("num_samples", num_samples, minimum=1) < len(rows):
            rng = np.random.default_rng(integer("seed", seed, minimum=0))
            sample = np.sort(rng.choice(len(rows), num_samples, replace=False))
            rows, choices = rows[sample], None if choices is None else choices[sample]
        cache = real("max_cache_bytes", max_cache_bytes, minimum=0.0, or_infinite=True)
        damping = real("damping", damping, minimum=0.0)
        normalizer = None if self.normalizer is None else self.normalizer.copy()
        scaling = None if normalizer is None else normalizer.scaling
        kernels = classes_of(self.dtype).Fisher(self._core, self._params, rows, scaling, choices, cache)
        origin = FisherOrigin(self, self._params, normalizer, rows, choices, cache)
        return Fisher(kernels, kind, damping, origin)

    # Arguments

    def _obs(self, obs: ArrayLike) -> FloatArray:
        array = observation_array("obs", obs)
        if array.ndim != 2 or array.shape[1] != self.obs_dim:
            raise ValueError(f"obs: expected shape (B, {self.obs_dim}), got {array.shape}")
        return array

    def _data(self, obs: ArrayLike, actions: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
        """Return checked observations, and actions as (B, width)."""
        rows = self._obs(obs)
        array: NDArray[Any]
        if self.action_dtype.kind == "f":
            array = float_array("actions", actions, self.dtype)
        else:
            array = int_array("actions", actions)
        check_shape("actions", array, (len(rows), *self.action_shape))
        return rows, array.reshape(len(rows), self._width)

    @property
    def _scaling(self) -> Any:
        """The normaliser's statistics of this moment, for a compiled pass; None without a normaliser."""
        normalizer = self.normalizer  # read once: another thread may take it away
        return None if normalizer is None else normalizer.scaling

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"

    # Compiled kernels are made anew. A copy that shared the normaliser would not be independent.

    def _kernels(self) -> Any:
        return classes_of(self.dtype).Policy(self.obs_dim, list(self.hidden), self.activation, *self._head)

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_core": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = self._kernels()
