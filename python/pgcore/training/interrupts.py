"""Ctrl-C during work that must not be interrupted: it waits until that work is done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Interrupts"]

# What asks a program to end. Other signals (an alarm of the environment's own) are left alone.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_PATIENCE = 1.0  # seconds, from one Ctrl-C to the one that no longer waits for callbacks

Handler = Callable[[int, FrameType | None], object]


class Interrupts:
    """While this context is open, signals that ask the program to end wait whenever ``held`` is true.

    A signal that waits is handled at the next `admit`, or at the end of the context, by the handler that was
    set before. Only handlers that were set from Python are replaced, and only in the main thread, where
    Python runs them; other threads receive no signals.

    Attributes
    ----------
    held : bool
        True at first. It is set by plain assignment: Python handles signals between two calls, so that
        nothing can arrive between the end of a block and an assignment that follows it.
    impatient : bool
        Let a second signal through that comes a second or more after the first, so that a callback that hangs
        can still be interrupted.

    Examples
    --------
    >>> with Interrupts() as interrupts:
    ...     try:
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("undisturbed")
    ...         interrupts.admit()
    ...     except KeyboardInterrupt:
    ...         print("now")
    undisturbed
    now
    """

    def __init__(self) -> None:
        self.held = True
        self.impatient = False
        self._handlers: dict[int, Handler] = {}
        self._waiting: list[int] = []
        self._first = 0.0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
                handler = signal.getsignal(signum)
                if callable(handler):
                    self._handlers[signum] = handler
                    signal.signal(signum, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held, self.impatient = True, False
        for signum, handler in self._handlers.items():
            if signal.getsignal(signum) == self._handle:  # else the caller has set another one since
                signal.signal(signum, handler)
        if not isinstance(error, KeyboardInterrupt):  # else the caller already gets one
            self._deliver()

    def admit(self) -> None:
        """Handle the signals that wait; let later ones through at once."""
        self.held = self.impatient = False
        self._deliver()

    def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for signum in waiting[:1]:  # a second one that waits asks for the same
            self._handlers[signum](signum, None)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.held and not (self.impatient and self._waiting and now - self._first >= _PATIENCE):
            if not self._waiting:
                self._first = now
            self._waiting.append(signum)
        else:
            self._waiting.clear()
            self._handlers[signum](signum, frame)
