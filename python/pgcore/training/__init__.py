"""The `Algorithm` base and what is generic over ``update(batch)``: loop, logs, checkpoints, evaluation."""

from __future__ import annotations

from pgcore.callbacks import Callback, CheckpointCallback, ProgressBar
from pgcore.evaluation import evaluate_policy
from pgcore.loggers import ConsoleLogger, CSVLogger
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
from pgcore.training.algorithm import Algorithm
from pgcore.training.config import (
    Config,
    NonNegativeFloat,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    make_config,
)
from pgcore.training.persistence import Component
from pgcore.training.spaces import Spaces
from pgcore.training.state import TrainingState
from pgcore.training.statistics import explained_variance, standardize

__all__ = [
    "SGD",
    "Adam",
    "Algorithm",
    "CSVLogger",
    "Callback",
    "CheckpointCallback",
    "Component",
    "Config",
    "ConsoleLogger",
    "NonNegativeFloat",
    "OpenUnitInterval",
    "Optimizer",
    "OptimizerName",
    "PositiveFloat",
    "PositiveInt",
    "ProgressBar",
    "ScheduleName",
    "Spaces",
    "TrainingState",
    "UnitInterval",
    "clip_norm",
    "evaluate_policy",
    "explained_variance",
    "make_config",
    "make_optimizer",
    "scheduled",
    "standardize",
]
