"""Recorded experience: a `Batch` in a file, and Minari's datasets."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import gymnasium as gym
import numpy as np

from pgcore.data.batch import FIELDS, Batch
from pgcore.io.earlier import EARLIER_FIELDS, with_todays_fields
from pgcore.io.files import as_path, npz_path, read_members, replacing
from pgcore.rollout import ActionAdapter, ObservationAdapter

if TYPE_CHECKING:
    import minari

    from pgcore._arguments import AnyArray, Arrays, IntArray
    from pgcore.rollout.types import AnySpace

__all__ = [
    "FORMAT_VERSION",
    "MINARI",
    "DataLike",
    "check_fit",
    "from_minari",
    "load",
    "load_batch",
    "save_batch",
]

DataLike: TypeAlias = "Batch | str | os.PathLike[str]"

FORMAT_VERSION = 2
MINARI = "minari:"
"""What a Minari dataset's name begins with, where a file is accepted too."""

_VERSION = "pgcore_batch_version"
_REQUIRED = ("obs", "actions", "rewards", "ends")
_CHECKSUMS = "pgcore_batch_checksums"
"""Which arrays were written: a zip's table of contents has no checksum, and arrays may be left out."""


def save_batch(path: str | os.PathLike[str], batch: Batch) -> Path:
    """Write a batch to one file, all or nothing.

    The file is what `numpy.savez` writes, an array for each field of the batch that is not None, and two
    about the file; ``np.load(path)`` reads it.

    Parameters
    ----------
    path
        Where to; ``.npz`` is added to a name without a suffix. Missing directories are made.
    batch
        What to write.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> path = save_batch("two_steps", Batch([[1.0], [2.0]], [0, 1], [1.0, 1.0], [False, True]))
    >>> load_batch(path)
    Batch(num_steps=2, num_segments=1, num_truncated=0)
    """
    target = npz_path(path)
    fields = {name: getattr(batch, name) for name in FIELDS}
    arrays: Arrays = {name: array for name, array in fields.items() if array is not None}
    arrays[_CHECKSUMS] = _checksums(arrays)
    arrays[_VERSION] = np.array(FORMAT_VERSION)
    savez: Callable[..., None] = np.savez  # whose keywords are arrays, except one that is a bool
    with replacing(target) as file:
        savez(file, **arrays)
    return target


def load_batch(path: str | os.PathLike[str]) -> Batch:
    """Read a batch that `save_batch` wrote, or any ``.npz`` file with arrays of the same names.

    Parameters
    ----------
    path
        The file, with or without its ``.npz``. It has ``obs``, ``actions``, ``rewards`` and ``ends``, and may
        have ``terminated``, ``bootstrap_obs`` and ``log_probs``; each means what it means to `Batch`.

    Returns
    -------
    Batch

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is something else, is damaged, or comes from a newer version.
    """
    source = as_path(path) if as_path(path).exists() else npz_path(path)
    if not source.is_file():
        raise FileNotFoundError(f"path: expected a file with a batch, got {source}, which is no file")
    content = source.read_bytes()  # an error of the disk is one; all others below are of the content
    try:
        arrays = _read_arrays(content)
        version = int(arrays.pop(_VERSION, np.array(FORMAT_VERSION)))
        checksums = arrays.pop(_CHECKSUMS, None)
        if checksums is not None and sorted(checksums) != sorted(_checksums(arrays)):
            raise ValueError("not the arrays that were written")
        missing = [name for name in _REQUIRED if name not in arrays]
        if missing:
            raise ValueError(f"no array {missing[0]!r} in it")
        if version > FORMAT_VERSION:
            raise ValueError(f"format version {version}; this pgcore reads up to {FORMAT_VERSION}")
        return Batch(**with_todays_fields(arrays))
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"path: expected a file with a batch, got {source} ({reason})") from error


def load(source: DataLike, observation_space: AnySpace | None = None) -> Batch:
    """Return recorded experience, wherever it is.

    Parameters
    ----------
    source
        A batch, which is returned as it is; a file for `load_batch`; or ``"minari:{dataset id}"``, a dataset
        that Minari has on this machine.
    observation_space
        For `from_minari`.

    Raises
    ------
    TypeError
        For anything else.
    ImportError
        If it is a Minari dataset and Minari is not installed.
    ValueError, OSError
        If there is nothing to be read, or no batch in it.
    """
    if isinstance(source, Batch):
        return source
    if isinstance(source, str) and source.startswith(MINARI):
        return from_minari(_minari_dataset(source.removeprefix(MINARI)), observation_space)
    if isinstance(source, str | os.PathLike):
        return load_batch(source)
    raise TypeError(f"demonstrations: expected a Batch, a file or 'minari:<dataset id>', got {source!r}")


def from_minari(dataset: minari.MinariDataset, observation_space: AnySpace | None = None) -> Batch:
    """Return all episodes of a Minari dataset as one batch, a segment each.

    Observations are flattened as a `Collector` does it, `Dict` and `Tuple` spaces too. Actions become those
    of a policy: flat, and for spaces with a ``start`` counted from 0. An episode's last observation is its
    segment's bootstrap observation; an episode that was neither terminated nor truncated counts as truncated.

    Parameters
    ----------
    dataset
        What ``minari.load_dataset`` returns, whole or filtered.
    observation_space
        The environment's, whose order the parts of a `Dict` take; by default the dataset's own, which forgets
        that order on disk.

    Raises
    ------
    ValueError
        If it has no steps, observations that aren't of the space, or spaces without a fixed-size flat form.
    """
    space = dataset.observation_space if observation_space is None else observation_space
    flatten = ObservationAdapter(space)
    segments = []
    for episode in dataset.iterate_episodes():
        length = len(episode.rewards)
        if not length:
            continue
        obs = flatten(episode.observations)
        ends = np.arange(length) == length - 1
        segments.append(
            Batch(
                obs[:length],
                _from_env(dataset.action_space, episode.actions),
                episode.rewards,
                ends,
                terminated=ends & np.asarray(episode.terminations, np.bool_),
                bootstrap_obs=obs[length:],
            )
        )
    if not segments:
        raise ValueError("dataset: expected at least one step, got none")
    return Batch.concatenate(segments)


def check_fit(batch: Batch, obs_dim: int, action_space: AnySpace, name: str = "demonstrations") -> None:
    """Raise a `ValueError` unless a policy for these spaces could have seen and done what is in ``batch``.

    Parameters
    ----------
    batch
        Recorded steps.
    obs_dim
        Length of a flattened observation.
    action_space
        Of one environment. Real actions may lie outside a `Box`: a policy's do too, before they are clipped.
        Choices are counted from 0, whatever the space's ``start``.
    name
        Argument to name in the error.
    """
    rows = batch.num_steps
    if not rows:
        raise ValueError(f"{name}: expected at least one step, got none")
    shapes = {"obs": (rows, obs_dim), "actions": (rows, *ActionAdapter(action_space).action_shape)}
    for field, expected in shapes.items():
        array = getattr(batch, field)
        if array.shape != expected:
            raise ValueError(f"{name}: expected {field} of shape {expected}, got {array.shape}")
        if not np.isfinite(array).all():
            row = int(np.argmin(np.isfinite(array.reshape(rows, -1)).all(axis=1)))
            raise ValueError(f"{name}: expected finite {field}, got {array[row]} in row {row}")
    if isinstance(action_space, gym.spaces.Box):
        return
    if batch.actions.dtype.kind not in "biu":
        raise ValueError(f"{name}: expected integers as actions, got {batch.actions.dtype}")
    nvec = _nvec(action_space)
    good = ((batch.actions >= 0) & (batch.actions < nvec)).reshape(rows, -1).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"{name}: expected actions from 0 to {nvec - 1}, got {batch.actions[row]} in row {row}"
        )


def _read_arrays(content: bytes) -> Arrays:
    if content.startswith(b"\x93NUMPY"):
        raise ValueError("a single array")
    members = read_members(content)
    return {
        name: np.lib.format.read_array(io.BytesIO(members[f"{name}.npy"]), allow_pickle=False)
        for name in (_VERSION, _CHECKSUMS, *FIELDS, *EARLIER_FIELDS)
        if f"{name}.npy" in members
    }


def _checksums(arrays: Mapping[str, AnyArray]) -> AnyArray:
    """A line about each array: its name and the checksum of its content."""
    return np.array(
        [f"{name} {zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}" for name, array in arrays.items()]
    )


def _minari_dataset(dataset_id: str) -> minari.MinariDataset:
    try:
        import minari
    except ImportError as error:
        raise ImportError(
            f"demonstrations: expected Minari to read {MINARI}{dataset_id} with, got none ({error}): "
            "pip install 'pgcore-rl[minari]'"
        ) from error
    try:
        return minari.load_dataset(dataset_id)
    except (OSError, ValueError) as error:  # not there; not an id
        raise ValueError(
            f"demonstrations: expected a Minari dataset on this machine, got {dataset_id!r} ({error}); "
            f"'minari download {dataset_id}' fetches one that is public"
        ) from error


def _from_env(space: AnySpace, actions: object) -> AnyArray:
    """What `ActionAdapter.to_env` would turn into ``actions``, except for clipping."""
    array = np.asarray(actions)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        array = array - space.start
    return array.reshape(len(array), *ActionAdapter(space).action_shape)


def _nvec(space: AnySpace) -> int | IntArray:
    """How many values a choice has; an array for several choices."""
    if isinstance(space, gym.spaces.MultiDiscrete):
        return np.asarray(space.nvec).ravel()
    return int(space.n) if isinstance(space, gym.spaces.Discrete) else 2
