"""``pgcore train ALGO``: train a policy, evaluate it, write a run directory."""

from __future__ import annotations

import dataclasses
import shlex
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

from pgcore import algorithms, presets
from pgcore._version import __version__
from pgcore.cli.errors import CommandError, one_line_errors, run_directory_errors, unwritable
from pgcore.cli.eval import evaluate, evaluation_text
from pgcore.cli.output import STDOUT, say
from pgcore.cli.parse import parse
from pgcore.cli.signals import Interrupted, deferred_signals, ignored_signals, raising_signals
from pgcore.cli.train_arguments import (
    LearnsFromDemonstrations,
    ReuseArguments,
    TrainArguments,
    arguments_class,
    changed_settings,
    preset_arguments,
    refuse_changes,
    resumed_arguments,
)
from pgcore.io.files import naming
from pgcore.loading import load
from pgcore.rollout.faults import FaultyEnvironmentError, WorkerError
from pgcore.runs import RunConfig, RunDirectory
from pgcore.training import Algorithm, CheckpointCallback, Config, ConsoleLogger, CSVLogger

__all__ = ["run"]


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    names = algorithms.COMMANDS
    prog = "pgcore train"
    if not arguments or arguments[0] in ("-h", "--help"):
        say(f"usage: {prog} ALGO --env-id ID [OPTIONS]\n\nALGO is one of: {', '.join(names)}")
        say("or module:Class, an algorithm of your own")
        say(f"Options of an algorithm: {prog} ALGO --help")
        return 0
    algorithm, *rest = arguments
    try:
        kind = algorithms.find(algorithm)
    except ValueError as error:
        raise CommandError(str(error)) from error

    resuming = "--resume" in rest
    defaults = resumed_arguments if resuming else preset_arguments
    default = defaults(algorithm, kind, rest)
    # For example `TrainArguments[PPOConfig]`, which tyro reads.
    generic = arguments_class(kind)
    parametrized: type[TrainArguments[Config]] = generic[kind.config_class]  # type: ignore[index]  # made at run time
    args = parse(
        parametrized,
        rest,
        prog=f"{prog} {algorithm}",
        description=f"Train a policy with {kind.__name__}; evaluate and save it in a run directory.",
        default=default,
    )
    if resuming:
        refuse_changes(args, default)
    return _train(algorithm, kind, args, changed_settings(args, default))


def _train(
    algorithm: str, kind: type[Algorithm[Config]], args: TrainArguments[Config], changed: dict[str, object]
) -> int:
    directory = None if args.out is None else RunDirectory(args.out)
    if directory is not None and not args.resume:
        _require_new(directory)
    with ExitStack() as held:
        try:
            # Worker processes inherit that signals are kept away: Ctrl-C is for this process alone.
            with one_line_errors(), deferred_signals():
                if directory is not None and args.resume:
                    _lock(directory, held)
                model = _model(kind, args, directory)
                held.enter_context(_closing(model))
                if directory is None or not args.resume:  # only now: bad arguments leave nothing behind
                    directory = _made(directory, algorithm, args, changed)
                    _lock(directory, held)
                    _require_new(directory, locked=True)
                with run_directory_errors("--out"):
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
            with run_directory_errors("--out"):
                directory.write_evaluation(result)
    return 0


def _made(
    directory: RunDirectory | None, algorithm: str, args: TrainArguments[Config], changed: dict[str, object]
) -> RunDirectory:
    with run_directory_errors("--out"):
        if directory is None:
            return RunDirectory.new(algorithm, args.env_id, args.seed, changed)
        directory.make()
        return directory


def _require_new(directory: RunDirectory, *, locked: bool = False) -> None:
    """Refuse a directory whose files a new run would overwrite, or in which another process trains."""
    try:
        with run_directory_errors("--out"):
            if not locked:
                directory.require_unused()
            directory.require_free()
    except CommandError as error:
        if isinstance(error.__context__, FileExistsError) and directory.config_file.exists():
            raise CommandError(f"{error}; add --resume to continue the run there") from None
        raise


def _lock(directory: RunDirectory, held: ExitStack) -> None:
    with run_directory_errors("--out"):
        held.enter_context(directory.locked())


def _again(algorithm: str, directory: RunDirectory) -> str:
    return f"resume with: pgcore train {algorithm} --resume --out {shlex.quote(str(directory.path))}"


def _learn(
    algorithm: str,
    args: TrainArguments[Config],
    directory: RunDirectory,
    model: Algorithm[Config],
    progress: CSVLogger,
) -> None:
    """Train for the remaining steps; keep all complete iterations, whatever happens."""
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
            failure = CommandError(f"training failed after {model.num_timesteps:,} steps: {error}", 1)
        except OSError as error:
            ours = (STDOUT, str(directory.progress_file), str(directory.model_file))
            if error.filename not in ours or isinstance(error, BrokenPipeError):
                raise
            failure = unwritable(
                error, f"; the {model.num_timesteps:,} steps so far are kept; {_again(algorithm, directory)}"
            )
        finally:
            lost = _keep(directory, model, progress)
    if lost:
        raise CommandError(f"{lost}; {_again(algorithm, directory)}", 1)
    if failure is not None:
        raise failure


def _named(
    file: str | Path, callback: Callable[[Algorithm[Config]], None]
) -> Callable[[Algorithm[Config]], None]:
    """Return ``callback`` with the file named in its `OSError`; one without a name is the environment's."""

    def call(model: Algorithm[Config]) -> None:
        with naming(file):
            callback(model)

    return call


def _keep(directory: RunDirectory, model: Algorithm[Config], progress: CSVLogger) -> str:
    """Write the last iteration's line, if an interrupt or a full disk prevented it, and the model.

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


def _save(directory: RunDirectory, model: Algorithm[Config]) -> str:
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
def _closing(model: Algorithm[Config]) -> Iterator[None]:
    """Close the environments at the end, without a warning about a step that was interrupted."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.close()


def _model(
    kind: type[Algorithm[Config]], args: TrainArguments[Config], directory: RunDirectory | None
) -> Algorithm[Config]:
    demonstrations = args.demonstrations if isinstance(args, ReuseArguments) else None
    if args.resume and directory is not None and directory.model_file.exists():
        model = load(directory.model_file)
        if demonstrations is not None:
            assert isinstance(model, LearnsFromDemonstrations)
            model.set_demonstrations(demonstrations)
        model.set_env(args.env_id)
        return model
    data: dict[str, Any] = {} if demonstrations is None else {"demonstrations": demonstrations}
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


def _config(algorithm: str, args: TrainArguments[Config]) -> RunConfig:
    settings = dataclasses.asdict(args)
    for name in ("out", "resume"):
        del settings[name]
    return cast(RunConfig, {"pgcore_version": __version__, "algorithm": algorithm, **settings})


def _announce(
    algorithm: str, args: TrainArguments[Config], directory: RunDirectory, model: Algorithm[Config]
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
