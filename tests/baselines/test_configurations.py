"""What every baseline can do: be described, and made again from its description."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pgcore import Batch, baselines
from pgcore.baselines import (
    AverageReturn,
    Baseline,
    Constant,
    LinearFeatures,
    OptimalPerComponent,
    OptimalScalar,
    TimeDependent,
    ValueNetwork,
    from_config,
)
from support.batches import batch_of
from support.oracles import assert_same_bits

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
    return baseline.values(batch, targets), baseline.bootstrap_values(batch), targets


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
def test_values_and_bootstrap_values_take_the_dtype_that_is_asked_for(
    baseline: Baseline, dtype: np.dtype
) -> None:
    batch = batch_of([4, 6], truncated=[1])
    batch = batch.replace(rewards=batch.rewards.astype(dtype))
    fresh = from_config(baseline.config())
    for _ in range(2):  # before and after it has learned
        assert fresh.values(batch, np.ones(10, dtype)).dtype == dtype
        assert fresh.bootstrap_values(batch).dtype == dtype
        fresh.fit(batch, np.ones(10, dtype))


@every_baseline
def test_returns_and_targets_are_not_modified(baseline: Baseline) -> None:
    batch = batch_of([4, 6])
    returns = np.random.default_rng(0).normal(size=10)
    before = returns.copy()
    fresh = from_config(baseline.config())
    fresh.fit(batch, returns)
    fresh.values(batch, returns)
    assert_same_bits(returns, before)


@pytest.mark.parametrize("baseline", [*EVERY, OptimalScalar(), OptimalPerComponent()], ids=repr)
@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, np.nan, 1, 2], ValueError, "targets: expected finite returns, got NaN or infinity"),
        ([0, 1, 2, -np.inf], ValueError, "targets: expected finite returns, got NaN or infinity"),
        ([0, 1, 2], ValueError, r"targets: expected shape \(4,\), got \(3,\)"),
        ([[0, 1, 2, 3]], ValueError, r"targets: expected shape \(4,\), got \(1, 4\)"),
        (list("abcd"), TypeError, "targets: expected float32 or float64"),
    ],
    ids=["nan", "infinite", "short", "two-dimensional", "text"],
)
def test_targets_that_nothing_can_be_learned_from(
    baseline: Baseline, targets: list[object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        from_config(baseline.config()).fit(batch_of([3, 1]), np.array(targets))


@every_baseline
def test_no_steps_teach_nothing(baseline: Baseline) -> None:
    empty = Batch(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0, bool))
    fresh = from_config(baseline.config())
    assert fresh.fit(empty, np.zeros(0)) == {}
    assert fresh.values(empty, np.zeros(0)).shape == fresh.bootstrap_values(empty).shape == (0,)
    learned(fresh)
    before = fresh.state()
    assert fresh.fit(empty, np.zeros(0)) == {}
    assert fresh.values(empty, np.zeros(0)).shape == (0,)
    for name, value in before.items():
        assert_same_bits(fresh.state()[name], value)


@every_baseline
def test_a_single_step_is_learned(baseline: Baseline) -> None:
    batch, fresh = batch_of([1]), from_config(baseline.config())
    fresh.fit(batch, np.array([4.0]))
    expected = {"Constant": 0.5, "AverageReturn": 0.0 if getattr(fresh, "leave_one_out", 0) else 4.0}
    value = fresh.values(batch, np.array([4.0]))
    assert value == pytest.approx([expected.get(type(fresh).__name__, 4.0)], rel=0.3)


@every_baseline
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_returns_that_are_not_finite_raise_no_warning(baseline: Baseline, bad: float) -> None:
    """Whoever uses the advantages sees them: the gradient is not finite."""
    values = from_config(baseline.config()).values(batch_of([2, 2, 1]), np.array([1.0, bad, bad, 2.0, 3.0]))
    assert values.shape == (5,)


@pytest.mark.parametrize("offset", [1e4, 1e8])
@pytest.mark.parametrize("kind", [AverageReturn, TimeDependent])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_averages_of_float32_are_taken_in_double(
    kind: type[AverageReturn], leave_one_out: bool, offset: float
) -> None:
    batch = batch_of([2] * 1001)
    returns = (offset * (1 + np.random.default_rng(0).random(2002))).astype(np.float32)
    exact = kind(leave_one_out=leave_one_out).values(batch, returns.astype(np.float64))
    got = kind(leave_one_out=leave_one_out).values(batch, returns)
    assert_same_bits(got, exact.astype(np.float32))


@pytest.mark.parametrize("config", [{}, {"kind": "Median"}])
def test_unknown_kinds(config: dict[str, str]) -> None:
    with pytest.raises(ValueError) as caught:
        from_config(config)
    assert str(caught.value) == (
        "kind: expected one of Constant, AverageReturn, TimeDependent, LinearFeatures, ValueNetwork, "
        "OptimalScalar, OptimalPerComponent, ValueBaseline, "
        f"got {config.get('kind')!r}"
    )
