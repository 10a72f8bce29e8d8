"""One seed for a model; from it, independent streams for everything random in it."""

from __future__ import annotations

import numpy as np

from pgcore.rollout.seeds import environment_seed

__all__ = ["checked_seed", "integer_seed"]


def checked_seed(seed: int | None) -> int:
    """Return ``seed``, or one from the operating system's entropy for None.

    Raises
    ------
    TypeError, ValueError
        If it is no integer, or negative.
    """
    if seed is None:
        return integer_seed(np.random.SeedSequence())
    return environment_seed(seed)


def integer_seed(sequence: np.random.SeedSequence) -> int:
    """Return a seed for what takes only an integer (gymnasium wants it below 2³¹)."""
    return int(sequence.generate_state(1)[0] >> 1)
