"""The ``pgcore`` command: ``train``, ``eval``, ``plot``, ``lab``, ``bench`` and ``info``."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
from collections.abc import Iterator, Sequence

from pgcore._version import __version__
from pgcore.cli.errors import CommandError
from pgcore.cli.output import STDOUT, flush, give_up_stdout, say, usable_streams

__all__ = ["main"]

_COMMANDS = {
    "train": "train a policy, evaluate it, save everything in a run directory",
    "eval": "evaluate a trained policy on new episodes",
    "plot": "draw learning curves of run directories",
    "lab": "draw figures of gradient estimates and the exact gradient",
    "bench": "compare the speed of every kernel with that of other libraries",
    "info": "show versions and which compiled core runs",
}

# Written out: printing it imports none of the commands.
_HELP = f"""\
usage: pgcore COMMAND ...

Policy gradients on CPUs.

commands:
  train ALGO   {_COMMANDS["train"]}
  eval DIR     {_COMMANDS["eval"]}
  plot DIR...  {_COMMANDS["plot"]}
  lab FIGURE   {_COMMANDS["lab"]}
  bench        {_COMMANDS["bench"]}
  info         {_COMMANDS["info"]}

options:
  -h, --help   show this help; for a command: pgcore train reinforce --help
  --version    show the version

example:
  pgcore train reinforce --env-id CartPole-v1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv
        Arguments after the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0; 1 if training failed or a disk is full; 2 for bad arguments, unknown environments and
        unreadable files (with one line on standard error); 128 + n after signal n, 130 for Ctrl-C; 141 if the
        reader of standard output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with usable_streams():
        try:
            try:
                status = _run(arguments)
            except SystemExit:  # after --help
                flush()
                raise
            flush()
            return status
        except CommandError as error:
            _report(error)
            return error.status
        except MemoryError as error:
            _report(f"expected sizes that fit into memory, got: {error}")
            return 2
        except BrokenPipeError as error:
            if error.filename != STDOUT and not _reader_has_gone():  # for example, of an environment's socket
                raise
            give_up_stdout()
            return 128 + 13
        except OSError as error:
            if error.filename != STDOUT:
                raise
            give_up_stdout()
            _report(f"{STDOUT}: expected to be able to write to it, got {error.strerror}")
            return 1
        except KeyboardInterrupt:
            return 130


def _report(error: object) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        print(f"pgcore: {error}", file=sys.stderr)


def _reader_has_gone() -> bool:
    """Whether standard output is a pipe whose reader has gone, as after `| head`."""
    if not hasattr(select, "poll"):  # Windows, where a broken pipe is another error
        return False
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_HELP.rstrip("\n"))
        return 0
    if arguments[0] in ("-V", "--version"):
        say(f"pgcore {__version__}")
        return 0
    command, *rest = arguments
    if command not in _COMMANDS:
        raise CommandError(f"COMMAND: expected one of {', '.join(_COMMANDS)}, got {command!r}")
    module = importlib.import_module(f"pgcore.cli.{command}")
    with _current_directory_searched() if command in ("train", "eval") else contextlib.nullcontext():
        status: int = module.run(rest)
    return status


@contextlib.contextmanager
def _current_directory_searched() -> Iterator[None]:
    """Let ``--env-id myenvs:Grid-v0`` find the ``myenvs.py`` beside it, as ``python -m pgcore`` does."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    if not here or sys.flags.safe_path or here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
