"""Presets of `pgcore.TRPO`, tuned on seeds from 100, measured on others (docs/results.md)."""

from __future__ import annotations

from pgcore.presets import Preset

_MUJOCO = {
    "n_steps": 1024,
    "normalize_observations": True,
    "n_critic_updates": 20,
}

PRESETS = {
    "CartPole-v1": Preset(
        total_timesteps=18900,
        num_envs=8,
        backend="native",
        hyperparameters={"n_steps": 128, "batch_size": 64},
    ),
    "Acrobot-v1": Preset(
        total_timesteps=98000,
        num_envs=8,
        hyperparameters={"n_steps": 128, "normalize_observations": True, "batch_size": 64},
    ),
    "InvertedPendulum-v5": Preset(
        total_timesteps=49000,
        num_envs=8,
        hyperparameters={"n_steps": 128, "batch_size": 64},
    ),
    "Pendulum-v1": Preset(
        total_timesteps=98000,
        num_envs=4,
        hyperparameters={
            "batch_size": 64,
            "n_steps": 512,
            "gamma": 0.95,
            "gae_lambda": 0.8,
            "normalize_observations": True,
        },
    ),
    "HalfCheetah-v5": Preset(
        total_timesteps=300_000,
        num_envs=2,
        hyperparameters={**_MUJOCO, "target_kl": 0.04, "init_log_std": -1.0},
    ),
    "Hopper-v5": Preset(
        total_timesteps=300_000,
        num_envs=8,
        hyperparameters={
            "n_steps": 256,
            "normalize_observations": True,
            "gamma": 0.995,
            "target_kl": 0.05,
            "step_schedule": "cooldown",
            "cg_damping": 0.5,
            "cg_max_steps": 25,
        },
    ),
    "Swimmer-v5": Preset(
        total_timesteps=300_000, num_envs=2, hyperparameters={**_MUJOCO, "gamma": 0.9999, "gae_lambda": 0.98}
    ),
}
