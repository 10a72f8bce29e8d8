"""Run directories as `pgcore train` leaves them, with given learning curves."""

from __future__ import annotations

import csv
import json

import numpy as np


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
