"""Batches against what was scripted, in every autoreset mode; then real environments."""

from __future__ import annotations

from itertools import islice

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from toy_envs import BOTH, MODES, TERMINATED, TRUNCATED, FakePolicy, ScriptedEnv, ToyVectorEnv, truth

from pgcore import Batch
from pgcore.policies.normalizer import ObservationNormalizer
from pgcore.rollout import Collector, make_vector_env

SCRIPTS = [
    [(3, TERMINATED), (2, TRUNCATED), (1, BOTH), (4, TRUNCATED)],
    [(5, TRUNCATED), (1, TRUNCATED)],
    [(1, TERMINATED)],
    [(40, TERMINATED)],
]
FIELDS = ("obs", "actions", "rewards", "ends", "terminated", "tail_obs", "log_probs")


def collector_for(env, policy=None, seed=0):
    return Collector(
        env, FakePolicy() if policy is None else policy, rng=np.random.default_rng(seed), seed=11
    )


def assert_same(one: Batch, other: Batch) -> None:
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def rows_per_env(batch: Batch, num_envs: int) -> list[np.ndarray]:
    """Row numbers of each environment; checks that they lie one environment after the other."""
    envs = batch.obs[:, 0].astype(int)
    assert (np.diff(envs) >= 0).all()
    return [np.flatnonzero(envs == i) for i in range(num_envs)]


def check_against_truth(batch: Batch, expected: list[list], env: ToyVectorEnv) -> None:
    """All fields of a batch from the transitions that each environment should have made, by plain loops."""
    tails = []
    for rows, transitions in zip(rows_per_env(batch, len(expected)), expected, strict=True):
        assert len(rows) == len(transitions)
        for k, (row, transition) in enumerate(zip(rows, transitions, strict=True)):
            done = transition.terminated or transition.truncated
            np.testing.assert_array_equal(batch.obs[row], transition.obs)
            assert batch.rewards[row] == np.float32(transition.reward)
            assert batch.terminated[row] == transition.terminated
            assert batch.ends[row] == (done or k == len(rows) - 1)
            if batch.ends[row]:
                tails.append((0, 0, 0) if transition.terminated else transition.next_obs)
            np.testing.assert_array_equal(
                env.received[tuple(int(x) for x in transition.obs)], batch.actions[row]
            )
    np.testing.assert_array_equal(batch.tail_obs, tails)


def finished_episodes(transitions) -> list[tuple[float, int]]:
    """Return and length of each episode that ends among an environment's transitions."""
    finished, total, length = [], 0.0, 0
    for transition in transitions:
        total, length = total + transition.reward, length + 1
        if transition.terminated or transition.truncated:
            finished.append((total, length))
            total, length = 0.0, 0
    return finished


def num_transitions(script, mode: AutoresetMode, num_steps: int) -> int:
    """How many of ``num_steps`` steps are transitions: next-step spends one on each reset."""
    if mode is not AutoresetMode.NEXT_STEP:
        return num_steps
    kinds = []
    for transition in truth(script, 0):
        kinds.append(True)
        if transition.terminated or transition.truncated:
            kinds.append(False)
        if len(kinds) >= num_steps:
            return sum(kinds[:num_steps])
    raise AssertionError


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_steps", [1, 2, 7, 20])
def test_batches_of_steps_are_the_script(mode, n_steps):
    env = ToyVectorEnv(SCRIPTS[:2] + SCRIPTS[3:], mode)
    env.scripts = scripts = [SCRIPTS[0], SCRIPTS[1], SCRIPTS[3]]
    collector = collector_for(env)
    streams = [truth(script, i) for i, script in enumerate(scripts)]
    so_far: list[list] = [[] for _ in scripts]
    for iteration in range(1, 6):
        batch = collector.collect(n_steps)
        expected, finished_before = [], [len(finished_episodes(s)) for s in so_far]
        for i, script in enumerate(scripts):
            wanted = num_transitions(script, mode, iteration * n_steps) - len(so_far[i])
            expected.append(list(islice(streams[i], wanted)))
            so_far[i] += expected[i]
        check_against_truth(batch, expected, env)
        assert collector.num_env_steps == batch.num_steps == sum(map(len, expected))
        finished = [
            episode
            for stream, num in zip(so_far, finished_before, strict=True)
            for episode in finished_episodes(stream)[num:]
        ]
        recorded = list(zip(collector.episode_returns, collector.episode_lengths, strict=True))
        assert sorted(recorded) == sorted(finished)
    assert env.reset_seeds == [11]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_steps", [1, 3, 6, 45])
def test_batches_of_whole_episodes_are_the_script(mode, n_steps):
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env)
    for _ in range(3):
        batch = collector.collect(n_steps, whole_episodes=True)
        expected = []
        for i, script in enumerate(SCRIPTS):
            transitions = []
            for transition in truth(script, i):
                transitions.append(transition)
                if len(transitions) >= n_steps and (transition.terminated or transition.truncated):
                    break
            expected.append(transitions)
        check_against_truth(batch, expected, env)
        recorded = list(zip(collector.episode_returns, collector.episode_lengths, strict=True))
        assert sorted(recorded) == sorted(e for stream in expected for e in finished_episodes(stream))
        assert collector.num_env_steps == sum(
            num_transitions(script, mode, env.num_steps) for script in SCRIPTS
        )
        env.num_steps = 0


def test_the_three_modes_give_identical_batches():
    """Bit for bit, with a stochastic policy: a reset uses up none of the noise."""
    policies = [FakePolicy(action_shape=(2,), num_actions=None) for _ in MODES]
    box = spaces.Box(-0.1, 0.1, (2,))
    collectors = [
        collector_for(ToyVectorEnv(SCRIPTS, mode, action_space=box), policy)
        for mode, policy in zip(MODES, policies, strict=True)
    ]
    for n_steps in (5, 200, 30):
        batches = [collector.collect(n_steps, whole_episodes=True) for collector in collectors]
        assert batches[0].num_truncated >= 2
        for batch, collector in zip(batches[1:], collectors[1:], strict=True):
            assert_same(batch, batches[0])
            # (Resets delay the later ends of a next-step environment, hence sorted.)
            assert sorted(collector.episode_returns) == sorted(collectors[0].episode_returns)
            assert sorted(collector.episode_lengths) == sorted(collectors[0].episode_lengths)
    assert len({str(collector.rng.bit_generator.state) for collector in collectors}) == 1


def test_one_rollout_of_steps_agrees_between_modes_as_far_as_it_goes():
    batches = [collector_for(ToyVectorEnv(SCRIPTS, mode)).collect(30) for mode in MODES]
    assert_same(batches[1], batches[2])
    rows, reference = rows_per_env(batches[0], 4), rows_per_env(batches[1], 4)
    for some, all_rows in zip(rows, reference, strict=True):
        common = all_rows[: len(some)]
        for name in ("obs", "actions", "rewards", "terminated", "log_probs"):
            np.testing.assert_array_equal(getattr(batches[0], name)[some], getattr(batches[1], name)[common])


@pytest.mark.parametrize("mode", MODES)
def test_reset_rows_never_count(mode):
    """Trap 1. The toy pays 1e9 and takes no action at such steps; environment 2 has one every other step."""
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env)
    batch = collector.collect(10)
    assert batch.rewards.max() < 1e6
    assert len(env.received) == batch.num_steps == collector.num_env_steps
    assert max(collector.episode_returns) < 1e6
    lengths = [length for script in SCRIPTS for length, _ in script]
    assert set(collector.episode_lengths) <= set(lengths)
    per_env = [len(rows) for rows in rows_per_env(batch, 4)]
    assert per_env == ([7, 8, 5, 10] if mode is AutoresetMode.NEXT_STEP else [10, 10, 10, 10])


def test_a_step_with_nothing_but_resets_is_followed_by_another():
    collector = collector_for(ToyVectorEnv([[(1, TERMINATED)]] * 2, AutoresetMode.NEXT_STEP))
    for episode in range(3):
        batch = collector.collect(1)
        np.testing.assert_array_equal(batch.obs, [[0, episode, 0], [1, episode, 0]])
        assert collector.num_env_steps == 2


@pytest.mark.parametrize("mode", MODES)
def test_truncation_is_not_termination(mode):
    """Trap 2: only truncated and cut pieces have a tail, and if both flags are set termination wins."""
    script = [(2, TRUNCATED), (2, BOTH), (2, TERMINATED), (9, TERMINATED)]
    batch = collector_for(ToyVectorEnv([script], mode)).collect(7 + 3 * (mode is AutoresetMode.NEXT_STEP))
    np.testing.assert_array_equal(batch.piece_lengths, [2, 2, 2, 1])
    np.testing.assert_array_equal(batch.truncated, [True, False, False, True])
    np.testing.assert_array_equal(batch.tail_obs, [[0, 0, 2], [0, 0, 0], [0, 0, 0], [0, 3, 1]])


@pytest.mark.parametrize("mode", MODES)
def test_log_probs_are_of_the_actions_that_were_sampled(mode):
    """Trap 8: the environment gets clipped actions; the batch has what was sampled, and its log_probs."""
    policy = FakePolicy(action_shape=(2,), num_actions=None)
    env = ToyVectorEnv(SCRIPTS, mode, action_space=spaces.Box(-0.1, 0.2, (2,)))
    batch = collector_for(env, policy).collect(20)
    assert policy.num_log_prob_calls == 1
    assert (batch.actions > 0.2).any()
    assert (batch.actions < -0.1).any()
    sent = np.array([env.received[tuple(int(x) for x in obs)] for obs in batch.obs])
    np.testing.assert_array_equal(sent, np.clip(batch.actions, np.float32(-0.1), np.float32(0.2)))
    np.testing.assert_array_equal(batch.log_probs, policy.log_prob(batch.obs, batch.actions))
    assert not np.allclose(batch.log_probs, policy.log_prob(batch.obs, sent), atol=0.1)


def test_a_moved_normaliser_would_show():
    """Trap 20: acting, scoring and scoring again see the same statistics, as collecting never moves them."""
    policy = FakePolicy(action_shape=(1,), num_actions=None, noisy=False)
    policy.normalizer = ObservationNormalizer(3)
    policy.normalizer.update(np.random.default_rng(0).normal(size=(50, 3)))
    before = policy.normalizer.state()
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=spaces.Box(-9, 9, (1,)))
    collector = collector_for(env, policy)
    for whole in (False, True):
        batch = collector.collect(20, whole_episodes=whole)
        np.testing.assert_array_equal(batch.actions, policy.mean(batch.obs))  # acted under these statistics
        np.testing.assert_array_equal(batch.log_probs, 0)  # and scored under them
        assert batch.obs.max() > 10  # raw, not normalised
    for name, value in policy.normalizer.state().items():
        np.testing.assert_array_equal(value, before[name])
    policy.normalizer.update(batch.obs)
    assert not np.allclose(policy.mean(batch.obs), batch.actions)  # so that the test can fail


def test_only_real_transitions_reach_the_normaliser():
    """Trap 16: what is in the batch is all that there is to update with."""
    normalizers = []
    for mode in MODES:
        batch = collector_for(ToyVectorEnv(SCRIPTS, mode)).collect(30, whole_episodes=True)
        normalizers.append(ObservationNormalizer(3))
        normalizers[-1].update(batch.obs)
    for normalizer in normalizers[1:]:
        np.testing.assert_array_equal(normalizer.mean, normalizers[0].mean)
        np.testing.assert_array_equal(normalizer.m2, normalizers[0].m2)


@pytest.mark.parametrize("mode", MODES)
def test_one_call_of_everything_per_step(mode):
    policy = FakePolicy()
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env, policy)
    collector.collect(25)
    assert env.num_steps == len(policy.acted_on) == 25
    assert policy.noise_shapes == [(25, 4)]
    assert policy.num_log_prob_calls == 1
    collector.collect(25)
    assert env.num_steps == len(policy.acted_on) == 50
    assert policy.noise_shapes == [(25, 4)] * 2


def test_the_policy_acts_on_what_the_batch_says():
    policy = FakePolicy()
    batch = collector_for(ToyVectorEnv(SCRIPTS, AutoresetMode.DISABLED), policy).collect(12)
    np.testing.assert_array_equal(np.stack(policy.acted_on).transpose(1, 0, 2).reshape(-1, 3), batch.obs)


@pytest.mark.parametrize("mode", MODES)
def test_batches_do_not_share_memory_with_anything(mode):
    env = ToyVectorEnv(SCRIPTS, mode)
    collector = collector_for(env)
    first = collector.collect(10)
    kept = [getattr(first, name).copy() for name in FIELDS]
    env.buffer[:] = np.nan  # the environment may do with its array what it wants
    second = collector.collect(10)
    for name, copy in zip(FIELDS, kept, strict=True):
        np.testing.assert_array_equal(getattr(first, name), copy)
        assert not np.shares_memory(getattr(first, name), getattr(second, name))
    assert np.isfinite(second.obs).all()
    assert np.isfinite(second.tail_obs).all()


def test_environments_and_policies_may_reuse_the_action_array():
    class Vandal(ToyVectorEnv):
        def step(self, actions):
            outcome = super().step(actions)
            actions[:] = -77
            return outcome

    env = Vandal(SCRIPTS, AutoresetMode.SAME_STEP)
    batch = collector_for(env).collect(5)
    assert (batch.actions >= 0).all()


def test_the_action_reaches_its_own_environment_and_step():
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.NEXT_STEP, action_space=spaces.Discrete(5, start=-2))
    policy = FakePolicy(num_actions=5)
    batch = collector_for(env, policy).collect(30)
    assert set(batch.actions) == set(range(5))
    for obs, action in zip(batch.obs, batch.actions, strict=True):
        assert env.received[tuple(int(x) for x in obs)] == action - 2


@pytest.mark.parametrize(
    ("space", "shape", "num_actions"),
    [(spaces.MultiDiscrete([3, 3]), (2,), 3), (spaces.MultiBinary((2, 2)), (4,), 2)],
)
def test_products_of_discrete_actions(space, shape, num_actions):
    policy = FakePolicy(action_shape=shape, num_actions=num_actions)
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=space)
    batch = collector_for(env, policy).collect(9)
    assert batch.actions.shape == (36, *shape)
    assert batch.actions.dtype == np.int64
    for obs, action in zip(batch.obs, batch.actions, strict=True):
        received = env.received[tuple(int(x) for x in obs)]
        assert space.contains(received)
        np.testing.assert_array_equal(received.ravel(), action)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_the_policys(dtype):
    policy = FakePolicy(dtype=dtype, action_shape=(1,), num_actions=None)
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, action_space=spaces.Box(-1, 1, (1,)))
    batch = collector_for(env, policy).collect(4)
    for name in ("obs", "actions", "rewards", "tail_obs", "log_probs"):
        assert getattr(batch, name).dtype == dtype, name


def test_returns_are_summed_in_double():
    class Fine(ToyVectorEnv):
        def step(self, actions):
            obs, rewards, *rest = super().step(actions)
            return obs, np.full_like(rewards, 1 + 2.0**-40), *rest

    collector = collector_for(Fine([[(8, TERMINATED)]], AutoresetMode.SAME_STEP))
    collector.collect(8)
    assert collector.episode_returns == [8 * (1 + 2.0**-40)]
    assert collector.episode_lengths == [8]
    assert type(collector.episode_returns[0]) is float
    assert type(collector.episode_lengths[0]) is int


def test_episodes_are_listed_in_the_order_in_which_they_ended():
    scripts = [[(5, TERMINATED)], [(2, TERMINATED), (9, TERMINATED)], [(3, TRUNCATED), (9, TERMINATED)]]
    collector = collector_for(ToyVectorEnv(scripts, AutoresetMode.SAME_STEP))
    collector.collect(4)
    assert collector.episode_lengths == [2, 3]
    collector.collect(4)
    assert collector.episode_lengths == [5]
    collector.collect(2)
    assert collector.episode_lengths == [5]
    collector.collect(1)
    assert collector.episode_lengths == [9]  # environment 1: nine steps over three batches


def test_seeds():
    def reset_seeds(seed, whole):
        env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP)
        collector = Collector(env, FakePolicy(), rng=np.random.default_rng(3), seed=seed)
        for _ in range(3):
            collector.collect(2, whole_episodes=whole)
        return env.reset_seeds

    assert reset_seeds(7, False) == [7]
    drawn = reset_seeds(None, False)
    assert len(drawn) == 1
    assert drawn == reset_seeds(None, False)
    whole = reset_seeds(7, True)
    assert len(set(whole)) == 3
    assert whole == reset_seeds(8, True)
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in drawn + whole)


def test_whole_episodes_can_be_resumed_from_the_generator_alone():
    def batches(collector, num):
        return [collector.collect(150, whole_episodes=True) for _ in range(num)]

    env = make_vector_env("CartPole-v1", num_envs=3)
    policy = FakePolicy(obs_dim=4)
    unbroken = Collector(env, policy, rng=np.random.default_rng(0))
    expected = batches(unbroken, 4)
    first = Collector(make_vector_env("CartPole-v1", num_envs=3), policy, rng=np.random.default_rng(0))
    first.collect(3000, whole_episodes=True)  # a larger buffer must make no difference
    first.rng = np.random.default_rng(0)
    for batch, other in zip(batches(first, 2), expected, strict=False):
        assert_same(batch, other)
    second = Collector(make_vector_env("CartPole-v1", num_envs=3), policy, rng=first.rng)
    for batch, other in zip(batches(second, 2), expected[2:], strict=True):
        assert_same(batch, other)


def test_switching_between_steps_and_whole_episodes():
    env = ToyVectorEnv([[(6, TERMINATED)]] * 2, AutoresetMode.NEXT_STEP)
    collector = collector_for(env)
    collector.collect(4)
    batch = collector.collect(1, whole_episodes=True)
    np.testing.assert_array_equal(batch.obs[:, 2], [*range(6), *range(6)])
    assert collector.episode_lengths == [6, 6]  # not 4 more
    batch = collector.collect(2)
    np.testing.assert_array_equal(batch.obs[:, 2], [0, 1, 0, 1])
    collector.collect(4)
    assert collector.episode_lengths == [6, 6]
    assert len(env.reset_seeds) == 3


@pytest.mark.parametrize("broken", ["step", "log_prob"])
def test_an_interrupted_rollout_begins_anew(broken):
    env, policy = ToyVectorEnv([[(6, TERMINATED)]], AutoresetMode.DISABLED), FakePolicy()
    collector = collector_for(env, policy)
    collector.collect(3)
    target = env if broken == "step" else policy
    original = getattr(target, broken)

    def interrupt(*_):
        raise KeyboardInterrupt

    setattr(target, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        collector.collect(2)
    setattr(target, broken, original)
    batch = collector.collect(6)
    np.testing.assert_array_equal(batch.obs[:, 2], range(6))
    assert collector.episode_lengths == [6]
    assert len(env.reset_seeds) == 2


def test_shorter_and_longer_rollouts_on_one_buffer():
    env = ToyVectorEnv([[(100, TERMINATED)]] * 2, AutoresetMode.SAME_STEP)
    collector = collector_for(env)
    seen = [collector.collect(n).episode(0).obs[:, 2] for n in (5, 2, 30, 1, 7)]
    np.testing.assert_array_equal(np.concatenate(seen), range(45))


def test_refusals():
    env = ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP)
    rng = np.random.default_rng(0)
    for call, kind, message in [
        (lambda: collector_for(env).collect(0), ValueError, "n_steps: expected an integer >= 1, got 0"),
        (lambda: collector_for(env).collect(2.5), TypeError, "n_steps: expected an integer, got float"),
        (
            lambda: Collector(env, FakePolicy(obs_dim=4), rng=rng),
            ValueError,
            "policy: expected obs_dim 3 to fit the environment, got 4",
        ),
        (
            lambda: Collector(env, FakePolicy(action_shape=(2,)), rng=rng),
            ValueError,
            "policy: expected action_shape () to fit the environment, got (2,)",
        ),
    ]:
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == message


# Real environments


class StepLog(gym.vector.VectorWrapper):
    """Writes down what the environment really said and got, copied."""

    def __init__(self, env):
        super().__init__(env)
        self.log = []

    def reset(self, *, seed=None, options=None):
        masked = options is not None and "reset_mask" in options
        obs, info = self.env.reset(seed=seed, options=options)
        if not masked:
            self.obs = obs.copy()
            self.pending = np.zeros(self.num_envs, bool)
        else:
            self.obs = obs.copy()
        return obs, info

    def step(self, actions):
        before = self.obs
        obs, rewards, terminated, truncated, info = self.env.step(actions)
        mode = self.env.metadata["autoreset_mode"]
        done = terminated | truncated
        final = obs.copy()
        if mode is AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(done):
                final[i] = info["final_obs"][i]
        self.log.append(
            (
                before,
                np.array(actions),
                rewards.copy(),
                terminated.copy(),
                truncated.copy(),
                final,
                ~self.pending,
            )
        )
        self.pending = done & (mode is AutoresetMode.NEXT_STEP)
        self.obs = obs.copy()
        return obs, rewards, terminated, truncated, info


def check_against_log(batch: Batch, log: list, num_envs: int, *, discrete: bool) -> None:
    """Rebuild the batch from the log with plain loops."""
    row = piece = 0
    for i in range(num_envs):
        real = [entry for entry in log if entry[6][i]]
        for k, (obs, actions, rewards, terminated, truncated, final, _) in enumerate(real):
            np.testing.assert_array_equal(batch.obs[row], obs[i].astype(np.float32))
            if discrete:
                assert batch.actions[row] == actions[i]
            else:
                np.testing.assert_array_equal(np.clip(batch.actions[row], -2, 2), actions[i])
            assert batch.rewards[row] == np.float32(rewards[i])
            assert batch.terminated[row] == terminated[i]
            assert batch.ends[row] == (terminated[i] or truncated[i] or k == len(real) - 1)
            if batch.ends[row]:
                tail = np.zeros_like(final[i]) if terminated[i] else final[i]
                np.testing.assert_array_equal(batch.tail_obs[piece], tail.astype(np.float32))
                piece += 1
            row += 1
    assert row == batch.num_steps
    assert piece == batch.num_episodes


@pytest.mark.parametrize(
    ("env_id", "backend", "mode"),
    [
        ("CartPole-v1", "native", None),
        ("CartPole-v1", "sync", None),
        ("CartPole-v1", "async", None),
        ("Pendulum-v1", "sync", None),
        ("Pendulum-v1", "async", None),
        *[
            (env_id, kind, mode)
            for env_id in ("CartPole-v1", "Pendulum-v1")
            for kind in ("sync", "async")
            for mode in MODES
        ],
    ],
)
def test_real_environments(env_id, backend, mode):
    discrete = env_id == "CartPole-v1"
    if mode is None:
        inner = make_vector_env(env_id, num_envs=3, backend=backend, max_episode_steps=25)
    else:
        inner = gym.make_vec(
            env_id,
            num_envs=3,
            vectorization_mode=backend,
            vector_kwargs={"autoreset_mode": mode},
            max_episode_steps=25,
        )
    policy = FakePolicy(4) if discrete else FakePolicy(3, (1,), num_actions=None)
    env = StepLog(inner)
    try:
        collector = collector_for(env, policy)
        for n_steps in (40, 13, 60):
            env.log.clear()
            batch = collector.collect(n_steps)
            assert collector.num_env_steps == batch.num_steps
            check_against_log(batch, env.log, 3, discrete=discrete)
            assert batch.num_truncated > 0
            if discrete:
                assert collector.episode_returns == collector.episode_lengths
    finally:
        env.close()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_every_backend_and_mode_gives_the_same_whole_episodes(env_id):
    """The environments' own noise included: sync and async, resetting whenever they like."""
    batches = []
    for backend in ("sync", "async"):
        for mode in (None, *MODES):
            if mode is None:
                env = make_vector_env(env_id, num_envs=3, backend=backend, max_episode_steps=15)
            else:
                env = gym.make_vec(
                    env_id,
                    num_envs=3,
                    vectorization_mode=backend,
                    vector_kwargs={"autoreset_mode": mode},
                    max_episode_steps=15,
                )
            policy = FakePolicy(4) if env_id == "CartPole-v1" else FakePolicy(3, (1,), num_actions=None)
            try:
                collector = collector_for(env, policy)
                batches.append([collector.collect(20, whole_episodes=True) for _ in range(2)])
            finally:
                env.close()
    for pair in batches[1:]:
        for batch, reference in zip(pair, batches[0], strict=True):
            assert_same(batch, reference)


def test_an_environment_that_reuses_its_observation_array():
    """As some do. Hence we make no same-step environments: their final observation is that very array."""
    expected = [[0, 0, 3], [0, 2, 3]]
    for env in (
        make_vector_env(ScriptedEnv()),
        SyncVectorEnv([ScriptedEnv], autoreset_mode=AutoresetMode.NEXT_STEP),
    ):
        batch = collector_for(env).collect(6, whole_episodes=True)
        np.testing.assert_array_equal(batch.piece_lengths, [3, 2, 3])
        np.testing.assert_array_equal(batch.tail_obs[batch.truncated], expected)


class Structured(gym.Env):
    """Observes a dictionary, takes a `Discrete` that doesn't begin at 0."""

    def __init__(self):
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (2, 2), np.uint8),
                "mode": spaces.Discrete(3, start=1),
                "pair": spaces.Tuple([spaces.MultiBinary(2), spaces.MultiDiscrete([2, 2])]),
            }
        )
        self.action_space = spaces.Discrete(3, start=5)
        self.actions = []

    def _obs(self):
        t = self.t
        return {
            "image": np.full((2, 2), t, np.uint8),
            "mode": np.int64(1 + t % 3),
            "pair": (np.array([t % 2, 1], np.int8), np.array([0, t % 2])),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.actions.append(int(action))
        self.t += 1
        return self._obs(), 1.0, False, self.t == 3, {}


@pytest.mark.parametrize("mode", MODES)
def test_structured_spaces(mode):
    envs = [Structured(), Structured()]
    env = SyncVectorEnv([lambda: envs[0], lambda: envs[1]], autoreset_mode=mode)
    policy = FakePolicy(4 + 3 + 2 + 4, num_actions=3)
    batch = collector_for(env, policy).collect(7)

    def flat(t):
        return [t] * 4 + [t % 3 == k for k in range(3)] + [t % 2, 1, 1, 0, t % 2 == 0, t % 2]

    rows = slice(0, batch.num_steps // 2)
    times = [0, 1, 2, 0, 1, 2] + [0] * (mode is not AutoresetMode.NEXT_STEP)
    np.testing.assert_array_equal(batch.obs[rows], [flat(t) for t in times])
    np.testing.assert_array_equal(batch.tail_obs[:2], [flat(3), flat(3)])
    np.testing.assert_array_equal(batch.actions[rows] + 5, envs[0].actions)


def test_discrete_and_image_observations():
    frozen = make_vector_env("FrozenLake-v1", num_envs=2)
    batch = collector_for(frozen, FakePolicy(16, num_actions=4)).collect(30)
    np.testing.assert_array_equal(batch.obs.sum(axis=1), 1)
    np.testing.assert_array_equal(batch.obs[batch.piece_starts[0]], np.eye(16)[0])


@pytest.mark.parametrize("mode", MODES)
def test_gymnasium_vector_wrappers(mode):
    def make():
        kwargs = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
        return gym.make_vec("CartPole-v1", num_envs=2, **kwargs)

    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(make())
    assert_same(
        collector_for(wrapped, FakePolicy(4)).collect(60), collector_for(make(), FakePolicy(4)).collect(60)
    )


def test_with_the_policies_of_the_package():
    """The real thing, end to end: discrete and continuous, ratios of exactly 1 (trap 18)."""
    from pgcore.policies import CategoricalPolicy, GaussianPolicy

    for env_id, policy in [
        ("CartPole-v1", CategoricalPolicy(4, 2, hidden=(8,), seed=1)),
        ("Pendulum-v1", GaussianPolicy(3, 1, hidden=(8,), init_log_std=1.0, seed=1)),
    ]:
        policy.normalizer = ObservationNormalizer(policy.obs_dim)
        collector = collector_for(make_vector_env(env_id, num_envs=3), policy)
        for whole in (False, True):
            batch = collector.collect(64, whole_episodes=whole)
            assert batch.num_steps >= 192
            np.testing.assert_array_equal(policy.log_prob(batch.obs, batch.actions), batch.log_probs)
            assert np.isfinite(batch.log_probs).all()
            policy.normalizer.update(batch.obs)
        if env_id == "Pendulum-v1":
            assert np.abs(batch.actions).max() > 2  # sampled, not clipped
