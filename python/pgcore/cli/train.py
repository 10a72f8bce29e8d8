"""``pgcore train ALGO``: a policy, its evaluation and a run directory."""

from __future__ import annotations

import dataclasses
import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import tyro

from pgcore import algorithms, presets
from pgcore._version import __version__
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.eval import evaluate, evaluation_text
from pgcore.cli.parse import option_value, parse, require_at_least
from pgcore.cli.run_directory import RunDirectory
from pgcore.cli.signals import Interrupted, deferred_signals, ignored_signals, raising_signals
from pgcore.kernels._coerce import integers
from pgcore.rollout.faults import FaultyEnvironmentError, WorkerError
from pgcore.training import Algorithm, CheckpointCallback, Config, ConsoleLogger, CSVLogger, load, make_config
from pgcore.training.datasets import MINARI

__all__ = ["TrainArguments", "run"]

ConfigT = TypeVar("ConfigT", bound=Config)

_MAY_CHANGE = ("total_timesteps", "out", "resume", "save_freq", "eval_episodes")


@dataclass(frozen=True, kw_only=True)
class TrainArguments(Generic[ConfigT]):
    """What ``pgcore train`` can be told, whatever the algorithm."""

    env_id: Annotated[str, tyro.conf.arg(metavar="ID")]
    """Environment that gymnasium knows ("module:Name-v0" imports the module first)."""
    total_timesteps: int = 100_000
    """Environment steps to learn for, summed over environments."""
    seed: int = 0
    """Seed of everything random."""
    num_envs: int = 1
    """Copies of the environment."""
    backend: Literal["sync", "async", "native", "envpool"] = "sync"
    """Step the copies in turn, in processes, by the environment's own vector code, by EnvPool."""
    hidden: Annotated[tuple[int, ...], tyro.conf.arg(metavar="[N ...]")] = (64, 64)
    """Hidden layer sizes of the policy, and of the value network if there is one."""
    activation: Literal["tanh", "relu", "gelu", "identity"] = "tanh"
    """Activation of the hidden layers."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run directory; by default a new one in runs/."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run in --out, up to --total-timesteps."""
    save_freq: int = 50_000
    """Environment steps between two checkpoints."""
    eval_episodes: int = 100
    """Fresh episodes to play at the end; 0 for none."""
    hyperparameters: ConfigT
    """Those of the algorithm itself."""

    def __post_init__(self) -> None:
        require_at_least(self, total_timesteps=1, seed=0, num_envs=1, save_freq=1, eval_episodes=0)
        integers("hidden", self.hidden, minimum=1)


@dataclass(frozen=True, kw_only=True)
class ReuseArguments(TrainArguments[ConfigT]):
    """What ``pgcore train offpolicy`` can be told."""

    demonstrations: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Recorded steps to learn from too, a .npz file that says their log_probs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # In full, so that the run can be resumed from another directory.
        if isinstance(self.demonstrations, str) and not self.demonstrations.startswith(MINARI):
            object.__setattr__(self, "demonstrations", os.path.abspath(self.demonstrations))


@dataclass(frozen=True, kw_only=True)
class CloneArguments(ReuseArguments[ConfigT]):
    """What ``pgcore train bc`` can be told."""

    demonstrations: Annotated[str, tyro.conf.arg(metavar="FILE")] = tyro.MISSING
    """Recorded steps to learn from, a .npz file; or minari:ID, a Minari dataset on this machine."""
    total_timesteps: int = 100_000
    """Demonstrated steps to show the policy; divided by those in the file, epochs."""
    num_envs: Annotated[int, tyro.conf.Suppress] = 1  # none is stepped
    """Copies of the environment."""
    save_freq: int = 50_000
    """Demonstrated steps between two checkpoints."""


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    names = algorithms.COMMANDS
    prog = "pgcore train"
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {prog} ALGO --env-id ID [OPTIONS]\n\nALGO is one of: {', '.join(names)}")
        print(f"Their options: {prog} ALGO --help")
        return 0
    algorithm, *rest = arguments
    if algorithm not in names:
        raise CommandError(f"ALGO: expected one of {', '.join(names)}, got {algorithm!r}")
    kind: type[Algorithm[Any]] = getattr(algorithms, names[algorithm])

    resuming = "--resume" in rest
    default = _resumed(algorithm, kind, rest) if resuming else _preset(algorithm, kind, rest)
    args: TrainArguments[Any] = parse(
        _arguments_class(algorithm)[kind.config_class],  # type: ignore[index]  # made at run time, for tyro
        rest,
        prog=f"{prog} {algorithm}",
        description=f"Train a policy with {names[algorithm]}, evaluate it, keep all in a run directory.",
        default=default,
    )
    if resuming:
        _refuse_changes(args, default)
    return _train(algorithm, kind, args)


def _arguments_class(algorithm: str) -> type[TrainArguments[Any]]:
    return {"bc": CloneArguments, "offpolicy": ReuseArguments}.get(algorithm, TrainArguments)


def _preset(algorithm: str, kind: type[Algorithm[Any]], arguments: list[str]) -> TrainArguments[Any]:
    """Defaults for the environment that ``arguments`` name."""
    env_id = option_value(arguments, "env-id")
    preset = presets.available(algorithm).get(env_id or "")
    make = _arguments_class(algorithm)
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


def _resumed(algorithm: str, kind: type[Algorithm[Any]], arguments: list[str]) -> TrainArguments[Any]:
    """What the run in ``--out`` was started with."""
    out = option_value(arguments, "out")
    if out is None:
        raise CommandError("--resume: expected --out DIR with the run to go on with, got no --out")
    config = RunDirectory(Path(out)).read_config(argument="--out")
    if config.pop("algorithm") != algorithm:
        raise CommandError(f"--out: expected a run of {algorithm}, got one of another algorithm in {out}")
    config.pop("pgcore_version", None)
    try:
        hyperparameters = make_config(kind.config_class, config.pop("hyperparameters"))
        return _arguments_class(algorithm)(
            **{**config, "hidden": tuple(config["hidden"])}, hyperparameters=hyperparameters, out=Path(out)
        )
    except (TypeError, ValueError, KeyError) as error:
        raise CommandError(f"--out: expected the config.json of a run, got one in {out} ({error})") from None


def _refuse_changes(args: TrainArguments[Any], started: TrainArguments[Any]) -> None:
    """A resumed run keeps what decides its course; only how long it goes on may be new."""
    now, then = _decisive(args), _decisive(started)
    for name, value in now.items():
        if value != then[name]:
            raise CommandError(
                f"--{name.replace('_', '-')}: expected {then[name]!r}, as the run in {args.out} was started "
                f"with, got {value!r}; a resumed run keeps its settings"
            )


def _decisive(args: TrainArguments[Any]) -> dict[str, Any]:
    """Everything but what may differ from one resumption to the next, flat."""
    settings = dataclasses.asdict(args)
    hyperparameters = settings.pop("hyperparameters")
    return {**{name: value for name, value in settings.items() if name not in _MAY_CHANGE}, **hyperparameters}


def _train(algorithm: str, kind: type[Algorithm[Any]], args: TrainArguments[Any]) -> int:
    directory = (
        RunDirectory.default(algorithm, args.env_id, args.seed)
        if args.out is None
        else RunDirectory(args.out)
    )
    if not args.resume:
        directory.require_free()
    again = f"go on with pgcore train {algorithm} --resume --out {directory.path}"
    try:
        # Worker processes inherit that signals are kept away: Ctrl-C is for this process alone.
        with one_line_errors(), deferred_signals():
            model = _model(kind, args, directory)
            directory.write_config(_config(algorithm, args))
            done = model.num_timesteps if args.resume else None
            progress = CSVLogger(directory.progress_file, resume_at=done)
    except Interrupted as interrupt:
        raise CommandError(f"interrupted before the first step; {again}", interrupt.status) from None

    failure = None
    with _closing(model), ignored_signals():
        try:
            with ExitStack() as stack, raising_signals():
                stack.enter_context(closing(progress))
                _announce(algorithm, args, directory, model)
                console = stack.enter_context(closing(ConsoleLogger(args.total_timesteps)))
                model.learn(
                    max(0, args.total_timesteps - model.num_timesteps),
                    callback=[progress, console, CheckpointCallback(directory.model_file, args.save_freq)],
                    reset_num_timesteps=False,
                )
        except Interrupted as interrupt:
            failure = CommandError(
                f"interrupted after {model.num_timesteps:,} steps; {again}", interrupt.status
            )
        except (FloatingPointError, FaultyEnvironmentError, WorkerError) as error:
            failure = CommandError(f"training broke down after {model.num_timesteps:,} steps: {error}", 1)
        finally:  # whatever happened, the iterations that were finished are kept
            with one_line_errors(OSError):
                model.save(directory.model_file)
    if failure is not None:
        raise failure
    if args.eval_episodes:
        with one_line_errors():
            result = evaluate(model, args.env_id, args.backend, args.eval_episodes, args.seed)
            directory.write_evaluation(result)
        print(evaluation_text(result))
    return 0


@contextmanager
def _closing(model: Algorithm[Any]) -> Iterator[None]:
    """Close the environments at the end, without a warning about a step that was broken off."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.close()


def _model(kind: type[Algorithm[Any]], args: TrainArguments[Any], directory: RunDirectory) -> Algorithm[Any]:
    data: dict[str, Any] = {}
    if isinstance(args, ReuseArguments) and args.demonstrations is not None:
        data["demonstrations"] = args.demonstrations
    if args.resume and directory.model_file.exists():
        model: Any = load(directory.model_file)
        if data:
            model.set_demonstrations(**data)
        model.set_env(args.env_id)
        return cast(Algorithm[Any], model)
    return kind(
        args.env_id,
        seed=args.seed,
        num_envs=args.num_envs,
        backend=args.backend,
        hidden=args.hidden,
        activation=args.activation,
        **data,
        **dataclasses.asdict(args.hyperparameters),
    )


def _config(algorithm: str, args: TrainArguments[Any]) -> dict[str, Any]:
    settings = dataclasses.asdict(args)
    for name in ("out", "resume"):
        del settings[name]
    return {"pgcore_version": __version__, "algorithm": algorithm, **settings}


def _announce(
    algorithm: str, args: TrainArguments[Any], directory: RunDirectory, model: Algorithm[Any]
) -> None:
    print(f"{algorithm} on {args.env_id}, seed {args.seed}, in {directory.path}")
    if args.resume:
        print(f"resumed after {model.num_timesteps:,} of {args.total_timesteps:,} steps")
        return
    preset = presets.available(algorithm).get(args.env_id)
    if preset is None:
        print(f"no preset for {args.env_id}: defaults ({args.total_timesteps:,} steps)")
        return
    now = {**dataclasses.asdict(args), **dataclasses.asdict(args.hyperparameters)}
    shipped = {"total_timesteps": preset.total_timesteps, **preset.arguments}
    changed = ", ".join(name for name, value in shipped.items() if now[name] != value)
    settings = " ".join(f"{name}={value}".replace(", ", ",") for name, value in shipped.items())
    note = f" (overridden: {changed})" if changed else ""
    print(
        textwrap.fill(f"preset: {settings}{note}", 80, subsequent_indent="        ", break_on_hyphens=False),
        flush=True,
    )
