"""The score ∇ log π of every family, against autograd, finite differences and its own identities."""

from __future__ import annotations

import numpy as np
import pytest

from support import oracles
from support.oracles import assert_close
from support.oracles_policies import FAMILIES, Problem, problem

ACTIVATIONS = ("tanh", "relu", "gelu", "identity")
HIDDEN = [(), (6,), (5, 4), (3, 6, 4), (4, 3, 5, 4)]

every_family = pytest.mark.parametrize("family", FAMILIES)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_depth = pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: f"depth{len(hidden)}")


def check_all_forms(p: Problem, scores: np.ndarray) -> None:
    """Every method that speaks of the score, against the true rows (B, P)."""
    assert p.policy.num_params == p.oracle.num_params
    results = {
        "scores": (p.policy.scores(*p.data), scores),
        "score_product": (p.policy.score_product(*p.data, p.weights), p.weights @ scores),
        "score_sq_norms": (p.policy.score_sq_norms(*p.data), np.sum(scores**2, axis=1)),
        "episode_scores": (
            p.policy.episode_scores(*p.data, np.ones(len(scores), bool)),
            scores,
        ),
    }
    for result, expected in results.values():
        assert result.dtype == p.policy.dtype
        assert_close(result, expected)


# ---- autograd ----


@pytest.mark.covering(2)
@every_family
@every_activation
@every_depth
def test_scores_match_autograd(family: str, activation: str, hidden: tuple[int, ...]) -> None:
    p = problem(family, 5, hidden=hidden, activation=activation)
    check_all_forms(p, p.oracle.scores(*p.wide))


@pytest.mark.light
@every_family
@every_activation
def test_float32_scores_match_autograd(family: str, activation: str) -> None:
    p = problem(family, 9, activation=activation, dtype=np.float32)
    check_all_forms(p, p.oracle.scores(*p.wide))


@pytest.mark.light
@every_family
@pytest.mark.parametrize("num_rows", [0, 1, 17, 33])
def test_small_batches_match_autograd(family: str, num_rows: int) -> None:
    p = problem(family, num_rows)
    check_all_forms(p, p.oracle.scores(*p.wide))


@pytest.mark.covering(2)
@every_family
@pytest.mark.parametrize("num_rows", [257, 300, 4099, 9000])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_batches_longer_than_a_block_match_autograd(family: str, num_rows: int, activation: str) -> None:
    p = problem(family, num_rows, activation=activation)
    theta, obs, actions = p.wide
    assert_close(p.policy.log_prob(*p.data), p.oracle.log_prob(theta, obs, actions))
    assert_close(
        p.policy.score_product(*p.data, p.weights), p.oracle.score_product(theta, obs, actions, p.weights)
    )
    # One reverse pass a row is slow: the rows around the blocks' borders, and the rest through their sums.
    rows = np.unique([0, 1, 255, 256, num_rows // 2, num_rows - 2, num_rows - 1])
    scores = p.policy.scores(*p.data)
    assert_close(scores[rows], p.oracle.scores(theta, obs[rows], actions[rows]))
    assert_close(p.policy.score_sq_norms(*p.data), np.sum(scores**2, axis=1))
    assert_close(p.policy.score_product(*p.data, p.weights), scores.T @ p.weights)


@pytest.mark.light
@every_family
def test_wide_layers_match_autograd(family: str) -> None:
    # Wider than one vector of any instruction set, and not a multiple of it
    p = problem(family, 6, obs_dim=19, hidden=(33, 47))
    check_all_forms(p, p.oracle.scores(*p.wide))


# ---- finite differences ----


@every_family
@every_activation
def test_scores_match_finite_differences(family: str, activation: str) -> None:
    p = problem(family, 3, hidden=(4, 3), activation=activation)
    other = p.policy.copy()

    def log_prob(theta: np.ndarray) -> np.ndarray:
        other.params = theta
        return other.log_prob(*p.data)

    assert_close(p.policy.scores(*p.data), oracles.finite_difference(log_prob, p.theta, step=1e-3), 1e-7)


# ---- sums ----


@pytest.mark.light
@every_family
@pytest.mark.parametrize("last_flag", [True, False])
def test_episode_scores_are_segment_sums(family: str, last_flag: bool, dtype: np.dtype) -> None:
    lengths = [1, 1, 7, 256, 300, 2, 600, 33]
    p = problem(family, sum(lengths), dtype=dtype)
    ends = np.zeros(sum(lengths), bool)
    ends[np.cumsum(lengths) - 1] = True
    ends[-1] = last_flag  # the last row is an end either way
    scores = p.policy.scores(*p.data).astype(np.float64)
    expected = [part.sum(axis=0) for part in np.split(scores, np.cumsum(lengths)[:-1])]
    assert_close(p.policy.episode_scores(*p.data, ends), np.array(expected, p.policy.dtype))
    assert_close(p.policy.episode_scores(*p.data, ends.astype(int)), np.array(expected, p.policy.dtype))


@pytest.mark.light
@every_family
def test_weights_multiply_the_scores_of_their_steps(family: str, dtype: np.dtype) -> None:
    p = problem(family, 600, dtype=dtype)
    ends = np.isin(np.arange(600), [3, 4, 400, 599])
    weights = np.random.default_rng(0).normal(size=600).astype(dtype)
    rows = p.policy.scores(*p.data).astype(np.float64) * weights[:, None]
    expected = np.add.reduceat(rows, [0, 4, 5, 401])
    assert_close(p.policy.episode_scores(*p.data, ends, weights), np.asarray(expected, p.policy.dtype))
    with pytest.raises(ValueError, match=r"weights: expected shape \(600,\), got \(3,\)"):
        p.policy.episode_scores(*p.data, ends, [1, 2, 3])


def test_an_episode_alone_has_the_same_score() -> None:
    p = problem("full", 40)
    ends = np.isin(np.arange(40), [9, 24])
    together = p.policy.episode_scores(*p.data, ends)
    for score, rows in zip(together, [slice(0, 10), slice(10, 25), slice(25, 40)], strict=True):
        alone = p.policy.episode_scores(p.obs[rows], p.actions[rows], ends[rows])
        assert_close(alone[0], score, 1e-14)


def test_no_rows_have_no_episodes_and_a_zero_product() -> None:
    p = problem("diagonal", 0)
    assert p.policy.episode_scores(*p.data, []).shape == (0, p.policy.num_params)
    assert p.policy.scores(*p.data).shape == (0, p.policy.num_params)
    np.testing.assert_array_equal(p.policy.score_product(*p.data, []), 0.0)


# ---- expectation ----


def standardised_means(samples: np.ndarray) -> np.ndarray:
    """Means over rows in units of their standard errors; components that never move must be zero exactly."""
    deviation = samples.std(axis=0)
    np.testing.assert_array_equal(samples[:, deviation == 0], 0.0)
    moving = deviation > 0
    return samples.mean(axis=0)[moving] / (deviation[moving] / np.sqrt(len(samples)))


@every_family
def test_the_expected_score_is_zero(family: str) -> None:
    p = problem(family, 3, hidden=(4,))
    obs = np.repeat(p.obs, 20_000, axis=0)
    actions, _ = p.policy.sample(obs, np.random.default_rng(7))
    z = standardised_means(p.policy.scores(obs, actions))
    assert np.abs(z).max() < 4.5
    # The interval is narrow enough to tell: one action in ten that is not the policy's shows.
    wrong = actions.copy()
    wrong[::10] = p.policy.mode(obs[::10]) + (1 if FAMILIES[family].is_gaussian else 0)
    assert np.abs(standardised_means(p.policy.scores(obs, wrong))).max() > 4.5
