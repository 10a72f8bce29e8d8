"""Where experience comes from: the `Sampler` protocol, and the one that plays on this machine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from pgcore._arguments import AnyArray, Arrays, check_shape, float_array, integer, integers
from pgcore.data.batch import Batch
from pgcore.rollout.collector import ActingPolicy, Collector
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.making import close_vector_env
from pgcore.rollout.types import AnyVectorEnv

if TYPE_CHECKING:
    from pgcore.policies import Policy

__all__ = ["AwaitedSampler", "LocalSampler", "Rollout", "Sampler"]


@dataclass(frozen=True)
class Rollout:
    """What one call of `Sampler.collect` returns."""

    batch: Batch
    """Transitions to learn from."""
    episode_returns: Sequence[float] = ()
    """Undiscounted returns of the episodes that ended, in the order in which they ended; for the log."""
    episode_lengths: Sequence[int] = ()
    """Their numbers of steps."""
    num_env_steps: int = 0
    """Steps that were made for this, in the batch or not, which `learn` counts; by default the batch's."""

    def __post_init__(self) -> None:
        if not isinstance(self.batch, Batch):
            raise TypeError(f"batch: expected a pgcore.Batch, got {type(self.batch).__name__}")
        returns = float_array("episode_returns", self.episode_returns)
        lengths = integers("episode_lengths", self.episode_lengths, minimum=1)
        check_shape("episode_returns", returns, (len(lengths),))
        object.__setattr__(self, "episode_returns", returns.tolist())
        object.__setattr__(self, "episode_lengths", list(lengths))
        num_steps = self.num_env_steps or self.batch.num_steps
        object.__setattr__(self, "num_env_steps", integer("num_env_steps", num_steps, minimum=1))


@runtime_checkable
class Sampler(Protocol):
    """A source of experience, which an algorithm asks for one batch an iteration.

    Every object with these methods is one. A class that derives from this one writes `collect` alone; if what
    it returns depends on earlier calls, also `state` and `load_state`.

    Examples
    --------
    One that returns the same batch again and again:

    >>> class Same(Sampler):
    ...     def __init__(self, batch):
    ...         self.batch = batch
    ...
    ...     def collect(self, policy, n_steps, *, whole_episodes=False):
    ...         return Rollout(self.batch)
    >>> from pgcore import REINFORCE, Batch
    >>> batch = Batch(np.zeros((4, 4)), [0, 1, 1, 0], np.ones(4), [0, 1, 0, 1])
    >>> REINFORCE("CartPole-v1", sampler=Same(batch)).learn(8).num_timesteps
    8
    """

    @abstractmethod
    def collect(self, policy: Policy, n_steps: int, *, whole_episodes: bool = False) -> Rollout:
        """Return experience made with ``policy`` (or recorded), of at least one step.

        Parameters
        ----------
        policy
            As it is at the moment; it is not to be changed. Its `draw_noise` and `act`, or `sample`, act.
        n_steps
            Steps per environment.
        whole_episodes
            Whether the batch is to consist of whole episodes, with at least ``n_steps`` in every environment.
        """
        ...

    def begin_episodes(self, seed: int) -> None:
        """Begin new episodes with the next `collect`, and seed their first resets with ``seed``.

        Called before the first `collect`, when `learn` starts again, and after an iteration that failed.
        A sampler without running episodes has nothing to do.
        """
        return None

    def state(self) -> Arrays:
        """Return what can be saved, as arrays that later calls leave alone; nothing by default."""
        return {}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Load what `state` returned."""
        if state:
            raise ValueError(f"state: expected no entries, got {sorted(state)}")

    def close(self) -> None:
        """Release what is held: environments, workers."""
        return None


class LocalSampler(HoldsEnv, Sampler):
    """Plays the policy in a vector environment of this process, by a `Collector`.

    Running episodes can't be saved: a sampler that is made again begins new ones. ``copy`` and ``pickle``
    keep them, as they do for `Collector`.

    Parameters
    ----------
    env
        A gymnasium vector environment.
    rng
        Source of the policy's noise, and of the seeds of whole episodes. Shared, not copied.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy
    >>> from pgcore.rollout import make_vector_env
    >>> sampler = LocalSampler(make_vector_env("CartPole-v1", num_envs=4), rng=np.random.default_rng(0))
    >>> rollout = sampler.collect(CategoricalPolicy(4, 2), 32)
    >>> rollout.batch.num_steps, rollout.num_env_steps
    (128, 128)
    """

    env: AnyVectorEnv
    restart_attributes: ClassVar[Mapping[str, object]] = {"_collector": None}

    def __init__(self, env: AnyVectorEnv, *, rng: np.random.Generator) -> None:
        self.env = env
        self.rng = rng
        self._seed: int | None = None
        self._collector: Collector | None = None

    def collect(self, policy: ActingPolicy, n_steps: int, *, whole_episodes: bool = False) -> Rollout:
        """Play as `Collector.collect` does; another policy continues the last one's episodes."""
        collector = self._collector
        if collector is None:
            collector = self._collector = Collector(self.env, policy, rng=self.rng, seed=self._seed)
            self._seed = None  # used up: episodes that are begun again later are others
        elif collector.policy is not policy:
            collector.policy = policy
        batch = collector.collect(n_steps, whole_episodes=whole_episodes)
        return Rollout(batch, collector.episode_returns, collector.episode_lengths, collector.num_env_steps)

    def begin_episodes(self, seed: int) -> None:
        """Forget the episodes that are running; the next first reset is seeded with ``seed``."""
        self._collector, self._seed = None, seed

    def close(self) -> None:
        """Close the environment."""
        close_vector_env(self.env)


class AwaitedSampler(Sampler):
    """Stands for a sampler that a loaded model doesn't have yet, and holds its saved state."""

    def __init__(self) -> None:
        self._state: Arrays = {}

    def collect(self, policy: Policy, n_steps: int, *, whole_episodes: bool = False) -> Rollout:
        """Raise a `ValueError`: there is nothing to collect with."""
        raise ValueError(
            "sampler: expected one like the model was trained with, got none, since a file or a closed "
            "model does not hold it; call set_sampler (None stands for playing in the environment)"
        )

    def state(self) -> Arrays:
        """Return what was loaded."""
        return dict(self._state)

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Keep any state."""
        self._state = dict(state)
