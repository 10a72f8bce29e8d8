"""A finished run, for the tests of the command line."""

from __future__ import annotations

import shutil

import pytest

from support.commands import QUICK, TRAIN, command


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli") / "run"
    done = command(*TRAIN, *QUICK, "--seed", "7", "--out", str(directory))
    assert done.returncode == 0, done.stderr
    return directory, done.stdout


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A finished run, which a file of tests may change: its directory, and what the command printed."""
    original, printed = finished
    directory = shutil.copytree(original, tmp_path_factory.mktemp("cli") / "run")
    return directory, printed.replace(str(original), str(directory))
