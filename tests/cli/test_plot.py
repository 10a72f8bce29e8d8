"""``pgcore plot``: curves of runs, grouped by all but their seeds."""

from __future__ import annotations

import csv

import pytest

from pgcore.cli import main
from support.runs import make_run


@pytest.mark.parametrize("begun", ["empty", "no rows", "no file", "no numbers", "no column", "just begun"])
def test_a_run_that_has_just_begun_does_not_hold_up_the_others(tmp_path, capsys, begun):
    pytest.importorskip("matplotlib")
    make_run(tmp_path / "a", 0, [1.0, 3.0, 5.0])
    make_run(tmp_path / "b", 1, [3.0, 5.0, 7.0])
    _, progress = make_run(tmp_path / "c", 2, [100.0])
    if begun == "empty":
        progress.write_text("")
    elif begun == "no rows":
        progress.write_text(
            "time/total_timesteps,rollout/ep_rew_mean\n100,10"
        )  # a line that is being written
    elif begun == "no file":
        progress.unlink()
    elif begun == "no numbers":
        progress.write_text("time/total_timesteps,rollout/ep_rew_mean\n100,\n")
    elif begun == "no column":
        progress.write_text("time/total_timesteps,other\n100,1\n")
    picture = tmp_path / "x.svg"
    runs = [str(tmp_path / name) for name in "cab"]
    assert main(["plot", *runs, "-o", str(picture)]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("pgcore: left out: ")
    assert str(progress) in captured.err
    assert captured.err.count("\n") == 1
    table = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert {(row["group"], row["num_runs"]) for row in table} == {("ppo", "2")}
    assert (float(table[-1]["steps"]), float(table[-1]["mean"])) == (300.0, 6.0)
    if begun != "just begun":  # alone it is a curve of its own
        assert main(["plot", runs[0], "-o", str(picture)]) == 2
        message = capsys.readouterr().err
        assert str(progress) in message
        assert message.count("\n") == 1


def test_what_is_no_run_and_what_comes_twice(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    make_run(tmp_path / "a", 0, [1.0, 3.0])
    (tmp_path / "empty").mkdir()
    (tmp_path / "curves.png").write_text("")
    names = ["a", "empty", "curves.png", "a/", "./a"]
    out = tmp_path / "x.svg"
    assert main(["plot", *(f"{tmp_path}/{name}" for name in names), "-o", str(out)]) == 0
    err = capsys.readouterr().err
    assert err.count("left out: DIR: expected a run directory, got ") == 2
    table = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert {row["num_runs"] for row in table} == {"1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"time/total_timesteps,rollout/ep_rew_mean\n1,good\n",
            "{}: expected numbers under 'rollout/ep_rew_mean', got",
        ),
        (
            b"time/total_timesteps,rollout/ep_rew_mean\nx,1\n",
            "{}: expected numbers under 'time/total_timesteps', got",
        ),
        (b"\xff\xfe\n", "path: expected a CSV file, got {}"),
        (
            b"rollout/ep_rew_mean\n1\n",
            "column: expected one of rollout/ep_rew_mean, got 'time/total_timesteps'",
        ),
    ],
)
def test_errors_name_the_file(tmp_path, capsys, content, message):
    pytest.importorskip("matplotlib")
    _, progress = make_run(tmp_path / "a", 0, [1.0])
    progress.write_bytes(content)
    assert main(["plot", str(tmp_path / "a"), "-o", str(tmp_path / "x.svg")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("pgcore: " + message.format(progress))
    assert str(progress) in err
    assert err.count("\n") == 1


def test_a_picture_without_room_names_it(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    from pgcore.io import files

    make_run(tmp_path / "a", 0, [1.0, 2.0])
    out = tmp_path / "x.svg"
    arguments = ["plot", str(tmp_path / "a"), "-o", str(out)]
    assert main(arguments) == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("x.*")}
    assert len(before) == 2

    def full(_):
        raise OSError(28, "No space left on device")

    make_run(tmp_path / "b", 1, [5.0, 6.0])
    monkeypatch.setattr(files.os, "fsync", full)
    capsys.readouterr()
    assert main(["plot", str(tmp_path / "b"), *arguments[1:]]) == 2
    assert "No space left on device" in (err := capsys.readouterr().err)
    assert str(tmp_path / "x.") in err
    assert {path: path.read_bytes() for path in tmp_path.glob("x.*")} == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_and_its_numbers(tmp_path, capsys, suffix):
    pytest.importorskip("matplotlib")
    make_run(tmp_path / "a", 0, [1.0, 2.0])
    make_run(tmp_path / "b", 1, [2.0, 4.0])
    picture = tmp_path / f"curves.{suffix}"
    assert main(["plot", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(picture)]) == 0
    assert picture.stat().st_size > 1000
    rows = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert {row["group"] for row in rows} == {"ppo"}
    assert float(rows[-1]["mean"]) == 3.0
    assert capsys.readouterr().out.count("wrote") == 2


def test_bad_arguments(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    make_run(tmp_path / "a", 0, [1.0])
    make_run(tmp_path / "empty", 0, [""])
    cases = [
        ([str(tmp_path / "nothing"), "-o", str(tmp_path / "x.png")], "without a config.json"),
        ([str(tmp_path / "a"), "-o", str(tmp_path / "x.gif")], ".png, .pdf or .svg"),
        ([str(tmp_path / "a"), "-o", str(tmp_path / "x.png"), "--column", "nope"], "column: expected one of"),
        ([str(tmp_path / "empty"), "-o", str(tmp_path / "x.png")], "expected numbers under"),
        (["-o", str(tmp_path / "x.png")], "DIR"),
    ]
    for arguments, message in cases:
        assert main(["plot", *arguments]) == 2
        err = capsys.readouterr().err
        assert message in err, err
        assert err.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))
