"""Densities, entropies, divergences and samples of every family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiDiscretePolicy,
    ObservationNormalizer,
    Policy,
)
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import (
    FAMILIES,
    ChoiceOracle,
    GaussianOracle,
    Problem,
    problem,
)

GAUSSIANS = [name for name, family in FAMILIES.items() if family.is_gaussian]
CHOICES = [name for name, family in FAMILIES.items() if not family.is_gaussian]

every_family = pytest.mark.parametrize("family", FAMILIES)
every_gaussian = pytest.mark.parametrize("family", GAUSSIANS)
every_choice = pytest.mark.parametrize("family", CHOICES)
every_size = pytest.mark.parametrize("num_rows", [0, 1, 7, 65, 300])


def other_params(p: Problem, seed: int = 5, size: float = 0.6) -> np.ndarray:
    step = size * np.random.default_rng(seed).normal(size=p.policy.num_params)
    return (p.theta + step).astype(p.policy.dtype)


def gaussian_oracle(p: Problem) -> GaussianOracle:
    assert isinstance(p.oracle, GaussianOracle)
    return p.oracle


def choice_oracle(p: Problem) -> ChoiceOracle:
    assert isinstance(p.oracle, ChoiceOracle)
    return p.oracle


# ---- closed forms ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_family
@every_size
def test_log_prob(family: str, num_rows: int, dtype: np.dtype) -> None:
    p = problem(family, num_rows, dtype=dtype)
    result = p.policy.log_prob(*p.data)
    assert result.dtype == dtype
    assert_close(result, np.reshape(p.oracle.log_prob(*p.wide), num_rows))


@pytest.mark.covering(2)
@pytest.mark.light
@every_family
@every_size
def test_entropy(family: str, num_rows: int, dtype: np.dtype) -> None:
    p = problem(family, num_rows, dtype=dtype)
    theta, obs, _ = p.wide
    result = p.policy.entropy(p.obs)
    assert result.dtype == dtype
    assert_close(result, p.oracle.entropy(theta, obs))


@pytest.mark.covering(2)
@pytest.mark.light
@every_family
@every_size
def test_kl_is_from_the_old_policy_to_the_new(family: str, num_rows: int, dtype: np.dtype) -> None:
    p = problem(family, num_rows, dtype=dtype)
    old = other_params(p)
    theta, obs, _ = p.wide
    result = p.policy.kl(p.obs, old)
    assert result.dtype == dtype
    forward, backward = (
        p.oracle.kl(one.astype(np.float64), other.astype(np.float64), obs)
        for one, other in ((old, theta), (theta, old))
    )
    assert_close(result, forward)
    # The directions differ, or this test would not know which one it saw (a fixed Σ has but one).
    if num_rows and family != "fixed":
        assert np.abs(forward - backward).max() > 0.01 * forward.max()
    p.policy.params = old
    assert_close(p.policy.kl(p.obs, theta), backward)


@every_family
def test_kl_is_zero_from_itself_and_not_negative(family: str, dtype: np.dtype) -> None:
    p = problem(family, 500, dtype=dtype)
    epsilon = np.finfo(dtype).eps
    np.testing.assert_allclose(p.policy.kl(p.obs, p.theta), 0.0, atol=20 * epsilon)
    for size in (1e-6, 1e-4, 1e-2, 1.0):
        assert p.policy.kl(p.obs, other_params(p, size=size)).min() >= -20 * epsilon


@every_family
def test_kl_of_a_small_step_is_half_the_square_of_the_scores(family: str) -> None:
    """KL(θ + ε v ‖ θ) → ε²/2 E[(s·v)²]: ties KL to sampling and to the score, with no closed form."""
    p = problem(family, 2, hidden=(4,))
    v = np.random.default_rng(3).normal(size=p.policy.num_params)
    epsilon = 1e-3
    obs = np.repeat(p.obs, 50_000, axis=0)
    actions, _ = p.policy.sample(obs, np.random.default_rng(4))
    squares = ((p.policy.scores(obs, actions) @ v) ** 2).reshape(2, -1)
    error = squares.std(axis=1) / math.sqrt(squares.shape[1])
    curvature = 2.0 * p.policy.kl(p.obs, p.theta + epsilon * v) / epsilon**2
    assert (np.abs(curvature - squares.mean(axis=1)) < 4.5 * error + 10 * epsilon * curvature).all()


# ---- the same by quadrature and enumeration, through the policy's own log_prob ----


def expectation_grid() -> tuple[np.ndarray, float]:
    axis = np.linspace(-14.0, 14.0, 281)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), (axis[1] - axis[0]) ** 2


@pytest.mark.parametrize("covariance", ["diagonal", "full", "state", [[1.5, 0.4], [0.4, 0.6]]], ids=str)
def test_gaussian_integrals(covariance: Any) -> None:
    points, area = expectation_grid()
    policy = GaussianPolicy(2, 2, hidden=(3,), covariance=covariance, init_log_std=0.1, dtype="float64")
    rng = np.random.default_rng(0)
    new, old = (0.3 * rng.normal(size=policy.num_params) for _ in range(2))
    obs = rng.normal(size=(1, 2))
    everywhere = np.repeat(obs, len(points), axis=0)
    log_probs = {}
    for name, theta in (("old", old), ("new", new)):
        policy.params = theta
        log_probs[name] = policy.log_prob(everywhere, points)
    p, q = np.exp(log_probs["old"]), np.exp(log_probs["new"])
    assert np.sum(q) * area == pytest.approx(1.0, abs=1e-9)
    assert policy.entropy(obs)[0] == pytest.approx(-np.sum(q * log_probs["new"]) * area, abs=1e-8)
    kl = np.sum(p * (log_probs["old"] - log_probs["new"])) * area
    assert policy.kl(obs, old)[0] == pytest.approx(kl, abs=1e-8)
    assert policy.mode(obs)[0] == pytest.approx(q @ points * area, abs=1e-8)


@every_choice
def test_choices_add_up(family: str) -> None:
    p = problem(family, 1)
    old = other_params(p)
    every, _ = choice_oracle(p).joint(p.theta, p.obs)
    everywhere = np.repeat(p.obs, len(every), axis=0)
    every = every.reshape(-1, *p.policy.action_shape)
    new_log = p.policy.log_prob(everywhere, every)
    assert np.exp(new_log).sum() == pytest.approx(1.0, abs=1e-14)
    assert p.policy.entropy(p.obs)[0] == pytest.approx(-np.exp(new_log) @ new_log, abs=1e-12)
    other = p.policy.copy()
    other.params = old
    old_log = other.log_prob(everywhere, every)
    kl = np.exp(old_log) @ (old_log - new_log)
    assert p.policy.kl(p.obs, old)[0] == pytest.approx(kl, abs=1e-12)


# ---- sampling ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_family
@pytest.mark.parametrize("num_rows", [0, 1, 300, 4099])
def test_samples_come_with_their_log_probs(family: str, num_rows: int, dtype: np.dtype) -> None:
    p = problem(family, num_rows, dtype=dtype)
    actions, log_probs = p.policy.sample(p.obs, np.random.default_rng(0))
    assert actions.shape == (num_rows, *p.policy.action_shape)
    assert actions.dtype == p.policy.action_dtype == (dtype if FAMILIES[family].is_gaussian else np.int64)
    assert log_probs.dtype == dtype
    # To the bit, so that importance ratios start at exactly 1
    assert_same_bits(log_probs, p.policy.log_prob(p.obs, actions))
    theta, obs, _ = p.wide
    expected = p.oracle.log_prob(theta, obs, actions if actions.dtype.kind == "i" else actions.astype(float))
    assert_close(log_probs, np.reshape(expected, num_rows))


@every_family
def test_sampling_is_acting_on_drawn_noise(family: str, dtype: np.dtype) -> None:
    p = problem(family, 33, dtype=dtype)
    actions, _ = p.policy.sample(p.obs, np.random.default_rng(9))
    noise = p.policy.draw_noise(np.random.default_rng(9), 1, 33)
    assert noise.shape[:2] == (1, 33)
    assert_same_bits(p.policy.act(p.obs, noise[0]), actions)
    out = np.full_like(actions, 7)
    assert p.policy.act(p.obs, noise[0], out=out) is out
    assert_same_bits(out, actions)
    again, _ = p.policy.sample(p.obs, np.random.default_rng(9))
    assert_same_bits(again, actions)
    different, _ = p.policy.sample(p.obs, np.random.default_rng(10))
    assert (different != actions).any()


@pytest.mark.covering(2)
@pytest.mark.parametrize("num_envs", [1, 3, 40])
@every_family
def test_an_actor_is_act_step_by_step(family: str, num_envs: int, dtype: np.dtype) -> None:
    p = problem(family, 4 * num_envs, dtype=dtype)
    policy = p.policy
    policy.normalizer = ObservationNormalizer(policy.obs_dim)
    policy.normalizer.update(p.obs)
    noise = policy.draw_noise(np.random.default_rng(9), 3, num_envs)
    shape = (3, num_envs, *policy.action_shape)
    actions, expected = np.full(shape, 7, policy.action_dtype), np.zeros(shape, policy.action_dtype)
    obs = np.zeros((4, num_envs, policy.obs_dim), dtype)
    actor = policy.actor(obs, noise, actions)
    obs[...] = p.obs.reshape(obs.shape)  # seen when it acts, not when it is made
    theta, policy.params = policy.params, 0 * policy.params  # too late for this actor
    actor(2)
    actor(0)
    policy.params = theta
    for t in (0, 2):
        policy.act(obs[t], noise[t], out=expected[t])
    assert_same_bits(actions[[0, 2]], expected[[0, 2]])
    assert (actions[1] == 7).all()


def test_an_actor_acts_in_its_rollout_only() -> None:
    policy = GaussianPolicy(2, 1)
    actor = policy.actor(*(np.zeros((4, 3, width), np.float32) for width in (2, 1, 1)))
    for t in (-1, 4):
        with pytest.raises(IndexError, match=f"^t: expected 0…3, got {t}$"):
            actor(t)


@every_gaussian
def test_sampled_mean_and_covariance(family: str, dtype: np.dtype) -> None:
    p = problem(family, 2, dtype=dtype)
    # Make Σ far from both its factor and its square: σ of about 0.3, 1.4 and 2.7.
    extra = {"diagonal": [-1.2, 0.3, 1.0], "full": [-1.2, 1.5, 0.3, -0.7, 2.0, 1.0]}.get(family, [])
    if extra:
        theta = p.theta.copy()
        theta[-len(extra) :] = extra
        p.theta = p.policy.params = theta
    theta, obs, _ = p.wide
    means, covariances = gaussian_oracle(p).moments(theta, obs)
    num_samples = 100_000
    alternating = np.tile(p.obs, (num_samples, 1))
    samples, _ = p.policy.sample(alternating, np.random.default_rng(1))
    for row in range(2):
        mean = means[row]
        sigma = covariances[row] if covariances.ndim == 3 else covariances
        mine = samples[row::2].astype(np.float64)
        variances = np.diag(sigma)
        error = np.sqrt((np.outer(variances, variances) + sigma**2) / num_samples)
        assert (np.abs(mine.mean(axis=0) - mean) < 4.5 * np.sqrt(variances / num_samples)).all()
        assert (np.abs(np.cov(mine.T) - sigma) < 4.5 * error).all()
        # Fourth moments: normal, not something else with this covariance
        white = np.linalg.solve(np.linalg.cholesky(sigma), (mine - mean).T)
        assert np.abs((white**4).mean(axis=1) - 3.0).max() < 4.5 * math.sqrt(96 / num_samples)


def test_noise_is_multiplied_by_the_factor() -> None:
    p = problem("full", 3)
    zero = p.policy.act(p.obs, np.zeros((3, 3)))
    assert_same_bits(zero, p.policy.mode(p.obs))
    factor = (p.policy.act(p.obs, np.eye(3)) - zero).T
    _, sigma = gaussian_oracle(p).moments(p.theta, p.obs)
    assert_close(factor, np.linalg.cholesky(sigma), 1e-12)


@every_choice
def test_sampling_frequencies(family: str, dtype: np.dtype) -> None:
    p = problem(family, 2, dtype=dtype)
    theta, obs, _ = p.wide
    every, probabilities = choice_oracle(p).joint(theta, obs)
    num_samples = 60_000
    samples, _ = p.policy.sample(np.tile(p.obs, (num_samples, 1)), np.random.default_rng(2))
    samples = samples.reshape(num_samples, 2, -1)
    for row, expected in enumerate(num_samples * probabilities):
        seen = (samples[:, row, None, :] == every).all(axis=-1).sum(axis=0)
        assert seen.sum() == num_samples
        degrees = len(every) - 1
        chi_square = np.sum((seen - expected) ** 2 / expected)
        assert chi_square < degrees + 5.0 * math.sqrt(2.0 * degrees)


def linear(weights: Any, *, dtype: Any = np.float64) -> Policy:
    """A categorical policy whose logits are weights (K, obs_dim) times the observation."""
    weights = np.asarray(weights, dtype)
    policy = CategoricalPolicy(weights.shape[1], len(weights), hidden=(), dtype=dtype)
    policy.params = np.concatenate([weights.ravel(), np.zeros(len(weights), dtype)])
    return policy


def test_choices_are_the_inverse_of_the_cumulative_probability() -> None:
    policy = linear(np.log([[0.2], [0.5], [0.3]]))
    noise = np.array([0.0, 0.19999, 0.20001, 0.69999, 0.70001, np.nextafter(1.0, 0.0)])
    actions = policy.act(np.ones((6, 1)), noise[:, None])
    np.testing.assert_array_equal(actions, [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("noise", [0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))])
def test_impossible_choices_are_never_taken(noise: float) -> None:
    # exp(−200) is no float32: choices 0 and 3 have a probability of exactly zero
    policy = linear([[-200.0], [0.0], [0.1], [-200.0]], dtype=np.float32)
    actions = policy.act(np.ones((1, 1)), np.full((1, 1), noise, np.float32))
    assert actions[0] in (1, 2)


# ---- mode ----


@pytest.mark.light
@every_family
@every_size
def test_mode(family: str, num_rows: int) -> None:
    p = problem(family, num_rows)
    theta, obs, _ = p.wide
    mode = p.policy.mode(p.obs)
    assert mode.shape == (num_rows, *p.policy.action_shape)
    assert mode.dtype == p.policy.action_dtype
    assert_close(mode.astype(float), np.asarray(p.oracle.mode(theta, obs), float))
    _, log_probs = p.policy.sample(p.obs, np.random.default_rng(0))
    assert (p.policy.log_prob(p.obs, mode) >= log_probs).all()


def test_the_first_of_equal_choices_is_the_mode() -> None:
    assert linear(np.zeros((3, 1))).mode([[1.0]]).tolist() == [0]


# ---- extremes ----


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_extreme_logits(size: float, dtype: np.dtype) -> None:
    policy = linear([[1.0], [-1.0], [0.5]], dtype=dtype)
    obs = np.full((3, 1), size, dtype)
    actions = [0, 1, 2]
    log_probs = policy.log_prob(obs, actions)
    assert_close(log_probs, np.array([0.0, -2.0 * size, -0.5 * size], dtype))
    np.testing.assert_allclose(policy.entropy(obs), 0.0, atol=1e-18)
    assert (policy.mode(obs) == 0).all()
    assert (policy.sample(obs, np.random.default_rng(0))[0] == 0).all()
    scores = policy.scores(obs, actions)
    d_logits = np.array([[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    # exp(-0.5 size) is above zero for the smallest one
    assert_close(scores[:, 3:], d_logits.astype(dtype), 1e-20 if size > 100 else 1e-15)
    assert np.isfinite(scores).all()


def test_choices_that_underflow_add_nothing() -> None:
    """0 · log 0 is 0 in entropies and divergences, and a lost choice costs infinitely much."""
    one = np.array([[1.0], [0.0], [-1.0]])
    certain, even = linear(one, dtype=np.float32), linear(0 * one, dtype=np.float32)
    obs = np.full((2, 1), 3e38, np.float32)
    np.testing.assert_array_equal(certain.entropy(obs), 0.0)
    assert_close(even.kl(obs, certain.params), np.full(2, math.log(3.0), np.float32))
    backward = certain.kl(obs, even.params)
    assert (backward > 1e37).all()
    np.testing.assert_array_equal(certain.kl(obs, certain.params), 0.0)
    assert not np.isnan(certain.scores(obs, [0, 2])).any()


def test_one_choice_is_certain() -> None:
    policy = MultiDiscretePolicy(2, [1], seed=3)
    obs = np.ones((4, 2))
    np.testing.assert_array_equal(policy.log_prob(obs, np.zeros((4, 1), int)), 0.0)
    np.testing.assert_array_equal(policy.entropy(obs), 0.0)
    np.testing.assert_array_equal(policy.scores(obs, np.zeros((4, 1), int)), 0.0)


@pytest.mark.parametrize("log_std", [-30.0, 30.0])
def test_extreme_deviations(log_std: float, dtype: np.dtype) -> None:
    policy = GaussianPolicy(1, 2, hidden=(), init_log_std=log_std, dtype=dtype)
    obs = np.zeros((3, 1))
    mean = policy.mode(obs)
    constant = -math.log(2.0 * math.pi) - 2.0 * log_std
    assert_close(policy.log_prob(obs, mean), np.full(3, constant, dtype))
    assert_close(policy.entropy(obs), np.full(3, 1.0 - constant, dtype))
    actions, log_probs = policy.sample(obs, np.random.default_rng(0))
    assert np.isfinite(actions).all()
    assert np.isfinite(log_probs).all()
    assert np.isfinite(policy.scores(obs, actions)).all()
