"""`Policy`: what algorithms and estimators need of a distribution over actions, with defaults."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pgcore._arguments import (
    INT64,
    AnyDType,
    FloatArray,
    FloatDType,
    IntArray,
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
from pgcore._kinds import is_shipped, kind_of, register
from pgcore.curvature.fisher import Fisher, FisherOrigin
from pgcore.curvature.products import FisherProducts, ScoreProducts
from pgcore.policies.normalizer import ObservationNormalizer

__all__ = ["ActionArray", "Policy"]

ActionArray: TypeAlias = FloatArray | IntArray

_FISHER_KINDS = ("exact", "empirical")
_NOISE_KINDS = ("normal", "uniform")
_BLOCK_BYTES = 2**26  # of score rows at a time, unless all are asked for


class Policy(ABC):
    r"""A distribution π_θ(a∣o) over actions, with its score ∇_θ log π_θ(a∣o).

    `GaussianPolicy`, `CategoricalPolicy`, `MultiDiscretePolicy` and `MultiBinaryPolicy` are compiled. A
    family of your own derives from this class and writes `act`, `mode`, `log_prob`, `score_product` and
    `arguments`; all else has a default that is made of these. It then works with every algorithm and
    estimator. An algorithm that needs a closed form which is not among ``closed_forms`` raises an error that
    names the setting to use instead. Write `scores` too where there is a faster way than one row at a time.

    A policy with memory sets ``has_memory`` and writes `initial_state`. Then π(a_t∣o_t) is that of an action
    given all observations of its segment up to o_t, and methods that look at rows are given the beginnings of
    segments (``starts``, row numbers, the first one 0; by default all rows are one segment). Other policies
    are given neither ``starts`` nor a state.

    Parameters
    ----------
    obs_dim
        Length of an observation.
    action_shape
        Shape of one action: ``(A,)``, or ``()`` for a single choice.
    params
        Initial parameters, shape (P,).
    nvec
        How many each choice is among; None for real actions.
    noise_kind, noise_width
        What `act` turns into one action: so many numbers that are standard normal (``"normal"``) or uniform
        on [0, 1) (``"uniform"``). By default normal for real actions, uniform for choices, one for each.
    support
        Bounds of every component of a real action.
    dtype
        float32 or float64, of parameters and real actions.

    Attributes
    ----------
    obs_dim, action_shape, nvec, noise_kind, noise_width, support, dtype
        As given.
    action_dtype : numpy.dtype
        The policy's dtype for real actions, int64 for choices.
    num_params : int
        P, the length of ``params``.
    theta : numpy.ndarray
        The array that holds the parameters now. Read-only; assigning `params` puts a new one here.
    normalizer : ObservationNormalizer or None
        Statistics that observations are standardised with: callers always give raw ones.
    closed_forms : frozenset[str]
        Which of ``"entropy"`` (with its gradient), ``"kl"`` and ``"fisher"`` (the exact matrix) it has.
    has_memory : bool
        Whether an action depends on earlier observations of its segment.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``.

    Examples
    --------
    A coin with a learned bias, whatever is observed; half of the score's rows are 1 − p, half −p:

    >>> class Coin(Policy):
    ...     def __init__(self, obs_dim: int) -> None:
    ...         super().__init__(obs_dim, (), [0.0], nvec=(2,))
    ...     def arguments(self):
    ...         return {"obs_dim": self.obs_dim}
    ...     def p(self, params=None):
    ...         return 1 / (1 + np.exp(-self.checked_params(params)[0]))
    ...     def act(self, obs, noise, state=None):
    ...         return (noise[:, 0] < self.p()).astype(np.int64)
    ...     def mode(self, obs, state=None):
    ...         return np.full(len(obs), int(self.p() > 0.5))
    ...     def log_prob(self, obs, actions, *, params=None, starts=None):
    ...         _, actions = self.checked_data(obs, actions)
    ...         return np.log(np.where(actions == 1, self.p(params), 1 - self.p(params)))
    ...     def score_product(self, obs, actions, weights, *, starts=None):
    ...         _, actions = self.checked_data(obs, actions)
    ...         return np.array([np.dot(weights, actions - self.p())])
    >>> coin = Coin(3)
    >>> coin.scores(np.zeros((2, 3)), [1, 0]).tolist()
    [[0.5], [-0.5]]
    >>> coin.fisher(np.zeros((2, 3)), [1, 0], kind="empirical").dense().tolist()
    [[0.25]]
    """

    closed_forms: frozenset[str] = frozenset()
    has_memory: bool = False
    is_own: ClassVar[bool] = False
    """Whether the class is the user's own: what its methods return is checked."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_own = not is_shipped(cls)
        register(cls)

    def __init__(
        self,
        obs_dim: int,
        action_shape: tuple[int, ...],
        params: ArrayLike,
        *,
        nvec: tuple[int, ...] | None = None,
        noise_kind: Literal["normal", "uniform"] | None = None,
        noise_width: int | None = None,
        support: tuple[float, float] = (-math.inf, math.inf),
        dtype: DTypeLike = "float64",
    ) -> None:
        self.obs_dim = integer("obs_dim", obs_dim, minimum=1)
        self.action_shape = integers("action_shape", action_shape, minimum=1)
        # Python's own integers: those of a space are NumPy's, which JSON can't hold.
        self.nvec = None if nvec is None else integers("nvec", nvec, minimum=1)
        self.dtype: FloatDType = float_dtype("dtype", dtype)
        self.action_dtype: AnyDType = self.dtype if nvec is None else INT64
        self.noise_kind = noise_kind or ("normal" if nvec is None else "uniform")
        if self.noise_kind not in _NOISE_KINDS:
            raise ValueError(f"noise_kind: expected 'normal' or 'uniform', got {noise_kind!r}")
        width = math.prod(self.action_shape) if noise_width is None else noise_width
        self.noise_width = integer("noise_width", width, minimum=0)
        low, high = (real("support", bound, or_infinite=True) for bound in support)
        if not low < high:
            raise ValueError(f"support: expected a lower and a higher bound, got {support}")
        self.support = low, high
        self.normalizer: ObservationNormalizer | None = None
        theta = float_array("params", params, self.dtype)
        if theta.ndim != 1:
            raise ValueError(f"params: expected shape (P,), got {theta.shape}")
        self.num_params = len(theta)
        self.params = theta

    # Parameters and configuration

    @property
    def params(self) -> FloatArray:
        """The parameters θ, flat, shape (P,): reading gives a copy, assigning replaces them all."""
        return self.theta.copy()

    @params.setter
    def params(self, value: ArrayLike) -> None:
        theta = self.checked_params(value, "params").copy()
        theta.flags.writeable = False
        self.theta: FloatArray = theta

    @abstractmethod
    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments, except a seed of initial weights; all of them JSON-able."""

    def config(self) -> dict[str, object]:
        """Return what `from_config` needs to make a policy of the same kind and size; JSON-able."""
        arguments = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in self.arguments().items()
        }
        return {"kind": kind_of(type(self)), **arguments}

    def copy(self) -> Self:
        """Return an independent policy with the same parameters and normaliser statistics."""
        return deepcopy(self)

    # Acting

    def draw_noise(self, rng: np.random.Generator, num_steps: int, num_envs: int) -> FloatArray:
        """Draw all the randomness that ``num_steps`` calls of `act` in ``num_envs`` environments use.

        Returns
        -------
        numpy.ndarray
            Shape (num_steps, num_envs, noise_width), of ``noise_kind``.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
        shape = (num_steps, num_envs, self.noise_width)
        if self.noise_kind == "normal":
            return rng.standard_normal(shape, self.dtype.type)
        return rng.random(shape, self.dtype.type)

    def initial_state(self, num_envs: int) -> FloatArray | None:
        """Return the memory at the start of a segment, shape (num_envs, ...); None for a policy without."""
        if self.has_memory:
            raise NotImplementedError(f"initial_state: expected {type(self).__name__} to define it")
        return None

    @abstractmethod
    def act(self, obs: ArrayLike, noise: FloatArray, state: FloatArray | None = None) -> ActionArray:
        """Sample an action for each observation with given noise.

        Parameters
        ----------
        obs
            Shape (B, obs_dim).
        noise
            One step of `draw_noise`, shape (B, noise_width).
        state
            Memory of what came before, a row for each observation as `initial_state` makes them; overwritten
            by the memory afterwards. None for a policy without.

        Returns
        -------
        numpy.ndarray
            Actions, shape (B, \\*action_shape).
        """

    @abstractmethod
    def mode(self, obs: ArrayLike, state: FloatArray | None = None) -> ActionArray:
        """Return the most probable action (or a substitute), as `act`; ``state`` is overwritten too."""

    def actor(
        self, obs: FloatArray, noise: FloatArray, actions: ActionArray, state: FloatArray | None = None
    ) -> Callable[[int], object]:
        """Return `act` for the steps of one rollout.

        Parameters
        ----------
        obs, noise, actions
            Arrays of (T, N, ...): of observations and noise (from `draw_noise`) as they will be, and to write
            into.
        state
            Shape (N, ...), as for `act`.

        Returns
        -------
        callable
            ``f(t)`` writes ``actions[t]``, sampled at ``obs[t]`` with ``noise[t]`` as they are then.
        """

        def step(t: int) -> None:
            actions[t] = self.checked_actions(self.act(obs[t], noise[t], state), len(obs[t]))

        return step

    def sample(self, obs: ArrayLike, rng: np.random.Generator) -> tuple[ActionArray, FloatArray]:
        """Sample an action for each observation; with memory, as the first of its segment.

        Returns
        -------
        actions : numpy.ndarray
            Shape (B, \\*action_shape).
        log_probs : numpy.ndarray
            Their log π(a∣o) in nats, shape (B,).

        Raises
        ------
        TypeError, ValueError
            As `act`.
        """
        rows = self.checked_obs(obs)
        noise = self.draw_noise(rng, 1, len(rows))[0]
        actions = self.checked_actions(self.act(rows, noise, self.initial_state(len(rows))), len(rows))
        return actions, self.log_prob(rows, actions, **self._segments(np.arange(len(rows))))

    # The distribution

    @abstractmethod
    def log_prob(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        *,
        params: ArrayLike | None = None,
        starts: ArrayLike | None = None,
    ) -> FloatArray:
        """Return log π(a∣o) in nats, shape (B,).

        Parameters
        ----------
        obs, actions
            Shapes (B, obs_dim) and (B, \\*action_shape).
        params
            Use these as θ, shape (P,); the policy keeps its own. `checked_params` returns the right ones.
        starts
            For a policy with memory, the row at which each segment begins, shape (E,).
        """

    def entropy(
        self, obs: ArrayLike, *, params: ArrayLike | None = None, starts: ArrayLike | None = None
    ) -> FloatArray:
        """Return the entropy of π(·∣o) in nats, shape (B,); ``params`` as in `log_prob`.

        Raises
        ------
        TypeError
            If ``"entropy"`` is not among the closed forms: take the mean of −log π over samples.
        """
        raise self._lacks("entropy", "entropy", "the mean of -log_prob over samples estimates it")

    def kl(
        self,
        obs: ArrayLike,
        params_old: ArrayLike,
        *,
        params: ArrayLike | None = None,
        starts: ArrayLike | None = None,
    ) -> FloatArray:
        """Return KL(π_old‖π) in nats at each observation, shape (B,), from other parameters to these.

        Raises
        ------
        TypeError
            If ``"kl"`` is not among the closed forms: `divergence` estimates it from actions.
        """
        raise self._lacks("kl", "KL", "pgcore.policies.divergence estimates it from actions")

    # The score

    @abstractmethod
    def score_product(
        self, obs: ArrayLike, actions: ArrayLike, weights: ArrayLike, *, starts: ArrayLike | None = None
    ) -> FloatArray:
        r"""Return :math:`\sum_i w_i \nabla\log\pi(a_i\mid o_i)`, shape (P,).

        This is the weighted maximum-likelihood gradient; with rewards-to-go (or advantages) for weights it
        is the policy gradient, summed over the batch.
        """

    def scores(self, obs: ArrayLike, actions: ArrayLike, *, starts: ArrayLike | None = None) -> FloatArray:
        """Return ∇ log π(a_i∣o_i) as rows, shape (B, P); by default with a `score_product` for each."""
        rows, taken = self.checked_data(obs, actions)
        out = np.empty((len(rows), self.num_params), self.dtype)
        first = 0
        for segment in self._runs(len(rows), starts, 1):
            first = segment.start
            for i in range(first, segment.stop):
                part = slice(first, i + 1)
                weights = np.zeros(i + 1 - first, self.dtype)
                weights[-1] = 1.0
                out[i] = self.score_product(rows[part], taken[part], weights, **self._segments([0]))
        return out

    def episode_scores(
        self, obs: ArrayLike, actions: ArrayLike, ends: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        r"""Return :math:`\sum_t w_t \nabla\log\pi(a_t\mid o_t)` of each episode, shape (E, P).

        ``ends``, shape (B,), is true at each episode's last step; the last row always counts as an end.
        ``weights``, shape (B,), are ones by default.
        """
        rows, taken = self.checked_data(obs, actions)
        weights = self.checked_weights(np.ones(len(rows)) if weights is None else weights, len(rows))
        bounds = self.episode_bounds(ends, len(rows))
        out = np.empty((len(bounds) - 1, self.num_params), self.dtype)
        for i, part in enumerate(map(slice, bounds[:-1], bounds[1:])):
            out[i] = self.score_product(rows[part], taken[part], weights[part], **self._segments([0]))
        return out

    def score_sq_norms(
        self, obs: ArrayLike, actions: ArrayLike, *, starts: ArrayLike | None = None
    ) -> FloatArray:
        """Return ‖∇ log π(a_i∣o_i)‖², shape (B,)."""
        rows, taken = self.checked_data(obs, actions)
        out = np.empty(len(rows), self.dtype)
        block = max(1, int(_BLOCK_BYTES / (self.dtype.itemsize * max(self.num_params, 1))))
        for part in self._runs(len(rows), starts, block):
            scores = self.scores(rows[part], taken[part], **self._segments([0]))
            out[part] = np.square(scores, dtype=np.float64).sum(axis=1)
        return out

    def entropy_gradient(self, obs: ArrayLike, *, starts: ArrayLike | None = None) -> FloatArray:
        r"""Return :math:`\sum_i \nabla H(\pi(\cdot\mid o_i))`, shape (P,): what an entropy bonus adds.

        Raises
        ------
        TypeError
            If ``"entropy"`` is not among the closed forms.
        """
        raise self._lacks("entropy_gradient", "entropy", "train with ent_coef=0")

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
        starts: ArrayLike | None = None,
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
            Up to this size activations (for a family in Python: scores) are kept from product to product,
            B·(widths of all layers) numbers (B·P); beyond it they are computed again in each.
        starts
            As in `log_prob`.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or range, the exact matrix of a policy without one in
            closed form, and ``num_samples`` of one with memory.
        """
        if kind not in _FISHER_KINDS:
            raise ValueError(f"kind: expected 'exact' or 'empirical', got {kind!r}")
        if kind == "exact" and "fisher" not in self.closed_forms:
            raise ValueError(
                f"kind: expected 'empirical' for {type(self).__name__}, whose Fisher matrix has no closed "
                "form, got 'exact'"
            )
        rows = self.checked_obs(obs)
        taken: ActionArray | None = None
        if kind == "empirical":
            if actions is None:
                raise ValueError("actions: expected those taken for kind 'empirical', got None")
            rows, taken = self.checked_data(rows, actions)
        if len(rows) == 0:
            raise ValueError("obs: expected at least one observation, got none")
        if num_samples is not None and integer("num_samples", num_samples, minimum=1) < len(rows):
            if self.has_memory:
                raise ValueError(f"num_samples: expected None for a policy with memory, got {num_samples}")
            rng = np.random.default_rng(integer("seed", seed, minimum=0))
            sample = np.sort(rng.choice(len(rows), num_samples, replace=False))
            rows, taken = rows[sample], None if taken is None else taken[sample]
        cache = real("max_cache_bytes", max_cache_bytes, minimum=0.0, or_infinite=True)
        damping = real("damping", damping, minimum=0.0)
        normalizer = None if self.normalizer is None else self.normalizer.copy()
        begin = self.checked_starts(starts, len(rows)) if self.has_memory else None
        origin = FisherOrigin(self, self.theta, normalizer, rows, taken, begin, cache)
        return Fisher(self.fisher_products(origin), kind, damping, origin)

    def fisher_products(self, origin: FisherOrigin) -> FisherProducts:
        """Return how to multiply by the matrix of these rows: by default from `scores`."""
        return ScoreProducts(origin.frozen_policy(), origin)

    # Arguments

    def checked_params(self, params: ArrayLike | None, name: str = "params") -> FloatArray:
        """Return parameters in the policy's dtype, its own for None; another shape raises a `ValueError`."""
        if params is None:
            return self.theta
        array = float_array(name, params, self.dtype)
        check_shape(name, array, (self.num_params,))
        return array

    def checked_obs(self, obs: ArrayLike) -> FloatArray:
        """Return observations as (B, obs_dim), in a dtype that loses nothing of them."""
        array = observation_array("obs", obs)
        if array.ndim != 2 or array.shape[1] != self.obs_dim:
            raise ValueError(f"obs: expected shape (B, {self.obs_dim}), got {array.shape}")
        return array

    def checked_data(self, obs: ArrayLike, actions: ArrayLike) -> tuple[FloatArray, ActionArray]:
        """Return observations as `checked_obs`, and as many actions in ``action_dtype``."""
        rows = self.checked_obs(obs)
        array: ActionArray
        if self.nvec is None:
            array = float_array("actions", actions, self.dtype)
        else:
            array = int_array("actions", actions)
        check_shape("actions", array, (len(rows), *self.action_shape))
        return rows, array

    def checked_actions(self, actions: ArrayLike, num_rows: int, name: str = "act") -> ActionArray:
        """Return as many actions in ``action_dtype``, which must be in the policy's own space.

        Nothing is broadcast or rounded: what a method ``name`` returned would else become another action.
        """
        array = np.asarray(actions)
        expected = (num_rows, *self.action_shape)
        if array.shape != expected:
            raise ValueError(f"{name}: expected actions of shape {expected}, got {array.shape}")
        if array.dtype.kind not in ("biuf" if self.nvec is None else "biu"):
            wanted = "real numbers" if self.nvec is None else "integers"
            raise TypeError(f"{name}: expected {wanted} as actions, got {array.dtype}")
        if self.nvec is not None:
            bounds = np.reshape(self.nvec, self.action_shape)
            outside = (array < 0) | (array >= bounds)
            if outside.any():
                index = np.unravel_index(outside.argmax(), outside.shape)
                largest = int(np.broadcast_to(bounds, array.shape)[index]) - 1
                raise ValueError(f"{name}: expected actions from 0 to {largest}, got {array[index]}")
        taken: ActionArray = array.astype(self.action_dtype, copy=False)
        return taken

    def checked_weights(self, weights: ArrayLike, num_rows: int) -> FloatArray:
        """Return weights in the policy's dtype, shape (num_rows,)."""
        array = float_array("weights", weights, self.dtype)
        check_shape("weights", array, (num_rows,))
        return array

    def checked_starts(self, starts: ArrayLike | None, num_rows: int) -> IntArray:
        """Return where segments begin: increasing row numbers, the first one 0; one segment for None."""
        array = np.zeros(min(num_rows, 1), np.int64) if starts is None else int_array("starts", starts)
        good = array.ndim == 1 and (np.diff(array, prepend=-1, append=num_rows) > 0).all()
        if not good or (num_rows and (len(array) == 0 or array[0] != 0)):
            raise ValueError(f"starts: expected increasing row numbers from 0 to {num_rows - 1}, got {array}")
        return array

    def episode_bounds(self, ends: ArrayLike, num_rows: int) -> IntArray:
        """Return the first row of each episode, and ``num_rows``, from flags at their last steps."""
        last = np.flatnonzero(bool_array("ends", ends, (num_rows,)))
        bounds = np.concatenate([[0], last + 1]).astype(np.int64)
        return bounds if bounds[-1] == num_rows else np.append(bounds, num_rows)

    def inputs(self, obs: ArrayLike) -> FloatArray:
        """Return observations as a network takes them: (B, obs_dim), standardised, in the policy's dtype."""
        rows = self.checked_obs(obs)
        normalizer = self.normalizer  # read once: another thread may replace it
        if normalizer is None:
            return rows.astype(self.dtype, copy=False)
        out = np.empty(rows.shape, self.dtype)
        normalizer.scaling.normalize(rows, out)
        return out

    def _segments(self, starts: ArrayLike) -> dict[str, ArrayLike]:
        """The keyword that gives this policy's own methods the beginnings of segments."""
        return {"starts": starts} if self.has_memory else {}

    def _runs(self, num_rows: int, starts: ArrayLike | None, block: int) -> Iterator[slice]:
        """Rows that can be processed on their own: segments where there is memory, else blocks."""
        if not self.has_memory:
            bounds = [*range(0, num_rows, block), num_rows]
        else:
            bounds = [*self.checked_starts(starts, num_rows).tolist(), num_rows]
        yield from map(slice, bounds[:-1], bounds[1:])

    def _lacks(self, name: str, form: str, alternative: str) -> TypeError:
        kind = type(self).__name__
        return TypeError(f"{name}: expected a policy with a closed-form {form}, got {kind}; {alternative}")

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({arguments})"

    # A copy that shared the normaliser would not be independent.

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.theta.flags.writeable = False
