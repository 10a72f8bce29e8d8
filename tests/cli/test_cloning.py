"""From a teacher to a policy gradient: cloning from Python and from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pgcore
from pgcore import REINFORCE, BehaviourCloning, evaluate_policy
from pgcore.cli import main
from pgcore.io.datasets import save_batch
from pgcore.policies import CategoricalPolicy
from pgcore.rollout import Collector, make_vector_env
from support.commands import failure, rows
from support.sketch import equal_states


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """Four episodes of 500 steps by a linear teacher, in a file."""
    teacher = CategoricalPolicy(4, 2, hidden=())
    weights = 15 * np.array([0.1, 0.3, 1.0, 0.6])
    teacher.params = np.concatenate([-weights, weights, [0.0, 0.0]])
    env = make_vector_env("CartPole-v1", num_envs=4, seed=0)
    collector = Collector(env, teacher, rng=np.random.default_rng(0))
    batch = collector.collect(500, whole_episodes=True)
    assert min(collector.episode_returns) == 500
    env.close()
    return save_batch(tmp_path_factory.mktemp("demos") / "demos.npz", batch)


def test_cloning_then_policy_gradient(demos):
    cloned = BehaviourCloning("CartPole-v1", demonstrations=demos, hidden=(32,), seed=0).learn(40_000)
    assert evaluate_policy(cloned, "CartPole-v1", 20, seed=1)[0] > 400
    assert evaluate_policy(cloned, "CartPole-v1", 20, seed=1, deterministic=False)[0] > 400
    before = cloned.policy.params
    model = REINFORCE("CartPole-v1", policy=cloned.policy, num_envs=4, learning_rate=1e-3, seed=0)
    model.learn(10_000)
    assert model.policy is cloned.policy
    assert np.abs(model.policy.params - before).max() > 0
    assert model.logs["rollout/ep_rew_mean"] > 400
    assert evaluate_policy(model, "CartPole-v1", 20, seed=2)[0] > 400


def test_the_command_line(demos, tmp_path, capsys):
    train = ["train", "bc", "--env-id", "CartPole-v1", "--demonstrations", str(demos), "--hidden", "32"]
    options = ["--n-steps", "1000", "--seed", "3", "--eval-episodes", "5", "--validation-fraction", "0.25"]
    options += ["--learning-rate", "0.003"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*train, *options, "--total-timesteps", "20000", "--out", str(whole)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"bc on CartPole-v1, seed 3, in {whole}"
    assert out.splitlines()[-1].startswith("mean reward ")
    assert main([*train, *options, "--total-timesteps", "9000", "--out", str(parts)]) == 0
    resume = ["train", "bc", "--resume", "--out", str(parts)]
    assert main([*resume, "--total-timesteps", "20000"]) == 0
    first, second = pgcore.load(whole), pgcore.load(parts)
    assert first.num_timesteps == 20_000
    assert equal_states(first, second)
    expected = BehaviourCloning(
        "CartPole-v1",
        demonstrations=demos,
        hidden=(32,),
        n_steps=1000,
        seed=3,
        validation_fraction=0.25,
        learning_rate=0.003,
    ).learn(20_000)
    assert equal_states(first, expected)
    lines = rows(parts)
    assert [int(line["time/total_timesteps"]) for line in lines] == list(range(1000, 20_001, 1000))
    assert float(lines[-1]["train/log_likelihood"]) > float(lines[0]["train/log_likelihood"])
    assert float(lines[-1]["train/validation_log_likelihood"]) > -0.6
    assert json.loads((parts / "config.json").read_text())["demonstrations"] == str(demos)
    capsys.readouterr()
    assert main(["eval", str(parts), "--episodes", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_reward"] > 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env-id", "CartPole-v1"], "--demonstrations"),
        (["--demonstrations", "nothing.npz"], "--env-id"),
        (
            ["--env-id", "CartPole-v1", "--demonstrations", "nothing.npz"],
            "path: expected a file with a batch, ",
        ),
        (
            ["--env-id", "Pendulum-v1", "--demonstrations", "{demos}"],
            "demonstrations: expected obs of shape ",
        ),
        (
            ["--env-id", "CartPole-v1", "--demonstrations", "{demos}", "--gamma", "1"],
            "unknown argument '--gamma'",
        ),
    ],
)
def test_bad_command_lines_are_one_line(demos, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in failure(
        capsys, "train", "bc", *(argument.format(demos=demos) for argument in arguments)
    )
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_keeps_its_demonstrations(demos, tmp_path, capsys):
    out, other = tmp_path / "run", tmp_path / "other.npz"
    other.write_bytes(demos.read_bytes())
    train = ["train", "bc", "--env-id", "CartPole-v1", "--eval-episodes", "0", "--out", str(out)]
    assert main([*train, "--demonstrations", str(demos), "--total-timesteps", "1"]) == 0
    capsys.readouterr()
    refused = failure(capsys, *train, "--demonstrations", str(other), "--total-timesteps", "5000", "--resume")
    assert refused.startswith(f"--demonstrations: expected '{demos}', as the run in")
