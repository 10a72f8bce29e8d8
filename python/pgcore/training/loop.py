"""The loop of `Algorithm.learn`: whole iterations, each reported once to every callback."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgcore.callbacks import Callback, call_all
from pgcore.training import persistence
from pgcore.training.interrupts import Interrupts

if TYPE_CHECKING:
    from pgcore.training.algorithm import Algorithm

__all__ = ["run"]


def run(model: Algorithm[Any], target: int, callbacks: Sequence[Callback], interrupts: Interrupts) -> None:
    """Iterate until ``model.num_timesteps`` has reached ``target`` or a callback says stop.

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
    first, started = model.num_timesteps, time.perf_counter()
    num_reported = model.num_updates
    train_logs: dict[str, float] = {}

    def report() -> bool:
        """Tell the callbacks of an iteration that they don't know yet; return whether one says stop."""
        nonlocal num_reported
        if model.num_updates == num_reported:
            return False
        model._log(train_logs, model.num_timesteps - first, time.perf_counter() - started)
        num_reported = model.num_updates
        interrupts.impatient = True
        return call_all(callbacks, model)

    try:
        while model.num_timesteps < target:
            model.progress = model.num_timesteps / target
            _iterate(model, interrupts, train_logs)
            if report():
                break
    finally:
        report()


def _iterate(model: Algorithm[Any], interrupts: Interrupts, train_logs: dict[str, float]) -> None:
    """One iteration, all or nothing; its numbers are put into ``train_logs``."""
    before = persistence.snapshot(model)
    try:
        interrupts.admit()
        batch = model.collect()
        logs = model.update(batch)
        model.observe(batch)  # only now: actions are scored under the statistics that sampled them
        interrupts.held = True  # from here on the iteration counts
        train_logs.clear()
        train_logs.update(logs)
        model.num_iterations += 1
        model.num_updates += 1
    except BaseException:
        interrupts.held = True  # comes first, and calls nothing: a second Ctrl-C has no way in between
        _put_back(model, before)
        raise


def _put_back(model: Algorithm[Any], before: tuple[dict[str, Any], persistence.Arrays]) -> None:
    while True:
        try:
            persistence.restore(model, *before)
            model._has_begun = False  # its episodes are somewhere inside the unfinished iteration
            return
        except KeyboardInterrupt:  # raised into this thread by other means than a signal: once more, from the
            continue  # start
