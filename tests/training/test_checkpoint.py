from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import pgcore
from pgcore.io import checkpoint
from pgcore.io.checkpoint import read_checkpoint, write_checkpoint
from support.sketch import refusal

METADATA = {"algorithm": "Sketch", "big": 2**127 + 1, "nested": {"list": [1, 2.5, None]}}
ARRAYS = {
    "policy/params": np.arange(5, dtype=np.float32),
    "step": np.array(3),
    "mask": np.array([[True], [False]]),
    "empty": np.zeros((0, 3)),
}


@pytest.fixture
def path(tmp_path):
    return write_checkpoint(tmp_path / "model.npz", METADATA, ARRAYS)


def test_round_trip_is_exact(path):
    metadata, arrays = read_checkpoint(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["model.npz"]
    assert {name: metadata[name] for name in METADATA} == METADATA
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].shape == array.shape


def test_numpy_and_unzip_read_it_without_us(path):
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["policy/params"], ARRAYS["policy/params"])
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("metadata.json"))["format"] == "pgcore-checkpoint"
        assert archive.testzip() is None


def test_equal_contents_give_equal_files(path, tmp_path):
    again = write_checkpoint(tmp_path / "again.npz", METADATA, ARRAYS)
    assert again.read_bytes() == path.read_bytes()


def test_suffix_is_added_and_found_again(tmp_path):
    written = write_checkpoint(tmp_path / "deep" / "model", METADATA, ARRAYS)
    assert written == tmp_path / "deep" / "model.npz"
    for name in (tmp_path / "deep" / "model", str(written), tmp_path / "deep"):
        assert read_checkpoint(name)[0]["algorithm"] == "Sketch"


def test_other_suffixes_are_kept(tmp_path):
    assert write_checkpoint(tmp_path / "model.zip", METADATA, ARRAYS).name == "model.zip"
    assert read_checkpoint(tmp_path / "model.zip")[0]["algorithm"] == "Sketch"


def test_objects_are_refused_and_an_earlier_file_survives(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_checkpoint(path, METADATA, {**ARRAYS, "object": np.array([object()])})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["model.npz"]


def test_a_full_disk_leaves_the_earlier_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(path, METADATA, {"x": np.zeros(9)})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["model.npz"]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^path: expected a checkpoint file or a run directory, got"):
        read_checkpoint(tmp_path / "nothing")


def test_files_of_another_kind(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"^path: expected a pgcore checkpoint, got .*text\.npz"):
        read_checkpoint(text)
    plain = tmp_path / "plain.npz"
    np.savez(plain, a=np.zeros(3))
    with pytest.raises(ValueError, match=r"^path: expected a pgcore checkpoint, got .*plain\.npz"):
        read_checkpoint(plain)


def test_damage_anywhere_is_noticed(path, tmp_path):
    """Every truncation, and a flipped byte in every array, must raise: never give other numbers."""
    content = path.read_bytes()
    damaged = tmp_path / "damaged.npz"
    for length in range(0, len(content) - 1, 97):
        damaged.write_bytes(content[:length])
        with pytest.raises(ValueError, match="expected a pgcore checkpoint"):
            read_checkpoint(damaged)
    data = content.index(ARRAYS["policy/params"].tobytes())
    flipped = content[:data] + b"\xff" + content[data + 1 :]
    shorter = content.replace(b"'shape': (5,)", b"'shape': (4,)")  # and the rest of the member unread
    for bad in (flipped, shorter):
        assert bad != content
        damaged.write_bytes(bad)
        with pytest.raises(ValueError, match="expected a pgcore checkpoint"):
            read_checkpoint(damaged)


def flips(content):
    """The file with one bit flipped: one of each byte, and every one of the table of contents."""
    table = content.index(b"PK\x01\x02")
    for place in range(len(content)):
        for bit in range(8) if place >= table else [place % 8]:
            yield content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def test_no_single_bit_makes_another_model_of_it(tmp_path):
    """Refused, or the same: also in the zip's table of contents, which has no checksum."""
    small = {"a": np.arange(2.0), "critic/m": np.ones(3, np.float32), "critic/v": np.array(2)}
    content = write_checkpoint(tmp_path / "model.npz", {"n": 1}, small).read_bytes()
    metadata, arrays = read_checkpoint(tmp_path / "model.npz")
    damaged, num_refused = tmp_path / "damaged.npz", 0
    for flipped in flips(content):
        damaged.write_bytes(flipped)
        if (reason := refusal(read_checkpoint, damaged)) is not None:
            assert reason.startswith(f"path: expected a pgcore checkpoint, got {damaged} (")
            num_refused += 1
            continue
        found, others = read_checkpoint(damaged)
        assert found == metadata
        assert others.keys() == arrays.keys()
        assert all(np.array_equal(array, others[name]) for name, array in arrays.items())
    assert num_refused > len(content)


def test_lost_and_foreign_members_are_named(path, tmp_path):
    def rewritten(change):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return tmp_path / "other.npz"

    read_checkpoint(rewritten(lambda members: None))
    for change, message in (
        (lambda members: members.pop("step.npy"), "a file without a member step.npy"),
        (lambda members: members.update(more=b""), "a file with a member more"),
        (
            lambda members: members.update({"step.npy": members["mask.npy"]}),
            "a file with another member step.npy than was written",
        ),
    ):
        with pytest.raises(ValueError, match=rf"^path: expected a pgcore checkpoint, got .*\({message}\)$"):
            read_checkpoint(rewritten(change))


def test_files_without_checksums_are_read_if_they_are_whole(path, tmp_path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["metadata.json"])
    del header["members"]
    old = tmp_path / "old.npz"
    with zipfile.ZipFile(old, "w") as archive:
        archive.writestr("metadata.json", json.dumps(header))
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", members[f"{name}.npy"])
    metadata, arrays = read_checkpoint(old)
    assert metadata["algorithm"] == "Sketch"
    assert arrays.keys() == ARRAYS.keys()
    content = bytearray(old.read_bytes())
    content[content.rindex(b"step.npy") - 46 + 33] ^= 0x40  # what follows is taken for a remark about it
    old.write_bytes(content)
    with pytest.raises(ValueError, match=r"\(5 members, of which \d can be found\)$"):
        read_checkpoint(old)


def test_members_are_compared_with_their_checksum_even_if_a_header_says_to_read_less(tmp_path):
    path = write_checkpoint(tmp_path / "model.npz", METADATA, {"long": np.arange(10_000.0)})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(10000,)", b"( 9000,)"))
    assert path.read_bytes() != content
    with pytest.raises(ValueError, match="expected a pgcore checkpoint"):
        read_checkpoint(path)


def test_pickles_are_never_read(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, evil=np.array([object], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.json", json.dumps({"format": "pgcore-checkpoint", "format_version": 1}))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        read_checkpoint(path)


def test_newer_versions_are_named(path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 0)
    with pytest.raises(
        ValueError,
        match=r"expected a checkpoint of format version 0 or older, got version 1 .*written by pgcore",
    ):
        read_checkpoint(path)


def test_a_directory_is_no_file(tmp_path):
    """A file beside it would not be what loading from the directory reads."""
    (tmp_path / "run").mkdir()
    model = pgcore.PPO("CartPole-v1", n_steps=16)
    with pytest.raises(ValueError, match=r"^path: expected a file to write, got the directory .*run$"):
        model.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


@pytest.mark.parametrize("path", [3, None])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match=rf"^path: expected a path, got {type(path).__name__} {path}$"):
        pgcore.PPO("CartPole-v1", n_steps=16).save(path)
    with pytest.raises(TypeError, match=rf"^path: expected a path, got {type(path).__name__} {path}$"):
        pgcore.load(path)
