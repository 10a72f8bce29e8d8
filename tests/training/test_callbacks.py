from __future__ import annotations

import builtins
import io
import re
import sys

import numpy as np
import pytest

import pgcore
from pgcore import callbacks
from pgcore.callbacks import as_callbacks, says_stop
from pgcore.training import CheckpointCallback


def model():
    return pgcore.REINFORCE("CartPole-v1", n_steps=20, hidden=(4,), seed=1)


def test_called_after_every_iteration_with_the_model():
    seen = []
    made = model().learn(200, callback=lambda m: seen.append((m, m.num_timesteps, dict(m.logs))))
    assert all(m is made for m, _, _ in seen)
    assert [steps for _, steps, _ in seen] == [logs["time/total_timesteps"] for _, _, logs in seen]
    assert [logs["time/iterations"] for _, _, logs in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1] == made.num_timesteps >= 200
    assert seen[-2][1] < 200


def test_false_stops_and_nothing_else_does():
    made = model().learn(10_000, callback=lambda m: m.num_iterations < 3)
    assert made.num_iterations == 3
    for other in (None, True, 0, ""):
        made = model().learn(150, callback=lambda m, other=other: other)
        assert made.num_timesteps >= 150


class Tensor:
    """One boolean of a library that has its own name for the dtype."""

    dtype = "torch.bool"

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        return self.value


@pytest.mark.parametrize(
    "false",
    [np.bool_(False), np.float32(3) < 2, np.array(False), np.array([False]), Tensor(False)],
    ids=["numpy", "comparison", "array", "array of one", "tensor"],
)
def test_other_libraries_booleans_stop_too(false):
    made = model().learn(10_000, callback=lambda m: false if m.num_iterations == 2 else not false)
    assert made.num_iterations == 2


def test_what_is_no_boolean_continues_and_several_are_refused():
    for other in (np.float64(0.0), np.array(0), np.zeros(3), np.array([]), [], b"", 0.0):
        assert not says_stop(other)
    for several in (np.array([False, True]), np.array([False, False])):
        with pytest.raises(TypeError, match=r"^callback: expected None or one boolean to be returned, got"):
            says_stop(several)


def test_the_documented_rule_waits_for_the_first_episode():
    """Not-a-number as long as none has ended; every comparison with it is false."""
    namespace = {}
    documented = "".join(re.findall(r"^(?:>>>|\.\.\.) (.*\n)", callbacks.__doc__, re.MULTILINE))
    exec(documented, namespace)
    rule = namespace["stop_when_solved"]

    class Log:
        def __init__(self, reward):
            self.logs = {"rollout/ep_rew_mean": reward}

    assert [rule(Log(reward)) for reward in (float("nan"), 474.9, 475.0, 500.0)] == [True, True, False, False]
    made = pgcore.PPO("CartPole-v1", n_steps=4, hidden=(4,)).learn(40, callback=rule)
    assert made.num_iterations == 10


def test_all_of_several_are_called_even_when_one_stops():
    calls = []
    model().learn(10_000, callback=[lambda m: False, calls.append])
    assert len(calls) == 1


def test_what_cannot_be_called_is_refused():
    assert as_callbacks(None) == []
    for bad in (3, [print, 3]):
        with pytest.raises(
            TypeError, match=r"^callback: expected a callable that takes the model, or a list"
        ):
            as_callbacks(bad)
    with pytest.raises(TypeError, match="callback"):
        model().learn(100, callback="checkpoint")


def test_checkpoints_are_written_every_so_many_steps(tmp_path):
    path = tmp_path / "model.npz"
    saved = []

    def note(m):
        steps = pgcore.load(path).num_timesteps if path.exists() else 0
        if not saved or saved[-1] != steps:
            saved.append(steps)

    model().learn(600, callback=[CheckpointCallback(path, save_freq=150), note])
    assert saved[0] == 0
    assert len(saved) >= 4
    assert min(np.diff(saved)) >= 150
    with pytest.raises(ValueError, match=r"^save_freq: expected an integer >= 1, got 0"):
        CheckpointCallback(path, 0)


class Steps:
    """A model that only counts, and notes when it is saved."""

    def __init__(self):
        self.num_timesteps = self.num_iterations = 0
        self.saved = []

    def save(self, path):
        self.saved.append(self.num_timesteps)

    def iterate(self, steps, callback):
        self.num_timesteps += steps
        self.num_iterations += 1
        callback(self)


def test_a_checkpoint_is_written_when_its_step_is_reached_exactly():
    model, callback = Steps(), CheckpointCallback("model.npz", np.int64(100))
    for _ in range(12):
        model.iterate(25, callback)
    assert model.saved == [100, 200, 300]
    with pytest.raises(TypeError, match=r"^save_freq: expected an integer, got float$"):
        CheckpointCallback("model.npz", 2.5)


def test_a_second_training_counts_its_checkpoints_anew():
    callback, first = CheckpointCallback("model.npz", 100), Steps()
    for _ in range(5):
        first.iterate(60, callback)
    assert first.saved == [120, 240]
    first.num_timesteps = first.num_iterations = 0  # `learn` with reset_num_timesteps
    for _ in range(2):
        first.iterate(60, callback)
    assert first.saved == [120, 240, 120]
    second = Steps()  # its first iteration goes beyond where the other was saved
    second.iterate(130, callback)
    assert second.saved == [130]
    second.iterate(60, callback)  # resumed, not begun anew
    second.iterate(60, callback)
    assert second.saved == [130, 250]


def test_a_checkpoint_callback_serves_a_second_learn(tmp_path):
    path = tmp_path / "model.npz"
    callback = CheckpointCallback(path, 100)
    made = model().learn(600, callback=callback)
    path.unlink()
    made.learn(200, callback=callback)
    assert pgcore.load(path).num_timesteps >= 100


def test_the_callers_list_stays_as_it_is():
    given = [lambda m: None]
    for _ in range(2):
        model().learn(40, callback=given, progress_bar=True)
    assert len(given) == 1


def test_progress_bar_writes_to_standard_error_only(capsys):
    model().learn(100, progress_bar=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steps" in captured.err
    assert "reward" in captured.err


class ZMQInteractiveShell:
    """What rich takes for a notebook."""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("where", ["notebook", "dumb terminal", "file"])
def test_a_progress_bar_that_cannot_be_drawn_is_text(where, monkeypatch):
    stream = Terminal() if where == "dumb terminal" else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "dumb" if where == "dumb terminal" else "xterm")
    if where == "notebook":
        monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
        monkeypatch.setitem(sys.modules, "ipywidgets", None)
    seen = []
    model().learn(2000, callback=lambda _: seen.append(stream.getvalue()), progress_bar=True)
    text = stream.getvalue()
    assert "/2,000 steps  reward " in seen[2]  # while it learns, not at the end alone
    assert 2 < text.count("\n") <= 22
    assert "\x1b" not in text
    steps = [int(line.partition("/")[0].replace(",", "")) for line in text.splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] >= 2000


def test_a_progress_bar_without_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    model().learn(100, progress_bar=True)
    assert capsys.readouterr().out == ""
