"""Algorithms and a logger from outside: one file each, by public names alone."""

from __future__ import annotations

import ast
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import pgcore
from extending.a2c import A2C
from extending.awr import AWR
from extending.sqlite_logger import SQLiteLogger
from pgcore import Batch, BehaviourCloning, algorithms
from pgcore.io import save_batch

HERE = Path(__file__).parent


def command(directory, *arguments):
    """Run ``pgcore`` in a process that finds the files beside this one."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from pgcore.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["a2c", "awr", "sqlite_logger"])
def test_no_private_name_is_used(name):
    for node in ast.walk(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        for part in ".".join(names).split("."):
            assert not part.startswith("_") or part == "__init__"


def test_a2c_ascends_the_advantage_gradient():
    """Against sums over steps written out, with the scores of single steps."""
    model = A2C("CartPole-v1", num_envs=2, n_steps=30, ent_coef=0.0, max_grad_norm=None, seed=1)
    critic, policy = model.critic, model.policy
    batch = model.collect()
    values, after = critic.predict(batch.obs), critic.bootstrap_values(batch)
    scores = policy.scores(batch.obs, batch.actions)
    gradient, segment = np.zeros(policy.num_params), -1
    ahead = 0.0
    for t in reversed(range(batch.num_steps)):
        if batch.ends[t]:
            ahead = after[t] if not batch.terminated[t] else 0.0
            segment += 1
        ahead = batch.rewards[t] + model.config.gamma * ahead
        gradient += (ahead - values[t]) * scores[t] / batch.num_steps
    assert segment >= 1
    before = policy.params
    logs = model.update(batch)
    assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    moved = policy.params - before  # Adam's first step has the gradient's signs
    clear = np.abs(gradient) > 1e-3 * np.abs(gradient).max()
    np.testing.assert_array_equal(np.sign(moved[clear]), np.sign(gradient[clear]))


def test_a2c_learns():
    model = A2C("CartPole-v1", num_envs=8, n_steps=32, seed=0).learn(60_000)
    mean, _ = pgcore.evaluate_policy(model, "CartPole-v1", 20, seed=0)
    assert mean > 150  # 20 at first


def test_a2c_is_saved_and_continues_bit_for_bit(tmp_path):
    arguments = {"n_steps": 40, "whole_episodes": True, "normalize_observations": True, "seed": 2}
    whole = A2C("CartPole-v1", **arguments).learn(400)
    stopped = A2C("CartPole-v1", **arguments)
    stopped.learn(400, callback=lambda model: model.num_timesteps < 150)
    path = stopped.save(tmp_path / "model")
    assert type(A2C.load(path)) is type(pgcore.load(path)) is A2C
    resumed = pgcore.load(path, env="CartPole-v1")
    resumed.learn(400 - resumed.num_timesteps, reset_num_timesteps=False)
    np.testing.assert_array_equal(resumed.policy.params, whole.policy.params)
    with pytest.raises(ValueError, match=r"^path: expected a PPO checkpoint, got one of A2C in"):
        pgcore.PPO.load(path)


def test_an_algorithm_is_found_by_its_command():
    assert A2C.command == "a2c"
    assert algorithms.find("a2c") is algorithms.find("extending.a2c:A2C") is A2C
    for name, message in (
        ("a3c", r"^ALGO: expected one of bc, .*trpo, got 'a3c'; one of your own is module:Class$"),
        ("nowhere:A2C", r"^ALGO: expected a module that can be imported, got 'nowhere:A2C' \(No module"),
        ("extending.a2c:A3C", r"^ALGO: expected one of .*; run or import what defines A3C in extending.a2c"),
        ("extending.a2c:A2CConfig", r"^ALGO: expected one of "),
        ("os:system", r"^ALGO: expected one of "),
    ):
        with pytest.raises(ValueError, match=message):
            algorithms.find(name)


def test_a2c_on_the_command_line(tmp_path):
    run = ("train", "a2c:A2C", "--env-id", "CartPole-v1", "--eval-episodes", "2", "--n-steps", "20")
    done = command(tmp_path, *run, "--total-timesteps", "100", "--gae-lambda", "0.9", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["algorithm"] == "a2c:A2C"
    done = command(tmp_path, "train", "a2c:A2C", "--resume", "--out", "run", "--total-timesteps", "140")
    assert done.returncode == 0, done.stderr
    assert "resumed after 100 of 140 steps" in done.stdout
    done = command(tmp_path, "eval", "run", "--episodes", "2", "--json")
    assert json.loads(done.stdout)["episodes"] == 2, done.stderr
    done = command(tmp_path, *run, "--total-timesteps", "20")  # in a directory with a name of its own
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1
    done = command(tmp_path, "train", "a2c:A2C", "--help")
    assert "--gae-lambda" in done.stdout
    assert "--demonstrations" not in done.stdout
    done = command(tmp_path, "train", "a2c:Nothing", "--env-id", "CartPole-v1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def recorded(num_steps=400):
    """One step an episode; action 1 is right where the first number is positive; half of all are wrong."""
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(num_steps, 4)).astype(np.float32)
    actions = rng.integers(0, 2, num_steps)
    rewards = (actions == (obs[:, 0] > 0)).astype(float)
    return Batch(obs, actions, rewards, np.ones(num_steps, bool))


def share_of_right_choices(model):
    obs = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    return np.mean(model.predict(obs, deterministic=True)[0] == (obs[:, 0] > 0))


def test_awr_does_better_than_what_it_is_shown():
    batch = recorded()
    weighted = AWR("CartPole-v1", demonstrations=batch, hidden=(16,), seed=0).learn(12_000)
    cloned = BehaviourCloning("CartPole-v1", demonstrations=batch, hidden=(16,), seed=0).learn(12_000)
    assert weighted.num_timesteps == 12_000
    assert share_of_right_choices(weighted) > 0.9
    assert share_of_right_choices(cloned) < 0.7


def test_awr_from_a_file_and_on_the_command_line(tmp_path):
    file = save_batch(tmp_path / "recorded", recorded())
    model = AWR("CartPole-v1", demonstrations=file).learn(800)
    loaded = pgcore.load(model.save(tmp_path / "model"), env="CartPole-v1")
    loaded.set_demonstrations(file)
    for other in (model, loaded):
        other.learn(800, reset_num_timesteps=False)
    np.testing.assert_array_equal(loaded.policy.params, model.policy.params)
    run = ("train", "awr:AWR", "--env-id", "CartPole-v1", "--total-timesteps", "400", "--eval-episodes", "0")
    done = command(tmp_path, *run, "--demonstrations", "recorded.npz", "--out", "run")
    assert done.returncode == 0, done.stderr
    done = command(tmp_path, *run)
    assert done.returncode == 2
    assert "--demonstrations" in done.stderr


def test_a_logger_gets_every_iteration(tmp_path):
    seen = []
    with closing(SQLiteLogger(tmp_path / "progress.db")) as logger:
        model = A2C("CartPole-v1", n_steps=20)
        model.learn(100, callback=[logger, lambda m: seen.append((m.num_timesteps, m.logs["train/entropy"]))])
    query = "SELECT step, value FROM progress WHERE name = 'train/entropy' ORDER BY step"
    with closing(sqlite3.connect(tmp_path / "progress.db")) as database:
        assert database.execute(query).fetchall() == seen
    assert len(seen) == 5
