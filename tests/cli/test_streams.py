"""Signals, full disks, closed streams, encodings: what is learned is kept, and printing never fails."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time

import pytest

import pgcore
from cli.commands import QUICK, TRAIN, command
from pgcore.cli import main
from pgcore.training import files

LONG = [*TRAIN, "--total-timesteps", "100000000", "--eval-episodes", "0"]
PGCORE = [sys.executable, "-m", "pgcore"]


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_to_end_keep_the_model(tmp_path, name):
    signum = getattr(signal, name, None)
    if signum is None or os.name == "nt":
        pytest.skip("not on this platform")
    run = tmp_path / "run"
    with subprocess.Popen(
        [*PGCORE, *LONG, "--out", str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not process.stdout.readline().startswith("steps"):
            pass
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert err.startswith("pgcore: interrupted after ")
    assert pgcore.load(run).num_timesteps > 0


def test_a_closed_terminal_is_a_signal_and_a_dead_stream(tmp_path):
    pty = pytest.importorskip("pty")  # not on Windows
    run = tmp_path / "run"
    pid, leader = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*PGCORE, *LONG, "--out", str(run)])
    shown = b""
    while b"ep_rew_mean" not in shown:
        shown += os.read(leader, 65536)
    os.close(leader)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP
    assert pgcore.load(run).num_timesteps > 0


def test_nohup_is_obeyed(tmp_path):
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("not on this platform")
    with subprocess.Popen(
        [*PGCORE, *LONG, "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:
        while not process.stdout.readline().startswith("steps"):
            pass
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert all(process.stdout.readline().startswith("steps") for _ in range(50))
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


# A full disk


def lines(capsys, file, status):
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith(f"pgcore: {file}: expected to be able to write to it, got No space left"), captured.err
    assert status == 1
    return captured


def test_a_checkpoint_without_room(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--eval-episodes", "0", "--out", str(run)]) == 0
    kept = pgcore.load(run).num_timesteps
    before = (run / "model.npz").read_bytes()
    fsync, synced = os.fsync, []

    def almost_full(descriptor):
        synced.append(descriptor)
        if len(synced) > 2:  # config.json and progress.csv still fit
            full()
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", almost_full)
    resume = ["train", "reinforce", "--resume", "--out", str(run), "--total-timesteps", "900"]
    capsys.readouterr()
    message = lines(capsys, run / "model.npz", main(resume)).err
    assert f"steps are lost, the {kept:,} before them are kept; go on with pgcore train" in message
    assert (run / "model.npz").read_bytes() == before
    monkeypatch.undo()
    assert main(resume) == 0
    assert sorted(os.listdir(run)) == ["config.json", "model.npz", "progress.csv"]


def test_a_configuration_without_room(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    monkeypatch.setattr(files.os, "fsync", full)
    lines(capsys, run / "config.json", main([*TRAIN, *QUICK, "--out", str(run)]))
    monkeypatch.undo()
    assert main([*TRAIN, *QUICK, "--out", str(run)]) == 0


def test_an_evaluation_without_room_is_still_printed(tmp_path, monkeypatch, capsys):
    from pgcore.cli import run_directory

    run = tmp_path / "run"
    replacing = run_directory.replacing
    monkeypatch.setattr(
        run_directory, "replacing", lambda path: full() if path.name == "evaluation.json" else replacing(path)
    )
    said = lines(capsys, run / "evaluation.json", main([*TRAIN, *QUICK, "--out", str(run)])).out
    assert said.splitlines()[-1].startswith("mean reward ")


@pytest.mark.parametrize(
    "arguments", [["info"], ["--help"], ["train", "ppo", "--help"], ["bench", "--only", "gae", "--repeats", "1"]]
)
def test_standard_output_without_room(tmp_path, arguments):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as device:
        done = subprocess.run(
            [*PGCORE, *arguments], stdout=device, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "pgcore: standard output: expected to be able to write to it, got No space left on device\n"
    assert done.returncode == 1


def test_training_into_a_full_device_keeps_the_model(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    run = tmp_path / "run"
    with open("/dev/full", "w") as device:
        done = subprocess.run(
            [*PGCORE, *TRAIN, *QUICK, "--out", str(run)],
            stdout=device,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("pgcore: standard output: expected to be able to write to it, got No space left")
    assert "are kept; go on with" in done.stderr
    assert done.stderr.count("\n") == 1
    assert pgcore.load(run).num_timesteps == 0
    assert main(["train", "reinforce", "--resume", "--out", str(run)]) == 0


# Closed streams


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before(tmp_path, closed):
    if os.name == "nt":
        pytest.skip("needs a POSIX shell")
    run = tmp_path / "run"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *PGCORE, *TRAIN, *QUICK, "--out", str(run)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert pgcore.load(run).num_timesteps >= 600
    # Nothing that was printed went into a file that got the closed stream's number.
    assert (run / "progress.csv").read_text().startswith("rollout/ep_rew_mean,")
    assert (run / "config.json").read_text().startswith("{")
    assert "fresh episodes" not in "".join(path.read_text() for path in run.glob("*.[cj]s*"))
    failed = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *PGCORE, "eval", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stdout == ""


@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["train", "ppo", "--help"], ["--version"]])
def test_a_reader_that_reads_nothing(arguments):
    if os.name == "nt":
        pytest.skip("needs a POSIX shell")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run([*PGCORE, *arguments], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


# Encodings


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "latin-1:strict", "utf-8"])
def test_characters_that_an_encoding_lacks(tmp_path, encoding):
    pytest.importorskip("matplotlib")
    run, out = tmp_path / "ünï", []
    commands = [
        [*TRAIN, *QUICK, "--out", str(run)],
        ["eval", str(run), "--episodes", "2"],
        ["plot", str(run), "-o", str(tmp_path / "ü.png")],
        ["bench", "--only", "gae", "--repeats", "1"],
        ["info"],
        ["train", "ppo", "--help"],
        ["lab", "importance", "--help"],
        ["lab", "lqr-field", "-o", str(tmp_path / "µ.svg"), "--horizon", "2", "--episodes", "2"],
        ["eval", str(tmp_path / "日本")],
        ["train", "ppo", "--env-id", "日本-v0"],
    ]
    for arguments in commands:
        done = subprocess.run(
            [*PGCORE, *arguments],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            cwd=tmp_path,
            check=False,
        )
        failing = "日本" in "".join(arguments)
        assert done.returncode == (2 if failing else 0), done.stderr
        assert done.stderr.count(b"\n") == failing
        out.append(done.stdout.decode(encoding.partition(":")[0]))
    assert ("± " in out[1]) == (encoding not in ("ascii",))


def test_what_the_caller_set_is_put_back(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["--version"]) == 0
    assert stream.errors == "strict"


def test_a_terminal_that_cannot_go_back_gets_lines(tmp_path):
    pty = pytest.importorskip("pty")
    pid, leader = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execv(sys.executable, [*PGCORE, *TRAIN, *QUICK, "--out", str(tmp_path / "run")])
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # what Linux says when the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"steps/s" in shown


# Evaluation


def test_long_evaluations_say_how_far_they_are(tmp_path, monkeypatch, capsys):
    from pgcore.cli import eval as evaluation

    run = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--eval-episodes", "0", "--out", str(run)]) == 0
    quick = [["eval", str(run), "--episodes", "30", "--json"], capsys.readouterr()][0]
    assert main(quick) == 0
    first = capsys.readouterr()
    assert first.err == ""
    clock = iter(range(10**9))
    monkeypatch.setattr(evaluation.time, "monotonic", lambda: next(clock))
    assert main(quick) == 0
    second = capsys.readouterr()
    assert second.out == first.out  # on standard error, and without an effect
    progress = second.err.splitlines()
    assert len(progress) > 1
    assert all(line.startswith("evaluating: ") and "of 30 episodes ended" in line for line in progress)


def test_evaluation_plays_other_episodes_than_training_began_with(run, monkeypatch):
    from gymnasium.vector import VectorEnv

    from pgcore.cli import eval as evaluation

    seeds = []
    reset = evaluation.evaluate_policy

    def played(model, env, *args, seed, **kwargs):
        seeds.append(seed)
        assert isinstance(env, VectorEnv)
        return reset(model, env, *args, seed=seed, **kwargs)

    monkeypatch.setattr(evaluation, "evaluate_policy", played)
    directory, _ = run
    for seed in (7, 8):
        assert main(["eval", str(directory), "--episodes", "2", "--seed", str(seed)]) == 0
    assert len(set(seeds)) == 2
    # Seeds that a model of the same seed gives to its environments, by itself or by its collector
    training = set()
    from pgcore.rollout import collector, vector

    monkeypatch.setattr(vector.gym.Env, "reset", vector.gym.Env.reset)
    monkeypatch.setattr(collector, "VectorStepper", collector.VectorStepper)
    assert training == set()


def test_commands(): ...
