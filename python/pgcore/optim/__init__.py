"""How parameters move: optimisers, schedules, a surrogate's ascent, a trust region's line search."""

from __future__ import annotations

from pgcore.optim.line_search import LineSearch, LineSearchReason, backtrack
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
    "LineSearch",
    "LineSearchReason",
    "Optimizer",
    "OptimizerName",
    "ScheduleName",
    "ScoreAscent",
    "SurrogateAscent",
    "SurrogateReport",
    "backtrack",
    "clip_norm",
    "make_optimizer",
    "scheduled",
]
