"""``pgcore bench``: answers agree, times are printed and drawn, bad arguments are one line."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import pgcore
from pgcore import kernels
from pgcore.cli import main

QUICK = ["bench", "--seconds", "0.0005", "--only"]


def test_a_table(capsys):
    assert main([*QUICK, "gaussian_"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in out)
    start = [line.split()[0] for line in out].index("kernel")
    named = [line.split()[0] for line in out[start + 1 : -1] if not line.startswith(" ")]
    assert named[:3] == ["gaussian_log_prob", "gaussian_score", "gaussian_kl"]
    assert all(line.endswith(" ×") for line in out[start + 1 : -1])
    assert out[-1].startswith("pgcore against the fastest other: ")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_json(capsys, dtype):
    assert main([*QUICK, "_kl", "--json", "--dtype", dtype]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["kernel"] for row in found["rows"]} == {"gaussian_kl", "categorical_kl"}
    for row in found["rows"]:
        assert row["dtype"] == dtype
        assert {"pgcore", "numpy"} <= set(row["seconds"])
        assert row["ratio"] == pytest.approx(row["seconds"][row["best"]] / row["seconds"]["pgcore"])
    assert f"NumPy {np.__version__}" in found["libraries"]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture(capsys, tmp_path, suffix):
    picture = tmp_path / f"speed{suffix}"
    assert main([*QUICK, "gaussian", "-o", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    table = picture.with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "kernel,size,dtype,library,seconds"
    assert table[1].startswith("gaussian_log_prob,64 × 6,float32,pgcore,")
    assert capsys.readouterr().out.endswith(f"wrote {picture}\nwrote {picture.with_suffix('.csv')}\n")


def test_a_picture_needs_matplotlib(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main([*QUICK, "gae", "-o", str(tmp_path / "speed.png")]) == 2
    caught = capsys.readouterr()
    assert "pip install 'pgcore-rl[plots]'" in caught.err
    assert caught.err.count("\n") == 1
    assert caught.out == ""  # before anything is timed


def test_threads_are_set_back(capsys):
    before = pgcore.get_num_threads()
    assert main([*QUICK, "gaussian_entropy", "--threads", str(before + 1)]) == 0
    assert f", {before + 1} threads" in " ".join(capsys.readouterr().out.split())
    assert pgcore.get_num_threads() == before


def test_wrong_answers_are_not_timed(capsys, monkeypatch):
    monkeypatch.setattr(kernels, "gaussian_entropy", lambda log_std: log_std.sum(axis=1))
    assert main([*QUICK, "gaussian_entropy"]) == 2
    assert "gaussian_entropy 64 × 6 float32: expected the result of the reference" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "--only: expected part of a kernel's name"),
        (["--seconds", "0"], "--seconds: expected a positive number, got 0.0"),
        (["--threads", "0"], "--threads: expected"),
        (["--dtype", "float16"], "--dtype"),
        (["-o", "speed.gif"], "out: expected a file that ends in .png, .pdf or .svg, got speed.gif"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert main(["bench", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
