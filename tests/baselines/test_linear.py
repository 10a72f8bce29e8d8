"""`LinearFeatures` against `numpy.linalg.lstsq` on features written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pgcore.baselines import LinearFeatures
from pgcore.data.batch import Batch
from pgcore.policies import ObservationNormalizer
from support.batches import batch_of, episodes_of
from support.oracles import assert_close, assert_same_bits

LENGTHS = [40, 3, 75, 1, 150]


def features(obs: np.ndarray, time: int) -> list[float]:
    clipped = [min(10.0, max(-10.0, float(x))) for x in obs]
    t = time / 100.0
    return [*clipped, *(x * x for x in clipped), t, t**2, t**3, 1.0]


def feature_rows(batch: Batch, normalizer: ObservationNormalizer | None = None) -> np.ndarray:
    obs = batch.obs if normalizer is None else normalizer.normalize(batch.obs)
    return np.array([features(o, t) for episode in episodes_of(batch, obs) for t, o in enumerate(episode)])


def ridge_solution(phi: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge regression as plain least squares with one more row for every weight."""
    n, k = phi.shape
    rows = np.concatenate([phi / math.sqrt(n), math.sqrt(ridge) * np.eye(k)])
    return np.linalg.lstsq(rows, np.concatenate([targets / math.sqrt(n), np.zeros(k)]), rcond=None)[0]


def problem(seed: int = 0) -> tuple[Batch, np.ndarray]:
    batch = batch_of(LENGTHS, truncated=[0, 2], dim=3, seed=seed)
    return batch, np.random.default_rng(seed + 1).normal(loc=5.0, scale=3.0, size=batch.num_steps)


@pytest.mark.parametrize("ridge", [0.0, 1e-5, 1e-2, 10.0])
def test_fit(ridge: float) -> None:
    batch, targets = problem()
    baseline = LinearFeatures(ridge=ridge)
    measured = baseline.fit(batch, targets)
    phi = feature_rows(batch)
    expected = phi @ ridge_solution(phi, targets, ridge)
    assert_close(baseline.values(batch, targets), expected, 1e-8)
    assert measured == {"value_loss": pytest.approx(np.mean((expected - targets) ** 2), rel=1e-8)}


def test_bootstrap_values_are_valued_one_step_after_the_segment() -> None:
    batch, targets = problem()
    baseline = LinearFeatures()
    baseline.fit(batch, targets)
    weights = ridge_solution(feature_rows(batch), targets, 1e-5)
    expected = np.zeros(batch.num_steps)
    assert batch.bootstrap_obs is not None
    for segment in (0, 2):
        row = batch.segment_ends[segment]
        expected[row] = np.dot(weights, features(batch.bootstrap_obs[segment], LENGTHS[segment]))
    bootstrap = baseline.bootstrap_values(batch)
    assert_close(bootstrap, expected, 1e-8)
    assert np.count_nonzero(bootstrap) == 2


def test_a_fitted_function_is_found_exactly() -> None:
    batch, _ = problem()
    phi = feature_rows(batch)
    targets = phi @ np.arange(1.0, phi.shape[1] + 1)
    baseline = LinearFeatures(ridge=0.0)
    loss = baseline.fit(batch, targets)["value_loss"]
    assert loss < 1e-16
    assert_close(baseline.values(batch, targets), targets, 1e-9)
    other = batch_of([30, 7], dim=3, seed=9)
    assert_close(
        baseline.values(other, np.zeros(37)), feature_rows(other) @ np.arange(1.0, phi.shape[1] + 1), 1e-8
    )


def test_it_is_zero_until_it_is_fitted() -> None:
    batch, targets = problem()
    assert not LinearFeatures().values(batch, targets).any()
    assert not LinearFeatures().bootstrap_values(batch).any()


def test_fits_forget_what_was_before() -> None:
    (batch, targets), (other_batch, other_targets) = problem(), problem(seed=7)
    once, twice = LinearFeatures(), LinearFeatures()
    once.fit(batch, targets)
    twice.fit(other_batch, other_targets)
    twice.fit(batch, targets)
    assert_same_bits(once.values(batch, targets), twice.values(batch, targets))


def test_observations_are_clipped() -> None:
    batch, targets = problem()
    obs = batch.obs.copy()
    obs[::7] *= 1e6
    wild = batch.replace(obs=obs)
    baseline = LinearFeatures()
    baseline.fit(wild, targets)
    phi = feature_rows(wild)
    assert np.abs(phi).max() == 100.0
    assert_close(baseline.values(wild, targets), phi @ ridge_solution(phi, targets, 1e-5), 1e-7)


def test_the_normaliser_is_used() -> None:
    batch, targets = problem()
    scaled = batch.replace(obs=1000.0 * batch.obs + 5e4, bootstrap_obs=1000.0 * batch.bootstrap_obs + 5e4)
    baseline = LinearFeatures()
    baseline.normalizer = ObservationNormalizer(3)
    baseline.normalizer.update(scaled.obs)
    baseline.fit(scaled, targets)
    phi = feature_rows(scaled, baseline.normalizer)
    weights = ridge_solution(phi, targets, 1e-5)
    assert_close(baseline.values(scaled, targets), phi @ weights, 1e-8)
    bootstrap = scaled.bootstrap_obs[2]
    expected = np.dot(weights, features(baseline.normalizer.normalize(bootstrap), LENGTHS[2]))
    assert baseline.bootstrap_values(scaled)[scaled.segment_ends[2]] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_any_scale_of_rewards(scale: float) -> None:
    batch, targets = problem()
    baseline, scaled = LinearFeatures(), LinearFeatures()
    baseline.fit(batch, targets)
    scaled.fit(batch, scale * targets)
    assert_close(scaled.values(batch, targets) / scale, baseline.values(batch, targets), 1e-10)


@pytest.mark.parametrize("ridge", [0.0, 1e-5])
def test_dependent_features(ridge: float) -> None:
    """A constant observation, one that is repeated, and one that is the time: a singular regression."""
    batch = batch_of([50, 50], dim=3)
    obs = np.stack([np.ones(100), np.ones(100), batch.step_in_segment / 100.0], axis=1)
    targets = 2.0 + 3.0 * batch.step_in_segment / 100.0
    baseline = LinearFeatures(ridge=ridge)
    baseline.fit(batch.replace(obs=obs), targets)
    assert_close(baseline.values(batch.replace(obs=obs), targets), targets, 1e-3)


@pytest.mark.parametrize("num_rows", [1, 2])
def test_fewer_rows_than_features(num_rows: int) -> None:
    batch = batch_of([1] * num_rows, dim=3)
    targets = np.arange(5.0, 5.0 + num_rows)
    baseline = LinearFeatures()
    baseline.fit(batch, targets)
    assert_close(baseline.values(batch, targets), targets, 1e-3)


def test_observations_of_any_shape_are_flattened() -> None:
    batch, targets = problem()
    one, other = LinearFeatures(), LinearFeatures()
    one.fit(batch, targets)
    boxed = batch.replace(
        obs=batch.obs[:, None, :, None], bootstrap_obs=batch.bootstrap_obs[:, None, :, None]
    )
    other.fit(boxed, targets)
    assert_same_bits(one.values(batch, targets), other.values(boxed, targets))
    assert_same_bits(one.bootstrap_values(batch), other.bootstrap_values(boxed))


# ---- conditioning ----


@pytest.mark.parametrize("num_steps", [1000, 30_000, 200_000, 3_000_000])
@pytest.mark.parametrize("what", ["observation", "time", "cubic"])
def test_long_segments(num_steps: int, what: str) -> None:
    """(t/100)³ reaches 10¹³; the other features are still seen."""
    rng, t = np.random.default_rng(0), np.arange(num_steps)
    batch = Batch(rng.standard_normal((num_steps, 1)), t, t, t == num_steps - 1)
    targets = {
        "observation": 3 + 2 * batch.obs[:, 0],
        "time": 5 - 4 * t / num_steps,
        "cubic": (t / num_steps) ** 3 - batch.obs[:, 0],
    }[what]
    baseline = LinearFeatures()
    loss = baseline.fit(batch, targets)["value_loss"]
    assert loss < 1e-7  # what the penalty on the weights leaves
    values = baseline.values(batch, targets)
    assert np.mean((values - targets) ** 2) == pytest.approx(loss, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1e-5, 1e-2])
def test_features_that_hardly_vary_next_to_their_size(ridge: float) -> None:
    """Against the same least squares, by a decomposition of the rows instead of a normal equation."""
    batch = batch_of([50, 50], dim=2)
    obs = np.array([9.0, -7.0]) + 1e-6 * batch.obs
    targets = 1e6 * (obs[:, 0] - 9.0) + 1.0
    near = batch.replace(obs=obs)
    phi = feature_rows(near)
    baseline = LinearFeatures(ridge=ridge)
    baseline.fit(near, targets)
    expected = targets if ridge == 0 else phi @ ridge_solution(phi, targets, ridge)
    assert_close(baseline.values(near, targets), expected, 1e-3 if ridge == 0 else 1e-8)


@pytest.mark.parametrize("offset", [1e3, 1.7e9])
def test_observations_far_from_zero_are_seen_through_the_normaliser(offset: float) -> None:
    batch, _ = problem()
    far = batch.replace(obs=offset + batch.obs, bootstrap_obs=offset + batch.bootstrap_obs)
    baseline = LinearFeatures()
    baseline.normalizer = ObservationNormalizer(3)
    baseline.normalizer.update(far.obs)
    assert baseline.fit(far, 3 + 2 * batch.obs[:, 0])["value_loss"] < 1e-6


@pytest.mark.parametrize("obs_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [1.7e9, -11.0])
def test_components_that_clipping_makes_constant_are_named(bad: float, obs_dtype: Any) -> None:
    batch, targets = problem()
    obs = batch.obs.astype(obs_dtype)
    obs[:, 1] = bad * (1.0 + 1e-3 * np.abs(batch.obs[:, 1]))
    obs[:, 2] = 20.0  # constant anyway
    message = r"^obs: expected numbers within ±10 .* got none in components \[1\]: LinearFeatures clips"
    with pytest.warns(UserWarning, match=message):
        LinearFeatures().fit(batch.replace(obs=obs), targets)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e150])
@pytest.mark.parametrize("level", [0.0, 1e8])
def test_any_scale_and_level_of_targets(scale: float, level: float) -> None:
    batch, targets = problem()
    baseline, scaled = LinearFeatures(ridge=0.0), LinearFeatures(ridge=0.0)
    baseline.fit(batch, targets)
    scaled.fit(batch, scale * (level + targets))
    got = scaled.values(batch, targets) / scale - level
    assert_close(got, baseline.values(batch, targets), 1e-10 + 1e-13 * level)


# ---- targets that can't be learned ----


@pytest.mark.parametrize("weights", [None, 1])
def test_a_fit_that_fails_changes_nothing(weights: Any) -> None:
    batch, targets = problem()
    baseline = LinearFeatures()
    if weights is not None:
        baseline.fit(batch, targets)
    before = baseline.state()
    obs = batch.obs.copy()
    obs[7, 1] = math.nan
    for data, learned, error, message in (
        (batch.replace(obs=obs), targets, FloatingPointError, "critic: expected finite features, got NaN"),
        (batch, np.linspace(-1e300, 1e300, len(targets)), FloatingPointError, "targets: expected returns of"),
        (batch, np.where(targets > 5, math.nan, 0), ValueError, "targets: expected finite returns, got NaN"),
    ):
        with pytest.raises(error, match=message):
            baseline.fit(data, learned)
        assert baseline.state().keys() == before.keys()
        for name, value in before.items():
            assert_same_bits(baseline.state()[name], value)


# ---- state ----


def test_a_restored_baseline_is_the_same() -> None:
    batch, targets = problem()
    baseline, other = LinearFeatures(), LinearFeatures()
    baseline.fit(batch, targets)
    state = baseline.state()
    other.load_state(state)
    values = baseline.values(batch, targets)
    assert_same_bits(other.values(batch, targets), values)
    state["weights"][:] = 0.0  # a copy
    assert_same_bits(baseline.values(batch, targets), values)
    assert_same_bits(other.values(batch, targets), values)
    other.load_state(LinearFeatures().state())
    assert not other.values(batch, targets).any()


# ---- errors ----


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1.0, ValueError, "ridge: expected a finite number >= 0, got -1.0"),
        (math.inf, ValueError, "ridge: expected a finite number >= 0, got inf"),
        ("x", TypeError, "ridge: expected a real number, got str"),
    ],
)
def test_wrong_arguments(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        LinearFeatures(ridge=value)
    assert str(caught.value) == message


def test_wrong_states() -> None:
    with pytest.raises(ValueError) as caught:
        LinearFeatures().load_state({"weights": np.zeros((2, 2))})
    assert str(caught.value) == "weights: expected shape (features,), got (2, 2)"
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^weights: expected finite numbers, got NaN or infinity$"):
            LinearFeatures().load_state({"weights": np.array([0.0, 1.0, 2.0, 3.0, bad, 0.0])})
    baseline = LinearFeatures()
    baseline.load_state({"weights": np.zeros(2 * 4 + 4)})
    batch = batch_of(LENGTHS, dim=3)
    with pytest.raises(ValueError) as caught:
        baseline.values(batch, batch.rewards)
    assert str(caught.value) == "obs: expected 4 numbers in each, as when fitted, got 3"


def test_bootstrap_values_need_their_observations() -> None:
    batch, targets = problem()
    baseline = LinearFeatures()
    baseline.fit(batch, targets)
    with pytest.raises(ValueError) as caught:
        baseline.bootstrap_values(batch.replace(bootstrap_obs=None))
    assert (
        str(caught.value) == "bootstrap_obs: expected the observations after 2 truncated segments, got None"
    )
    whole = batch_of(LENGTHS, dim=3).replace(bootstrap_obs=None)
    assert not baseline.bootstrap_values(whole).any()
