from __future__ import annotations

import numpy as np
import pytest

from pgcore.algorithms.ppo import AdaptiveCoefficient
from pgcore.optim import SurrogateAscent
from pgcore.policies import GaussianPolicy
from pgcore.training import SGD, Adam, clip_norm, make_optimizer, scheduled


def test_sgd_is_gradient_ascent(rng):
    theta, gradient = rng.normal(size=(2, 7)).astype(np.float32)
    moved = SGD().ascend(theta, gradient, 0.25)
    np.testing.assert_array_equal(moved, theta + np.float32(0.25) * gradient)
    assert moved.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_the_papers_algorithm_uphill(rng, dtype):
    theta = rng.normal(size=5).astype(dtype)
    expected, m, v = theta.astype(np.float64), np.zeros(5), np.zeros(5)
    optimizer = Adam()
    for t in range(1, 6):
        gradient = rng.normal(size=5).astype(dtype)
        theta = optimizer.ascend(theta, gradient, 0.1)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient.astype(np.float64) ** 2
        expected = expected + 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert theta.dtype == dtype
    np.testing.assert_allclose(theta, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_arguments_are_not_modified(rng, name):
    theta, gradient = rng.normal(size=(2, 4))
    before = theta.copy(), gradient.copy()
    make_optimizer(name).ascend(theta, gradient, 0.1)
    np.testing.assert_array_equal(theta, before[0])
    np.testing.assert_array_equal(gradient, before[1])


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("num_steps", [0, 1, 3])
def test_a_restored_optimizer_goes_on_exactly(rng, name, num_steps):
    gradients = rng.normal(size=(num_steps + 2, 6))
    theta = rng.normal(size=6)
    optimizer = make_optimizer(name)
    for gradient in gradients[:num_steps]:
        theta = optimizer.ascend(theta, gradient, 0.1)
    state = optimizer.state()
    other = make_optimizer(name)
    other.load_state(state)
    ours, theirs = theta, theta
    for gradient in gradients[num_steps:]:
        ours = optimizer.ascend(ours, gradient, 0.1)
        theirs = other.ascend(theirs, gradient, 0.1)
    np.testing.assert_array_equal(ours, theirs)


def test_a_state_is_a_copy(rng):
    optimizer = Adam()
    theta = optimizer.ascend(np.zeros(3), np.ones(3), 0.1)
    state = optimizer.state()
    kept = {name: value.copy() for name, value in state.items()}
    optimizer.ascend(theta, np.ones(3), 0.1)
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name])


def test_a_loaded_state_is_a_copy():
    """A model that is put back twice must not find the first attempt's moments in its snapshot."""
    optimizer, other = Adam(), Adam()
    theta = optimizer.ascend(np.zeros(3), np.ones(3), 0.1)
    state = optimizer.state()
    kept = {name: value.copy() for name, value in state.items()}
    for _ in range(2):
        other.load_state(state)
        for _ in range(3):
            other.ascend(theta, np.array([1.0, -2.0, 3.0]), 0.1)
        for name, value in kept.items():
            np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        ({"m": None}, ValueError, r"state: expected entries \['m'\], got \['step', 'v'\]"),
        ({"step": None}, ValueError, r"state: expected entries \['step'\], got \['m', 'v'\]"),
        ({"v": np.zeros(2)}, ValueError, r"v: expected shape \(3,\), got \(2,\)"),
        ({"v": np.zeros((3, 1))}, ValueError, r"v: expected shape \(3,\), got \(3, 1\)"),
        ({"m": np.array([0, np.nan, 0])}, ValueError, "m: expected finite numbers, got NaN or infinity"),
        ({"v": np.full(3, np.inf)}, ValueError, "v: expected finite numbers, got NaN or infinity"),
        ({"v": np.array([0, -0.5, 0])}, ValueError, "v: expected numbers >= 0, got -0.5"),
        ({"m": np.array(["a"] * 3)}, TypeError, "m: expected float32 or float64 .*, got <U1"),
        ({"step": np.array(-1)}, ValueError, "step: expected an integer >= 0, got -1"),
        ({"step": np.array(1.5)}, TypeError, "step: expected integers, got float64"),
        ({"step": np.array([1, 2])}, ValueError, r"step: expected shape \(\), got \(2,\)"),
    ],
)
@pytest.mark.parametrize("kind", ["Adam", "SurrogateAscent"])
def test_wrong_states_change_nothing(kind, spoil, error, message):
    if kind == "Adam":
        optimizer = Adam()
        optimizer.ascend(np.zeros(3), np.ones(3), 0.1)
    else:
        optimizer = SurrogateAscent(GaussianPolicy(1, 1, hidden=(), dtype="float64"))
        optimizer.epoch([[1.0]], [[2.0]], [1.0], [-1.0], [0], learning_rate=0.1)
    before = optimizer.state()
    assert before["m"].shape == (3,)
    state = {name: array for name, array in {**before, **spoil}.items() if array is not None}
    with pytest.raises(error, match=f"^{message}$"):
        optimizer.load_state(state)
    for name, array in optimizer.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_sgd_takes_no_state_of_another():
    with pytest.raises(ValueError, match=r"^state: expected no entries, got \['m', 'step', 'v'\]$"):
        SGD().load_state(Adam().state())


def test_a_penalty_takes_no_wrong_weight():
    beta = AdaptiveCoefficient(0.5)
    for state, message in (
        ({}, r"state: expected entries \['value'\], got \[\]"),
        ({"value": np.array(-1.0)}, "value: expected numbers >= 0, got -1.0"),
        ({"value": np.array(np.nan)}, "value: expected finite numbers, got NaN or infinity"),
        ({"value": np.zeros(2)}, r"value: expected shape \(\), got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            beta.load_state(state)
    assert beta.value == 0.5


@pytest.mark.parametrize("num_steps", [0, 2])
def test_moments_of_another_length_are_refused_where_they_are_used(num_steps):
    optimizer = Adam()
    for _ in range(num_steps):
        optimizer.ascend(np.zeros(3), np.ones(3), 0.1)
    other = Adam()
    other.load_state(optimizer.state())
    if num_steps == 0:
        other.ascend(np.zeros(2), np.ones(2), 0.1)
        return
    with pytest.raises(ValueError, match=r"^m: expected shape \(2,\), got \(3,\)$"):
        other.ascend(np.zeros(2), np.ones(2), 0.1)


def test_clip_norm():
    long = np.array([3.0, -4.0], np.float32)
    clipped, norm = clip_norm(long, 2.5)
    assert norm == 5.0
    np.testing.assert_allclose(clipped, [1.5, -2.0], rtol=1e-6)
    assert clipped.dtype == np.float32
    for limit in (5.0, None):
        same, norm = clip_norm(long, limit)
        np.testing.assert_array_equal(same, long)
        assert norm == 5.0


def test_clip_norm_sums_in_double_precision():
    huge = np.full(4, 1e25, np.float32)  # whose square overflows float32
    clipped, norm = clip_norm(huge, 1.0)
    assert norm == pytest.approx(2e25, rel=1e-6)
    np.testing.assert_allclose(clipped, 0.5, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_norm_refuses_what_would_destroy_the_parameters(bad):
    with pytest.raises(FloatingPointError, match=r"^gradient: expected finite numbers, got norm"):
        clip_norm(np.array([1.0, bad]), None)


def test_schedules():
    assert scheduled(0.5, "constant", 0.9) == 0.5
    assert scheduled(0.5, "linear", 0.0) == 0.5
    assert scheduled(0.5, "linear", 0.5) == 0.25
    assert [scheduled(0.5, "cooldown", at) for at in (0.0, 0.5, 0.75)] == [0.5, 0.5, 0.5]
    assert scheduled(0.5, "cooldown", 0.9) == pytest.approx(0.25)
    for schedule in ("linear", "cooldown"):
        assert scheduled(0.5, schedule, 1.0) == 0.0


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_norms_whose_squares_leave_the_range_of_double(size: float) -> None:
    gradient, norm = clip_norm(size * np.array([3.0, 4.0]), 1.0 * size)
    assert norm == pytest.approx(5.0 * size, rel=1e-14)
    np.testing.assert_allclose(gradient / size, [0.6, 0.8], rtol=1e-14)
