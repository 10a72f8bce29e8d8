"""`Acting`: how a policy chooses actions, from noise that is drawn beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FLOAT32, FLOAT64, float_array, output
from pgcore._dispatch import classes_of

__all__ = ["Acting"]

FloatArray = NDArray[np.floating[Any]]


class Acting(ABC):
    """The part of `pgcore.policies.Policy` that plays."""

    obs_dim: int
    action_shape: tuple[int, ...]
    action_dtype: np.dtype[Any]
    dtype: np.dtype[Any]
    _core: Any
    _params: FloatArray

    def draw_noise(self, rng: np.random.Generator, num_steps: int, num_envs: int) -> FloatArray:
        """Draw all the randomness that ``num_steps`` calls of `act` in ``num_envs`` environments use.

        Returns
        -------
        numpy.ndarray
            Shape (num_steps, num_envs, width): standard normal for real actions, uniform for choices.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
        shape = (num_steps, num_envs, self._width)
        if self.action_dtype.kind == "f":
            return rng.standard_normal(shape, self.dtype.type)
        return rng.random(shape, self.dtype.type)

    def act(self, obs: ArrayLike, noise: FloatArray, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Sample an action for each observation with given noise; one compiled call.

        Parameters
        ----------
        obs
            Shape (B, obs_dim).
        noise
            One step of `draw_noise`, shape (B, width).
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
        obs = self._obs(obs)
        noise = float_array("noise", noise, self.dtype)
        actions = output("out", out, (len(obs), *self.action_shape), self.action_dtype)
        rows = actions if self.action_shape else actions[:, None]
        self._core.sample(self._params, obs, self._scaling, noise, rows, None)
        return actions

    def actor(self, obs: FloatArray, noise: FloatArray, actions: NDArray[Any]) -> Callable[[int], None]:
        """Return `act` for the steps of one rollout, whose arrays it checks once instead of at every step.

        Parameters
        ----------
        obs
            C-contiguous array of float32 or float64, shape (T or more, N, obs_dim).
        noise
            From `draw_noise`, shape (T, N, width).
        actions
            C-contiguous array of ``action_dtype`` to write into, shape (T, N, \\*action_shape).

        Returns
        -------
        callable
            ``f(t)`` writes ``actions[t]``, sampled at ``obs[t]`` as it is then, with the parameters and the
            normaliser's statistics that the policy has now. It raises `ValueError` where `act`
            would.
        """
        noise = float_array("noise", noise, self.dtype)
        if noise.ndim != 3:
            raise ValueError(f"noise: expected shape (T, N, {self._width}), got {noise.shape}")
        T, N, _ = noise.shape
        # Both exactly as they are: a converted copy would not see what the environments write later.
        wide = getattr(obs, "dtype", None) == FLOAT64
        obs = output("obs", obs, (max(T, len(obs)), N, self.obs_dim), FLOAT64 if wide else FLOAT32)
        actions = output("actions", actions, (T, N, *self.action_shape), self.action_dtype)
        classes = classes_of(self.dtype)
        make = classes.RealActor if self.action_dtype.kind == "f" else classes.ChoiceActor
        return make(
            self._core,
            self._params,
            obs.reshape(-1, self.obs_dim),
            self._scaling,
            noise.reshape(T * N, -1),
            actions.reshape(T * N, self._width),
            N,
        )

    def sample(self, obs: ArrayLike, rng: np.random.Generator) -> tuple[NDArray[Any], FloatArray]:
        """Sample an action for each observation.

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
        obs = self._obs(obs)
        noise = self.draw_noise(rng, 1, len(obs))[0]
        actions = np.empty((len(obs), self._width), self.action_dtype)
        log_probs = np.empty(len(obs), self.dtype)
        self._core.sample(self._params, obs, self._scaling, noise, actions, log_probs)
        return actions.reshape(len(obs), *self.action_shape), log_probs

    def mode(self, obs: ArrayLike) -> NDArray[Any]:
        """Return the most probable action for each observation, shape (B, \\*action_shape).

        Raises
        ------
        TypeError, ValueError
            As `act`.
        """
        obs = self._obs(obs)
        actions = np.empty((len(obs), *self.action_shape), self.action_dtype)
        self._core.mode(self._params, obs, self._scaling, actions if self.action_shape else actions[:, None])
        return actions

    @property
    def _width(self) -> int:
        return self.action_shape[0] if self.action_shape else 1

    @abstractmethod
    def _obs(self, obs: ArrayLike) -> FloatArray:
        """Return checked observations, in a dtype that loses nothing of them."""

    @property
    @abstractmethod
    def _scaling(self) -> Any:
        """The normaliser's statistics of this moment, for a compiled pass; None without a normaliser."""
