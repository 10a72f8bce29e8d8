"""`Replay`: the last few batches, kept for learning from them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from copy import deepcopy

from pgcore._arguments import AnyArray, Arrays
from pgcore.data.batch import FIELDS, Batch

__all__ = ["Replay"]


class Replay:
    """The last ``capacity`` batches, oldest first; saved with the model.

    Examples
    --------
    >>> replay = Replay(2)
    >>> for reward in (1.0, 2.0, 3.0):
    ...     replay.add(Batch([[0.0]], [0], [reward], [True]))
    >>> [batch.rewards.tolist() for batch in replay.batches]
    [[2.0], [3.0]]
    """

    def __init__(self, capacity: int) -> None:
        self.batches: deque[Batch] = deque(maxlen=capacity)

    def add(self, batch: Batch) -> None:
        """Add a batch, and forget the oldest if there are too many."""
        self.batches.append(batch)

    def __copy__(self) -> Replay:
        return deepcopy(self)

    def state(self) -> Arrays:
        """Return the batches' arrays, which nobody can change, by number and name."""
        fields = ((i, name, getattr(batch, name)) for i, batch in enumerate(self.batches) for name in FIELDS)
        return {f"{i}.{name}": array for i, name, array in fields if array is not None}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Load batches that `state` returned."""
        self.batches.clear()
        for i in range(len({name.partition(".")[0] for name in state})):
            fields = {name: state[f"{i}.{name}"] for name in FIELDS if f"{i}.{name}" in state}
            self.batches.append(Batch(**fields))
