"""Two calls at once; both have ended when the function returns or raises."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["side_by_side"]

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


def side_by_side(first: Callable[[], FirstT], second: Callable[[], SecondT]) -> tuple[FirstT, SecondT]:
    """Call ``first`` here and ``second`` on another thread; return both results.

    Neither is still running afterwards, even if one of them raises or Ctrl-C is pressed at any time, several
    times. Otherwise a caller could restore what they change while one of them still changes it. Where no
    thread can be started, they are called one after the other.

    >>> side_by_side(lambda: 1, lambda: "two")
    (1, 'two')
    """
    job = _Job(second)
    interrupt: BaseException | None = None
    try:
        _start(job)
        result = first()
    except BaseException as error:  # raised again below
        interrupt = error
    while True:
        try:
            job.finish(run=interrupt is None)
            break
        except KeyboardInterrupt as error:
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt
    return result, job.result()


def _start(job: _Job[SecondT]) -> None:
    with suppress(RuntimeError):  # no more threads: `finish` makes the call
        # Not `threading.Thread`: its `start` waits, with locks that an interrupt can leave taken.
        _thread.start_new_thread(job.run, ())


class _Job(Generic[SecondT]):
    """A call that one thread makes: the one that claims it first.

    Whether a thread that starts has begun is not known from outside (an interrupt may arrive before or after
    its first step). So a thread claims the call before it makes it, and makes none if another has claimed it.
    To claim it twice counts as once, since an interrupt may come between the claim and the next statement.
    """

    def __init__(self, call: Callable[[], SecondT]) -> None:
        self._call = call
        self._owner: dict[None, int] = {}
        self._is_over = False
        self._running = _thread.allocate_lock()
        self._running.acquire()
        self._results: list[SecondT] = []
        self._error: BaseException | None = None

    def _is_mine(self) -> bool:
        me = _thread.get_ident()
        return self._owner.setdefault(None, me) == me

    def run(self) -> None:
        """Make the call if it is this thread's."""
        try:
            if self._is_mine():
                self._results.append(self._call())
        except BaseException as error:  # raised by `result`
            self._error = error
        finally:
            if self._is_mine():
                self._is_over = True
                self._running.release()

    def finish(self, *, run: bool) -> None:
        """Wait for another thread that makes the call; if none has begun, make it here if ``run`` is true."""
        if self._is_mine():
            if run:
                self.run()
        else:
            while not self._is_over:  # looked at first: an interrupt may come just after the lock is taken
                self._running.acquire()

    def result(self) -> SecondT:
        """Return what the call returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._results[0]
