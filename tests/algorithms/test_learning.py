"""Presets learn. `bench/learning.py` measures how well over many seeds; this notices when they stop to."""

from __future__ import annotations

import pytest

from pgcore import REINFORCE, evaluate_policy, presets


@pytest.mark.parametrize("seed", [0, 1])
def test_cartpole(seed):
    preset = presets.find("reinforce", "CartPole-v1")
    model = REINFORCE.from_preset("CartPole-v1", seed=seed).learn(preset.total_timesteps)
    assert model.num_timesteps <= 100_000
    mean, _ = evaluate_policy(model, "CartPole-v1", 100, seed=1000 + seed)
    assert mean >= 475
