"""Standard output and standard error as a command finds them: closed, full, or with few characters."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["STDOUT", "flush", "give_up_stdout", "say", "to_stdout", "usable_streams"]

STDOUT = "standard output"


@contextmanager
def to_stdout() -> Iterator[None]:
    """Let an `OSError` from inside this context name standard output as its file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, STDOUT) from error


def say(text: str) -> None:
    """Print a line on standard output at once."""
    with to_stdout():
        print(text, flush=True)


def flush() -> None:
    """Write what is left for standard output, while a failure can still be reported."""
    with to_stdout():
        sys.stdout.flush()


def give_up_stdout() -> None:
    """Drop what standard output did not take, or Python tries again when it ends."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process


@contextmanager
def usable_streams() -> Iterator[None]:
    """Inside this context, printing does not fail for a closed stream or for a character.

    A character that a stream's encoding does not have becomes ``?``. A stream that was closed before Python
    started is replaced by the null device, which takes the stream's number too: otherwise the next file that
    is opened would get it, and prints would go to that file. A warning is one line, without its place in the
    code.
    """
    if sys.stdout is None or sys.stderr is None:
        # The lowest free number is given out first; all that are closed get one.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - likewise
    failing = [  # surrogateescape is the locale C's: it only takes bytes that were no characters
        (stream, stream.errors)
        for stream in (sys.stdout, sys.stderr)
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape")
    ]
    for stream, _ in failing:
        stream.reconfigure(errors="replace")
    formatted, warnings.formatwarning = warnings.formatwarning, _one_line
    try:
        yield
    finally:
        warnings.formatwarning = formatted
        for stream, errors in failing:
            with contextlib.suppress(OSError, ValueError):  # full, or closed meanwhile
                stream.reconfigure(errors=errors)


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(message))  # gymnasium colours its own
    return f"pgcore: warning: {' '.join(text.removeprefix('WARN: ').split())}\n"
