"""`Batch`: experience as flat arrays, one episode segment after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import (
    AnyArray,
    BoolArray,
    FloatArray,
    IntArray,
    bool_array,
    check_shape,
    float_array,
    to_numpy,
)

__all__ = ["FIELDS", "Batch", "double_rewards", "trusted_batch"]

FIELDS = ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs")
"""The arrays that make a `Batch`, by their names."""


class Batch:
    """B steps of E episode segments, each segment contiguous and in time order; checked once, then immutable.

    Row t holds the observation o_t, the action a_t that was taken there and the reward r_t that followed. A
    segment is an episode or a part of one: it begins where the last one ended. What comes after its last step
    is either nothing (the environment terminated) or more of the same episode that was not recorded (a time
    limit, or the end of the rollout): then the segment is *truncated*, and ``bootstrap_obs`` holds the
    observation that it stops at.

    Parameters
    ----------
    obs
        Observations, shape (B, ...), any real numbers.
    actions
        Actions as the policy sampled them, shape (B,) or (B, ...), any real numbers.
    rewards
        Shape (B,).
    ends
        Booleans or 0/1 integers, shape (B,): true at the last step of every segment. The last row always
        counts as an end.
    terminated
        Like ``ends``: true where a segment ended because the environment terminated; may be true only at
        ends. By default ``ends`` as given, so a last row that ``ends`` leaves open is a truncation.
    bootstrap_obs
        Shape (E, ...): for each segment the observation after its last step. Read only for truncated
        segments; rows of the others may hold anything, NaN too. May be left out where nothing will ask for
        the value of a bootstrap value.
    log_probs
        Shape (B,): log π(a_t∣o_t) in nats under the policy that acted.

    Attributes
    ----------
    obs, actions, rewards, ends, terminated, bootstrap_obs, log_probs
        The arrays as above, C-contiguous and read-only; ``bootstrap_obs`` and ``log_probs`` are None if not
        given.
    segment_starts, segment_ends
        Row numbers of each segment's first and last step, shape (E,).
    truncated
        Shape (E,): which segments did not terminate.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``. NaN and infinity are let through.

    Notes
    -----
    Arrays that are already contiguous, and of a dtype that can be kept, are shared with the caller, not
    copied. Integer rewards and log-probabilities become float64, float16 ones float32; observations and
    actions keep their dtype.

    Examples
    --------
    An episode that terminated after two steps, then one step of another that was cut off at observation 7:

    >>> batch = Batch(obs=[[1.0], [2.0], [5.0]], actions=[0, 1, 1], rewards=[1, 1, 2], ends=[0, 1, 1],
    ...               terminated=[0, 1, 0], bootstrap_obs=[[0.0], [7.0]])
    >>> batch
    Batch(num_steps=3, num_segments=2, num_truncated=1)
    >>> batch.segment(0).rewards
    array([1., 1.])
    >>> batch.scatter_bootstrap_values([10.0, 20.0])  # the value of what follows each segment
    array([ 0.,  0., 20.])
    """

    __slots__ = (*FIELDS, "_step_in_segment", "segment_ends", "segment_starts", "truncated")

    obs: AnyArray
    actions: AnyArray
    rewards: FloatArray
    ends: BoolArray
    terminated: BoolArray
    bootstrap_obs: AnyArray | None
    log_probs: FloatArray | None
    segment_starts: IntArray
    segment_ends: IntArray
    truncated: BoolArray
    _step_in_segment: IntArray | None

    def __init__(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        ends: ArrayLike,
        *,
        terminated: ArrayLike | None = None,
        bootstrap_obs: ArrayLike | None = None,
        log_probs: ArrayLike | None = None,
    ) -> None:
        rewards = float_array("rewards", rewards)
        if rewards.ndim != 1:
            raise ValueError(f"rewards: expected shape (B,), got {rewards.shape}")
        rows = rewards.shape
        obs = _rows("obs", obs, len(rewards))
        actions = _rows("actions", actions, len(rewards))
        given_ends = bool_array("ends", ends, rows)
        flags = _closed(given_ends)
        terminated = given_ends if terminated is None else bool_array("terminated", terminated, rows)
        stray = terminated & ~flags
        if stray.any():
            raise ValueError(f"terminated: expected true only where ends is, got it at row {stray.argmax()}")
        starts, last_rows = _bounds(flags)
        if bootstrap_obs is not None:
            bootstrap_obs = _real_numbers("bootstrap_obs", bootstrap_obs)
            check_shape("bootstrap_obs", bootstrap_obs, (len(last_rows), *obs.shape[1:]))
        if log_probs is not None:
            log_probs = float_array("log_probs", log_probs)
            check_shape("log_probs", log_probs, rows)

        arrays = (obs, actions, rewards, flags, terminated, bootstrap_obs, log_probs)
        _fill(self, arrays, starts, last_rows)

    @property
    def num_steps(self) -> int:
        """B, the number of steps."""
        return len(self.rewards)

    @property
    def num_segments(self) -> int:
        """E, the number of episode segments."""
        return len(self.segment_ends)

    @property
    def num_truncated(self) -> int:
        """How many segments did not terminate."""
        return int(np.count_nonzero(self.truncated))

    @property
    def segment_lengths(self) -> IntArray:
        """Steps of each segment, shape (E,)."""
        return self.segment_ends - self.segment_starts + 1

    @property
    def step_in_segment(self) -> IntArray:
        """For every step its number within its segment, from 0; shape (B,)."""
        if self._step_in_segment is None:
            start_of_row = np.repeat(self.segment_starts, self.segment_lengths)
            _set(self, "_step_in_segment", np.arange(self.num_steps, dtype=np.int64) - start_of_row)
        assert self._step_in_segment is not None
        return self._step_in_segment

    def segment(self, i: int) -> Batch:
        """Return segment ``i`` (negative counts from the last) as a batch that shares this one's memory.

        Raises
        ------
        IndexError
            If there is no such segment.
        """
        if not -self.num_segments <= i < self.num_segments:
            raise IndexError(f"i: expected a segment of {self.num_segments}, got {i}")
        i %= self.num_segments
        rows = slice(self.segment_starts[i], self.segment_ends[i] + 1)
        return trusted_batch(
            self.obs[rows],
            self.actions[rows],
            self.rewards[rows],
            self.ends[rows],
            terminated=self.terminated[rows],
            bootstrap_obs=None if self.bootstrap_obs is None else self.bootstrap_obs[i : i + 1],
            log_probs=None if self.log_probs is None else self.log_probs[rows],
            bounds=(_FIRST, np.array([rows.stop - 1 - rows.start])),
        )

    def replace(self, **fields: ArrayLike | None) -> Batch:
        """Return a batch with some fields exchanged and the rest shared, e.g. ``batch.replace(rewards=...)``.

        Raises
        ------
        TypeError
            For a field that there isn't.
        """
        given_rewards = fields.get("rewards", self.rewards)
        if given_rewards is None or not fields.keys() <= {"rewards", "log_probs"}:
            return Batch(**{**{name: getattr(self, name) for name in FIELDS}, **fields})
        # The segments stay: only what is new needs a check.
        rewards, log_probs = float_array("rewards", given_rewards), self.log_probs
        check_shape("rewards", rewards, self.rewards.shape)
        if "log_probs" in fields:
            given = fields["log_probs"]
            log_probs = None if given is None else float_array("log_probs", given)
            if log_probs is not None:
                check_shape("log_probs", log_probs, self.rewards.shape)
        return trusted_batch(
            self.obs,
            self.actions,
            rewards,
            self.ends,
            terminated=self.terminated,
            bootstrap_obs=self.bootstrap_obs,
            log_probs=log_probs,
            bounds=(self.segment_starts, self.segment_ends),
        )

    @staticmethod
    def concatenate(batches: Sequence[Batch]) -> Batch:
        """Return the segments of all ``batches``, in that order, in one batch.

        Raises
        ------
        ValueError
            If there are none, their arrays don't fit together, or only some have ``log_probs``, or
            ``bootstrap_obs`` for their truncated segments.

        Examples
        --------
        >>> one = Batch([[0.0]], [0], [1.0], [True])
        >>> Batch.concatenate([one, one, one]).num_segments
        3
        """
        if not batches:
            raise ValueError("batches: expected at least one batch, got none")
        return trusted_batch(
            _stacked("obs", [batch.obs for batch in batches]),
            _stacked("actions", [batch.actions for batch in batches]),
            np.concatenate([batch.rewards for batch in batches]),
            np.concatenate([batch.ends for batch in batches]),
            terminated=np.concatenate([batch.terminated for batch in batches]),
            bootstrap_obs=_joined_bootstrap_obs(batches),
            log_probs=_joined_log_probs(batches),
        )

    def scatter_bootstrap_values(self, values: ArrayLike) -> FloatArray:
        """Put a value for each segment where the kernels read ``bootstrap_values``.

        Parameters
        ----------
        values
            Shape (E,); read only for truncated segments.

        Returns
        -------
        numpy.ndarray
            Shape (B,): ``values[e]`` at the last row of each truncated segment e, 0 everywhere else.

        Raises
        ------
        TypeError, ValueError
            If ``values`` aren't E real numbers.
        """
        values = float_array("values", values)
        check_shape("values", values, (self.num_segments,))
        scattered = np.zeros(self.num_steps, values.dtype)
        scattered[self.segment_ends[self.truncated]] = values[
            self.truncated
        ]  # selected: 0 * NaN would be NaN
        return scattered

    def __repr__(self) -> str:
        return (
            f"Batch(num_steps={self.num_steps}, num_segments={self.num_segments}, "
            f"num_truncated={self.num_truncated})"
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Batch is immutable: write batch.replace({name}=...) for another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Batch is immutable")

    def __reduce__(self) -> tuple[object, ...]:
        # The default would restore the slots with setattr, which is refused.
        return _rebuilt, tuple(getattr(self, name) for name in FIELDS)


def trusted_batch(
    obs: AnyArray,
    actions: AnyArray,
    rewards: FloatArray,
    ends: BoolArray,
    *,
    terminated: BoolArray,
    bootstrap_obs: AnyArray | None = None,
    log_probs: FloatArray | None = None,
    bounds: tuple[IntArray, IntArray] | None = None,
) -> Batch:
    """Make a batch of what has been checked already; nothing is checked or copied.

    The arguments are those of `Batch`, as it keeps them: C-contiguous, of native dtypes, with the last row of
    ``ends`` true. ``bounds`` are the first and last rows of the segments, where they are known.
    """
    batch = object.__new__(Batch)
    arrays = (obs, actions, rewards, ends, terminated, bootstrap_obs, log_probs)
    _fill(batch, arrays, *(_bounds(ends) if bounds is None else bounds))
    return batch


def double_rewards(batch: Batch) -> Batch:
    """Return the batch with rewards in float64, so that returns and values are: only differences are rounded.

    >>> double_rewards(Batch([[0.0]], [0], np.ones(1, np.float32), [True])).rewards.dtype
    dtype('float64')
    """
    if batch.rewards.dtype == np.float64:
        return batch
    return batch.replace(rewards=batch.rewards.astype(np.float64))


_FIRST = np.zeros(1, np.int64)
"""The first row of a single segment."""


def _bounds(ends: BoolArray) -> tuple[IntArray, IntArray]:
    """First and last rows of the segments."""
    last_rows = np.flatnonzero(ends).astype(np.int64, copy=False)
    starts = np.zeros_like(last_rows)
    starts[1:] = last_rows[:-1] + 1
    return starts, last_rows


def _fill(
    batch: Batch, arrays: Sequence[AnyArray | None], segment_starts: IntArray, segment_ends: IntArray
) -> None:
    """Set all attributes of a new batch; ``arrays`` are those of `FIELDS`."""
    for name, array in zip(FIELDS, arrays, strict=True):
        _set(batch, name, array)
    _set(batch, "segment_starts", segment_starts)
    _set(batch, "segment_ends", segment_ends)
    _set(batch, "truncated", ~batch.terminated[segment_ends])
    _set(batch, "_step_in_segment", None)


def _set(batch: Batch, name: str, value: AnyArray | None) -> None:
    if value is not None:
        value = value.view()  # the caller's own array stays writeable
        value.flags.writeable = False
    object.__setattr__(batch, name, value)


def _rebuilt(*fields: AnyArray | None) -> Batch:
    return Batch(**{name: array for name, array in zip(FIELDS, fields, strict=True) if array is not None})


def _real_numbers(name: str, value: ArrayLike) -> AnyArray:
    """``value`` as a C-contiguous array of its own dtype, which must hold real numbers."""
    array = to_numpy(name, value)
    if array.dtype.kind not in "biuf" or array.dtype.char == "g":
        raise TypeError(f"{name}: expected real numbers of at most 64 bits, got {array.dtype}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _rows(name: str, value: ArrayLike, num_rows: int) -> AnyArray:
    array = _real_numbers(name, value)
    if array.ndim == 0 or len(array) != num_rows:
        raise ValueError(f"{name}: expected shape ({num_rows}, ...) to go with rewards, got {array.shape}")
    return array


def _closed(ends: BoolArray) -> BoolArray:
    """``ends`` with the last row true, copied only if it wasn't."""
    if ends.size and not ends[-1]:
        ends = ends.copy()
        ends[-1] = True
    return ends


def _stacked(name: str, arrays: list[AnyArray]) -> AnyArray:
    for array in arrays:
        if array.shape[1:] != arrays[0].shape[1:]:
            wanted = ", ".join(map(str, ("B", *arrays[0].shape[1:])))
            raise ValueError(f"{name}: expected shape ({wanted}) in every batch, got {array.shape}")
    return np.concatenate(arrays)


def _joined_log_probs(batches: Sequence[Batch]) -> AnyArray | None:
    log_probs = [batch.log_probs for batch in batches if batch.log_probs is not None]
    if log_probs and len(log_probs) != len(batches):
        raise ValueError(f"log_probs: expected in all {len(batches)} batches or none, got {len(log_probs)}")
    return np.concatenate(log_probs) if log_probs else None


def _joined_bootstrap_obs(batches: Sequence[Batch]) -> AnyArray | None:
    """The observations after all segments; a batch without truncated segments needs none of its own."""
    if all(batch.bootstrap_obs is None for batch in batches):
        return None
    for i, batch in enumerate(batches):
        if batch.bootstrap_obs is None and batch.num_truncated:
            raise ValueError(
                f"bootstrap_obs: expected for the truncated segments of every batch, got none in batch {i}"
            )
    return np.concatenate(
        [
            np.zeros((batch.num_segments, *batch.obs.shape[1:]), batch.obs.dtype)
            if batch.bootstrap_obs is None
            else batch.bootstrap_obs
            for batch in batches
        ]
    )
