"""Storage of a rollout while it happens, and the books about its episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EpisodeTracker", "StepBuffer"]

Array = NDArray[Any]


class StepBuffer:
    """Time-major arrays of N environments' steps, for one rollout.

    ``obs[t]`` is what ``actions[t]`` answers; the last observations of a rollout of length T are ``obs[T]``.

    Parameters
    ----------
    num_envs
        N.
    obs_dim
        Length of a flattened observation.
    action_shape
        Shape of one action.
    obs_dtype, action_dtype
        Dtypes of the two.
    """

    def __init__(
        self,
        num_envs: int,
        obs_dim: int,
        action_shape: tuple[int, ...],
        obs_dtype: np.dtype[Any],
        action_dtype: np.dtype[Any],
    ) -> None:
        self.capacity = 0
        self.obs = np.empty((1, num_envs, obs_dim), obs_dtype)
        self.actions = np.empty((0, num_envs, *action_shape), action_dtype)
        # In double, whatever the policy computes in: episode returns are reported as the environment paid
        # them.
        self.rewards = np.empty((0, num_envs))
        self.terminated = np.empty((0, num_envs), np.bool_)
        self.done = np.empty((0, num_envs), np.bool_)
        self.recorded = np.empty((0, num_envs), np.bool_)
        """Which steps belong into the batch: all, unless it is said otherwise."""

    def reserve(self, num_steps: int) -> None:
        """Make room for ``num_steps`` steps, keeping what is there."""
        if num_steps > self.capacity:
            self.capacity = num_steps
            self.obs = _grown(self.obs, num_steps + 1)
            self.actions = _grown(self.actions, num_steps)
            self.rewards = _grown(self.rewards, num_steps)
            self.terminated = _grown(self.terminated, num_steps)
            self.done = _grown(self.done, num_steps)
            num_kept = len(self.recorded)
            self.recorded = _grown(self.recorded, num_steps)
            self.recorded[num_kept:] = True

    def hand_over(self, name: str, length: int, rows: NDArray[np.intp] | None) -> Array:
        """Return an array's first ``length`` steps, environment by environment, and forget it.

        Forgetting one by one keeps a rollout from being in memory twice.

        Parameters
        ----------
        name
            Attribute.
        length
            Vector steps of the rollout.
        rows
            Of the (N·length, …) result, those to return; None for all.
        """
        array: Array = getattr(self, name)
        delattr(self, name)
        flat = array[:length].swapaxes(0, 1).reshape(length * array.shape[1], *array.shape[2:])
        return flat if rows is None else flat.take(rows, axis=0)


def _grown(array: Array, num_rows: int) -> Array:
    grown = np.empty((num_rows, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class EpisodeTracker:
    """Sums rewards and counts steps of whole episodes, which may stretch over several batches.

    Parameters
    ----------
    num_envs
        How many episodes run side by side.

    Examples
    --------
    One environment; an episode of three steps falls into two batches:

    >>> from numpy import array
    >>> tracker = EpisodeTracker(1)
    >>> tracker.add(array([1.0, 2.0]), starts=array([0]), ends=array([1]), envs=array([0]),
    ...             done=array([False]))
    (array([], dtype=float64), array([], dtype=int64))
    >>> two_segments = array([0, 1])
    >>> tracker.add(array([4.0, 9.0]), starts=two_segments, ends=two_segments, envs=array([0, 0]),
    ...             done=array([True, False]))
    (array([7.]), array([3]))
    """

    def __init__(self, num_envs: int) -> None:
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)

    def reset(self) -> None:
        """Forget the episodes that are running."""
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def add(
        self,
        rewards: NDArray[np.float64],
        *,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        envs: NDArray[np.int64],
        done: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Enter a batch's segments, which lie environment by environment and in time order.

        Parameters
        ----------
        rewards
            Of all steps, shape (B,).
        starts, ends
            First and last row of each segment, shape (E,).
        envs
            Each segment's environment.
        done
            Whether the episode ended with the segment; if not, the environment's next batch goes on with it.

        Returns
        -------
        returns, lengths
            Of the episodes that ended, in the order of their segments.
        """
        returns, lengths = np.add.reduceat(rewards, starts) if len(starts) else np.zeros(0), ends - starts + 1
        first = np.ones(len(envs), np.bool_)
        first[1:] = envs[1:] != envs[:-1]
        returns[first] += self._returns[envs[first]]
        lengths[first] += self._lengths[envs[first]]
        self.reset()
        self._returns[envs[~done]] = returns[~done]
        self._lengths[envs[~done]] = lengths[~done]
        return returns[done], lengths[done]
