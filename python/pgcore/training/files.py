"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["as_path", "npz_path", "replacing"]


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
