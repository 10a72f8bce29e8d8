"""``pgcore bench``: answers agree, times are printed, bad arguments are one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pgcore
from pgcore import kernels, reference
from pgcore.cli import bench, main


def test_every_kernel_is_there():
    named = {case.kernel.partition(".")[0] for case in bench.cases(np.dtype("float32"))}
    functions = {name for name in reference.__all__ if name not in ("CGResult", "CGStatus")}
    assert functions - named == {"adam_step", "categorical_entropy", "gaussian_entropy"}  # too small to tell


def test_a_table(capsys):
    assert main(["bench", "--only", "gaussian_score", "--repeats", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert all(len(line) <= 80 for line in out)
    assert out[2].split()[0] == "gaussian_score"
    assert out[2].endswith("×")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_json(capsys, dtype):
    assert main(["bench", "--only", "_log_prob", "--repeats", "1", "--json", "--dtype", dtype]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["kernel"] for row in found["rows"]] == ["gaussian_log_prob", "categorical_log_prob"]
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["numpy_seconds"] / row["pgcore_seconds"])
        assert row["pgcore_seconds"] > 0
    assert found["dtype"] == dtype


def test_threads_are_set_back(capsys):
    before = pgcore.get_num_threads()
    assert main(["bench", "--only", "gae", "--repeats", "1", "--threads", str(before + 1)]) == 0
    assert pgcore.get_num_threads() == before


def test_wrong_answers_are_not_timed(capsys, monkeypatch):
    monkeypatch.setattr(kernels, "gae", lambda *args, **kwargs: (np.ones(1), np.ones(1)))
    assert main(["bench", "--only", "gae", "--repeats", "1"]) == 2
    assert "gae: expected the result of the NumPy version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "--only: expected part of a kernel's name"),
        (["--repeats", "0"], "--repeats: expected"),
        (["--dtype", "float16"], "--dtype"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert main(["bench", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
