"""What `Algorithm.learn` calls after every iteration: anything that takes the model.

A callback returns ``False`` to stop training, ``True`` or nothing to continue. ``model.logs`` has the
iteration's numbers. The mean reward is not-a-number as long as no episode has ended, and every comparison
with that is false: write the condition for stopping, and return its opposite.

>>> def stop_when_solved(model):
...     return not model.logs["rollout/ep_rew_mean"] >= 475
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeAlias, TypeVar

from pgcore._arguments import integer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = [
    "Callback",
    "CheckpointCallback",
    "LearningModel",
    "ProgressBar",
    "as_callbacks",
    "call_all",
    "says_stop",
]


class LearningModel(Protocol):
    """What the callbacks and loggers of this package read of a model, and do with it."""

    @property
    def num_timesteps(self) -> int:
        """Environment steps so far."""

    @property
    def num_iterations(self) -> int:
        """Iterations so far."""

    @property
    def logs(self) -> dict[str, float]:
        """Numbers of the last iteration."""

    def save(self, path: str | os.PathLike[str], /) -> Path:
        """Write the model to a file."""


ModelT = TypeVar("ModelT")
Callback: TypeAlias = Callable[[ModelT], object]
"""Takes the model; an answer that `says_stop` ends training."""


def as_callbacks(callback: Callback[ModelT] | Iterable[Callback[ModelT]] | None) -> list[Callback[ModelT]]:
    """``None``, one callback or several, as a list.

    Raises
    ------
    TypeError
        If one of them cannot be called.
    """
    if callback is None:
        return []
    if callable(callback):
        return [callback]
    callbacks = list(callback) if isinstance(callback, Iterable) else [callback]
    for item in callbacks:
        if not callable(item):
            raise TypeError(
                f"callback: expected a callable that takes the model, or a list of them, got {item!r}"
            )
    return callbacks


def says_stop(answer: object) -> bool:
    """Whether what a callback returned ends training: a boolean that is false, of any library.

    That is ``False``, NumPy's, and an array or a tensor of one boolean. Whatever is no boolean (None, a
    number, a text) continues.

    Raises
    ------
    TypeError
        For several booleans.

    Examples
    --------
    >>> import numpy as np
    >>> says_stop(np.float32(500) < 475), says_stop(True), says_stop(None), says_stop(0)
    (True, False, False, False)
    """
    if answer is None or isinstance(answer, bool):
        return answer is False
    if not re.search(r"\bbool_?\b", str(getattr(answer, "dtype", ""))):
        return False
    try:
        return not bool(answer)
    except (RuntimeError, TypeError, ValueError):  # of several values, in the words of one library or another
        raise TypeError(f"callback: expected None or one boolean to be returned, got {answer!r}") from None


def call_all(callbacks: Iterable[Callback[ModelT]], model: ModelT) -> bool:
    """Call every callback, whatever the others return or raise; return whether one stops training.

    Raises
    ------
    BaseException
        The first error, when all have been called: an iteration that is over is known to every logger.
    """
    stop, failure = False, None
    for callback in callbacks:
        try:
            stop |= says_stop(callback(model))
        except BaseException as error:  # raised again below
            failure = failure or error
    if failure is not None:
        raise failure
    return stop


class CheckpointCallback:
    """Save the model to ``path`` after every ``save_freq`` environment steps.

    It counts anew when the model does (``learn`` with ``reset_num_timesteps``).

    Parameters
    ----------
    path
        The file, replaced at every save.
    save_freq
        Environment steps, over all environments, between two saves.
    """

    def __init__(self, path: str | os.PathLike[str], save_freq: int) -> None:
        self.path = Path(path)
        self.save_freq = integer("save_freq", save_freq, minimum=1)
        self._saved_at = self._num_iterations = 0

    def __call__(self, model: LearningModel) -> None:
        """Save if it is time to."""
        if model.num_iterations <= self._num_iterations or model.num_timesteps < self._saved_at:
            self._saved_at = 0
        self._num_iterations = model.num_iterations
        if model.num_timesteps - self._saved_at >= self.save_freq:
            model.save(self.path)
            self._saved_at = model.num_timesteps


class ProgressBar:
    """How far `learn` is, on standard error, for ``learn(..., progress_bar=True)``.

    A bar where one can be drawn: on a terminal, and in a notebook with ``ipywidgets``. Elsewhere lines of
    text, at most one for every twentieth of the steps.
    """

    def __init__(self, total_timesteps: int, num_timesteps: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._total, self._next_line = total_timesteps, num_timesteps
        self._progress: Progress | None = None
        console = Console(stderr=True)
        if console.is_jupyter:
            drawable = importlib.util.find_spec("ipywidgets") is not None
        else:
            drawable = console.is_terminal and not console.is_dumb_terminal
        if drawable:
            self._progress = Progress(
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
                BarColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self._task: TaskID = self._progress.add_task("", total=total_timesteps, completed=num_timesteps)
            self._progress.start()

    def __call__(self, model: LearningModel) -> None:
        """Move the bar, or write a line."""
        steps, reward = model.num_timesteps, f"reward {model.logs['rollout/ep_rew_mean']:.4g}"
        if self._progress is not None:
            self._progress.update(self._task, completed=steps, description=reward)
        elif steps >= min(self._next_line, self._total) and sys.stderr is not None:
            print(f"{steps:,}/{self._total:,} steps  {reward}", file=sys.stderr, flush=True)
            self._next_line = steps + max(1, self._total // 20)

    def __getstate__(self) -> NoReturn:
        raise TypeError("ProgressBar: expected to stay with its terminal, got copied or pickled")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()
