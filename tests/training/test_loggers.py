from __future__ import annotations

import csv
import errno
import io
import math
import os
import re

import numpy as np
import pytest

from pgcore import loggers
from pgcore.training import ConsoleLogger, CSVLogger

STEPS = "time/total_timesteps"


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_line_is_on_disk_at_once(tmp_path):
    logger = CSVLogger(tmp_path / "progress.csv")
    for i in range(3):
        logger.write({STEPS: i, "train/loss": 0.1 * i})
        assert [row[STEPS] for row in rows(logger.path)] == [str(j) for j in range(i + 1)]
    logger.close()


def test_floats_survive_exactly_and_nan_is_empty(tmp_path):
    logger = CSVLogger(tmp_path / "progress.csv")
    logger.write({STEPS: 1, "a": 0.1 + 0.2, "b": math.nan})
    logger.close()
    (row,) = rows(logger.path)
    assert float(row["a"]) == 0.1 + 0.2
    assert row["b"] == ""


class Worded(float):
    def __repr__(self):
        return f"Worded({float(self)})"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (np.float32(1.0), "1.0"),
        (np.float32(0.1), "0.10000000149011612"),
        (np.float64(0.1), "0.1"),
        (np.float16(0.5), "0.5"),
        (np.longdouble(0.25), "0.25"),
        (np.array(0.1), "0.1"),
        (np.array([3], np.uint8), "3"),
        (np.int64(7), "7"),
        (np.float32("nan"), ""),
        (np.float64("inf"), "inf"),
        (np.array(np.nan), ""),
        (np.bool_(True), "True"),
        (False, "False"),
        (None, ""),
        (Worded(0.5), "0.5"),
        ("a, b", "a, b"),
        ('say "hi"', 'say "hi"'),
        ("two\nlines", "two lines"),
        (np.str_("text"), "text"),
    ],
)
def test_what_a_cell_holds(tmp_path, value, cell):
    logger = CSVLogger(tmp_path / "progress.csv")
    for steps in (1, 2):
        logger.write({STEPS: np.int64(steps), "train/x, y": value, "last": 1.5})
    logger.close()
    expected = [{STEPS: str(steps), "train/x, y": cell, "last": "1.5"} for steps in (1, 2)]
    assert rows(logger.path) == expected
    CSVLogger(logger.path, resume_at=2).close()
    assert rows(logger.path) == expected
    out = io.StringIO()
    ConsoleLogger(10, file=out).write({STEPS: np.int64(1), "train/entropy": value})
    assert "np." not in out.getvalue()
    assert out.getvalue().count("\n") == 1


class Model:
    """As much of one as a logger looks at."""

    def __init__(self, **logs):
        self.logs = logs


def test_an_iteration_has_one_line(tmp_path):
    logger = CSVLogger(tmp_path / "progress.csv")
    first, again = Model(**{STEPS: 1}), Model(**{STEPS: 1})  # equal numbers, as after reset_num_timesteps
    for model in (first, first, again, again, Model()):
        logger(model)
    logger.close()
    assert [row[STEPS] for row in rows(logger.path)] == ["1", "1"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["_append", "_rewrite", "replacing", "_lines"])
def test_a_line_that_was_cut_short_can_be_written_again(tmp_path, monkeypatch, step, when):
    """An interrupt at any place leaves a file in which the next call finds its way."""
    owner = CSVLogger if step == "_rewrite" else loggers
    for interrupted in range(4):  # lines 0 and 2 begin the file anew, 1 and 3 are added to it
        logger = CSVLogger(tmp_path / f"{step}-{when}-{interrupted}.csv")
        models = [Model(**{STEPS: i, **({"new": i} if i == 2 else {})}) for i in range(4)]
        for i, model in enumerate(models):
            if i == interrupted:
                original, here = getattr(owner, step), []

                def broken(*args, original=original, here=here, **kwargs):
                    here.append(1)
                    if when == "after" and step != "replacing":
                        original(*args, **kwargs)
                    raise KeyboardInterrupt

                monkeypatch.setattr(owner, step, broken)
                try:
                    logger(model)
                except KeyboardInterrupt:
                    assert here
                monkeypatch.undo()
                logger(model)
            logger(model)
        logger.close()
        assert [row[STEPS] for row in rows(logger.path)] == ["0", "1", "2", "3"]
        assert [row["new"] for row in rows(logger.path)] == ["", "", "2", ""]


def test_a_full_disk_takes_no_part_of_a_line(tmp_path, monkeypatch):
    class Disk(io.FileIO):
        room = 10**6

        def write(self, data):
            if not Disk.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = super().write(bytes(data)[: Disk.room])
            Disk.room -= written
            return written

    monkeypatch.setattr(loggers, "open", lambda path, mode, buffering: Disk(path, mode), raising=False)
    logger = CSVLogger(tmp_path / "progress.csv")
    logger.write({STEPS: 1, "a": 0.5})
    before = logger.path.read_bytes()
    Disk.room = 3
    with pytest.raises(OSError, match="No space left") as caught:
        logger.write({STEPS: 2, "a": 0.25})
    assert caught.value.filename == str(logger.path)
    assert logger.path.read_bytes() == before
    Disk.room = 10**6
    logger.write({STEPS: 2, "a": 0.25})
    logger.close()
    assert logger.path.read_bytes() == before + b"2,0.25\n"


def test_errors_in_the_file_name_it(tmp_path):
    path = tmp_path / "progress.csv"
    for content, message in (
        (f"{STEPS},a\nten,1\n", f"{path}: expected numbers under '{STEPS}', got 'ten'"),
        ("a\n1\n", f"path: expected a CSV file with a column {STEPS}, got {path}"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=re.escape(message)):
            CSVLogger(path, resume_at=5)
        assert path.read_text() == content


def test_new_columns_join_the_whole_file(tmp_path):
    logger = CSVLogger(tmp_path / "progress.csv")
    logger.write({STEPS: 1, "a": 1.5})
    logger.write({STEPS: 2, "b": 2.5})
    logger.write({STEPS: 3, "a": 3.5, "b": 4.5})
    logger.close()
    assert rows(logger.path) == [
        {STEPS: "1", "a": "1.5", "b": ""},
        {STEPS: "2", "a": "", "b": "2.5"},
        {STEPS: "3", "a": "3.5", "b": "4.5"},
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["progress.csv"]


def test_resuming_appends(tmp_path):
    path = tmp_path / "progress.csv"
    first = CSVLogger(path)
    first.write({STEPS: 10, "a": 1.0})
    first.close()
    second = CSVLogger(path, resume_at=10)
    second.write({STEPS: 20, "a": 2.0, "new": 3.0})
    second.close()
    assert rows(path) == [{STEPS: "10", "a": "1.0", "new": ""}, {STEPS: "20", "a": "2.0", "new": "3.0"}]


def test_resuming_drops_what_the_checkpoint_does_not_know(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text(
        f"{STEPS},a\n10,1.0\n20,2.0\n30,3.0\n40,4."
    )  # killed within a line, after the checkpoint at 20
    CSVLogger(path, resume_at=20).close()
    assert path.read_text() == f"{STEPS},a\n10,1.0\n20,2.0\n"


def test_a_torn_line_is_never_taken_for_a_number(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text(f"a,{STEPS}\n1.0,10\n2.0,1")  # the beginning of 1024
    CSVLogger(path, resume_at=20).close()
    assert path.read_text() == f"a,{STEPS}\n1.0,10\n"


@pytest.mark.parametrize("content", ["", "time/total_tim"])
def test_resuming_before_the_first_line(tmp_path, content):
    path = tmp_path / "progress.csv"
    path.write_text(content)
    logger = CSVLogger(path, resume_at=0)
    logger.write({STEPS: 1})
    logger.close()
    assert rows(path) == [{STEPS: "1"}]


def test_earlier_results_are_not_overwritten(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("a\n1\n")
    with pytest.raises(FileExistsError, match=r"^path: expected a new CSV file, got"):
        CSVLogger(path)
    assert path.read_text() == "a\n1\n"


def test_a_closed_logger_says_so(tmp_path):
    logger = CSVLogger(tmp_path / "progress.csv")
    logger.close()
    with pytest.raises(ValueError, match=r"^write: expected an open logger, got a closed one"):
        logger.write({STEPS: 1})


LOGS = {
    "rollout/ep_rew_mean": 21.5,
    "rollout/ep_len_mean": math.nan,
    "time/fps": 12345,
    STEPS: 2048,
    "train/entropy": 0.25,
}


def test_plain_output_is_one_line_an_iteration():
    out = io.StringIO()
    logger = ConsoleLogger(10_000, file=out)
    logger.write(LOGS)
    logger.write(LOGS)
    logger.close()
    line = "steps 2,048/10,000  reward 21.5  length -  entropy 0.25  12,345 steps/s\n"
    assert out.getvalue() == 2 * line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_table_of_at_most_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    logger = ConsoleLogger(10_000, file=out)
    logger.write(LOGS)
    logger.close()
    text = out.getvalue()
    assert "ep_rew_mean" in text
    assert "2,048" in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert max(map(len, io.StringIO(text).read().replace("\r", "\n").split("\n"))) < 160  # with escapes
