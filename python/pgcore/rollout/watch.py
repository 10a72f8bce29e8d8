"""Notice that other code has stepped or reset an environment."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from contextlib import suppress

import gymnasium as gym

from pgcore.rollout.types import AnyVectorEnv

__all__ = ["Calls", "watch"]


class Calls:
    """How often an environment was stepped or reset, by anyone."""

    def __init__(self) -> None:
        self.num = 0


def watch(env: AnyVectorEnv) -> Calls:
    """Count the calls of ``step`` and ``reset`` from now on, whoever makes them.

    They are counted where all wrappers end. Of a vector of one environment that is the environment itself,
    which its owner may use without the vector; where it can't be done (an environment that refuses
    attributes), nothing is counted.

    Examples
    --------
    >>> env = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    >>> calls = watch(env)
    >>> _ = env.reset()
    >>> calls.num
    1
    """
    base: object = env.unwrapped
    envs = getattr(base, "envs", None)
    if isinstance(base, gym.vector.SyncVectorEnv) and envs is not None and len(envs) == 1:
        base = envs[0].unwrapped
    own = getattr(base, "__dict__", {})
    if isinstance(own.get("step"), _Counted):
        calls: Calls = own["step"].calls
        return calls
    calls = Calls()
    with suppress(AttributeError, TypeError):
        for name in ("step", "reset"):
            setattr(base, name, _Counted(base, name, calls, own.get(name)))
    return calls


class _Counted:
    """A method of one object, counted. It holds the object weakly: the object holds it."""

    def __init__(
        self, owner: object, name: str, calls: Calls, replaced: Callable[..., object] | None
    ) -> None:
        self._owner = weakref.ref(owner)
        self._name, self.calls, self._replaced = name, calls, replaced
        method = getattr(type(owner), name)
        self.__doc__ = method.__doc__
        with suppress(TypeError, ValueError):  # gymnasium's checker looks for a `seed` in it
            self.__signature__ = inspect.signature(method.__get__(owner))

    def __call__(self, *arguments: object, **keywords: object) -> object:
        self.calls.num += 1
        if self._replaced is not None:
            return self._replaced(*arguments, **keywords)
        owner = self._owner()
        outcome: object = getattr(type(owner), self._name)(owner, *arguments, **keywords)
        return outcome

    def __reduce__(self) -> tuple[object, ...]:
        return _Counted, (self._owner(), self._name, self.calls, self._replaced)
