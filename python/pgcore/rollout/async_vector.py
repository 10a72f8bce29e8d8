"""`AsyncVectorEnv`: gymnasium's, which says why a worker ended and can start new ones."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import pickle
import queue
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState

from pgcore._arguments import real
from pgcore.rollout.faults import (
    FaultyEnvironmentError,
    WorkerError,
    is_from_environment,
    mark,
    place,
    raise_located,
)
from pgcore.rollout.outcomes import StepCheck, check_first_outcomes, check_reset
from pgcore.rollout.types import AnyEnv, AnyWrapper, Float64Outcome, Keywords, ResetOutcome, StepOutcome

__all__ = [
    "LOST",
    "PATIENCE",
    "AsyncVectorEnv",
    "awaits_answers",
    "end_workers",
    "note_step_sent",
    "set_idle",
    "worker_error",
]

MakeEnv = Callable[[], AnyEnv]
Base = gym.vector.AsyncVectorEnv

LOST = (EOFError, OSError, multiprocessing.TimeoutError, pickle.UnpicklingError)
"""What reading from and writing to a worker raises that has ended or does not answer."""

PATIENCE = 10.0
"""Seconds that a worker has for closing its environment."""


class AsyncVectorEnv(Base):
    """Environments in a process each, which only the caller resets.

    It differs from gymnasium's of that name in what happens when something goes wrong. Workers check what
    their environments return, as `SyncVectorEnv` does. An exception of an environment keeps its type and
    shows the worker's traceback. A worker that ended, or does not answer in time, is named together with what
    ended it. After any of these, and after an interrupt, the next reset of all environments starts new
    workers; until then nothing else works. `close` always closes.

    Parameters
    ----------
    env_fns
        Functions that make an environment each.
    worker_timeout
        Seconds within which all environments must answer a step or a reset; infinity for no limit.
    """

    def __init__(self, env_fns: Sequence[MakeEnv], *, worker_timeout: float = 600.0) -> None:
        self.worker_timeout = real("worker_timeout", worker_timeout, minimum=0.0, or_infinite=True)
        self._make = [partial(_Reporting, make, i) for i, make in enumerate(env_fns)]
        self._failure = ""
        self._start()

    def _start(self) -> None:
        self.processes, self.parent_pipes, self._failure = [], [], ""
        self._polls: list[Callable[[float], bool]] = []
        set_idle(self)
        try:
            super().__init__(self._make, autoreset_mode=AutoresetMode.DISABLED)
        except LOST as error:
            self._fail(error, "start")
        except BaseException:
            end_workers(self, 0.0)
            raise

    def reset(
        self, *, seed: int | np.int64 | list[int | None] | None = None, options: Keywords | None = None
    ) -> ResetOutcome:
        """Begin new episodes, as in `SyncVectorEnv`; one of all environments replaces workers that ended."""
        options = None if options is None else dict(options)
        if self._failure or awaits_answers(self):
            if options is not None and "reset_mask" in options:
                self._refuse("a reset of some environments")
            end_workers(self, 0.0)
            self._start()
        if isinstance(seed, np.integer):
            seed = int(seed)
        try:
            return super().reset(seed=seed, options=options)
        except LOST as error:
            self._fail(error, "reset()")

    def step(self, actions: object) -> Float64Outcome:
        """Take one step everywhere.

        Raises
        ------
        WorkerError
            If a worker ended or does not answer.
        """
        if self._failure:
            self._refuse("a step")
        try:
            return super().step(actions)
        except LOST as error:
            self._fail(error, "step()")

    def reset_wait(self, timeout: float | None = None) -> ResetOutcome:
        """Wait for the answers to a reset, `worker_timeout` at most."""
        return super().reset_wait(self.worker_timeout if timeout is None else timeout)

    def step_wait(self, timeout: float | None = None) -> Float64Outcome:
        """Wait for the answers to a step, `worker_timeout` at most."""
        return super().step_wait(self.worker_timeout if timeout is None else timeout)

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """End all workers, whatever state they are in."""
        end_workers(self, 0.0 if terminate or self._failure else PATIENCE)

    # The next two replace private methods of gymnasium, which has no public ones for either: how it waits for
    # answers, and what it raises for the exceptions among them.

    def _poll_pipe_envs(self, timeout: float | None = None) -> bool:
        """Whether all answers are there in time; several times faster than gymnasium's."""
        if timeout is None:
            return True
        if not self._polls:
            self._polls = [_poll(pipe) for pipe in self.parent_pipes]
        end = time.perf_counter() + timeout
        return all(poll(max(end - time.perf_counter(), 0.0)) for poll in self._polls)

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        """Raise what the first environment that failed has raised; its worker has ended."""
        failed = [i for i, success in enumerate(successes) if not success]
        if not failed:
            return
        self._failure = f"the worker of environment {failed[0]} ended with an exception"
        reports: dict[int, tuple[BaseException, str]] = {}
        with contextlib.suppress(queue.Empty, Exception):  # of a class that this process doesn't know
            for _ in failed:
                index, _, error, trace = self.error_queue.get(timeout=PATIENCE)
                reports[index] = (error, trace)
        end_workers(self, 0.0)
        if not reports:
            raise WorkerError(
                f"{place(failed[0], 'worker')}: expected an exception that can be sent between processes, "
                "got one that cannot"
            )
        index = min(reports)
        error, trace = reports[index]
        if isinstance(error, _ReportedError):
            original, trace = error.args
            if not isinstance(original, FaultyEnvironmentError):
                mark(original, f"{place(index, 'worker')}")
            raise original from _RemoteTracebackError(trace)
        raise error from _RemoteTracebackError(trace)

    def _fail(self, error: BaseException, call: str) -> NoReturn:
        """Raise a fault for what happened to a worker, and end the others."""
        if is_from_environment(error):
            raise error
        fault = worker_error(self, error, call)
        self._failure = str(fault)
        end_workers(self, 0.0)
        raise fault from error

    def _refuse(self, what: str) -> NoReturn:
        raise WorkerError(
            f"env: expected a reset of all environments, which starts new workers, got {what} after: "
            f"{self._failure or 'an interrupt'}"
        )


# What gymnasium's vector waits for is private to it (`_state`), but there is no other way to learn whether an
# answer is still to come, or to note that after an interrupt. These functions alone use it.


def awaits_answers(env: Base) -> bool:
    """Return whether workers still have to answer a call."""
    return env._state is not AsyncState.DEFAULT


def set_idle(env: Base) -> None:
    """Note that no answer is to come, whatever was sent before."""
    env._state = AsyncState.DEFAULT


def note_step_sent(env: Base) -> None:
    """Note that a step was sent at least to some workers, unless another call is noted already."""
    if not awaits_answers(env):
        env._state = AsyncState.WAITING_STEP


def worker_error(env: Base, error: BaseException, call: str) -> WorkerError:
    """Say which worker of a vector environment ended or does not answer, and what ended it."""
    if isinstance(error, multiprocessing.TimeoutError):
        silent = [i for i, pipe in enumerate(env.parent_pipes) if not _poll(pipe)(0.0)]
        limit = getattr(env, "worker_timeout", None)
        within = "in time" if limit is None else f"within {limit:g} seconds (worker_timeout)"
        who = f"environments {silent}" if len(silent) > 1 else f"environment {silent[0] if silent else '?'}"
        return WorkerError(
            f"{who}, {call}: expected an answer of the worker process {within}, got none; {_remedy(env)}"
        )
    index, exitcode = _ended(env)
    if index is None:
        return WorkerError(
            f"env, {call}: expected answers of all worker processes, got {type(error).__name__}; "
            f"{_remedy(env)}"
        )
    return WorkerError(
        f"{place(index, call)}: expected a running worker process, got one that ended "
        f"{_what_ended(exitcode)}; {_remedy(env)}"
    )


def _remedy(env: Base) -> str:
    if isinstance(env, AsyncVectorEnv):
        return "the next reset, and so the next learn, starts new workers"
    return "make the vector environment again"


def _ended(env: Base) -> tuple[int | None, int]:
    """Number and exit code of the first worker that has ended; the system may report it a moment later."""
    for _ in range(100):
        for i, process in enumerate(env.processes):
            if process.exitcode is not None:
                return i, process.exitcode
        time.sleep(0.02)
    return None, 0


def _what_ended(exitcode: int) -> str:
    if exitcode >= 0:
        return f"with exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = "unknown"
    hint = ", as the system does where memory is short" if name == "SIGKILL" else ""
    return f"by signal {-exitcode} ({name}{hint})"


def end_workers(env: Base, patience: float) -> None:
    """End all worker processes; those that do not within ``patience`` seconds are killed. Never raises."""
    for pipe in env.parent_pipes:
        if patience and pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                pipe.send(("close", None))
    end = time.monotonic() + patience
    for process in env.processes:
        with contextlib.suppress(AssertionError, ValueError, OSError):  # was never started
            process.join(max(end - time.monotonic(), 0.0))
            if process.exitcode is None:
                process.kill()
                process.join()
    for pipe in env.parent_pipes:
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    set_idle(env)  # there is nothing left to wait for, or to warn of


def _poll(pipe: Connection | None) -> Callable[[float], bool]:
    """A function that waits some seconds at most for something to read, if only the end."""
    if pipe is None or pipe.closed:
        return lambda timeout: False
    if not hasattr(select, "poll"):  # Windows
        return lambda timeout: bool(pipe.poll(None if timeout == math.inf else timeout))
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN)
    return lambda timeout: bool(poll.poll(None if timeout == math.inf else timeout * 1000))


class _ReportedError(Exception):
    """An exception of an environment on its way out of a worker, with its traceback as text."""


class _RemoteTracebackError(Exception):
    """Shows a worker's traceback above the exception that it was raised with."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Reporting(AnyWrapper):
    """In a worker: checks what an environment returns, and reports what it raises with its traceback."""

    def __init__(self, make: MakeEnv, index: int) -> None:
        super().__init__(make())
        self._index = index
        self._check_step = StepCheck(self.env.observation_space, place(index, "step()"))
        check_first_outcomes(self.env, index)

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> ResetOutcome:
        where = place(self._index, "reset()")
        try:
            try:
                outcome = self.env.reset(seed=seed, options=options)
            except Exception as error:
                raise_located(error, self._index, "reset()", self.env.reset)
            return check_reset(self.env.observation_space, outcome, where)
        except Exception as error:
            raise _report(error, where) from None

    def step(self, action: object) -> StepOutcome:
        try:
            try:
                outcome = self.env.step(action)
            except Exception as error:
                raise_located(error, self._index, "step()")
            return self._check_step(outcome)
        except Exception as error:
            raise _report(error, place(self._index, "step()")) from None


def _report(error: Exception, where: str) -> _ReportedError:
    trace = "".join(traceback.format_exception(error))
    if not _can_be_sent(error):  # its class, or something that it holds
        message = f"{type(error).__name__}: {error}"
        kinds = (kind for kind in type(error).__mro__[1:] if issubclass(kind, Exception))
        error = next(filter(_can_be_sent, (kind(message) for kind in kinds)), RuntimeError(message))
        mark(error, where)
    return _ReportedError(error, trace)


def _can_be_sent(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
