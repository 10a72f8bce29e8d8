"""reward_to_go, gae and vtrace: against explicit sums, the reference, and one another."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcore import kernels, reference
from support import oracles
from support.oracles import assert_close, assert_same_bits
from support.scan_problems import call, every_function, problem

SHAPES = [(0,), (1,), (2,), (3,), (17,), (100,), (0, 3), (4, 0), (1, 1), (1, 5), (5, 1), (7, 3), (33, 17)]
# Around the lengths at which the kernel changes its ways with one column, and rows wider than a block.
LONG_SHAPES = [(511,), (512,), (1024,), (1025,), (1026,), (1041,), (5003,), (1300, 1), (600, 2), (9, 300)]


def sums(name: str, p: dict[str, Any], gamma: float = 0.95, **options: Any) -> tuple[Any, ...]:
    """The same by explicit sums."""
    if name == "reward_to_go":
        return (oracles.reward_to_go_sums(p["rewards"], gamma, p["ends"], p["bootstrap_values"]),)
    if name == "gae":
        lam = options.get("lam", 0.9)
        return oracles.gae_sums(p["rewards"], p["values"], gamma, lam, p["ends"], p["bootstrap_values"])
    return oracles.vtrace_sums(
        p["rewards"], p["values"], p["log_ratios"], gamma, p["ends"], p["bootstrap_values"], **options
    )


# ---- the definition ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_function
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_explicit_sums(
    lib: ModuleType, name: str, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    for result, expected in zip(call(lib, name, p), sums(name, p), strict=True):
        assert result.dtype == dtype
        assert_close(result, expected)


@pytest.mark.covering(2)
@pytest.mark.light
@every_function
@pytest.mark.parametrize("shape", LONG_SHAPES, ids=str)
@pytest.mark.parametrize(("density", "gamma"), [(0.0, 1.0), (0.003, 0.99), (0.5, 1.0), (1.0, 0.9)])
def test_equals_reference_on_long_columns(
    name: str, shape: tuple[int, ...], density: float, gamma: float, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, density=density)
    for result, expected in zip(call(kernels, name, p, gamma), call(reference, name, p, gamma), strict=True):
        assert_close(result, expected)


@pytest.mark.light
@every_function
@pytest.mark.parametrize("shape", [(5003,), (600, 2), (64, 300)], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.05])
def test_float32_is_close_to_float64(
    name: str, shape: tuple[int, ...], density: float, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, np.float32, density)
    wide = {key: x.astype(np.float64) if x.dtype == np.float32 else x for key, x in p.items()}
    for result, expected in zip(call(kernels, name, p), call(reference, name, wide), strict=True):
        assert_close(result, expected)


@pytest.mark.covering(2)
@every_function
@pytest.mark.parametrize("shape", [(23, 4), (23,)], ids=str)
@pytest.mark.parametrize("given", [(), ("ends",), ("bootstrap_values",)], ids=str)
def test_without_ends_or_bootstrap_values(
    lib: ModuleType,
    name: str,
    shape: tuple[int, ...],
    given: tuple[str, ...],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    p = problem(rng, shape, dtype)
    for key in {"ends", "bootstrap_values"} - set(given):
        p[key] = None
    for result, expected in zip(call(lib, name, p), sums(name, p), strict=True):
        assert result.dtype == dtype
        assert_close(result, expected)


@every_function
@pytest.mark.parametrize("shape", [(900,), (600, 2)], ids=str)
@pytest.mark.parametrize("given", [(), ("ends",), ("bootstrap_values",)], ids=str)
def test_without_ends_or_bootstrap_values_in_long_columns(
    name: str, shape: tuple[int, ...], given: tuple[str, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape, density=0.01)
    for key in {"ends", "bootstrap_values"} - set(given):
        p[key] = None
    for result, expected in zip(call(kernels, name, p), call(reference, name, p), strict=True):
        assert_close(result, expected)


@every_function
@pytest.mark.parametrize("shape", [(12,), (12, 3), (700,), (1,), (1, 3), (0,), (0, 2)], ids=str)
def test_one_row_of_bootstrap_values_belongs_to_the_last_row(
    lib: ModuleType, name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    row = rng.normal(size=shape[1:])
    bootstrap = np.zeros(shape)
    bootstrap[-1:] = row
    for last_only, full in zip(
        call(lib, name, {**p, "bootstrap_values": row}),
        call(lib, name, {**p, "bootstrap_values": bootstrap}),
        strict=True,
    ):
        assert_same_bits(last_only, full)


@pytest.mark.parametrize("shape", [(40,), (30, 3), (800,)], ids=str)
@pytest.mark.parametrize(
    ("rho_clip", "c_clip"), [(None, None), (2.0, 0.5), (None, 1.0), (0.0, None), (np.inf, 1.1)]
)
def test_vtrace_limits(
    lib: ModuleType,
    shape: tuple[int, ...],
    rho_clip: float | None,
    c_clip: float | None,
    rng: np.random.Generator,
) -> None:
    p = problem(rng, shape)
    options: dict[str, Any] = {"rho_clip": rho_clip, "c_clip": c_clip}
    for result, expected in zip(call(lib, "vtrace", p, **options), sums("vtrace", p, **options), strict=True):
        assert_close(result, expected)


def test_worked_example(lib: ModuleType) -> None:
    """Two segments by hand: the first terminates, the second is cut with a value of 8."""
    rewards, ends, bootstrap = [1.0, 2.0, 4.0], [False, True, False], [np.nan, 0.0, 8.0]
    returns = lib.reward_to_go(rewards, 0.5, ends=ends, bootstrap_values=bootstrap)
    np.testing.assert_array_equal(returns, [2.0, 2.0, 8.0])
    advantages, targets = lib.gae(rewards, [1.0, 1.0, 1.0], 0.5, 0.5, ends=ends, bootstrap_values=bootstrap)
    np.testing.assert_array_equal(advantages, [0.75, 1.0, 7.0])
    np.testing.assert_array_equal(targets, [1.75, 2.0, 8.0])
    half = np.log([0.5, 1.0, 0.5])
    advantages, targets = lib.vtrace(
        rewards, [1.0, 1.0, 1.0], half, 0.5, ends=ends, bootstrap_values=bootstrap
    )
    np.testing.assert_allclose(targets, [1.5, 2.0, 4.5], rtol=1e-15)
    np.testing.assert_allclose(advantages, [0.5, 1.0, 3.5], rtol=1e-15)


# ---- identities ----


@pytest.mark.parametrize("shape", [(50,), (40, 7), (900,)], ids=str)
def test_gae_with_lambda_one_is_reward_to_go_minus_value(
    lib: ModuleType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    advantages, targets = call(lib, "gae", p, 0.97, lam=1.0)
    (returns,) = call(lib, "reward_to_go", p, 0.97)
    assert_close(advantages, returns - p["values"], 1e-12)
    assert_close(targets, returns, 1e-12)


@pytest.mark.parametrize("shape", [(50,), (40, 7), (900,)], ids=str)
def test_gae_with_lambda_zero_is_the_temporal_difference(
    lib: ModuleType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    ends = p["ends"].copy()
    ends[-1] = True
    following = np.where(ends, p["bootstrap_values"], np.roll(p["values"], -1, axis=0))
    advantages, _ = call(lib, "gae", p, 0.97, lam=0.0)
    assert_close(advantages, p["rewards"] + 0.97 * following - p["values"], 1e-12)


@pytest.mark.parametrize("shape", [(50,), (40, 7), (900,)], ids=str)
def test_vtrace_with_equal_policies_is_the_lambda_one_return(
    lib: ModuleType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape) | {"log_ratios": np.zeros(shape)}
    advantages, targets = call(lib, "vtrace", p)
    (returns,) = call(lib, "reward_to_go", p)
    assert_close(targets, returns, 1e-12)
    assert_close(advantages, returns - p["values"], 1e-12)


@every_function
def test_gamma_zero_and_negative(lib: ModuleType, name: str, rng: np.random.Generator) -> None:
    p = problem(rng, (40, 3))
    for gamma in (0.0, -0.5, 1.5):
        for result, expected in zip(call(lib, name, p, gamma), sums(name, p, gamma), strict=True):
            assert_close(result, expected)


# ---- segments do not see one another ----


@every_function
@pytest.mark.parametrize("num_rows", [60, 900])
def test_batch_is_the_concatenation_of_its_segments(
    lib: ModuleType, name: str, num_rows: int, rng: np.random.Generator
) -> None:
    p = problem(rng, (num_rows,), density=0.02)
    together = call(lib, name, p)
    for segment in oracles.segments(p["ends"], num_rows):
        alone = {key: x[segment.start : segment.stop] for key, x in p.items()}
        for whole, part in zip(together, call(lib, name, alone), strict=True):
            assert_close(whole[segment.start : segment.stop], part, 1e-12)


@pytest.mark.covering(2)
@every_function
@pytest.mark.parametrize("shape", [(60,), (900,), (60, 5)], ids=str)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e308])
def test_bad_numbers_stay_in_their_segment(
    lib: ModuleType, name: str, shape: tuple[int, ...], poison: float, rng: np.random.Generator
) -> None:
    """A bad number in a segment changes nothing in others, be they before it, after it or beside it."""
    p = problem(rng, shape)
    ends = np.zeros(shape, bool)
    ends[[19, 39]] = True
    p |= {"ends": ends, "bootstrap_values": np.where(ends, p["bootstrap_values"], np.nan)}
    p["bootstrap_values"] = np.nan_to_num(p["bootstrap_values"])
    clean = call(lib, name, p)
    victims: list[Any] = [slice(20, 40)] if len(shape) == 1 else [(slice(20, 40), 2)]
    for key in ("rewards", "values", "log_ratios"):
        bad = {k: x.copy() for k, x in p.items()}
        bad[key][victims[0]] = poison
        untouched = np.ones(shape, bool)
        untouched[victims[0]] = False
        with np.errstate(all="ignore"):
            spoilt = call(lib, name, bad)
        for before, after in zip(clean, spoilt, strict=True):
            assert_close(after[untouched], before[untouched], 1e-13)


@every_function
@pytest.mark.parametrize("shape", [(60,), (900,), (60, 5)], ids=str)
def test_unread_bootstrap_values_do_not_matter(
    lib: ModuleType, name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    unread = np.isnan(p["bootstrap_values"])
    for filler in (0.0, np.inf, 1e300):
        filled = {**p, "bootstrap_values": np.where(unread, filler, p["bootstrap_values"])}
        for result, expected in zip(call(lib, name, filled), call(lib, name, p), strict=True):
            assert_same_bits(result, expected)


@every_function
def test_nan_flows_to_the_start_of_its_segment(lib: ModuleType, name: str, rng: np.random.Generator) -> None:
    for num_rows in (60, 900):
        p = problem(rng, (num_rows,), density=0.0)
        p["ends"][29] = True
        p["bootstrap_values"][29] = 0.0
        p["rewards"][num_rows // 2] = np.nan
        for result in call(lib, name, p):
            bad = np.isnan(result)
            assert bad[30 : num_rows // 2 + 1].all()
            assert not bad[:30].any()
            assert not bad[num_rows // 2 + 1 :].any()


def test_infinite_ratios_are_clipped(lib: ModuleType, dtype: np.dtype, rng: np.random.Generator) -> None:
    """exp(89) is infinite in float32, and min(1, ∞) is 1."""
    for num_rows in (5, 900):
        p = problem(rng, (num_rows,), dtype)
        huge = {**p, "log_ratios": np.full(num_rows, 1e4, dtype)}
        ones = {**p, "log_ratios": np.zeros(num_rows, dtype)}
        for result, expected in zip(call(lib, "vtrace", huge), call(lib, "vtrace", ones), strict=True):
            assert_close(result, expected, 1e-6 if dtype == np.float32 else 1e-14)


def test_nan_ratios_are_not_clipped_away(lib: ModuleType) -> None:
    advantages, targets = lib.vtrace([1.0, 1.0], [0.0, 0.0], [0.0, np.nan], 0.9)
    assert np.isnan(targets).all()
    assert np.isnan(advantages).tolist() == [True, True]


# ---- properties ----

floats = st.floats(-1e3, 1e3, width=64)


@st.composite
def small_problems(draw: st.DrawFn) -> dict[str, Any]:
    num_rows, num_columns = draw(st.integers(0, 9)), draw(st.integers(1, 4))
    shape = (num_rows,) if num_columns == 4 else (num_rows, num_columns)
    size = int(np.prod(shape))

    def array(elements: st.SearchStrategy[Any]) -> np.ndarray:
        return np.array(draw(st.lists(elements, min_size=size, max_size=size))).reshape(shape)

    return {
        "rewards": array(floats).astype(float),
        "values": array(floats).astype(float),
        "log_ratios": array(st.floats(-3, 3)).astype(float),
        "ends": array(st.booleans()).astype(bool),
        "bootstrap_values": array(floats).astype(float),
    }


@pytest.mark.light
@every_function
@given(p=small_problems(), gamma=st.floats(0.0, 1.0))
def test_any_small_problem(name: str, p: dict[str, Any], gamma: float) -> None:
    for result, expected in zip(call(kernels, name, p, gamma), sums(name, p, gamma), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


@given(p=small_problems(), scale=st.floats(-10, 10), gamma=st.floats(-1, 1))
def test_linear_in_rewards_and_bootstrap_values(p: dict[str, Any], scale: float, gamma: float) -> None:
    scaled = {**p, "rewards": scale * p["rewards"], "bootstrap_values": scale * p["bootstrap_values"]}
    np.testing.assert_allclose(
        call(kernels, "reward_to_go", scaled, gamma)[0],
        scale * call(kernels, "reward_to_go", p, gamma)[0],
        rtol=1e-9,
        atol=1e-8,
    )
