"""Configuration dataclasses: one field, one type with its range, one line of doc.

A field's type carries its constraint (``n_steps: PositiveInt``), its docstring is the command line's help,
and `make_config` turns keyword arguments into a checked instance:

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class SketchConfig(Config):
...     step_size: PositiveFloat = 0.1
>>> make_config(SketchConfig, {"gamma": 1}).gamma
1.0
>>> make_config(SketchConfig, {"n_steps": 0})
Traceback (most recent call last):
    ...
ValueError: n_steps: expected an integer >= 1, got 0
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

__all__ = [
    "Config",
    "FiniteFloat",
    "NonNegativeFloat",
    "OpenUnitInterval",
    "PositiveFloat",
    "PositiveInt",
    "UnitInterval",
    "make_config",
    "nearest",
]

ConfigT = TypeVar("ConfigT", bound="Config")


@dataclass(frozen=True)
class Range:
    """A constraint on a number: ``holds`` decides, ``what`` completes "expected ..."."""

    what: str
    holds: Callable[[Any], bool]


PositiveInt = Annotated[int, Range("an integer >= 1", lambda value: value >= 1)]
PositiveFloat = Annotated[
    float, Range("a finite number > 0", lambda value: math.isfinite(value) and value > 0)
]
FiniteFloat = Annotated[float, Range("a finite number", math.isfinite)]
NonNegativeFloat = Annotated[
    float, Range("a finite number >= 0", lambda value: math.isfinite(value) and value >= 0)
]
UnitInterval = Annotated[float, Range("a number in [0, 1]", lambda value: 0 <= value <= 1)]
OpenUnitInterval = Annotated[float, Range("a number in (0, 1)", lambda value: 0 < value < 1)]


@dataclass(frozen=True)
class Config:
    """Settings of every algorithm that collects its own experience. Checked when made.

    Raises
    ------
    TypeError, ValueError
        ``{field}: expected {what}, got {what}``.
    """

    n_steps: PositiveInt = 2048
    """Steps per environment and iteration."""
    whole_episodes: bool = False
    """Start each batch with new episodes and play them to their end; n_steps is then the minimum."""
    gamma: UnitInterval = 0.99
    """Discount factor."""
    normalize_observations: bool = False
    """Standardise observations with running statistics, then clip at 10."""
    init_log_std: FiniteFloat = 0.0
    """Initial log standard deviation of continuous actions."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        for field in dataclasses.fields(self):
            value = _checked(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)


def make_config(
    config_class: type[ConfigT],
    hyperparameters: Mapping[str, object],
    *,
    owner: str = "",
    also_valid: Iterable[str] = (),
) -> ConfigT:
    """Build ``config_class`` from keyword arguments.

    Parameters
    ----------
    config_class
        A dataclass derived from `Config`.
    hyperparameters
        Field values by name; fields that are left out keep their defaults.
    owner
        Whose hyperparameters these are, for the error message; by default the class's name.
    also_valid
        Other keywords that ``owner`` takes, which a misspelt one may have been meant to be.

    Raises
    ------
    TypeError
        For a name that is no field (naming the nearest one that is) and for a value of the wrong type.
    ValueError
        For a value outside its field's range.
    """
    names = [field.name for field in dataclasses.fields(config_class)]
    unknown = [name for name in hyperparameters if name not in names]
    if unknown:
        hints = "; ".join(f"{name!r}{nearest(name, [*names, *also_valid])}" for name in unknown)
        raise TypeError(f"{owner or config_class.__name__}: unknown hyperparameter {hints}")
    make: Callable[..., ConfigT] = config_class  # which checks the types of its arguments itself
    return make(**hyperparameters)


def nearest(name: str, valid: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for a misspelt ``name``, else the valid names.

    >>> nearest("learning_rat", ["gamma", "learning_rate"])
    " (did you mean 'learning_rate'?)"
    """
    choices = list(valid)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.75)  # no hint beats a misleading one
    return f" (did you mean {close[0]!r}?)" if close else f" (valid: {', '.join(choices)})"


def _checked(name: str, value: object, hint: object) -> object:
    """``value`` as the plain Python object that ``hint`` asks for, or an error that names the field."""
    constraint = None
    if typing.get_origin(hint) is Annotated:
        hint, *metadata = typing.get_args(hint)
        constraint = next((item for item in metadata if isinstance(item, Range)), None)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (option for option in typing.get_args(hint) if option is not type(None))
        return _checked(name, value, hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        for choice in choices:
            if isinstance(value, type(choice)) and value == choice:  # an array has no one answer
                return choice
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    if origin is tuple:  # a list is what JSON makes of one
        if not isinstance(value, list | tuple):
            raise TypeError(f"{name}: expected a tuple, got {type(value).__name__} {value!r}")
        return _checked_tuple(name, tuple(value), typing.get_args(hint))
    if origin is not None:
        return value
    value = _converted(name, value, cast("type", hint))
    if hint is int and isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"{name}: expected an integer of 64 bits, got {value}")
    if constraint is not None and not constraint.holds(value):
        raise ValueError(f"{name}: expected {constraint.what}, got {value!r}")
    return value


def _checked_tuple(name: str, values: tuple[object, ...], hints: tuple[object, ...]) -> tuple[object, ...]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(values)
    if len(values) != len(hints):
        raise ValueError(f"{name}: expected {len(hints)} values, got {values!r}")
    return tuple(_checked(name, value, hint) for value, hint in zip(values, hints, strict=True))


def _converted(name: str, value: object, kind: type) -> object:
    """``value`` as a plain ``bool``, ``int`` or ``float``; NumPy scalars are welcome."""
    # bool is an int in Python, but `n_steps=True` is a mistake.
    is_bool = isinstance(value, bool) or type(value).__name__ == "bool"
    if kind is bool and is_bool:
        return bool(value)
    if kind is int and not is_bool and isinstance(value, numbers.Integral):
        return operator.index(value)
    if kind is float and not is_bool and isinstance(value, numbers.Real):
        return float(value)
    if kind not in (bool, int, float) and isinstance(value, kind):
        return value
    raise TypeError(f"{name}: expected {kind.__name__}, got {type(value).__name__} {value!r}")
