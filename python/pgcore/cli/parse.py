"""Command lines into dataclasses, by tyro, with its errors in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from pgcore._arguments import integer
from pgcore.cli.errors import CommandError
from pgcore.cli.output import to_stdout
from pgcore.cli.values import several, value_rules

__all__ = ["option_value", "parse", "require_at_least"]

ArgumentsT = TypeVar("ArgumentsT")

_ANSI = re.compile("\x1b\\[[0-9;]*m")
_MISSING = re.compile(r"^Missing from [^:]+: ")
_PLAINER: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # What tyro says of a value that doesn't fit, and of one that is missing.
    (
        re.compile(r"no type matching (\S+) could be instantiated from (\[.*\])\.?"),
        lambda m: _no_type(m[1], m[2]),
    ),
    (
        re.compile(r"Could not find valid parse for arguments: (\[.*\])"),
        lambda m: f"expected other values, got {m[1][1:-1]}{several(_unquoted(m[1]))}",
    ),
    (
        re.compile(r"Missing value for argument '(\S+)'\. Expected (\S+) values\."),
        lambda m: f"{m[1]}: expected {'a value' if m[2] == '1' else f'{m[2]} values'} after it",
    ),
)
_OWN = re.compile(r"^Error parsing .*?: ?(?P<name>\w+): (?P<rest>expected .*)$")


def parse(
    arguments_class: type[ArgumentsT],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    default: ArgumentsT | None = None,
) -> ArgumentsT:
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
    result: ArgumentsT
    try:
        with value_rules(), to_stdout(), contextlib.redirect_stderr(errors):
            result, unknown = tyro.cli(
                arguments_class,
                args=list(arguments),
                prog=prog,
                description=description,
                config=(tyro.conf.OmitArgPrefixes,),
                return_unknown_args=True,
                default=tyro.MISSING_NONPROP if default is None else default,
            )
    except SystemExit as error:
        if error.code in (0, None):
            raise
        raise CommandError(f"{_message(errors.getvalue())} (see {prog} --help)") from None
    except (TypeError, ValueError) as error:  # a range that the dataclass checks itself
        name, colon, rest = str(error).partition(":")
        raise CommandError(f"{_flag(name)}{colon}{rest}") from None
    if unknown:
        raise CommandError(
            f"unknown argument {unknown[0]!r}{_suggestion(unknown[0], result)} (see {prog} --help)"
        )
    return result


def option_value(arguments: Sequence[str], name: str) -> str | None:
    """Return the last value given for ``--name``, without parsing; None if there is none.

    >>> option_value(["--seed", "1", "--env-id=CartPole-v1"], "env-id")
    'CartPole-v1'
    """
    value = None
    for i, argument in enumerate(arguments):
        flag, equals, rest = argument.partition("=")
        if flag.replace("_", "-") == f"--{name}":
            value = rest if equals else next(iter(arguments[i + 1 : i + 2]), None)
    return value


def require_at_least(arguments: object, **minimums: int) -> None:
    """Raise a `ValueError` for the first of the named fields that is below its minimum, or beyond 64 bits."""
    for name, minimum in minimums.items():
        integer(name, getattr(arguments, name), minimum=minimum)


def _message(text: str) -> str:
    """Return the text between the title of tyro's box and the line before its advice."""
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
        return f"{_flag(own['name'])}: {own['rest']}"
    if _MISSING.match(message):
        return re.sub(r"\.? \(required\)", ";", _MISSING.sub("missing: ", message)).rstrip(";")
    for pattern, words in _PLAINER:
        message = pattern.sub(words, message)
    return message.removeprefix("Error parsing ")


def _flag(name: str) -> str:
    """Return how a user writes a field: ``--n-steps``, or ``DIR`` for a value without a name."""
    return name if name.isupper() else f"--{name.replace('_', '-')}"


def _suggestion(argument: str, result: object) -> str:
    if argument.lower() in ("true", "false"):
        return " (write --NAME or --no-NAME, without a value)"
    if not argument.startswith("--"):
        return ""
    assert dataclasses.is_dataclass(result)
    names = [field.name for field in dataclasses.fields(result)]
    if dataclasses.is_dataclass(nested := getattr(result, "hyperparameters", None)):
        names += [field.name for field in dataclasses.fields(nested)]
    flags = [f"--{name.replace('_', '-')}" for name in names if name != "hyperparameters"]
    given = argument.partition("=")[0].replace("_", "-")[2:]
    # Compared without dashes, and stricter than difflib's default: no hint is better than a wrong one.
    close = difflib.get_close_matches(given, [flag[2:] for flag in flags], n=1, cutoff=0.75)
    return f" (did you mean --{close[0]}?)" if close else ""


def _no_type(types: str, values: str) -> str:
    """What fits an optional argument: ``{None}|FLOAT``."""
    words = {"{None}": "none", "INT": "an integer", "FLOAT": "a number", "PATH": "a path", "FILE": "a path"}
    expected = " or ".join(words.get(name, name) for name in reversed(types.split("|")))
    return f"expected {expected}, got {values[1:-1]}{several(_unquoted(values))}"


def _unquoted(values: str) -> str:
    """The first of ``['32,32', 'x']``."""
    return values[1:-1].split("'")[1] if "'" in values else ""
