from __future__ import annotations

import pytest

from pgcore import REINFORCE, algorithms, presets
from pgcore.training import make_config

ALGORITHMS = list(algorithms.COMMANDS)
ALL = [(name, env_id) for name in ALGORITHMS for env_id in presets.available(name)]


@pytest.mark.parametrize(("algorithm", "env_id"), ALL)
def test_presets_are_valid(algorithm, env_id):
    kind = getattr(algorithms, algorithms.COMMANDS[algorithm])
    preset = presets.find(algorithm, env_id)
    config = make_config(kind.config_class, preset.hyperparameters)
    assert preset.total_timesteps > 0
    defaults = kind.config_class()
    for name in preset.hyperparameters:
        assert getattr(config, name) != getattr(defaults, name), f"{name} is the default anyway"


def test_from_preset_and_overrides():
    preset = presets.find("reinforce", "CartPole-v1")
    model = REINFORCE.from_preset("CartPole-v1", seed=3)
    assert model.seed == 3
    assert model.env.num_envs == preset.num_envs
    assert model.hidden == preset.hidden
    for name, value in preset.hyperparameters.items():
        assert getattr(model.config, name) == value
    model = REINFORCE.from_preset("CartPole-v1", num_envs=2, learning_rate=0.5, hidden=(3,))
    assert (model.env.num_envs, model.config.learning_rate, model.hidden) == (2, 0.5, (3,))
    assert model.config.gamma == preset.hyperparameters["gamma"]


def test_unknown_environments_are_named():
    with pytest.raises(
        ValueError, match=r"^env_id: expected one with a preset for reinforce \(CartPole-v1, "
    ):
        REINFORCE.from_preset("Nothing-v0")
    assert presets.available("nothing") == {}
