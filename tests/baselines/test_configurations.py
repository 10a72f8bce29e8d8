"""What every baseline can do: be described, and made again from its description."""

from __future__ import annotations

import json

import numpy as np
import pytest
from batches import batch_of

from oracles import assert_same_bits
from pgcore import baselines
from pgcore.baselines import (
    AverageReturn,
    Baseline,
    Constant,
    LinearFeatures,
    TimeDependent,
    ValueNetwork,
    from_config,
)

EVERY = [
    Constant(0.5),
    AverageReturn(),
    AverageReturn(leave_one_out=False),
    TimeDependent(leave_one_out=False),
    LinearFeatures(ridge=0.25),
    ValueNetwork(),
    ValueNetwork(
        (5, 4),
        activation="gelu",
        learning_rate=0.02,
        n_epochs=3,
        batch_size=7,
        max_grad_norm=0.5,
        seed=4,
        dtype="float64",
    ),
    ValueNetwork(()),
]
every_baseline = pytest.mark.parametrize("baseline", EVERY, ids=repr)


def learned(baseline: Baseline) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    batch = batch_of([4, 6, 3], truncated=[1, 2])
    targets = np.random.default_rng(0).normal(size=13)
    baseline.fit(batch, targets)
    return baseline.values(batch, targets), baseline.tail_values(batch), targets


@every_baseline
def test_a_configuration_goes_through_json(baseline: Baseline) -> None:
    config = baseline.config()
    assert config["kind"] == type(baseline).__name__
    before = dict(config)
    first, second = (from_config(json.loads(json.dumps(config))) for _ in range(2))
    assert config == before
    assert type(first) is type(baseline)
    assert first.config() == config
    for one, other in zip(learned(first), learned(second), strict=True):
        assert_same_bits(one, other)


@every_baseline
def test_repr_makes_it_again(baseline: Baseline) -> None:
    assert eval(repr(baseline), vars(baselines)).config() == baseline.config()


@every_baseline
def test_values_and_tails_take_the_dtype_that_is_asked_for(baseline: Baseline, dtype: np.dtype) -> None:
    batch = batch_of([4, 6], truncated=[1])
    batch = batch.replace(rewards=batch.rewards.astype(dtype))
    fresh = from_config(baseline.config())
    for _ in range(2):  # before and after it has learned
        assert fresh.values(batch, np.ones(10, dtype)).dtype == dtype
        assert fresh.tail_values(batch).dtype == dtype
        fresh.fit(batch, np.ones(10, dtype))


@every_baseline
def test_returns_and_targets_are_not_modified(baseline: Baseline) -> None:
    batch = batch_of([4, 6])
    returns = np.random.default_rng(0).normal(size=10)
    returns.flags.writeable = False
    fresh = from_config(baseline.config())
    fresh.fit(batch, returns)
    fresh.values(batch, returns)


@pytest.mark.parametrize("config", [{}, {"kind": "Median"}])
def test_unknown_kinds(config: dict[str, str]) -> None:
    with pytest.raises(ValueError) as caught:
        from_config(config)
    assert str(caught.value) == (
        "kind: expected one of Constant, AverageReturn, TimeDependent, LinearFeatures, ValueNetwork, "
        "OptimalScalar, OptimalPerComponent, "
        f"got {config.get('kind')!r}"
    )
