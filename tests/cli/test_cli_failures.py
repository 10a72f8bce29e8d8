"""What the command says when its arguments, its files or its surroundings fail it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import pgcore
from pgcore.cli import main
from support.commands import failure

TRAIN = ["train", "trpo", "--env-id", "CartPole-v1"]
QUICK = ["--total-timesteps", "200", "--n-steps", "100", "--eval-episodes", "0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n-steps", "x"], "--n-steps: expected an integer, got 'x'"),
        (["--gamma", "x"], "--gamma: expected a number, got 'x'"),
        (["--hidden", "a"], "--hidden: expected other values, got 'a'"),
        (["--hidden", "0"], "--hidden: expected an integer >= 1, got 0"),
        (["--batch-size", str(2**70)], f"--batch-size: expected an integer of 64 bits, got {2**70}"),
        (["--cg-max-steps", str(2**70)], f"--cg-max-steps: expected an integer of 64 bits, got {2**70}"),
        (["--num-envs", str(2**70)], f"--num-envs: expected an integer of 64 bits, got {2**70}"),
        (["--init-log-std", "nan"], "--init-log-std: expected a finite number, got nan"),
    ],
)
def test_values_that_do_not_fit(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(capsys, *TRAIN, "--out", str(tmp_path / "run"), *arguments).startswith(message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [["--n-steps", str(10**15)], ["--hidden", str(10**12)]])
def test_sizes_that_fit_into_no_memory(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = failure(capsys, *TRAIN, "--out", str(tmp_path / "run"), *arguments, started=True)
    assert message.startswith("expected sizes that fit into memory, got: ")


def test_a_directory_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    message = failure(capsys, *TRAIN, *QUICK, "--out", str(tmp_path / "file" / "run"))
    assert message.startswith(
        f"--out: expected a directory that can be created, got {tmp_path / 'file' / 'run'}"
    )


@pytest.mark.parametrize("above", ["", "runs", "file"])
def test_a_name_that_is_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str], above: str) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / above / ("long" * 100)
    message = failure(capsys, *TRAIN, *QUICK, "--out", str(directory))
    assert message.startswith("--out: expected a directory that can be ")
    assert str(directory) in message


def test_resuming_from_damaged_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--out", str(run)]) == 0
    capsys.readouterr()
    resume = ["train", "trpo", "--resume", "--out", str(run), "--total-timesteps", "400"]
    progress, config = run / "progress.csv", run / "config.json"
    good = progress.read_bytes()
    for content, expected in (
        (b"garbage,x\n", f"a CSV file with a column time/total_timesteps, got {progress}"),
        (b"\xff\xfe\n", f"a CSV file, got {progress} ("),
    ):
        progress.write_bytes(content)
        assert failure(capsys, *resume).startswith(f"--out: expected {expected}")
        assert progress.read_bytes() == content
    progress.write_bytes(good)
    good_config = json.loads(config.read_text())
    config.write_text(json.dumps({**good_config, "hidden": 5}))
    assert failure(capsys, *resume).startswith(f"--out: expected the config.json of a run, got one in {run}")
    config.write_text(json.dumps(good_config))
    assert main(resume) == 0


def test_a_critic_that_diverges_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    message = failure(
        capsys, *TRAIN, *QUICK, "--learning-rate", "1e30", "--out", str(run), status=1, started=True
    )
    assert message.startswith("training failed after 0 steps: critic: expected finite gradients")
    assert pgcore.load(run).num_timesteps == 0


def test_an_interrupt_while_environments_are_made(tmp_path: Path) -> None:
    (tmp_path / "slowly.py").write_text(
        textwrap.dedent(
            """
            import time

            import gymnasium as gym
            from gymnasium.envs.classic_control import CartPoleEnv


            class Slow(CartPoleEnv):
                def __init__(self):
                    super().__init__()
                    print("making", flush=True)
                    time.sleep(0.5)


            gym.register("Slow-v0", Slow)
            """
        )
    )
    for signum in (signal.SIGINT, signal.SIGTERM):
        run = tmp_path / signum.name
        with subprocess.Popen(
            [
                *(sys.executable, "-m", "pgcore", "train", "npg", "--env-id", "slowly:Slow-v0"),
                *("--total-timesteps", "1000000", "--out", str(run)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "making\n"
            time.sleep(0.1)
            process.send_signal(signum)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signum, err
        assert "steps" not in out
        assert err.startswith(
            "pgcore: interrupted before the first step; resume with: pgcore train npg --resume"
        )
        assert err.count("\n") == 1


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "pgcore", *TRAIN, "--total-timesteps", "1000000", "--out", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("steps"):
            pass
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 128 + 13
    assert pgcore.load(run).num_iterations > 0


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
