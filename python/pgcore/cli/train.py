"""``pgcore train ALGO``: a policy, its evaluation and a run directory."""

from __future__ import annotations

import dataclasses
import os
import shlex
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import tyro

from pgcore import algorithms, presets
from pgcore._version import __version__
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.eval import evaluate, evaluation_text
from pgcore.cli.output import STDOUT, say
from pgcore.cli.parse import option_value, parse
from pgcore.cli.run_directory import RunDirectory
from pgcore.cli.signals import Interrupted, deferred_signals, ignored_signals, raising_signals
from pgcore.cli.train_arguments import CloneArguments, ReuseArguments, TrainArguments
from pgcore.io.files import naming
from pgcore.loading import load
from pgcore.rollout.faults import FaultyEnvironmentError, WorkerError
from pgcore.training import Algorithm, CheckpointCallback, ConsoleLogger, CSVLogger, make_config

__all__ = ["run"]

_MAY_CHANGE = ("total_timesteps", "out", "resume", "save_freq", "eval_episodes")


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    names = algorithms.COMMANDS
    prog = "pgcore train"
    if not arguments or arguments[0] in ("-h", "--help"):
        say(f"usage: {prog} ALGO --env-id ID [OPTIONS]\n\nALGO is one of: {', '.join(names)}")
        say("or module:Class, an algorithm of your own")
        say(f"Their options: {prog} ALGO --help")
        return 0
    algorithm, *rest = arguments
    try:
        kind = algorithms.find(algorithm)
    except ValueError as error:
        raise CommandError(str(error)) from error

    resuming = "--resume" in rest
    default = _resumed(algorithm, kind, rest) if resuming else _preset(algorithm, kind, rest)
    args: TrainArguments[Any] = parse(
        _arguments_class(kind)[kind.config_class],  # type: ignore[index]  # made at run time, for tyro
        rest,
        prog=f"{prog} {algorithm}",
        description=f"Train a policy with {kind.__name__}, evaluate it, keep all in a run directory.",
        default=default,
    )
    if resuming:
        _refuse_changes(args, default)
    return _train(algorithm, kind, args, _changed(args, default))


def _arguments_class(kind: type[Algorithm[Any]]) -> type[TrainArguments[Any]]:
    known = {"required": CloneArguments, "optional": ReuseArguments, "unused": TrainArguments}
    return known[kind.demonstrations_are]


def _preset(algorithm: str, kind: type[Algorithm[Any]], arguments: list[str]) -> TrainArguments[Any]:
    """Defaults for the environment that ``arguments`` name."""
    env_id = option_value(arguments, "env-id")
    preset = presets.available(algorithm).get(env_id or "")
    make = _arguments_class(kind)
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
    directory = RunDirectory(Path(os.path.expanduser(out)))
    try:
        config = directory.read_config(argument="--out")
    except CommandError as error:
        if directory.has_learned():
            raise
        raise CommandError(f"{error}; nothing was learned there: leave --resume out to start") from None
    if (found := config.pop("algorithm")) != algorithm:
        raise CommandError(f"--out: expected a run of {algorithm}, got one of {found} in {out}")
    config.pop("pgcore_version", None)
    try:
        hyperparameters = make_config(kind.config_class, config.pop("hyperparameters"))
        return _arguments_class(kind)(
            **{**config, "hidden": tuple(config["hidden"])},
            hyperparameters=hyperparameters,
            out=directory.path,
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


def _changed(args: TrainArguments[Any], default: TrainArguments[Any]) -> dict[str, Any]:
    """What was asked for that the preset, or the defaults, would not have done."""
    usual = {**_decisive(default), "total_timesteps": default.total_timesteps}
    asked = {**_decisive(args), "total_timesteps": args.total_timesteps}
    return {
        name: value
        for name, value in asked.items()
        if value != usual[name] and name not in ("env_id", "seed", "demonstrations")
    }


def _decisive(args: TrainArguments[Any]) -> dict[str, Any]:
    """Everything but what may differ from one resumption to the next, flat."""
    settings = dataclasses.asdict(args)
    hyperparameters = settings.pop("hyperparameters")
    return {**{name: value for name, value in settings.items() if name not in _MAY_CHANGE}, **hyperparameters}


def _train(
    algorithm: str, kind: type[Algorithm[Any]], args: TrainArguments[Any], changed: dict[str, Any]
) -> int:
    directory = None if args.out is None else RunDirectory(args.out)
    if directory is not None and not args.resume:
        directory.require_unused()
        directory.require_free()
    with ExitStack() as held:
        try:
            # Worker processes inherit that signals are kept away: Ctrl-C is for this process alone.
            with one_line_errors(), deferred_signals():
                if directory is not None and args.resume:
                    held.enter_context(directory.locked())
                model = _model(kind, args, directory)
                held.enter_context(_closing(model))
                if directory is None or not args.resume:  # only now: bad arguments leave nothing behind
                    directory = _made(directory, algorithm, args, changed)
                    held.enter_context(directory.locked())
                    directory.require_free()
                directory.write_config(_config(algorithm, args))
                progress = directory.open_progress(resume_at=model.num_timesteps)
                held.enter_context(closing(progress))
        except Interrupted as interrupt:
            again = "" if directory is None else f"; {_again(algorithm, directory)}"
            raise CommandError(f"interrupted before the first step{again}", interrupt.status) from None
        with _closing(model):
            _learn(algorithm, args, directory, model, progress)
        if args.eval_episodes:
            with one_line_errors():
                result = evaluate(model, args.env_id, args.backend, args.eval_episodes, args.seed)
            say(evaluation_text(result))
            directory.write_evaluation(result)
    return 0


def _made(
    directory: RunDirectory | None, algorithm: str, args: TrainArguments[Any], changed: dict[str, Any]
) -> RunDirectory:
    if directory is None:
        return RunDirectory.new(algorithm, args.env_id, args.seed, changed)
    directory.make()
    return directory


def _again(algorithm: str, directory: RunDirectory) -> str:
    return f"go on with pgcore train {algorithm} --resume --out {shlex.quote(str(directory.path))}"


def _learn(
    algorithm: str,
    args: TrainArguments[Any],
    directory: RunDirectory,
    model: Algorithm[Any],
    progress: CSVLogger,
) -> None:
    """Learn what is left to learn; whatever happens, keep the iterations that were finished."""
    failure = None
    with ignored_signals():
        try:
            with ExitStack() as stack, raising_signals():
                _announce(algorithm, args, directory, model)
                console = stack.enter_context(closing(ConsoleLogger(args.total_timesteps)))

                checkpoint = CheckpointCallback(directory.model_file, args.save_freq)
                model.learn(
                    max(0, args.total_timesteps - model.num_timesteps),
                    callback=[
                        _named(directory.progress_file, progress),
                        _named(STDOUT, console),
                        _named(directory.model_file, checkpoint),
                    ],
                    reset_num_timesteps=False,
                )
        except Interrupted as interrupt:
            failure = CommandError(
                f"interrupted after {model.num_timesteps:,} steps; {_again(algorithm, directory)}",
                interrupt.status,
            )
        except (FloatingPointError, FaultyEnvironmentError, WorkerError) as error:
            failure = CommandError(f"training broke down after {model.num_timesteps:,} steps: {error}", 1)
        except OSError as error:
            ours = (STDOUT, str(directory.progress_file), str(directory.model_file))
            if error.filename not in ours or isinstance(error, BrokenPipeError):
                raise
            failure = CommandError(
                f"{error.filename}: expected to be able to write to it, got {error.strerror}; the "
                f"{model.num_timesteps:,} steps so far are kept; {_again(algorithm, directory)}",
                1,
            )
        finally:
            lost = _keep(directory, model, progress)
    if lost:
        raise CommandError(f"{lost}; {_again(algorithm, directory)}", 1)
    if failure is not None:
        raise failure


def _named(file: str | Path, callback: Callable[[Algorithm[Any]], None]) -> Callable[[Algorithm[Any]], None]:
    """``callback``, whose `OSError` says which file it was about; one without a name is the environment's."""

    def call(model: Algorithm[Any]) -> None:
        with naming(file):
            callback(model)

    return call


def _keep(directory: RunDirectory, model: Algorithm[Any], progress: CSVLogger) -> str:
    """Write the last iteration's line, if an interrupt or a full disk kept it back, and the model.

    Returns
    -------
    str
        What was lost, or "".
    """
    for attempt in range(2):  # there may be room again after the model
        try:
            with naming(directory.progress_file):
                progress(model)
            break
        except OSError as error:
            unwritten = error
        if attempt == 0 and (lost := _save(directory, model)):
            return lost
    else:
        return (
            f"{unwritten.filename}: expected to be able to write to it, got {unwritten.strerror}; the model "
            f"after {model.num_timesteps:,} steps is kept, their line of the learning curve is lost"
        )
    return _save(directory, model)


def _save(directory: RunDirectory, model: Algorithm[Any]) -> str:
    try:
        model.save(directory.model_file)
    except OSError as error:
        try:
            kept = load(directory.model_file).num_timesteps
        except (OSError, ValueError):
            kept = 0
        return (
            f"{directory.model_file}: expected to be able to write to it, got {error.strerror}; the last "
            f"{model.num_timesteps - kept:,} steps are lost, the {kept:,} before them are kept"
        )
    return ""


@contextmanager
def _closing(model: Algorithm[Any]) -> Iterator[None]:
    """Close the environments at the end, without a warning about a step that was broken off."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.close()


def _model(
    kind: type[Algorithm[Any]], args: TrainArguments[Any], directory: RunDirectory | None
) -> Algorithm[Any]:
    data: dict[str, Any] = {}
    if isinstance(args, ReuseArguments) and args.demonstrations is not None:
        data["demonstrations"] = args.demonstrations
    if args.resume and directory is not None and directory.model_file.exists():
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
    say(f"{algorithm} on {args.env_id}, seed {args.seed}, in {directory.path}")
    if args.resume:
        say(f"resumed after {model.num_timesteps:,} of {args.total_timesteps:,} steps")
        return
    preset = presets.available(algorithm).get(args.env_id)
    if preset is None:
        say(f"no preset for {args.env_id}: defaults ({args.total_timesteps:,} steps)")
        return
    now = {**dataclasses.asdict(args), **dataclasses.asdict(args.hyperparameters)}
    shipped = {"total_timesteps": preset.total_timesteps, **preset.arguments}
    changed = ", ".join(name for name, value in shipped.items() if now[name] != value)
    settings = " ".join(f"{name}={value}".replace(", ", ",") for name, value in shipped.items())
    note = f" (overridden: {changed})" if changed else ""
    say(textwrap.fill(f"preset: {settings}{note}", 80, subsequent_indent="        ", break_on_hyphens=False))
