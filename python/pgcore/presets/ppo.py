"""Presets of `pgcore.PPO`, tuned on seeds from 100, measured on others (docs/results.md)."""

from __future__ import annotations

from pgcore.presets import Preset

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
        hyperparameters={
            "n_steps": 128,
            "gae_lambda": 0.9,
            "normalize_observations": True,
            "learning_rate": 0.001,
        },
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
            "n_steps": 512,
            "gamma": 0.95,
            "gae_lambda": 0.8,
            "normalize_observations": True,
            "learning_rate": 0.001,
            "learning_rate_schedule": "linear",
            "batch_size": 128,
            "n_critic_updates": 20,
            "clip_range": 0.3,
        },
    ),
    "HalfCheetah-v5": Preset(
        total_timesteps=300_000,
        num_envs=2,
        hyperparameters={
            "n_steps": 512,
            "gamma": 0.98,
            "gae_lambda": 0.92,
            "normalize_observations": True,
            "init_log_std": -1.0,
            "n_epochs": 20,
            "clip_range": 0.1,
            "max_grad_norm": 0.8,
            "ent_coef": 0.0004,
        },
    ),
    "Hopper-v5": Preset(
        total_timesteps=300_000,
        num_envs=2,
        hyperparameters={"n_steps": 1024, "gae_lambda": 0.9, "normalize_observations": True},
    ),
    "Swimmer-v5": Preset(
        total_timesteps=300_000,
        num_envs=4,
        hyperparameters={
            "n_steps": 1024,
            "gamma": 0.9999,
            "gae_lambda": 0.98,
            "normalize_observations": True,
            "init_log_std": 0.5,
            "n_critic_updates": 20,
            "batch_size": 256,
        },
    ),
}
