"""The main checks of policies and baselines once more at each instruction-set level but the one in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pgcore

INFO = pgcore.build_info()
FORCED = os.environ.get("PGCORE_ISA", "")
OTHERS = [
    level for level in INFO["levels_built"] if level in INFO["levels_supported"] and level != INFO["variant"]
]


@pytest.mark.skipif(bool(FORCED), reason="already inside a forced level")
@pytest.mark.parametrize("level", OTHERS)
def test_level(level: str) -> None:
    here = Path(__file__).parent
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "light",
            here,
            here.parent / "baselines",
        ],
        env=os.environ | {"PGCORE_ISA": level},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]


@pytest.mark.light
@pytest.mark.skipif(not FORCED, reason="PGCORE_ISA is not set")
def test_the_forced_level_is_in_use() -> None:
    assert INFO["variant"] == FORCED
