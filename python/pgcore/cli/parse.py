"""Command lines into dataclasses, by tyro, with its errors in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import tyro

from pgcore.cli.errors import CommandError

__all__ = ["option_value", "parse", "require_at_least"]

_ANSI = re.compile("\x1b\\[[0-9;]*m")


def parse(
    arguments_class: Any, arguments: Sequence[str], *, prog: str, description: str, default: Any = None
) -> Any:
    """Parse ``arguments``; ``--help`` prints the help and leaves with status 0.

    Parameters
    ----------
    arguments_class
        The dataclass (with parameters, if generic) to make.
    arguments
        What follows ``prog``.
    prog, description
        For the help.
    default
        An instance with the values that are not given.

    Raises
    ------
    CommandError
        If they don't fit: names the argument, what was expected and what came.
    """
    errors = io.StringIO()
    known: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(errors):
            result, unknown = tyro.cli(
                arguments_class,
                args=list(arguments),
                prog=prog,
                description=textwrap.fill(description, 80),
                config=(tyro.conf.OmitArgPrefixes,),
                return_unknown_args=True,
                **known,
            )
    except SystemExit as error:
        if error.code in (0, None):
            raise
        raise CommandError(f"{_without_box(errors.getvalue())} (see {prog} --help)") from None
    except (TypeError, ValueError) as error:  # a range that the dataclass checks itself
        name, colon, rest = str(error).partition(":")
        raise CommandError(f"--{name.replace('_', '-')}{colon}{rest}") from None
    if unknown:
        raise CommandError(
            f"unknown argument {unknown[0]!r}{_suggestion(unknown[0], result)} (see {prog} --help)"
        )
    return result


def option_value(arguments: Sequence[str], name: str) -> str | None:
    """The last value given for ``--name``, before anything is parsed; None if there is none.

    >>> option_value(["--seed", "1", "--env-id=CartPole-v1"], "env-id")
    'CartPole-v1'
    """
    value = None
    for i, argument in enumerate(arguments):
        flag, equals, rest = argument.partition("=")
        if flag.replace("_", "-") == f"--{name}":
            value = rest if equals else next(iter(arguments[i + 1 : i + 2]), None)
    return value


def require_at_least(arguments: Any, **minimums: int) -> None:
    """Raise a `ValueError` for the first of the named fields that is below its minimum."""
    for name, minimum in minimums.items():
        if getattr(arguments, name) < minimum:
            raise ValueError(f"{name}: expected an integer >= {minimum}, got {getattr(arguments, name)}")


def _without_box(text: str) -> str:
    """What tyro says inside its box, up to the rule that sets off the advice to read the help."""
    lines = []
    for line in text.splitlines():
        inside = _ANSI.sub("", line).strip().strip("│|").strip()
        if set(inside) <= set("─-"):
            break
        if not inside.startswith(("╭", "╰", "+")):
            lines.append(inside)
    return " ".join(lines)


def _suggestion(argument: str, result: Any) -> str:
    if not argument.startswith("--"):
        return ""
    names = [field.name for field in dataclasses.fields(result)]
    if dataclasses.is_dataclass(nested := getattr(result, "hyperparameters", None)):
        names += [field.name for field in dataclasses.fields(nested)]
    flags = [f"--{name.replace('_', '-')}" for name in names if name != "hyperparameters"]
    close = difflib.get_close_matches(argument.partition("=")[0].replace("_", "-"), flags, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
