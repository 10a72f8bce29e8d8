"""`TrainingState`: what every model counts, remembers of its episodes, and draws from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast

import numpy as np

from pgcore._arguments import integer
from pgcore.training.statistics import mean_or_nan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator, SeedSequence

__all__ = ["WINDOW", "GeneratorState", "SavedTrainingState", "TrainingState"]

WINDOW = 100
"""Episodes in the running means of the log, as in Stable-Baselines3."""

GeneratorState: TypeAlias = "dict[str, object]"


class SavedTrainingState(TypedDict):
    """What `TrainingState.state` returns; JSON can hold it."""

    num_timesteps: int
    num_iterations: int
    num_updates: int
    episode_returns: list[float]
    episode_lengths: list[int]
    rng: GeneratorState


class TrainingState:
    """Counters, the last episodes and the generator of a model.

    Its state is saved as JSON and not as arrays, since a generator's consists of integers of 128 bits.

    Parameters
    ----------
    seed
        Of the generator.

    Attributes
    ----------
    num_timesteps, num_iterations : int
        Environment steps and iterations since `restart`.
    num_updates : int
        Iterations since the model was made.
    episode_returns, episode_lengths : deque
        Of the last `WINDOW` episodes that ended.
    rng : numpy.random.Generator
        Source of everything random while the model learns.

    Examples
    --------
    >>> state = TrainingState(np.random.SeedSequence(0))
    >>> state.count(64, episode_returns=[1.0, 3.0], episode_lengths=[20, 30])
    >>> state.num_timesteps, state.mean_return, state.mean_length
    (64, 2.0, 25.0)
    """

    def __init__(self, seed: SeedSequence) -> None:
        self.num_timesteps = self.num_iterations = self.num_updates = 0
        self.episode_returns: deque[float] = deque(maxlen=WINDOW)
        self.episode_lengths: deque[int] = deque(maxlen=WINDOW)
        self.rng: Generator = np.random.default_rng(seed)

    def __copy__(self) -> TrainingState:
        return deepcopy(self)

    @property
    def mean_return(self) -> float:
        """Of the last `WINDOW` episodes; NaN if there are none."""
        return mean_or_nan(self.episode_returns)

    @property
    def mean_length(self) -> float:
        """Of the last `WINDOW` episodes; NaN if there are none."""
        return mean_or_nan(self.episode_lengths)

    def restart(self) -> None:
        """Count steps, iterations and episodes anew; the generator continues."""
        self.num_timesteps = self.num_iterations = 0
        self.episode_returns.clear()
        self.episode_lengths.clear()

    def count(
        self, num_steps: int, *, episode_returns: Iterable[float] = (), episode_lengths: Iterable[int] = ()
    ) -> None:
        """Count steps, and the episodes that ended during them."""
        self.num_timesteps += num_steps
        self.episode_returns.extend(episode_returns)
        self.episode_lengths.extend(episode_lengths)

    def state(self) -> SavedTrainingState:
        """Return everything, as JSON can hold it."""
        return {
            "num_timesteps": self.num_timesteps,
            "num_iterations": self.num_iterations,
            "num_updates": self.num_updates,
            "episode_returns": list(self.episode_returns),
            "episode_lengths": list(self.episode_lengths),
            "rng": dict(self.rng.bit_generator.state),
        }

    def load_state(self, state: Mapping[str, object] | SavedTrainingState) -> None:
        """Restore a state that `state` returned; the generator stays the same object.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        saved = cast(SavedTrainingState, state)
        self.num_timesteps = integer("num_timesteps", saved["num_timesteps"], minimum=0)
        self.num_iterations = integer("num_iterations", saved["num_iterations"], minimum=0)
        self.num_updates = integer("num_updates", saved["num_updates"], minimum=0)
        self.episode_returns = deque(saved["episode_returns"], maxlen=WINDOW)
        self.episode_lengths = deque(saved["episode_lengths"], maxlen=WINDOW)
        self.rng.bit_generator.state = saved["rng"]
