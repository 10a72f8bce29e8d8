"""`Spaces`: what a model needs of its environment, and keeps without one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from pgcore import policies
from pgcore.io.datasets import check_fit as check_batch
from pgcore.rollout import ActionAdapter, ObservationAdapter
from pgcore.rollout.spaces import check_fit

if TYPE_CHECKING:
    from pgcore._arguments import AnyArray
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy
    from pgcore.rollout.types import AnySpace, AnyVectorEnv

__all__ = ["Spaces"]


class Spaces:
    """The observation and action space of one environment, and what fits them.

    Parameters
    ----------
    observation, action
        Of one environment.

    Attributes
    ----------
    observation, action : gymnasium.Space
        As given.
    observations, actions
        The adapters between them and the arrays of policies.
    obs_dim : int
        Length of a flattened observation.

    Raises
    ------
    TypeError, ValueError
        For a space that no adapter takes; names ``observation_space`` or ``action_space``.

    Examples
    --------
    >>> spaces = Spaces(gym.spaces.Box(-1, 1, (2, 3)), gym.spaces.Discrete(4))
    >>> spaces.obs_dim, spaces.default_policy(hidden=(8,), activation="tanh", seed=0).num_actions
    (6, 4)
    """

    def __init__(self, observation: AnySpace, action: AnySpace) -> None:
        self.observation, self.action = observation, action
        self.observations, self.actions = ObservationAdapter(observation), ActionAdapter(action)
        self.obs_dim = self.observations.dim

    @classmethod
    def of(cls, env: AnyVectorEnv) -> Spaces:
        """Return those of a vector environment's copies."""
        return cls(env.single_observation_space, env.single_action_space)

    def default_policy(
        self, *, hidden: Sequence[int], activation: str, seed: int, init_log_std: float = 0.0
    ) -> Policy:
        """Return a new policy that fits; ``init_log_std`` counts where actions are real numbers."""
        spread = {"init_log_std": init_log_std} if isinstance(self.action, gym.spaces.Box) else {}
        return policies.for_spaces(
            self.obs_dim, self.action, hidden=hidden, activation=activation, seed=seed, **spread
        )

    def check_policy(self, policy: Policy) -> None:
        """Raise a `ValueError` unless ``policy`` takes these observations and makes these actions."""
        check_fit(policy, self.observations, self.actions)

    def check_batch(self, batch: Batch, name: str = "demonstrations") -> None:
        """Raise a `ValueError` unless the steps of argument ``name`` could be a policy's for these spaces."""
        check_batch(batch, self.obs_dim, self.action, name)

    def some_observations(self, num_rows: int = 3) -> AnyArray:
        """Return flattened observations of the space, of moderate size, (num_rows, obs_dim), always equal."""
        space = deepcopy(self.observation)  # its generator is the caller's
        space.seed(0)
        rows = np.concatenate([self.observations.single(space.sample()) for _ in range(num_rows)])
        bounded: AnyArray = np.clip(rows, -10, 10)
        return bounded

    def check_env(self, env: AnyVectorEnv) -> None:
        """Raise a `ValueError` unless a vector environment has the same spaces."""
        for name, expected, got in (
            ("observation_space", self.observation, env.single_observation_space),
            ("action_space", self.action, env.single_action_space),
        ):
            if expected != got:
                raise ValueError(f"env: expected {name} {expected}, got {got}")
