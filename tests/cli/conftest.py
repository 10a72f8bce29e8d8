"""A finished run, for the tests of the command line."""

from __future__ import annotations

import pytest

from support.commands import QUICK, TRAIN, command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run: its directory, and what the command printed."""
    directory = tmp_path_factory.mktemp("cli") / "run"
    done = command(*TRAIN, *QUICK, "--seed", "7", "--out", str(directory))
    assert done.returncode == 0, done.stderr
    return directory, done.stdout
