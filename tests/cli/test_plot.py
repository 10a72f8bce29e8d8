"""``pgcore plot``: curves of runs, grouped by all but their seeds."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from pgcore.cli import main
from pgcore.plots.learning import learning_curves, read_column


def make_run(path, seed, values, *, algorithm="ppo", steps=None, **settings):
    path.mkdir()
    config = {"algorithm": algorithm, "env_id": "CartPole-v1", "backend": "sync", "seed": seed, **settings}
    (path / "config.json").write_text(json.dumps(config))
    steps = 100 * (1 + np.arange(len(values))) if steps is None else steps
    with (path / "progress.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time/total_timesteps", "rollout/ep_rew_mean"])
        writer.writerows(zip(steps, values, strict=True))
    return config, path / "progress.csv"


def test_runs_that_differ_in_their_seeds_are_one_curve(tmp_path):
    runs = [
        make_run(tmp_path / "a", 0, [1.0, 3.0, 5.0]),
        make_run(tmp_path / "b", 1, [3.0, 5.0, 7.0, 100.0]),
        make_run(tmp_path / "c", 0, [4.0], gamma=0.5),
        make_run(tmp_path / "d", 0, [9.0, 8.0], algorithm="trpo", total_timesteps=7),
    ]
    curves = learning_curves(runs).curves
    assert [(curve.label, curve.num_runs) for curve in curves] == [("ppo", 2), ("ppo (2)", 1), ("trpo", 1)]
    both = curves[0]
    assert (both.steps[0], both.steps[-1]) == (100, 300)  # as far as both go
    np.testing.assert_allclose(both.mean, 2 + (both.steps - 100) / 50)
    np.testing.assert_allclose(both.low, both.mean - 1)
    np.testing.assert_allclose(both.high, both.mean + 1)
    np.testing.assert_array_equal(curves[2].mean, [9.0, 8.0])


def test_rows_without_a_number_are_left_out(tmp_path):
    _, progress = make_run(tmp_path / "a", 0, ["", "nan", 2.0])
    steps, values = read_column(progress, "rollout/ep_rew_mean")
    assert (steps.tolist(), values.tolist()) == ([300.0], [2.0])


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
