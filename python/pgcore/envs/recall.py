"""A task that needs memory: the right action depends on what was shown some steps ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from pgcore._arguments import integer

if TYPE_CHECKING:
    from pgcore.rollout.types import Info, Keywords

__all__ = ["Recall"]

Array = NDArray[np.float32]


class Recall(gym.Env[Array, np.int64]):
    """A cue is shown at the start; after a delay the action must match it.

    o_0 = (c, 0) with c = ±1, each with probability ½; o_t = (0, t/(D+1)) from then on. The episode ends with
    the step from o_D: its reward is 1 if its action is 1 for c = +1, or 0 for c = −1; else it is 0. Earlier
    actions have no effect and give reward 0.

    The observation of the last step, o_D, does not depend on the cue, so every policy that sees only the last
    observation has an expected return of ½. A policy of the last H > D observations can reach 1; stack them
    with ``gymnasium.wrappers.FrameStackObservation`` (see `pgcore.envs.wrappers`).

    ===========  ==================  =========================================================
    space        kind                holds
    ===========  ==================  =========================================================
    observation  (2,) float32        the cue or 0, and the fraction of the episode that is over
    action       2 choices           0 for the cue −1, 1 for the cue +1
    ===========  ==================  =========================================================

    Parameters
    ----------
    delay
        D ≥ 1, steps between the cue and the action that is rewarded. An episode has D + 1 steps.

    Attributes
    ----------
    delay
        As given.

    Raises
    ------
    TypeError, ValueError
        If ``delay`` is no positive integer.

    References
    ----------
    Lecture, part 2 (partial observability). Tasks of this kind: Hochreiter & Schmidhuber (1997), *Long
    short-term memory*.

    Examples
    --------
    >>> env = gym.make("pgcore.envs:pgcore/Recall-v0", delay=1)
    >>> (cue, _), _ = env.reset(seed=0)
    >>> env.step(0)[0]
    array([0. , 0.5], dtype=float32)
    >>> _, reward, terminated, _, _ = env.step(int(cue > 0))
    >>> reward, terminated
    (1.0, True)
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own convention)

    def __init__(self, delay: int = 3) -> None:
        self.delay = integer("delay", delay, minimum=1)
        self.observation_space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 1], np.float32))
        self.action_space = spaces.Discrete(2)
        self._answer = 0
        self._step = self.delay + 1

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> tuple[Array, Info]:
        """Draw the cue and show it.

        Parameters
        ----------
        seed
            Seeds the generator.
        options
            Ignored.

        Returns
        -------
        (obs, info)
            (c, 0), and an empty dictionary.
        """
        super().reset(seed=seed)
        self._answer = int(self.np_random.integers(2))
        self._step = 0
        return np.array([2 * self._answer - 1, 0], np.float32), {}

    def step(self, action: np.int64 | int) -> tuple[Array, float, bool, bool, Info]:
        """Make one step; the action of the last step is the answer.

        Parameters
        ----------
        action
            0 or 1.

        Returns
        -------
        (obs, reward, terminated, truncated, info)
            (0, t/(D+1)); 1 for the right answer at the last step, else 0; whether this was it; False; an
            empty dictionary.

        Raises
        ------
        ValueError
            If ``action`` is neither 0 nor 1.
        gymnasium.error.ResetNeeded
            If the episode has ended, or none has begun.
        """
        if self._step > self.delay:
            raise ResetNeeded("step: expected an episode under way, got a reset due")
        if action not in (0, 1):
            raise ValueError(f"action: expected 0 or 1, got {action!r}")
        answers = self._step == self.delay
        self._step += 1
        obs = np.array([0, self._step / (self.delay + 1)], np.float32)
        return obs, float(answers and action == self._answer), answers, False, {}
