"""A policy with memory, in Python: acting, scoring and training agree on what it remembers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import pgcore
from pgcore import NPG, PPO, REINFORCE, TRPO, Batch, BehaviourCloning
from pgcore.algorithms.actor_critic import Advantages
from pgcore.estimators import maximum_likelihood_gradient, off_policy_gradient, policy_gradient
from pgcore.optim import ScoreAscent
from pgcore.policies import CategoricalPolicy, segments_of
from pgcore.rollout import Collector
from support.oracles import assert_close, assert_same_bits
from support.own_families import RunningSum

RECALL = "pgcore.envs:pgcore/Recall-v0"
MODES = list(AutoresetMode)


def made(seed=0):
    policy = RunningSum(2, 2)
    policy.params = np.random.default_rng(seed).normal(0, 0.7, policy.num_params)
    return policy


def vector(mode, num_envs=3):
    return SyncVectorEnv([lambda: gym.make(RECALL)] * num_envs, autoreset_mode=mode)


def played_again(policy, batch):
    """log π of every step of a batch, one step at a time, as if it were acted again."""
    out = np.empty(batch.num_steps)
    for i in range(batch.num_segments):
        state = policy.initial_state(1)
        for t in range(batch.segment_starts[i], batch.segment_ends[i] + 1):
            state = state + batch.obs[t : t + 1]
            out[t] = np.log(policy.probabilities(state)[0, batch.actions[t]])
    return out


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("whole_episodes", [True, False])
def test_a_batch_has_the_probabilities_with_which_it_was_acted(mode, whole_episodes):
    policy = made()
    collector = Collector(vector(mode), policy, rng=np.random.default_rng(0), seed=3)
    for _ in range(3):
        batch = collector.collect(11, whole_episodes=whole_episodes)
        assert batch.num_segments > 3
        assert_close(batch.log_probs, played_again(policy, batch), 1e-13)


def recording(policy):
    """The memory before every action of a policy, as rows by environment."""
    seen, original = [], policy.act

    def act(obs, noise, state=None):
        seen.append((state.copy(), np.array(obs)))
        return original(obs, noise, state)

    policy.act = act
    return seen


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_memory_begins_anew_with_each_episode(mode):
    policy = made()
    seen = recording(policy)
    Collector(vector(mode), policy, rng=np.random.default_rng(0), seed=3).collect(20)
    num_starts = 0
    for state, obs in seen:
        starts = obs[:, 0] != 0  # a cue is shown at the start alone
        num_starts += int(starts.sum())
        assert (state[starts] == 0).all()
        # In between, the cue is what the first component sums to; a reset of a next-step environment is none.
        within = (obs[:, 1] > 0) & (np.abs(state[:, 0]) > 0)
        assert (np.abs(state[within, 0]) == 1).all()
    assert num_starts >= 3 * 4


def test_a_rollout_begins_without_memory():
    """What was seen before it is not in the batch, so that no score could take account of it."""
    policy = made()
    seen = recording(policy)
    collector = Collector(vector(AutoresetMode.SAME_STEP), policy, rng=np.random.default_rng(0), seed=3)
    for _ in range(2):
        seen.clear()
        collector.collect(2)
        assert (seen[0][0] == 0).all()
        assert (seen[1][0] != 0).any()


def test_the_score_is_the_derivative():
    policy, rng = made(), np.random.default_rng(0)
    obs, actions = rng.normal(size=(7, 2)), rng.integers(0, 2, 7)
    starts, theta, h = np.array([0, 2, 3]), policy.params, 1e-6
    scores = policy.scores(obs, actions, starts=starts)
    for j in range(policy.num_params):
        step = h * np.eye(policy.num_params)[j]
        ahead = policy.log_prob(obs, actions, params=theta + step, starts=starts)
        behind = policy.log_prob(obs, actions, params=theta - step, starts=starts)
        np.testing.assert_allclose(scores[:, j], (ahead - behind) / (2 * h), atol=1e-8)
    assert_close(policy.score_sq_norms(obs, actions, starts=starts), np.square(scores).sum(axis=1), 1e-13)
    ends = np.isin(np.arange(7), [1, 2])
    expected = np.add.reduceat(scores, starts)
    assert_close(policy.episode_scores(obs, actions, ends), expected, 1e-13)
    assert not np.allclose(policy.scores(obs, actions), scores)  # one segment is another distribution
    fisher = policy.fisher(obs, actions, kind="empirical", starts=starts)
    np.testing.assert_allclose(fisher.dense(), scores.T @ scores / 7, atol=1e-13)


def test_estimators_pass_segments():
    policy = made()
    collector = Collector(vector(AutoresetMode.SAME_STEP), policy, rng=np.random.default_rng(0))
    batch = collector.collect(9, whole_episodes=True)
    scores = policy.scores(batch.obs, batch.actions, starts=batch.segment_starts)
    likelihood = maximum_likelihood_gradient(policy, batch).gradient
    assert_close(likelihood, scores.sum(axis=0) / batch.num_segments, 1e-12)
    assert_close(
        off_policy_gradient(policy, batch, form="past_only").gradient,
        policy_gradient(policy, batch).gradient,
        1e-12,
    )
    for max_bytes in (1.0, 2.0**26):  # one episode at a time, and all at once
        found = policy_gradient(
            policy, batch, form="gpomdp", baseline=pgcore.baselines.OptimalScalar(), max_bytes=max_bytes
        ).gradient
        running = np.concatenate([part.cumsum(axis=0) for part in np.split(scores, batch.segment_starts[1:])])
        last = batch.segment_ends
        z, r = running[last], batch.rewards[last]  # the reward comes at the end
        square = np.square(z).sum(axis=1)
        b = [((square * r).sum() - square[i] * r[i]) / (square.sum() - square[i]) for i in range(len(r))]
        assert_close(found, (z * (r - b)[:, None]).mean(axis=0), 1e-10)


def returns(model):
    return pgcore.evaluate_policy(model, RECALL, 200, seed=7)[0]


def test_reinforce_learns_to_recall(tmp_path):
    """Without memory the expected return is ½, whatever the policy does."""
    settings = {"n_steps": 64, "num_envs": 8, "learning_rate": 0.05, "seed": 0}
    model = REINFORCE(RECALL, policy=RunningSum(2, 2), **settings).learn(15_000)
    assert returns(model) > 0.95
    without = REINFORCE(RECALL, policy=CategoricalPolicy(2, 2), **settings).learn(15_000)
    assert returns(without) < 0.7
    loaded = pgcore.load(model.save(tmp_path / "model"), env=RECALL)
    assert_same_bits(loaded.policy.params, model.policy.params)
    assert returns(loaded) == returns(model)


@pytest.mark.parametrize("kind", [NPG, TRPO])
def test_natural_gradients_learn_to_recall(kind):
    model = kind(RECALL, policy=RunningSum(2, 2), fisher="empirical", n_steps=64, num_envs=8, seed=0)
    assert returns(model.learn(8_000)) > 0.9


def test_predict_carries_the_memory():
    model = REINFORCE(RECALL, policy=made(), seed=0)
    obs = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)  # 4 steps of 3 environments
    state, sums = None, np.zeros((3, 2))
    for t, starts in enumerate(([1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0])):
        before = None if state is None else state.copy()
        given = state
        actions, state = model.predict(obs[t], state, np.array(starts, bool), deterministic=True)
        if given is not None:
            assert_same_bits(given, before)  # the caller's own is not written to
        sums[np.array(starts, bool)] = 0
        sums += obs[t]
        np.testing.assert_allclose(state, sums)
        assert actions.tolist() == model.policy.probabilities(sums).argmax(axis=1).tolist()
    _, state = model.predict(obs[0, 0], deterministic=True)
    assert state.shape == (1, 2)
    _, state = model.predict(obs[1, 0], state, False)
    np.testing.assert_allclose(state[0], obs[:2, 0].sum(axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match=r"^state: expected shape \(3, 2\), got \(1, 2\)"):
        model.predict(obs[0], state)


def test_others_get_no_segments():
    starts = np.array([0, 3])
    assert segments_of(CategoricalPolicy(2, 2), starts) == {}
    assert segments_of(made(), starts)["starts"] is starts
    assert CategoricalPolicy(2, 2).initial_state(3) is None


def test_what_takes_single_rows_refuses_it():
    for make in (
        lambda: PPO(RECALL, policy=RunningSum(2, 2)),
        lambda: TRPO(RECALL, policy=RunningSum(2, 2), fisher="empirical", sub_sampling_factor=2),
        lambda: NPG(RECALL, policy=RunningSum(2, 2), fisher="empirical", fisher_sub_sampling_factor=2),
        lambda: BehaviourCloning(
            RECALL,
            policy=RunningSum(2, 2),
            demonstrations=Batch(np.zeros((4, 2)), np.zeros(4, int), np.zeros(4), np.ones(4, bool)),
        ),
        lambda: ScoreAscent(made()),
        lambda: made().fisher(np.zeros((4, 2)), np.zeros(4, int), kind="empirical", num_samples=2),
    ):
        with pytest.raises(ValueError, match=r"expected (one without|None for a policy with) memory"):
            make()


@pytest.mark.parametrize("starts", [[1], [0, 2, 2], [0, 4], [], [[0]]])
def test_starts_are_checked(starts):
    with pytest.raises(ValueError, match=r"^starts: expected increasing row numbers from 0 to 3, got"):
        made().log_prob(np.zeros((4, 2)), np.zeros(4, int), starts=np.array(starts, np.int64))


def test_algorithms_pass_segments():
    """The gradient is Σ_t w_t ∇log π_t given each segment's own past, and the KL is that of such actions."""
    settings = {"n_steps": 16, "num_envs": 3, "seed": 0, "normalize_advantage": False}
    model = REINFORCE(
        RECALL, policy=made(), baseline="none", optimizer="sgd", learning_rate=1.0, gamma=1.0, **settings
    )
    before, batch = model.policy.copy(), model.collect()
    scores = before.scores(batch.obs, batch.actions, starts=batch.segment_starts)
    total = np.add.reduceat(batch.rewards, batch.segment_starts)  # the reward comes last: every step has it
    expected = np.repeat(total, batch.segment_lengths) @ scores / batch.num_segments
    model.update(batch)
    np.testing.assert_allclose(model.policy.params - before.params, expected, atol=1e-12)

    for kind in (NPG, TRPO):
        model = kind(RECALL, policy=made(), fisher="empirical", **settings)
        before, batch = model.policy.copy(), model.collect()
        scores = before.scores(batch.obs, batch.actions, starts=batch.segment_starts)
        estimate = Advantages.of(
            batch, model.critic, gamma=model.config.gamma, gae_lambda=model.config.gae_lambda
        )
        logs = model.update(batch)
        gradient = estimate.advantages @ scores / batch.num_steps
        assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-9)
        fisher = scores.T @ scores / batch.num_steps + model.config.cg_damping * np.eye(len(gradient))
        step = model.policy.params - before.params
        direction = np.linalg.solve(fisher, gradient)
        np.testing.assert_allclose(
            step / np.linalg.norm(step), direction / np.linalg.norm(direction), atol=1e-4
        )
        log_ratios = played_again(model.policy, batch) - played_again(before, batch)
        kl = np.mean(np.exp(log_ratios) - 1 - log_ratios)
        assert logs["kl_divergence_loss"] == pytest.approx(kl, rel=1e-6)
        assert kl > 1e-4
