"""Files that are written whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["as_path", "npz_path", "read_members", "replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside ``path``, and put it in its place at the end.

    An interrupt or a full disk leaves what was there as it was. Missing directories are made.

    Examples
    --------
    >>> with replacing(Path("notes.txt")) as file:
    ...     _ = file.write(b"all or nothing")
    >>> Path("notes.txt").read_text()
    'all or nothing'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_members(content: bytes) -> dict[str, bytes]:
    """Return all members of a zip file by name, each compared with its checksum.

    Parameters
    ----------
    content
        The whole file: read from memory, what is damaged can't be taken for an error of the disk.

    Raises
    ------
    Exception
        Of many kinds, if it is no zip file or a damaged one; among them `ValueError` if there are not as many
        members as its end says.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        place = content.rfind(b"PK\x05\x06") + 10  # the end record, and in it the number of members
        count = int.from_bytes(content[place : place + 2], "little")
        if len(set(names)) != len(names) or count not in (len(names), 0xFFFF):
            raise ValueError(f"{count} members, of which {len(set(names))} can be found")
        return {name: archive.read(name) for name in names}  # whole: only then is the checksum looked at


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return a `Path`; what is none raises a `TypeError` that says so."""
    try:
        return Path(path)
    except TypeError:
        raise TypeError(f"path: expected a path, got {type(path).__name__} {path!r}") from None


def npz_path(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` with ``.npz`` added if it has no suffix.

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If there is a directory of that name: a file beside it would not be what is read back.

    >>> npz_path("model").name
    'model.npz'
    """
    path = as_path(path)
    if path.is_dir():
        raise ValueError(f"path: expected a file to write, got the directory {path}")
    return path if path.suffix else path.with_name(path.name + ".npz")
