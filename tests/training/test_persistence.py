from __future__ import annotations

import json
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import pgcore
from pgcore import REINFORCE
from pgcore.io.checkpoint import read_checkpoint, write_checkpoint
from pgcore.policies import GaussianPolicy, ObservationNormalizer
from pgcore.training import Algorithm
from support.sketch import ACTION_SPACES, BOX, OBSERVATION_SPACES, Sketch, Still, equal_states

BASELINES = ["none", "average_return", "time_dependent", "linear", "value_network"]


def small(**arguments):
    arguments = {"n_steps": 30, "num_envs": 2, "hidden": (8,), "n_critic_updates": 2, "seed": 4, **arguments}
    return REINFORCE("CartPole-v1", **arguments)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("normalize", [False, True])
def test_a_stopped_run_continues_bit_for_bit(tmp_path, optimizer, baseline, normalize):
    arguments = {
        "optimizer": optimizer,
        "baseline": baseline,
        "normalize_observations": normalize,
        "learning_rate_schedule": "linear",
    }
    whole = small(**arguments).learn(500)
    seen = []
    # Stopped in the middle of the same plan, as an interrupt does it: the schedule goes on where it was.
    model = small(**arguments)
    model.learn(500, callback=lambda m: m.num_timesteps < 200)
    path = model.save(tmp_path / "model")
    resumed = pgcore.load(path, env="CartPole-v1")
    assert equal_states(resumed, model)
    resumed.learn(
        500 - model.num_timesteps, reset_num_timesteps=False, callback=lambda m: seen.append(m.logs)
    )
    assert equal_states(resumed, whole)
    for name, value in whole.logs.items():
        if name not in ("time/fps", "time/time_elapsed"):
            assert seen[-1][name] == pytest.approx(value, nan_ok=True, abs=0)
    obs = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_array_equal(resumed.predict(obs)[0], whole.predict(obs)[0])


def test_saving_and_loading_again_gives_the_same_file(tmp_path):
    model = small(normalize_observations=True, baseline="value_network").learn(200)
    model.predict(np.zeros(4))
    first = model.save(tmp_path / "first.npz")
    second = pgcore.load(first).save(tmp_path / "second.npz")
    assert first.read_bytes() == second.read_bytes()


def test_predictions_are_those_of_the_saved_model(tmp_path):
    model = small(normalize_observations=True).learn(200)
    path = model.save(tmp_path / "model")
    loaded = REINFORCE.load(path)
    obs = np.random.default_rng(0).normal(size=(50, 4))
    for deterministic in (True, False):
        np.testing.assert_array_equal(
            model.predict(obs, deterministic=deterministic)[0],
            loaded.predict(obs, deterministic=deterministic)[0],
        )
    assert loaded.env is None
    assert loaded.config == model.config
    assert loaded.num_timesteps == model.num_timesteps
    with pytest.raises(ValueError, match=r"^env: expected an environment to learn in, got None"):
        loaded.learn(10)


def test_cut_episodes_continue_from_fresh_ones(tmp_path):
    model = small(whole_episodes=False, baseline="value_network").learn(240)
    path = model.save(tmp_path / "model")
    resumed = REINFORCE.load(path, env="CartPole-v1")
    again = REINFORCE.load(path, env="CartPole-v1")
    resumed.learn(240, reset_num_timesteps=False)
    again.learn(240, reset_num_timesteps=False)
    assert resumed.num_timesteps == 480
    assert equal_states(resumed, again)


@pytest.mark.parametrize("space", ACTION_SPACES, ids=str)
def test_every_action_space_comes_back(tmp_path, space):
    model = Sketch(Still(BOX, space), hidden=(4,), normalize_observations=True).learn(16)
    loaded = Sketch.load(model.save(tmp_path / "model"))
    assert loaded.action_space == space
    obs = np.random.default_rng(0).uniform(-1, 1, (9, 3))
    np.testing.assert_array_equal(loaded.predict(obs)[0], model.predict(obs)[0])


@pytest.mark.parametrize("space", OBSERVATION_SPACES, ids=lambda space: type(space).__name__)
def test_every_observation_space_comes_back(tmp_path, space):
    model = Sketch(Still(space, gym.spaces.Discrete(2)), hidden=(4,)).learn(16)
    path = model.save(tmp_path / "model")
    assert Sketch.load(path).observation_space == space
    assert equal_states(Sketch.load(path, Still(space, gym.spaces.Discrete(2))), model)


@pytest.mark.parametrize("covariance", ["diagonal", "full", "state", [[0.25]]])
def test_given_policies_come_back(tmp_path, covariance):
    policy = GaussianPolicy(3, 1, hidden=(4,), covariance=covariance, dtype="float64", activation="relu")
    policy.normalizer = ObservationNormalizer(3, clip=2.0)
    policy.normalizer.update(np.random.default_rng(0).normal(size=(20, 3)))
    model = REINFORCE("Pendulum-v1", policy=policy, n_steps=8).learn(8)
    loaded = REINFORCE.load(model.save(tmp_path / "model"))
    assert loaded.policy.config() == policy.config()
    assert loaded.policy.normalizer.clip == 2.0
    obs = np.random.default_rng(1).normal(size=(9, 3)) * 5
    np.testing.assert_array_equal(loaded.policy.mode(obs), policy.mode(obs))


def test_classes_are_found_and_checked(tmp_path):
    reinforce, sketch = small().save(tmp_path / "r"), Sketch("CartPole-v1").save(tmp_path / "s")
    assert type(pgcore.load(reinforce)) is REINFORCE
    assert type(pgcore.load(sketch)) is Sketch  # one that the package has never heard of
    assert type(Algorithm.load(sketch)) is Sketch
    with pytest.raises(ValueError, match=r"^path: expected a REINFORCE checkpoint, got one of Sketch in"):
        REINFORCE.load(sketch)
    metadata, arrays = read_checkpoint(reinforce)
    unknown = write_checkpoint(tmp_path / "u", {**metadata, "algorithm": "Nothing"}, arrays)
    with pytest.raises(ValueError, match=r"^algorithm: expected one of .*REINFORCE.*, got 'Nothing'"):
        pgcore.load(unknown)


def test_environments_must_fit(tmp_path):
    path = small().save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"^env: expected observation_space Box\(.*got Box\("):
        REINFORCE.load(path, env="Pendulum-v1")
    assert REINFORCE.load(path, env="CartPole-v1").env.num_envs == 2


def test_incomplete_files_are_refused(tmp_path):
    path = small(normalize_observations=True, baseline="value_network").learn(50).save(tmp_path / "model")
    metadata, arrays = read_checkpoint(path)
    for name in ("policy/params", "optimizer/m", "critic/params", "normalizer/mean"):
        rest = {key: array for key, array in arrays.items() if key != name}
        broken = write_checkpoint(tmp_path / "broken", metadata, rest)
        with pytest.raises(ValueError, match=r"^path: expected a whole checkpoint, got"):
            pgcore.load(broken)
    for name in ("config", "policy", "state", "action_space"):
        rest = {key: value for key, value in metadata.items() if key != name}
        broken = write_checkpoint(tmp_path / "broken", rest, arrays)
        with pytest.raises(ValueError, match=r"^path: expected a whole checkpoint, got"):
            pgcore.load(broken)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_envs", 0),
        ("num_envs", "two"),
        ("num_envs", 2.5),
        ("backend", "threads"),
        ("backend", ["sync"]),
        ("seed", -1),
        ("seed", None),
        ("seed", "0"),
        ("hidden", 8),
        ("hidden", [0]),
        ("algorithm", 3),
    ],
)
def test_settings_in_the_file_are_checked(tmp_path, name, value):
    metadata, arrays = read_checkpoint(small(baseline="value_network").save(tmp_path / "model"))
    other = write_checkpoint(tmp_path / "other", {**metadata, name: value}, arrays)
    with pytest.raises(ValueError, match=r"^(path|algorithm): expected "):
        pgcore.load(other)


def test_arrays_that_no_part_of_the_model_asks_for_are_refused(tmp_path):
    metadata, arrays = read_checkpoint(small().learn(50).save(tmp_path / "model"))
    for name in ("momentum/m", "optimizer/u", "policy/old", "loose"):
        other = write_checkpoint(tmp_path / "other", metadata, {**arrays, name: np.zeros(2)})
        with pytest.raises(ValueError, match=r"^path: expected a whole checkpoint, got"):
            pgcore.load(other)


def test_a_model_knows_how_many_environments_it_has(tmp_path):
    path = small().save(tmp_path / "model")
    five = gym.make_vec("CartPole-v1", num_envs=5, vectorization_mode="sync")
    loaded = pgcore.load(path, env=five)
    assert loaded.num_envs == loaded.env.num_envs == 5
    assert read_checkpoint(loaded.save(path))[0]["num_envs"] == 5
    assert pgcore.load(path, env="CartPole-v1").env.num_envs == 5
    loaded.set_env(gym.make("CartPole-v1"))
    assert loaded.num_envs == 1
    with pytest.raises(ValueError, match=r"^env: expected observation_space"):
        loaded.set_env("Pendulum-v1")
    assert loaded.num_envs == 1
    assert loaded.learn(30).num_timesteps >= 30


def test_the_file_holds_json_and_arrays_and_no_pickle(tmp_path):
    path = small(normalize_observations=True).learn(50).save(tmp_path / "model")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        metadata = json.loads(archive.read("metadata.json"))
    assert [name for name in names if not name.endswith(".npy")] == ["metadata.json"]
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            if name != "metadata.json":
                assert file[name].dtype != object
    assert metadata["config"]["normalize_observations"] is True
    assert metadata["state"]["num_timesteps"] >= 50


def test_a_run_directory_will_do(tmp_path):
    small().save(tmp_path / "model.npz")
    assert isinstance(pgcore.load(tmp_path), REINFORCE)
    assert isinstance(pgcore.load(str(tmp_path)), REINFORCE)
    with pytest.raises(FileNotFoundError, match=r"^path: expected a checkpoint file or a run directory"):
        pgcore.load(Path(tmp_path) / "nothing")
