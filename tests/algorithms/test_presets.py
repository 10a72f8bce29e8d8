from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

import pgcore
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


def test_the_table_of_algorithms_is_what_everything_offers():
    """One row names a class, its command and its module; type checkers are told of the same classes."""
    assert len({entry.name for entry in algorithms.TABLE}) == len(algorithms.TABLE)
    for entry in algorithms.TABLE:
        kind = getattr(pgcore, entry.name)
        assert kind is getattr(algorithms, entry.name) is algorithms.find(entry.command)
        assert (kind.__name__, kind.command) == (entry.name, entry.command)
        assert kind.__module__ == f"pgcore.algorithms.{entry.module}"
        assert entry.name in pgcore.__all__
    assert algorithms.shipped() == {entry.name: getattr(algorithms, entry.name) for entry in algorithms.TABLE}
    for module in (pgcore, algorithms):
        text = Path(module.__file__).read_text(encoding="utf-8")
        told = re.findall(r"^    from pgcore\.algorithms\S* import (\w+) as \1$", text, re.MULTILINE)
        assert sorted(told) == sorted(algorithms.__all__)
    shipped = {found.name for found in pkgutil.iter_modules(presets.__path__)}
    assert shipped <= set(algorithms.COMMANDS)
