"""Presets of `pgcore.REINFORCE`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py)."""

from __future__ import annotations

from pgcore.presets import Preset

PRESETS = {
    "CartPole-v1": Preset(
        total_timesteps=94_900,
        num_envs=8,
        backend="native",
        hidden=(32, 32),
        hyperparameters={"n_steps": 128, "gamma": 1.0, "learning_rate": 5e-3},
    ),
    "InvertedPendulum-v5": Preset(
        total_timesteps=139_000,
        num_envs=8,
        hyperparameters={"n_steps": 256},
    ),
    "Pendulum-v1": Preset(
        total_timesteps=500_000,
        num_envs=8,
        hyperparameters={
            "n_steps": 32,
            "whole_episodes": False,
            "gamma": 0.95,
            "baseline": "value_network",
            "normalize_observations": True,
            "learning_rate": 4e-3,
            "learning_rate_schedule": "linear",
        },
    ),
}
