"""Copies of what holds an environment, with the episodes that are running in it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
from gymnasium.utils import EzPickle
from gymnasium.vector import AsyncVectorEnv

if TYPE_CHECKING:
    from typing import Self

__all__ = ["HoldsEnv"]


class HoldsEnv:
    """Copies and pickles into an independent equal, with an environment of its own.

    ``copy.copy`` is ``copy.deepcopy``, and goes on inside of the episodes that are running. So does a pickle,
    but that MuJoCo's and other environments that are pickled as their constructor's arguments begin new
    ones. A `TypeError` names an environment that can't be copied (worker processes, EnvPool).
    """

    env: Any
    _where_episodes_are_lost: ClassVar[dict[str, Any]] = {}  # attributes to begin new ones with

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        env = self.env
        try:
            for base in _bases(env):
                if isinstance(base, EzPickle) and id(base) not in memo:
                    # It would be made anew from its arguments, without the episode that is running in it.
                    twin = memo[id(base)] = object.__new__(type(base))
                    twin.__dict__.update(deepcopy(base.__dict__, memo))
            deepcopy(env, memo)  # found in the memo below
        except Exception as error:
            raise TypeError(_refusal("copied", env, error)) from error
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(deepcopy(self.__dict__, memo))
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        try:
            restarts = any(isinstance(base, EzPickle) for base in _bases(self.env))
            pickle.dumps(self.env, protocol)
        except Exception as error:
            raise TypeError(_refusal("pickled", self.env, error)) from error
        lost = self._where_episodes_are_lost if restarts else {}
        return object.__new__, (type(self),), {**self.__dict__, **lost}


def _bases(env: Any) -> Iterator[gym.Env[Any, Any]]:
    """The single environments of this process that ``env`` consists of, without wrappers."""
    base = getattr(env, "unwrapped", env)
    if isinstance(base, AsyncVectorEnv):
        # Before anything is tried: copies of its pipes would close the files that it needs.
        raise TypeError("its environments are in processes of their own")
    for one in getattr(base, "envs", [base]):
        yield getattr(one, "unwrapped", one)


def _refusal(verb: str, env: Any, error: Exception) -> str:
    return (
        f"env: expected an environment that can be {verb}, got {env} ({type(error).__name__}: {error}); "
        "close the model first, or save it and load it with an environment of its own"
    )
