"""The numbers of the laboratory need no drawing."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import pgcore.lab
import pgcore.runs
study = pgcore.lab.variance_study(horizon=2, episodes=80, shifts=(0.0,))
assert study.estimates.rows
loaded = [name for name in sys.modules if name.startswith(("matplotlib", "pgcore.plots", "pgcore.cli"))]
assert loaded == [], loaded
"""


def test_the_numbers_come_without_matplotlib_and_without_the_command_line():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
