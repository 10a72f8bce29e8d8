"""`CompiledPolicy`: a policy whose distribution and network are compiled, with every closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pgcore._arguments import (
    FLOAT32,
    FLOAT64,
    Float64Array,
    FloatArray,
    check_shape,
    float_array,
    float_dtype,
    integer,
    integers,
    output,
)
from pgcore._dispatch import classes_of
from pgcore.curvature.fisher import FisherOrigin
from pgcore.curvature.products import CompiledProducts
from pgcore.kernels import MLP
from pgcore.kernels.coercion import computed
from pgcore.policies.base import ActionArray, Policy

if TYPE_CHECKING:
    from pgcore import _core

__all__ = ["CompiledPolicy"]

Head: TypeAlias = tuple[str, Sequence[int]] | tuple[str, Sequence[int], float, Float64Array | None]
"""Name of a distribution, sizes; of a normal one also the initial log σ and a fixed factor of Σ."""

_ACTIVATIONS = ("tanh", "relu", "gelu", "identity")
_FINAL_GAIN = 0.01  # nearly the same distribution everywhere at first (Andrychowicz et al. 2021, section 3.2)


class CompiledPolicy(Policy):
    """The part that the compiled families share: passes over network and distribution, in one call each.

    Observations are standardised inside the compiled pass: in double precision, as they came. Then they are
    cast to the policy's dtype. No compiled family has memory: ``state`` and ``starts`` are not read.

    Parameters
    ----------
    obs_dim
        Length of an observation.
    num_outputs
        Of the network.
    action_shape, nvec
        As for `Policy`.
    head
        The distribution, as the compiled core takes it.
    free
        Initial values of the parameters that follow the network's.
    hidden, activation, dtype, seed
        As for `GaussianPolicy`.

    Attributes
    ----------
    kernels
        The compiled distribution; compiled passes of this package take it together with `theta`, rows from
        `compiled_data`, and `scaling`.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy, GaussianPolicy
    >>> [isinstance(policy, CompiledPolicy) for policy in (GaussianPolicy(3, 1), CategoricalPolicy(4, 2))]
    [True, True]
    >>> sorted(CompiledPolicy.closed_forms)
    ['entropy', 'fisher', 'kl']
    """

    closed_forms = frozenset({"entropy", "kl", "fisher"})

    def __init__(
        self,
        obs_dim: int,
        num_outputs: int,
        action_shape: tuple[int, ...],
        head: Head,
        *,
        nvec: tuple[int, ...] | None = None,
        free: ArrayLike = 0.0,
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
        self._head = head
        self.kernels = self._make_kernels(action_shape)
        params = np.zeros(self.kernels.num_params, self.dtype)
        net = MLP((self.obs_dim, *self.hidden, num_outputs), activation, self.dtype)
        params[: net.num_params] = net.init(seed, final_gain=_FINAL_GAIN)
        params[net.num_params :] = free
        super().__init__(obs_dim, action_shape, params, nvec=nvec, dtype=self.dtype)
        self._width = self.noise_width  # of an action

    def network_arguments(self) -> dict[str, object]:
        """Return the arguments that all these families have, JSON-able."""
        return {
            "obs_dim": self.obs_dim,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "dtype": self.dtype.name,
        }

    # Acting

    def act(
        self,
        obs: ArrayLike,
        noise: FloatArray,
        state: FloatArray | None = None,
        *,
        out: ActionArray | None = None,
    ) -> ActionArray:
        """Sample an action for each observation with given noise; one compiled call.

        Parameters
        ----------
        obs
            Shape (B, obs_dim).
        noise
            One step of `draw_noise`, shape (B, noise_width).
        state
            Not read.
        out
            C-contiguous array of ``action_dtype`` and the result's shape to write into.

        Returns
        -------
        numpy.ndarray
            Actions, shape (B, \\*action_shape).

        Raises
        ------
        TypeError, ValueError
            For arrays of the wrong kind or shape; and for choices that have no probabilities, because an
            observation or the parameters are not finite. Real actions are NaN there.
        """
        exact = self.kernels.act(self.theta, obs, self.scaling, noise, out)
        if exact is not None:
            return exact
        rows = self.checked_obs(obs)
        noise = float_array("noise", noise, self.dtype)
        check_shape("noise", noise, (len(rows), self.noise_width))
        if out is not None:
            output("out", out, (len(rows), *self.action_shape), self.action_dtype)
        actions = computed(self.kernels.act(self.theta, rows, self.scaling, noise, None))
        if out is None:
            return actions
        out[...] = actions
        return out

    def actor(
        self, obs: FloatArray, noise: FloatArray, actions: ActionArray, state: FloatArray | None = None
    ) -> Callable[[int], object]:
        """Return `act` for the steps of one rollout, whose arrays it checks once instead of at every step.

        Parameters
        ----------
        obs
            C-contiguous array of float32 or float64, shape (T or more, N, obs_dim).
        noise
            From `draw_noise`, shape (T, N, noise_width).
        actions
            C-contiguous array of ``action_dtype`` to write into, shape (T, N, \\*action_shape).
        state
            Not read.

        Returns
        -------
        callable
            ``f(t)`` writes ``actions[t]``, sampled at ``obs[t]`` with ``noise[t]`` as they are then, with the
            parameters and the normaliser's statistics that the policy has now. It raises `ValueError` where
            `act` would.
        """
        if type(self).act is not CompiledPolicy.act:  # a class of the user's acts in its own way
            return super().actor(obs, noise, actions, state)
        numbers = float_array("noise", noise, self.dtype)
        if numbers.ndim != 3:
            raise ValueError(f"noise: expected shape (T, N, {self.noise_width}), got {numbers.shape}")
        T, N, _ = numbers.shape
        # Both exactly as they are: a converted copy would not see what the environments write later.
        wide = getattr(obs, "dtype", None) == FLOAT64
        obs = output("obs", obs, (max(T, len(obs)), N, self.obs_dim), FLOAT64 if wide else FLOAT32)
        actions = output("actions", actions, (T, N, *self.action_shape), self.action_dtype)
        classes = classes_of(self.dtype)
        make = classes.RealActor if self.nvec is None else classes.ChoiceActor
        step = make(
            self.kernels,
            self.theta,
            obs.reshape(-1, self.obs_dim),
            self.scaling,
            numbers.reshape(T * N, -1),
            cast("Any", actions.reshape(T * N, self._width)),  # checked above: of the class's kind
            N,
        )
        if numbers is noise:
            return step

        def converting_step(t: int) -> None:  # of noise that a class of the user's drew in another dtype
            numbers[t] = noise[t]
            step(t)

        return converting_step

    def sample(self, obs: ArrayLike, rng: np.random.Generator) -> tuple[ActionArray, FloatArray]:
        """Sample an action for each observation, with its log π(a∣o); as `Policy.sample`, in one call."""
        if type(self).act is not CompiledPolicy.act:
            return super().sample(obs, rng)
        rows = self.checked_obs(obs)
        noise = self.draw_noise(rng, 1, len(rows))[0]
        return computed(self.kernels.sample(self.theta, rows, self.scaling, noise))

    def mode(self, obs: ArrayLike, state: FloatArray | None = None) -> ActionArray:
        """Return the most probable action for each observation, shape (B, \\*action_shape).

        Raises
        ------
        TypeError, ValueError
            As `act`.
        """
        exact = self.kernels.mode(self.theta, obs, self.scaling)
        if exact is not None:
            return exact
        return computed(self.kernels.mode(self.theta, self.checked_obs(obs), self.scaling))

    # The distribution

    def log_prob(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        *,
        params: ArrayLike | None = None,
        starts: ArrayLike | None = None,
    ) -> FloatArray:
        """Return log π(a∣o) in nats, shape (B,); with other parameters, shape (P,), where they are given."""
        theta = self.theta if params is None else params
        exact = self.kernels.log_prob(theta, obs, self.scaling, actions)
        if exact is not None:
            return exact
        rows, taken = self.checked_data(obs, actions)
        return computed(self.kernels.log_prob(self.checked_params(params), rows, self.scaling, taken))

    def entropy(
        self, obs: ArrayLike, *, params: ArrayLike | None = None, starts: ArrayLike | None = None
    ) -> FloatArray:
        """Return the entropy of π(·∣o) in nats, shape (B,); ``params`` as in `log_prob`."""
        exact = self.kernels.entropy(self.theta if params is None else params, obs, self.scaling)
        if exact is not None:
            return exact
        rows = self.checked_obs(obs)
        return computed(self.kernels.entropy(self.checked_params(params), rows, self.scaling))

    def kl(
        self,
        obs: ArrayLike,
        params_old: ArrayLike,
        *,
        params: ArrayLike | None = None,
        starts: ArrayLike | None = None,
    ) -> FloatArray:
        """Return KL(π_old‖π) in nats at each observation, shape (B,), from other parameters to these.

        ``params`` as in `log_prob`.
        """
        exact = self.kernels.kl(self.theta if params is None else params, obs, self.scaling, params_old)
        if exact is not None:
            return exact
        rows = self.checked_obs(obs)
        old = self.checked_params(params_old, "params_old")
        return computed(self.kernels.kl(self.checked_params(params), rows, self.scaling, old))

    # The score

    def score_product(
        self, obs: ArrayLike, actions: ArrayLike, weights: ArrayLike, *, starts: ArrayLike | None = None
    ) -> FloatArray:
        r"""Return :math:`\sum_i w_i \nabla\log\pi(a_i\mid o_i)`, shape (P,).

        This is the weighted maximum-likelihood gradient; with rewards-to-go (or advantages) for weights it
        is the policy gradient, summed over the batch.
        """
        exact = self.kernels.score_product(self.theta, obs, self.scaling, actions, weights)
        if exact is not None:
            return exact
        rows, taken = self.checked_data(obs, actions)
        weights = self.checked_weights(weights, len(rows))
        return computed(self.kernels.score_product(self.theta, rows, self.scaling, taken, weights))

    def scores(self, obs: ArrayLike, actions: ArrayLike, *, starts: ArrayLike | None = None) -> FloatArray:
        """Return ∇ log π(a_i∣o_i) as rows, shape (B, P)."""
        exact = self.kernels.scores(self.theta, obs, self.scaling, actions)
        if exact is not None:
            return exact
        rows, taken = self.checked_data(obs, actions)
        return computed(self.kernels.scores(self.theta, rows, self.scaling, taken))

    def episode_scores(
        self, obs: ArrayLike, actions: ArrayLike, ends: ArrayLike, weights: ArrayLike | None = None
    ) -> FloatArray:
        r"""Return :math:`\sum_t w_t \nabla\log\pi(a_t\mid o_t)` of each episode, shape (E, P).

        ``ends``, shape (B,), is true at each episode's last step; the last row always counts as an end.
        ``weights``, shape (B,), are ones by default.
        """
        obs, actions = self.compiled_data(obs, actions)
        if weights is not None:
            weights = self.checked_weights(weights, len(obs))
        bounds = self.episode_bounds(ends, len(obs))
        out = np.empty((len(bounds) - 1, self.num_params), self.dtype)
        self.kernels.episode_scores(self.theta, obs, self.scaling, actions, weights, bounds, out)
        return out

    def score_sq_norms(
        self, obs: ArrayLike, actions: ArrayLike, *, starts: ArrayLike | None = None
    ) -> FloatArray:
        """Return ‖∇ log π(a_i∣o_i)‖², shape (B,), without forming the rows."""
        exact = self.kernels.score_sq_norms(self.theta, obs, self.scaling, actions)
        if exact is not None:
            return exact
        rows, taken = self.checked_data(obs, actions)
        return computed(self.kernels.score_sq_norms(self.theta, rows, self.scaling, taken))

    def entropy_gradient(self, obs: ArrayLike, *, starts: ArrayLike | None = None) -> FloatArray:
        r"""Return :math:`\sum_i \nabla H(\pi(\cdot\mid o_i))`, shape (P,): what an entropy bonus adds."""
        exact = self.kernels.entropy_gradient(self.theta, obs, self.scaling)
        if exact is not None:
            return exact
        return computed(self.kernels.entropy_gradient(self.theta, self.checked_obs(obs), self.scaling))

    def fisher_products(self, origin: FisherOrigin) -> CompiledProducts:
        """Return the compiled products with the Fisher matrix of these rows."""
        return CompiledProducts(self.kernels, origin)

    # For compiled passes

    def compiled_data(self, obs: ArrayLike, actions: ArrayLike) -> tuple[FloatArray, ActionArray]:
        """Return checked observations (B, obs_dim) and actions (B, width), as compiled passes take them."""
        rows, taken = self.checked_data(obs, actions)
        return rows, taken.reshape(len(rows), self._width)

    @property
    def scaling(self) -> _core.InputScaling | None:
        """The normaliser's statistics of this moment, for a compiled pass; None without a normaliser."""
        normalizer = self.normalizer  # read once: another thread may replace it
        return None if normalizer is None else normalizer.scaling

    def _make_kernels(self, action_shape: tuple[int, ...]) -> _core.Policy:
        network = self.obs_dim, list(self.hidden), self.activation
        return classes_of(self.dtype).Policy(*network, len(action_shape), *self._head)

    # Compiled kernels are made anew.

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "kernels": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self.kernels = self._make_kernels(self.action_shape)
