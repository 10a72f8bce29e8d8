"""A policy family in Python works with everything, but what needs a closed form that it does not have."""

from __future__ import annotations

import copy
import math
import pickle

import gymnasium as gym
import numpy as np
import pytest
import scipy.integrate
from gymnasium import spaces

import pgcore
from pgcore import NPG, PPO, REINFORCE, TRPO, Batch, BehaviourCloning
from pgcore.estimators import maximum_likelihood_gradient, off_policy_gradient, policy_gradient
from pgcore.optim import ScoreAscent, SurrogateAscent
from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    ObservationNormalizer,
    divergence,
    entropy_of,
    from_config,
)
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES
from support.own_families import SquashedGaussian, Wrapped

EMPIRICAL = {"fisher": "empirical"}


class Target(gym.Env):
    """One step; the reward is −(a − o/2)². Bounded actions reach it."""

    observation_space = spaces.Box(-1, 1, (1,), np.float64)
    action_space = spaces.Box(-1, 1, (1,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = self.np_random.uniform(-1, 1, 1)
        return self.obs, {}

    def step(self, action):
        return self.obs, -float((action[0] - self.obs[0] / 2) ** 2), True, False, {}


def made(seed=0, act_dim=2, **arguments):
    policy = SquashedGaussian(3, act_dim, seed=seed, **arguments)
    policy.params = np.random.default_rng(seed).normal(0, 0.3, policy.num_params)
    return policy


def data(policy, rows=7, seed=1):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(rows, policy.obs_dim))
    return obs, policy.sample(obs, rng)[0]


# ---- the density and its score ----


def test_the_density_integrates_to_one():
    policy, obs = made(act_dim=1), np.array([[0.3, -1.0, 0.5]])
    total, _ = scipy.integrate.quad(lambda a: math.exp(policy.log_prob(obs, [[a]])[0]), -1, 1)
    assert total == pytest.approx(1, abs=1e-8)


def test_samples_follow_the_density():
    policy, rng = made(act_dim=1), np.random.default_rng(0)
    obs = np.tile([[0.3, -1.0, 0.5]], (20_000, 1))
    actions, log_probs = policy.sample(obs, rng)
    assert_same_bits(log_probs, policy.log_prob(obs, actions))
    mean, _ = scipy.integrate.quad(lambda a: a * math.exp(policy.log_prob(obs[:1], [[a]])[0]), -1, 1)
    assert abs(actions.mean() - mean) < 4 * actions.std() / math.sqrt(len(actions))


def test_the_score_is_the_derivative():
    policy = made()
    obs, actions = data(policy)
    theta, h = policy.params, 1e-6
    columns = []
    for j in range(policy.num_params):
        step = h * np.eye(policy.num_params)[j]
        ahead = policy.log_prob(obs, actions, params=theta + step)
        columns.append((ahead - policy.log_prob(obs, actions, params=theta - step)) / (2 * h))
    assert_same_bits(policy.params, theta)
    np.testing.assert_allclose(policy.scores(obs, actions), np.transpose(columns), atol=1e-7)


# ---- defaults ----


@pytest.mark.parametrize("family", ["diagonal", "categorical"])
def test_defaults_are_those_of_the_compiled_families(family):
    inner = FAMILIES[family].make(3, hidden=(4,), dtype="float64", seed=1)
    wrapped, rng = Wrapped(inner.copy()), np.random.default_rng(0)
    inner.normalizer = wrapped.normalizer = ObservationNormalizer(3)
    inner.normalizer.update(rng.normal(1, 2, (20, 3)))
    obs = rng.normal(size=(9, 3))
    actions, _ = inner.sample(obs, np.random.default_rng(3))
    got = wrapped.sample(obs, np.random.default_rng(3))
    assert_same_bits(got[0], actions)
    assert_same_bits(got[1], inner.log_prob(obs, actions))
    scores = inner.scores(obs, actions)
    assert_close(wrapped.scores(obs, actions), scores, 1e-13)
    assert_close(wrapped.score_sq_norms(obs, actions), np.square(scores).sum(axis=1), 1e-13)
    ends, weights = np.arange(9) % 4 == 3, rng.normal(size=9)
    expected = inner.episode_scores(obs, actions, ends, weights)
    assert_close(wrapped.episode_scores(obs, actions, ends, weights), expected, 1e-13)
    expected = inner.episode_scores(obs, actions, ends)
    assert_close(wrapped.episode_scores(obs, actions, ends), expected, 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("max_cache_bytes", [0.0, 2.0**28])
def test_the_empirical_fisher_matrix(dtype, max_cache_bytes):
    policy = made(dtype=dtype)
    obs, actions = data(policy, 40)
    scores = policy.scores(obs, actions).astype(np.float64)
    expected = scores.T @ scores / 40
    fisher = policy.fisher(obs, actions, kind="empirical", damping=0.1, max_cache_bytes=max_cache_bytes)
    assert fisher.cached == (max_cache_bytes > 0)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    damped = expected + 0.1 * np.eye(len(expected))
    np.testing.assert_allclose(fisher.dense(), damped, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(fisher.diagonal(), damped.diagonal(), rtol=rtol)
    g = np.random.default_rng(0).normal(size=len(damped))
    exact = np.linalg.solve(damped, g)
    policy.params = np.zeros(policy.num_params)  # the operator keeps those of its time
    for settings in (
        {"rtol": rtol},
        {"rtol": rtol, "preconditioner": "diagonal"},
        {"method": "dense"},
        {"method": "gram"},
    ):
        np.testing.assert_allclose(fisher.solve(g, **settings).x, exact, rtol=1e-3, atol=300 * rtol)
    seen = []
    rough = fisher.solve(g, rtol=0.0, atol=0.1 * float(np.linalg.norm(g)), callback=seen.append)
    assert 0.01 < rough.residual_norm <= 0.1
    assert len(seen) == rough.iterations
    np.testing.assert_array_equal(seen[-1], rough.x)
    again = pickle.loads(pickle.dumps(fisher))
    np.testing.assert_allclose(again @ g, fisher @ g, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip_range": 0.02, "normalize_advantage": True, "ent_coef": 0.1, "max_grad_norm": 0.1},
        {"kl_coef": 2.0, "clip_range": 0.05},
        {"max_kl": 1e-4},
    ],
)
def test_an_ascent_by_scores_is_the_compiled_one(settings):
    inner = GaussianPolicy(3, 2, hidden=(4,), covariance="state", dtype="float64", seed=1)
    wrapped, rng = Wrapped(inner.copy(), {"entropy"}), np.random.default_rng(0)
    obs = rng.normal(size=(50, 3))
    actions, old = inner.sample(obs, rng)
    advantages = rng.normal(size=50)
    ascents = SurrogateAscent(inner), ScoreAscent(wrapped)
    for _ in range(3):
        order = rng.permutation(50)
        reports = [
            one.epoch(obs, actions, advantages, old, order, learning_rate=0.01, batch_size=16, **settings)
            for one in ascents
        ]
        assert vars(reports[1]) == pytest.approx(vars(reports[0]), rel=1e-9, nan_ok=True)
        assert reports[0].stopped == ("max_kl" in settings)
    np.testing.assert_allclose(wrapped.params, inner.params, rtol=1e-9, atol=1e-12)
    fresh = ScoreAscent(wrapped)
    fresh.load_state(ascents[1].state())
    assert fresh.state()["step"] == ascents[1].state()["step"] > 0


def test_estimates_replace_closed_forms():
    """Means over many samples approach what the compiled policy knows in closed form."""
    inner = GaussianPolicy(2, 1, hidden=(), dtype="float64")
    wrapped, rng = Wrapped(inner.copy()), np.random.default_rng(0)
    obs = np.tile([[0.5, -1.0]], (40_000, 1))
    actions, _ = inner.sample(obs, rng)
    new = inner.params + 0.1
    for estimated, known in (
        (entropy_of(wrapped, obs, actions, {}), inner.entropy(obs[:1])),
        (
            divergence(wrapped, obs, actions, inner.params, {}, params=new),
            inner.kl(obs[:1], inner.params, params=new),
        ),
    ):
        assert abs(estimated.mean() - known[0]) < 4 * estimated.std() / 200
        assert known[0] > 0


# ---- algorithms and estimators ----


@pytest.mark.parametrize(
    ("kind", "settings", "timesteps"),
    [
        (REINFORCE, {"learning_rate": 0.03, "baseline": "linear", "n_steps": 64}, 8_000),
        (PPO, {"learning_rate": 0.01, "n_steps": 64}, 3_000),
        (TRPO, {**EMPIRICAL, "n_steps": 64}, 3_000),
        (NPG, {**EMPIRICAL, "n_steps": 64}, 3_000),
    ],
)
def test_algorithms_train_it(tmp_path, kind, settings, timesteps):
    env = gym.vector.SyncVectorEnv([Target] * 4)
    policy = SquashedGaussian(1, 1, seed=1)
    model = kind(env, policy=policy, normalize_observations=True, **settings)
    before = pgcore.evaluate_policy(model, env, 200, seed=5)[0]
    model.learn(timesteps)
    after = pgcore.evaluate_policy(model, env, 200, seed=5)[0]
    assert before < -0.05
    assert after > before / 3
    assert math.isfinite(model.logs["train/entropy"])
    path = model.save(tmp_path / "model")
    loaded = pgcore.load(path, env=gym.vector.SyncVectorEnv([Target] * 4))
    assert type(loaded.policy) is SquashedGaussian
    assert_same_bits(loaded.policy.params, policy.params)
    obs = np.linspace(-1, 1, 9)[:, None]
    assert_same_bits(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    model.learn(512, reset_num_timesteps=False)
    loaded.learn(512, reset_num_timesteps=False)
    assert loaded.policy.params.shape == policy.params.shape


def test_it_is_copied_and_described():
    policy = made()
    policy.normalizer = ObservationNormalizer(3)
    for other in (policy.copy(), copy.copy(policy), pickle.loads(pickle.dumps(policy))):
        assert_same_bits(other.params, policy.params)
        assert other.normalizer is not policy.normalizer
        with pytest.raises(ValueError, match="read-only"):
            other.theta[0] = 1.0
    assert type(from_config(policy.config())) is SquashedGaussian
    assert repr(policy) == "SquashedGaussian(obs_dim=3, act_dim=2, hidden=[8], dtype='float64')"


def test_estimators_take_it():
    policy = made()
    obs, actions = data(policy, 12)
    rng = np.random.default_rng(2)
    ends = np.arange(12) % 4 == 3
    batch = Batch(obs, actions, rng.normal(size=12), ends, log_probs=policy.log_prob(obs, actions))
    scores = policy.scores(obs, actions)
    assert_close(maximum_likelihood_gradient(policy, batch).gradient, scores.sum(axis=0) / 3, 1e-12)
    on = policy_gradient(policy, batch).gradient
    gpomdp = policy_gradient(policy, batch, form="gpomdp", baseline=pgcore.baselines.OptimalScalar())
    assert gpomdp.gradient.shape == on.shape
    assert_close(off_policy_gradient(policy, batch, form="action_only").gradient, on, 1e-12)


# ---- what needs a closed form ----


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (NPG, {}, "fisher: expected 'empirical' for SquashedGaussian"),
        (TRPO, {}, "fisher: expected 'empirical' for SquashedGaussian"),
        (PPO, {"ent_coef": 0.01}, "ent_coef: expected 0 for SquashedGaussian"),
        (TRPO, {**EMPIRICAL, "ent_coef": 0.01}, "ent_coef: expected 0 for SquashedGaussian"),
    ],
)
def test_algorithms_refuse_what_needs_a_closed_form(kind, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        kind(Target(), policy=SquashedGaussian(1, 1), **settings)


def test_cloning_refuses_an_entropy_bonus():
    batch = Batch(np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4), np.ones(4, bool))
    settings = {"policy": SquashedGaussian(1, 1), "demonstrations": batch, "n_steps": 4}
    model = BehaviourCloning(Target(), **settings).learn(8)
    assert math.isfinite(model.logs["train/log_likelihood"])
    with pytest.raises(ValueError, match=r"^ent_coef: expected 0 for SquashedGaussian"):
        BehaviourCloning(Target(), ent_coef=0.1, **settings)


def test_the_policy_refuses_and_names_the_alternative():
    policy = made()
    obs, actions = data(policy)
    for call, message in (
        (lambda: policy.entropy(obs), "entropy: .* the mean of -log_prob"),
        (lambda: policy.entropy_gradient(obs), "entropy_gradient: .* ent_coef=0"),
        (lambda: policy.kl(obs, policy.params), "kl: .* pgcore.policies.divergence"),
        (lambda: SurrogateAscent(policy), "policy: .* ScoreAscent takes any policy"),
    ):
        with pytest.raises(TypeError, match="^" + message):
            call()
    with pytest.raises(ValueError, match=r"^kind: expected 'empirical' for SquashedGaussian"):
        policy.fisher(obs)
    fisher = policy.fisher(obs, actions, kind="empirical", damping=0.1)
    with pytest.raises(ValueError, match=r"^preconditioner: expected 'diagonal' or None"):
        fisher.solve(np.ones(policy.num_params), preconditioner="kronecker")


def test_a_box_that_a_bounded_policy_does_not_reach_warns():
    class Wide(Target):
        action_space = spaces.Box(-100, 100, (1,), np.float64)

    with pytest.warns(UserWarning, match="from -1 to 1, got -100 to 100 in 1 of 1"):
        REINFORCE(Wide(), policy=SquashedGaussian(1, 1))


def test_constructor_arguments_are_checked():
    class Plain(SquashedGaussian):
        def __init__(self, **arguments):
            super(SquashedGaussian, self).__init__(2, (1,), **arguments)

    for arguments, message in (
        ({"params": [[1.0]]}, r"params: expected shape \(P,\), got \(1, 1\)"),
        (
            {"params": [1.0], "noise_kind": "gumbel"},
            "noise_kind: expected 'normal' or 'uniform', got 'gumbel'",
        ),
        ({"params": [1.0], "support": (1, -1)}, "support: expected a lower and a higher bound"),
    ):
        with pytest.raises(ValueError, match="^" + message):
            Plain(**arguments)
    uniform = Plain(params=[1.0], noise_kind="uniform", noise_width=3)
    noise = uniform.draw_noise(np.random.default_rng(0), 5, 4)
    assert noise.shape == (5, 4, 3)
    assert 0 <= noise.min() < noise.max() < 1


# ---- other parameters, without moving them into the policy ----


@pytest.mark.parametrize("family", FAMILIES)
def test_other_parameters_are_looked_at_from_outside(family):
    """The same bits as with the parameters assigned, and the policy keeps its own."""
    policy = FAMILIES[family].make(3, hidden=(5,), seed=1)
    rng = np.random.default_rng(0)
    own = policy.params
    other = own + rng.normal(0, 0.1, len(own)).astype(own.dtype)
    obs = rng.normal(size=(8, 3))
    actions, _ = policy.sample(obs, rng)
    moved = policy.copy()
    moved.params = other
    assert_same_bits(policy.log_prob(obs, actions, params=other), moved.log_prob(obs, actions))
    assert_same_bits(policy.entropy(obs, params=other), moved.entropy(obs))
    assert_same_bits(policy.kl(obs, own, params=other), moved.kl(obs, own))
    assert not np.array_equal(policy.log_prob(obs, actions), moved.log_prob(obs, actions))
    assert policy.kl(obs, other, params=other).max() < 1e-6 < policy.kl(obs, own, params=other).max()
    assert_same_bits(policy.params, own)
    for call in (
        lambda params: policy.log_prob(obs, actions, params=params),
        lambda params: policy.entropy(obs, params=params),
        lambda params: policy.kl(obs, own, params=params),
    ):
        with pytest.raises(ValueError, match=r"^params: expected shape \(\d+,\), got \(\d+,\)"):
            call(other[:-1])


@pytest.mark.parametrize("kind", [TRPO, NPG])
def test_a_line_search_leaves_the_policy_alone(monkeypatch, kind):
    """Other threads may be acting with it: it has the old parameters, then the new ones, and no others."""
    model = kind("CartPole-v1", n_steps=64, num_envs=2, seed=0)
    seen = []
    original = CategoricalPolicy.kl

    def kl(self, obs, params_old, **keywords):
        seen.append(self.params)
        return original(self, obs, params_old, **keywords)

    monkeypatch.setattr(CategoricalPolicy, "kl", kl)
    before = model.policy.params
    model.learn(128)
    assert seen
    for params in seen:
        assert_same_bits(params, before)
    assert not np.array_equal(model.policy.params, before)
