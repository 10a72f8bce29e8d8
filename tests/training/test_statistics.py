from __future__ import annotations

import math

import numpy as np
import pytest

import pgcore
from pgcore.policies import GaussianPolicy
from pgcore.training import explained_variance, standardize
from pgcore.training.statistics import spread


def test_standardize(rng):
    advantages = rng.normal(3.0, 5.0, size=101).astype(np.float32)
    standard = standardize(advantages)
    assert standard.dtype == np.float32
    assert abs(standard.mean(dtype=np.float64)) < 1e-6
    assert standard.std(dtype=np.float64) == pytest.approx(1.0, abs=1e-5)
    assert np.corrcoef(standard, advantages)[0, 1] == pytest.approx(1.0)


@pytest.mark.covering(2)
@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e6, 1e30])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_advantages_become_zero(value, size, dtype):
    np.testing.assert_array_equal(standardize(np.full(size, value, dtype)), np.zeros(size, dtype))


def test_small_differences_are_not_lost():
    np.testing.assert_allclose(standardize(np.array([1e-3, -1e-3])), [1.0, -1.0], rtol=1e-4)


def test_spreads_next_to_nothing_are_not_blown_up():
    np.testing.assert_allclose(standardize(np.array([1e-12, -1e-12])), [1e-4, -1e-4], rtol=1e-3)


@pytest.mark.parametrize("level", [1e6, -0.1, 1e30, 3e-30])
@pytest.mark.parametrize("size", [2, 8, 1001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_advantages_that_rounding_sets_apart_become_zero(level, size, dtype):
    advantages = np.full(size, level, dtype)
    advantages[::2] = np.nextafter(advantages[::2], dtype(0))
    np.testing.assert_array_equal(standardize(advantages), np.zeros(size, dtype))


@pytest.mark.parametrize(("level", "scale"), [(1e8, 1.0), (-1e12, 3.0), (0.0, 1e200), (7.0, 1e-4)])
def test_what_sets_advantages_apart_is_kept(level, scale):
    signs = np.where(np.arange(300) % 3 == 0, 1.0, -1.0)
    want = (signs - signs.mean()) / signs.std()
    np.testing.assert_allclose(standardize(level + scale * signs), want, atol=1e-3)


def test_float32_advantages_a_few_units_apart_are_kept():
    np.testing.assert_allclose(
        standardize(np.array([1e6, 1e6 + 2, 1e6, 1e6 + 2], np.float32)), [-1, 1, -1, 1], rtol=1e-6
    )


def test_rounding_is_relative_to_what_advantages_are_a_difference_of(rng):
    noise = 1e-7 * rng.choice([-1.0, 1.0], size=64)  # what 1e9 − 1e9 leaves
    assert standardize(noise).any()
    assert not standardize(noise, magnitude=1e9).any()
    assert standardize(noise, magnitude=1.0).any()


def test_empty():
    assert standardize(np.zeros(0)).shape == (0,)


def test_explained_variance(rng):
    returns = rng.normal(size=50)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(returns + 3.0, returns) == pytest.approx(1.0)  # a shift leaves no variance
    assert explained_variance(np.zeros(50), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert math.isnan(explained_variance(returns, np.ones(50)))


@pytest.mark.parametrize("level", [0.1, -1e6, 1e30, 0.0, 3e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_returns_have_no_variance_to_explain(rng, level, dtype):
    returns = np.full(1000, level, dtype)
    almost = returns.copy()
    almost[::3] = np.nextafter(almost[::3], dtype(0))
    for exact in (returns, almost):
        for values in (np.zeros(1000), exact + dtype(1e-3), rng.standard_normal(1000)):
            assert math.isnan(explained_variance(values, exact))
    sums = np.array([sum([level] * 10), 10 * level, level * 7 + level * 3])
    assert math.isnan(explained_variance(np.zeros(3), sums))


@pytest.mark.parametrize(("level", "scale"), [(1e8, 1.0), (0.0, 1e200), (0.0, 1e-200), (-3.0, 1e-9)])
def test_explained_variance_at_any_level_and_scale(rng, level, scale):
    returns, error = rng.normal(size=(2, 200))
    want = 1 - np.var(error) / np.var(returns)
    got = explained_variance(level + scale * (returns + error), level + scale * returns)
    assert got == pytest.approx(want, abs=1e-5)
    assert explained_variance(level + scale * returns, level + scale * returns) == 1.0


def test_returns_that_are_not_finite_explain_nothing():
    for bad in (math.nan, math.inf):
        assert math.isnan(explained_variance(np.zeros(3), np.array([1.0, bad, 2.0])))
        assert math.isnan(explained_variance(np.array([1.0, bad, 2.0]), np.arange(3.0)))


def test_explained_variance_of_other_shapes():
    with pytest.raises(ValueError, match=r"^values: expected shape \(3,\), got \(1,\)$"):
        explained_variance(np.zeros(1), np.zeros(3))


def test_std_is_logged_where_there_is_one():
    policy = GaussianPolicy(3, 2, dtype="float64")
    policy.params = np.concatenate([policy.params[:-2], np.log([0.5, 2.5])])
    assert spread(policy) == {"std": pytest.approx(1.5)}
    for other in (GaussianPolicy(3, 2, covariance="full"), GaussianPolicy(3, 2, covariance=np.eye(2))):
        assert spread(other) == {}
    for algorithm in (pgcore.PPO, pgcore.TRPO, pgcore.REINFORCE):
        model = algorithm("Pendulum-v1", n_steps=200, seed=0).learn(200)
        assert model.logs["train/std"] == spread(model.policy)["std"]
