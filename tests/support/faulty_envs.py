"""Environments that do what they must not, each in one way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

BOX = spaces.Box(-10, 10, (3,))
IMAGE = spaces.Box(0, 255, (2, 2), np.uint8)
DICT = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
TUPLE = spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))])


class Faulty(gym.Env[Any, Any]):
    """Returns what it is told: ``obs`` from the reset and steps, and ``outcome`` from step ``at``.

    ``outcome`` may be a function, which is called.
    """

    action_space = spaces.Discrete(2)

    def __init__(self, space=BOX, *, obs=None, outcome=None, at=1, first=None):
        self.observation_space = space
        self.obs = zeros(space) if obs is None else obs
        self.outcome, self.at, self.first = outcome, at, first
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        if callable(self.first):
            self.first()
        return (self.obs, {}) if self.first is None else self.first

    def step(self, action):
        self.t += 1
        if self.t == self.at and self.outcome is not None:
            return self.outcome() if callable(self.outcome) else self.outcome
        return self.obs, 1.0, self.t == 50, False, {}


def zeros(space):
    if isinstance(space, spaces.Dict):
        return {key: zeros(part) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(zeros(part) for part in space.spaces)
    return np.zeros(space.shape, space.dtype) if space.shape else 0


def returning(obs=None, reward=1.0, terminated=False, truncated=False, info=None):
    return (np.zeros(3, np.float32) if obs is None else obs), reward, terminated, truncated, info or {}


class SocketError(ConnectionResetError):
    """Of a simulator."""

    def __init__(self, host, port):
        super().__init__(f"{host}:{port} has gone")


def lose_the_simulator():
    raise SocketError("localhost", 4242)


def divide():
    return 1 // 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(3)


def hang():
    time.sleep(600)


class WithoutSeed(Faulty):
    def reset(self):
        return self.obs, {}


class WithoutOptions(Faulty):
    def reset(self, *, seed=None):
        return self.obs, {}


class OddStep(gym.Wrapper):
    """A wrapper from before steps had five values."""

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated or truncated, info
