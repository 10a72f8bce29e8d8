"""Policy-gradient algorithms, a file each: a configuration dataclass and a readable ``update(batch)``.

`TABLE` is the one list of them: the names that `pgcore` and this package offer, the commands of
``pgcore train``, the tables of `pgcore.presets` and what `pgcore.load` finds in a file follow from it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from pgcore.algorithms.behaviour_cloning import BehaviourCloning as BehaviourCloning
    from pgcore.algorithms.npg import NPG as NPG
    from pgcore.algorithms.off_policy_pg import OffPolicyPG as OffPolicyPG
    from pgcore.algorithms.ppo import PPO as PPO
    from pgcore.algorithms.reinforce import REINFORCE as REINFORCE
    from pgcore.algorithms.trpo import TRPO as TRPO
    from pgcore.training.algorithm import Algorithm
    from pgcore.training.config import Config


class Entry(NamedTuple):
    """One algorithm."""

    name: str
    """Of the class."""
    command: str
    """On the command line; also the module of `pgcore.presets` with its presets, if it has any."""
    module: str
    """In this package."""


TABLE = (
    Entry("BehaviourCloning", "bc", "behaviour_cloning"),
    Entry("NPG", "npg", "npg"),
    Entry("OffPolicyPG", "offpolicy", "off_policy_pg"),
    Entry("PPO", "ppo", "ppo"),
    Entry("REINFORCE", "reinforce", "reinforce"),
    Entry("TRPO", "trpo", "trpo"),
)

COMMANDS = {entry.command: entry.name for entry in TABLE}
"""The class's name for each name on the command line."""

__all__ = [entry.name for entry in TABLE]


def shipped() -> dict[str, type[Algorithm[Config]]]:
    """Return the classes of `TABLE` by name."""
    return {entry.name: _import(entry) for entry in TABLE}


def find(command: str) -> type[Algorithm[Config]]:
    """Return the algorithm that the command line calls ``command``.

    Parameters
    ----------
    command
        One of `COMMANDS`; the ``command`` of a class of the caller's own, which is known once it is defined;
        or ``module:Class``, which imports the module.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> find("ppo").__name__
    'PPO'
    """
    for entry in TABLE:
        if entry.command == command:
            return _import(entry)
    from pgcore._kinds import find_class, is_shipped, subclasses
    from pgcore.training.algorithm import Algorithm

    base = cast("type[Algorithm[Config]]", Algorithm)  # abstract, which no `type[...]` is to mypy
    own = [cls for cls in subclasses(base) if not is_shipped(cls) and cls.command == command]
    if own:
        return own[-1]
    if ":" not in command:
        raise ValueError(
            f"ALGO: expected one of {', '.join(COMMANDS)}, got {command!r}; one of your own is module:Class"
        )
    try:
        importlib.import_module(command.partition(":")[0])
    except ImportError as error:
        raise ValueError(
            f"ALGO: expected a module that can be imported, got {command!r} ({error})"
        ) from error
    found: type[Algorithm[Config]] = find_class("ALGO", command, base, COMMANDS)
    return found


def _import(entry: Entry) -> type[Algorithm[Config]]:
    module = importlib.import_module(f"{__name__}.{entry.module}")
    return cast("type[Algorithm[Config]]", getattr(module, entry.name))


def __getattr__(name: str) -> type[Algorithm[Config]]:
    """Import an algorithm's file when the algorithm is first asked for."""
    for entry in TABLE:
        if entry.name == name:
            return _import(entry)
    raise AttributeError(f"module 'pgcore.algorithms' has no attribute {name!r}")
