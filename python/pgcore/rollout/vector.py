"""Vector environments: how to make them, and one way to step them whatever their autoreset mode."""

from __future__ import annotations

import copy
import importlib
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.async_vector_env import AsyncState
from numpy.typing import NDArray

from pgcore.kernels._coerce import integer
from pgcore.rollout.async_vector import PATIENCE, AsyncVectorEnv, end_workers
from pgcore.rollout.calls import raise_unfit, reset_vector, step_vector
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.faults import raise_made
from pgcore.rollout.outcomes import FirstOutcomes, check_first_outcomes
from pgcore.rollout.seeds import environment_seed
from pgcore.rollout.spaces import ActionAdapter, ObservationAdapter
from pgcore.rollout.sync_vector import SyncVectorEnv
from pgcore.rollout.watch import watch

__all__ = [
    "Step",
    "VectorStepper",
    "autoreset_mode",
    "close_vector_env",
    "make_vector_env",
]

Array = NDArray[Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]

_BACKENDS = ("sync", "async", "native", "envpool")


def make_vector_env(
    env: str | gym.envs.registration.EnvSpec | gym.Env[Any, Any] | AnyVectorEnv,
    *,
    num_envs: int = 1,
    backend: str = "sync",
    seed: int | None = None,
    worker_timeout: float = 600.0,
    **env_kwargs: Any,
) -> AnyVectorEnv:
    """Return a vector environment, made from an id or wrapped around what is given.

    Parameters
    ----------
    env
        An id that gymnasium knows (``"module:Name-v0"`` imports the module first) or its specification; one
        environment, which becomes a vector of one; or a vector environment, which is returned as it is.
    num_envs
        How many copies to make of an id.
    backend
        For an id: ``"sync"`` steps the copies one after another in this process, ``"async"`` each in a
        process of its own, ``"native"`` is the environment's own vector implementation, ``"envpool"`` is
        EnvPool's.
    seed
        Seeds the environments' generators by a first reset (EnvPool's when they are made). None leaves them
        alone.
    worker_timeout
        With ``backend="async"``: seconds within which all environments must answer a step or a reset. After
        that a `WorkerError` names those that hang. Infinity waits for ever.
    **env_kwargs
        For the environment's constructor, e.g. ``max_episode_steps``.

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    TypeError
        If ``env`` is none of these.
    ValueError
        For an unknown id, backend, or one that doesn't have the other; or for arguments that an instance
        can't take.
    ImportError
        If EnvPool, or a package that the environment needs, is not installed.
    FaultyEnvironmentError
        A `ValueError`: if what the environment returns from the first reset doesn't fit its spaces.

    Examples
    --------
    >>> make_vector_env("CartPole-v1", num_envs=4).num_envs
    4
    """
    checked_backend(backend)
    num_envs = integer("num_envs", num_envs, minimum=1)
    seed = None if seed is None else environment_seed(seed)
    if isinstance(env, str | gym.envs.registration.EnvSpec):
        if backend == "envpool":
            from pgcore.rollout.envpool import EnvPoolVectorEnv

            task = env if isinstance(env, str) else env.id
            return EnvPoolVectorEnv(task, num_envs, seed=seed, **env_kwargs)
        made = _make_by_gymnasium(env, num_envs, backend, worker_timeout, env_kwargs)
    else:
        made = _wrap_made(env, num_envs, env_kwargs)
    if isinstance(made.unwrapped, gym.vector.SyncVectorEnv):
        _check_first_outcomes(made.unwrapped)
    if seed is not None:
        reset_vector(made, seed=seed)
    return made


def _wrap_made(env: object, num_envs: int, env_kwargs: dict[str, Any]) -> AnyVectorEnv:
    if env_kwargs:
        raise ValueError(
            f"env_kwargs: expected none for an environment that is made, got {sorted(env_kwargs)}"
        )
    if isinstance(env, VectorEnv):
        if num_envs not in (1, env.num_envs):
            raise ValueError(f"num_envs: expected {env.num_envs}, as many as env has, got {num_envs}")
        return env
    if not isinstance(env, gym.Env):
        raise TypeError(f"env: expected an id, a gymnasium.Env or a VectorEnv, got {env!r}")
    if num_envs != 1:
        raise ValueError(
            f"num_envs: expected 1 for a single environment, got {num_envs}; pass an id for more"
        )
    try:
        return SyncVectorEnv([partial(_itself, env)])
    except Exception as error:
        raise_made(error, type(env).__name__)


def _itself(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env


def _check_first_outcomes(env: gym.vector.SyncVectorEnv) -> None:
    """Have the environments of gymnasium's own vector checked, which converts much silently."""
    for i, single in enumerate(env.envs):
        check_first_outcomes(single, i)
        if not isinstance(env, SyncVectorEnv) and not isinstance(single, FirstOutcomes):
            env.envs[i] = FirstOutcomes(single, i, env.envs)


def checked_backend(backend: Any) -> str:
    """Return ``backend``; what is none raises a `ValueError` that names them all."""
    if backend not in _BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(map(repr, _BACKENDS))}, got {backend!r}")
    return str(backend)


def _make_by_gymnasium(
    env: str | gym.envs.registration.EnvSpec,
    num_envs: int,
    backend: str,
    worker_timeout: float,
    env_kwargs: dict[str, Any],
) -> AnyVectorEnv:
    name = env if isinstance(env, str) else env.id
    module, _, rest = name.rpartition(":")
    try:
        # Here, not in make_vec, to tell a module that isn't there from one that an environment fails to
        # import.
        if module:
            importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"env: expected a module that registers {rest!r}, got {module!r} ({error})"
        ) from error
    except Exception as error:
        raise_made(error, module)
    try:
        if backend == "native":
            return gym.make_vec(env, num_envs=num_envs, vectorization_mode="vector_entry_point", **env_kwargs)
        # What we make ourselves doesn't reset on its own. Of the three modes it is the one that yields
        # exactly num_envs transitions per step (next-step spends some on resets) and keeps the final
        # observation safe: same-step puts it into `info` uncopied, so an environment that reuses its
        # observation array overwrites it in the very reset that follows. The price, one call to `reset`
        # at the steps where an episode ended, is a few per cent on the cheapest environments.
        make = [partial(gym.make, env, **env_kwargs)] * num_envs
        if backend == "sync":
            return SyncVectorEnv(make)
        made = AsyncVectorEnv(make, worker_timeout=worker_timeout)
        made.spec = copy.deepcopy(gym.spec(rest) if isinstance(env, str) else env)
        if made.spec is not None and "max_episode_steps" in env_kwargs:
            made.spec.max_episode_steps = env_kwargs["max_episode_steps"]
        return made
    except gym.error.DependencyNotInstalled as error:
        raise ImportError(
            f"env: expected the packages that {name!r} needs to be installed, got: {_one_line(error)}"
        ) from error
    except gym.error.Error as error:
        raise ValueError(
            f"env: expected an environment that gymnasium can make with backend={backend!r}, got {name!r}: "
            f"{_one_line(error)}"
        ) from error
    except Exception as error:
        raise_made(error, name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def autoreset_mode(env: AnyVectorEnv) -> AutoresetMode:
    """Return how a vector environment resets finished episodes, from ``env.metadata["autoreset_mode"]``.

    Parameters
    ----------
    env
        Its metadata may hold the enumeration, or its value or name as a string.

    Returns
    -------
    gymnasium.vector.AutoresetMode

    Raises
    ------
    ValueError
        If it isn't said, or is something else. Guessing wrong would silently mix resets into the data.
    """
    options = "AutoresetMode.NEXT_STEP, SAME_STEP or DISABLED (from gymnasium.vector)"
    if "autoreset_mode" not in env.metadata:
        raise ValueError(
            f'env.metadata["autoreset_mode"]: expected {options}, got nothing; set it to how '
            f"{type(env).__name__} resets finished episodes"
        )
    mode = env.metadata["autoreset_mode"]
    base = env.unwrapped
    if (
        isinstance(base, gym.vector.SyncVectorEnv | gym.vector.AsyncVectorEnv)
        and env.metadata is base.metadata
    ):
        # Up to gymnasium 1.3 all vectors of one environment class share this dictionary: the last made wins.
        mode = base.autoreset_mode
    for known in AutoresetMode:
        if mode is known or mode in (known.value, known.name):
            return known
    raise ValueError(f'env.metadata["autoreset_mode"]: expected {options}, got {mode!r}')


class Step(NamedTuple):
    """What one step of a `VectorStepper` brought, apart from the observations. Arrays over N environments."""

    rewards: Array
    terminated: NDArray[np.bool_]
    done: NDArray[np.bool_]
    """Terminated or truncated: an episode ended."""
    idle: NDArray[np.bool_] | None
    """Where nothing happened but a reset: the row is no transition. None if nowhere."""
    cut: NDArray[np.intp]
    """Numbers of the environments whose episode was truncated and not terminated."""
    final_obs: Array
    """Their last observations, shape (len(cut), dim)."""


class VectorStepper(HoldsEnv):
    """Steps a vector environment so that all three autoreset modes look the same.

    After every `step`, ``out`` holds the observations to act on next (fresh ones where an episode ended), and
    the final observations of truncated episodes come with the step. All that is left of next-step autoreset
    is that at some steps some environments are ``idle``.

    Parameters
    ----------
    env
        A gymnasium vector environment.

    Attributes
    ----------
    env, num_envs, mode
        The environment, how many it holds, and its autoreset mode.
    observations, actions
        The adapters of its spaces.

    Raises
    ------
    TypeError
        If ``env`` is no vector environment.
    ValueError
        If it doesn't say its autoreset mode, or for spaces that can't be adapted.
    """

    def __init__(self, env: AnyVectorEnv) -> None:
        if not isinstance(env, VectorEnv):
            raise TypeError(f"env: expected a gymnasium.vector.VectorEnv, got {env!r}; see make_vector_env")
        self.env = env
        self.mode = autoreset_mode(env)
        self.num_envs = env.num_envs
        self.observations = ObservationAdapter(env.single_observation_space)
        self.actions = ActionAdapter(env.single_action_space)
        self._idle: NDArray[np.bool_] | None = None
        self._no_env = np.empty(0, np.intp)
        self._calls = watch(env)
        self._num_calls = self._calls.num

    @property
    def all_idle(self) -> bool:
        """Whether the next step will be a reset in every environment."""
        return self._idle is not None and bool(self._idle.all())

    @property
    def is_disturbed(self) -> bool:
        """Whether somebody else has stepped or reset the environment since this object did."""
        return self._calls.num != self._num_calls

    def reset(self, out: Array, *, seed: int | None = None) -> None:
        """Begin new episodes everywhere and write their first observations into ``out``, shape (N, dim).

        Raises
        ------
        ValueError
            In the one case where gymnasium forgets that it was reset: next-step `AsyncVectorEnv` without
            shared memory.
        """
        base = self.env.unwrapped
        if self._idle is not None and isinstance(base, gym.vector.AsyncVectorEnv) and not base.shared_memory:
            # Its workers keep the pending autoreset, and would reset once more instead of making the first
            # step.
            raise ValueError(
                "env: expected an AsyncVectorEnv with shared memory or another autoreset mode, got one with "
                "shared_memory=False and next-step autoreset, which loses resets right after an episode's end"
            )
        self._idle = None
        obs = self._reset(seed=seed)
        try:
            self.observations.write(obs, out)
        except (TypeError, ValueError) as error:
            raise_unfit(self.env, self.observations, obs, "reset()", error)

    def step(self, actions: Array, out: Array) -> Step:
        """Take one step everywhere; ``actions`` are the policy's, ``out`` as in `reset`.

        Raises
        ------
        ValueError
            If a same-step environment doesn't hand over the final observation of a truncated episode.
        """
        idle = self._idle
        try:
            obs, rewards, terminated, truncated, info = step_vector(self.env, self.actions.to_env(actions))
        except KeyboardInterrupt:
            self._note_pending()
            raise
        self._num_calls = self._calls.num
        # Copied before anything else: the environment may reuse the array.
        try:
            self.observations.write(obs, out)
        except (TypeError, ValueError) as error:
            raise_unfit(self.env, self.observations, obs, "step()", error)
        done = np.logical_or(terminated, truncated)
        if not np.count_nonzero(done):  # several times faster than done.any() on so few
            self._idle = None
            return Step(rewards, terminated, done, idle, self._no_env, out[:0])
        cut = np.flatnonzero(np.logical_and(truncated, np.logical_not(terminated)))  # both: termination wins
        if self.mode is AutoresetMode.SAME_STEP:
            final_obs = self._same_step_final_obs(info, cut, out.dtype)
        else:
            final_obs = out[cut]
        if self.mode is AutoresetMode.NEXT_STEP:
            self._idle = done
        elif self.mode is AutoresetMode.DISABLED:
            # Only the rows that were asked for are read: what is returned in the others isn't specified.
            fresh = self._reset(options={"reset_mask": done.copy()})
            try:
                out[done] = self.observations(fresh, out.dtype)[done]
            except (TypeError, ValueError) as error:
                raise_unfit(self.env, self.observations, fresh, "reset()", error)
        return Step(rewards, terminated, done, idle, cut, final_obs)

    def _reset(self, **arguments: Any) -> Any:
        try:
            result = reset_vector(self.env, **arguments)
        except KeyboardInterrupt:
            self._note_pending()
            raise
        self._num_calls = self._calls.num
        return result

    def _note_pending(self) -> None:
        """Note that the answers to a call that an interrupt broke off are still to come.

        gymnasium notes that itself, but not yet while the actions are being sent.
        """
        base = self.env.unwrapped
        if isinstance(base, gym.vector.AsyncVectorEnv) and base._state is AsyncState.DEFAULT:
            base._state = AsyncState.WAITING_STEP

    def _same_step_final_obs(
        self, info: dict[str, Any], cut: NDArray[np.intp], dtype: np.dtype[Any]
    ) -> Array:
        if not cut.size:
            return np.empty((0, self.observations.dim), dtype)
        found = info.get("final_obs")
        got = "nothing"
        if isinstance(found, np.ndarray) and found.dtype == object:
            # gymnasium's own layout: one object per environment, None for those that go on
            if all(found[i] is not None for i in cut):
                return np.concatenate([self.observations.single(found[i], dtype) for i in cut])
            got = f"None among those of environments {cut.tolist()}"
        elif found is not None:  # batched like the observations
            return self.observations(found, dtype)[cut]
        raise ValueError(
            'info["final_obs"]: expected the last observations of truncated episodes, as same-step autoreset '
            f"has it, got {got}"
        )


def close_vector_env(env: VectorEnv[Any, Any, Any]) -> None:
    """Close an environment, even one whose workers ended, hang, or have a step that an interrupt broke off.

    gymnasium would wait for the answers of such workers, or fail to ask them.
    """
    base = env.unwrapped
    if isinstance(base, gym.vector.AsyncVectorEnv) and not base.closed:
        pending = base._state is not AsyncState.DEFAULT
        end_workers(base, 0.0 if pending else PATIENCE)
        env.close(terminate=True)
    else:
        env.close()
