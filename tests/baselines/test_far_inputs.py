"""Baselines on observations far from zero: nothing is lost before the mean is taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import LinearFeatures, ValueNetwork
from pgcore.policies import ObservationNormalizer
from support.oracles import assert_close

OFFSETS = [1.7e9, -1.7e12]


def batches(offset: float) -> tuple[Batch, Batch, np.ndarray, ObservationNormalizer]:
    """One batch there, the same standardised by the definition, and returns that depend on where exactly."""
    rng = np.random.default_rng(0)
    obs = offset + 1e4 * np.spacing(offset) * rng.normal(size=(240, 2))
    ends = np.arange(240) % 8 == 7
    terminated = ends & (np.arange(240) % 16 == 7)
    bootstrap = obs[ends][::-1]
    wide = obs.astype(np.longdouble)
    mean, std = wide.mean(axis=0), np.sqrt(wide.var(axis=0) + 1e-8)
    z, z_after = (np.asarray((x - mean) / std, np.float64) for x in (wide, bootstrap.astype(np.longdouble)))
    far = Batch(obs, np.zeros(240), np.zeros(240), ends, terminated=terminated, bootstrap_obs=bootstrap)
    normalizer = ObservationNormalizer(2)
    normalizer.update(obs)
    return far, far.replace(obs=z, bootstrap_obs=z_after), 3.0 * z[:, 0] - np.abs(z[:, 1]), normalizer


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        pytest.param(lambda: ValueNetwork(hidden=(16,), n_epochs=5), 2e-3, id="network"),
        pytest.param(lambda: ValueNetwork(hidden=(16,), n_epochs=5, dtype="float64"), 2e-3, id="float64"),
        pytest.param(LinearFeatures, 2e-3, id="linear"),
    ],
)
def test_a_baseline_sees_differences_far_from_zero(offset: float, make: Any, tolerance: float) -> None:
    far, near, targets, normalizer = batches(offset)
    there, here = make(), make()
    there.normalizer = normalizer
    for _ in range(4):
        there.fit(far, targets)
        here.fit(near, targets)
    assert_close(there.values(far, targets), here.values(near, targets), tolerance)
    assert_close(there.bootstrap_values(far), here.bootstrap_values(near), tolerance)
    explained = 1 - np.var(targets - there.values(far, targets)) / np.var(targets)
    assert explained > 0.3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.float16, np.float32, ">f8", bool])
def test_a_network_takes_every_kind_of_numbers_as_it_is(dtype: str, kind: Any) -> None:
    obs = np.random.default_rng(1).integers(0, 200, (50, 3)).astype(kind)
    wide = obs.astype(np.float64)
    batch = Batch(obs, np.zeros(50), np.zeros(50), np.ones(50, bool))
    for normalizer in (None, ObservationNormalizer(3)):
        networks = [ValueNetwork(hidden=(5,), dtype=dtype) for _ in range(2)]
        if normalizer is not None:
            normalizer.update(obs)
        for network, data in zip(networks, (batch, batch.replace(obs=wide)), strict=True):
            network.normalizer = normalizer
            network.fit(data, wide[:, 0])
        np.testing.assert_array_equal(networks[0].predict(obs), networks[1].predict(wide))
