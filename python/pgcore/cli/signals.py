"""Ctrl-C, kill and a closed terminal: when they raise an exception, and when they are ignored or wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Interrupted", "deferred_signals", "ignored_signals", "raising_signals"]


def _signals() -> tuple[signal.Signals, ...]:
    """The signals of this platform that ask a command to end."""
    found = [signal.SIGINT, signal.SIGTERM]
    for name in ("SIGHUP", "SIGBREAK"):  # the terminal was closed: on POSIX, on Windows
        signum = getattr(signal, name, None)
        if signum is not None and signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores it
            found.append(signum)
    return tuple(found)


_SIGNALS = _signals()  # now, before any handler of our own


class Interrupted(KeyboardInterrupt):
    """A signal asks the command to end.

    Parameters
    ----------
    signum
        The signal.

    Attributes
    ----------
    status : int
        The exit status that shells give it: 130 for Ctrl-C.
    """

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.status = 128 + signum


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    before = [(signum, signal.signal(signum, handler)) for signum in _SIGNALS]
    try:
        yield
    finally:
        for signum, previous in before:
            # None is a handler that was not set from Python; it cannot be put back, the default can
            signal.signal(signum, signal.SIG_DFL if previous is None else previous)


def raising_signals() -> AbstractContextManager[None]:
    """Inside this context, signals to end raise `Interrupted`."""
    return _handled(_raise)


def ignored_signals() -> AbstractContextManager[None]:
    """Inside this context, signals to end do nothing; processes started in it inherit that."""
    return _handled(signal.SIG_IGN)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Raise `Interrupted` at the end of this context for a signal to end that came inside it.

    Processes started in it ignore such signals: forked ones inherit a handler that only records the signal,
    others inherit that the signals are blocked (not on Windows, which has no signal masks).
    """
    arrived: list[int] = []
    # Blocking is not enough for this process: a thread that was there before would take the signal.
    with _handled(lambda signum, frame: arrived.append(signum)):
        if not hasattr(signal, "pthread_sigmask"):
            yield
        else:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)  # handlers of what is pending run here
    if arrived:
        raise Interrupted(arrived[0])


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(signum)
