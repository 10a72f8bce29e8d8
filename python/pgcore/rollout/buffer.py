"""Storage of a rollout while it is made, its noise, and the running sums of its episodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pgcore._arguments import AnyArray, AnyDType, BoolArray, Float64Array, IntArray

__all__ = ["EpisodeTracker", "Noise", "StepBuffer"]


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
        obs_dtype: AnyDType,
        action_dtype: AnyDType,
    ) -> None:
        self.capacity = 0
        self.obs = np.empty((1, num_envs, obs_dim), obs_dtype)
        self.actions = np.empty((0, num_envs, *action_shape), action_dtype)
        # In double, whatever the policy computes in: episode returns are sums of the rewards as they came.
        self.rewards = np.empty((0, num_envs))
        self.terminated = np.empty((0, num_envs), np.bool_)
        self.done = np.empty((0, num_envs), np.bool_)
        self.recorded = np.empty((0, num_envs), np.bool_)
        """Which steps belong into the batch; all by default."""

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

    def pop_rows(self, name: str, length: int, rows: NDArray[np.intp] | None) -> AnyArray:
        """Return an array's first ``length`` steps, environment by environment, and delete it here.

        Deleting one by one keeps a rollout from being in memory twice.

        Parameters
        ----------
        name
            Attribute.
        length
            Vector steps of the rollout.
        rows
            Of the (N·length, …) result, those to return; None for all.
        """
        array: AnyArray = getattr(self, name)
        delattr(self, name)
        flat = array[:length].swapaxes(0, 1).reshape(length * array.shape[1], *array.shape[2:])
        return flat if rows is None else flat.take(rows, axis=0)


def _grown(array: AnyArray, num_rows: int) -> AnyArray:
    grown = np.empty((num_rows, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class Noise:
    """A policy's noise for one rollout; a step that only resets uses up none.

    So an episode does not depend on how it was reset.

    Parameters
    ----------
    drawn
        From `draw_noise`, shape (T, N, ...).
    may_idle
        Whether there may be steps that only reset.

    Attributes
    ----------
    rows : numpy.ndarray
        Shape (T, N, ...). Row t is what step t acts with as soon as `prepare` was called for it.

    Examples
    --------
    >>> noise = Noise(np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]), may_idle=True)
    >>> noise.delay(np.array([False, True]))
    >>> noise.prepare(1)
    >>> noise.rows[1]
    array([1. , 0.5])
    """

    def __init__(self, drawn: AnyArray, *, may_idle: bool) -> None:
        self.rows = drawn.copy() if may_idle else drawn
        self._drawn = drawn
        self._num_envs = drawn.shape[1]
        self._lag: NDArray[np.intp] | None = None
        """Where each environment's noise lies, among the (T·N, ...) drawn and next to row t."""

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, drawn: AnyArray) -> None:
        """Add noise of more steps, which makes ``rows`` another array."""
        is_own = self.rows is not self._drawn
        self._drawn = np.concatenate([self._drawn, drawn])
        self.rows = self._drawn.copy() if is_own else self._drawn

    def delay(self, idle: BoolArray) -> None:
        """Keep the last step's noise for the next one in those environments that were only reset."""
        if self._lag is None:
            self._lag = np.arange(self._num_envs)
        self._lag[idle] -= self._num_envs

    def prepare(self, t: int) -> None:
        """Write row t."""
        if self._lag is not None:
            flat = self._drawn.reshape(-1, *self._drawn.shape[2:])
            self.rows[t] = flat.take(self._lag + t * self._num_envs, axis=0)


class EpisodeTracker:
    """Sums rewards and counts steps of whole episodes, which may begin and end in different batches.

    Parameters
    ----------
    num_envs
        How many episodes run side by side.

    Examples
    --------
    One environment; an episode of three steps in two batches:

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
        rewards: Float64Array,
        *,
        starts: IntArray,
        ends: IntArray,
        envs: IntArray,
        done: BoolArray,
    ) -> tuple[Float64Array, IntArray]:
        """Add a batch's segments, which lie environment by environment and in time order.

        Parameters
        ----------
        rewards
            Of all steps, shape (B,).
        starts, ends
            First and last row of each segment, shape (E,).
        envs
            Each segment's environment.
        done
            Whether the episode ended with the segment; if not, the environment's next batch continues it.

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
