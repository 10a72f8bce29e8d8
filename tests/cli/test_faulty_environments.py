"""What the command says of environments that fail: one line for what can be told in one, else a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import gymnasium as gym
import pytest

from pgcore.cli import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Train(Protocol):
    def __call__(self, env_id: str, *more: str) -> Done: ...


MODULE = textwrap.dedent(
    """
    import os
    import signal
    import sys

    import gymnasium as gym
    import numpy as np


    class Faulty(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (3,))
        action_space = gym.spaces.Discrete(2)

        def __init__(self, where="", how=""):
            self.where, self.how, self.num_steps = where, how, 0
            self.fail("init")

        def fail(self, where):
            if where == self.where:
                if self.how == "value":
                    raise ValueError("size mismatch")
                if self.how == "pipe":
                    raise BrokenPipeError(32, "Broken pipe")
                if self.how == "type":
                    return len(3)
                if self.how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
            return np.zeros(2 if (where, "shape") == (self.where, self.how) else 3, np.float32)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.t = 0
            return self.fail("reset"), {}

        def step(self, action):
            self.t += 1
            self.num_steps += 1
            nan = (self.where, self.how) == ("step", "nan") and self.num_steps == 35
            obs = self.fail("step" if self.num_steps == 30 else "")
            return obs * np.float32(np.nan if nan else 1), 1.0, self.t == 10, False, {}


    for where in ("init", "reset", "step"):
        for how in ("value", "pipe", "type", "shape", "kill", "nan"):
            gym.register(f"{where}-{how}-v0", Faulty, kwargs={"where": where, "how": how})
    if os.environ.get("FAULTY_MODULE"):
        raise ValueError("size mismatch")
    """
)


def arguments_for(tmp_path: Path, env_id: str, *more: str) -> list[str]:
    quick = ["--total-timesteps", "100", "--n-steps", "20", "--eval-episodes", "0"]
    return [
        "train",
        "reinforce",
        "--env-id",
        f"faulty:{env_id}",
        *quick,
        "--out",
        str(tmp_path / "run"),
        *more,
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the module with the faulty environments is; what importing it leaves goes away again."""
    before = set(gym.registry)
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty.py").write_text(MODULE)
    yield folder
    sys.modules.pop("faulty", None)
    for env_id in set(gym.registry) - before:
        del gym.registry[env_id]


@pytest.fixture
def train(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Train:
    """The command in this process, with the status and the traceback that a process of its own would have."""
    monkeypatch.syspath_prepend(folder)

    def run(env_id: str, *more: str) -> Done:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                status = main(arguments_for(tmp_path, env_id, *more))
            except Exception:
                traceback.print_exc()
                status = 1
        return Done(status, *capfd.readouterr())

    return run


def train_outside(folder: Path, tmp_path: Path, env_id: str, *more: str, **variables: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "pgcore", *arguments_for(tmp_path, env_id, *more)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore", **variables},
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize(
    ("where", "how", "last"),
    [
        ("init", "value", "ValueError: size mismatch"),
        ("init", "type", "TypeError: "),
        ("reset", "value", "ValueError: size mismatch"),
        ("reset", "pipe", "BrokenPipeError: [Errno 32] Broken pipe"),
        ("step", "pipe", "BrokenPipeError: [Errno 32] Broken pipe"),
        ("step", "type", "TypeError: object of type 'int' has no len()"),
    ],
)
def test_an_exception_of_the_environment_shows_where(
    backend: str, where: str, how: str, last: str, train: Train
) -> None:
    done = train(f"{where}-{how}-v0", "--backend", backend)
    assert done.returncode == 1, done.stderr
    assert "Traceback (most recent call last)" in done.stderr
    assert "in fail" in done.stderr
    assert last in done.stderr


def test_an_exception_of_the_final_evaluation_shows_where(folder: Path, tmp_path: Path) -> None:
    """Training makes too few steps for the fault."""
    done = train_outside(
        folder, tmp_path, "step-value-v0", "--total-timesteps", "20", "--eval-episodes", "40"
    )
    assert "steps 20/20" in done.stdout
    assert done.returncode == 1
    assert "in fail" in done.stderr
    assert "ValueError: size mismatch" in done.stderr


def test_an_exception_of_the_module_shows_where(folder: Path, tmp_path: Path) -> None:
    done = train_outside(folder, tmp_path, "step-value-v0", FAULTY_MODULE="1")
    assert done.returncode == 1
    assert 'raise ValueError("size mismatch")' in done.stderr


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize(
    ("where", "how", "status", "message"),
    [
        ("reset", "shape", 2, "environment 0, reset(), obs: expected float32 of shape (3,), got float32 of"),
        (
            "step",
            "shape",
            1,
            "training failed after 20 steps: environment 0, step(), obs: expected float32",
        ),
        (
            "step",
            "nan",
            1,
            "training failed after 20 steps: obs[0]: expected a finite number, got nan in env",
        ),
    ],
)
def test_what_can_be_told_in_one_line(
    backend: str, where: str, how: str, status: int, message: str, train: Train
) -> None:
    done = train(f"{where}-{how}-v0", "--backend", backend)
    assert done.stderr.startswith(f"pgcore: {message}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == status


@pytest.mark.parametrize(
    ("where", "status", "message"),
    [
        (
            "reset",
            2,
            "environment 0, reset(): expected a running worker process, got one that ended by signal 9",
        ),
        ("step", 1, "training failed after 20 steps: environment 0, step(): expected a running worker"),
    ],
)
def test_a_worker_that_is_killed(where: str, status: int, message: str, train: Train) -> None:
    done = train(f"{where}-kill-v0", "--backend", "async")
    assert done.stderr.startswith(f"pgcore: {message}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == status
