"""Learning curves of several runs, and what their labels say."""

from __future__ import annotations

import numpy as np
import pytest

from pgcore.runs import learning_curves, read_column
from support.runs import make_run


def test_runs_that_differ_in_their_seeds_are_one_curve(tmp_path):
    runs = [
        make_run(tmp_path / "a", 0, [1.0, 3.0, 5.0]),
        make_run(tmp_path / "b", 1, [3.0, 5.0, 7.0, 100.0]),
        make_run(tmp_path / "c", 0, [4.0], gamma=0.5),
        make_run(tmp_path / "d", 0, [9.0, 8.0], algorithm="trpo", total_timesteps=7),
    ]
    curves = learning_curves(runs).curves
    assert [(curve.label, curve.num_runs) for curve in curves] == [
        ("ppo", 2),
        ("ppo, gamma=0.5", 1),
        ("trpo", 1),
    ]
    both = curves[0]
    assert (both.steps[0], both.steps[-1]) == (100, 300)  # as far as both go
    np.testing.assert_allclose(both.mean, 2 + (both.steps - 100) / 50)
    np.testing.assert_allclose(both.low, both.mean - 1)
    np.testing.assert_allclose(both.high, both.mean + 1)
    np.testing.assert_array_equal(curves[2].mean, [9.0, 8.0])


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ([{"num_envs": 1}, {"num_envs": 8}], ["ppo, num_envs=1", "ppo, num_envs=8"]),
        (
            [{"hyperparameters": {"gamma": 0.9, "lam": 1}}, {"hyperparameters": {"gamma": 0.8, "lam": 1}}],
            ["ppo, gamma=0.9", "ppo, gamma=0.8"],
        ),
        (
            [{"hidden": [64, 64], "backend": "sync"}, {"hidden": [], "backend": "async"}],
            ["ppo, backend=sync, hidden=64,64", "ppo, backend=async, hidden="],
        ),
        ([{"gamma": 1}, {"gamma": 1, "algorithm": "npg"}], ["ppo", "npg"]),
        ([{}, {"env_id": "A-v0"}, {"env_id": "A-v0", "gamma": 2}], None),
        ([{"gamma": 1, "total_timesteps": 3}, {"gamma": 1, "save_freq": 3}], ["ppo"]),
    ],
)
def test_the_legend_says_in_what_runs_differ(tmp_path, settings, labels):
    runs = [make_run(tmp_path / str(i), i, [1.0, 2.0], **given) for i, given in enumerate(settings)]
    found = [curve.label for curve in learning_curves(runs).curves]
    assert found == (labels or ["ppo on CartPole-v1", "ppo on A-v0", "ppo on A-v0, gamma=2"])


def test_rows_without_a_number_are_left_out(tmp_path):
    _, progress = make_run(tmp_path / "a", 0, ["", "nan", 2.0])
    steps, values = read_column(progress, "rollout/ep_rew_mean")
    assert (steps.tolist(), values.tolist()) == ([300.0], [2.0])
