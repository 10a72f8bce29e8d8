"""Values on the command line: integers, numbers, paths and None, as people write them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

__all__ = ["several", "value_rules"]


def _integer(text: str) -> int:
    """An integer, also in the ways that people write large ones.

    >>> _integer("1_000_000") == _integer("1e6") == _integer("1000000")
    True
    """
    with contextlib.suppress(ValueError):
        return int(text)
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"expected an integer, got {text!r}{several(text)}")
    if number.adjusted() > 20:  # before `int` takes memory
        raise ValueError(f"expected an integer of 64 bits, got {text}")
    return int(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}{several(text)}") from None


def several(text: str) -> str:
    """Return a hint how to write several values, for ``32,32`` or ``[32, 32]``; else ''."""
    parts = re.split(r"[\s,;]+", text.strip("[](){} "))
    return f"; put spaces between several: {' '.join(parts)}" if len(parts) > 1 and all(parts) else ""


def _path(text: str) -> Path:
    """A path; expands ``~`` where the shell does not (``--out=~/run``)."""
    if not text:
        raise ValueError("expected a path, got ''")
    return Path(os.path.expanduser(text))


def value_rules() -> ConstructorRegistry:
    """Return how tyro reads integers, numbers, paths and None."""
    rules: dict[object, tuple[str, Callable[[str], object]]] = {
        int: ("INT", _integer),
        float: ("FLOAT", _number),
        Path: ("PATH", _path),
    }
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[object] | None:
        kind = info.type
        if kind is type(None):
            return PrimitiveConstructorSpec(
                nargs=1,
                metavar="{None}",
                choices=("None", "none"),
                instance_from_str=lambda args: None,
                is_instance=lambda value: value is None,
                str_from_instance=lambda value: ["None"],
            )
        if kind not in rules:
            return None
        metavar, convert = rules[kind]
        accepted = (int, float) if kind is float else kind
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=metavar,
            instance_from_str=lambda args: convert(args[0]),
            is_instance=lambda value: isinstance(value, accepted),
            str_from_instance=lambda value: [str(value)],
        )

    return registry
