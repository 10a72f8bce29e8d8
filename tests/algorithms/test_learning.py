"""Presets learn. `bench/learning.py` measures how well over many seeds; this notices when they stop to."""

from __future__ import annotations

import pytest

from pgcore import NPG, PPO, REINFORCE, TRPO, evaluate_policy, presets


@pytest.mark.parametrize(
    ("kind", "seed", "most_steps"),
    [(REINFORCE, 0, 100_000), (NPG, 0, 20_000), (TRPO, 1, 20_000), (PPO, 0, 20_000)],
)
def test_cartpole(kind, seed, most_steps):
    preset = presets.find(kind.__name__.lower(), "CartPole-v1")
    model = kind.from_preset("CartPole-v1", seed=seed).learn(preset.total_timesteps)
    assert model.num_timesteps <= most_steps
    mean, _ = evaluate_policy(model, "CartPole-v1", 100, seed=1000 + seed)
    assert mean >= 475
