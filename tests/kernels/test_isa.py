"""Every instruction-set level that was built and runs here passes the kernels' main checks.

Each in a process of its own, because a process has one level. The level of this process is checked by the
tests beside this file: its own process only has to find that level.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pgcore

INFO = pgcore.build_info()
FORCED = os.environ.get("PGCORE_ISA", "")


@pytest.mark.parametrize("level", INFO["levels_built"])
def test_level(level: str) -> None:
    if level not in INFO["levels_supported"]:
        pytest.skip(f"this processor cannot run {level}")
    if FORCED:
        pytest.skip("already inside a forced level")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "light"]
    environment = os.environ | {"PGCORE_ISA": level, "PGCORE_HYPOTHESIS_PROFILE": "light"}
    tests = Path(__file__) if level == INFO["variant"] else Path(__file__).parent
    run = subprocess.run(
        [*command, str(tests)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]


@pytest.mark.light
@pytest.mark.skipif(not FORCED, reason="PGCORE_ISA is not set")
def test_the_forced_level_is_in_use() -> None:
    """Run by `test_level` in its subprocess: the checks beside this one did not test another level."""
    assert INFO["variant"] == FORCED
