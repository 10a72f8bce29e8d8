"""The ``pgcore`` command: ``train``, ``eval``, ``plot``, ``lab``, ``bench`` and ``info``."""

from __future__ import annotations

import importlib
import os
import select
import sys
from collections.abc import Sequence

from pgcore._version import __version__
from pgcore.cli.errors import CommandError

__all__ = ["main"]

_COMMANDS = {
    "train": "train a policy and evaluate it, in a run directory",
    "eval": "play fresh episodes with a trained policy",
    "plot": "draw learning curves of run directories",
    "lab": "draw figures where the true gradient is known",
    "bench": "time every kernel beside its NumPy reference",
    "info": "show versions and the compiled core in use",
}

# Written out, so that asking what there is costs no more than starting Python.
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
  -h, --help   show this help, or a command's: pgcore train reinforce --help
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
        0; 1 if training broke down; 2 for bad arguments, unknown environments and unreadable files (with one
        line on standard error); 130 after an interrupt; 141 if nobody reads standard output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except CommandError as error:
        print(f"pgcore: {error}", file=sys.stderr)
        return error.status
    except MemoryError as error:
        print(f"pgcore: expected sizes that fit into memory, got: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _nobody_reads():  # of an environment's socket, say
            raise
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or Python tries again when it ends
        return 128 + 13
    except KeyboardInterrupt:
        return 130


def _nobody_reads() -> bool:
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
        print(_HELP, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"pgcore {__version__}")
        return 0
    command, *rest = arguments
    if command not in _COMMANDS:
        raise CommandError(f"COMMAND: expected one of {', '.join(_COMMANDS)}, got {command!r}")
    status: int = importlib.import_module(f"pgcore.cli.{command}").run(rest)
    return status
