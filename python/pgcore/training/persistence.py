"""The whole state of a model: kept for one iteration in case it fails, or in a file.

Nothing here knows what an algorithm does: it names its parts in `Algorithm.components`.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pgcore import baselines, policies
from pgcore.policies import ObservationNormalizer
from pgcore.rollout import space_from_json, space_to_json
from pgcore.training.checkpoint import read_checkpoint, write_checkpoint
from pgcore.training.config import make_config
from pgcore.training.registry import find_algorithm

if TYPE_CHECKING:
    from pgcore.training.algorithm import Algorithm

__all__ = ["WINDOW", "Component", "EnvLike", "load", "load_as", "restore", "save", "snapshot"]

Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]
EnvLike: TypeAlias = "str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any]"
AlgorithmT = TypeVar("AlgorithmT", bound="Algorithm[Any]")

WINDOW = 100
"""Episodes in the running means of the log, as in Stable-Baselines3."""


class Component(Protocol):
    """A part of a model that changes while it learns, and whose state belongs in the checkpoint."""

    def state(self) -> Arrays:
        """Return the state as arrays."""

    def load_state(self, state: Arrays) -> None:
        """Take up a state."""


def snapshot(model: Algorithm[Any]) -> tuple[dict[str, Any], Arrays]:
    """Return everything that an iteration changes: JSON-able values, and copies of arrays."""
    scalars = {
        "num_timesteps": model.num_timesteps,
        "num_iterations": model.num_iterations,
        "num_updates": model.num_updates,
        "episode_returns": list(model._episode_returns),
        "episode_lengths": list(model._episode_lengths),
        "rng": model._rng.bit_generator.state,
    }
    arrays = {"policy/params": np.array(model.policy.params)}
    for name, part in model.components().items():
        arrays.update({f"{name}/{key}": np.array(value) for key, value in part.state().items()})
    return scalars, arrays


def restore(
    model: Algorithm[Any], scalars: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Put ``model`` back to where `snapshot` was taken."""
    model.num_timesteps = scalars["num_timesteps"]
    model.num_iterations = scalars["num_iterations"]
    model.num_updates = scalars["num_updates"]
    model._episode_returns = deque(scalars["episode_returns"], maxlen=WINDOW)
    model._episode_lengths = deque(scalars["episode_lengths"], maxlen=WINDOW)
    model._rng.bit_generator.state = scalars["rng"]
    model.policy.params = arrays["policy/params"]
    for name, part in model.components().items():
        prefix = f"{name}/"
        part.load_state({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})


def save(model: Algorithm[Any], path: str | os.PathLike[str]) -> Path:
    """Write ``model`` to one file; see `Algorithm.save`."""
    scalars, arrays = snapshot(model)
    metadata = {
        "algorithm": type(model).__name__,
        "config": dataclasses.asdict(model.config),
        "hidden": model.hidden,
        "activation": model.activation,
        "seed": model.seed,
        "num_envs": model.num_envs,
        "backend": model.backend,
        "observation_space": space_to_json(model.observation_space),
        "action_space": space_to_json(model.action_space),
        "policy": model.policy.config(),
        "critic": None if model.critic is None else model.critic.config(),
        "state": {**scalars, "predict_rng": model._predict_rng.bit_generator.state},
    }
    return write_checkpoint(path, metadata, arrays)


def load(path: str | os.PathLike[str], env: EnvLike | None = None) -> Algorithm[Any]:
    """Read a model of any algorithm, shipped or defined by the caller.

    Parameters
    ----------
    path
        The file, or a run directory with a ``model.npz`` in it.
    env
        Where to go on learning; without one the model can only predict. An id is made with the ``num_envs``
        and ``backend`` that the model was trained with.

    Returns
    -------
    Algorithm

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no checkpoint, a damaged one, or the environment does not fit it.
    """
    return _load(path, env, None)


def load_as(kind: type[AlgorithmT], path: str | os.PathLike[str], env: EnvLike | None) -> AlgorithmT:
    """`load` for a model that has to be of class ``kind``, or of one derived from it."""
    model = _load(path, env, kind)
    assert isinstance(model, kind)
    return model


def _load(
    path: str | os.PathLike[str], env: EnvLike | None, kind: type[Algorithm[Any]] | None
) -> Algorithm[Any]:
    metadata, arrays = read_checkpoint(path)
    algorithm = find_algorithm(str(metadata.get("algorithm")))
    if kind is not None and not issubclass(algorithm, kind):
        raise ValueError(
            f"path: expected a {kind.__name__} checkpoint, got one of {algorithm.__name__} in {path}"
        )
    model: Algorithm[Any] = object.__new__(algorithm)
    try:
        _rebuild(model, metadata, arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: expected a whole checkpoint, got {path} ({error!r})") from error
    if env is not None:
        model.set_env(env)
    return model


def _rebuild(model: Algorithm[Any], metadata: dict[str, Any], arrays: Arrays) -> None:
    model.seed, model.num_envs, model.backend = (metadata[name] for name in ("seed", "num_envs", "backend"))
    model.env = None
    policy = policies.from_config(metadata["policy"])
    if any(name.startswith("normalizer/") for name in arrays):
        policy.normalizer = ObservationNormalizer(policy.obs_dim)
    model._build(
        config=make_config(model.config_class, metadata["config"]),
        observation_space=space_from_json(metadata["observation_space"]),
        action_space=space_from_json(metadata["action_space"]),
        policy=policy,
        critic=None if metadata["critic"] is None else baselines.from_config(metadata["critic"]),
        hidden=tuple(metadata["hidden"]),
        activation=metadata["activation"],
    )
    model._predict_rng.bit_generator.state = metadata["state"]["predict_rng"]
    restore(model, metadata["state"], arrays)
