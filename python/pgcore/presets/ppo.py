"""Presets of `pgcore.PPO`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py)."""

from __future__ import annotations

from pgcore.presets import Preset

_MUJOCO = {
    "normalize_observations": True,
    "learning_rate_schedule": "linear",
}

PRESETS = {
    "CartPole-v1": Preset(
        total_timesteps=19400,
        num_envs=16,
        backend="native",
        hyperparameters={
            "n_steps": 32,
            "learning_rate": 0.001,
            "learning_rate_schedule": "linear",
        },
    ),
    "Acrobot-v1": Preset(
        total_timesteps=98000,
        num_envs=8,
        hyperparameters={"n_steps": 128, "normalize_observations": True, "learning_rate": 0.001},
    ),
    "InvertedPendulum-v5": Preset(
        total_timesteps=49000,
        num_envs=8,
        hyperparameters={"n_steps": 128, "learning_rate": 0.001},
    ),
    "Pendulum-v1": Preset(
        total_timesteps=98000,
        num_envs=4,
        hyperparameters={
            "n_steps": 256,
            "gamma": 0.9,
            "gae_lambda": 0.9,
            "normalize_observations": True,
            "learning_rate": 0.001,
            "critic_learning_rate": 0.003,
            "learning_rate_schedule": "linear",
        },
    ),
    "HalfCheetah-v5": Preset(total_timesteps=300_000, hyperparameters=_MUJOCO),
    "Hopper-v5": Preset(total_timesteps=300_000, hyperparameters=_MUJOCO),
    "Swimmer-v5": Preset(total_timesteps=300_000, hyperparameters={**_MUJOCO, "gamma": 0.9999}),
}
