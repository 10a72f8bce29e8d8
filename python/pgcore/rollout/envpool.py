"""EnvPool's environments as a gymnasium vector environment (the ``envpool`` extra)."""

from __future__ import annotations

import warnings
from typing import Protocol

from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from pgcore._arguments import AnyArray
from pgcore.rollout.seeds import envpool_seed
from pgcore.rollout.types import AnySpace, AnyVectorEnv, Keywords, ResetOutcome, VectorOutcome

__all__ = ["EnvPoolVectorEnv"]


class _Pool(Protocol):
    """What EnvPool's library, which has no types, makes with ``env_type="gymnasium"``."""

    @property
    def observation_space(self) -> AnySpace: ...
    @property
    def action_space(self) -> AnySpace: ...

    def reset(self) -> ResetOutcome: ...
    def step(self, actions: AnyArray) -> VectorOutcome: ...
    def close(self) -> None: ...


class EnvPoolVectorEnv(AnyVectorEnv):
    """A synchronous EnvPool with the interface, the batched spaces and the seeding of gymnasium.

    EnvPool resets finished episodes at the next step, and takes its seed only when it is made:
    ``reset(seed=...)`` makes a new pool (milliseconds) unless the present one has that seed and is untouched.

    Its seeds are integers below 2³¹. Environment i gets ``seed + i``; a seed for which that is too large is
    mapped to a smaller one, always to the same.

    Where an episode terminates at the very step of its time limit EnvPool reports a truncation only, and the
    segment counts as truncated.

    Parameters
    ----------
    task
        What `envpool.list_all_envs` calls it.
    num_envs
        How many environments.
    seed
        Of the first pool; None for EnvPool's own default.
    **config
        For `envpool.make`, e.g. ``num_threads``.

    Raises
    ------
    ImportError
        If EnvPool is not installed.
    ValueError
        For a task that it doesn't have, or a ``batch_size`` that would make it asynchronous.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  (gymnasium's own convention)

    _pool: _Pool

    def __init__(self, task: str, num_envs: int, *, seed: int | None = None, **config: object) -> None:
        try:
            import envpool
        except ImportError as error:
            raise ImportError(
                "backend='envpool': expected the envpool package, got an error on importing it "
                f"({error}); pip install 'pgcore-rl[envpool]'"
            ) from error
        if task not in envpool.list_all_envs():
            raise ValueError(f"env: expected one of EnvPool's tasks (envpool.list_all_envs()), got {task!r}")
        if config.get("batch_size", num_envs) != num_envs:
            raise ValueError(f"batch_size: expected num_envs, {num_envs}, got {config['batch_size']}")
        self._make, self._task, self._config = envpool.make, task, config
        self.num_envs = num_envs
        self._fresh: bool
        self._start(seed)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: Keywords | None = None) -> ResetOutcome:
        """Begin new episodes everywhere.

        Parameters
        ----------
        seed
            Environment i gets ``seed + i``. None continues with the present generators.
        options
            EnvPool has none.
        """
        if seed is not None and not (self._fresh and seed == self._seed):
            self._pool.close()
            self._start(seed)
        self._fresh = False
        obs, info = self._pool.reset()
        return obs, info

    def step(self, actions: AnyArray) -> VectorOutcome:
        """Step all environments; those whose episode has ended are reset instead."""
        obs, rewards, terminated, truncated, info = self._pool.step(actions)
        return obs, rewards, terminated, truncated, info

    def close_extras(self, **kwargs: object) -> None:
        """Stop EnvPool's threads."""
        pool = getattr(self, "_pool", None)  # gymnasium also closes what could not be made
        if pool is not None:
            pool.close()

    def _start(self, seed: int | None) -> None:
        seeded = {} if seed is None else {"seed": envpool_seed(seed, self.num_envs)}
        with warnings.catch_warnings():  # EnvPool gives double-precision bounds to single-precision boxes
            warnings.filterwarnings("ignore", message=".*precision lowered by casting.*")
            self._pool = self._make(
                self._task, env_type="gymnasium", num_envs=self.num_envs, **seeded, **self._config
            )
            self.single_observation_space = self._pool.observation_space
            self.single_action_space = self._pool.action_space
        self._seed, self._fresh = seed, True
