from __future__ import annotations

import builtins
import io
import sys

import numpy as np
import pytest

import pgcore
from pgcore.training import CheckpointCallback
from pgcore.training.callbacks import as_callbacks


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
