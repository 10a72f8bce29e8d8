"""A run directory: ``config.json`` (the settings), ``progress.csv``, ``model.npz``, ``evaluation.json``.

Every file except the learning curve is replaced as a whole: if the process is killed at any moment, either
the old or the new file is there. The learning curve grows line by line; the operating system has each line
before the checkpoint of the same iteration is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Required, TypedDict, cast

from pgcore.io.files import FileLock, naming, remove_leftovers, replacing
from pgcore.loggers import STEPS, CSVLogger, read_progress

__all__ = ["RunConfig", "RunDirectory"]

_LOCK = ".lock"
_MAX_NAME = 120  # characters of a directory's name: file systems take 255 bytes, listings 80


class RunConfig(TypedDict, total=False):
    """What ``config.json`` holds. `RunDirectory.read_config` checks the three keys that are required."""

    algorithm: Required[str]
    env_id: Required[str]
    backend: Required[str]
    pgcore_version: str
    total_timesteps: int
    seed: int
    num_envs: int
    hidden: list[int]
    activation: str
    save_freq: int
    eval_episodes: int
    demonstrations: str | None
    hyperparameters: dict[str, object]


class RunDirectory:
    """The files of one training run.

    Parameters
    ----------
    path
        The directory. It may be missing.

    Attributes
    ----------
    path, config_file, progress_file, model_file, evaluation_file : Path
        The directory and its files. Each file may be missing.

    Examples
    --------
    >>> import tempfile
    >>> directory = RunDirectory(Path(tempfile.mkdtemp()))
    >>> directory.write_config({"algorithm": "ppo", "env_id": "CartPole-v1", "backend": "sync"})
    >>> directory.read_config()["env_id"]
    'CartPole-v1'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path = Path(path)
        self.config_file = path / "config.json"
        self.progress_file = path / "progress.csv"
        self.model_file = path / "model.npz"
        self.evaluation_file = path / "evaluation.json"

    @classmethod
    def new(cls, algorithm: str, env_id: str, seed: int, settings: Mapping[str, object]) -> RunDirectory:
        """Create ``runs/{algorithm}-{env}-{seed}-{settings}-{time}``, a directory that no other run uses.

        Parameters
        ----------
        algorithm, env_id, seed
            Of the run.
        settings
            Further settings for the name; those for which the name has no room are left out.

        Raises
        ------
        OSError
            If it cannot be created.
        """
        name = _plain(f"{algorithm}-{env_id}-{seed}")
        for setting, value in settings.items():
            part = "-" + _plain(f"{setting}={_short(value)}")
            if len(name) + len(part) <= _MAX_NAME:
                name += part
        name = name[:_MAX_NAME]
        name += time.strftime("-%Y%m%d-%H%M%S")
        attempt = 1
        while True:  # creating it is the test whether it is free: another run may look at the same moment
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
        """Create the directory if it is missing.

        Raises
        ------
        OSError
            If it cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_be_made(self.path, error.strerror) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory; remove temporary files of killed processes.

        Raises
        ------
        BlockingIOError
            If another process trains in it.
        OSError
            If it cannot be written to.
        """
        lock = FileLock(self.path / _LOCK)
        try:
            mine = lock.acquire()
        except OSError as error:
            raise OSError(
                f"path: expected a directory that can be written to, got {self.path} ({error.strerror})"
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
        """Check that no other process trains in the directory.

        Raises
        ------
        BlockingIOError
            If one does.
        """
        lock = FileLock(self.path / _LOCK)
        mine = True
        with contextlib.suppress(OSError):  # `locked` reports it
            if lock.path.exists():
                mine = lock.acquire()
                if mine:
                    lock.release()
        if not mine:
            raise self._in_use(lock)

    def _in_use(self, lock: FileLock) -> BlockingIOError:
        return BlockingIOError(
            f"path: expected a directory in which no other command is training, got {self.path}, which "
            f"process {lock.holder()} is using"
        )

    def require_free(self) -> None:
        """Check that a new run in the directory would destroy nothing.

        Raises
        ------
        FileExistsError
            If it holds more than a run that has learned nothing yet.
        NotADirectoryError
            If it is a file.
        OSError
            If it cannot be read.
        """
        try:
            found = sorted(os.listdir(self.path))
        except FileNotFoundError:
            found = []
        except NotADirectoryError:
            if self.path.exists():
                raise NotADirectoryError(f"path: expected a directory, got the file {self.path}") from None
            found = []  # a parent is a file: `make` reports it
        except OSError as error:
            raise OSError(
                f"path: expected a directory that can be read, got {self.path} ({error.strerror})"
            ) from None
        if kept := self._kept(found):
            raise FileExistsError(
                f"path: expected a new or empty directory, got {self.path}, which has files in it "
                f"({', '.join(kept[:3])}{', ...' if len(kept) > 3 else ''})"
            )

    def has_learned(self) -> bool:
        """Return whether the directory holds anything that a new run would destroy."""
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

    def read_config(self) -> RunConfig:
        """Return the settings that `write_config` wrote.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            If there is no such directory, or no ``config.json`` in it.
        ValueError
            If ``config.json`` is not that of a run, or cannot be read.
        """
        try:
            config = json.loads(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"path: expected a run directory, got {self.path} without a config.json"
            ) from None
        except NotADirectoryError:
            raise NotADirectoryError(f"path: expected a run directory, got the file {self.path}") from None
        except (OSError, ValueError) as error:
            raise ValueError(
                f"path: expected a readable config.json, got {self.config_file} ({error})"
            ) from None
        if not isinstance(config, dict) or not {"algorithm", "env_id", "backend"} <= set(config):
            raise ValueError(f"path: expected the config.json of a run, got {self.config_file}")
        return cast(RunConfig, config)

    def write_config(self, config: RunConfig) -> None:
        """Write the settings of the run; an `OSError` names the file."""
        _write_json(self.config_file, config)

    def open_progress(self, *, resume_at: int) -> CSVLogger:
        """Return a logger that keeps the learning curve's first ``resume_at`` steps and adds to them."""
        with naming(self.progress_file):
            return CSVLogger(self.progress_file, resume_at=resume_at)

    def write_evaluation(self, result: Mapping[str, object]) -> None:
        """Write how good the trained policy is; an `OSError` names the file."""
        _write_json(self.evaluation_file, result)


def _cannot_be_made(path: Path, reason: str | None) -> OSError:
    return OSError(f"path: expected a directory that can be created, got {path} ({reason})")


def _plain(text: str) -> str:
    """``text`` in characters that every file system takes."""
    return re.sub(r"[^\w.=,+-]+", "_", text, flags=re.ASCII)


def _short(value: object) -> str:
    """A setting's value as typed on the command line.

    >>> _short((64, 64)), _short(0.0003), _short(True)
    ('64,64', '0.0003', 'True')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return Path(value).stem if isinstance(value, str) and os.sep in value else str(value)


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    with naming(path), replacing(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())
