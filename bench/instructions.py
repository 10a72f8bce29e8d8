"""Count the instructions of fixed workloads, and compare them with the figures in `instructions.json`.

    python bench/instructions.py              compare; exit status 1 if a workload takes more
    python bench/instructions.py --update     write the figures anew
    python bench/instructions.py --only gae   workloads whose name contains this

Times on a shared machine scatter by tens of percent; counts by valgrind's callgrind are the same to the last
few in a thousand, however busy the machine is. They tell that a change costs something, not how much time:
a division counts as much as an addition, and waiting for memory as nothing.

A figure is the mean over the calls of a workload, Python included: the difference of a lap of 2n calls and
one of n, divided by n. One thread, level v3 (valgrind knows no AVX-512). Figures belong to the versions that
are written beside them. With others, only a workload that takes more than twice as many is an error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pgcore
import workloads
from workloads import LAPS, MARK, WORKLOADS

FIGURES = Path(__file__).with_suffix(".json")
LEVEL = "v3"
TOLERANCE = 0.03
TOLERANCE_ELSEWHERE = 1.0  # where versions differ
ENVIRONMENT = {
    "PGCORE_ISA": LEVEL,
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
}

Versions = Mapping[str, str]
Figures = Mapping[str, int]


def versions() -> dict[str, str]:
    """What the counts depend on besides this repository."""
    build = pgcore.build_info()
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": str(build["compiler"]),
        "eigen": str(build["eigen"]),
        "libc": " ".join(platform.libc_ver()),
        "machine": processor(),
    }


def processor() -> str:
    """Architecture and maker: libraries choose other code for other processors."""
    maker = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        names = ("vendor_id", "cpu family", "model")
        maker = " ".join(found[name] for name in names if name in found)
    return f"{platform.machine()} {maker}".strip()


# ---- counting ----


def missing() -> str | None:
    """Return what this machine or build lacks to count, None if nothing."""
    if shutil.which("valgrind") is None:
        return "valgrind: expected on the PATH, got none"
    build = pgcore.build_info()
    levels = sorted({*build["levels_built"]} & {*build["levels_supported"]})
    return None if LEVEL in levels else f"level: expected {LEVEL}, got {', '.join(levels)}"


def counted(script: Path, names: Sequence[str]) -> dict[str, int]:
    """Instructions per call of the workloads that `script` runs with the given arguments (`workloads.main`).

    Raises
    ------
    RuntimeError
        If `missing`, if the script fails, or if there is not one figure for each lap.
    """
    if (what := missing()) is not None:
        raise RuntimeError(what)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        options = ["--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={out}"]
        command = ["valgrind", *options, sys.executable, str(script), *names]
        environment = {**os.environ, **ENVIRONMENT}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{script.name}: expected to run under valgrind, got\n{done.stderr}")
        laps = [_total(file) for file in sorted(Path(folder).glob("out.*"), key=_number)]
    calls = dict(line.split("\t") for line in done.stdout.splitlines())
    if len(laps) != LAPS * len(calls):
        raise RuntimeError(f"callgrind: expected {LAPS * len(calls)} laps, got {len(laps)}")
    pairs = zip(laps[1::LAPS], laps[2::LAPS], strict=True)  # n calls, 2n calls
    return {
        name: round((double - single) / int(n))
        for (name, n), (single, double) in zip(calls.items(), pairs, strict=True)
    }


def _number(file: Path) -> int:
    return int(file.suffix[1:])


def _total(file: Path) -> int:
    """All instructions in one of callgrind's files."""
    found = re.search(r"^totals: (\d+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{file.name}: expected a line 'totals:', got none")
    return int(found[1])


# ---- comparing ----


@dataclass(frozen=True)
class Comparison:
    """One workload: what it should take, and takes."""

    name: str
    committed: int | None
    now: int

    @property
    def change(self) -> float:
        """Relative to the committed figure; infinite without one."""
        return self.now / self.committed - 1 if self.committed else math.inf

    def verdict(self, tolerance: float) -> str:
        if self.committed is None:
            return "no figure"
        return "MORE" if self.change > tolerance else "fewer" if self.change < -tolerance else ""


def compare(committed: Figures, now: Figures) -> list[Comparison]:
    return [Comparison(name, committed.get(name), count) for name, count in now.items()]


def differing(committed: Versions, here: Versions) -> list[str]:
    """Lines about versions that are not those of the committed figures."""
    return [
        f"{name}: {here[name]} here, {committed.get(name, 'nothing')} in the figures"
        for name in here
        if here[name] != committed.get(name)
    ]


def table(comparisons: Iterable[Comparison], tolerance: float) -> Iterator[str]:
    yield f"{'instructions per call':32} {'figure':>12} {'now':>12} {'change':>8}"
    for c in comparisons:
        figure = "" if c.committed is None else f"{c.committed:,}"
        change = "" if c.committed is None else f"{100 * c.change:+.1f} %"
        yield f"{c.name:32} {figure:>12} {c.now:>12,} {change:>8}  {c.verdict(tolerance)}".rstrip()


def report(committed: Mapping[str, Any], now: Figures, here: Versions) -> int:
    """Print what changed; return how many workloads take more than they may, or have no figure."""
    others = differing(committed["versions"], here)
    tolerance = TOLERANCE_ELSEWHERE if others else TOLERANCE
    comparisons = compare(committed["instructions"], now)
    for line in table(comparisons, tolerance):
        print(line)
    if others:
        print("\nThe figures belong to other versions, so only large changes count as errors:")
        print(*(f"  {line}" for line in others), sep="\n")
    bad = sum(c.change > tolerance for c in comparisons)
    print(
        f"\n{bad} of {len(comparisons)} workloads take over {100 * tolerance:.0f} % more, or have no figure."
    )
    if bad:
        print("Is it worth it? Then run: python bench/instructions.py --update")
    return bad


# ---- the command ----


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help=f"write the figures to {FIGURES.name}")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    arguments = parser.parse_args()
    names = [name for name in WORKLOADS if arguments.only in name]
    if not names:
        parser.error(f"--only: expected a part of a workload's name, got {arguments.only!r}")
    if arguments.update and len(names) < len(WORKLOADS):
        parser.error("--update: expected all workloads, got --only")  # figures of one file, one version
    try:
        now, here = counted(Path(workloads.__file__), names), versions()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    if not arguments.update:
        return min(1, report(json.loads(FIGURES.read_text(encoding="utf-8")), now, here))
    FIGURES.write_text(json.dumps({"versions": here, "instructions": now}, indent=2) + "\n", encoding="utf-8")
    print(*table(compare(now, now), TOLERANCE), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
