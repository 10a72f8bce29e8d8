"""Presets of `pgcore.OffPolicyPG`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py)."""

from __future__ import annotations

from pgcore.presets import Preset

PRESETS = {
    "CartPole-v1": Preset(
        total_timesteps=45_000,
        num_envs=8,
        backend="native",
        hidden=(32, 32),
        hyperparameters={"n_steps": 64, "gamma": 0.98},
    ),
    "InvertedPendulum-v5": Preset(
        total_timesteps=60_000,
        num_envs=8,
        hyperparameters={"n_steps": 128, "gamma": 0.98},
    ),
}
