"""Arguments and attributes that would be ignored in silence: refused, with what to write instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgcore._kinds import is_shipped
from pgcore.training.config import nearest

if TYPE_CHECKING:
    from pgcore.training.algorithm import Algorithm
    from pgcore.training.config import Config

__all__ = ["OF_A_NEW_POLICY", "refuse_arguments", "refuse_attribute"]

OF_A_NEW_POLICY = ("hidden", "activation", "init_log_std")

_FIXED = ("hidden", "activation", "seed", "num_envs", "backend", "observation_space", "action_space")
_FIXED_IN_OURS = ("policy",)  # their optimizers and samplers hold it


def refuse_arguments(name: str, arguments: tuple[object, ...], keywords: Mapping[str, object]) -> None:
    """Raise a `TypeError` for Stable-Baselines3's order, and for a policy that is given *and* described."""
    if len(arguments) + ("env" in keywords) > 1 or (arguments and str(arguments[0]).endswith("Policy")):
        raise TypeError(
            f"{name}: expected an environment, then keywords, got ({', '.join(map(repr, arguments))}); the "
            f"policy is made to fit the environment: write {name}(env), {name}(env, hidden=(64, 64)), or "
            f"{name}(env, policy=...) with one from pgcore.policies"
        )
    for setting in OF_A_NEW_POLICY:
        if keywords.get("policy") is not None and setting in keywords:
            raise TypeError(
                f"{setting}: expected none beside policy=, which has its own, got {keywords[setting]!r}; for "
                "a critic of other sizes give critic=pgcore.baselines.ValueNetwork(hidden, activation=...)"
            )


def refuse_attribute(model: Algorithm[Config], name: str) -> None:
    """Raise an `AttributeError` if assigning ``name`` to a finished model would change nothing.

    Subclasses of the user's own may have any attributes but those with names of hyperparameters.
    """
    kind = type(model).__name__
    fields = [field.name for field in dataclasses.fields(model.config)]
    if name in fields:
        raise AttributeError(
            f"{name}: expected hyperparameters to be given when the model is made, {kind}(env, {name}=...), "
            f"got an assignment; model.config.{name} is {getattr(model.config, name)!r}"
        )
    if name == "env":
        raise AttributeError("env: expected set_env(env), which begins new episodes, got an assignment")
    if name == "sampler":
        raise AttributeError("sampler: expected set_sampler(sampler), got an assignment")
    if name in _FIXED or (name in _FIXED_IN_OURS and is_shipped(type(model))):
        raise AttributeError(
            f"{name}: expected to be decided when the model is made, in {kind}(...), got an assignment"
        )
    if name.startswith("_") or hasattr(model, name) or not is_shipped(type(model)):
        return
    known = [known for known in dir(model) if not known.startswith("_")]
    raise AttributeError(f"{name}: expected an attribute of {kind}, got{nearest(name, [*fields, *known])}")
