"""Experience: vector environments in, one flat `pgcore.Batch` out."""

from __future__ import annotations

from pgcore.rollout.collector import Collector
from pgcore.rollout.faults import FaultyEnvironmentError, WorkerError
from pgcore.rollout.making import close_vector_env, make_vector_env
from pgcore.rollout.recorded import RecordedSampler
from pgcore.rollout.sampler import LocalSampler, Rollout, Sampler
from pgcore.rollout.spaces import ActionAdapter, ObservationAdapter
from pgcore.rollout.vector import VectorStepper, autoreset_mode

__all__ = [
    "ActionAdapter",
    "Collector",
    "FaultyEnvironmentError",
    "LocalSampler",
    "ObservationAdapter",
    "RecordedSampler",
    "Rollout",
    "Sampler",
    "VectorStepper",
    "WorkerError",
    "autoreset_mode",
    "close_vector_env",
    "make_vector_env",
]
