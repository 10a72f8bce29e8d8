"""Partial observability: `HideObservations` removes components, gymnasium's wrappers stack past observations.

A policy may act on a window of the last H observations instead of the last one alone.
``gymnasium.wrappers.FrameStackObservation(env, H, padding_type="zero")`` makes them one observation of shape
(H, …), oldest first, which ``FlattenObservation`` (or pgcore, automatically) flattens to a vector. A reset
fills the whole window, so that nothing remains of the episode before: with zeros, or by default with the
first observation repeated, which then looks like one that was seen H times.

>>> import gymnasium as gym
>>> from gymnasium.wrappers import FlattenObservation, FrameStackObservation
>>> env = HideObservations(gym.make("CartPole-v1"), keep=[0, 2])  # positions, but no velocities
>>> env = FlattenObservation(FrameStackObservation(env, 3, padding_type="zero"))
>>> obs, _ = env.reset(seed=0)
>>> env.observation_space.shape, obs[:4]
((6,), array([0., 0., 0., 0.], dtype=float32))

In many copies these go into ``gymnasium.make_vec(..., wrappers=[...])``, whose result every algorithm takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import TransformObservation

from pgcore._arguments import AnyArray, integers

if TYPE_CHECKING:
    from pgcore.rollout.types import AnyEnv

__all__ = ["HideObservations"]


class HideObservations(TransformObservation[AnyArray, object, AnyArray], RecordConstructorArgs):
    """Keeps only some components of a vector of observations: the policy sees o = (s_j for j in ``keep``).

    Parameters
    ----------
    env
        An environment whose observations are a `Box` of shape (D,).
    keep
        Numbers of the components that stay visible, in the order in which they are wanted.

    Raises
    ------
    TypeError
        If ``keep`` is no sequence of integers, or the observation space no `Box`.
    ValueError
        If ``keep`` is empty, has a number twice or one outside 0 … D−1, or the `Box` has another shape.

    References
    ----------
    Lecture, part 2 (partial observability): the policy gradient is the same with o_t in place of s_t.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = HideObservations(gym.make("CartPole-v1"), keep=[0, 2])
    >>> env.observation_space.shape
    (2,)
    """

    def __init__(self, env: AnyEnv, keep: Sequence[int]) -> None:
        space = env.observation_space
        if not isinstance(space, spaces.Box):
            raise TypeError(f"env: expected Box observations, got {space}")
        if len(space.shape) != 1:
            raise ValueError(f"env: expected observations of shape (D,), got {space.shape}")
        kept = list(integers("keep", keep, minimum=0))
        if not kept or len(set(kept)) < len(kept) or max(kept) >= space.shape[0]:
            raise ValueError(
                f"keep: expected different integers from 0 to {space.shape[0] - 1}, got {keep!r}"
            )
        RecordConstructorArgs.__init__(self, keep=kept)
        visible = spaces.Box(space.low[kept], space.high[kept], dtype=space.dtype.type)
        super().__init__(env, itemgetter(kept), visible)
