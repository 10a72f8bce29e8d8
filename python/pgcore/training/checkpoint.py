"""A model in one file: a zip of ``.npy`` members, as of ``np.savez``, and one of JSON; never a pickle.

``np.load(path)`` and ``unzip -p path metadata.json`` open it without this package.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pgcore._version import __version__
from pgcore.training.files import as_path, npz_path, replacing

__all__ = ["CHECKPOINT_NAME", "FORMAT_VERSION", "read_checkpoint", "write_checkpoint"]

FORMAT = "pgcore-checkpoint"
FORMAT_VERSION = 1
CHECKPOINT_NAME = "model.npz"
"""What a checkpoint is called inside a run directory."""

_METADATA = "metadata.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed member date: equal models give equal files
_CORRUPT = (
    *(zipfile.BadZipFile, EOFError, KeyError, RuntimeError, ValueError),
    NotImplementedError,  # zipfile's word for a method of compression that it doesn't know
)


def write_checkpoint(
    path: str | os.PathLike[str], metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]
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
        text = json.dumps(header, indent=2, allow_nan=True)
        archive.writestr(zipfile.ZipInfo(_METADATA, _EPOCH), text)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getbuffer())
    return target


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read what `write_checkpoint` wrote.

    Parameters
    ----------
    path
        The file (with or without its ``.npz``), or a run directory that holds a ``model.npz``.

    Returns
    -------
    metadata, arrays

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is something else, is damaged, or comes from a newer version.
    """
    source = _existing(as_path(path))
    try:
        with zipfile.ZipFile(source) as archive:
            metadata = json.loads(archive.read(_METADATA)) if _METADATA in archive.namelist() else {}
            if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
                raise ValueError("a zip file without a pgcore model in it")
            _check_version(source, metadata)
            arrays = {
                name.removesuffix(".npy"): _read_array(archive, name)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except _NewerVersionError:
        raise
    except _CORRUPT as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"path: expected a pgcore checkpoint, got {source} ({reason})") from error
    return metadata, arrays


class _NewerVersionError(ValueError):
    """The file is sound, but this version cannot read it."""


def _check_version(source: Path, metadata: Mapping[str, Any]) -> None:
    version = metadata.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise _NewerVersionError(
            f"path: expected a checkpoint of format version {FORMAT_VERSION} or older, got version {version} "
            f"in {source} (written by pgcore {metadata.get('pgcore_version')}, this is {__version__})"
        )


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray[Any, Any]:
    # The member is read whole, which is what makes zipfile compare its checksum.
    member = io.BytesIO(archive.read(name))
    array: np.ndarray[Any, Any] = np.lib.format.read_array(member, allow_pickle=False)
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
