"""``pgcore info``: what is installed, and which compiled core runs."""

from __future__ import annotations

import json
import platform
import shutil
import textwrap
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

import tyro

from pgcore import algorithms, build_info, presets
from pgcore.cli.errors import one_line_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse

__all__ = ["InfoArguments", "run"]


@dataclass(frozen=True)
class InfoArguments:
    """Arguments of ``pgcore info``."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as one JSON object."""


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: InfoArguments = parse(
        InfoArguments,
        arguments,
        prog="pgcore info",
        description="Show versions, the compiled core in use, algorithms and presets.",
    )
    # RuntimeError: no compiled core runs on this processor, or none with the level in PGCORE_ISA.
    with one_line_errors(RuntimeError, ImportError):
        info = _collect()
    if args.json:
        say(json.dumps(info))
    else:
        width = max(map(len, info)) + 2
        columns = min(80, shutil.get_terminal_size((80, 24)).columns)
        rest = " " * width
        for name, value in info.items():
            for i, line in enumerate(_texts(value)):
                label = rest if i else f"{name:{width}}"
                # Flags and file names stay whole.
                wrapped = textwrap.fill(
                    line,
                    columns,
                    initial_indent=label,
                    subsequent_indent=f"{rest}  ",
                    break_on_hyphens=False,
                )
                say(wrapped)
    return 0


def _collect() -> dict[str, object]:
    names = list(algorithms.COMMANDS)
    return {
        **build_info(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: metadata.version(name) for name in ("numpy", "gymnasium")},
        "algorithms": names,
        "presets": {name: sorted(presets.available(name)) for name in names},
    }


def _texts(value: object) -> list[str]:
    """Return the lines of a value as text; a dictionary has one line per entry."""
    if isinstance(value, dict):
        return [f"{key}: {'; '.join(_texts(item))}" for key, item in value.items()]
    return [", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]
