"""How a command fails: one line, and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["CommandError", "one_line_errors", "run_directory_errors", "unwritable"]


class CommandError(Exception):
    """Ends the command with one line on standard error.

    Parameters
    ----------
    message
        What was expected and what came; line breaks become spaces.
    status
        Exit status.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


@contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions that tell a user what is wrong with the arguments into a `CommandError`.

    Parameters
    ----------
    *kinds
        Exception classes to catch; by default those that constructors raise for bad arguments, unknown
        environments, missing packages and unreadable files. What the code of an environment raised is not
        caught.
    """
    caught = kinds or (ValueError, TypeError, ImportError, OSError)
    try:
        yield
    except Exception as error:
        from pgcore.rollout.faults import WorkerError, is_from_environment  # imports gymnasium

        if not isinstance(error, (*caught, WorkerError)) or is_from_environment(error):
            raise  # an error of an environment's code needs its traceback
        raise CommandError(str(error) or type(error).__name__) from error


@contextmanager
def run_directory_errors(argument: str) -> Iterator[None]:
    """Turn what a `RunDirectory` raises into a `CommandError` about the argument that named the directory.

    Parameters
    ----------
    argument
        How the user gave the directory: ``--out`` or ``DIR``.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # a file that cannot be written
            raise unwritable(error) from None
        raise CommandError(f"{argument}{str(error).removeprefix('path')}") from None


def unwritable(error: OSError, consequence: str = "") -> CommandError:
    """Return the `CommandError` for a file that cannot be written; ``consequence`` ends its message."""
    return CommandError(
        f"{error.filename}: expected to be able to write to it, got {error.strerror}{consequence}", 1
    )
