"""Vector environments: how they are made and closed."""

from __future__ import annotations

import copy
import importlib
from functools import partial

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pgcore._arguments import integer
from pgcore.rollout.async_vector import PATIENCE, AsyncVectorEnv, awaits_answers, end_workers
from pgcore.rollout.calls import reset_vector
from pgcore.rollout.faults import raise_made
from pgcore.rollout.outcomes import FirstOutcomes, check_first_outcomes
from pgcore.rollout.seeds import environment_seed
from pgcore.rollout.sync_vector import SyncVectorEnv
from pgcore.rollout.types import AnyEnv, AnyVectorEnv, EnvLike, Keywords

__all__ = ["checked_backend", "close_vector_env", "make_vector_env"]

_BACKENDS = ("sync", "async", "native", "envpool")


def make_vector_env(
    env: EnvLike | gym.envs.registration.EnvSpec,
    *,
    num_envs: int = 1,
    backend: str = "sync",
    seed: int | None = None,
    worker_timeout: float = 600.0,
    **env_kwargs: object,
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
        that a `WorkerError` names those that did not answer. With infinity there is no limit.
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


def _wrap_made(env: object, num_envs: int, env_kwargs: Keywords) -> AnyVectorEnv:
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


def _itself(env: AnyEnv) -> AnyEnv:
    return env


def _check_first_outcomes(env: gym.vector.SyncVectorEnv) -> None:
    """Let the environments of gymnasium's own vector be checked: it converts many wrong values silently."""
    for i, single in enumerate(env.envs):
        check_first_outcomes(single, i)
        if not isinstance(env, SyncVectorEnv) and not isinstance(single, FirstOutcomes):
            env.envs[i] = FirstOutcomes(single, i, env.envs)


def checked_backend(backend: str) -> str:
    """Return ``backend``; what is none raises a `ValueError` that names them all."""
    if backend not in _BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(map(repr, _BACKENDS))}, got {backend!r}")
    return str(backend)


def _make_by_gymnasium(
    env: str | gym.envs.registration.EnvSpec,
    num_envs: int,
    backend: str,
    worker_timeout: float,
    env_kwargs: Keywords,
) -> AnyVectorEnv:
    name = env if isinstance(env, str) else env.id
    module, _, rest = name.rpartition(":")
    try:
        # Here, not in make_vec, to distinguish a module that isn't there from one that an environment fails
        # to import.
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
        # observation array overwrites it in the very reset that follows. The cost, one call to `reset`
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


def close_vector_env(env: AnyVectorEnv) -> None:
    """Close an environment, even one whose workers ended, hang, or have a step that an interrupt ended early.

    gymnasium would wait for the answers of such workers, or fail to ask them.
    """
    base = env.unwrapped
    if isinstance(base, gym.vector.AsyncVectorEnv) and not base.closed:
        end_workers(base, 0.0 if awaits_answers(base) else PATIENCE)
        env.close(terminate=True)
    else:
        env.close()
