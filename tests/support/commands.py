"""Running `pgcore` in a process of its own or in this one, for the tests of the command line."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

from pgcore.cli import main

TRAIN = ["train", "reinforce", "--env-id", "CartPole-v1"]
QUICK = ["--total-timesteps", "600", "--n-steps", "20", "--num-envs", "2", "--eval-episodes", "3"]


def command(*arguments, cwd=None, env=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "pgcore", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def failure(capsys, *arguments, status=2, started=False):
    """The one line that a command which fails leaves on standard error; no other, unless it had started."""
    assert main(arguments) == status
    captured = capsys.readouterr()
    if not started:
        assert captured.out == ""
    assert captured.err.startswith("pgcore: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err.removeprefix("pgcore: ").rstrip("\n")


def rows(directory):
    with open(directory / "progress.csv", newline="") as file:
        return list(csv.DictReader(file))
