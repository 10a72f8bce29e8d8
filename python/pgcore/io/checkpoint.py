"""A model in one file: a zip of ``.npy`` members, as of ``np.savez``, and one of JSON; never a pickle.

``np.load(path)`` and ``unzip -p path metadata.json`` open it without this package.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pgcore._arguments import AnyArray, Arrays
from pgcore._version import __version__
from pgcore.io.earlier import upgrade_checkpoint
from pgcore.io.files import as_path, npz_path, read_members, replacing

__all__ = ["CHECKPOINT_NAME", "FORMAT_VERSION", "read_checkpoint", "write_checkpoint"]

FORMAT = "pgcore-checkpoint"
FORMAT_VERSION = 2
CHECKPOINT_NAME = "model.npz"
"""What a checkpoint is called inside a run directory."""

_METADATA = "metadata.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed member date: equal models give equal files


def write_checkpoint(
    path: str | os.PathLike[str], metadata: Mapping[str, object], arrays: Mapping[str, AnyArray]
) -> Path:
    """Write ``metadata`` and ``arrays`` to one file, all or nothing.

    An interrupt or a full disk leaves an earlier checkpoint as it was.

    Parameters
    ----------
    path
        Where to; ``.npz`` is added to a name without a suffix. Missing directories are made.
    metadata
        JSON-able values (tuples come back as lists).
    arrays
        Arrays of any shape and numeric or boolean dtype. A ``/`` in a name makes a folder in the zip.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If ``path`` is no path, or that of a directory.
    """
    target = npz_path(path)
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "pgcore_version": __version__, **metadata}
    with replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
        checksums: dict[str, int] = {}
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            archive.writestr(info, member.getbuffer())
            checksums[info.filename] = info.CRC
        # A zip's table of contents has no checksum: this list shows whether a file has lost members.
        text = json.dumps({**header, "members": checksums}, indent=2, allow_nan=True)
        archive.writestr(zipfile.ZipInfo(_METADATA, _EPOCH), text)
    return target


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, object], Arrays]:
    """Read what `write_checkpoint` wrote.

    Parameters
    ----------
    path
        The file (with or without its ``.npz``), or a run directory that holds a ``model.npz``.

    Returns
    -------
    metadata, arrays
        What an earlier version called otherwise has today's names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is something else, is damaged, or comes from a newer version. (Every member is compared
        with its checksum; files of earlier versions, which list none, are read if they are whole.)
    """
    source = _existing(as_path(path))
    content = source.read_bytes()  # an error of the disk is one; all others below are of the content
    try:
        members = read_members(content)
        metadata = json.loads(members.pop(_METADATA, b"{}"))
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise ValueError("a zip file without a pgcore model in it")
        version = _checked_version(source, metadata)
        _check_members(metadata.pop("members", None), members)
        arrays = {name.removesuffix(".npy"): _array(member) for name, member in members.items()}
    except (_NewerVersionError, MemoryError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"path: expected a pgcore checkpoint, got {source} ({reason})") from error
    return upgrade_checkpoint(version, metadata, arrays)


class _NewerVersionError(ValueError):
    """The file is sound, but this version cannot read it."""


def _checked_version(source: Path, metadata: Mapping[str, object]) -> int:
    version = metadata.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise _NewerVersionError(
            f"path: expected a checkpoint of format version {FORMAT_VERSION} or older, got version {version} "
            f"in {source} (written by pgcore {metadata.get('pgcore_version')}, this is {__version__})"
        )
    return version


def _check_members(listed: Mapping[str, int] | None, found: Mapping[str, bytes]) -> None:
    """Raise a `ValueError` unless the members are those that were written."""
    if listed is None:
        return
    for name in [*listed, *found]:
        if name not in found or name not in listed:
            raise ValueError(f"a file {'with' if name in found else 'without'} a member {name}")
        if zlib.crc32(found[name]) != listed[name]:
            raise ValueError(f"a file with another member {name} than was written")


def _array(member: bytes) -> AnyArray:
    array: AnyArray = np.lib.format.read_array(io.BytesIO(member), allow_pickle=False)
    return array


def _existing(path: Path) -> Path:
    if path.is_dir():
        path = path / CHECKPOINT_NAME
    elif not path.exists():
        path = npz_path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"path: expected a checkpoint file or a run directory, got {path}, which does not exist"
        )
    return path
