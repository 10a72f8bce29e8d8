"""Training with Stable-Baselines3's PPO and sb3-contrib's TRPO, for learning.py. Imported, not run.

Settings are those that RL Baselines3 Zoo publishes for the environment's previous version (v4), which differs
from v5 in details of reward and observation.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

__all__ = ["SETTINGS", "train_and_evaluate"]

_WIDE = {
    "log_std_init": -2,
    "ortho_init": False,
    "activation": "ReLU",
    "net_arch": {"pi": [256, 256], "vf": [256, 256]},
}
_TRPO = {
    "num_envs": 2,
    "n_steps": 1024,
    "batch_size": 128,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "sub_sampling_factor": 1,
    "cg_max_steps": 25,
    "cg_damping": 0.1,
    "n_critic_updates": 20,
    "learning_rate": 1e-3,
}
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("trpo", "Hopper-v5"): _TRPO,
    ("trpo", "HalfCheetah-v5"): {**_TRPO, "target_kl": 0.04},
    ("trpo", "Swimmer-v5"): {**_TRPO, "gamma": 0.9999},
    ("ppo", "Hopper-v5"): {
        "num_envs": 1,
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        "policy_kwargs": _WIDE,
    },
    ("ppo", "HalfCheetah-v5"): {
        "num_envs": 1,
        "batch_size": 64,
        "n_steps": 512,
        "gamma": 0.98,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.92,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
        "policy_kwargs": _WIDE,
    },
    ("ppo", "Swimmer-v5"): {
        "num_envs": 4,
        "n_steps": 1024,
        "batch_size": 256,
        "gamma": 0.9999,
        "learning_rate": 6e-4,
        "gae_lambda": 0.98,
    },
}
"""Constructor arguments by algorithm and environment; the number of environments among them."""


def train_and_evaluate(
    algorithm: str, env_id: str, seed: int, *, total_timesteps: int, arguments: dict[str, Any], episodes: int
) -> dict[str, Any]:
    """One seed, observations and rewards normalised as the zoo does (``VecNormalize``)."""
    import sb3_contrib
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    class Curve(BaseCallback):
        """The mean return of the last 100 episodes, after every rollout."""

        def __init__(self) -> None:
            super().__init__()
            self.points: list[float] = []

        def _on_rollout_end(self) -> None:
            if self.model.ep_info_buffer:
                self.points.append(float(np.mean([episode["r"] for episode in self.model.ep_info_buffer])))

        def _on_step(self) -> bool:
            return True

    torch.set_num_threads(1)
    settings = dict(arguments)
    num_envs = settings.pop("num_envs")
    if "policy_kwargs" in settings:
        network = dict(settings["policy_kwargs"])
        network["activation_fn"] = getattr(torch.nn, network.pop("activation"))
        settings["policy_kwargs"] = network
    env = VecNormalize(make_vec_env(env_id, num_envs, seed=seed), gamma=settings["gamma"])
    kind = stable_baselines3.PPO if algorithm == "ppo" else sb3_contrib.TRPO
    curve = Curve()
    started = time.perf_counter()
    model = kind("MlpPolicy", env, device="cpu", seed=seed, **settings).learn(total_timesteps, callback=curve)
    seconds = time.perf_counter() - started
    env.training = env.norm_reward = False
    env.seed(1_000_000 + seed)
    mean, deviation = evaluate_policy(model, env, n_eval_episodes=episodes)
    env.close()
    return {
        "mean_reward": float(mean),
        "std_reward": float(deviation),
        "area": round(float(np.mean(curve.points)), 2),
        "num_timesteps": model.num_timesteps,
        "seconds": round(seconds, 2),
    }
