"""`RecordedSampler`: demonstrations in place of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pgcore._arguments import AnyArray, Arrays, state_count
from pgcore.rollout.sampler import Rollout

if TYPE_CHECKING:
    from pgcore.data.demonstrations import Demonstrations

__all__ = ["RecordedSampler"]


class RecordedSampler:
    """Returns recorded steps, ``n_steps`` at a time, in epochs that are shuffled differently.

    Parameters
    ----------
    demonstrations
        The steps.
    position
        Number of the next step, counted over all epochs.

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.data import Demonstrations
    >>> recorded = Batch(np.zeros((3, 1)), actions=[0, 1, 2], rewards=np.ones(3), ends=[False, False, True])
    >>> sampler = RecordedSampler(Demonstrations(recorded, seed=0))
    >>> sorted(sampler.collect(None, 3).batch.actions.tolist()), sampler.position
    ([0, 1, 2], 3)
    """

    def __init__(self, demonstrations: Demonstrations, *, position: int = 0) -> None:
        self.demonstrations = demonstrations
        self.position = position

    def collect(self, policy: object, n_steps: int, *, whole_episodes: bool = False) -> Rollout:
        """Return the next ``n_steps`` steps, each a segment of its own, whatever the policy."""
        start, self.position = self.position, self.position + n_steps
        return Rollout(self.demonstrations.take(start, self.position), num_env_steps=n_steps)

    def begin_episodes(self, seed: int) -> None:
        """Do nothing: the place in the epochs is kept."""

    def state(self) -> Arrays:
        """Return the place in the epochs."""
        return {"position": np.array(self.position)}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Continue from the place that `state` returned."""
        self.position = state_count(state, "position")

    def close(self) -> None:
        """Do nothing."""
