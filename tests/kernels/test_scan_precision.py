"""Recursions over long times, with coefficients above 1, and with ratios beyond the range of floats."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels, reference
from pgcore.kernels import cumulative_log_ratios, gae, reward_to_go, vtrace, weighted_reward_to_go
from support.oracles import assert_same_bits

LONG = 1_000_000


def columns(x: np.ndarray, num_columns: int) -> np.ndarray:
    return x if num_columns == 0 else np.repeat(x[:, None], num_columns, axis=1)


@pytest.mark.light
@pytest.mark.parametrize("num_columns", [0, 2])
@pytest.mark.parametrize("gamma", [1.0, 0.999999])
def test_single_precision_does_not_drift(num_columns: int, gamma: float) -> None:
    """A million equal rewards: a sum in float32 is percents off, and so is a rounded discount."""
    reward = np.float32(0.1)
    steps = np.arange(LONG, 0, -1)
    exact = float(reward) * (steps if gamma == 1 else -np.expm1(steps * np.log(gamma)) / (1 - gamma))
    r = columns(np.full(LONG, reward), num_columns)
    zero = np.zeros_like(r)
    sums = {
        "reward_to_go": reward_to_go(r, gamma),
        "gae": gae(r, zero, gamma, 1.0)[0],
        "gae targets": gae(r, zero, gamma, 1.0)[1],
        "vtrace": vtrace(r, zero, zero, gamma)[1],
        "weighted": weighted_reward_to_go(r, zero, gamma),
    }
    if gamma == 1.0:
        sums["cumulative"] = cumulative_log_ratios(r, direction="future") + r
    for name, result in sums.items():
        assert result.dtype == np.float32
        error = np.abs(result / columns(exact, num_columns) - 1).max()
        assert error < 1e-6, name


@pytest.mark.parametrize("shape", [(700,), (700, 3), (60,)], ids=str)
@pytest.mark.parametrize("gamma", [0.99, 0.996, 1.0])
def test_single_precision_agrees_with_double(
    shape: tuple[int, ...], gamma: float, rng: np.random.Generator
) -> None:
    """Both sides of the discount at which float32 is carried in double."""
    r, v = (rng.random(shape).astype(np.float32) for _ in range(2))
    log_rho = -0.01 * rng.random(shape).astype(np.float32)
    wide = [x.astype(np.float64) for x in (r, v, log_rho)]
    for narrow, exact in (
        (reward_to_go(r, gamma), reference.reward_to_go(wide[0], gamma)),
        (gae(r, v, gamma, 1.0)[1], reference.gae(wide[0], wide[1], gamma, 1.0)[1]),
        (vtrace(r, v, log_rho, gamma)[1], reference.vtrace(*wide, gamma)[1]),
        (weighted_reward_to_go(r, log_rho, gamma), reference.weighted_reward_to_go(wide[0], wide[2], gamma)),
    ):
        np.testing.assert_allclose(narrow, exact, rtol=2e-5)


@pytest.mark.light
@pytest.mark.parametrize("shape", [(600,), (511,), (600, 2), (30, 300)], ids=str)
def test_exact_zeros_stay_where_coefficients_grow(
    lib: ModuleType, dtype: np.dtype, shape: tuple[int, ...]
) -> None:
    """A perfect critic: every temporal difference is exactly 0, so nothing may be added to its values."""
    v, r = np.full(shape, 5.3, dtype), np.zeros(shape, dtype)
    bootstrap = np.full(shape[1:], 5.3, dtype)
    for size in (0.1, 5.0, 100.0):
        log_rho = np.full(shape, size, dtype)
        advantages, targets = lib.vtrace(
            r, v, log_rho, 1.0, bootstrap_values=bootstrap, rho_clip=None, c_clip=None
        )
        assert_same_bits(targets, v)
        assert_same_bits(advantages, r)
        for result in lib.weighted_reward_to_go(r, log_rho, 1.0), lib.reward_to_go(r, 1.5):
            assert_same_bits(result, r)
    advantages, targets = lib.gae(r, v, 1.0, 1.7, bootstrap_values=bootstrap)
    assert_same_bits(advantages, r)
    assert_same_bits(targets, v)


def growing(name: str, lib: ModuleType, p: dict[str, Any], gamma: float) -> np.ndarray:
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap"]}
    if name == "reward_to_go":
        return lib.reward_to_go(p["r"], gamma, **cut)
    if name == "gae":
        return lib.gae(p["r"], p["v"], gamma, 1.3, **cut)[0]
    if name == "weighted":
        return lib.weighted_reward_to_go(p["r"], p["x"], gamma, **cut)
    return lib.vtrace(p["r"], p["v"], p["x"], gamma, rho_clip=None, c_clip=None, **cut)[1]


@pytest.mark.parametrize("name", ["reward_to_go", "gae", "vtrace", "weighted"])
@pytest.mark.parametrize("gamma", [1.1, -1.3, 30.0])
@pytest.mark.parametrize("num_rows", [40, 1500])
def test_one_column_agrees_with_several_where_coefficients_grow(
    name: str, gamma: float, num_rows: int, rng: np.random.Generator
) -> None:
    """Up to overflow, infinity and the NaN of their differences."""
    p = {key: rng.random(num_rows) for key in ("r", "v", "bootstrap")} | {"x": 0.3 + rng.random(num_rows)}
    p["ends"] = rng.random(num_rows) < 0.003
    one = growing(name, kernels, p, gamma)
    two = growing(name, kernels, {key: columns(x, 2) for key, x in p.items()}, gamma)
    with np.errstate(all="ignore"):
        expected = growing(name, reference, p, gamma)
    np.testing.assert_allclose(one, two[:, 0], rtol=1e-9)
    np.testing.assert_allclose(one, expected, rtol=1e-9)


# ---- ratios beyond the range of floats ----

OVERFLOWS = [  # rewards, log-ratios, G_0
    ([1, 0, 0, 5], [0, 50, 50, -100], 6),
    ([1, 0, 5], [0, 90, -90], 6),
    ([1, 0, 0], [0, 800, 0], 1),
    ([1, 0, 5], [0, 800, -800], 6),
    ([1, 0, 5], [0, -800, 800], 6),
    ([1] + [0] * 39 + [5], [0] + [-60] * 20 + [60] * 20, 6),
    ([1] + [0] * 39 + [5], [0] + [60] * 20 + [-60] * 20, 6),
    ([1, 0, 5], [0, 1e5, -1e5], 6),
    ([1, 5], [0, -np.inf], 1),
    ([1, 5], [0, 800], np.inf),
]


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize(("rewards", "log_ratios", "expected"), OVERFLOWS)
@pytest.mark.parametrize("num_columns", [0, 3])
@pytest.mark.parametrize("padding", [0, 700])
def test_products_that_leave_the_range_of_floats_and_come_back(
    lib: ModuleType,
    dtype: np.dtype,
    rewards: list[float],
    log_ratios: list[float],
    expected: float,
    num_columns: int,
    padding: int,
) -> None:
    """Neither ∞·0 nor an underflow on the way; also in long columns, and beside ordinary ones."""
    r, x = (columns(np.r_[a, np.zeros(padding)].astype(dtype), num_columns) for a in (rewards, log_ratios))
    ends = np.zeros(r.shape, bool)
    ends[len(rewards) - 1] = True
    if num_columns:
        x[:, 1] = 0
    result = lib.weighted_reward_to_go(r, x, 1.0, ends=ends)
    np.testing.assert_allclose(result[0] if num_columns == 0 else result[0, 0], expected, rtol=2e-6)
    if num_columns:
        assert result[0, 1] == sum(rewards)
    # V-trace without clips: d_t = ρ_t δ_t + c_t d_{t+1}, which weighs the reward of step u by ρ_0 ⋯ ρ_u.
    later = r.copy()
    later[0] = 0
    free = {"rho_clip": None, "c_clip": None}
    first = lib.vtrace(later, np.zeros_like(r), x, 1.0, ends=ends, **free)[1]
    value = first[0] if num_columns == 0 else first[0, 0]
    np.testing.assert_allclose(value, expected - rewards[0], rtol=2e-6)


@pytest.mark.parametrize("num_rows", [3, 700])
@pytest.mark.parametrize("num_columns", [0, 2])
def test_infinite_coefficients_at_ends_are_not_read(lib: ModuleType, num_rows: int, num_columns: int) -> None:
    """At an end c̄ multiplies nothing: ∞·0 must not arise."""
    r, v = np.ones(num_rows), np.zeros(num_rows)
    ends, x = np.zeros(num_rows, bool), np.zeros(num_rows)
    ends[0], x[0] = True, 1000.0
    r, v, x, ends = (columns(a, num_columns) for a in (r, v, x, ends))
    advantages, targets = lib.vtrace(r, v, x, 0.9, ends=ends, c_clip=None)
    assert (targets[0] == 1).all()
    assert (advantages[0] == 1).all()


# ---- any byte but 0 is true ----


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize("byte", [1, 2, 3, 128, 255])
@pytest.mark.parametrize("shape", [(40,), (700,), (40, 3)], ids=str)
def test_ends_of_any_byte(
    dtype: np.dtype, byte: int, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    flags = rng.random(shape) < 0.2
    odd = np.where(flags, byte, 0).astype(np.uint8).view(bool)
    r, v, bootstrap = (rng.normal(size=shape).astype(dtype) for _ in range(3))
    x = 0.1 * v
    for call in (
        lambda e: (reward_to_go(r, 0.9, ends=e, bootstrap_values=bootstrap),),
        lambda e: gae(r, v, 1.0, 0.9, ends=e, bootstrap_values=bootstrap),
        lambda e: vtrace(r, v, x, 0.9, ends=e),
        lambda e: (weighted_reward_to_go(r, x, 1.0, ends=e, bootstrap_values=bootstrap),),
        *(
            lambda e, d=d: (cumulative_log_ratios(x, ends=e, direction=d),)
            for d in ("past", "future", "trajectory")
        ),
    ):
        for result, expected in zip(call(odd), call(flags), strict=True):
            assert_same_bits(result, expected)
