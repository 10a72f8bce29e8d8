"""How good a policy is: returns of whole, fresh episodes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal, Protocol, overload

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from pgcore.kernels._coerce import integer
from pgcore.rollout import autoreset_mode, close_vector_env, make_vector_env
from pgcore.rollout.calls import reset_vector, step_vector
from pgcore.rollout.faults import FaultyEnvironmentError
from pgcore.rollout.outcomes import not_finite
from pgcore.training.seeding import checked_seed

__all__ = ["Predicts", "evaluate_policy"]

_MAX_ENVS = (
    10  # copies to play an id in: few enough to start quickly, enough to share the cost of a policy call
)


class Predicts(Protocol):
    """Anything that acts as Stable-Baselines3's models do."""

    def predict(
        self, obs: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return actions for a batch of observations, and a state to be handed back with the next ones."""


@overload
def evaluate_policy(
    model: Predicts,
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: Literal[False] = False,
) -> tuple[float, float]: ...


@overload
def evaluate_policy(
    model: Predicts,
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: Literal[True],
) -> tuple[list[float], list[int]]: ...


def evaluate_policy(
    model: Predicts,
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: bool = False,
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """Play fresh episodes and return the mean and standard deviation of their undiscounted returns.

    Nothing is learned, and the observation normaliser stays as it is. In a vector environment every copy
    plays a share that is fixed beforehand, since taking the first episodes to finish would favour short ones.

    Parameters
    ----------
    model
        Anything with Stable-Baselines3's ``predict``.
    env
        A gymnasium id (played in up to 10 copies), an environment or a vector environment.
    n_eval_episodes
        How many.
    deterministic
        The most likely actions instead of random ones.
    seed
        Of the environments' first reset; None leaves it to chance.
    return_episode_rewards
        Return each episode's return and length instead.

    Returns
    -------
    mean, std
        Or, with ``return_episode_rewards``, two lists of length ``n_eval_episodes``.

    Raises
    ------
    ValueError
        If ``n_eval_episodes`` is not positive, the environment is unknown or returns what doesn't fit its
        spaces, or observations, rewards or actions are not finite.

    Examples
    --------
    >>> import pgcore
    >>> model = pgcore.REINFORCE("CartPole-v1", seed=0)
    >>> mean, std = evaluate_policy(model, "CartPole-v1", n_eval_episodes=20, seed=0)
    >>> 8 < mean <= 500
    True
    """
    n_eval_episodes = integer("n_eval_episodes", n_eval_episodes, minimum=1)
    if seed is not None:
        seed = checked_seed(seed)
    if isinstance(env, str):
        vector_env = make_vector_env(env, num_envs=min(n_eval_episodes, _MAX_ENVS))
    else:
        vector_env = make_vector_env(env)
    try:
        returns, lengths = _play(model, vector_env, n_eval_episodes, deterministic, seed)
    finally:
        if isinstance(env, str):  # the caller's own environments stay open
            close_vector_env(vector_env)
    if return_episode_rewards:
        return returns, lengths
    return float(np.mean(returns)), float(np.std(returns))


def _play(
    model: Predicts, env: VectorEnv[Any, Any, Any], num_episodes: int, deterministic: bool, seed: int | None
) -> tuple[list[float], list[int]]:
    mode = autoreset_mode(env)
    quotas = (num_episodes + np.arange(env.num_envs)) // env.num_envs
    returns: list[list[float]] = [[] for _ in quotas]
    lengths: list[list[int]] = [[] for _ in quotas]
    sums, steps = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    resetting = np.zeros(env.num_envs, np.bool_)  # where this step is next-step autoreset's, which is none
    starting = np.ones(env.num_envs, np.bool_)
    state = None
    obs = reset_vector(env, seed=seed)
    step = 0
    while any(len(played) < quota for played, quota in zip(returns, quotas, strict=True)):
        _require_finite("obs", obs, step)
        actions, state = model.predict(obs, state, starting, deterministic)
        _require_finite("action", actions, step)
        obs, rewards, terminated, truncated, _ = step_vector(env, actions)
        _require_finite("reward", np.where(resetting, 0.0, rewards), step)
        step += 1
        sums += np.where(resetting, 0.0, rewards)
        steps += ~resetting
        done = np.logical_or(terminated, truncated) & ~resetting
        for i in np.flatnonzero(done):
            if len(returns[i]) < quotas[i]:
                returns[i].append(float(sums[i]))
                lengths[i].append(int(steps[i]))
        sums[done], steps[done] = 0.0, 0
        starting = done
        if mode is AutoresetMode.NEXT_STEP:
            starting, resetting = resetting, done
        elif mode is AutoresetMode.DISABLED and done.any():
            fresh = reset_vector(env, options={"reset_mask": done.copy()})
            obs = _replaced(obs, fresh, done)
    return [*chain.from_iterable(returns)], [*chain.from_iterable(lengths)]


def _require_finite(name: str, values: Any, step: int) -> None:
    """Refuse what would make a return that means nothing, and say where it is."""
    if (lost := not_finite(values, name)) is not None:
        component, row, value = lost
        raise FaultyEnvironmentError(
            f"{component}: expected a finite number, got {value} in environment {row} at step {step} of the "
            "evaluation"
        )


def _replaced(obs: Any, fresh: Any, where: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
    """``obs`` with the marked rows from ``fresh``, through dictionaries and tuples of arrays."""
    if isinstance(obs, Mapping):
        return {key: _replaced(part, fresh[key], where) for key, part in obs.items()}
    if isinstance(obs, tuple):
        return tuple(_replaced(*parts, where) for parts in zip(obs, fresh, strict=True))
    obs = np.array(obs)
    obs[where] = fresh[where]
    return obs
