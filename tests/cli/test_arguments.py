"""What people write on a command line, and what they are told when it doesn't fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import pgcore
from pgcore import plots
from pgcore.cli import main
from pgcore.io.datasets import load_batch, save_batch
from pgcore.io.files import as_path
from support.commands import QUICK, TRAIN, command, failure

PPO = ["train", "ppo", "--env-id", "CartPole-v1"]


def config(run):
    return json.loads((run / "config.json").read_text())


# Numbers


def test_integers_as_people_write_them(tmp_path):
    run = tmp_path / "run"
    options = ["--total-timesteps", "6e2", "--n-steps", "2e1", "--num-envs", "2.0", "--seed", "1_000"]
    options += ["--hidden", "8", "1.6e1", "--save-freq", "1e6", "--eval-episodes", "0e0"]
    assert main([*TRAIN, *options, "--out", str(run)]) == 0
    found = config(run)
    assert (found["total_timesteps"], found["hyperparameters"]["n_steps"], found["num_envs"]) == (600, 20, 2)
    assert (found["seed"], found["hidden"], found["save_freq"], found["eval_episodes"]) == (
        1000,
        [8, 16],
        10**6,
        0,
    )
    assert main(["eval", str(run), "--episodes", "2e0", "--seed", "1e1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*PPO, "--total-timesteps", "1.5"], "--total-timesteps: expected an integer, got '1.5'"),
        ([*PPO, "--n-steps", "1e-1"], "--n-steps: expected an integer, got '1e-1'"),
        ([*PPO, "--seed", "inf"], "--seed: expected an integer, got 'inf'"),
        ([*PPO, "--seed", "nan"], "--seed: expected an integer, got 'nan'"),
        ([*PPO, "--num-envs", "two"], "--num-envs: expected an integer, got 'two'"),
        ([*PPO, "--batch-size", "1e20"], "--batch-size: expected an integer of 64 bits, got 1"),
        (
            [*PPO, "--batch-size", "1e999999999"],
            "--batch-size: expected an integer of 64 bits, got 1e999999999",
        ),
        ([*PPO, "--batch-size", "1e30"], "--batch-size: expected an integer of 64 bits, got 1e30"),
        ([*PPO, "--critic-batch-size", "1.5"], "--critic-batch-size: expected an integer or none, got '1.5'"),
        ([*PPO, "--clip-range", "off"], "--clip-range: expected a number or none, got 'off'"),
        (
            [*PPO, "--hidden", "32,x"],
            "--hidden: expected other values, got '32,x'; put spaces between several: 32 x",
        ),
        (
            [*PPO, "--hidden", "32,32"],
            "--hidden: expected other values, got '32,32'; put spaces between several: 32 32",
        ),
        ([*PPO, "--hidden", "[8,", "8]"], "--hidden: expected other values, got '[8,', '8]'"),
        (["eval", "x", "--episodes", "1e0.5"], "--episodes: expected an integer, got '1e0.5'"),
        (["bench", "--threads", "1.5"], "--threads: expected an integer, got '1.5'"),
        (["lab", "variance", "-o", "a.png", "--horizon", "2.5"], "--horizon: expected an integer, got '2.5'"),
        (
            ["lab", "importance", "-o", "a.png", "--target", "-0.4,0.3"],
            "--target: expected 2 values after it",
        ),
        ([*PPO, "--gamma"], "--gamma: expected a value after it"),
        (["train", "ppo"], "missing: --env-id ID Gymnasium id of the environment"),
        (["plot"], "missing: -o FILE, --out FILE Picture to write"),
        (["plot", "-o", "a.png"], "DIR: expected at least one run directory, got none"),
        ([*PPO, "--out="], "--out: expected a path or none, got ''"),
        (
            [*PPO, "--normalize-advantage=False"],
            "unknown argument 'False' (write --NAME or --no-NAME, without",
        ),
    ],
)
def test_values_that_do_not_fit(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failure(capsys, *arguments).startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_in_small_letters(tmp_path, none):
    run = tmp_path / "run"
    options = [
        "--clip-range",
        none,
        "--target-kl",
        none,
        "--critic-batch-size",
        none,
        "--max-grad-norm",
        none,
    ]
    quick = ["--total-timesteps", "32", "--n-steps", "32", "--num-envs", "1", "--eval-episodes", "0"]
    assert main([*PPO, *quick, *options, "--out", str(run)]) == 0
    found = config(run)["hyperparameters"]
    names = ("clip_range", "target_kl", "critic_batch_size", "max_grad_norm")
    assert [found[name] for name in names] == [None] * 4


# Hints


@pytest.mark.parametrize(
    "flag",
    ["--render", "--lr", "--device", "--verbose", "--log-dir", "--gpu", "--reset", "--batch"],
)
def test_hints_do_not_mislead(flag, capsys):
    assert failure(capsys, *PPO, flag) == f"unknown argument '{flag}' (see pgcore train ppo --help)"


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--learning-rat", "--learning-rate"),
        ("--n_step", "--n-steps"),
        ("--timesteps", "--total-timesteps"),
        ("--num-env", "--num-envs"),
        ("--resum", "--resume"),
    ],
)
def test_hints_help(flag, meant, capsys):
    assert f"unknown argument '{flag}' (did you mean {meant}?)" in failure(capsys, *PPO, flag)


def test_hints_of_the_library_do_not_mislead():
    with pytest.raises(TypeError, match=r"unknown hyperparameter 'render' \(valid: "):
        pgcore.PPO("CartPole-v1", render=True)
    with pytest.raises(TypeError, match=r"unknown hyperparameter 'n_step' \(did you mean 'n_steps'\?\)"):
        pgcore.PPO("CartPole-v1", n_step=5)


# Paths


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_the_home_directory_on_the_command_line(home):
    pytest.importorskip("matplotlib")
    assert main([*TRAIN, *QUICK, "--out=~/run"]) == 0
    assert main(["train", "reinforce", "--resume", "--out=~/run", "--total-timesteps", "900"]) == 0
    assert main(["eval", "~/run", "--episodes", "2"]) == 0
    assert main(["plot", "~/run", "~/run", "-o", "~/a.svg"]) == 0
    assert main(["lab", "lqr-field", "--out=~/b.svg", "--horizon", "2", "--episodes", "2"]) == 0
    batch = pgcore.Batch(np.zeros((3, 4)), [0, 1, 1], np.ones(3), [False, False, True])
    save_batch("~/demos.npz", batch)
    bc = ["--demonstrations=~/demos.npz", "--total-timesteps", "3", "--eval-episodes", "0", "--out", "~/bc"]
    assert main(["train", "bc", "--env-id", "CartPole-v1", *bc]) == 0
    assert config(home / "bc")["demonstrations"] == str(home / "demos.npz")
    assert {"run", "a.svg", "a.csv", "b.svg", "demos.npz", "bc"} <= {path.name for path in home.iterdir()}
    assert os.listdir(home / "elsewhere") == []


def test_the_home_directory_in_the_library(home):
    model = pgcore.REINFORCE("CartPole-v1", hidden=(4,), n_steps=20)
    callbacks = [pgcore.training.CSVLogger("~/curve.csv"), pgcore.training.CheckpointCallback("~/kept", 1)]
    model.learn(20, callback=callbacks)
    callbacks[0].close()
    assert model.save("~/model") == home / "model.npz"
    assert pgcore.load("~/model").num_timesteps == pgcore.load("~/kept.npz").num_timesteps > 0
    batch = pgcore.Batch(np.zeros((3, 4)), [0, 1, 1], np.ones(3), [False, False, True])
    assert save_batch("~/batch", batch) == home / "batch.npz"
    assert load_batch("~/batch").num_steps == 3
    assert as_path("~/x") == home / "x"
    assert as_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    assert (home / "curve.csv").read_text().count("\n") == 2
    assert os.listdir(home / "elsewhere") == []


def test_a_study_in_the_home_directory(home):
    pytest.importorskip("matplotlib")
    from pgcore.plots.style import new_figure

    def figure():
        made = new_figure("t", "s", 3, 2)
        made.subplots()
        return made

    plots.write(as_path("~/c.svg"), figure, ())
    assert (home / "c.svg").exists()


# Environments beside the run


ENVIRONMENT = """
    import gymnasium as gym
    from gymnasium.envs.classic_control import CartPoleEnv


    class Mine(CartPoleEnv):
        pass


    gym.register("Mine-v0", Mine, max_episode_steps=50)
"""


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_environments_in_the_current_directory(tmp_path, backend):
    (tmp_path / "myenvs.py").write_text(textwrap.dedent(ENVIRONMENT))
    # As the installed command does, which finds its own directory on the path instead of the current one.
    code = "import sys; sys.path.remove(''); from pgcore.cli import main; sys.exit(main())"

    def started(*arguments, python=()):
        script = code.replace("sys.path.remove('')", "0") if python else code
        return subprocess.run(
            [sys.executable, *python, "-c", script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    train = ["train", "reinforce", "--env-id", "myenvs:Mine-v0", *QUICK, "--backend", backend, "--out", "run"]
    done = started(*train)
    assert done.returncode == 0, done.stderr
    assert started("eval", "run", "--episodes", "2").returncode == 0
    resumed = started("train", "reinforce", "--resume", "--out", "run", "--total-timesteps", "900")
    assert resumed.returncode == 0, resumed.stderr
    if backend == "async":
        return
    # Where Python itself was told not to look (-P), nothing is added.
    safe = started(*train[:-1], "other", python=["-P"])
    assert safe.returncode == 2
    assert "myenvs" in safe.stderr


def test_the_path_is_left_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert main(["train", "ppo", "--env-id", "nothing_here:Mine-v0"]) == 2
    assert main(["eval", "nowhere"]) == 2
    assert sys.path == before


def test_a_newcomers_mistakes_are_one_line(tmp_path, capsys, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    directory, _ = run
    cases = {
        ("train", "ppo", "--env-id", "Cartpole-v1"): "CartPole",
        ("eval", "file"): "DIR: expected a run directory, got the file file",
        ("plot", "file", "-o", "a.png"): "DIR: expected a run directory, got the file file",
        ("train", "ppo", "--resume", "--out", "file"): "--out: expected a run directory, got the file file",
        (
            "train",
            "ppo",
            "--resume",
            "--out",
            str(directory),
        ): "--out: expected a run of ppo, got one of reinforce in",
        ("eval", "."): "DIR: expected a run directory, got . without a config.json",
    }
    for arguments, message in cases.items():
        assert message in failure(capsys, *arguments)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_info_fits_a_terminal(columns):
    done = command("info", env={"COLUMNS": str(columns)})
    assert max(map(len, done.stdout.splitlines())) <= min(columns, 80)
