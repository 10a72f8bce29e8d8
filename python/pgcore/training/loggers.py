"""Where an iteration's numbers go. Loggers are callbacks: they read ``model.logs`` after every iteration."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pgcore.training.files import replacing

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from pgcore.training.algorithm import Algorithm

__all__ = ["CSVLogger", "ConsoleLogger"]

_STEPS = "time/total_timesteps"


class CSVLogger:
    """One line an iteration in a CSV file, on disk as soon as it is written.

    Numbers are written so that reading them gives the same float back, and not-a-number is left empty.

    Parameters
    ----------
    path
        The file. Without ``resume_at`` it must not hold anything yet.
    resume_at
        The ``num_timesteps`` of the model that goes on: earlier lines are kept, and lines that a crash left
        behind from after the model's last checkpoint are dropped.

    Raises
    ------
    FileExistsError
        If there is something in the file and ``resume_at`` is None.
    ValueError
        If the file is not one that a logger wrote.
    """

    def __init__(self, path: str | os.PathLike[str], *, resume_at: int | None = None) -> None:
        self.path = Path(path)
        self._columns: list[str] = []
        kept: list[dict[str, str]] = []
        if self.path.exists() and self.path.stat().st_size > 0:
            if resume_at is None:
                raise FileExistsError(f"path: expected a new CSV file, got {self.path}, which is not empty")
            self._columns, kept = _read_rows(self.path, resume_at)
            if self._columns and _STEPS not in self._columns:
                raise ValueError(f"path: expected a CSV file with a column {_STEPS}, got {self.path}")
        self._file: IO[str] | None = None
        self._rewrite(kept)

    def __call__(self, model: Algorithm[Any]) -> None:
        """Write the iteration's line."""
        self.write(model.logs)

    def write(self, row: Mapping[str, float]) -> None:
        """Write one line; a column that was not there before is added to the whole file.

        Parameters
        ----------
        row
            Numbers by column name.
        """
        if self._file is None:
            raise ValueError(f"write: expected an open logger, got a closed one ({self.path})")
        new = [name for name in row if name not in self._columns]
        if new:
            self._file.close()
            rows = _read_rows(self.path, None)[1] if self._columns else []
            self._columns += new
            self._rewrite(rows)
        _writer(self._file, self._columns).writerow({name: _cell(value) for name, value in row.items()})
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        if self._file is not None:
            raise TypeError(
                f"CSVLogger: expected a closed one to copy or pickle, got one with {self.path} open; two "
                "would write into each other's lines"
            )
        return self.__dict__

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        """Write header and ``rows`` to a new file, put it in the old one's place, and stay at its end."""
        text = io.StringIO(newline="")
        if self._columns:
            writer = _writer(text, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())
        self._file = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - held until close()


def _writer(file: IO[str], columns: list[str]) -> csv.DictWriter[str]:
    return csv.DictWriter(file, columns, restval="", lineterminator="\n")


def _read_rows(path: Path, up_to: int | None) -> tuple[list[str], list[dict[str, str]]]:
    """Header and whole lines, without those after ``up_to`` steps and the torn one that a crash may leave."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"path: expected a CSV file, got {path} ({error})") from None
    whole = text[: text.rfind("\n") + 1]
    columns, *lines = list(csv.reader(whole.splitlines())) or [[]]
    rows = [dict(zip(columns, line, strict=True)) for line in lines if len(line) == len(columns)]
    if up_to is not None:
        rows = [row for row in rows if row.get(_STEPS) and float(row[_STEPS]) <= up_to]
    return columns, rows


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


class ConsoleLogger:
    """A table that updates in place on a terminal, and one plain line an iteration anywhere else.

    Parameters
    ----------
    total_timesteps
        Where training ends, to show how far it is.
    file
        Where to write; standard output by default.
    """

    def __init__(self, total_timesteps: int, *, file: IO[str] | None = None) -> None:
        self.total_timesteps = total_timesteps
        self._file = file if file is not None else sys.stdout
        self._live: Live | None = None
        if self._file.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._file), refresh_per_second=8, transient=False)
            self._live.start()

    def __call__(self, model: Algorithm[Any]) -> None:
        """Show the iteration's numbers."""
        self.write(model.logs)

    def write(self, logs: Mapping[str, float]) -> None:
        """Show ``logs``.

        Parameters
        ----------
        logs
            Numbers by name, as in ``model.logs``.
        """
        if self._live is not None:
            self._live.update(self._table(logs))
        else:
            print(_plain_line(logs, self.total_timesteps), file=self._file, flush=True)

    def close(self) -> None:
        """Leave the last table standing and the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("ConsoleLogger: expected to stay with its terminal or stream, got copied or pickled")

    def _table(self, logs: Mapping[str, float]) -> Table:
        from rich import box
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(justify="right", min_width=12)
        table.add_column(width=24)
        section = ""
        for name, value in logs.items():
            group, _, label = name.rpartition("/")
            if group != section and section:
                table.add_section()
            section = group
            bar: Any = ""
            if name == _STEPS:
                bar = ProgressBar(
                    total=self.total_timesteps, completed=min(value, self.total_timesteps), width=24
                )
            table.add_row(label, _shown(value), bar)
        return table


def _plain_line(logs: Mapping[str, float], total_timesteps: int) -> str:
    """For logs, pipes and batch jobs: how far, how good, how fast, in one line.

    >>> _plain_line({"time/total_timesteps": 2048, "rollout/ep_rew_mean": 21.5, "time/fps": 9000}, 10000)
    'steps 2,048/10,000  reward 21.5  9,000 steps/s'
    """
    parts = [f"steps {_shown(logs[_STEPS])}/{total_timesteps:,}"]
    for label, name in (
        ("reward", "rollout/ep_rew_mean"),
        ("length", "rollout/ep_len_mean"),
        ("entropy", "train/entropy"),
    ):
        if name in logs:
            parts.append(f"{label} {_shown(logs[name])}")
    if "time/fps" in logs:
        parts.append(f"{_shown(logs['time/fps'])} steps/s")
    return "  ".join(parts)


def _shown(value: float) -> str:
    if math.isnan(value):
        return "-"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    return f"{value:.4g}"
