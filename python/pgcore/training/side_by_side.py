"""Two pieces of work at once, finished together whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["side_by_side"]

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


def side_by_side(first: Callable[[], FirstT], second: Callable[[], SecondT]) -> tuple[FirstT, SecondT]:
    """Call ``first`` here and ``second`` on another thread; return both results.

    Neither is still running afterwards, also when one of them raises or Ctrl-C is pressed again and again:
    whoever restores what they change would otherwise be overtaken by the one that goes on. Where no thread
    can be started, one follows the other.

    >>> side_by_side(lambda: 1, lambda: "two")
    (1, 'two')
    """
    pool = ThreadPoolExecutor(1)
    try:
        future = pool.submit(second)
    except RuntimeError:  # no thread to be had; the pool leaves the work undone
        return first(), second()
    interrupt: BaseException | None = None
    try:
        result = first()
    except BaseException as error:  # raised again below
        interrupt = error
    while not future.done():
        try:
            future.exception()  # waits
        except KeyboardInterrupt as error:
            interrupt = interrupt or error
    pool.shutdown()
    if interrupt is not None:
        raise interrupt
    return result, future.result()
