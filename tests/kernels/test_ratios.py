"""cumulative_log_ratios, weighted_reward_to_go, effective_sample_size."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels, reference
from pgcore.kernels import cumulative_log_ratios, effective_sample_size, weighted_reward_to_go
from support import oracles
from support.oracles import assert_close, assert_same_bits
from support.scan_problems import problem

SHAPES = [(0,), (1,), (2,), (17,), (100,), (0, 3), (4, 0), (1, 1), (1, 5), (5, 1), (7, 3), (33, 17)]
LONG_SHAPES = [(511,), (512,), (1026,), (5003,), (600, 2), (9, 300)]
DIRECTIONS = ["past", "future", "trajectory"]
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def weighted(lib: ModuleType, p: dict[str, Any], gamma: float = 0.95) -> Any:
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    return lib.weighted_reward_to_go(p["rewards"], p["log_ratios"], gamma, **cut)


# ---- cumulative_log_ratios ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_direction
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cumulative_equals_explicit_sums(
    lib: ModuleType, direction: str, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    result = lib.cumulative_log_ratios(p["log_ratios"], ends=p["ends"], direction=direction)
    assert result.dtype == dtype
    assert_close(result, oracles.cumulative_sums(p["log_ratios"], p["ends"], direction))


@pytest.mark.covering(2)
@pytest.mark.light
@every_direction
@pytest.mark.parametrize("shape", LONG_SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.01, 1.0])
def test_cumulative_equals_reference(
    direction: str, shape: tuple[int, ...], density: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, density)
    wide = p["log_ratios"].astype(np.float64)
    expected = reference.cumulative_log_ratios(wide, ends=p["ends"], direction=direction)
    assert_close(cumulative_log_ratios(p["log_ratios"], ends=p["ends"], direction=direction), expected)


@every_direction
def test_cumulative_without_ends(lib: ModuleType, direction: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 3))
    expected = oracles.cumulative_sums(x, None, direction)
    assert_close(lib.cumulative_log_ratios(x, direction=direction), expected)


def test_past_is_the_default_and_with_future_makes_the_trajectory(
    lib: ModuleType, rng: np.random.Generator
) -> None:
    p = problem(rng, (50, 3))
    past = lib.cumulative_log_ratios(p["log_ratios"], ends=p["ends"])
    future, trajectory = (
        lib.cumulative_log_ratios(p["log_ratios"], ends=p["ends"], direction=direction)
        for direction in ("future", "trajectory")
    )
    assert_close(past + future, trajectory, 1e-13)


@every_direction
def test_products_that_overflow_are_fine_as_sums(lib: ModuleType, direction: str, dtype: np.dtype) -> None:
    """Hundreds of ratios of e¹⁰⁰: their product is infinite in any float, its logarithm is not."""
    x = np.full(500, 100.0, dtype)
    result = lib.cumulative_log_ratios(x, direction=direction)
    assert np.isfinite(result).all()
    assert result.max() in (5e4, 499 * 100.0)


def test_future_does_not_subtract_infinities(lib: ModuleType) -> None:
    """The future's sum is its own, not the trajectory's minus the past's, which would be −∞ + ∞."""
    result = lib.cumulative_log_ratios([-np.inf, 1.0, 2.0], direction="future")
    np.testing.assert_array_equal(result, [3.0, 2.0, 0.0])


@pytest.mark.covering(2)
@every_direction
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(60,), (60, 4), (900,)], ids=str)
def test_cumulative_bad_numbers_stay_in_their_segment(
    lib: ModuleType, direction: str, poison: float, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    x, ends = rng.normal(size=shape), np.zeros(shape, bool)
    ends[[19, 39]] = True
    clean = lib.cumulative_log_ratios(x, ends=ends, direction=direction)
    victim: Any = slice(20, 40) if len(shape) == 1 else (slice(20, 40), 1)
    x[victim] = poison
    spoilt = lib.cumulative_log_ratios(x, ends=ends, direction=direction)
    untouched = np.ones(shape, bool)
    untouched[victim] = False
    assert_same_bits(spoilt[untouched], clean[untouched])
    assert not np.isfinite(spoilt[victim][:-1]).any()


@every_direction
def test_long_column_keeps_its_precision_in_float32(direction: str, rng: np.random.Generator) -> None:
    """A hundred thousand summands: the sum runs in double."""
    x = np.full(100_003, 0.1, np.float32)
    exact = np.float64(np.float32(0.1))
    counts = {
        "past": np.arange(1, len(x) + 1),
        "future": np.arange(len(x) - 1, -1, -1),
        "trajectory": np.full(len(x), len(x)),
    }[direction]
    np.testing.assert_allclose(cumulative_log_ratios(x, direction=direction), exact * counts, rtol=1e-6)


def test_cumulative_out_may_be_the_input(rng: np.random.Generator) -> None:
    for direction in DIRECTIONS:
        p = problem(rng, (700, 2))
        expected = cumulative_log_ratios(p["log_ratios"], ends=p["ends"], direction=direction)
        out = p["log_ratios"]
        assert cumulative_log_ratios(out, ends=p["ends"], direction=direction, out=out) is out
        assert_same_bits(out, expected)
        fresh = np.empty_like(expected)
        assert cumulative_log_ratios(expected, ends=p["ends"], direction=direction, out=fresh) is fresh
        assert_same_bits(fresh, cumulative_log_ratios(expected, ends=p["ends"], direction=direction))


# ---- weighted_reward_to_go ----


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weighted_equals_explicit_sums(
    lib: ModuleType, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    result = weighted(lib, p)
    assert result.dtype == dtype
    expected = oracles.weighted_reward_to_go_sums(
        p["rewards"], p["log_ratios"], 0.95, p["ends"], p["bootstrap_values"]
    )
    assert_close(result, expected)


@pytest.mark.covering(2)
@pytest.mark.light
@pytest.mark.parametrize("shape", LONG_SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.01, 1.0])
def test_weighted_equals_reference(
    shape: tuple[int, ...], density: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, density)
    wide = {key: x.astype(np.float64) if x.dtype == np.float32 else x for key, x in p.items()}
    assert_close(weighted(kernels, p), weighted(reference, wide))


def test_weighted_without_ends_and_with_one_row_of_bootstrap_values(
    lib: ModuleType, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, (20, 3), dtype)
    row = rng.normal(size=3).astype(dtype)
    for bootstrap in (None, row):
        result = lib.weighted_reward_to_go(p["rewards"], p["log_ratios"], 0.9, bootstrap_values=bootstrap)
        expected = oracles.weighted_reward_to_go_sums(p["rewards"], p["log_ratios"], 0.9, None, bootstrap)
        assert result.dtype == dtype
        assert_close(result, expected)


@pytest.mark.parametrize("shape", [(50,), (40, 7), (900,)], ids=str)
def test_weighted_with_equal_policies_is_reward_to_go(
    lib: ModuleType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape) | {"log_ratios": np.zeros(shape)}
    expected = lib.reward_to_go(p["rewards"], 0.95, ends=p["ends"], bootstrap_values=p["bootstrap_values"])
    assert_close(weighted(lib, p), expected, 1e-13)


def test_weighted_by_past_products(lib: ModuleType, rng: np.random.Generator) -> None:
    """Π_{t'≤t} ρ · G_t = Σ_{k≥t} γ^{k−t} (Π_{t'≤k} ρ) r_k: reward-to-go of rewards weighted by the past."""
    p = problem(rng, (40, 3)) | {"bootstrap_values": None}
    past = np.exp(lib.cumulative_log_ratios(p["log_ratios"], ends=p["ends"]))
    expected = lib.reward_to_go(past * p["rewards"], 0.9, ends=p["ends"])
    result = lib.weighted_reward_to_go(p["rewards"], p["log_ratios"], 0.9, ends=p["ends"])
    assert_close(past * result, expected, 1e-12)


@pytest.mark.parametrize("shape", [(60,), (900,), (60, 5)], ids=str)
def test_weighted_does_not_read_first_ratios_and_inner_bootstrap_values(
    lib: ModuleType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    first = np.roll(p["ends"], 1, axis=0)
    first[0] = True
    for filler in (np.nan, np.inf, 1e4):
        odd = {**p, "log_ratios": np.where(first, filler, p["log_ratios"])}
        odd["bootstrap_values"] = np.where(np.isnan(p["bootstrap_values"]), filler, p["bootstrap_values"])
        assert_same_bits(weighted(lib, odd), weighted(lib, p))


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", [(60,), (900,), (60, 5)], ids=str)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize("key", ["rewards", "log_ratios"])
def test_weighted_bad_numbers_stay_in_their_segment(
    lib: ModuleType, shape: tuple[int, ...], poison: float, key: str, rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    p["ends"][...] = False
    p["ends"][[19, 39]] = True
    p["bootstrap_values"] = np.nan_to_num(p["bootstrap_values"])
    clean = weighted(lib, p)
    victim: Any = slice(20, 40) if len(shape) == 1 else (slice(20, 40), 1)
    p[key][victim] = poison
    with np.errstate(all="ignore"):
        spoilt = weighted(lib, p)
    untouched = np.ones(shape, bool)
    untouched[victim] = False
    assert_close(spoilt[untouched], clean[untouched], 1e-13)


@pytest.mark.parametrize("num_rows", [60, 900])
def test_weighted_batch_is_the_concatenation_of_its_segments(
    lib: ModuleType, num_rows: int, rng: np.random.Generator
) -> None:
    p = problem(rng, (num_rows,), density=0.02)
    together = weighted(lib, p)
    for segment in oracles.segments(p["ends"], num_rows):
        alone = weighted(lib, {key: x[segment.start : segment.stop] for key, x in p.items()})
        assert_close(together[segment.start : segment.stop], alone, 1e-12)


@pytest.mark.parametrize("spread", [0.05, 3.0])
def test_weighted_long_column(spread: float, rng: np.random.Generator) -> None:
    """Against plain Python floats; with a spread of 3 products of ratios over- and underflow on the way."""
    n, gamma = 100_003, 0.99
    p = problem(rng, (n,), density=1e-3)
    p["log_ratios"] = spread * rng.normal(size=n)
    r, bootstrap, ends = p["rewards"].tolist(), p["bootstrap_values"].tolist(), p["ends"].tolist()
    rho = np.exp(p["log_ratios"]).tolist()
    expected = [0.0] * n
    following = 0.0
    ends[-1] = True
    for t in reversed(range(n)):
        expected[t] = r[t] + gamma * (bootstrap[t] if ends[t] else following)
        following = rho[t] * expected[t]
    result, right = weighted(kernels, p, gamma), np.array(expected)
    for segment in oracles.segments(p["ends"], n):
        rows = slice(segment.start, segment.stop)
        np.testing.assert_allclose(result[rows], right[rows], rtol=1e-9, atol=1e-9)


# ---- how arrays come in ----


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", oracles.AWKWARD)
@pytest.mark.parametrize("shape", [(9, 5), (40,), (0, 3)], ids=str)
def test_awkward_arrays(form: str, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> None:
    p = problem(rng, shape, dtype)
    q = {key: oracles.AWKWARD[form](x) for key, x in p.items()}
    before = {key: x.tobytes() for key, x in q.items()}
    assert_same_bits(weighted(kernels, q), weighted(kernels, p))
    for direction in DIRECTIONS:
        assert_same_bits(
            cumulative_log_ratios(q["log_ratios"], ends=q["ends"], direction=direction),
            cumulative_log_ratios(p["log_ratios"], ends=p["ends"], direction=direction),
        )
    np.testing.assert_array_equal(
        effective_sample_size(q["log_ratios"]), effective_sample_size(p["log_ratios"])
    )
    assert {key: x.tobytes() for key, x in q.items()} == before


@pytest.mark.parametrize(
    ("function", "arguments", "options", "error", "message"),
    [
        (
            cumulative_log_ratios,
            ([1.0],),
            {"direction": "backwards"},
            ValueError,
            "direction: expected 'past', 'future' or 'trajectory', got 'backwards'",
        ),
        (
            cumulative_log_ratios,
            ([1.0],),
            {"direction": ["past"]},
            ValueError,
            "direction: expected 'past', 'future' or 'trajectory', got ['past']",
        ),
        (
            cumulative_log_ratios,
            (1.0,),
            {},
            ValueError,
            "log_ratios: expected shape (T,) or (T, N), got ()",
        ),
        (
            cumulative_log_ratios,
            ([1.0],),
            {"ends": [[True]]},
            ValueError,
            "ends: expected shape (1,), got (1, 1)",
        ),
        (
            weighted_reward_to_go,
            ([1.0, 2.0], [1.0]),
            {},
            ValueError,
            "log_ratios: expected shape (2,), got (1,)",
        ),
        (
            weighted_reward_to_go,
            ([1.0], [1.0], 1j),
            {},
            TypeError,
            "gamma: expected a real number, got complex",
        ),
        (
            effective_sample_size,
            (np.zeros((1, 1, 1)),),
            {},
            ValueError,
            "log_weights: expected shape (T,) or (T, N), got (1, 1, 1)",
        ),
        (
            effective_sample_size,
            (["a"],),
            {},
            TypeError,
            "log_weights: expected float32 or float64 (or integers), got <U1",
        ),
    ],
)
def test_errors(
    function: Any, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert str(caught.value) == message
