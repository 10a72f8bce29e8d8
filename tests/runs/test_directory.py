"""`RunDirectory` from Python: names, files, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import time

import pytest

import pgcore
from pgcore.io import files
from pgcore.io.files import FileLock
from pgcore.runs import RunDirectory, learning_curves

CONFIG = {"algorithm": "ppo", "env_id": "CartPole-v1", "backend": "sync", "seed": 0}


# Names


def test_runs_begun_in_the_same_second_get_a_directory_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda *_: "-20260101-000000")
    made, barrier = [], threading.Barrier(8)

    def make():
        barrier.wait()
        made.extend(RunDirectory.new("ppo", "CartPole-v1", 0, {}).path for _ in range(20))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 160
    assert all(path.is_dir() for path in made)


@pytest.mark.parametrize(
    ("env_id", "settings", "name"),
    [
        ("CartPole-v1", {}, "ppo-CartPole-v1-3"),
        ("CartPole-v1", {"hidden": (64, 64), "gamma": 0.5}, "ppo-CartPole-v1-3-hidden=64,64-gamma=0.5"),
        ("module:name space/Env-v0", {"hidden": ()}, "ppo-module_name_space_Env-v0-3-hidden="),
        ("Ünicode-v0", {}, "ppo-_nicode-v0-3"),
    ],
)
def test_names_say_what_differs(tmp_path, monkeypatch, env_id, settings, name):
    monkeypatch.chdir(tmp_path)
    path = RunDirectory.new("ppo", env_id, 3, settings).path
    assert re.fullmatch(re.escape(name) + r"-\d{8}-\d{6}", path.name)


def test_long_names_are_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {f"setting_{i}": "x" * 20 for i in range(30)}
    for env_id in ("CartPole-v1", "E" * 300):
        name = RunDirectory.new("ppo", env_id, 3, settings).path.name
        assert len(name) < 150
    name = RunDirectory.new("ppo", "CartPole-v1", 3, settings).path.name
    assert re.fullmatch(r"ppo-CartPole-v1-3(-setting_\d=x{20})+-\d{8}-\d{6}(-\d)?", name)  # whole settings


# Files


def test_a_run_made_in_python_reads_back(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.make()
    directory.require_unused()
    directory.require_free()
    with directory.locked():
        directory.write_config(CONFIG)
        model = pgcore.REINFORCE("CartPole-v1", n_steps=50, num_envs=2, seed=0)
        progress = directory.open_progress(resume_at=0)
        model.learn(300, callback=progress)
        progress.close()
        model.save(directory.model_file)
        directory.write_evaluation({"mean_reward": 1.5})
    assert directory.read_config() == CONFIG
    assert json.loads(directory.evaluation_file.read_text()) == {"mean_reward": 1.5}
    assert pgcore.load(directory.model_file).num_timesteps == model.num_timesteps
    (curve,) = learning_curves([(directory.read_config(), directory.progress_file)]).curves
    assert (curve.label, curve.steps[-1]) == ("ppo", model.num_timesteps)
    assert not (directory.path / ".lock").exists()


def test_what_killed_processes_left_is_removed_when_training_begins(tmp_path):
    names = [
        ".config.json.7-ab.tmp",
        ".progress.csv.7-ab.tmp",
        ".model.npz.7-ab.tmp",
        ".evaluation.json.7-ab.tmp",
    ]
    for name in (*names, "notes.txt", ".notes.7-ab.tmp"):
        (tmp_path / name).write_text("")
    with RunDirectory(tmp_path).locked():
        assert sorted(os.listdir(tmp_path)) == [".lock", ".notes.7-ab.tmp", "notes.txt"]
    assert sorted(os.listdir(tmp_path)) == [".notes.7-ab.tmp", "notes.txt"]


def test_the_learning_curve_is_continued_from_a_step(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.progress_file.write_text("time/total_timesteps\n10\n20\n30\n")
    directory.open_progress(resume_at=20).close()
    assert directory.progress_file.read_text().split() == ["time/total_timesteps", "10", "20"]


# What is refused


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "path: expected a run directory, got {} without a config.json"),
        ("{", ValueError, "path: expected a readable config.json, got {}"),
        ("[]", ValueError, "path: expected the config.json of a run, got {}"),
        ('{"algorithm": "ppo"}', ValueError, "path: expected the config.json of a run, got {}"),
    ],
)
def test_what_is_no_run(tmp_path, content, error, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(error) as caught:
        RunDirectory(tmp_path).read_config()
    assert type(caught.value) is error
    assert str(caught.value).startswith(message.format(tmp_path))


def test_a_file_is_no_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for call in (RunDirectory(file).read_config, RunDirectory(file).require_free):
        with pytest.raises(NotADirectoryError, match=r"^path: expected a (run )?directory, got the file "):
            call()
    with pytest.raises(OSError, match=r"^path: expected a directory that can be created, got "):
        RunDirectory(file / "run").make()


def test_a_directory_with_files_in_it_is_not_free(tmp_path):
    directory = RunDirectory(tmp_path)
    assert not directory.has_learned()
    directory.write_config(CONFIG)
    directory.require_free()
    (tmp_path / "notes.txt").write_text("")
    assert directory.has_learned()
    with pytest.raises(FileExistsError) as caught:
        directory.require_free()
    assert str(caught.value) == (
        f"path: expected a new or empty directory, got {tmp_path}, which has files in it (notes.txt)"
    )


@pytest.mark.parametrize(
    ("name", "content", "is_replaceable"),
    [
        (".lock", "", True),
        ("config.json", "{}", True),
        ("progress.csv", "", True),
        ("progress.csv", "time/total_timesteps,loss\n", True),
        ("progress.csv", "time/total_timesteps,loss\n10,0.5\n", False),
        ("progress.csv", "weight,height\n", False),
        ("progress.csv", "\xff", False),
        (".model.npz.7-ab.tmp", "", True),
        (".notes.7-ab.tmp", "", False),
        ("model.npz", "", False),
        ("evaluation.json", "{}", False),
    ],
)
def test_only_what_a_run_wrote_before_it_learned_may_be_replaced(tmp_path, name, content, is_replaceable):
    directory = RunDirectory(tmp_path)
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    assert directory.has_learned() == (not is_replaceable)
    if is_replaceable:
        directory.require_free()
    else:
        with pytest.raises(FileExistsError, match=re.escape(f"which has files in it ({name})")):
            directory.require_free()


def test_at_most_three_files_are_named(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_text("")
    with pytest.raises(FileExistsError, match=r"which has files in it \(a, b, c, \.\.\.\)$"):
        RunDirectory(tmp_path).require_free()


def test_a_directory_that_cannot_be_read(tmp_path, monkeypatch):
    def denied(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", denied)
    directory = RunDirectory(tmp_path)
    with pytest.raises(OSError, match=r"^path: expected a directory that can be read, got ") as caught:
        directory.require_free()
    assert str(caught.value).endswith(f"{tmp_path} (Permission denied)")
    assert directory.has_learned()  # nobody knows: nothing is destroyed


def test_a_directory_that_cannot_be_written_to(tmp_path):
    directory = RunDirectory(tmp_path / "missing")
    with pytest.raises(OSError) as caught, directory.locked():
        pass
    assert str(caught.value) == (
        f"path: expected a directory that can be written to, got {directory.path} (No such file or directory)"
    )
    directory.progress_file = tmp_path  # a directory stands in its place
    with pytest.raises(OSError) as caught:
        directory.open_progress(resume_at=0)
    assert caught.value.filename == str(tmp_path)


def test_an_error_names_the_file_and_not_the_directory_that_is_missing(tmp_path):
    (tmp_path / "file").write_text("")
    directory = RunDirectory(tmp_path / "file" / "run")
    for file, write in (
        (directory.config_file, lambda: directory.write_config(CONFIG)),
        (directory.evaluation_file, lambda: directory.write_evaluation({})),
        (directory.progress_file, lambda: directory.open_progress(resume_at=0)),
    ):
        with pytest.raises(OSError) as caught:
            write()
        assert caught.value.filename == str(file)


def test_directories_for_runs_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    message = r"^path: expected a directory that can be created, got runs.ppo-.* \({}\)$"
    with pytest.raises(OSError, match=message.format("runs is a file")):
        RunDirectory.new("ppo", "CartPole-v1", 0, {})

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(OSError, match=message.format("No space left on device")):
        RunDirectory.new("ppo", "CartPole-v1", 0, {})


def test_the_lock_of_a_process_that_is_gone_keeps_nobody_out(tmp_path):
    directory = RunDirectory(tmp_path)
    (tmp_path / ".lock").write_text("1")
    directory.require_unused()
    with directory.locked(), pytest.raises(BlockingIOError):
        directory.require_unused()
    directory.require_unused()


def test_a_directory_in_use_is_refused(tmp_path):
    directory = RunDirectory(tmp_path)
    lock = FileLock(tmp_path / ".lock")
    assert lock.acquire()
    message = (
        f"path: expected a directory in which no other command is training, got {tmp_path}, which process"
    )
    try:
        with pytest.raises(BlockingIOError) as caught:
            directory.require_unused()
        assert str(caught.value) == f"{message} {os.getpid()} is using"
        with pytest.raises(BlockingIOError) as caught, directory.locked():
            pass
        assert str(caught.value) == f"{message} {os.getpid()} is using"
    finally:
        lock.release()
    directory.require_unused()


@pytest.mark.parametrize("name", ["config.json", "evaluation.json"])
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, name):
    directory = RunDirectory(tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        directory.write_config(CONFIG) if name == "config.json" else directory.write_evaluation({})
    assert caught.value.filename == str(tmp_path / name)
    assert os.listdir(tmp_path) == []
