"""Arguments of ``pgcore train``, and their defaults: from a preset, or from the run that is resumed.

A field is an option; its docstring is its line of ``--help``.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import tyro

from pgcore import presets
from pgcore._arguments import integers
from pgcore.cli.errors import CommandError, run_directory_errors
from pgcore.cli.parse import option_value, require_at_least
from pgcore.io.datasets import MINARI
from pgcore.runs import RunDirectory
from pgcore.training import Algorithm, Config, make_config

__all__ = [
    "CloneArguments",
    "LearnsFromDemonstrations",
    "ReuseArguments",
    "TrainArguments",
    "arguments_class",
    "changed_settings",
    "preset_arguments",
    "refuse_changes",
    "resumed_arguments",
]

_MAY_CHANGE = ("total_timesteps", "out", "resume", "save_freq", "eval_episodes")  # in a resumed run

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True, kw_only=True)
class TrainArguments(Generic[ConfigT]):
    """Arguments of ``pgcore train`` that all algorithms share."""

    env_id: Annotated[str, tyro.conf.arg(metavar="ID")]
    """Gymnasium id of the environment; "module:Name-v0" imports the module first."""
    total_timesteps: int = 100_000
    """Environment steps to train for, summed over all copies."""
    seed: int = 0
    """Seed of all random numbers."""
    num_envs: int = 1
    """Number of copies of the environment."""
    backend: Literal["sync", "async", "native", "envpool"] = "sync"
    """Step the copies in turn, in processes, by the environment's own vector code, or by EnvPool."""
    hidden: Annotated[tuple[int, ...], tyro.conf.arg(metavar="[N ...]")] = (64, 64)
    """Sizes of the hidden layers of the policy and of the value network."""
    activation: Literal["tanh", "relu", "gelu", "identity"] = "tanh"
    """Activation function of the hidden layers."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run directory; None: a new one in runs/."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Resume the run in --out and train up to --total-timesteps."""
    save_freq: int = 50_000
    """Environment steps between two checkpoints."""
    eval_episodes: int = 100
    """Episodes of the evaluation after training; 0: no evaluation."""
    hyperparameters: ConfigT
    """Hyperparameters of the algorithm."""

    def __post_init__(self) -> None:
        require_at_least(self, total_timesteps=1, seed=0, num_envs=1, save_freq=1, eval_episodes=0)
        integers("hidden", self.hidden, minimum=1)


@dataclass(frozen=True, kw_only=True)
class ReuseArguments(TrainArguments[ConfigT]):
    """Arguments of ``pgcore train offpolicy``."""

    demonstrations: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Recorded steps to learn from as well: a .npz file with log_probs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # An absolute path, so that the run can be resumed from another directory.
        if isinstance(self.demonstrations, str) and not self.demonstrations.startswith(MINARI):
            path = os.path.abspath(os.path.expanduser(self.demonstrations))
            object.__setattr__(self, "demonstrations", path)


@dataclass(frozen=True, kw_only=True)
class CloneArguments(ReuseArguments[ConfigT]):
    """Arguments of ``pgcore train bc``."""

    demonstrations: Annotated[str, tyro.conf.arg(metavar="FILE")] = tyro.MISSING
    """Recorded steps to learn from: a .npz file, or minari:ID for a local Minari dataset."""
    total_timesteps: int = 100_000
    """Recorded steps to train on, counted again in every pass over the file."""
    num_envs: Annotated[int, tyro.conf.Suppress] = 1  # none is stepped
    """Number of copies of the environment."""
    save_freq: int = 50_000
    """Recorded steps between two checkpoints."""


@runtime_checkable
class LearnsFromDemonstrations(Protocol):
    """A model of a class with `Algorithm.demonstrations_are` other than "unused"."""

    def set_demonstrations(self, demonstrations: str) -> None:
        """Learn from the recorded steps in a file."""


def arguments_class(kind: type[Algorithm[Config]]) -> type[TrainArguments[Config]]:
    """Return the class of an algorithm's arguments."""
    classes: dict[str, type[TrainArguments[Config]]] = {
        "required": CloneArguments,
        "optional": ReuseArguments,
        "unused": TrainArguments,
    }
    return classes[kind.demonstrations_are]


def preset_arguments(
    algorithm: str, kind: type[Algorithm[Config]], arguments: list[str]
) -> TrainArguments[Config]:
    """Return the defaults for the environment that ``arguments`` name."""
    env_id = option_value(arguments, "env-id")
    preset = presets.available(algorithm).get(env_id or "")
    make = arguments_class(kind)
    required: dict[str, Any] = {
        field.name: tyro.MISSING
        for field in dataclasses.fields(make)
        if field.default is dataclasses.MISSING and field.name != "hyperparameters"
    }
    if preset is None:
        return make(**required, hyperparameters=kind.config_class())
    return make(
        **required,
        total_timesteps=preset.total_timesteps,
        num_envs=preset.num_envs,
        backend=preset.backend,
        hidden=preset.hidden,
        hyperparameters=make_config(kind.config_class, preset.hyperparameters),
    )


def resumed_arguments(
    algorithm: str, kind: type[Algorithm[Config]], arguments: list[str]
) -> TrainArguments[Config]:
    """Return the settings that the run in ``--out`` was started with."""
    out = option_value(arguments, "out")
    if out is None:
        raise CommandError("--resume: expected --out DIR, the run to resume, got no --out")
    directory = RunDirectory(Path(os.path.expanduser(out)))
    try:
        with run_directory_errors("--out"):
            # The file may have been edited by hand: the dataclass checks the values.
            config: dict[str, Any] = {**directory.read_config()}
    except CommandError as error:
        if directory.has_learned():
            raise
        raise CommandError(f"{error}; it holds no progress: start without --resume") from None
    if (found := config.pop("algorithm")) != algorithm:
        raise CommandError(f"--out: expected a run of {algorithm}, got one of {found} in {out}")
    config.pop("pgcore_version", None)
    try:
        hyperparameters = make_config(kind.config_class, config.pop("hyperparameters"))
        return arguments_class(kind)(
            **{**config, "hidden": tuple(config["hidden"])},
            hyperparameters=hyperparameters,
            out=directory.path,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise CommandError(f"--out: expected the config.json of a run, got one in {out} ({error})") from None


def refuse_changes(args: TrainArguments[Config], started: TrainArguments[Config]) -> None:
    """Refuse other settings than those of the resumed run, except for its length and its checkpoints."""
    now, then = _decisive(args), _decisive(started)
    for name, value in now.items():
        if value != then[name]:
            raise CommandError(
                f"--{name.replace('_', '-')}: expected {then[name]!r}, as the run in {args.out} was started "
                f"with, got {value!r}; a resumed run keeps its settings"
            )


def changed_settings(args: TrainArguments[Config], default: TrainArguments[Config]) -> dict[str, object]:
    """Return the settings that differ from the preset, or from the defaults."""
    usual = {**_decisive(default), "total_timesteps": default.total_timesteps}
    given = {**_decisive(args), "total_timesteps": args.total_timesteps}
    return {
        name: value
        for name, value in given.items()
        if value != usual[name] and name not in ("env_id", "seed", "demonstrations")
    }


def _decisive(args: TrainArguments[Config]) -> dict[str, object]:
    """Return all settings that a resumed run must keep; hyperparameters beside the others."""
    settings = dataclasses.asdict(args)
    hyperparameters = settings.pop("hyperparameters")
    return {**{name: value for name, value in settings.items() if name not in _MAY_CHANGE}, **hyperparameters}
