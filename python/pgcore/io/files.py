"""Files that are written whole or not at all, and locks that end with their process.

What a power cut leaves: a file that `replacing` writes is synchronised with the disk (fsync) before it takes
its name, so the name refers to the whole old file or the whole new one. The directory is not synchronised:
which of the two it is after a power cut depends on the file system. After a kill of the process alone it is
the new one.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["FileLock", "as_path", "naming", "npz_path", "read_members", "remove_leftovers", "replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside ``path``, and put it in its place at the end.

    An interrupt or a full disk leaves what was there as it was. Missing directories are made. What a killed
    process left of an earlier attempt is removed.

    Raises
    ------
    OSError
        If the file cannot be written; it names ``path``, not the file beside it.

    Examples
    --------
    >>> with replacing(Path("notes.txt")) as file:
    ...     _ = file.write(b"all or nothing")
    >>> Path("notes.txt").read_text()
    'all or nothing'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    with naming(path):
        file, temporary = _open_beside(path)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if sys.platform != "win32":  # locked until it has its name
                    os.replace(temporary, path)
            if sys.platform == "win32":  # which renames no open file
                os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _open_beside(path: Path) -> tuple[IO[bytes], Path]:
    """A new file, locked while it is open: so `remove_leftovers` does not remove it."""
    while True:
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        file = open(temporary, "xb")  # noqa: SIM115 - the caller closes it
        try:
            mine = _try_lock(file.fileno())
        except OSError:
            mine = True
        if mine and _is_at(file.fileno(), temporary):
            return file, temporary
        file.close()  # taken for a leftover before it was locked


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left beside ``path``; a file that is still being written is locked."""
    prefix = f".{path.name}."
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(prefix) and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    leftover = path.with_name(name)
                    with open(leftover, "r+b") as file:
                        unused = _try_lock(file.fileno())
                        if unused and sys.platform != "win32":
                            leftover.unlink()
                    if unused and sys.platform == "win32":
                        leftover.unlink()


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let an `OSError` from inside this context name ``path``.

    >>> with naming("results.csv"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'results.csv'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == os.fspath(path):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


class FileLock:
    """A lock that one process holds at a time, and that is free again when its process ends, however it ends.

    On a file system without locks every process gets it.

    Parameters
    ----------
    path
        The lock file; made by `acquire`, removed by `release`. One that a killed process left can be locked
        again.

    Examples
    --------
    >>> first, second = FileLock(Path("lock")), FileLock(Path("lock"))
    >>> first.acquire(), second.acquire()
    (True, False)
    >>> first.release()
    >>> second.acquire()
    True
    >>> second.release()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; return False if another process has it.

        Raises
        ------
        OSError
            If the lock file cannot be made.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                mine = _try_lock(descriptor)
            except OSError:
                mine = True
            if not mine:
                os.close(descriptor)
                return False
            if _is_at(descriptor, self.path):
                break
            os.close(descriptor)  # its holder removed the file between our opening and our locking it
        with contextlib.suppress(OSError):  # only for `holder`
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor
        _held.add(descriptor)
        return True

    def holder(self) -> str:
        """Return the id of the process that has the lock, or ``"unknown"``."""
        with contextlib.suppress(OSError, ValueError):
            return str(int(self.path.read_text(encoding="ascii")))
        return "unknown"

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(descriptor)
        if sys.platform == "win32":  # which removes no open file
            os.close(descriptor)
            with contextlib.suppress(OSError):
                self.path.unlink()
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # a locked byte cannot be read: lock one behind the end

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        """Lock a file while it is open; False if another process has it locked. `OSError`: no locks here."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


_held: set[int] = set()


def _forget_locks() -> None:
    """In a forked child: a lock belongs to the process that took it, not to workers that outlive it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


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
    """Return a `Path`, with ``~`` replaced by the home directory; what is none raises a `TypeError`.

    >>> as_path("~/model.npz") == Path.home() / "model.npz"
    True
    """
    try:
        return Path(os.path.expanduser(Path(path)))
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
