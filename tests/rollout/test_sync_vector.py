import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from pgcore import evaluate_policy
from pgcore.rollout import make_vector_env
from pgcore.rollout.sync_vector import SyncVectorEnv


class Counter(gym.Env):
    """Observes, pays and informs of how far it is; writes into the same array every time."""

    action_space = spaces.Discrete(3)

    def __init__(self, observation_space):
        self.observation_space = observation_space
        self._memory = np.zeros(observation_space.shape or (), np.float32)

    def _obs(self):
        self._memory[...] = self._t
        if isinstance(self.observation_space, spaces.Dict):
            return {"t": np.array([self._t], np.float32), "parity": int(self._t) % 2}
        return self._memory

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._t = 10.0 * int(self.np_random.integers(5))
        return self._obs(), {"t": self._t}

    def step(self, action):
        self._t += action
        return self._obs(), self._t, self._t % 10 == 9, self._t % 10 == 8, {"t": self._t}


BOX = spaces.Box(0, 100, (2, 3))
DICT = spaces.Dict({"t": spaces.Box(0, 100, (1,)), "parity": spaces.Discrete(2)})


@pytest.mark.parametrize("space", [BOX, DICT], ids=["box", "dict"])
def test_it_steps_as_gymnasiums_does(space):
    ours = SyncVectorEnv([lambda: Counter(space)] * 3)
    theirs = gym.vector.SyncVectorEnv([lambda: Counter(space)] * 3, autoreset_mode=AutoresetMode.DISABLED)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    np.testing.assert_equal(ours.reset(seed=7)[0], theirs.reset(seed=7)[0])
    rng, kept, num_resets = np.random.default_rng(0), [], 0
    for _ in range(40):
        actions = rng.integers(3, size=3)
        *got, info = ours.step(actions)
        *expected, _ = theirs.step(actions)
        assert info == {}
        np.testing.assert_equal(got, expected)
        assert [a.dtype for a in got[1:]] == [a.dtype for a in expected[1:]]
        kept.append((got, expected))
        done = got[2] | got[3]
        if done.any():
            num_resets += 1
            fresh, info = ours.reset(options={"reset_mask": done.copy()})
            assert info == {}
            np.testing.assert_equal(fresh, theirs.reset(options={"reset_mask": done.copy()})[0])
    assert num_resets > 3
    for got, expected in kept:  # nothing that was returned has been written to since
        np.testing.assert_equal(got, expected)


def test_observations_have_the_spaces_dtype():
    env = SyncVectorEnv([lambda: Counter(spaces.Box(0, 100, (2,), np.float64))])
    env.reset(seed=0)
    assert env.step(np.array([1]))[0].dtype == np.float64


def test_an_ended_episode_must_be_reset_first():
    env = SyncVectorEnv([lambda: Counter(BOX)] * 2)
    env.reset(seed=7)
    for _ in range(4):
        _, _, _, truncated, _ = env.step(np.array([2, 1]))
    assert truncated.tolist() == [True, False]
    with pytest.raises(ValueError, match=r"^env: expected ended episodes to be reset .* environments \[0\]$"):
        env.step(np.array([0, 0]))


@pytest.mark.parametrize("actions", [[0], [0, 0, 0]])
def test_actions_must_be_as_many_as_environments(actions):
    env = SyncVectorEnv([lambda: Counter(BOX)] * 2)
    env.reset(seed=0)
    with pytest.raises(ValueError):
        env.step(np.array(actions))


def test_it_is_what_ids_and_single_environments_are_stepped_in():
    assert isinstance(make_vector_env("CartPole-v1", num_envs=2), SyncVectorEnv)
    made = make_vector_env(gym.make("CartPole-v1"))
    assert isinstance(made, SyncVectorEnv)
    assert made.spec.id == "CartPole-v1"


class Remembers(gym.Env):
    """Keeps the actions that it gets."""

    observation_space = spaces.Box(-1, 1, (1,))

    def __init__(self, action_space):
        self.action_space, self.actions = action_space, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.actions.append(action)
        return np.zeros(1, np.float32), 1.0, len(self.actions) == 3, False, {}


COMPOSED = [
    spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))]),
    spaces.Tuple([spaces.Discrete(3)] * 3),  # as many components as environments
    spaces.Dict({"a": spaces.Discrete(3), "b": spaces.MultiBinary(2), "c": spaces.Discrete(2)}),
    spaces.Dict({"a": spaces.Tuple([spaces.Discrete(3), spaces.Discrete(3)])}),
]


@pytest.mark.parametrize("space", [*COMPOSED, spaces.MultiDiscrete([2, 3]), spaces.Discrete(4)], ids=str)
def test_every_environment_gets_its_own_action(space):
    ours = SyncVectorEnv([lambda: Remembers(space)] * 3)
    theirs = gym.vector.SyncVectorEnv([lambda: Remembers(space)] * 3)
    actions = ours.action_space.sample()
    for env in (ours, theirs):
        env.reset(seed=0)
        env.step(actions)
    for one, other in zip(ours.envs, theirs.envs, strict=True):
        np.testing.assert_equal(one.actions, other.actions)
        assert space.contains(one.actions[0])


@pytest.mark.parametrize("space", COMPOSED, ids=str)
def test_evaluation_with_composed_actions(space):
    class Model:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return env.action_space.sample(), None

    env = SyncVectorEnv([lambda: Remembers(space)] * 3)
    evaluate_policy(Model(), env, 3)
    assert all(space.contains(action) for single in env.envs for action in single.actions)


@pytest.mark.parametrize(
    ("space", "actions", "kind"),
    [
        (COMPOSED[0], (np.zeros(3, int),), ValueError),
        (COMPOSED[0], np.zeros(3, int), ValueError),
        (COMPOSED[1], (np.zeros(3, int), np.zeros(2, int), np.zeros(3, int)), ValueError),
        (COMPOSED[1], (np.zeros(2, int),) * 3, ValueError),
        (COMPOSED[2], {"a": np.zeros(3, int), "b": np.zeros((3, 2), int)}, ValueError),
        (spaces.Discrete(4), {"a": 0, "b": 1, "c": 2}, TypeError),
        (spaces.Discrete(4), "012", TypeError),
        (spaces.Discrete(4), 1, TypeError),
        (spaces.Discrete(4), [1, 2], ValueError),
        (spaces.Box(-1, 1, (2,)), np.zeros((2, 2)), ValueError),
    ],
)
def test_a_batch_of_actions_that_is_none(space, actions, kind):
    env = SyncVectorEnv([lambda: Remembers(space)] * 3)
    env.reset(seed=0)
    with pytest.raises(kind, match=r"^actions: expected"):
        env.step(actions)
    assert all(single.actions == [] for single in env.envs)  # nobody has made a step


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True, False], "expected booleans of shape (2,), got list"),
        (np.array([1, 0]), "expected booleans of shape (2,), got int64 (2,)"),
        (np.array([True]), "expected booleans of shape (2,), got bool (1,)"),
        (np.array([False, False]), "expected an environment to reset, got none"),
    ],
)
def test_a_reset_mask_that_is_none(mask, message):
    env = SyncVectorEnv([lambda: Counter(BOX)] * 2)
    env.reset(seed=0)
    with pytest.raises(ValueError) as error:
        env.reset(options={"reset_mask": mask})
    assert str(error.value) == f"options['reset_mask']: {message}"


def test_seeds_one_by_one():
    env = SyncVectorEnv([lambda: Counter(BOX)] * 2)
    together = env.reset(seed=7)[0]
    np.testing.assert_array_equal(env.reset(seed=[7, 8])[0], together)
    np.testing.assert_array_equal(env.reset(seed=np.array([7, 8]))[0], together)
    with pytest.raises(ValueError, match=r"^seed: expected 2 seeds, got 3"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"^seed: expected an integer >= 0"):
        env.reset(seed=-3)


@pytest.mark.parametrize("space", [BOX, DICT], ids=["box", "dict"])
def test_copies_may_observe_by_one_array(space):
    """Of their class or module, say; each overwrites what those before it have returned."""

    class Shares(Counter):
        memory = np.zeros((2, 3), np.float32)

        def _obs(self):
            self.memory[...] = self._t
            if isinstance(self.observation_space, spaces.Dict):
                return {"t": self.memory[0, :1], "parity": int(self._t) % 2}
            return self.memory

    ours, theirs = (SyncVectorEnv([lambda kind=kind: kind(space)] * 3) for kind in (Shares, Counter))
    for _ in range(2):
        np.testing.assert_equal(ours.reset(seed=7), theirs.reset(seed=7))
        for _ in range(3):
            actions = np.array([0, 1, 2])
            np.testing.assert_equal(ours.step(actions), theirs.step(actions))
