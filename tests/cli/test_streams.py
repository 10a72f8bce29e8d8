"""Signals, full disks, closed streams, encodings: what is learned is kept, and printing never fails."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import pgcore
from pgcore.cli import main
from pgcore.io import files
from support.commands import QUICK, TRAIN

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
    # Whatever runs the tests (nohup, a shell's background) may ignore the signal, and children inherit that.
    obedient = f"signal.signal({signum:d}, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
    obedient = "import os, signal, sys; " + obedient
    command = [sys.executable, "-c", obedient, *PGCORE, *LONG, "--out", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not process.stdout.readline().startswith("steps"):
            pass
        process.send_signal(signum)
        try:
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + signum
    assert err.startswith("pgcore: interrupted after ")
    assert pgcore.load(run).num_timesteps > 0


def on_a_terminal(before, *arguments, **environment):
    """A command on a terminal of its own, after some Python in its process, and the terminal's other end."""
    pty = pytest.importorskip("pty")  # not on Windows
    leader, follower = pty.openpty()
    code = f"import fcntl, os, signal, sys, termios; {before}; os.execv(sys.executable, sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *PGCORE, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(follower)
    return process, leader


def test_a_closed_terminal_is_a_signal_and_a_dead_stream(tmp_path):
    run = tmp_path / "run"
    controlling = "signal.signal(signal.SIGHUP, signal.SIG_DFL); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    process, leader = on_a_terminal(controlling, *LONG, "--out", str(run))
    with process:
        shown = b""
        while b"ep_rew_mean" not in shown:
            shown += os.read(leader, 65536)
        os.close(leader)
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert pgcore.load(run).num_timesteps > 0


def test_nohup_is_obeyed(tmp_path):
    ignoring = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process, leader = on_a_terminal(
        ignoring, *LONG, "--n-steps", "20", "--num-envs", "2", "--out", str(tmp_path / "run"), TERM="dumb"
    )
    with process:
        shown = b""
        while b"steps/s" not in shown:
            shown += os.read(leader, 65536)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        shown = b""
        while shown.count(b"steps/s") < 80:  # more than was on its way
            shown += os.read(leader, 65536)
        process.terminate()
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while os.read(leader, 65536):
                pass
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    os.close(leader)


# A full disk


def lines(capsys, file, status):
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith(
        f"pgcore: {file}: expected to be able to write to it, got No space left"
    ), captured.err
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
    assert f"steps are lost, the {kept:,} before them are kept; resume with: pgcore train" in message
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
    from pgcore.runs import directory

    run = tmp_path / "run"
    replacing = directory.replacing
    monkeypatch.setattr(
        directory, "replacing", lambda path: full() if path.name == "evaluation.json" else replacing(path)
    )
    said = lines(capsys, run / "evaluation.json", main([*TRAIN, *QUICK, "--out", str(run)])).out
    assert said.splitlines()[-1].startswith("mean reward ")


@pytest.mark.parametrize(
    "arguments",
    [["info"], ["--help"], ["train", "ppo", "--help"], ["bench", "--only", "gae", "--seconds", "0.001"]],
)
def test_standard_output_without_room(tmp_path, arguments):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as device:
        done = subprocess.run(
            [*PGCORE, *arguments], stdout=device, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (
        done.stderr
        == "pgcore: standard output: expected to be able to write to it, got No space left on device\n"
    )
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
    assert done.stderr.startswith(
        "pgcore: standard output: expected to be able to write to it, got No space left"
    )
    assert "are kept; resume with: " in done.stderr
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
        done = subprocess.run(
            [*PGCORE, *arguments], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")


# Encodings


COMMANDS = """
import json, sys
from pgcore.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        status = main(arguments)
    except SystemExit as left:  # after --help
        status = left.code
    sys.stdout.buffer.write(b"status %d\\n" % status)
    sys.stdout.flush()
"""


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape", "cp1252", "gbk"])
def test_characters_that_an_encoding_lacks(tmp_path, encoding):
    run = str(tmp_path / "ünï")
    commands = [
        [*TRAIN, *QUICK, "--out", run],
        ["eval", run, "--episodes", "2"],
        ["bench", "--only", "gae", "--seconds", "0.001"],
        ["info"],
        ["train", "ppo", "--help"],
        ["lab", "importance", "--help"],
        ["eval", str(tmp_path / "日本")],
        ["train", "ppo", "--env-id", "日本-v0"],
        ["train", "ppo", "--日本"],
    ]
    if encoding == "ascii":  # which lacks most
        pytest.importorskip("matplotlib")
        commands[1:1] = [
            ["plot", run, "-o", str(tmp_path / "ü.png")],
            ["lab", "lqr-field", "-o", str(tmp_path / "µ.svg"), "--horizon", "2", "--episodes", "2"],
        ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    encoding = encoding.partition(":")[0]
    text = done.stdout.decode(encoding)
    assert [int(line[7:]) for line in text.splitlines() if line.startswith("status ")] == [0] * (
        len(commands) - 3
    ) + [2] * 3
    assert done.stderr.count(b"\n") == 3, done.stderr
    assert "mean reward " in text
    assert (" ? " if encoding == "ascii" else " ± ") in text


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "xmlcharrefreplace"])
def test_what_the_caller_set_is_put_back(monkeypatch, errors):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["--version"]) == 0
    assert stream.errors == errors


def test_a_terminal_that_cannot_go_back_gets_lines(tmp_path):
    process, leader = on_a_terminal("0", *TRAIN, *QUICK, "--out", str(tmp_path / "run"), TERM="dumb")
    shown = b""
    with process, contextlib.suppress(OSError):
        while chunk := os.read(leader, 65536):
            shown += chunk
    os.close(leader)
    assert process.returncode == 0
    assert b"steps/s" in shown


# Evaluation


def test_long_evaluations_say_how_far_they_are(tmp_path, monkeypatch, capsys):
    from pgcore.cli import eval as evaluation

    run = tmp_path / "run"
    assert main([*TRAIN, *QUICK, "--eval-episodes", "0", "--out", str(run)]) == 0
    quick = ["eval", str(run), "--episodes", "30", "--json"]
    capsys.readouterr()
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


def test_evaluation_plays_other_episodes_than_training_did(tmp_path, monkeypatch):
    from pgcore.cli import eval as evaluation

    begun, marks = [], []

    class Recorded(CartPoleEnv):
        def reset(self, **kwargs):
            obs, info = super().reset(**kwargs)
            begun.append(tuple(obs.tolist()))
            return obs, info

    make = evaluation.make_vector_env

    def made(*args, **kwargs):
        marks.append(len(begun))  # training is over
        return make(*args, **kwargs)

    monkeypatch.setattr(evaluation, "make_vector_env", made)
    gym.register("Recorded-v0", Recorded, max_episode_steps=50)
    try:
        options = ["--env-id", "Recorded-v0", "--seed", "3", "--n-steps", "20", "--num-envs", "3"]
        options += ["--total-timesteps", "200", "--eval-episodes", "6", "--out", str(tmp_path / "run")]
        assert main(["train", "reinforce", *options]) == 0
    finally:
        del gym.registry["Recorded-v0"]
    (end,) = marks
    assert end >= 6
    played = begun[end:]
    assert len(played) >= 6
    assert not set(begun[:end]) & set(played)


def test_a_warning_is_one_plain_line(tmp_path):
    options = ["--env-id", "CartPole", "--total-timesteps", "20", "--n-steps", "20", "--eval-episodes", "0"]
    done = subprocess.run(
        [*PGCORE, "train", "reinforce", *options, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("pgcore: warning: Using the latest versioned environment")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_the_steps_of_an_episode_can_be_limited(run, capsys):
    directory, _ = run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the episodes that were cut
        assert main(["eval", str(directory), "--episodes", "4", "--max-steps", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_length"] <= 5
    assert main(["eval", str(directory), "--max-steps", "0"]) == 2
    assert "--max-steps: expected an integer >= 1, got 0" in capsys.readouterr().err
