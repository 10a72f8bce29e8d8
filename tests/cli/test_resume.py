"""`pgcore train`: interrupts, kills, and going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pgcore
from pgcore.cli import main
from support.commands import QUICK, TRAIN, command, failure, rows


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    plan = [
        *TRAIN,
        "--n-steps",
        "20",
        "--seed",
        "3",
        "--eval-episodes",
        "2",
        "--learning-rate-schedule",
        "linear",
    ]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    steps = ["--total-timesteps", "20000"]
    with subprocess.Popen(
        [sys.executable, "-m", "pgcore", *plan, *steps, "--out", str(broken)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.count("\n") == 1
    assert err.startswith("pgcore: interrupted after ")
    assert f"pgcore train reinforce --resume --out {broken}" in err
    stopped_at = pgcore.load(broken).num_timesteps
    assert 0 < stopped_at < 20_000
    assert int(rows(broken)[-1]["time/total_timesteps"]) == stopped_at

    resumed = command("train", "reinforce", "--resume", "--out", str(broken))
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed after {stopped_at:,} of 20,000 steps" in resumed.stdout
    assert main([*plan, *steps, "--out", str(whole)]) == 0
    first, second = pgcore.load(whole), pgcore.load(broken)
    np.testing.assert_array_equal(first.policy.params, second.policy.params)
    assert first.num_timesteps == second.num_timesteps
    changing = ("time/fps", "time/time_elapsed")
    kept = [[{k: v for k, v in row.items() if k not in changing} for row in rows(d)] for d in (whole, broken)]
    assert kept[0] == kept[1]
    assert (whole / "evaluation.json").read_text() == (broken / "evaluation.json").read_text()


def test_a_polite_kill_is_like_an_interrupt(tmp_path):
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pgcore",
            *TRAIN,
            "--total-timesteps",
            "1000000",
            "--out",
            str(tmp_path / "run"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not process.stdout.readline().startswith("steps"):
            pass
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert pgcore.load(tmp_path / "run").num_timesteps > 0


def test_interrupted_worker_processes_say_nothing(tmp_path):
    if not hasattr(os, "killpg"):
        pytest.skip("needs process groups")
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "pgcore", *TRAIN, "--total-timesteps", "1000000"),
            *("--num-envs", "2", "--backend", "async", "--n-steps", "20", "--out", str(tmp_path / "run")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not process.stdout.readline().startswith("steps"):
            pass
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends Ctrl-C: to everyone
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1, err


def test_a_finished_run_can_be_prolonged(run, tmp_path, capsys):
    directory = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--out", str(directory)]) == 0
    before = rows(directory)
    assert main([*TRAIN, "--resume", "--out", str(directory), "--total-timesteps", "900"]) == 0
    after = rows(directory)
    assert after[: len(before)] == before
    assert int(after[-1]["time/total_timesteps"]) >= 900
    assert json.loads((directory / "config.json").read_text())["total_timesteps"] == 900
    capsys.readouterr()
    assert main([*TRAIN, "--resume", "--out", str(directory)]) == 0  # nothing is left to do
    assert rows(directory) == after
    assert "steps/s" not in capsys.readouterr().out


def test_a_run_without_a_checkpoint_begins_anew(tmp_path, capsys):
    directory = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--out", str(directory)]) == 0
    params = pgcore.load(directory).policy.params
    (directory / "model.npz").unlink()
    assert main(["train", "reinforce", "--resume", "--out", str(directory)]) == 0
    np.testing.assert_array_equal(pgcore.load(directory).policy.params, params)
    steps = [int(row["time/total_timesteps"]) for row in rows(directory)]
    assert steps == sorted(set(steps))


def test_resuming_refuses_other_settings(run, tmp_path, capsys):
    directory, _ = run
    resume = ["train", "reinforce", "--resume", "--out", str(directory)]
    kept = {entry.name: entry.read_bytes() for entry in directory.iterdir()}
    cases = {
        ("--learning-rate", "0.5"): "--learning-rate: expected 0.005, as the run in",
        ("--seed", "8"): "--seed: expected 7, as the run in",
        ("--env-id", "Acrobot-v1"): "--env-id: expected 'CartPole-v1', as the run in",
        ("--hidden", "3"): "--hidden: expected (32, 32), as the run in",
    }
    for arguments, message in cases.items():
        assert failure(capsys, *resume, *arguments).startswith(message)
    assert failure(capsys, "train", "reinforce", "--resume").startswith("--resume: expected --out DIR")
    assert "--out: expected a run directory" in failure(
        capsys, "train", "reinforce", "--resume", "--out", str(tmp_path)
    )
    assert {entry.name: entry.read_bytes() for entry in directory.iterdir()} == kept
