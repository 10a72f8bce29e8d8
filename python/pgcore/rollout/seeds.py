"""What a seed may be; and seeds for what takes only some."""

from __future__ import annotations

import numpy as np

__all__ = ["checked_seed", "environment_seed", "envpool_seed", "integer_seed"]


def environment_seed(seed: object) -> int:
    """Return a seed as a Python integer.

    Raises
    ------
    TypeError, ValueError
        If it is no integer, or negative.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise TypeError(f"seed: expected an integer >= 0 or None, got {type(seed).__name__} {seed!r}")
    if seed < 0:
        raise ValueError(f"seed: expected an integer >= 0 or None, got {seed}")
    return int(seed)


def envpool_seed(seed: int, num_envs: int) -> int:
    """Return a seed such that it and the ``num_envs - 1`` that follow fit into 31 bits: itself, if they do.

    >>> envpool_seed(7, 2), envpool_seed(2**31, 2) == envpool_seed(2**31, 2) < 2**31 - 1
    (7, True)
    """
    limit = 2**31 - num_envs
    seed = environment_seed(seed)
    return seed if seed <= limit else int(np.random.SeedSequence(seed).generate_state(1)[0]) % limit


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
