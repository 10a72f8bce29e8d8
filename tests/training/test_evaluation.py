from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import pgcore
from pgcore import evaluate_policy, evaluation
from pgcore.rollout import limits

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


class Scripted(gym.Env):
    """Episodes of given lengths; step t of episode e pays 100·e + t; observes (episode, step)."""

    observation_space = gym.spaces.Dict(
        {"episode": gym.spaces.Box(-1, 99, (1,)), "step": gym.spaces.Box(-1, 99, (1,))}
    )
    action_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, lengths, truncates=False):
        self.lengths = lengths
        self.truncates = truncates
        self.episode = -1

    def observe(self):
        return {"episode": np.array([self.episode], np.float32), "step": np.array([self.t], np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        assert action == pytest.approx(0.5)
        reward = 100.0 * self.episode + self.t
        self.t += 1
        over = self.t == self.lengths[self.episode % len(self.lengths)]
        return self.observe(), reward, over and not self.truncates, over and self.truncates, {}


class Nonsense(SyncVectorEnv):
    """Pays and flags nonsense where a step is only a reset by next-step autoreset, which nobody may read."""

    def step(self, actions):
        resets = self._autoreset_envs.copy()
        obs, rewards, terminated, truncated, info = super().step(actions)
        if self.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP:
            rewards[resets], truncated[resets] = 1e9, True
        return obs, rewards, terminated, truncated, info


class Watcher:
    """Checks that what it is asked about is in order, and acts."""

    def __init__(self, num_envs):
        self.seen = [[] for _ in range(num_envs)]
        self.calls = 0

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        assert (state is None) == (self.calls == 0)
        self.calls += 1
        for i, seen in enumerate(self.seen):
            now = (int(obs["episode"][i, 0]), int(obs["step"][i, 0]))
            assert bool(episode_start[i]) == (now[1] == 0)
            seen.append(now)
        return np.full((len(self.seen), 1), 0.5, np.float32), self.calls


def returns_of(lengths, count, first_episode=0):
    return [
        sum(100.0 * e + t for t in range(lengths[e % len(lengths)]))
        for e in range(first_episode, first_episode + count)
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("episodes", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("truncates", [False, True])
def test_every_copy_plays_its_share(mode, episodes, truncates):
    """The first to finish would all come from the second environment, whose episodes are short."""
    scripts = [[5, 4], [1, 2, 1]]

    def make():
        return Nonsense([lambda s=s: Scripted(s, truncates) for s in scripts], autoreset_mode=mode)

    returns, lengths = evaluate_policy(Watcher(2), make(), episodes, return_episode_rewards=True)
    shares = [(episodes + 0) // 2, (episodes + 1) // 2]
    expected = [r for s, n in zip(scripts, shares, strict=True) for r in returns_of(s, n)]
    assert sorted(returns) == sorted(expected)
    assert sorted(lengths) == sorted(
        s[e % len(s)] for s, n in zip(scripts, shares, strict=True) for e in range(n)
    )
    mean, std = evaluate_policy(Watcher(2), make(), episodes)
    assert mean == pytest.approx(np.mean(expected))
    assert std == pytest.approx(np.std(expected))


def test_a_single_environment_stays_open():
    env = gym.make("CartPole-v1")
    model = pgcore.REINFORCE("CartPole-v1", hidden=())
    evaluate_policy(model, env, 2)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_known_policy_gets_its_known_return(num_envs):
    """Always left: the pole falls within 8 to 11 steps, whatever the start."""
    model = pgcore.REINFORCE("CartPole-v1", hidden=())
    params = np.zeros(model.policy.num_params)
    params[-2] = 50.0
    model.policy.params = params
    env = gym.make_vec("CartPole-v1", num_envs=num_envs, vectorization_mode="sync")
    returns, lengths = evaluate_policy(model, env, 30, seed=0, return_episode_rewards=True)
    assert len(returns) == 30
    assert returns == lengths
    assert 8 <= min(returns) < max(returns) <= 11


def test_same_seed_same_result_and_nothing_moves():
    model = pgcore.REINFORCE("CartPole-v1", n_steps=50, normalize_observations=True, seed=3).learn(100)
    before = pgcore.training.persistence.snapshot(model)
    first = evaluate_policy(model, "CartPole-v1", 5, seed=7, return_episode_rewards=True)
    assert first == evaluate_policy(model, "CartPole-v1", 5, seed=7, return_episode_rewards=True)
    assert first != evaluate_policy(model, "CartPole-v1", 5, seed=8, return_episode_rewards=True)
    after = pgcore.training.persistence.snapshot(model)
    assert before[0] == after[0]
    for name, array in before[1].items():
        np.testing.assert_array_equal(array, after[1][name])


def limited(mode, scripts, truncates=False):
    return Nonsense([lambda s=s: Scripted(s, truncates) for s in scripts], autoreset_mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [1, 2, 3])
def test_endless_episodes_are_cut_and_said_to_be(mode, num_envs):
    env = limited(mode, [[10**9]] * num_envs)
    with pytest.warns(RuntimeWarning, match=r"max_steps: .* got 5 of 5 .* max_steps = 7 steps") as caught:
        returns, lengths = evaluate_policy(
            Watcher(num_envs), env, 5, max_steps=7, return_episode_rewards=True
        )
    assert [warning.filename for warning in caught] == [__file__]
    assert lengths == [7] * 5
    # fresh ones, of which steps 0 to 6 pay 100·episode + step
    assert sorted((r - sum(range(7))) / 700 for r in returns) == sorted(i // num_envs for i in range(5))


@pytest.mark.parametrize("mode", MODES)
def test_endless_ones_beside_others(mode):
    """The copy that waits keeps nobody from playing, and gets its next episode from its beginning."""
    env = limited(mode, [[3], [10**9, 2], [9, 4]])
    with pytest.warns(RuntimeWarning, match=r"got 3 of 7 that"):
        _, lengths = evaluate_policy(Watcher(3), env, 7, max_steps=6, return_episode_rewards=True)
    assert lengths == [3, 3, 6, 2, 6, 4, 6]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("truncates", [False, True])
def test_an_episode_that_ends_at_the_limit_is_whole(mode, truncates):
    env = limited(mode, [[4, 3]] * 2, truncates)
    _, lengths = evaluate_policy(Watcher(2), env, 6, max_steps=4, return_episode_rewards=True)
    assert sorted(lengths) == [3, 3, 4, 4, 4, 4]


def test_the_limit_by_default(monkeypatch):
    monkeypatch.setattr(limits, "MAX_EPISODE_STEPS", 20)
    model = pgcore.REINFORCE("Pendulum-v1", hidden=())
    assert evaluate_policy(model, "Pendulum-v1", 2, return_episode_rewards=True)[1] == [200, 200]
    endless = gym.make("Pendulum-v1").unwrapped
    endless.spec = None
    with pytest.warns(RuntimeWarning, match="max_steps = 20 steps"):
        assert evaluate_policy(model, endless, 2, return_episode_rewards=True)[1] == [20, 20]
    for bad, error in ((0, ValueError), (2.5, TypeError), (-1, ValueError)):
        with pytest.raises(error, match=r"^max_steps: expected an integer"):
            evaluate_policy(model, "Pendulum-v1", 2, max_steps=bad)


def test_long_evaluations_say_how_far_they_are(monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "_PROGRESS_SECONDS", 0.0)
    told = []
    env = limited(MODES[2], [[3], [2]])
    evaluate_policy(Watcher(2), env, 3, progress=lambda *numbers: told.append(numbers))
    assert told == [(0, 3, 2), (1, 3, 4), (2, 3, 6), (3, 3, 8)]
    evaluate_policy(Watcher(2), limited(MODES[2], [[3], [2]]), 3, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "evaluation: 3 of 3 episodes, 8 steps"
    evaluate_policy(Watcher(2), limited(MODES[2], [[3], [2]]), 3)  # standard error is no terminal
    evaluate_policy(Watcher(2), limited(MODES[2], [[3], [2]]), 3, progress=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    evaluate_policy(Watcher(2), limited(MODES[2], [[3], [2]]), 3)
    assert "evaluation: " in capsys.readouterr().err
    with pytest.raises(TypeError, match=r"^progress: expected a bool, a function or None, got 3$"):
        evaluate_policy(Watcher(2), env, 3, progress=3)


def test_bad_arguments():
    model = pgcore.REINFORCE("CartPole-v1", hidden=())
    with pytest.raises(ValueError, match=r"^n_eval_episodes: expected an integer >= 1, got 0"):
        evaluate_policy(model, "CartPole-v1", 0)
    with pytest.raises(ValueError, match="Nothing-v0"):
        evaluate_policy(model, "Nothing-v0")


class Odd(gym.Env):
    """Observes and pays what it is told at step 2."""

    observation_space, action_space = gym.spaces.Box(-9, 9, (3,)), gym.spaces.Box(-1, 1, (2,))

    def __init__(self, outcome=None):
        self.outcome, self.t = outcome, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.t == 2 and self.outcome is not None:
            return self.outcome
        return np.zeros(3, np.float32), 1.0, self.t == 5, False, {}


BAD = np.array([0, np.nan, 0], np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (
            (BAD, 1.0, False, False, {}),
            "obs[1]: expected a finite number, got nan in environment 1 at step 2",
        ),
        (
            (np.zeros(3, np.float32), np.inf, False, False, {}),
            "reward: expected a finite number, got inf in environment 1 at step 1",
        ),
        ((BAD[1:], 1.0, False, False, {}), "environment 1, step(), obs: expected float32 of shape (3,), got"),
        (
            (0, 1.0, False),
            "environment 1, step(): expected five values (obs, reward, terminated, truncated, info), got",
        ),
    ],
)
def test_an_environment_that_is_at_fault(mode, outcome, message):
    env = SyncVectorEnv([Odd, lambda: Odd(outcome)], autoreset_mode=mode)
    model = pgcore.REINFORCE(Odd(), hidden=())
    with pytest.raises(ValueError) as error:
        evaluate_policy(model, env, 4)
    assert str(error.value).startswith(message)


def test_actions_that_are_not_finite():
    class Broken:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            return np.array([[0.0, 0.0], [0.0, np.nan]]), None

    with pytest.raises(ValueError) as error:
        evaluate_policy(Broken(), SyncVectorEnv([Odd, Odd]), 4)
    assert str(error.value) == (
        "action[1]: expected a finite number, got nan in environment 1 at step 0 of the evaluation"
    )


def test_an_exception_of_the_environment_stays_what_it_is():
    class Fails(Odd):
        def step(self, action):
            raise KeyError("goal")

    model = pgcore.REINFORCE(Odd(), hidden=())
    with pytest.raises(KeyError, match="goal"):
        evaluate_policy(model, Fails(), 4)
    with pytest.raises(KeyError, match="goal"):
        evaluate_policy(model, SyncVectorEnv([Fails]), 4)


class Says:
    """Answers every observation with the same actions."""

    def __init__(self, actions):
        self.actions = actions

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        return self.actions, state


@pytest.mark.parametrize("backend", ["sync", "async", None])
@pytest.mark.parametrize("actions", [np.int64(1), np.zeros(3, np.int64), {"a": 1}, None])
def test_actions_that_are_not_one_for_each_environment_are_the_models_fault(backend, actions):
    if backend is None:
        env = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    else:
        env = pgcore.rollout.make_vector_env("CartPole-v1", num_envs=2, backend=backend)
    try:
        with pytest.raises(ValueError, match=r"^actions: expected one for each of 2 environments, got"):
            evaluate_policy(Says(actions), env, 2)
        # Nothing of it is left in the workers.
        assert evaluate_policy(Says(np.zeros(2, np.int64)), env, 2, seed=0)[0] == pytest.approx(9.5, abs=1.5)
    finally:
        env.close()
