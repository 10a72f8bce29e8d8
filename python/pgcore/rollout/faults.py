"""Faults of environments: one wording for all, and which exceptions are an environment's own."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import gymnasium as gym
import numpy as np

__all__ = [
    "FaultyEnvironmentError",
    "WorkerError",
    "describe",
    "has_own_frames",
    "is_from_environment",
    "mark",
    "place",
    "raise_located",
    "raise_made",
]

_RETURNS = {
    "step()": "five values (obs, reward, terminated, truncated, info)",
    "reset()": "two values (obs, info)",
}


class FaultyEnvironmentError(ValueError):
    """An environment returned what gymnasium's interface or its own spaces do not allow."""


class WorkerError(RuntimeError):
    """A worker process of an asynchronous vector environment ended or does not answer."""


def place(index: int | None, call: str) -> str:
    """Return where a fault is: which environment, in which call.

    >>> place(1, "step()")
    'environment 1, step()'
    """
    return f"env, {call}" if index is None else f"environment {index}, {call}"


def describe(value: object) -> str:
    """Return what a message calls a value: an array by dtype and shape, anything else by type and value.

    >>> describe(np.zeros((2, 3))), describe(None), describe((1, 2))
    ('float64 of shape (2, 3)', 'None', 'tuple (1, 2)')
    """
    if isinstance(value, np.ndarray) and (value.ndim or value.dtype != object):
        return f"{value.dtype} of shape {value.shape}"
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def mark(error: BaseException, where: str) -> None:
    """Note in an exception that an environment's own code raised it, and where."""
    if not is_from_environment(error):
        error.add_note(f"(raised by the code of {where})")
        with contextlib.suppress(AttributeError, TypeError):  # a class may have slots
            error.raised_by_environment = True  # type: ignore[attr-defined]  # a mark of ours


def is_from_environment(error: BaseException) -> bool:
    """Whether `mark` noted so: such an exception means nothing without its traceback."""
    return bool(getattr(error, "raised_by_environment", False))


def raise_located(
    error: Exception, index: int | None, call: str, method: Callable[..., object] | None = None
) -> NoReturn:
    """Raise again an exception that came out of a call of an environment, and say where it was.

    What the environment's own code raised keeps its type and traceback. Where only gymnasium and NumPy were
    at work, they could not take what the environment returned: that becomes an `FaultyEnvironmentError`.

    Parameters
    ----------
    error
        Caught in the function that made the call.
    index
        Of the environment; None if it is not known.
    call
        ``"step()"``, ``"reset()"``, or another name of what was called.
    method
        The method that was called; a `TypeError` may be due to parameters that it lacks.
    """
    where = place(index, call)
    kept = isinstance(error, FaultyEnvironmentError | WorkerError | MemoryError)
    if kept or is_from_environment(error) or type(error).__module__ == gym.error.__name__:
        raise error
    files = list(_files(error))
    if not files and isinstance(error, TypeError) and (lacking := _lacking(method)):
        raise FaultyEnvironmentError(
            f"{where}: expected keyword arguments seed and options, got a method without {lacking}"
        ) from error
    if not files or has_own_frames(error):
        mark(error, where)
        raise error
    raise FaultyEnvironmentError(
        f"{where}: expected {_RETURNS.get(call, 'what gymnasium takes')}, got what it refuses: "
        f"{type(error).__name__}: {' '.join(str(error).split())}"
    ) from error


def raise_made(error: Exception, name: str) -> NoReturn:
    """Raise again an exception that came out of making an environment, as `raise_located` does.

    What gymnasium itself says about arguments that a constructor does not take stays what it is.
    """
    if isinstance(error, WorkerError | FaultyEnvironmentError | MemoryError):
        raise error
    if has_own_frames(error):
        mark(error, f"{name}, when it was made")
    elif isinstance(error, AssertionError | AttributeError | RuntimeError):
        raise FaultyEnvironmentError(
            f"env: expected an environment that gymnasium takes, got {name!r}: {' '.join(str(error).split())}"
        ) from error
    raise error


def has_own_frames(error: BaseException) -> bool:
    """Whether any code but gymnasium's and NumPy's was running when it was raised, or a cause of it."""
    return not all(map(_is_library, _files(error)))


def _files(error: BaseException) -> Iterator[str]:
    """Files of the code that was running below the function that caught the error, causes included."""
    chain: BaseException | None = error
    while chain is not None:
        frames: TracebackType | None = chain.__traceback__
        while frames is not None and (frames := frames.tb_next) is not None:
            yield frames.tb_frame.f_code.co_filename
        chain = chain.__cause__ or chain.__context__


def _lacking(method: Callable[..., object] | None) -> str:
    """Keyword arguments of `reset` that a method does not take, as a message lists them."""
    if method is None:
        return ""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return ""
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return ""
    return " and ".join(name for name in ("seed", "options") if name not in parameters)


_STANDARD = Path(os.__file__).parent
_GYMNASIUM = Path(gym.__file__).parent
_LIBRARIES = (_GYMNASIUM, Path(np.__file__).parent, Path(__file__).parent)


def _is_library(file: str) -> bool:
    """Whether a file belongs to what runs between pgcore and an environment's code."""
    if file.startswith("<frozen "):
        return True
    path = Path(file)
    if path.is_relative_to(_GYMNASIUM / "envs"):  # environments too, but for the code that makes them
        return path.name == "registration.py"
    if any(path.is_relative_to(library) for library in _LIBRARIES):
        return True
    return path.is_relative_to(_STANDARD) and "site-packages" not in path.parts
