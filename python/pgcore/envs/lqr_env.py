"""The scalar LQR as an environment, one copy or many in one array; `pgcore.envs.lqr` has its formulas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pgcore._arguments import FLOAT64, AnyArray, BoolArray, bool_array, check_shape, float_array, integer
from pgcore.envs.checks import Array, generator_for, problem

if TYPE_CHECKING:
    from pgcore.rollout.types import Info, Keywords

__all__ = ["LQR", "LQRVector"]


class LQR(gym.Env[Array, Array]):
    """A scalar linear system with quadratic cost, the smallest continuous control problem.

    s_{t+1} = s_t + a_t, r_t = −s_t² − a_t², s_0 ∼ N(0, m_0), t = 0 … T−1

    Nothing is bounded and nothing is clipped. The horizon is part of the problem: the T-th step terminates,
    so there is no bootstrap value. The step number is not observed. Far outside, states and
    rewards overflow to infinity, without a warning.

    ===========  ==================  ====================
    space        kind                holds
    ===========  ==================  ====================
    observation  (1,) float64        s_t
    action       (1,) float64        a_t
    ===========  ==================  ====================

    Parameters
    ----------
    horizon
        T, steps of an episode.
    initial_second_moment
        m_0 ≥ 0, the variance of the first state.

    Attributes
    ----------
    horizon, initial_second_moment
        As given.

    Raises
    ------
    TypeError, ValueError
        If ``horizon`` is no positive integer or ``initial_second_moment`` no finite number >= 0.

    References
    ----------
    Lecture, part 5; Peters & Schaal (2008), *Reinforcement learning of motor skills with policy gradients*.

    Examples
    --------
    >>> env = gym.make("pgcore.envs:pgcore/LQR-v0", horizon=50)
    >>> s, _ = env.reset(seed=0)
    >>> next_s, reward, terminated, truncated, _ = env.step(1.0 - s)
    >>> next_s, bool(reward == -(s**2 + (1.0 - s) ** 2)), terminated, truncated
    (array([1.]), True, False, False)
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own convention)

    def __init__(self, horizon: int = 20, initial_second_moment: float = 1.0) -> None:
        self.horizon, self.initial_second_moment = problem(horizon, initial_second_moment)
        self.observation_space = _real_line()
        self.action_space = _real_line()
        self._state = 0.0
        self._step = self.horizon

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> tuple[Array, Info]:
        """Draw s_0.

        Parameters
        ----------
        seed
            Seeds the generator.
        options
            Ignored.

        Returns
        -------
        (obs, info)
            s_0, shape (1,), and an empty dictionary.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.np_random = generator_for(seed)
        self._state = math.sqrt(self.initial_second_moment) * self.np_random.standard_normal()
        self._step = 0
        return np.array([self._state]), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, Info]:
        """Move the state by the action.

        Parameters
        ----------
        action
            a_t, shape (1,).

        Returns
        -------
        (obs, reward, terminated, truncated, info)
            s_{t+1}; −s_t² − a_t²; whether this was the T-th step; False; an empty dictionary.

        Raises
        ------
        TypeError, ValueError
            If ``action`` holds no real numbers or has another shape.
        gymnasium.error.ResetNeeded
            If the episode has ended, or none has begun.
        """
        if self._step == self.horizon:
            raise ResetNeeded("step: expected an episode under way, got a reset due")
        a = float_array("action", action, FLOAT64)
        check_shape("action", a, (1,))
        move, state = float(a[0]), self._state
        self._state = state + move
        self._step += 1
        return (
            np.array([self._state]),
            -(state * state + move * move),
            self._step == self.horizon,
            False,
            {},
        )


class LQRVector(VectorEnv[Array, Array, AnyArray]):
    """Many copies of `LQR` in one array.

    Copies that have ended wait for ``reset(options={"reset_mask": ...})``: autoreset is ``DISABLED``, the
    mode in which every step of every copy is a transition. All copies draw from one generator, in their
    order, as that many single environments with a common generator would; making one for each would take
    longer than the episodes. So a vector of one has exactly the numbers of `LQR`.

    Parameters
    ----------
    num_envs
        N, how many copies.
    horizon, initial_second_moment
        As in `LQR`.

    Attributes
    ----------
    num_envs, horizon, initial_second_moment
        As given.

    Raises
    ------
    TypeError, ValueError
        If ``num_envs`` or ``horizon`` is no positive integer, or as in `LQR`.

    References
    ----------
    Lecture, part 5.

    Examples
    --------
    >>> envs = gym.make_vec("pgcore.envs:pgcore/LQR-v0", num_envs=3, horizon=1)
    >>> s, _ = envs.reset(seed=0)
    >>> _, rewards, terminated, _, _ = envs.step(np.zeros((3, 1)))
    >>> bool((rewards == -(s[:, 0] ** 2)).all()), terminated
    (True, array([ True,  True,  True]))
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012  (gymnasium's own convention)

    def __init__(self, num_envs: int = 1, horizon: int = 20, initial_second_moment: float = 1.0) -> None:
        self.num_envs = integer("num_envs", num_envs, minimum=1)
        self.horizon, self.initial_second_moment = problem(horizon, initial_second_moment)
        self.single_observation_space = _real_line()
        self.single_action_space = _real_line()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._states = np.zeros(self.num_envs)
        self._steps = np.zeros(self.num_envs, np.int64)
        self._over = np.ones(self.num_envs, np.bool_)

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> tuple[Array, Info]:
        """Draw s_0 in all copies, or in some.

        Parameters
        ----------
        seed
            Seeds the generator that all copies share.
        options
            ``"reset_mask"``, a boolean array of shape (N,), says which copies begin a new episode; without it
            all do.

        Returns
        -------
        (obs, info)
            The states of all copies, shape (N, 1), and an empty dictionary.

        Raises
        ------
        TypeError, ValueError
            If the mask isn't one.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.np_random = generator_for(seed)
        mask: BoolArray | slice = slice(None)
        count = self.num_envs
        if options is not None and "reset_mask" in options:
            mask = bool_array("options['reset_mask']", options["reset_mask"], (self.num_envs,))
            count = int(np.count_nonzero(mask))
        std = math.sqrt(self.initial_second_moment)
        self._states[mask] = std * self.np_random.standard_normal(count)
        self._steps[mask] = 0
        self._over[mask] = False
        return self._states[:, None].copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, BoolArray, BoolArray, Info]:
        """Move all states by their actions.

        Parameters
        ----------
        actions
            a_t, shape (N, 1).

        Returns
        -------
        (obs, rewards, terminated, truncated, info)
            s_{t+1}, shape (N, 1); −s_t² − a_t² and two flags, each of shape (N,); an empty dictionary. The
            caller may keep the arrays.

        Raises
        ------
        TypeError, ValueError
            If ``actions`` hold no real numbers or have another shape.
        gymnasium.error.ResetNeeded
            If the episode of some copy has ended, or has not begun.
        """
        if np.count_nonzero(self._over):
            waiting = np.flatnonzero(self._over)
            raise ResetNeeded(
                f"step: expected episodes under way, got a reset due in {len(waiting)} copies, "
                f"the first of which is {waiting[0]}"
            )
        a = float_array("actions", actions, FLOAT64)
        check_shape("actions", a, (self.num_envs, 1))
        moves, states = a[:, 0], self._states
        with np.errstate(over="ignore", invalid="ignore"):  # as in Python's floats
            rewards = -(states * states + moves * moves)
            states += moves
        self._steps += 1
        self._over = self._steps == self.horizon
        return states[:, None].copy(), rewards, self._over.copy(), np.zeros(self.num_envs, np.bool_), {}


def _real_line() -> gym.Space[Array]:
    return cast("gym.Space[Array]", spaces.Box(-np.inf, np.inf, (1,), np.float64))
