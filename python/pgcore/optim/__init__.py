"""How parameters move: optimisers, schedules, the ascent of a surrogate."""

from __future__ import annotations

from pgcore.optim.optimizers import (
    SGD,
    Adam,
    Optimizer,
    OptimizerName,
    ScheduleName,
    clip_norm,
    make_optimizer,
    scheduled,
)
from pgcore.optim.score_ascent import ScoreAscent
from pgcore.optim.surrogate import SurrogateAscent, SurrogateReport

__all__ = [
    "SGD",
    "Adam",
    "Optimizer",
    "OptimizerName",
    "ScheduleName",
    "ScoreAscent",
    "SurrogateAscent",
    "SurrogateReport",
    "clip_norm",
    "make_optimizer",
    "scheduled",
]
