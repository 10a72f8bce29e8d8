"""The guard of instruction counts sees work that was added, and says to what its figures belong."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"

HERE = {"python": "3.11.7", "numpy": "2.4.6"}
FIGURES = {"a": 1000, "b": 2000, "c": 3000}


@pytest.fixture
def instructions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; its neighbours are found as they are when it runs."""
    monkeypatch.syspath_prepend(str(BENCH))
    yield importlib.import_module("instructions")
    for name in ("instructions", "workloads"):
        sys.modules.pop(name, None)


def test_twice_the_work_is_reported(instructions: ModuleType, tmp_path: Path, capsys: Any) -> None:
    """In a compiled kernel and in Python; work that has not changed is not reported."""
    if (what := instructions.missing()) is not None:
        pytest.skip(f"instructions cannot be counted here: {what}")
    script = tmp_path / "doubled.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCH)!r})\n"
        "from workloads import Workload, gae, main, reward_to_go\n"
        "def twice(run):\n"
        "    return lambda: (run(), run())\n"
        "def slow(run):\n"
        "    return lambda: (sum(range(20)), run())\n"
        "main({\n"
        "    'small': Workload(lambda: gae(128), 20),\n"
        "    'small, again': Workload(lambda: gae(128), 20),\n"
        "    'small, slow Python': Workload(lambda: slow(gae(128)), 20),\n"
        "    'large': Workload(lambda: reward_to_go(2048, 8), 5),\n"
        "    'large, again': Workload(lambda: reward_to_go(2048, 8), 5),\n"
        "    'large, twice': Workload(lambda: twice(reward_to_go(2048, 8)), 5),\n"
        "    'large, a tenth more': Workload(lambda: reward_to_go(2253, 8), 5),\n"
        "}, sys.argv[1:])\n",
        encoding="utf-8",
    )
    names = ["small", "small, again", "small, slow Python"]
    names += ["large", "large, again", "large, twice", "large, a tenth more"]
    counts = instructions.counted(script, names)
    assert list(counts) == names
    figures = {name: counts[name.partition(",")[0]] for name in names}
    assert 0 < figures["small"] < figures["large"]
    assert instructions.report({"versions": HERE, "instructions": figures}, counts, HERE) == 3
    lines = {line[:30].strip(): line for line in capsys.readouterr().out.splitlines()}
    changed = {name for name in names if lines[name].endswith("MORE")}
    assert changed == {"small, slow Python", "large, twice", "large, a tenth more"}
    assert 1.9 < counts["large, twice"] / counts["large"] < 2.1


def test_a_script_that_fails_is_an_error(instructions: ModuleType, tmp_path: Path) -> None:
    expected = instructions.missing() or "none.py: expected to run under valgrind, got"
    with pytest.raises(RuntimeError, match=expected):
        instructions.counted(tmp_path / "none.py", [])


def test_what_is_missing_is_named(
    instructions: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    assert instructions.main() == 2
    assert capsys.readouterr().err == "valgrind: expected on the PATH, got none\n"


@pytest.mark.parametrize(
    ("now", "bad", "lines"),
    [
        (FIGURES, 0, {}),
        ({"a": 1029, "b": 1941, "c": 3000}, 0, {"a": "+2.9 %", "b": "-2.9 %"}),
        ({"a": 1031, "b": 4000, "c": 3000}, 2, {"a": "+3.1 %  MORE", "b": "+100.0 %  MORE"}),
        ({"a": 500, "b": 2000}, 0, {"a": "-50.0 %  fewer"}),
        ({"a": 1000, "new": 5}, 1, {"new": "no figure"}),
    ],
)
def test_what_counts_as_more(
    instructions: ModuleType, now: dict[str, int], bad: int, lines: dict[str, str], capsys: Any
) -> None:
    assert instructions.report({"versions": HERE, "instructions": FIGURES}, now, HERE) == bad
    printed = capsys.readouterr().out.splitlines()
    for name, end in lines.items():
        assert next(line for line in printed if line.startswith(name + " ")).endswith(end)
    assert printed[len(now) + 2].startswith(f"{bad} of {len(now)} workloads take over 3 % more")


def test_figures_of_other_versions_are_compared_loosely(instructions: ModuleType, capsys: Any) -> None:
    now = {"a": 1900, "b": 4100, "c": 3000}
    figures = {"versions": HERE | {"numpy": "1.26.0"}, "instructions": FIGURES}
    assert instructions.report(figures, now, HERE) == 1
    printed = capsys.readouterr().out
    assert "numpy: 2.4.6 here, 1.26.0 in the figures" in printed
    assert "python" not in printed.partition("The figures")[2].partition("workloads")[0]
    assert "1 of 3 workloads take over 100 % more" in printed


def test_every_workload_has_a_committed_figure(instructions: ModuleType) -> None:
    committed = json.loads((BENCH / "instructions.json").read_text(encoding="utf-8"))
    assert list(committed["instructions"]) == list(instructions.WORKLOADS)
    assert set(committed["versions"]) == set(instructions.versions())
    assert min(committed["instructions"].values()) > 1000


def test_every_workload_runs(instructions: ModuleType) -> None:
    for workload in instructions.WORKLOADS.values():
        run = workload.make()
        assert run() is not None
        assert workload.calls >= 1
