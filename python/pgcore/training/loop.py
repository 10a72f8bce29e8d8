"""The loop of `Algorithm.learn`: whole iterations, each reported once to every callback."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from pgcore.callbacks import Callback, call_all
from pgcore.training import persistence
from pgcore.training.interrupts import Interrupts

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.training.state import TrainingState

__all__ = ["Learner", "iteration_logs", "run"]


class Learner(persistence.Model, Protocol):
    """What an iteration needs of a model."""

    progress: float
    logs: dict[str, float]

    def collect(self) -> Batch:
        """Return the experience to learn from."""

    def update(self, batch: Batch, /) -> dict[str, float]:
        """Learn from it; return numbers for the log."""

    def observe(self, batch: Batch, /) -> None:
        """Merge its observations into the statistics; called after the update."""

    def begin_new_episodes(self) -> None:
        """Let the next `collect` begin new episodes."""


LearnerT = TypeVar("LearnerT", bound=Learner)


def run(
    model: LearnerT, target: int, callbacks: Sequence[Callback[LearnerT]], interrupts: Interrupts
) -> None:
    """Iterate until ``model.num_timesteps`` has reached ``target`` or a callback stops training.

    Parameters
    ----------
    model
        Learns.
    target
        Environment steps at which to end.
    callbacks
        Called after every iteration, also after one during which the program was asked to end.
    interrupts
        Open; let in during iterations alone.
    """
    state = model.training_state
    first, started = state.num_timesteps, time.perf_counter()
    num_reported = state.num_updates
    train_logs: dict[str, float] = {}

    def report() -> bool:
        """Call the callbacks for an iteration not yet reported; return whether one of them stops training."""
        nonlocal num_reported
        if state.num_updates == num_reported:
            return False
        elapsed = time.perf_counter() - started
        model.logs = iteration_logs(state, train_logs, state.num_timesteps - first, elapsed)
        num_reported = state.num_updates
        interrupts.impatient = True
        return call_all(callbacks, model)

    try:
        while state.num_timesteps < target:
            model.progress = state.num_timesteps / target
            _iterate(model, interrupts, train_logs)
            if report():
                break
    finally:
        report()


def iteration_logs(
    state: TrainingState, train_logs: dict[str, float], num_steps: int, elapsed: float
) -> dict[str, float]:
    """Return an iteration's numbers by Stable-Baselines3's names.

    Parameters
    ----------
    state
        Counters and episodes.
    train_logs
        What `Algorithm.update` returned.
    num_steps, elapsed
        Environment steps and seconds since `learn` was called.
    """
    return {
        "rollout/ep_rew_mean": state.mean_return,
        "rollout/ep_len_mean": state.mean_length,
        "time/iterations": state.num_iterations,
        "time/fps": int(num_steps / max(elapsed, 1e-9)),
        "time/time_elapsed": round(elapsed, 3),
        "time/total_timesteps": state.num_timesteps,
        **{f"train/{name}": value for name, value in train_logs.items()},
        "train/n_updates": state.num_updates,
    }


def _iterate(model: Learner, interrupts: Interrupts, train_logs: dict[str, float]) -> None:
    """One iteration, all or nothing; its numbers are put into ``train_logs``."""
    before = persistence.snapshot(model)
    try:
        interrupts.admit()
        batch = model.collect()
        logs = _checked_logs(model.update(batch))
        model.observe(batch)  # only now: actions are scored under the statistics that sampled them
        interrupts.held = True  # from here on the iteration counts
        train_logs.clear()
        train_logs.update(logs)
        model.training_state.num_iterations += 1
        model.training_state.num_updates += 1
    except BaseException:
        interrupts.held = True  # comes first, and calls nothing, so that no second Ctrl-C comes in between
        _put_back(model, before)
        raise


def _checked_logs(logs: dict[str, float]) -> dict[str, float]:
    """What `update` of any class returned: loggers would fail on anything else, and not say whose it is."""
    if not isinstance(logs, Mapping):
        raise TypeError(f"update: expected a dictionary of numbers for the log, got {logs!r}")
    entries: list[tuple[object, object]] = [*logs.items()]
    for name, value in entries:
        if not isinstance(name, str) or not isinstance(value, Real | np.number | np.bool_):
            raise TypeError(f"update: expected numbers by their names for the log, got {name!r}: {value!r}")
    return logs


def _put_back(model: Learner, before: persistence.Snapshot) -> None:
    while True:
        try:
            persistence.restore(model, *before)
            model.begin_new_episodes()  # the old ones are inside the unfinished iteration
            return
        except KeyboardInterrupt:  # raised into this thread by other means than a signal: once more, from the
            continue  # start
