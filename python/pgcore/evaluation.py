"""How good a policy is: returns of whole, fresh episodes."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias, overload

import numpy as np
from gymnasium.vector import AutoresetMode

from pgcore._arguments import BoolArray, integer
from pgcore._stacklevel import user_stacklevel
from pgcore.rollout import autoreset_mode, close_vector_env, make_vector_env
from pgcore.rollout.calls import reset_vector, step_vector
from pgcore.rollout.faults import FaultyEnvironmentError
from pgcore.rollout.limits import episode_limit
from pgcore.rollout.outcomes import not_finite
from pgcore.rollout.seeds import checked_seed
from pgcore.rollout.types import AnyVectorEnv, EnvLike, Observation

__all__ = ["Predicts", "evaluate_policy"]

_MAX_ENVS = (
    10  # copies to play an id in: few enough to start quickly, enough to share the cost of a policy call
)

_PROGRESS_SECONDS = 10.0

Progress: TypeAlias = Callable[[int, int, int], object]
ProgressLike: TypeAlias = Progress | bool | None


class Predicts(Protocol):
    """Anything that acts as Stable-Baselines3's models do."""

    def predict(
        self,
        obs: Any,  # of the environment; models annotate it, and their state, each in their own way
        state: Any = None,
        episode_start: BoolArray | None = None,
        deterministic: bool = False,
    ) -> tuple[object, Any]:
        """Return actions for a batch of observations, and a state to be passed with the next ones."""


@overload
def evaluate_policy(
    model: Predicts,
    env: EnvLike,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: Literal[False] = False,
    max_steps: int | None = None,
    progress: ProgressLike = None,
) -> tuple[float, float]: ...


@overload
def evaluate_policy(
    model: Predicts,
    env: EnvLike,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: Literal[True],
    max_steps: int | None = None,
    progress: ProgressLike = None,
) -> tuple[list[float], list[int]]: ...


def evaluate_policy(
    model: Predicts,
    env: EnvLike,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    seed: int | None = None,
    return_episode_rewards: bool = False,
    max_steps: int | None = None,
    progress: ProgressLike = None,
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
    max_steps
        Longest episode: one that is still running after that many steps is cut there and counts with what it
        has. By default the environment's time limit, at least 100,000.
    progress
        How far it is, every ten seconds: True prints a line on standard error, False nothing; by default one
        is printed if standard error is a terminal. Or a function to be called with the episodes played, the
        episodes to play and the steps taken.

    Returns
    -------
    mean, std
        Or, with ``return_episode_rewards``, two lists of length ``n_eval_episodes``.

    Warns
    -----
    RuntimeWarning
        If episodes were cut; it says how many.

    Raises
    ------
    TypeError, ValueError
        If ``n_eval_episodes`` or ``max_steps`` is not a positive integer, the environment is unknown or
        returns what doesn't fit its spaces, or observations, rewards or actions are not finite.

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
        limit = episode_limit(vector_env, max_steps)
        report = _reporter(progress)
        returns, lengths, num_cut = _play(
            model,
            vector_env,
            n_eval_episodes,
            deterministic=deterministic,
            seed=seed,
            limit=limit,
            report=report,
        )
    finally:
        if isinstance(env, str):  # the caller's own environments stay open
            close_vector_env(vector_env)
    if num_cut:
        warnings.warn(
            f"max_steps: expected episodes that end, got {num_cut} of {n_eval_episodes} that were still "
            f"running after max_steps = {limit:,} steps; they were cut there. Give the environment a time "
            "limit, or evaluate_policy another max_steps",
            RuntimeWarning,
            stacklevel=user_stacklevel(),
        )
    if return_episode_rewards:
        return returns, lengths
    return float(np.mean(returns)), float(np.std(returns))


def _reporter(progress: ProgressLike) -> Progress | None:
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    if isinstance(progress, bool):
        return _print_progress if progress else None
    if not callable(progress):
        raise TypeError(f"progress: expected a bool, a function or None, got {progress!r}")
    return progress


def _print_progress(num_played: int, num_episodes: int, num_steps: int) -> None:
    print(f"evaluation: {num_played} of {num_episodes} episodes, {num_steps:,} steps", file=sys.stderr)


def _play(
    model: Predicts,
    env: AnyVectorEnv,
    num_episodes: int,
    *,
    deterministic: bool,
    seed: int | None,
    limit: int,
    report: Progress | None,
) -> tuple[list[float], list[int], int]:
    """Returns and lengths of the episodes, and how many of them were cut."""
    mode = autoreset_mode(env)
    quotas = (num_episodes + np.arange(env.num_envs)) // env.num_envs
    returns: list[list[float]] = [[] for _ in quotas]
    lengths: list[list[int]] = [[] for _ in quotas]
    num_left = quotas.copy()
    sums, steps = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    num_steps = num_cut = 0
    resetting = np.zeros(env.num_envs, np.bool_)  # where this step is next-step autoreset's, which is none
    starting = np.ones(env.num_envs, np.bool_)
    # Those that were cut wait until none plays any more: not every vector can reset one environment alone.
    waiting = np.zeros(env.num_envs, np.bool_)
    state = None
    reported = time.monotonic()
    obs = reset_vector(env, seed=seed)
    step = 0
    while num_left.any():
        _require_finite("obs", obs, step)
        actions, state = model.predict(obs, state, starting, deterministic)
        _require_finite("action", actions, step)
        obs, rewards, terminated, truncated, _ = step_vector(env, actions)
        _require_finite("reward", np.where(resetting, 0.0, rewards), step)
        step += 1
        sums += np.where(resetting, 0.0, rewards)
        steps += ~resetting
        num_steps += int(np.count_nonzero(~resetting))
        done = np.logical_or(terminated, truncated) & ~resetting
        cut = (steps >= limit) & ~done & ~resetting & ~waiting & (num_left > 0)
        num_cut += int(np.count_nonzero(cut))
        for i in np.flatnonzero((done | cut) & (num_left > 0) & ~waiting):
            returns[i].append(float(sums[i]))
            lengths[i].append(int(steps[i]))
            num_left[i] -= 1
        waiting |= cut
        sums[done], steps[done] = 0.0, 0
        starting = done
        if waiting.any() and (waiting | (num_left == 0)).all() and num_left.any():
            obs = reset_vector(env)
            sums[:], steps[:], waiting[:], resetting[:], starting = 0.0, 0, False, False, np.ones_like(done)
        elif mode is AutoresetMode.NEXT_STEP:
            starting, resetting = resetting, done
        elif mode is AutoresetMode.DISABLED and done.any():
            fresh = reset_vector(env, options={"reset_mask": done.copy()})
            obs = _replaced(obs, fresh, done)
        if report is not None and time.monotonic() - reported >= _PROGRESS_SECONDS:
            reported = time.monotonic()
            report(num_episodes - int(num_left.sum()), num_episodes, num_steps)
    return [*chain.from_iterable(returns)], [*chain.from_iterable(lengths)], num_cut


def _require_finite(name: str, values: object, step: int) -> None:
    """Refuse what would make a return that means nothing, and say where it is."""
    if (lost := not_finite(values, name)) is not None:
        component, row, value = lost
        raise FaultyEnvironmentError(
            f"{component}: expected a finite number, got {value} in environment {row} at step {step} of the "
            "evaluation"
        )


def _replaced(obs: Observation, fresh: Any, where: BoolArray) -> Observation:
    """``obs`` with the marked rows from ``fresh``, which has the same dictionaries and tuples of arrays."""
    if isinstance(obs, Mapping):
        return {key: _replaced(part, fresh[key], where) for key, part in obs.items()}
    if isinstance(obs, tuple):
        return tuple(_replaced(*parts, where) for parts in zip(obs, fresh, strict=True))
    replaced = np.array(obs)
    replaced[where] = fresh[where]
    return replaced
