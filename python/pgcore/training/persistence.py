"""The whole state of a model: kept for one iteration in case it fails, or in a file.

Nothing here depends on what an algorithm does, or on which there are: a model names its parts.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeAlias, TypedDict, TypeVar, cast

import numpy as np

from pgcore import baselines, policies, values
from pgcore._arguments import AnyArray, Arrays, integer, integers
from pgcore._kinds import find_class, is_shipped, kind_of, named_parameters, subclasses
from pgcore.baselines import ValueBaseline
from pgcore.io import space_from_json, space_to_json
from pgcore.io.checkpoint import read_checkpoint, write_checkpoint
from pgcore.policies import ObservationNormalizer
from pgcore.rollout.making import checked_backend
from pgcore.rollout.sampler import AwaitedSampler
from pgcore.training.config import Config, make_config
from pgcore.training.parts import Parts
from pgcore.training.spaces import Spaces
from pgcore.training.state import GeneratorState, SavedTrainingState

if TYPE_CHECKING:
    from numpy.random import Generator

    from pgcore.policies import Policy
    from pgcore.rollout import Sampler
    from pgcore.rollout.types import EnvLike
    from pgcore.training.state import TrainingState

__all__ = [
    "Component",
    "Model",
    "Snapshot",
    "load_as",
    "model_from",
    "require_saveable",
    "restore",
    "save",
    "snapshot",
]


class Component(Protocol):
    """A part of a model that changes while it learns, and whose state belongs in the checkpoint."""

    def state(self) -> Arrays:
        """Return the state as arrays."""

    def load_state(self, state: Arrays) -> None:
        """Restore a state."""


class Model(Protocol):
    """What saving a model and making it again needs of it."""

    config_class: ClassVar[type[Config]]

    @property
    def parts(self) -> Parts:
        """What the model is made of."""

    @property
    def policy(self) -> Policy:
        """What it trains."""

    @property
    def training_state(self) -> TrainingState:
        """Counters, episodes, the generator of learning."""

    @property
    def predict_rng(self) -> Generator:
        """Generator of acting."""

    def components(self) -> dict[str, Component]:
        """Return what else has a state."""

    @property
    def has_sampler(self) -> bool:
        """Whether its experience comes from a sampler that it was given."""

    def set_sampler(self, sampler: Sampler | None, /) -> None:
        """Get experience from a sampler from now on."""

    def set_env(self, env: EnvLike, /) -> None:
        """Learn in this environment from now on."""

    @classmethod
    def from_parts(cls, parts: Parts, /) -> Self:
        """Make a model without an environment."""


ModelT = TypeVar("ModelT", bound=Model)
Snapshot: TypeAlias = "tuple[SavedTrainingState, Arrays]"
Json: TypeAlias = "dict[str, object]"


class _SavedState(SavedTrainingState):
    predict_rng: GeneratorState


class _Metadata(TypedDict):
    """What a file says of a model, besides its arrays."""

    algorithm: str
    config: Json
    hidden: tuple[int, ...]
    activation: str
    seed: int
    num_envs: int
    backend: str
    observation_space: Json
    action_space: Json
    policy: Json
    critic: Json | None
    sampler: bool
    state: _SavedState


def snapshot(model: Model) -> Snapshot:
    """Return everything that an iteration changes: JSON-able values, and arrays that nothing changes."""
    policy = model.policy
    arrays: Arrays = {"policy/params": policy.params if is_shipped(type(policy)) else np.array(policy.params)}
    for name, part in model.components().items():
        # Our own parts return copies, or arrays that are read-only; a class of the user's may not.
        is_safe = is_shipped(type(part))
        for key, value in part.state().items():
            arrays[f"{name}/{key}"] = value if is_safe else _own_array(f"{name}/{key}", value)
    return model.training_state.state(), arrays


def _own_array(name: str, value: object) -> AnyArray:
    """A copy of what a class of the user's returned, which must be something that a file can hold."""
    array = np.array(value)
    if array.dtype.hasobject:
        raise TypeError(f"{name}: expected state() to return an array of numbers, got {value!r}")
    return array


def restore(model: Model, state: SavedTrainingState, arrays: Arrays) -> None:
    """Put ``model`` back to where `snapshot` was taken."""
    model.training_state.load_state(state)
    model.policy.params = arrays["policy/params"]
    for name, part in model.components().items():
        prefix = f"{name}/"
        part.load_state({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})


def save(model: Model, path: str | os.PathLike[str]) -> Path:
    """Write ``model`` to one file; see `Algorithm.save`."""
    metadata, arrays = _content(model)
    return write_checkpoint(path, cast("Json", metadata), arrays)


def _content(model: Model) -> tuple[_Metadata, Arrays]:
    """Metadata and arrays of the file."""
    state, arrays = snapshot(model)
    parts = model.parts
    metadata: _Metadata = {
        "algorithm": kind_of(type(model)),
        "config": dataclasses.asdict(parts.config),
        "hidden": parts.hidden,
        "activation": parts.activation,
        "seed": parts.seed,
        "num_envs": parts.num_envs,
        "backend": parts.backend,
        "observation_space": space_to_json(parts.spaces.observation),
        "action_space": space_to_json(parts.spaces.action),
        "policy": model.policy.config(),
        "critic": None if parts.critic is None else parts.critic.config(),
        "sampler": model.has_sampler,
        "state": {**state, "predict_rng": dict(model.predict_rng.bit_generator.state)},
    }
    return metadata, arrays


def require_saveable(model: Model) -> None:
    """Raise a `ValueError` that names what of a new model could not be saved and loaded again.

    Found out now, not when all steps have been learned. Spaces and configuration are written and read back;
    a policy, critic or algorithm of the user's own class is made again from what would be in the file.
    """
    parts = model.parts
    for name, space in (
        ("observation_space", parts.spaces.observation),
        ("action_space", parts.spaces.action),
    ):
        try:
            again = space_from_json(_as_in_a_file(space_to_json(space)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if again != space:
            raise ValueError(f"{name}: expected a space that equals {again}, got {type(space)} {space}")
    _require_plain_config(parts.config)
    _require_remakeable("policy", model.policy, policies.from_config)
    if parts.critic is not None:
        _require_remakeable("critic", parts.critic, baselines.from_config)
    if isinstance(parts.critic, ValueBaseline):
        _require_remakeable("critic", parts.critic.function, values.from_config)
    if not is_shipped(type(model)):
        try:
            metadata, arrays = _content(model)
            _remade(type(model), _as_in_a_file(metadata), arrays)
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


class _Described(Protocol):
    def config(self) -> Json: ...


PartT = TypeVar("PartT", bound=_Described)


def _require_remakeable(name: str, part: PartT, make: Callable[[Json], PartT]) -> None:
    if is_shipped(type(part)):
        return
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


JsonT = TypeVar("JsonT")


def _as_in_a_file(value: JsonT) -> JsonT:
    read_back: JsonT = json.loads(json.dumps(value))
    return read_back


def load_as(kind: type[ModelT], path: str | os.PathLike[str], env: EnvLike | None) -> ModelT:
    """Read a model of class ``kind``, or of one derived from it; otherwise as `pgcore.load`."""
    metadata, arrays = read_checkpoint(path)
    name = metadata.get("algorithm")
    found = _derived(kind, name)
    if found is None:
        got = name.replace(":", ".").rpartition(".")[2] if isinstance(name, str) else repr(name)
        raise ValueError(f"path: expected a {kind.__name__} checkpoint, got one of {got} in {path}")
    return model_from(found, path, metadata, arrays, env)


def _derived(kind: type[ModelT], name: object) -> type[ModelT] | None:
    """The class that files call ``name`` if it is ``kind`` or derived from it."""
    if name == kind_of(kind):
        return kind
    shipped = {kind_of(cls): cls for cls in subclasses(kind) if is_shipped(cls)}
    try:
        return find_class("algorithm", name, kind, shipped)
    except ValueError:
        return None


def model_from(
    kind: type[ModelT],
    path: str | os.PathLike[str],
    metadata: Mapping[str, object],
    arrays: Arrays,
    env: EnvLike | None,
) -> ModelT:
    """Make a model of what `read_checkpoint` found at ``path``; what is missing there is a `ValueError`."""
    try:
        model = _remade(kind, cast("_Metadata", metadata), arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: expected a whole checkpoint, got {path} ({error!r})") from error
    if env is not None:
        model.set_env(env)
    return model


def _remade(kind: type[ModelT], metadata: _Metadata, arrays: Arrays) -> ModelT:
    policy = policies.from_config(metadata["policy"])
    if any(name.startswith("normalizer/") for name in arrays):
        policy.normalizer = ObservationNormalizer(policy.obs_dim)
    critic = metadata["critic"]
    parts = Parts(
        config=make_config(kind.config_class, metadata["config"]),
        spaces=Spaces(
            space_from_json(metadata["observation_space"]), space_from_json(metadata["action_space"])
        ),
        policy=policy,
        critic=None if critic is None else baselines.from_config(critic),
        hidden=integers("hidden", metadata["hidden"], minimum=1),
        activation=metadata["activation"],
        seed=integer("seed", metadata["seed"], minimum=0),
        num_envs=integer("num_envs", metadata["num_envs"], minimum=1),
        backend=checked_backend(metadata["backend"]),
    )
    model = kind.from_parts(parts)
    if metadata.get("sampler"):
        model.set_sampler(AwaitedSampler())
    model.predict_rng.bit_generator.state = metadata["state"]["predict_rng"]
    restore(model, metadata["state"], arrays)
    expected = set(snapshot(model)[1])
    if expected != set(arrays):
        raise ValueError(f"arrays: expected {sorted(expected)}, got {sorted(arrays)}")
    return model
