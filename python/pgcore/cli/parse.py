"""Command lines into dataclasses, by tyro, with its errors in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Sequence
from typing import Any

import tyro

from pgcore.cli.errors import CommandError
from pgcore.kernels._coerce import integer

__all__ = ["option_value", "parse", "require_at_least"]

_ANSI = re.compile("\x1b\\[[0-9;]*m")
_PLAINER = (  # what Python and tyro say of a value that is no number
    (re.compile(r"invalid literal for int\(\) with base 10: "), "expected an integer, got "),
    (re.compile(r"could not convert string to float: "), "expected a number, got "),
    (re.compile(r"Could not find valid parse for arguments: \[(.*)\]"), r"expected other values, got \1"),
)
_OWN = re.compile(r"^Error parsing .*?: ?(?P<name>\w+): (?P<rest>expected .*)$")


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
        For the help; one line of at most 80 characters, since tyro doesn't wrap it.
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
                description=description,
                config=(tyro.conf.OmitArgPrefixes,),
                return_unknown_args=True,
                **known,
            )
    except SystemExit as error:
        if error.code in (0, None):
            raise
        raise CommandError(f"{_message(errors.getvalue())} (see {prog} --help)") from None
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
    """Raise a `ValueError` for the first of the named fields that is below its minimum, or beyond 64 bits."""
    for name, minimum in minimums.items():
        integer(name, getattr(arguments, name), minimum=minimum)


def _message(text: str) -> str:
    """What tyro says between its box's title and the rule that sets off the advice to read the help."""
    blocks: list[list[str]] = [[]]
    for line in _ANSI.sub("", text).splitlines():
        inside = line.strip().strip("│").strip()
        if inside.startswith("╭") or not set(inside) - set("─-"):
            blocks.append([])  # the title's block ends, or a later one
        else:
            blocks[-1].append(inside)
    message = " ".join(blocks[1] if len(blocks) > 1 else blocks[0])
    own = _OWN.search(message)  # raised by the dataclass: it names the field
    if own is not None:
        return f"--{own['name'].replace('_', '-')}: {own['rest']}"
    for pattern, words in _PLAINER:
        message = pattern.sub(words, message)
    return message.removeprefix("Error parsing ")


def _suggestion(argument: str, result: Any) -> str:
    if not argument.startswith("--"):
        return ""
    names = [field.name for field in dataclasses.fields(result)]
    if dataclasses.is_dataclass(nested := getattr(result, "hyperparameters", None)):
        names += [field.name for field in dataclasses.fields(nested)]
    flags = [f"--{name.replace('_', '-')}" for name in names if name != "hyperparameters"]
    close = difflib.get_close_matches(argument.partition("=")[0].replace("_", "-"), flags, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
