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


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e6, 1e30])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_advantages_become_zero(value, size, dtype):
    np.testing.assert_array_equal(standardize(np.full(size, value, dtype)), np.zeros(size, dtype))


def test_small_differences_are_not_lost():
    np.testing.assert_allclose(standardize(np.array([1e-3, -1e-3])), [1.0, -1.0], rtol=1e-4)


def test_spreads_next_to_nothing_are_not_blown_up():
    np.testing.assert_allclose(standardize(np.array([1e-12, -1e-12])), [1e-4, -1e-4], rtol=1e-3)


def test_empty():
    assert standardize(np.zeros(0)).shape == (0,)


def test_explained_variance(rng):
    returns = rng.normal(size=50)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(returns + 3.0, returns) == pytest.approx(1.0)  # a shift leaves no variance
    assert explained_variance(np.zeros(50), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert math.isnan(explained_variance(returns, np.ones(50)))


def test_std_is_logged_where_there_is_one():
    policy = GaussianPolicy(3, 2, dtype="float64")
    policy.params = np.concatenate([policy.params[:-2], np.log([0.5, 2.5])])
    assert spread(policy) == {"std": pytest.approx(1.5)}
    for other in (GaussianPolicy(3, 2, covariance="full"), GaussianPolicy(3, 2, covariance=np.eye(2))):
        assert spread(other) == {}
    for algorithm in (pgcore.PPO, pgcore.TRPO, pgcore.REINFORCE):
        model = algorithm("Pendulum-v1", n_steps=200, seed=0).learn(200)
        assert model.logs["train/std"] == spread(model.policy)["std"]
