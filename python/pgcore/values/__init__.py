"""Value functions: what is expected to come after an observation."""

from __future__ import annotations

from collections.abc import Mapping

from pgcore._kinds import make
from pgcore.values.base import ValueFunction
from pgcore.values.value_network import ValueNetwork

__all__ = ["ValueFunction", "ValueNetwork", "from_config"]


def from_config(config: Mapping[str, object]) -> ValueFunction:
    """Make a value function of the kind that `ValueFunction.config` described, without what it had learned.

    Raises
    ------
    ValueError
        If ``config["kind"]`` is not a value function.
    """
    made: ValueFunction = make(config, ValueFunction, {"ValueNetwork": ValueNetwork})
    return made
