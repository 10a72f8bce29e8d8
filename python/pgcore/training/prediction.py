"""From a raw observation, or a batch of them, to actions that the environment takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from pgcore.rollout import ActionAdapter, ObservationAdapter
from pgcore.rollout.spaces import check_fit

if TYPE_CHECKING:
    from pgcore.policies import Policy

__all__ = ["Predictor"]


class Predictor:
    """Acting outside of training: tells one observation from a batch, and adapts both ends to the spaces.

    Parameters
    ----------
    observation_space, action_space
        Of one environment.

    Attributes
    ----------
    obs_dim : int
        Length of a flattened observation.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self._space = observation_space
        self._observations = ObservationAdapter(observation_space)
        self._actions = ActionAdapter(action_space)
        self.obs_dim = self._observations.dim
        self._box_shape = observation_space.shape if isinstance(observation_space, gym.spaces.Box) else None
        self._is_plain_choice = (
            isinstance(action_space, gym.spaces.Discrete)
            and action_space.start == 0
            and action_space.dtype == np.int64
        )
        self._bounds: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
        if isinstance(action_space, gym.spaces.Box) and len(action_space.shape) == 1:
            self._bounds = action_space.low[None], action_space.high[None]

    def check_fit(self, policy: Policy) -> None:
        """Raise a `ValueError` if ``policy`` is not one for these spaces."""
        check_fit(policy, self._observations, self._actions)

    def __call__(self, policy: Policy, obs: Any, rng: np.random.Generator | None) -> np.ndarray[Any, Any]:
        """Return an action for each observation in ``obs``: the mode if ``rng`` is None, else a sample.

        Parameters
        ----------
        policy
            Gives the actions.
        obs
            One observation of the space, or several stacked along a new first axis (a dictionary or tuple of
            such stacks for `Dict` and `Tuple` spaces).
        rng
            Source of the noise.

        Returns
        -------
        numpy.ndarray
            One action (a NumPy integer for `Discrete`), or a stack of them; clipped to a `Box`.

        Raises
        ------
        ValueError
            If ``obs`` is neither one observation nor a batch.
        """
        # What an interactive loop passes, thousands of times a second.
        if type(obs) is np.ndarray and obs.shape == self._box_shape:
            flat, single = obs.reshape(1, -1), True
        else:
            single = not _is_batch(self._space, obs)
            flat = self._observations.single(obs) if single else self._observations(obs)
        if rng is None:
            actions = policy.mode(flat)
        else:
            actions = policy.act(flat, policy.draw_noise(rng, 1, len(flat))[0])
        if self._bounds is not None and actions.dtype == self._bounds[0].dtype:
            low, high = self._bounds  # what the adapter does, without its checks
            actions = np.minimum(np.maximum(actions, low), high)
        elif not self._is_plain_choice:
            actions = self._actions.to_env(actions)
        return actions[0] if single else actions


def _is_batch(space: Any, obs: Any) -> bool:
    """Whether ``obs`` has one more leading axis than ``space`` has, judged by its first array."""
    while isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        key: Any = next(iter(space.spaces)) if isinstance(space, gym.spaces.Dict) else 0
        try:
            space, obs = space[key], obs[key]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"obs: expected an observation of {space}, got {obs!r}") from None
    shape = () if space.shape is None else space.shape
    found = np.shape(obs)
    if found in (shape, (*found[:1], *shape)):
        return bool(found != shape)
    batch = ", ".join(["N", *map(str, shape)])
    raise ValueError(
        f"obs: expected one observation of shape {shape} or a batch ({batch}), got shape {found}"
    )
