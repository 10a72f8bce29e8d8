"""Baselines: what is subtracted from returns to lower the variance of a policy gradient (lecture, part 3)."""

from __future__ import annotations

from collections.abc import Mapping

from pgcore._kinds import make
from pgcore.baselines.averages import AverageReturn, Constant, TimeDependent
from pgcore.baselines.base import Baseline
from pgcore.baselines.linear import LinearFeatures
from pgcore.baselines.optimal import OptimalBaseline, OptimalPerComponent, OptimalScalar
from pgcore.baselines.value import ValueBaseline, ValueNetwork, as_baseline

__all__ = [
    "AverageReturn",
    "Baseline",
    "Constant",
    "LinearFeatures",
    "OptimalBaseline",
    "OptimalPerComponent",
    "OptimalScalar",
    "TimeDependent",
    "ValueBaseline",
    "ValueNetwork",
    "as_baseline",
    "from_config",
]

_KINDS: dict[str, type[Baseline]] = {
    kind.__name__: kind
    for kind in (
        Constant,
        AverageReturn,
        TimeDependent,
        LinearFeatures,
        ValueNetwork,
        OptimalScalar,
        OptimalPerComponent,
        ValueBaseline,
    )
}


def from_config(config: Mapping[str, object]) -> Baseline:
    """Make a baseline of the kind that `Baseline.config` described, without what it had learned.

    Raises
    ------
    ValueError
        If ``config["kind"]`` is not a baseline.
    """
    baseline: Baseline = make(config, Baseline, _KINDS)
    return baseline
