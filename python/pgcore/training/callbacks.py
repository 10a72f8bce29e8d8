"""What `Algorithm.learn` calls after every iteration: anything that takes the model.

A callback returns ``False`` to stop training. ``model.logs`` has the iteration's numbers:

>>> def stop_when_solved(model):
...     return model.logs["rollout/ep_rew_mean"] < 475
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pgcore.training.algorithm import Algorithm

__all__ = ["Callback", "CheckpointCallback", "ProgressBar", "as_callbacks"]

Callback: TypeAlias = "Callable[[Algorithm[Any]], bool | None]"


def as_callbacks(callback: Callback | Iterable[Callback] | None) -> list[Callback]:
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


class CheckpointCallback:
    """Save the model to ``path`` whenever another ``save_freq`` environment steps have gone by.

    Parameters
    ----------
    path
        The file, replaced at every save.
    save_freq
        Environment steps, over all environments, between two saves.
    """

    def __init__(self, path: str | os.PathLike[str], save_freq: int) -> None:
        if save_freq < 1:
            raise ValueError(f"save_freq: expected an integer >= 1, got {save_freq!r}")
        self.path = Path(path)
        self.save_freq = save_freq
        self._saved_at = 0

    def __call__(self, model: Algorithm[Any]) -> None:
        """Save if it is time to."""
        if model.num_timesteps - self._saved_at >= self.save_freq:
            model.save(self.path)
            self._saved_at = model.num_timesteps


class ProgressBar:
    """A bar of environment steps on standard error, for ``learn(..., progress_bar=True)``."""

    def __init__(self, total_timesteps: int, num_timesteps: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress: Progress = Progress(
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task: TaskID = self._progress.add_task("", total=total_timesteps, completed=num_timesteps)
        self._progress.start()

    def __call__(self, model: Algorithm[Any]) -> None:
        """Move the bar."""
        reward = f"reward {model.logs['rollout/ep_rew_mean']:.4g}"
        self._progress.update(self._task, completed=model.num_timesteps, description=reward)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("ProgressBar: expected to stay with its terminal, got copied or pickled")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
