"""A run directory: ``config.json`` (the request), ``progress.csv``, ``model.npz``, ``evaluation.json``."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from pgcore.cli.errors import CommandError

__all__ = ["RunDirectory"]


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
    def default(cls, algorithm: str, env_id: str, seed: int) -> RunDirectory:
        """``runs/{algorithm}-{env}-{seed}-{time}``, with a number at the end if that is taken."""
        name = re.sub(r"[^\w.-]+", "_", f"{algorithm}-{env_id}-{seed}-{time.strftime('%Y%m%d-%H%M%S')}")
        path = Path("runs", name)
        attempt = 1
        while path.exists():
            attempt += 1
            path = path.with_name(f"{name}-{attempt}")
        return cls(path)

    def require_free(self) -> None:
        """Refuse a directory that holds something."""
        if self.path.is_dir() and any(self.path.iterdir()):
            raise CommandError(
                f"--out: expected a new or empty directory, got {self.path}, which has files in it; "
                "add --resume to go on with the run there"
            )
        if self.path.exists() and not self.path.is_dir():
            raise CommandError(f"--out: expected a directory, got the file {self.path}")

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
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{argument}: expected a readable config.json, got {self.config_file} ({error})"
            ) from None
        if not isinstance(config, dict) or not {"algorithm", "env_id", "backend"} <= set(config):
            raise CommandError(f"{argument}: expected the config.json of a run, got {self.config_file}")
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        """Write what was asked for, making the directory if needed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"--out: expected a directory that can be made, got {self.path} ({error.strerror})"
            ) from None
        _write_json(self.config_file, config)

    def write_evaluation(self, result: dict[str, Any]) -> None:
        """Write how good the policy turned out to be."""
        _write_json(self.evaluation_file, result)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
