"""How long an episode may last before it counts as endless."""

from __future__ import annotations

from pgcore._arguments import integer
from pgcore.rollout.types import AnyVectorEnv

__all__ = ["MAX_EPISODE_STEPS", "episode_limit"]

MAX_EPISODE_STEPS = 100_000
"""Steps after which an episode counts as endless by default."""


def episode_limit(env: AnyVectorEnv, max_steps: int | None) -> int:
    """Return after how many steps an episode is to be cut: ``max_steps`` if it is given.

    By default the environment's own time limit, but not less than `MAX_EPISODE_STEPS`: a long episode must
    not count as one that never ends.

    Raises
    ------
    TypeError, ValueError
        If ``max_steps`` is no positive integer.
    """
    if max_steps is not None:
        return integer("max_steps", max_steps, minimum=1)
    own = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    return max(MAX_EPISODE_STEPS, own or 0)
