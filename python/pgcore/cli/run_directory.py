"""A run directory: ``config.json`` (the request), ``progress.csv``, ``model.npz``, ``evaluation.json``.

Every file but the learning curve is replaced as a whole: a kill at any moment leaves the old or the new one.
The curve grows by lines, which the operating system has before the checkpoint that they belong to is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pgcore.cli.errors import CommandError
from pgcore.io.files import FileLock, remove_leftovers, replacing
from pgcore.loggers import STEPS, CSVLogger, read_progress

__all__ = ["RunDirectory"]

_LOCK = ".lock"
_MAX_NAME = 120  # characters of a directory's name: file systems take 255 bytes, listings 80


class RunDirectory:
    """The files of one training run.

    Parameters
    ----------
    path
        The directory; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.progress_file = path / "progress.csv"
        self.model_file = path / "model.npz"
        self.evaluation_file = path / "evaluation.json"

    @classmethod
    def new(cls, algorithm: str, env_id: str, seed: int, settings: Mapping[str, Any]) -> RunDirectory:
        """Make ``runs/{algorithm}-{env}-{seed}-{settings}-{time}``; no other run has or gets the same.

        Parameters
        ----------
        algorithm, env_id, seed
            Of the run.
        settings
            What else tells it from others; as much of it as a name can hold.

        Raises
        ------
        CommandError
            If it cannot be made.
        """
        name = _plain(f"{algorithm}-{env_id}-{seed}")
        for setting, value in settings.items():
            part = "-" + _plain(f"{setting}={_short(value)}")
            if len(name) + len(part) <= _MAX_NAME:
                name += part
        name = name[:_MAX_NAME]
        name += time.strftime("-%Y%m%d-%H%M%S")
        attempt = 1
        while True:  # made in the same step as it is chosen: another run may look at this moment
            directory = cls(Path("runs", name if attempt == 1 else f"{name}-{attempt}"))
            try:
                directory.path.parent.mkdir(exist_ok=True)
                directory.path.mkdir()
            except FileExistsError:
                if not directory.path.parent.is_dir():
                    raise _cannot_be_made(directory.path, "runs is a file") from None
                attempt += 1
            except OSError as error:
                raise _cannot_be_made(directory.path, error.strerror) from None
            else:
                return directory

    def make(self) -> None:
        """Make the directory, if it isn't there.

        Raises
        ------
        CommandError
            If it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_be_made(self.path, error.strerror) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory; remove what killed ones left half-written.

        Raises
        ------
        CommandError
            If another process trains in it, or it cannot be written to.
        """
        lock = FileLock(self.path / _LOCK)
        try:
            mine = lock.acquire()
        except OSError as error:
            raise CommandError(
                f"--out: expected a directory that can be written to, got {self.path} ({error.strerror})"
            ) from None
        if not mine:
            raise self._in_use(lock)
        try:
            for file in self._files():
                remove_leftovers(file)
            yield
        finally:
            lock.release()

    def require_unused(self) -> None:
        """Refuse a directory in which another process trains; what it wrote there is not what is wrong."""
        lock = FileLock(self.path / _LOCK)
        with contextlib.suppress(OSError):  # `locked` says so
            if lock.path.exists():
                if not lock.acquire():
                    raise self._in_use(lock)
                lock.release()

    def _in_use(self, lock: FileLock) -> CommandError:
        return CommandError(
            f"--out: expected a directory in which no other command is training, got {self.path}, which "
            f"process {lock.holder()} is using"
        )

    def require_free(self) -> None:
        """Refuse a directory that holds anything but a run that has not learned anything yet."""
        try:
            found = sorted(os.listdir(self.path))
        except FileNotFoundError:
            found = []
        except NotADirectoryError:
            if self.path.exists():
                raise CommandError(f"--out: expected a directory, got the file {self.path}") from None
            found = []  # a file stands where a directory above it should be: `make` says so
        except OSError as error:
            raise CommandError(
                f"--out: expected a directory that can be read, got {self.path} ({error.strerror})"
            ) from None
        if kept := self._kept(found):
            hint = "; add --resume to go on with the run there" if self.config_file.name in found else ""
            raise CommandError(
                f"--out: expected a new or empty directory, got {self.path}, which has files in it "
                f"({', '.join(kept[:3])}{', ...' if len(kept) > 3 else ''}){hint}"
            )

    def has_learned(self) -> bool:
        """Whether there is anything in the directory that a new run would destroy."""
        try:
            return bool(self._kept(os.listdir(self.path)))
        except OSError:
            return True

    def _kept(self, names: list[str]) -> list[str]:
        return [name for name in names if not self._replaceable(name)]

    def _replaceable(self, name: str) -> bool:
        """Whether nothing is lost with a file: those of a run that was killed before its first iteration."""
        if name in (_LOCK, self.config_file.name):
            return True
        if name == self.progress_file.name:
            try:
                columns, rows = read_progress(self.progress_file)
                return not rows and (STEPS in columns or not self.progress_file.stat().st_size)
            except (OSError, ValueError):
                return False
        return name.endswith(".tmp") and any(name.startswith(f".{file.name}.") for file in self._files())

    def _files(self) -> tuple[Path, ...]:
        return self.config_file, self.progress_file, self.model_file, self.evaluation_file

    def read_config(self, argument: str = "DIR") -> dict[str, Any]:
        """Return what `write_config` wrote.

        Parameters
        ----------
        argument
            What the user gave the directory as, for the error message.

        Raises
        ------
        CommandError
            If this is no run directory.
        """
        try:
            config = json.loads(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CommandError(
                f"{argument}: expected a run directory, got {self.path} without a config.json"
            ) from None
        except NotADirectoryError:
            raise CommandError(f"{argument}: expected a run directory, got the file {self.path}") from None
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{argument}: expected a readable config.json, got {self.config_file} ({error})"
            ) from None
        if not isinstance(config, dict) or not {"algorithm", "env_id", "backend"} <= set(config):
            raise CommandError(f"{argument}: expected the config.json of a run, got {self.config_file}")
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        """Write what was asked for; `CommandError` if that can't be."""
        _write_json(self.config_file, config)

    def open_progress(self, *, resume_at: int) -> CSVLogger:
        """Return a logger that adds to the learning curve's first ``resume_at`` steps."""
        try:
            return CSVLogger(self.progress_file, resume_at=resume_at)
        except OSError as error:
            raise _unwritable(self.progress_file, error) from None

    def write_evaluation(self, result: dict[str, Any]) -> None:
        """Write how good the policy turned out to be; `CommandError` if that can't be."""
        _write_json(self.evaluation_file, result)


def _cannot_be_made(path: Path, reason: str | None) -> CommandError:
    return CommandError(f"--out: expected a directory that can be made, got {path} ({reason})")


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path}: expected to be able to write to it, got {error.strerror}", 1)


def _plain(text: str) -> str:
    """``text`` in characters that every file system takes."""
    return re.sub(r"[^\w.=,+-]+", "_", text, flags=re.ASCII)


def _short(value: Any) -> str:
    """A setting's value as one types it.

    >>> _short((64, 64)), _short(0.0003), _short(True)
    ('64,64', '0.0003', 'True')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return Path(value).stem if isinstance(value, str) and os.sep in value else str(value)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    try:
        with replacing(path) as file:
            file.write((json.dumps(value, indent=2) + "\n").encode())
    except OSError as error:
        raise _unwritable(path, error) from None
