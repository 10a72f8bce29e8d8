from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import pgcore
from pgcore import algorithms, presets
from pgcore.cli import main
from support.commands import QUICK, TRAIN, command, failure, rows

# Training


def test_a_run_directory_holds_everything(run):
    directory, _ = run
    assert sorted(entry.name for entry in directory.iterdir()) == [
        "config.json",
        "evaluation.json",
        "model.npz",
        "progress.csv",
    ]
    config = json.loads((directory / "config.json").read_text())
    assert (config["algorithm"], config["env_id"], config["seed"]) == ("reinforce", "CartPole-v1", 7)
    assert config["hyperparameters"]["n_steps"] == 20
    lines = rows(directory)
    assert {"time/total_timesteps", "time/fps", "rollout/ep_rew_mean", "rollout/ep_len_mean"} <= set(lines[0])
    assert int(lines[-1]["time/total_timesteps"]) >= 600 > int(lines[-2]["time/total_timesteps"])
    assert int(lines[-1]["train/n_updates"]) == len(lines)
    model = pgcore.load(directory)
    assert model.num_timesteps == int(lines[-1]["time/total_timesteps"])
    assert model.seed == 7


def test_the_output_without_a_terminal_is_plain(run):
    directory, out = run
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0] == f"reinforce on CartPole-v1, seed 7, in {directory}"
    assert lines[1].startswith("preset: total_timesteps=")
    progress = [line for line in lines if line.startswith("steps ")]
    assert len(progress) == len(rows(directory))
    assert progress[-1].endswith("steps/s")
    assert lines[-1].startswith("mean reward ")
    assert max(map(len, lines[1:])) <= 80


def test_the_command_trains_what_the_class_trains(run):
    directory, _ = run
    model = pgcore.REINFORCE.from_preset("CartPole-v1", seed=7, n_steps=20, num_envs=2).learn(600)
    np.testing.assert_array_equal(pgcore.load(directory).policy.params, model.policy.params)


def test_presets_are_the_defaults_that_help_shows():
    preset = presets.find("reinforce", "CartPole-v1")
    helped = command(*TRAIN, "--help", env={"COLUMNS": "80"})
    assert helped.returncode == 0
    assert helped.stderr == ""
    text = " ".join(helped.stdout.replace("│", " ").split())
    assert f"--num-envs INT Number of copies of the environment. (default: {preset.num_envs})" in text
    assert f"Step size. (default: {preset.hyperparameters['learning_rate']})" in text
    assert max(map(len, helped.stdout.splitlines())) <= 80
    without = command("train", "reinforce", "--help", env={"COLUMNS": "80"})
    assert "Gymnasium id of the environment" in without.stdout
    assert f"(default: {pgcore.REINFORCE('CartPole-v1').config.learning_rate})" in without.stdout


def test_overridden_presets_are_named(run):
    out = " ".join(run[1].split())
    assert "(overridden: total_timesteps, num_envs, n_steps)" in out


def test_an_environment_without_a_preset(tmp_path, capsys):
    arguments = [
        "--env-id",
        "Acrobot-v1",
        "--total-timesteps",
        "10",
        "--out",
        str(tmp_path),
        "--eval-episodes",
        "0",
    ]
    assert main(["train", "reinforce", *arguments, "--n-steps", "10", "--hidden", "4"]) == 0
    assert "no preset for Acrobot-v1: defaults" in capsys.readouterr().out
    assert not (tmp_path / "evaluation.json").exists()
    assert pgcore.load(tmp_path).hidden == (4,)


def test_the_default_directory_names_the_run(tmp_path):
    done = command(*TRAIN, *QUICK, "--hidden", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.startswith("reinforce-CartPole-v1-0-")
    assert pgcore.load(directory).policy.num_params == 10  # --hidden without a number is a linear policy


def test_a_table_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")  # not on Windows
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "LINES": "30", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "pgcore", *TRAIN, *QUICK, "--out", str(tmp_path / "run")],
        stdout=follower,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # what Linux says when the other end is closed
                break
            if not chunk:
                break
            shown += chunk
        assert process.wait(timeout=60) == 0, process.stderr.read()
    os.close(leader)
    text = shown.decode()
    assert "ep_rew_mean" in text
    assert "━" in text
    assert "\x1b[?25h" in text
    assert "steps/s" not in text


# Errors


def test_earlier_runs_are_never_overwritten(run, tmp_path, capsys):
    directory, _ = run
    kept = {entry.name: entry.read_bytes() for entry in directory.iterdir()}
    message = failure(capsys, *TRAIN, *QUICK, "--out", str(directory))
    assert message.startswith(f"--out: expected a new or empty directory, got {directory}")
    assert {entry.name: entry.read_bytes() for entry in directory.iterdir()} == kept
    (tmp_path / "file").write_text("")
    assert "--out: expected a directory, got the file" in failure(
        capsys, *TRAIN, "--out", str(tmp_path / "file")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "COMMAND: expected one of train, eval, plot, lab, bench, info, got 'fly'"),
        (["train", "sarsa"], f"ALGO: expected one of {', '.join(algorithms.COMMANDS)}, got 'sarsa'"),
        (["train", "reinforce"], "--env-id"),
        (
            [*TRAIN, "--learning-rat", "3"],
            "unknown argument '--learning-rat' (did you mean --learning-rate?)",
        ),
        ([*TRAIN, "extra"], "unknown argument 'extra'"),
        ([*TRAIN, "--n-steps", "many"], "--n-steps"),
        ([*TRAIN, "--n-steps", "0"], "--n-steps: expected an integer >= 1, got 0"),
        ([*TRAIN, "--gamma", "1.5"], "--gamma: expected a number in [0, 1], got 1.5"),
        ([*TRAIN, "--form", "sideways"], "'trajectory', 'reward_to_go'"),
        ([*TRAIN, "--num-envs", "0"], "--num-envs: expected an integer >= 1, got 0"),
        ([*TRAIN, "--total-timesteps", "0"], "--total-timesteps: expected an integer >= 1, got 0"),
        ([*TRAIN, "--no-whole-episodes"], "baseline: expected one that can value what follows a truncated"),
        ([*TRAIN, "--hidden", "0"], "hidden: expected"),
        (["train", "reinforce", "--env-id", "Nothing-v0"], "Nothing"),
        (["train", "reinforce", "--env-id", "nothing:Nothing-v0"], "'nothing'"),
        (["train", "reinforce", "--env-id", "Blackjack-v1", "--backend", "native"], "Blackjack-v1"),
        (["eval", "nowhere"], "DIR: expected a run directory, got nowhere without a config.json"),
        (["eval"], "DIR"),
        (["eval", "nowhere", "--episodes", "0"], "--episodes: expected an integer >= 1, got 0"),
        (["info", "--yaml"], "unknown argument '--yaml'"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in failure(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_from_outside_it_is_status_2_and_one_line(tmp_path):
    for arguments in (
        ["train", "reinforce", "--env-id", "Nothing-v0"],
        [*TRAIN, "--n-steps", "x"],
        ["eval", "no"],
    ):
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


def test_broken_run_directories(run, tmp_path, capsys):
    directory, _ = run
    (tmp_path / "config.json").write_text("{")
    assert failure(capsys, "eval", str(tmp_path)).startswith("DIR: expected a readable config.json, got")
    (tmp_path / "config.json").write_text("{}")
    assert failure(capsys, "eval", str(tmp_path)).startswith("DIR: expected the config.json of a run, got")
    (tmp_path / "config.json").write_text((directory / "config.json").read_text())
    assert failure(capsys, "eval", str(tmp_path)).startswith("DIR: expected a run with a checkpoint, got")
    (tmp_path / "model.npz").write_bytes((directory / "model.npz").read_bytes()[:-50])
    assert failure(capsys, "eval", str(tmp_path)).startswith("path: expected a pgcore checkpoint, got")


def test_training_that_breaks_down_keeps_the_last_good_model(tmp_path, capsys, monkeypatch):
    from pgcore.algorithms import REINFORCE

    update = REINFORCE.update

    def break_down(self, batch):
        if self.num_iterations == 3:
            raise FloatingPointError("gradient: expected finite numbers, got norm nan")
        return update(self, batch)

    monkeypatch.setattr(REINFORCE, "update", break_down)
    assert main([*TRAIN, *QUICK, "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pgcore: training failed after ")
    assert err.count("\n") == 1
    assert pgcore.load(tmp_path / "run").num_iterations == 3


# Evaluating


def test_eval_prints_one_json_object(run):
    directory, _ = run
    done = command("eval", str(directory), "--json", "--episodes", "5", "--seed", "1")
    assert done.returncode == 0
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["episodes"] == 5
    assert result["env_id"] == "CartPole-v1"
    assert 8 <= result["mean_reward"] <= 500
    assert result["std_reward"] >= 0
    again = command("eval", str(directory), "--json", "--episodes", "5", "--seed", "1")
    assert again.stdout == done.stdout


def test_eval_repeats_the_evaluation_of_training(run, capsys):
    directory, out = run
    assert main(["eval", str(directory), "--episodes", "3", "--seed", "7"]) == 0
    line = capsys.readouterr().out
    assert line == out.splitlines()[-1] + "\n"
    main(["eval", str(directory), "--episodes", "3", "--seed", "7", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((directory / "evaluation.json").read_text())
    main(["eval", str(directory), "--episodes", "3", "--seed", "7", "--json", "--stochastic"])
    assert json.loads(capsys.readouterr().out)["deterministic"] is False


# The rest


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["version"] == pgcore.__version__
    assert info["variant"] == pgcore.build_info()["variant"]
    assert info["algorithms"] == list(algorithms.COMMANDS)
    assert "CartPole-v1" in info["presets"]["reinforce"]
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(info)
    assert max(map(len, lines)) <= 80
    assert f"reinforce: {', '.join(info['presets']['reinforce'])[:20]}" in " ".join(" ".join(lines).split())


def test_info_says_when_there_is_no_core(tmp_path):
    done = command("info", env={"PGCORE_ISA": "v9"})
    assert done.returncode == 2
    assert done.stderr.startswith("pgcore: PGCORE_ISA: expected")
    assert done.stderr.count("\n") == 1


def test_help_and_version(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        assert "train ALGO" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pgcore {pgcore.__version__}\n"
    assert main(["train", "--help"]) == 0
    assert "reinforce" in capsys.readouterr().out
    for arguments in (["eval", "--help"], ["info", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert f"usage: pgcore {arguments[0]}" in capsys.readouterr().out


def test_help_and_version_load_nothing_slow():
    code = (
        "import sys; from pgcore.cli import main; main([sys.argv[1]]); "
        "print(sorted({'numpy', 'gymnasium', 'tyro', 'rich'} & set(sys.modules)))"
    )
    for flag in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
