"""Where an iteration's numbers go. Loggers are callbacks: they read ``model.logs`` after every iteration."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import numpy as np

from pgcore.io.files import as_path, naming, replacing

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from pgcore.callbacks import LearningModel

__all__ = ["STEPS", "CSVLogger", "ConsoleLogger", "number_in", "read_progress"]

STEPS = "time/total_timesteps"
"""The column that says how far training was."""


class CSVLogger:
    """One line per iteration in a CSV file; the operating system has each line as soon as it is written.

    Numbers are written so that reading them gives the same float back; not-a-number and None are left empty.
    A line is written whole or not at all: what an interrupt or a full disk cut short is repaired by the next
    one. Calling the logger again with the same model writes the line of its last iteration if that failed.

    Parameters
    ----------
    path
        The file. Without ``resume_at`` it must not hold anything yet.
    resume_at
        The ``num_timesteps`` of the model that resumes: earlier lines are kept, and lines that a crash left
        behind from after the model's last checkpoint are dropped.

    Raises
    ------
    FileExistsError
        If there is something in the file and ``resume_at`` is None.
    ValueError
        If the file is not one that a logger wrote.
    OSError
        If the file cannot be written; it names the file.
    """

    def __init__(self, path: str | os.PathLike[str], *, resume_at: int | None = None) -> None:
        self.path = as_path(path)
        self._file: io.FileIO | None = None
        self._closed = False
        columns: list[str] = []
        kept: list[dict[str, str]] = []
        if self.path.exists() and self.path.stat().st_size > 0:
            if resume_at is None:
                raise FileExistsError(f"path: expected a new CSV file, got {self.path}, which is not empty")
            columns, rows = read_progress(self.path)
            if columns and STEPS not in columns:
                raise ValueError(f"path: expected a CSV file with a column {STEPS}, got {self.path}")
            kept = [row for row in rows if number_in(row, STEPS, self.path) <= resume_at]
        # What is surely in the file: columns, how many lines, and the logs that the last one was made of.
        self._done: tuple[list[str], int, object] = (columns, len(kept), None)
        self._whole = True  # nothing else is in the file
        self._rewrite(columns, kept)

    def __call__(self, model: LearningModel) -> None:
        """Write the line of the model's last iteration, unless it is there already."""
        if model.logs and model.logs is not self._done[2]:  # every iteration makes logs of its own
            self.write(model.logs)

    def write(self, row: Mapping[str, object]) -> None:
        """Write one line; a column that was not there before is added to the whole file.

        Parameters
        ----------
        row
            Numbers by column name. NumPy's scalars count as numbers; text is written as one line.
        """
        if self._closed:
            raise ValueError(f"write: expected an open logger, got a closed one ({self.path})")
        before, num_rows, _ = self._done
        columns = [*before, *(name for name in row if name not in before)]
        cells = {name: _cell(value) for name, value in row.items()}
        whole, self._whole = self._whole, False
        if whole and columns == before and self._file is not None:
            _append(self.path, self._file, _lines(columns, [cells]))
        else:
            rows = read_progress(self.path)[1] if before else []
            self._rewrite(columns, [*rows[:num_rows], cells])
        self._done = columns, num_rows + 1, row
        self._whole = True

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, object]:
        if self._file is not None:
            raise TypeError(
                f"CSVLogger: expected a closed one to copy or pickle, got one with {self.path} open; two "
                "would write into each other's lines"
            )
        return self.__dict__

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        """Write header and ``rows`` to a new file, put it in the old one's place, and stay at its end."""
        self._release()
        with replacing(self.path) as file:
            file.write(_lines(columns, rows, header=True))
        self._file = open(self.path, "r+b", buffering=0)  # noqa: SIM115 - held until close()


def read_progress(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV file that `CSVLogger` writes, without the torn line that a crash may leave.

    Raises
    ------
    ValueError
        If it is no CSV file.
    OSError
        If it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        whole = text[: text.rfind("\n") + 1]
        columns, *lines = list(csv.reader(io.StringIO(whole, newline=""))) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"path: expected a CSV file, got {path} ({error})") from None
    return columns, [dict(zip(columns, line, strict=True)) for line in lines if len(line) == len(columns)]


def number_in(row: Mapping[str, str], column: str, path: Path) -> float:
    """The number in one cell; NaN if it is empty.

    Raises
    ------
    ValueError
        If something else is in it; names ``path``.
    """
    try:
        return float(row.get(column) or math.nan)
    except ValueError:
        raise ValueError(f"{path}: expected numbers under {column!r}, got {row[column]!r}") from None


def _append(path: Path, file: io.FileIO, line: bytes) -> None:
    with naming(path):
        size = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):  # a disk that becomes full takes a part
                written += file.write(line[written:])
        except OSError:
            file.truncate(size)
            raise


def _lines(columns: list[str], rows: Iterable[Mapping[str, str]], *, header: bool = False) -> bytes:
    if not columns:
        return b""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    value = _plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else " ".join(str(value).splitlines())


def _plain(value: object) -> object:
    """A NumPy scalar, or an array of one element, as what Python has for it."""
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()
    # long doubles stay NumPy's in `item`, and subclasses of float may write themselves in words
    return float(value) if isinstance(value, float | np.floating) else value


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
        if self._file is not None and self._file.isatty():  # None: closed before Python started
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._file)
            if not console.is_dumb_terminal:  # which cannot go back to an earlier line
                self._live = Live(console=console, refresh_per_second=8, transient=False)
                self._live.start()

    def __call__(self, model: LearningModel) -> None:
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
        elif self._file is not None:
            print(_plain_line(logs, self.total_timesteps), file=self._file, flush=True)

    def close(self) -> None:
        """Leave the last table standing and the terminal as it was."""
        if self._live is not None:
            live, self._live = self._live, None
            with contextlib.suppress(OSError):  # the terminal is gone
                live.stop()

    def __getstate__(self) -> NoReturn:
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
            bar: ProgressBar | str = ""
            if name == STEPS:
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
    parts = [f"steps {_shown(logs[STEPS])}/{total_timesteps:,}"]
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


def _shown(value: object) -> str:
    value = _plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return " ".join(str(value).splitlines())
    if isinstance(value, int) or (value.is_integer() and 1000 <= abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.4g}"
