"""The whole state of a model: kept for one iteration in case it fails, or in a file.

Nothing here knows what an algorithm does: it names its parts in `Algorithm.components`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pgcore import baselines, policies, values
from pgcore._arguments import integer, integers
from pgcore._kinds import is_shipped, kind_of, named_parameters
from pgcore.baselines import ValueBaseline
from pgcore.io import space_from_json, space_to_json
from pgcore.io.checkpoint import read_checkpoint, write_checkpoint
from pgcore.policies import ObservationNormalizer
from pgcore.rollout.making import checked_backend
from pgcore.rollout.sampler import AwaitedSampler
from pgcore.training.config import Config, make_config
from pgcore.training.registry import find_algorithm

if TYPE_CHECKING:
    from pgcore.policies import Policy
    from pgcore.training.algorithm import Algorithm
    from pgcore.values.base import Learned

__all__ = [
    "WINDOW",
    "Component",
    "EnvLike",
    "load",
    "load_as",
    "require_saveable",
    "restore",
    "save",
    "snapshot",
]

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
    return write_checkpoint(path, *_content(model))


def _content(model: Algorithm[Any]) -> tuple[dict[str, Any], Arrays]:
    """Metadata and arrays of the file."""
    scalars, arrays = snapshot(model)
    metadata = {
        "algorithm": kind_of(type(model)),
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
    return metadata, arrays


def require_saveable(model: Algorithm[Any]) -> None:
    """Raise a `ValueError` that names what of a new model could not be saved and loaded again.

    Found out now, not when all steps have been learned. Spaces and configuration are written and read back;
    a policy, critic or algorithm of the user's own class is made again from what would be in the file.
    """
    for name in ("observation_space", "action_space"):
        space = getattr(model, name)
        try:
            again = space_from_json(_as_in_a_file(space_to_json(space)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if again != space:
            raise ValueError(f"{name}: expected a space that equals {again}, got {type(space)} {space}")
    _require_plain_config(model.config)
    function = model.critic.function if isinstance(model.critic, ValueBaseline) else None
    for name, part, make in (
        ("policy", model.policy, policies.from_config),
        ("critic", model.critic, baselines.from_config),
        ("critic", function, values.from_config),
    ):
        if part is not None and not is_shipped(type(part)):
            _require_remakeable(name, part, make)
    if not is_shipped(type(model)):
        twin: Algorithm[Any] = object.__new__(type(model))
        try:
            metadata, arrays = _content(model)
            _rebuild(twin, _as_in_a_file(metadata), arrays)
        except Exception as error:
            raise ValueError(
                f"{type(model).__name__}: expected a class that `load` can make again, got {error!r}; what "
                "update() needs is made in setup(): loading does not call __init__"
            ) from error


def _require_plain_config(config: Config) -> None:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None or type(value) in (bool, int, float, str):  # nearly all, and checked already
            continue
        try:
            again = getattr(dataclasses.replace(config, **{field.name: _as_in_a_file(value)}), field.name)
        except (TypeError, ValueError):
            again = None
        if again != value:
            raise ValueError(
                f"{field.name}: expected what a JSON file can hold, got {type(value).__name__} {value!r}"
            )


def _require_remakeable(name: str, part: Policy | Learned, make: Callable[[Any], Policy | Learned]) -> None:
    kind = type(part)
    try:
        config = _as_in_a_file(part.config())
        made = make(config)
        if type(made) is not kind or _as_in_a_file(made.config()) != config:
            raise ValueError(f"what is made of that is {made!r}")
    except Exception as error:
        raise ValueError(
            f"{name}: expected one whose config() has the arguments of {kind.__name__}(...) as JSON can hold "
            f"them, so that a saved model can be loaded, got {part.config()!r} ({error})"
        ) from error
    missing = set(named_parameters(kind)) - set(config) - {"seed"}  # of first weights, which are saved
    if missing:
        raise ValueError(
            f"{name}: expected config() to have every argument of {kind.__name__}(...), got none for "
            f"{', '.join(sorted(missing))}: a loaded model would have its default"
        )


def _as_in_a_file(value: Any) -> Any:
    return json.loads(json.dumps(value))


def load(path: str | os.PathLike[str], env: EnvLike | None = None) -> Algorithm[Any]:
    """Read a model of any algorithm, shipped or defined by the caller.

    Classes of the caller's own (algorithms, policies, baselines) are found if they are defined by then, or if
    the module that defines them can be imported.

    Parameters
    ----------
    path
        The file, or a run directory with a ``model.npz`` in it.
    env
        Where to learn on; without one the model can only predict. An id is made with the ``num_envs`` and
        ``backend`` that the model was trained with; of a vector environment ``num_envs`` is taken.

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
    algorithm = find_algorithm(metadata.get("algorithm"))
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
    model.seed = integer("seed", metadata["seed"], minimum=0)
    model.num_envs = integer("num_envs", metadata["num_envs"], minimum=1)
    model.backend, model.env = checked_backend(metadata["backend"]), None
    policy = policies.from_config(metadata["policy"])
    if any(name.startswith("normalizer/") for name in arrays):
        policy.normalizer = ObservationNormalizer(policy.obs_dim)
    model._build(
        config=make_config(model.config_class, metadata["config"]),
        observation_space=space_from_json(metadata["observation_space"]),
        action_space=space_from_json(metadata["action_space"]),
        policy=policy,
        critic=None if metadata["critic"] is None else baselines.from_config(metadata["critic"]),
        hidden=integers("hidden", metadata["hidden"], minimum=1),
        activation=metadata["activation"],
    )
    if any(name.startswith("sampler/") for name in arrays):
        model.set_sampler(AwaitedSampler())
    model._predict_rng.bit_generator.state = metadata["state"]["predict_rng"]
    restore(model, metadata["state"], arrays)
    expected = set(snapshot(model)[1])
    if expected != set(arrays):
        raise ValueError(f"arrays: expected {sorted(expected)}, got {sorted(arrays)}")
