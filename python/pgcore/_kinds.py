"""What a class is called in a file, and how the class is found again."""

from __future__ import annotations

import importlib
import inspect
import sys
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["find_class", "is_shipped", "kind_of", "make", "named_parameters", "register", "subclasses"]

ClassT = TypeVar("ClassT")

_defined: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()


def is_shipped(cls: type) -> bool:
    """Whether a class belongs to this package."""
    return cls.__module__.partition(".")[0] == "pgcore"


def kind_of(cls: type) -> str:
    """Return a class's name in files: its own for a shipped class, else with its module.

    So a user's class is never taken for one of pgcore's, whatever its name.

    >>> class Mine: ...
    >>> Mine.__module__, Mine.__qualname__ = "lab.policies", "Mine"
    >>> kind_of(Mine)
    'lab.policies:Mine'
    """
    return cls.__name__ if is_shipped(cls) else f"{cls.__module__}:{cls.__qualname__}"


def register(cls: type) -> None:
    """Note a class when it is defined, so that those of scripts and functions are found too."""
    if not is_shipped(cls):
        _defined[kind_of(cls)] = cls


def subclasses(cls: type[ClassT]) -> Iterator[type[ClassT]]:
    """Classes derived from ``cls``, directly or not; children of a class in the order of their definition.

    >>> class Parent: ...
    >>> class Child(Parent): ...
    >>> class Grandchild(Child): ...
    >>> [found.__name__ for found in subclasses(Parent)]
    ['Child', 'Grandchild']
    """
    for derived in cls.__subclasses__():
        yield derived
        yield from subclasses(derived)


def find_class(name: str, kind: object, base: type[Any], shipped: Mapping[str, Any]) -> type[Any]:
    """Return the class that `kind_of` called ``kind``.

    Parameters
    ----------
    name
        Argument to name in the error.
    kind
        As in a file: the name of a shipped class, or ``module:class``. The module is imported if that has not
        happened yet (unless it is one of Python's own, which define none).
    base
        What the class must be derived from.
    shipped
        The classes of this package by name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(kind, str):
        found = shipped[kind] if kind in shipped else _find_defined(kind)
        if isinstance(found, type) and issubclass(found, base):
            return found
    hint = ""
    if isinstance(kind, str) and ":" in kind:
        module, _, path = kind.partition(":")
        hint = f"; run or import what defines {path} in {module} first"
    raise ValueError(f"{name}: expected one of {', '.join(shipped)}, got {kind!r}{hint}")


def make(config: Mapping[str, Any], base: type[Any], shipped: Mapping[str, Any]) -> Any:
    """Make an object of the class that ``config["kind"]`` names, with the rest of ``config`` as arguments.

    A class of the user's that fixes some of what its parent takes is not given those.
    """
    arguments = dict(config)
    cls = find_class("kind", arguments.pop("kind", None), base, shipped)
    if not (is_shipped(cls) or _takes_any(cls)):
        takes = named_parameters(cls)
        arguments = {name: value for name, value in arguments.items() if name in takes}
    return cls(**arguments)


def named_parameters(cls: type) -> list[str]:
    """Names of the arguments of a class's constructor that can be given by name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, one in inspect.signature(cls).parameters.items() if one.kind in named]


def _takes_any(cls: type) -> bool:
    parameters = inspect.signature(cls).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _find_defined(kind: str) -> object:
    module_name, colon, path = kind.partition(":")
    if not colon:  # files of earlier versions call a user's class by its name alone
        return next((cls for cls in reversed(list(_defined.values())) if cls.__name__ == kind), None)
    if kind in _defined:
        return _defined[kind]
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        found: object = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found
