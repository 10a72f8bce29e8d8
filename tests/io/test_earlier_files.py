"""Files that version 0.1 wrote, before some names changed, are read as what they are.

``tests/data`` has a batch, a model of a `MultiDiscretePolicy`, and one whose replay holds cut segments.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import pgcore
from pgcore.io import load_batch, save_batch
from pgcore.io.checkpoint import FORMAT_VERSION, read_checkpoint
from pgcore.policies import MultiDiscretePolicy
from support.sketch import Still

DATA = Path(__file__).parents[1] / "data"
CHECKPOINTS = ["multidiscrete-1.npz", "replay-1.npz"]


def members(path):
    """What is in the file, read without this package."""
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    with np.load(path, allow_pickle=False) as file:
        return metadata, {name: file[name] for name in file.files if name != "metadata.json"}


def env():
    return Still(spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3]))


def test_the_files_are_old():
    for name in CHECKPOINTS:
        metadata, _ = members(DATA / name)
        assert metadata["format_version"] == 1 < FORMAT_VERSION
        assert metadata["policy"]["num_choices"] == [2, 3]
    assert any(name.endswith("tail_obs") for name in members(DATA / "replay-1.npz")[1])
    with np.load(DATA / "batch-1.npz") as file:
        assert file["pgcore_batch_version"] == 1
        assert "tail_obs" in file.files


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_model_is_what_it_was_and_learns_on(name, tmp_path):
    metadata, arrays = members(DATA / name)
    model = pgcore.load(DATA / name, env=env())
    assert type(model.policy) is MultiDiscretePolicy
    assert model.policy.nvec == (2, 3)
    np.testing.assert_array_equal(model.policy.params, arrays["policy/params"])
    assert model.num_timesteps == metadata["state"]["num_timesteps"] > 0
    again = read_checkpoint(model.save(tmp_path / "again"))
    assert again[0]["format_version"] == FORMAT_VERSION
    assert again[0]["policy"]["nvec"] == [2, 3]
    assert "num_choices" not in again[0]["policy"]
    for old, array in arrays.items():
        np.testing.assert_array_equal(again[1][old.replace("tail_obs", "bootstrap_obs")], array)
    assert len(again[1]) == len(arrays)
    model.learn(20, reset_num_timesteps=False)


def test_the_replay_knows_where_its_segments_were_cut():
    _, arrays = members(DATA / "replay-1.npz")
    model = type(pgcore.load(DATA / "replay-1.npz")).load(DATA / "replay-1.npz")
    (batch,) = model.replay.batches
    assert batch.num_truncated > 0
    np.testing.assert_array_equal(batch.bootstrap_obs, arrays["replay/0.tail_obs"])


def test_a_batch_is_what_it_was(tmp_path):
    batch = load_batch(DATA / "batch-1.npz")
    np.testing.assert_array_equal(batch.obs, [[0.0], [1.0], [2.0], [3.0]])
    np.testing.assert_array_equal(batch.bootstrap_obs, [[0.0], [5.0]])
    np.testing.assert_array_equal(batch.log_probs, [-1.0, -2.0, -3.0, -4.0])
    assert batch.num_truncated == 1
    with np.load(save_batch(tmp_path / "batch", batch)) as file:
        assert "tail_obs" not in file.files
        np.testing.assert_array_equal(file["bootstrap_obs"], [[0.0], [5.0]])


def test_damage_to_an_old_batch_is_noticed(tmp_path):
    with np.load(DATA / "batch-1.npz") as file:
        arrays = dict(file)
    damaged = tmp_path / "damaged.npz"
    without = {name: array for name, array in arrays.items() if name != "tail_obs"}
    for wrong in (without, {**arrays, "tail_obs": arrays["tail_obs"] + 1}):
        np.savez(damaged, **wrong)
        with pytest.raises(ValueError, match=r"not the arrays that were written"):
            load_batch(damaged)
