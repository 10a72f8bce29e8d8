"""Presets of `pgcore.TRPO`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py)."""

from __future__ import annotations

from pgcore.presets import Preset

PRESETS = {
    "CartPole-v1": Preset(
        total_timesteps=19_400,
        num_envs=8,
        hyperparameters={"n_steps": 128},
    ),
}
