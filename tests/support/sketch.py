"""An algorithm as small as can be, and an environment with any spaces, for the tests of the base class."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from pgcore.training import Algorithm, Config, PositiveFloat, persistence


@dataclass(frozen=True)
class SketchConfig(Config):
    n_steps: int = 16
    step_size: PositiveFloat = 0.1


class Sketch(Algorithm[SketchConfig]):
    """Adds `step_size` to every parameter, and remembers what it saw."""

    config_class = SketchConfig

    def setup(self):
        self.batches = []

    def update(self, batch):
        self.batches.append(batch)
        self.policy.params = self.policy.params + np.float32(self.config.step_size)
        return {"mean_reward": float(batch.rewards.mean())}


def equal_states(first, second):
    scalars, arrays = persistence.snapshot(first)
    other_scalars, other_arrays = persistence.snapshot(second)
    assert scalars == other_scalars
    assert arrays.keys() == other_arrays.keys()
    return all(np.array_equal(array, other_arrays[name]) for name, array in arrays.items())


def refusal(read, path):
    """What is said against a file; None if nothing."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return None


class Still(gym.Env):
    """Any spaces, no dynamics."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def observe(self):
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample()

    def step(self, action):
        assert self.action_space.contains(action), action
        self.t += 1
        return self.observe(), 1.0, self.t == 3, False, {}


BOX = spaces.Box(-1, 1, (3,))
ACTION_SPACES = [
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Box(-0.1, 0.2, (2,)),
    spaces.Box(np.array([[-1.0, 0.0], [0.0, -1.0]]), np.array([[0.0, 0.5], [1.0, 5.0]]), dtype=np.float64),
]
OBSERVATION_SPACES = [
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Box(0, 255, (2, 3), np.uint8),
    spaces.Dict({"a": BOX, "b": spaces.Discrete(3)}),
    spaces.Tuple([spaces.Discrete(3), BOX]),
]
