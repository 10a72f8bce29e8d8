"""`ValueNetwork` against a plain NumPy Adam on autograd's gradients, and at the edges."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import pgcore
from pgcore import Batch
from pgcore.baselines import ValueNetwork
from pgcore.kernels import MLP
from pgcore.policies import ObservationNormalizer
from support import oracles
from support.batches import batch_of
from support.oracles import assert_close, assert_same_bits

LENGTHS = [20, 7, 33, 1, 14]


def problem(seed: int = 0, scale: float = 3.0, shift: float = 5.0) -> tuple[Batch, np.ndarray]:
    batch = batch_of(LENGTHS, truncated=[1, 2], dim=3, seed=seed)
    noise = np.random.default_rng(seed + 1).normal(size=batch.num_steps)
    return batch, shift + scale * (np.sin(batch.obs[:, 0]) + batch.obs[:, 1] + 0.1 * noise)


def network(**arguments: Any) -> ValueNetwork:
    return ValueNetwork(
        **{"hidden": (6, 5), "dtype": "float64", "batch_size": 16, "n_epochs": 3, **arguments}
    )


# ---- the same, written out ----


class PlainValueNetwork:
    """By the book: moments of a mixture, Pop-Art, Adam with bias correction, gradients from autograd."""

    def __init__(self, like: ValueNetwork, obs_dim: int) -> None:
        self.like = like
        sizes = [obs_dim, *like.hidden, 1]
        self.net = oracles.mlp(sizes, like.activation)
        self.theta = MLP(sizes, like.activation, "float64").init(like.seed, final_gain=0.0)
        self.m = np.zeros_like(self.theta)
        self.v = np.zeros_like(self.theta)
        self.step = self.num_fits = 0
        self.mean, self.std = 0.0, 0.0

    def values(self, obs: np.ndarray) -> np.ndarray:
        return self.mean + self.std * self.net(self.theta, obs)[:, 0]

    def follow(self, targets: np.ndarray) -> None:
        if self.num_fits == 0:
            self.mean, self.std = targets.mean(), targets.std()
            return
        w = 0.1
        gap = targets.mean() - self.mean
        variance = (1 - w) * self.std**2 + w * targets.var() + w * (1 - w) * gap**2
        old_mean, old_std = self.mean, self.std
        self.mean, self.std = old_mean + w * gap, math.sqrt(variance)
        last = (self.like.hidden or (len(self.theta) - 1,))[-1]
        self.theta[-last - 1 : -1] *= old_std / self.std
        self.theta[-1] = (old_mean + old_std * self.theta[-1] - self.mean) / self.std

    def fit(self, obs: np.ndarray, targets: np.ndarray) -> float:
        self.follow(targets)
        scaled = (targets - self.mean) / self.std
        rng = np.random.default_rng((self.like.seed, self.num_fits))
        self.num_fits += 1
        squares: list[float] = []

        def loss(theta: Any, rows: np.ndarray) -> Any:
            return anp.mean((self.net(theta, obs[rows])[:, 0] - scaled[rows]) ** 2)

        for _ in range(self.like.n_epochs):
            order = rng.permutation(len(obs))
            squares = []
            for start in range(0, len(obs), self.like.batch_size):
                rows = order[start : start + self.like.batch_size]
                squares.append(len(rows) * float(loss(self.theta, rows)))
                gradient = autograd.grad(loss)(self.theta, rows)
                length = np.linalg.norm(gradient)
                if self.like.max_grad_norm is not None and length > self.like.max_grad_norm:
                    gradient *= self.like.max_grad_norm / length
                self.adam(gradient)
        return self.std**2 * sum(squares) / len(obs)

    def adam(self, gradient: np.ndarray) -> None:
        self.step += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        m_hat = self.m / (1 - 0.9**self.step)
        v_hat = self.v / (1 - 0.999**self.step)
        self.theta -= self.like.learning_rate * m_hat / (np.sqrt(v_hat) + 1e-8)


@pytest.mark.light
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"activation": "relu", "learning_rate": 0.02},
        {"activation": "gelu", "seed": 5},
        {"hidden": ()},
        {"hidden": (4,), "batch_size": 1, "n_epochs": 1},
        {"batch_size": 1000},
        {"max_grad_norm": 0.3},
        {"max_grad_norm": 1e9},
    ],
    ids=str,
)
def test_fits_match_plain_adam(arguments: dict[str, Any]) -> None:
    baseline = network(**arguments)
    plain = PlainValueNetwork(baseline, 3)
    for fit in range(3):
        batch, targets = problem(seed=fit, scale=10.0**fit, shift=-4.0 * fit)
        loss = baseline.fit(batch, targets)["value_loss"]
        assert loss == pytest.approx(plain.fit(batch.obs, targets), rel=1e-6)
        assert_close(baseline.values(batch, targets), plain.values(batch.obs), 1e-6)
    assert_close(baseline.state()["params"], plain.theta, 1e-6)


def test_minibatches_longer_than_a_block_match_plain_adam() -> None:
    batch = batch_of([700], dim=2)
    targets = batch.obs[:, 0] ** 2
    baseline = network(batch_size=600, n_epochs=2)
    plain = PlainValueNetwork(baseline, 2)
    assert baseline.fit(batch, targets)["value_loss"] == pytest.approx(
        plain.fit(batch.obs, targets), rel=1e-6
    )
    assert_close(baseline.values(batch, targets), plain.values(batch.obs), 1e-6)


@pytest.mark.light
def test_float32_fits_are_close() -> None:
    batch, targets = problem()
    single, double = network(dtype="float32"), network()
    for baseline in (single, double):
        baseline.fit(batch, targets)
    assert_close(single.values(batch, targets), double.values(batch, targets), 1e-4)


def test_it_learns() -> None:
    batch = batch_of([2000], dim=2)
    targets = 100.0 * np.sin(2.0 * batch.obs[:, 0])
    baseline = ValueNetwork((32,), n_epochs=60, learning_rate=3e-3)
    baseline.fit(batch, targets)
    assert np.mean((baseline.values(batch, targets) - targets) ** 2) < 0.05 * np.var(targets)


# ---- moments ----


@pytest.mark.parametrize("hidden", [(), (6, 5)])
def test_moving_moments_keep_predictions(hidden: tuple[int, ...]) -> None:
    batch, targets = problem()
    baseline = network(hidden=hidden)
    baseline.fit(batch, targets)
    before = baseline.values(batch, targets)
    frozen = network(hidden=hidden, learning_rate=0.0)
    frozen.load_state(baseline.state())
    frozen.fit(batch, 1e4 * targets - 1e5)
    moments = frozen.state()["moments"]
    assert (np.abs(moments) > 10 * np.abs(baseline.state()["moments"])).all()
    assert_close(frozen.values(batch, targets), before, 1e-9)


def test_moments_are_those_of_the_first_targets_and_then_follow() -> None:
    batch, targets = problem()
    baseline = network(n_epochs=0)
    assert baseline.fit(batch, targets) == {}
    assert_close(baseline.state()["moments"], np.array([targets.mean(), targets.std()]), 1e-12)
    for _ in range(200):
        baseline.fit(batch, 50.0 - 7.0 * targets)
    assert_close(
        baseline.state()["moments"], np.array([50.0 - 7.0 * targets.mean(), 7.0 * targets.std()]), 1e-6
    )


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6, 1e12])
def test_learning_does_not_depend_on_the_scale_of_rewards(scale: float) -> None:
    batch, targets = problem()
    one, other = network(), network()
    one.fit(batch, targets)
    other.fit(batch, scale * targets)
    assert_close(other.values(batch, targets) / scale, one.values(batch, targets), 1e-9)


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_learning_does_not_depend_on_the_level_of_rewards(shift: float) -> None:
    batch, targets = problem()
    one, other = network(), network()
    one.fit(batch, targets)
    other.fit(batch, shift + targets)
    assert_close(other.values(batch, targets) - shift, one.values(batch, targets), 1e-14 * shift + 1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-200])
def test_constant_targets_are_met_at_once(constant: float, dtype: np.dtype) -> None:
    batch = batch_of(LENGTHS, dim=3)
    baseline = network(dtype=dtype, n_epochs=1)
    for _ in range(3):
        loss = baseline.fit(batch, np.full(batch.num_steps, constant))["value_loss"]
        assert loss <= 1e-12 * constant**2 + 1e-300
        values = baseline.values(batch, np.zeros(batch.num_steps))
        np.testing.assert_allclose(values, constant, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("level", [0.0, 0.1, -1e6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_the_scale_is_that_of_the_first_batch_with_a_spread(
    level: float, scale: float, dtype: np.dtype
) -> None:
    """Batches of equal numbers, up to rounding, come first; then it learns as if they had not been."""
    batch, targets = problem()
    targets = level + scale * targets
    constant = np.full(len(targets), level)
    constant[::3] = np.nextafter(level, 1e9) if level else 0.0
    one, other = network(dtype=dtype), network(dtype=dtype)
    for k in range(3):
        assert one.fit(batch, constant)["value_loss"] <= (1e-12 * level) ** 2
        np.testing.assert_allclose(one.values(batch, targets), level, rtol=1e-12)
        assert one.state()["moments"][1] == 0
        resumed = network(dtype=dtype)
        resumed.load_state(one.state())
        one = resumed
        other.function._num_fits = k + 1  # the order of minibatches is seeded by it
    assert one.fit(batch, targets) == other.fit(batch, targets)
    assert_same_bits(one.values(batch, targets), other.values(batch, targets))
    assert_same_bits(one.state()["moments"], other.state()["moments"])


def test_constants_that_differ_from_batch_to_batch_have_a_scale() -> None:
    """Batches of a single step never have a spread of their own."""
    rng = np.random.default_rng(0)
    baseline = network(learning_rate=1e-2)
    for x in rng.uniform(-1, 1, size=(2000, 1, 1)):
        baseline.fit(Batch(x, [0], [0.0], [True]), 1e4 + 1e3 * x[:, 0])
    mean, std = baseline.state()["moments"]
    assert mean == pytest.approx(1e4, abs=1e3)
    assert 1e3 / 3 < std < 1e3
    x = rng.uniform(-1, 1, size=(200, 1))
    assert np.corrcoef(baseline.predict(x), x[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("level", [0.0, 2.0**20])
def test_a_scale_that_vanishes_stays_above_rounding(level: float, dtype: np.dtype) -> None:
    batch, _ = problem()
    targets = np.where(np.arange(75) % 2, 1.0, -1.0)
    targets[0] = 0.0  # their mean is the level, exactly
    fitted, frozen = network(dtype=dtype), network(dtype=dtype, learning_rate=0.0, n_epochs=1)
    fitted.fit(batch, level + targets)
    frozen.load_state(fitted.state())
    before = fitted.values(batch, targets)
    for _ in range(2000):  # 0.95²⁰⁰⁰ ≈ 10⁻⁴⁵
        frozen.fit(batch, np.full(75, level))
    np.testing.assert_allclose(frozen.values(batch, targets), before, atol=1e-3, rtol=0)
    assert np.isfinite(frozen.state()["params"]).all()


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e8, 1e12])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_values_keep_their_differences(offset: float, scale: float, dtype: np.dtype) -> None:
    batch, targets = problem()
    plain, far = (network(dtype=dtype, n_epochs=50) for _ in range(2))
    for level in (1.0, 3.0, 2.0):  # m and s move
        plain.fit(batch, level + scale * targets)
        far.fit(batch, offset + level + scale * targets)
    tolerance = 1e-3 + 1e-15 * abs(offset)
    assert far.predict(batch.obs).dtype == np.float64
    for one, other in (
        (plain.predict(batch.obs), far.predict(batch.obs)),
        (plain.values(batch, targets), far.values(batch, targets)),
    ):
        assert_close(other - offset, one, tolerance)
    ends = batch.scatter_bootstrap_values(np.ones(batch.num_segments)) > 0
    assert_close(far.bootstrap_values(batch)[ends] - offset, plain.bootstrap_values(batch)[ends], tolerance)
    loss = far.fit(batch, offset + level + scale * targets)["value_loss"]
    error = np.mean((far.values(batch, targets) - offset - level - scale * targets) ** 2)
    assert loss == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("offset", [1e40, -1e200])
def test_values_beyond_float32(offset: float) -> None:
    batch, targets = problem()
    baseline = network(dtype="float32")
    baseline.fit(batch, np.full(len(targets), offset))
    np.testing.assert_array_equal(baseline.values(batch, targets), offset)
    assert baseline.bootstrap_values(batch)[batch.segment_ends[1]] == offset


def test_a_batch_of_one() -> None:
    batch = batch_of([1], dim=3)
    baseline = network()
    for target in (4.0, 4.0, 5.0):
        assert math.isfinite(baseline.fit(batch, np.array([target]))["value_loss"])
        assert np.isfinite(baseline.values(batch, np.zeros(1))).all()
    first = network()
    first.fit(batch, np.array([4.0]))
    assert first.values(batch, np.zeros(1)) == pytest.approx([4.0])


# ---- values and bootstrap values ----


def test_an_untrained_network_has_no_opinion(dtype: np.dtype) -> None:
    batch, targets = problem()
    baseline = network(dtype=dtype)
    assert not baseline.values(batch, targets).any()
    assert not baseline.bootstrap_values(batch).any()


def test_bootstrap_values_are_valued_at_truncated_segments_only() -> None:
    batch, targets = problem()
    baseline = network()
    baseline.fit(batch, targets)
    bootstrap = baseline.bootstrap_values(batch)
    rows = batch.segment_ends[[1, 2]]
    assert batch.bootstrap_obs is not None
    assert_close(bootstrap[rows], baseline.predict(batch.bootstrap_obs[[1, 2]]), 1e-14)
    assert (bootstrap[rows] != 0).all()
    assert np.count_nonzero(bootstrap) == 2


def test_whole_episodes_need_no_bootstrap_values() -> None:
    baseline = network()
    batch = batch_of([3, 4], dim=3).replace(bootstrap_obs=None)
    assert not baseline.bootstrap_values(batch).any()
    cut = batch_of([3, 4], truncated=[0], dim=3).replace(bootstrap_obs=None)
    with pytest.raises(ValueError) as caught:
        baseline.bootstrap_values(cut)
    assert (
        str(caught.value) == "bootstrap_obs: expected the observations after 1 truncated segments, got None"
    )


def test_observations_of_any_shape_are_flattened() -> None:
    batch, targets = problem()
    one, other = network(), network()
    one.fit(batch, targets)
    boxed = batch.replace(
        obs=batch.obs[:, None, :, None], bootstrap_obs=batch.bootstrap_obs[:, None, :, None]
    )
    other.fit(boxed, targets)
    assert_same_bits(one.values(batch, targets), other.values(boxed, targets))
    assert_same_bits(one.bootstrap_values(batch), other.bootstrap_values(boxed))


def test_the_normaliser_is_used_and_followed() -> None:
    batch, targets = problem()
    raw = batch.replace(obs=500.0 * batch.obs + 1e4, bootstrap_obs=500.0 * batch.bootstrap_obs + 1e4)
    normalizer = ObservationNormalizer(3, clip=1.5)
    inside, outside = network(), network()
    inside.normalizer = normalizer
    for part in np.array_split(raw.obs, 2):
        normalizer.update(part)
        before = raw.replace(
            obs=normalizer.normalize(raw.obs), bootstrap_obs=normalizer.normalize(raw.bootstrap_obs)
        )
        inside.fit(raw, targets)
        outside.fit(before, targets)
        assert_close(inside.values(raw, targets), outside.values(before, targets), 1e-12)
        assert_close(inside.bootstrap_values(raw), outside.bootstrap_values(before), 1e-12)
    inside.normalizer = None
    assert_same_bits(inside.values(before, targets), outside.values(before, targets))


# ---- state ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_restored_network_goes_on_exactly(dtype: str) -> None:
    straight, before, after = (network(dtype=dtype, seed=3) for _ in range(3))
    for seed in range(2):
        for baseline in (straight, before):
            baseline.fit(*problem(seed))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **before.state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as state:
        after.load_state(state)
    for seed in range(2, 4):
        batch, targets = problem(seed)
        assert straight.fit(batch, targets) == after.fit(batch, targets)
        assert_same_bits(after.values(batch, targets), straight.values(batch, targets))
    for name, value in straight.state().items():
        assert_same_bits(after.state()[name], value)


def test_state_is_a_copy() -> None:
    batch, targets = problem()
    baseline, other = network(), network()
    baseline.fit(batch, targets)
    state = baseline.state()
    other.load_state(state)
    before = {name: array.copy() for name, array in state.items()}
    for array in state.values():
        array[...] = 0
    for name, array in before.items():
        assert_same_bits(baseline.state()[name], array)
        assert_same_bits(other.state()[name], array)
    other.fit(batch, -targets)
    for name, array in before.items():
        assert_same_bits(baseline.state()[name], array)


def test_the_state_of_a_network_without_data() -> None:
    batch, targets = problem()
    fresh, used = network(), network()
    assert fresh.state() == {}
    used.fit(batch, targets)
    used.load_state({})
    for baseline in (fresh, used):
        baseline.fit(batch, targets)
    assert_same_bits(fresh.values(batch, targets), used.values(batch, targets))


def without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda state: state.pop(name)  # type: ignore[arg-type, return-value]


def replaced(name: str, value: Any) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda state: state.update({name: np.asarray(value)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("m"), "state: expected entries ['m'], got ['counters', 'moments', 'params', 'v']"),
        (replaced("params", np.zeros(4)), "params: expected shape (65,), got (4,)"),
        (replaced("v", np.zeros((65, 1))), "v: expected shape (65,), got (65, 1)"),
        (replaced("moments", np.zeros(3)), "moments: expected shape (2,), got (3,)"),
        (replaced("counters", np.zeros(1, int)), "counters: expected shape (3,), got (1,)"),
        (replaced("params", np.full(65, np.nan)), "params: expected finite numbers, got NaN or infinity"),
        (replaced("m", np.full(65, np.inf)), "m: expected finite numbers, got NaN or infinity"),
        (replaced("v", np.full(65, -1.0)), "v: expected numbers >= 0, got -1.0"),
        (replaced("moments", [np.nan, 1.0]), "moments: expected finite numbers, got NaN or infinity"),
        (replaced("moments", [0.0, -1.0]), "moments: expected a deviation >= 0, got -1.0"),
        (
            replaced("counters", [3, -1, 0]),
            "counters: expected a length of observations and counts >= 0, got [3, -1, 0]",
        ),
        (
            replaced("counters", [0, 1, 0]),
            "counters: expected a length of observations and counts >= 0, got [0, 1, 0]",
        ),
    ],
)
def test_wrong_states_change_nothing(spoil: Callable[[dict[str, np.ndarray]], None], message: str) -> None:
    batch, targets = problem()
    baseline, other = network(), network()
    baseline.fit(batch, targets)
    other.fit(batch, -targets)
    before, state = other.state(), baseline.state()
    spoil(state)
    with pytest.raises(ValueError) as caught:
        other.load_state(state)
    assert str(caught.value) == message
    for name, value in before.items():
        assert_same_bits(other.state()[name], value)


# ---- threads ----


@pytest.mark.light
@pytest.mark.usefixtures("restore_threads")
def test_results_do_not_depend_on_the_number_of_threads(dtype: np.dtype) -> None:
    batch = batch_of([6000], dim=3)
    targets = batch.obs[:, 0]
    values = []
    for num_threads in (1, 2, 3):
        pgcore.set_num_threads(num_threads)
        baseline = network(dtype=dtype, hidden=(32, 32), n_epochs=1, batch_size=500)
        baseline.fit(batch, targets)
        values.append(baseline.values(batch, targets))
    assert_same_bits(values[1], values[0])
    assert_same_bits(values[2], values[0])


def test_several_threads_may_ask_for_values() -> None:
    batch = batch_of([4000], dim=3)
    baseline = network(hidden=(32, 32), n_epochs=1)
    baseline.normalizer = ObservationNormalizer(3)
    baseline.normalizer.update(batch.obs)
    baseline.fit(batch, batch.obs[:, 0])
    expected = baseline.predict(batch.obs)
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: baseline.predict(batch.obs), range(40)):
            assert_same_bits(values, expected)
