from __future__ import annotations

import csv
import io
import math

import pytest

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
