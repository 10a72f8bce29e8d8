"""`pytest bench/` and `bench/against_peers.py` run, and `pytest` alone leaves them out."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from pgcore import kernels
from pgcore.benchmarks import Row, cases

ROOT = Path(__file__).resolve().parents[2]


def pytest_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_pytest_bench_makes_a_table_for_each_kernel(tmp_path):
    file = tmp_path / "times.json"
    run = pytest_run(
        "bench/", "-k", "gaussian_entropy-64", "--benchmark-max-time=0.001", f"--benchmark-json={file}"
    )
    assert run.returncode == 0, run.stdout
    found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    assert {row["group"] for row in found} == {"gaussian_entropy 64 × 6, float32"}
    assert {"pgcore", "reference", "numpy", "limit"} <= {row["name"] for row in found}
    (title,) = [line for line in run.stdout.splitlines() if "benchmark 'gaussian_entropy" in line]
    assert len(title) <= 100


def test_pytest_bench_fails_for_a_wrong_answer(tmp_path):
    """A plugin makes the kernel wrong."""
    (tmp_path / "breaks.py").write_text(
        "from pgcore import kernels\nkernels.gaussian_entropy = lambda log_std: log_std.sum(axis=1)\n",
        encoding="utf-8",
    )
    run = pytest_run("bench/", "-k", "gaussian_entropy-64", "-p", "breaks", "-o", f"pythonpath={tmp_path}")
    assert run.returncode == 1
    assert "expected the result of the reference, got one that is off by" in run.stdout


def test_pytest_alone_leaves_bench_out():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    assert options["ini_options"]["testpaths"] == ["tests"]
    assert "python_files" not in options["ini_options"]  # test_*.py; those of bench/ are bench_*.py


@pytest.fixture
def against_peers(monkeypatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("against_peers", ROOT / "bench" / "against_peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reasons_are_of_cases_that_exist(against_peers):
    known = {(case.kernel, case.size, case.dtype) for case in cases()}
    assert set(against_peers.read_reasons()) <= known


ROWS = [
    Row("f", "1", "float32", {"pgcore": 1e-6, "numpy": 8e-6, "scipy": 4e-6}),
    Row("f", "2", "float32", {"pgcore": 1e-6, "numpy": 0.25e-6}),
    Row("g", "1", "float64", {"pgcore": 1e-6, "numpy": 1e-6}),
]


def test_the_report(against_peers):
    reasons = {("f", "2", "float32"): "it copies", ("g", "1", "float64"): "out of date"}
    text = "\n".join(against_peers.report(ROWS, reasons))
    assert "3 cases, 1 below 0.95; geometric mean 1.00" in text
    assert "0.25  f 2 float32: it copies" in text
    assert "out of date" not in text
    assert text.index("0.25  f") < text.index("1.00  g") < text.index("4.00  f")


def test_the_table(against_peers, tmp_path):
    against_peers.write(tmp_path / "a.csv", ROWS, {("f", "2", "float32"): "it copies"})
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0] == {
        "kernel": "f", "size": "1", "dtype": "float32", "ratio": "4.000", "best": "scipy",
        "pgcore": "1", "numpy": "8", "scipy": "4", "reason": "",
    }  # fmt: skip
    assert [line["reason"] for line in lines] == ["", "it copies", ""]
    assert lines[2]["scipy"] == ""


def test_the_command(against_peers, tmp_path, monkeypatch, capsys):
    file = tmp_path / "times.csv"
    monkeypatch.setattr(
        sys, "argv", ["against_peers.py", "--only", "gaussian_entropy", "--minutes", "0", "--csv", str(file)]
    )
    against_peers.main()
    out = capsys.readouterr().out
    assert "12 cases, " in out
    assert len(file.read_text(encoding="utf-8").splitlines()) == 13


def test_a_wrong_answer_is_said_and_the_others_are_timed(against_peers, monkeypatch, capsys):
    right = kernels.gaussian_entropy
    monkeypatch.setattr(kernels, "gaussian_entropy", lambda s: right(s) + (len(s) == 64))
    monkeypatch.setattr(sys, "argv", ["against_peers.py", "--only", "gaussian_entropy", "--minutes", "0"])
    with pytest.raises(SystemExit, match="2 cases have a wrong answer"):
        against_peers.main()
    out = capsys.readouterr().out
    assert " wrong  gaussian_entropy 64 × 6 float32: expected the result of the reference" in out
    assert "10 cases, " in out


def test_nothing_chosen(against_peers, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["against_peers.py", "--only", "nothing"])
    with pytest.raises(SystemExit):
        against_peers.main()
    assert "--only: expected part of a kernel or a size, got 'nothing'" in capsys.readouterr().err
