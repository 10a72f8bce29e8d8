"""Run directories: two runs at once, kills at any moment, and what may be begun again."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest

import pgcore
from pgcore.cli import main
from support.commands import QUICK, TRAIN, failure, rows

CHANGING = ("time/fps", "time/time_elapsed")


def lasting(directory):
    """The learning curve without what the clock decides."""
    return [{name: cell for name, cell in row.items() if name not in CHANGING} for row in rows(directory)]


# Names


def test_a_loop_over_learning_rates_keeps_every_run(tmp_path):
    rates = ["0.001", "0.002", "0.003"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "pgcore", *TRAIN, *QUICK, "--learning-rate", rate],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        for rate in rates
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    runs = list((tmp_path / "runs").iterdir())
    found = {
        json.loads((run / "config.json").read_text())["hyperparameters"]["learning_rate"] for run in runs
    }
    assert found == set(map(float, rates))
    for run in runs:
        rate = json.loads((run / "config.json").read_text())["hyperparameters"]["learning_rate"]
        assert f"-learning_rate={rate}-" in run.name
        assert "-n_steps=20-" in run.name


# One directory, two processes


def test_a_second_process_is_refused(tmp_path, capsys):
    run = tmp_path / "run"
    train = [*TRAIN, "--total-timesteps", "100000000", "--eval-episodes", "0", "--out", str(run)]
    with subprocess.Popen(
        [sys.executable, "-m", "pgcore", *train], stdout=subprocess.PIPE, text=True
    ) as first:
        while not first.stdout.readline().startswith("steps"):
            pass
        try:
            again = f"--out: expected a directory in which no other command is training, got {run}"
            resumed = failure(capsys, "train", "reinforce", "--resume", "--out", str(run))
            assert resumed == f"{again}, which process {first.pid} is using"
            assert failure(capsys, *TRAIN, *QUICK, "--out", str(run)) == resumed  # whatever is in it already
            assert first.poll() is None
        finally:
            first.kill()
            first.communicate()
    assert (run / ".lock").exists()  # the kill left it, and it is in nobody's way
    assert main(["train", "reinforce", "--resume", "--total-timesteps", "1", "--out", str(run)]) == 0
    assert not (run / ".lock").exists()


def test_workers_do_not_keep_the_lock_of_a_killed_process(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    from pgcore.io.files import FileLock

    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    ready, tell = os.pipe()
    with warnings.catch_warnings():  # of threads, which the child doesn't need
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # a worker that outlives its parent
        os.write(tell, b"!")
        time.sleep(20)
        os._exit(0)
    try:
        os.read(ready, 1)
        os.close(lock._descriptor)  # what a kill does; `release` would remove the file
        assert FileLock(tmp_path / "lock").acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# What is there already


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ({"notes.txt": "mine"}, "notes.txt"),
        ({"config.json": "{}", "model.npz": "x"}, "model.npz"),
        ({"config.json": "{}", "progress.csv": "time/total_timesteps\n5\n"}, "progress.csv"),
        ({"progress.csv": "\x00\x01"}, "progress.csv"),
        ({"progress.csv": "a,b\n"}, "progress.csv"),
        ({".hidden": ""}, ".hidden"),
        ({"sub/file": ""}, "sub"),
    ],
)
def test_directories_with_something_in_them_are_refused(tmp_path, capsys, files, kept):
    run = tmp_path / "run"
    for name, content in files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(content)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    message = failure(capsys, *TRAIN, *QUICK, "--out", str(run))
    assert message.startswith(
        f"--out: expected a new or empty directory, got {run}, which has files in it ({kept}"
    )
    assert ("--resume" in message) == ("config.json" in files)  # there is no run to resume otherwise
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": ""},
        {"config.json": "", "progress.csv": ""},
        {"config.json": "{}", "progress.csv": "time/total_timesteps\n"},
        {".lock": "1\n", ".config.json.1-ab.tmp": "{", ".model.npz.12.tmp": "PK"},
    ],
)
def test_a_run_that_learned_nothing_can_be_begun_again(tmp_path, capsys, files):
    run = tmp_path / "run"
    run.mkdir()
    for name, content in files.items():
        (run / name).write_text(content)
    message = failure(capsys, "train", "reinforce", "--resume", "--out", str(run))
    assert message.startswith("--out: expected ")
    if files.get("config.json") != "{}":
        assert message.endswith("; it holds no progress: start without --resume")
    assert main([*TRAIN, *QUICK, "--out", str(run)]) == 0
    assert sorted(os.listdir(run)) == ["config.json", "evaluation.json", "model.npz", "progress.csv"]


def test_resuming_refuses_another_number_of_environments(run, capsys):
    directory, _ = run
    resume = ["train", "reinforce", "--resume", "--out", str(directory), "--total-timesteps", "900"]
    for option, was, now in (("--num-envs", 2, 3), ("--backend", "'native'", "async")):
        message = failure(capsys, *resume, option, str(now))
        assert message.startswith(
            f"{option}: expected {was}, as the run in {directory} was started with, got"
        )


# Kills


@pytest.mark.parametrize("name", ["config.json", "model.npz", "evaluation.json", "progress.csv"])
def test_every_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, name):
    """Die at the moment before a file takes its name: what was there is still there, and nothing else."""
    run = tmp_path / "run"
    code = textwrap.dedent(
        """
        import os, sys
        from pgcore.cli import main
        replace = os.replace
        def die(source, target):
            if os.path.basename(target) == sys.argv[1]:
                os._exit(137)
            replace(source, target)
        os.replace = die
        main(sys.argv[2:])
        """
    )

    def until(*arguments):
        died = subprocess.run(
            [sys.executable, "-c", code, name, *arguments], capture_output=True, check=False
        )
        assert died.returncode == 137, died.stderr

    until(*TRAIN, *QUICK, "--out", str(run))
    assert not (run / name).exists()
    begin = (
        ["train", "reinforce", "--resume"] if name in ("model.npz", "evaluation.json") else [*TRAIN, *QUICK]
    )
    assert main([*begin, "--out", str(run)]) == 0
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    assert sorted(files) == ["config.json", "evaluation.json", "model.npz", "progress.csv"]

    until("train", "reinforce", "--resume", "--out", str(run), "--total-timesteps", "1000")
    assert (run / name).read_bytes() == files[name]
    assert main(["train", "reinforce", "--resume", "--out", str(run), "--total-timesteps", "1000"]) == 0
    assert sorted(os.listdir(run)) == sorted(files)
    assert pgcore.load(run).num_timesteps >= 1000


def test_thirty_kills_change_nothing(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    options = ["--hidden", "8", "--n-steps", "20", "--num-envs", "2", "--backend", "sync", "--save-freq", "1"]
    plan = [*TRAIN, *options, "--seed", "5", "--total-timesteps", "6000", "--eval-episodes", "3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*plan, "--out", str(whole)]) == 0
    # One process with everything imported forks what is killed: a kill then takes no second of importing.
    code = textwrap.dedent(
        """
        import json, os, random, signal, sys, time
        import pgcore.cli.train
        from pgcore.cli import main
        plan, out = json.loads(sys.argv[1]), sys.argv[2]
        rng = random.Random(0)
        sys.stdout = open(os.devnull, "w")
        kills, status = 0, None
        while status != 0 or kills < 30:
            child = os.fork()
            if child == 0:
                begun = os.path.exists(os.path.join(out, "config.json"))
                resume = ["train", "reinforce", "--resume", "--out", out]
                os._exit(main(resume) if begun else main([*plan, "--out", out]))
            if kills < 30:
                time.sleep(rng.uniform(0.0, 0.08))
                os.kill(child, signal.SIGKILL)
                kills += 1
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, -9), status
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(plan), str(broken)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert lasting(broken) == lasting(whole)
    np.testing.assert_array_equal(pgcore.load(broken).policy.params, pgcore.load(whole).policy.params)
    assert (broken / "evaluation.json").read_bytes() == (whole / "evaluation.json").read_bytes()
    assert sorted(os.listdir(broken)) == ["config.json", "evaluation.json", "model.npz", "progress.csv"]


# An iteration and its line


def test_an_interrupt_before_the_line_does_not_lose_it(tmp_path, monkeypatch):
    from pgcore.training import CSVLogger

    plan = [*TRAIN, *QUICK, "--seed", "3", "--eval-episodes", "0"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*plan, "--out", str(whole)]) == 0
    write, calls = CSVLogger.write, []

    def interrupted(self, row):
        calls.append(row)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, row)

    monkeypatch.setattr(CSVLogger, "write", interrupted)
    assert main([*plan, "--out", str(broken)]) == 130
    assert main([*plan, "--resume", "--out", str(broken)]) == 0
    assert lasting(broken) == lasting(whole)


def fill_the_disk(monkeypatch, call, moment):
    """Let the ``moment``-th call fail, and those before and after it work."""
    from pgcore import loggers
    from pgcore.io import files
    from pgcore.training import CSVLogger

    count = itertools.count(1)

    def full(function):
        def called(*args, **kwargs):
            if next(count) == moment:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*args, **kwargs)

        return called

    class Disk(io.FileIO):
        def write(self, data):
            number = next(count)
            if number == moment + 1:  # no more after a part of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(bytes(data)[:5] if number == moment else data)

    if call == "write":
        monkeypatch.setattr(loggers, "open", lambda path, mode, buffering: Disk(path, mode), raising=False)
    elif call == "fsync":
        monkeypatch.setattr(files.os, "fsync", full(os.fsync))
    else:
        monkeypatch.setattr(CSVLogger, "_rewrite", full(CSVLogger._rewrite))


@pytest.mark.parametrize(
    ("call", "moment"), [("fsync", 3), ("fsync", 2), ("write", 1), ("write", 4), ("_rewrite", 2)]
)
def test_a_disk_that_is_full_for_a_moment_does_not_lose_a_line(tmp_path, monkeypatch, capsys, call, moment):
    """A line at the file's end (write), or a file that gets a new column or its first one."""

    plan = [*TRAIN, *QUICK, "--seed", "3", "--eval-episodes", "0"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*plan, "--out", str(whole)]) == 0
    fill_the_disk(monkeypatch, call, moment)
    capsys.readouterr()
    assert main([*plan, "--out", str(broken)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"pgcore: {broken / 'progress.csv'}: expected ")
    assert "got No space left on device" in message
    assert message.count("\n") == 1
    if not (broken / "model.npz").exists():  # the file could not be begun
        assert main([*plan, "--out", str(broken)]) == 0
    assert main([*plan, "--resume", "--out", str(broken)]) == 0
    assert lasting(broken) == lasting(whole)
