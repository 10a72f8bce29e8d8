from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pytest

from pgcore.training import Config, NonNegativeFloat, PositiveFloat, PositiveInt, make_config


@dataclass(frozen=True)
class SketchConfig(Config):
    learning_rate: PositiveFloat = 0.1
    decay: NonNegativeFloat = 0.0
    max_norm: PositiveFloat | None = None
    num_rounds: PositiveInt | None = None
    form: Literal["a", "b"] = "a"


def test_defaults_are_the_class_own():
    assert make_config(SketchConfig, {}) == SketchConfig()


def test_values_become_plain_python():
    config = make_config(
        SketchConfig,
        {
            "n_steps": np.int64(7),
            "learning_rate": np.float32(0.5),
            "gamma": 1,
            "whole_episodes": np.True_,
            "max_norm": np.float64(2.0),
        },
    )
    kinds = {name: type(value) for name, value in asdict(config).items()}
    assert kinds["n_steps"] is int
    assert kinds["learning_rate"] is kinds["gamma"] is kinds["max_norm"] is float
    assert kinds["whole_episodes"] is bool
    assert json.loads(json.dumps(asdict(config))) == asdict(config)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("n_steps", 0, ValueError, "n_steps: expected an integer >= 1, got 0"),
        ("n_steps", 2**63, ValueError, f"n_steps: expected an integer of 64 bits, got {2**63}"),
        ("n_steps", 2.5, TypeError, "n_steps: expected int, got float 2.5"),
        ("n_steps", True, TypeError, "n_steps: expected int, got bool True"),
        ("n_steps", None, TypeError, "n_steps: expected int, got NoneType None"),
        ("gamma", 1.5, ValueError, "gamma: expected a number in [0, 1], got 1.5"),
        ("gamma", float("nan"), ValueError, "gamma: expected a number in [0, 1], got nan"),
        ("gamma", "1", TypeError, "gamma: expected float, got str '1'"),
        ("learning_rate", 0.0, ValueError, "learning_rate: expected a finite number > 0, got 0.0"),
        ("learning_rate", np.inf, ValueError, "learning_rate: expected a finite number > 0, got inf"),
        ("decay", -1, ValueError, "decay: expected a finite number >= 0, got -1.0"),
        ("max_norm", -1.0, ValueError, "max_norm: expected a finite number > 0, got -1.0"),
        ("num_rounds", 0, ValueError, "num_rounds: expected an integer >= 1, got 0"),
        ("form", "c", ValueError, "form: expected one of 'a', 'b', got 'c'"),
        ("whole_episodes", 1, TypeError, "whole_episodes: expected bool, got int 1"),
    ],
)
def test_bad_values_are_named(name, value, error, message):
    with pytest.raises(error) as caught:
        make_config(SketchConfig, {name: value})
    assert str(caught.value) == message


def test_optional_values_may_be_none():
    assert make_config(SketchConfig, {"max_norm": None}).max_norm is None


def test_unknown_names_come_with_the_nearest_valid_one():
    with pytest.raises(TypeError) as caught:
        make_config(SketchConfig, {"learning_rat": 0.1}, owner="Sketch")
    assert str(caught.value) == (
        "Sketch: unknown hyperparameter 'learning_rat' (did you mean 'learning_rate'?)"
    )
    with pytest.raises(TypeError, match=r"'hiden' \(did you mean 'hidden'\?\)"):
        make_config(SketchConfig, {"hiden": 1}, also_valid=["hidden"])
    with pytest.raises(TypeError, match=r"'zzz' \(valid: n_steps, .*form\)"):
        make_config(SketchConfig, {"zzz": 1})


def test_configs_cannot_be_changed():
    with pytest.raises(AttributeError):
        SketchConfig().n_steps = 3
