"""Files that are written whole or not at all, and locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pgcore
from pgcore.io import files
from pgcore.io.datasets import save_batch
from pgcore.io.files import FileLock, naming, remove_leftovers, replacing


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_a_kill_left_is_removed_by_the_next_write(tmp_path):
    code = "import os, sys; from pathlib import Path; from pgcore.io.files import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as file:\n file.write(b'half'); file.flush(); os._exit(137)"
    target = tmp_path / "model.npz"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == 137
        (left,) = tmp_path.iterdir()  # not more with every kill
        assert left.name.startswith(".model.npz.")
    others = [".model.npz", ".model.npz.tmp.", ".models.npz.1.tmp", "model.npz.1.tmp"]
    for name in others:
        (tmp_path / name).write_text("mine")
    with replacing(target) as file:
        file.write(b"whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "model.npz"])
    assert target.read_bytes() == b"whole"


def test_a_file_that_is_being_written_is_no_leftover(tmp_path):
    target = tmp_path / "a"
    with replacing(target) as first:
        first.write(b"first")
        with replacing(target) as second:
            second.write(b"second")
        remove_leftovers(target)
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


def test_threads_that_save_to_one_file_do_not_disturb_each_other(tmp_path):
    target, failures = tmp_path / "a", []

    def save(i):
        try:
            for _ in range(50):
                with replacing(target) as file:
                    file.write(bytes([i]) * 1000)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(target.read_bytes())) == 1
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch, call):
    model = pgcore.REINFORCE("CartPole-v1", hidden=(4,))
    batch = pgcore.Batch([[1.0], [2.0]], [0, 1], [1.0, 1.0], [False, True])
    for write in (model.save, lambda path: save_batch(path, batch)):
        path = write(tmp_path / "file.npz")
        before = path.read_bytes()
        monkeypatch.setattr(files.os, call, full)
        with pytest.raises(OSError, match="No space left") as caught:
            write(path)
        monkeypatch.undo()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["file.npz"]


def test_errors_keep_their_kind_and_get_a_name():
    with pytest.raises(BrokenPipeError) as caught, naming("out"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert caught.value.filename == "out"
    with pytest.raises(FileNotFoundError, match="'out'"), naming(Path("out")):
        raise FileNotFoundError(errno.ENOENT, "No such file", ".out.123.tmp")
    with pytest.raises(OSError, match=r"^no number$"), naming("out"):
        raise OSError("no number")


def test_a_lock_has_one_holder(tmp_path):
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == str(os.getpid())
    first.release()
    first.release()
    assert not path.exists()
    assert second.acquire()
    second.release()


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    code = "import os, sys; from pathlib import Path; from pgcore.io.files import FileLock\n"
    code += "assert FileLock(Path(sys.argv[1])).acquire(); os._exit(137)"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 137
    assert path.exists()
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()


def test_a_lock_is_not_taken_on_a_file_that_its_holder_removes(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    lock, tried = files._try_lock, []

    def released_between(descriptor):
        if not tried:
            tried.append(descriptor)
            first.release()  # after the other opened the file, and before it locks it
        return lock(descriptor)

    monkeypatch.setattr(files, "_try_lock", released_between)
    assert second.acquire()
    monkeypatch.undo()
    assert not FileLock(path).acquire()
    second.release()


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def none(_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files, "_try_lock", none)
    (tmp_path / ".a.1.tmp").write_text("perhaps somebody's")
    with replacing(tmp_path / "a") as file:
        file.write(b"1")
    assert sorted(os.listdir(tmp_path)) == [".a.1.tmp", "a"]
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    lock.release()
