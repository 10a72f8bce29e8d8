"""Copies of what holds an environment, with the episodes that are running in it."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, ClassVar, SupportsIndex

from gymnasium.utils import EzPickle
from gymnasium.vector import AsyncVectorEnv

from pgcore.rollout.types import AnyEnv

if TYPE_CHECKING:
    from typing import Self

__all__ = ["HoldsEnv"]


class HoldsEnv:
    """Copies and pickles into an independent equal, with an environment of its own.

    ``copy.copy`` is ``copy.deepcopy``, and continues the episodes that are running. So does a pickle,
    except of environments that pickle their constructor's arguments alone, as MuJoCo's do: they begin new
    episodes. A `TypeError` names an environment that can't be copied (worker processes, EnvPool).
    """

    env: object
    restart_attributes: ClassVar[Mapping[str, object]] = {}
    """Attributes that an unpickled object gets if its environment begins new episodes, by name."""

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        env = self.env
        try:
            for base in _bases(env):
                if isinstance(base, EzPickle) and id(base) not in memo:
                    # It would be made again from its arguments, without the episode that is running in it.
                    copied = memo[id(base)] = object.__new__(type(base))
                    copied.__dict__.update(deepcopy(base.__dict__, memo))
            deepcopy(env, memo)  # found in the memo below
        except Exception as error:
            raise TypeError(_refusal("copied", env, error)) from error
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(deepcopy(self.__dict__, memo))
        return made

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        try:
            restarts = any(isinstance(base, EzPickle) for base in _bases(self.env))
            pickle.dumps(self.env, operator.index(protocol))
        except Exception as error:
            raise TypeError(_refusal("pickled", self.env, error)) from error
        changed = self.restart_attributes if restarts else {}
        return object.__new__, (type(self),), {**self.__dict__, **changed}


def _bases(env: object) -> Iterator[AnyEnv]:
    """The single environments of this process that ``env`` consists of, without wrappers."""
    base = getattr(env, "unwrapped", env)
    if isinstance(base, AsyncVectorEnv):
        # Before anything is tried: copies of its pipes would close the files that it needs.
        raise TypeError("its environments are in processes of their own")
    for one in getattr(base, "envs", [base]):
        yield getattr(one, "unwrapped", one)


def _refusal(verb: str, env: object, error: Exception) -> str:
    return (
        f"env: expected an environment that can be {verb}, got {env} ({type(error).__name__}: {error}); "
        "close the model first, or save it and load it with an environment of its own"
    )
