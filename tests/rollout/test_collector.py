"""Batches against what was scripted, in every autoreset mode, and the traps around them."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from pgcore import Batch
from pgcore.policies import GaussianPolicy
from pgcore.policies.normalizer import ObservationNormalizer
from support.batches import assert_checked
from support.toy_envs import (
    BOTH,
    MODES,
    SCRIPTS,
    TERMINATED,
    TRUNCATED,
    FakePolicy,
    ToyVectorEnv,
    assert_same,
    collector_for,
    truth,
)


def rows_per_env(batch: Batch, num_envs: int) -> list[np.ndarray]:
    """Row numbers of each environment; checks that they lie one environment after the other."""
    envs = batch.obs[:, 0].astype(int)
    assert (np.diff(envs) >= 0).all()
    return [np.flatnonzero(envs == i) for i in range(num_envs)]


def check_against_truth(batch: Batch, expected: list[list], env: ToyVectorEnv) -> None:
    """All fields of a batch from the transitions that each environment should have made, by plain loops."""
    assert_checked(batch)
    bootstrap = []
    for rows, transitions in zip(rows_per_env(batch, len(expected)), expected, strict=True):
        assert len(rows) == len(transitions)
        for k, (row, transition) in enumerate(zip(rows, transitions, strict=True)):
            done = transition.terminated or transition.truncated
            np.testing.assert_array_equal(batch.obs[row], transition.obs)
            assert batch.rewards[row] == np.float32(transition.reward)
            assert batch.terminated[row] == transition.terminated
            assert batch.ends[row] == (done or k == len(rows) - 1)
            if batch.ends[row]:
                bootstrap.append((0, 0, 0) if transition.terminated else transition.next_obs)
            np.testing.assert_array_equal(
                env.received[tuple(int(x) for x in transition.obs)], batch.actions[row]
            )
    np.testing.assert_array_equal(batch.bootstrap_obs, bootstrap)


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


@pytest.mark.parametrize("mode", MODES)
def test_flags_of_other_bytes_than_0_and_1_are_taken_as_true(mode):
    class AnyBytes(ToyVectorEnv):
        def step(self, actions):
            obs, rewards, terminated, truncated, info = super().step(actions)
            return obs, rewards, self.twos(terminated), self.twos(truncated), info

        def twos(self, flags):
            return (2 * flags.astype(np.uint8)).view(bool)

    batch, expected = (collector_for(kind(SCRIPTS, mode)).collect(20) for kind in (AnyBytes, ToyVectorEnv))
    assert_same(batch, expected)
    for name in ("ends", "terminated", "truncated"):
        assert set(getattr(batch, name).view(np.uint8)) == {0, 1}, name


def test_log_probabilities_have_a_number_for_each_step():
    class Columns(FakePolicy):
        def log_prob(self, obs, actions):
            return super().log_prob(obs, actions)[:, None]

    collector = collector_for(ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP), Columns())
    with pytest.raises(ValueError) as error:
        collector.collect(5)
    assert str(error.value) == "log_probs: expected shape (20,), got (20, 1)"


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


class WideNoise(GaussianPolicy):
    """A compiled policy of single precision whose user draws its noise in double."""

    def draw_noise(self, rng, num_steps, num_envs):
        return rng.standard_normal((num_steps, num_envs, 2))


@pytest.mark.parametrize("kind", [GaussianPolicy, WideNoise])
def test_a_compiled_policy_uses_up_no_noise_for_resets(kind):
    box = spaces.Box(-0.1, 0.1, (2,))
    collectors = [collector_for(ToyVectorEnv(SCRIPTS, mode, action_space=box), kind(3, 2)) for mode in MODES]
    for n_steps in (5, 200):
        batches = [collector.collect(n_steps, whole_episodes=True) for collector in collectors]
        for batch in batches[1:]:
            assert_same(batch, batches[0])


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
    """Trap 2: only truncated segments have a bootstrap observation; termination wins over truncation."""
    script = [(2, TRUNCATED), (2, BOTH), (2, TERMINATED), (9, TERMINATED)]
    batch = collector_for(ToyVectorEnv([script], mode)).collect(7 + 3 * (mode is AutoresetMode.NEXT_STEP))
    np.testing.assert_array_equal(batch.segment_lengths, [2, 2, 2, 1])
    np.testing.assert_array_equal(batch.truncated, [True, False, False, True])
    np.testing.assert_array_equal(batch.bootstrap_obs, [[0, 0, 2], [0, 0, 0], [0, 0, 0], [0, 3, 1]])


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
