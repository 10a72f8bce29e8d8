"""affine_scan and n_step_return: against sums written out, the returns they make up, and awkward numbers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels, reference
from support import oracles
from support.oracles import assert_close, assert_same_bits, by_column, full_bootstrap_values, segments

SHAPES = [
    (0,),
    (1,),
    (2,),
    (17,),
    (700,),
    (0, 3),
    (4, 0),
    (1, 5),
    (40, 1),
    (40, 2),
    (33, 3),
    (33, 8),
    (20, 17),
]
LONG_SHAPES = [
    (511,),
    (1025,),
    (5003,),
    (1300, 1),
    (700, 2),
    (700, 3),
    (300, 8),
    (100, 16),
    (9, 300),
    (40, 2049),
]


def problem(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64, density: float = 0.2
) -> dict[str, Any]:
    """Random arrays, ends, and bootstrap values that are NaN wherever they must not be read."""
    ends = rng.random(shape) < density
    bootstrap = rng.normal(size=shape).astype(dtype)
    read = ends.copy()
    read[-1:] = True
    bootstrap[~read] = np.nan
    return {
        "x": rng.normal(size=shape).astype(dtype),
        "c": rng.uniform(-1.1, 1.1, size=shape).astype(dtype),
        "ends": ends,
        "bootstrap_values": bootstrap,
    }


# ---- affine_scan ----


def backward_sums(x: Any, c: Any, ends: Any, bootstrap: Any) -> np.ndarray:
    """Σ_{k ≥ t} (Π_{t ≤ j < k} c_j) x_k inside the segment, and Π c times its bootstrap value."""

    def column(x: Any, c: Any, end: Any, bootstrap: Any) -> tuple[np.ndarray]:
        y = np.zeros(len(x))
        for segment in segments(end, len(x)):
            for t in segment:
                terms = [*x[t : segment.stop], bootstrap[segment.stop - 1]]
                y[t] = np.dot(np.cumprod([1.0, *c[t : segment.stop]]), terms)
        return (y,)

    x, c = np.asarray(x, float), np.broadcast_to(np.asarray(c, float), np.shape(x))
    return by_column(column, x, c, ends, full_bootstrap_values(bootstrap, x.shape))[0]


def forward_sums(x: Any, c: Any, ends: Any) -> np.ndarray:
    """Σ_{k ≤ t} (Π_{k < j ≤ t} c_j) x_k inside the segment."""

    def column(x: Any, c: Any, end: Any) -> tuple[np.ndarray]:
        y = np.zeros(len(x))
        for segment in segments(end, len(x)):
            for t in segment:
                factors = np.cumprod([1.0, *c[segment.start + 1 : t + 1][::-1]])
                y[t] = np.dot(factors, x[segment.start : t + 1][::-1])
        return (y,)

    x, c = np.asarray(x, float), np.broadcast_to(np.asarray(c, float), np.shape(x))
    return by_column(column, x, c, ends)[0]


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_backward_equals_sums(
    lib: ModuleType, shape: tuple[int, ...], density: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, density)
    y = lib.affine_scan(**p)
    assert y.dtype == dtype
    assert_close(y, backward_sums(p["x"], p["c"], p["ends"], p["bootstrap_values"]))


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_forward_equals_sums(
    lib: ModuleType, shape: tuple[int, ...], density: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, density)
    y = lib.affine_scan(p["x"], p["c"], ends=p["ends"], direction="forward")
    assert y.dtype == dtype
    assert_close(y, forward_sums(p["x"], p["c"], p["ends"]))


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", LONG_SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.01])
@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_equals_reference_on_long_columns(
    shape: tuple[int, ...], density: float, direction: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, density)
    p["c"] = rng.uniform(-1.0, 1.0, size=shape).astype(dtype)
    cut = {"ends": p["ends"], "direction": direction}
    if direction == "backward":
        cut["bootstrap_values"] = p["bootstrap_values"]
    assert_close(kernels.affine_scan(p["x"], p["c"], **cut), reference.affine_scan(p["x"], p["c"], **cut))


@pytest.mark.parametrize("shape", [(700,), (700, 3)], ids=str)
def test_a_number_is_the_same_coefficient_everywhere(
    lib: ModuleType, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    everywhere = np.full(shape, 0.75, dtype)
    for direction in ("backward", "forward"):
        number = lib.affine_scan(p["x"], 0.75, ends=p["ends"], direction=direction)
        assert_close(number, lib.affine_scan(p["x"], everywhere, ends=p["ends"], direction=direction), 1e-6)


@pytest.mark.parametrize("shape", [(700,), (700, 3)], ids=str)
def test_returns_are_affine_scans(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    p = problem(rng, shape)
    v, cut = rng.normal(size=shape), {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    assert_close(kernels.affine_scan(p["x"], 0.9, **cut), kernels.reward_to_go(p["x"], 0.9, **cut))
    one_step = kernels.n_step_return(p["x"], v, 0.9, 1, **cut) - v
    advantages, _ = kernels.gae(p["x"], v, 0.9, 0.8, **cut)
    assert_close(kernels.affine_scan(one_step, 0.9 * 0.8, ends=p["ends"]), advantages)


@pytest.mark.parametrize("shape", [(1500,), (1500, 2), (300, 8), (40, 33)], ids=str)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_coefficients_of_any_size(
    shape: tuple[int, ...], scale: float, direction: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Every second coefficient undoes the one before: products of two are moderate, the answer too."""
    c = np.where(np.arange(shape[0]) % 2 == 0, scale, 0.9 / scale)
    c = np.broadcast_to(c.reshape(-1, *[1] * (len(shape) - 1)), shape).astype(dtype)
    x = np.zeros(shape, dtype)
    x[-1 if direction == "backward" else 0] = 1.0
    y = kernels.affine_scan(x, c, direction=direction)
    with np.errstate(all="ignore"):
        wide = reference.affine_scan(
            x.astype(np.longdouble).astype(float), c.astype(float), direction=direction
        )
        assert_close(y, wide.astype(dtype), 1e-4 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("shape", [(1100,), (1100, 2), (300, 8), (40, 33)], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_what_is_not_finite_stays_in_its_segment(
    shape: tuple[int, ...], bad: float, direction: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, 0.05)
    for name in ("x", "c"):
        spoilt = {**p, name: p[name].copy()}
        spoilt[name][shape[0] // 2] = bad
        arguments = {"ends": p["ends"], "direction": direction}
        if direction == "backward":
            arguments["bootstrap_values"] = p["bootstrap_values"]
        with np.errstate(invalid="ignore", over="ignore"):
            expected = reference.affine_scan(spoilt["x"], spoilt["c"], **arguments)
        assert not np.isfinite(expected).all()
        assert_close(kernels.affine_scan(spoilt["x"], spoilt["c"], **arguments), expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of what is selected away
def test_where_nothing_follows_the_coefficient_is_not_read(lib: ModuleType) -> None:
    ones, c, ends = np.ones(4), [1.0, np.inf, 0.5, np.nan], [0, 1, 0, 1]
    assert_same_bits(lib.affine_scan(ones, c, ends=ends), np.array([2.0, 1.0, 1.5, 1.0]))
    forward = lib.affine_scan(ones, c[::-1], ends=ends, direction="forward")
    assert_same_bits(forward, np.array([1.0, 1.5, 1.0, 2.0]))
    # With bootstrap values it is: of the last row alone, or of all ends.
    last = lib.affine_scan(ones, c, ends=ends, bootstrap_values=0.0)
    assert_same_bits(np.isnan(last), np.array([False, False, True, True]))
    every = lib.affine_scan(ones, c, ends=ends, bootstrap_values=np.zeros(4))
    assert np.isnan(every).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.ones(3), np.ones(2)), {}, ValueError, "c: expected shape (3,), got (2,)"),
        ((np.ones(3), np.inf), {}, ValueError, "c: expected a finite number, got inf"),
        ((np.ones(3), "1"), {}, TypeError, "c: expected a real number, got str"),
        (
            (np.ones(3), 1.0),
            {"direction": "past"},
            ValueError,
            "direction: expected 'backward' or 'forward', got 'past'",
        ),
        (
            (np.ones(3), 1.0),
            {"direction": "forward", "bootstrap_values": 1.0},
            ValueError,
            "bootstrap_values: expected None in direction 'forward', got an array",
        ),
        ((1.0, 1.0), {}, ValueError, "x: expected shape (T,) or (T, N), got ()"),
    ],
)
def test_errors(arguments: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        kernels.affine_scan(*arguments, **options)
    assert str(caught.value) == message


# ---- n_step_return ----


def n_step_sums(r: Any, v: Any, gamma: Any, n: int, ends: Any, bootstrap: Any) -> np.ndarray:
    """Σ_{k < m} (Π γ) r_{t+k} + (Π γ) times what follows, with m = n or what is left of the segment."""

    def column(r: Any, v: Any, gamma: Any, end: Any, bootstrap: Any) -> tuple[np.ndarray]:
        y = np.zeros(len(r))
        for segment in segments(end, len(r)):
            for t in segment:
                stop = min(t + n, segment.stop)
                after = v[stop] if stop < segment.stop else bootstrap[segment.stop - 1]
                y[t] = np.dot(np.cumprod([1.0, *gamma[t:stop]]), [*r[t:stop], after])
        return (y,)

    r, gamma = np.asarray(r, float), np.broadcast_to(np.asarray(gamma, float), np.shape(r))
    v = np.asarray(v, float)
    return by_column(column, r, v, gamma, ends, full_bootstrap_values(bootstrap, r.shape))[0]


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 5, 16, 1000, 2**62])
@pytest.mark.parametrize("each", [False, True])
def test_n_step_return_equals_sums(
    lib: ModuleType, shape: tuple[int, ...], n: int, each: bool, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    v = rng.normal(size=shape).astype(dtype)
    gamma = p["c"] if each else 0.9
    y = lib.n_step_return(p["x"], v, gamma, n, ends=p["ends"], bootstrap_values=p["bootstrap_values"])
    assert y.dtype == dtype
    assert_close(y, n_step_sums(p["x"], v, gamma, n, p["ends"], p["bootstrap_values"]))


@pytest.mark.parametrize("shape", [(3000,), (3000, 3), (50, 300)], ids=str)
def test_n_step_return_of_large_arrays(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype, 0.02)
    v = rng.normal(size=shape).astype(dtype)
    for n in (1, 7, 40):
        cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
        result = kernels.n_step_return(p["x"], v, 0.97, n, **cut)
        assert_close(result, reference.n_step_return(p["x"], v, 0.97, n, **cut))


def test_n_step_return_of_all_steps_is_the_reward_to_go(
    lib: ModuleType, rng: np.random.Generator, dtype: np.dtype
) -> None:
    p = problem(rng, (60, 2), dtype)
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    nowhere = np.full((60, 2), np.nan, dtype)  # no value is read
    assert_close(lib.n_step_return(p["x"], nowhere, 0.9, 60, **cut), lib.reward_to_go(p["x"], 0.9, **cut))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_n_step_return_reads_no_further_than_n_steps(lib: ModuleType, bad: float) -> None:
    r, v = np.ones(40), np.ones(40)
    r[20], v[30] = bad, bad
    spoilt = ~np.isfinite(lib.n_step_return(r, v, 0.5, 3))
    assert np.flatnonzero(spoilt).tolist() == [18, 19, 20, 27]


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n: expected an integer >= 1, got 0"),
        (-2, ValueError, "n: expected an integer >= 1, got -2"),
        (2.0, TypeError, "n: expected an integer, got float"),
        (None, TypeError, "n: expected an integer, got NoneType"),
        (2**70, ValueError, f"n: expected an integer of 64 bits, got {2**70}"),
    ],
)
def test_errors_of_n(n: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        kernels.n_step_return(np.ones(3), np.ones(3), 0.9, n)
    assert str(caught.value) == message


def test_awkward_arrays(rng: np.random.Generator, dtype: np.dtype) -> None:
    p = problem(rng, (9, 5), dtype)
    v = rng.normal(size=(9, 5)).astype(dtype)
    expected = kernels.n_step_return(p["x"], v, p["c"], 3, ends=p["ends"])
    scanned = kernels.affine_scan(p["x"], p["c"], ends=p["ends"])
    for make in oracles.AWKWARD.values():
        given = [make(a) for a in (p["x"], v, p["c"], p["ends"])]
        assert_same_bits(kernels.n_step_return(given[0], given[1], given[2], 3, ends=given[3]), expected)
        assert_same_bits(kernels.affine_scan(given[0], given[2], ends=given[3]), scanned)


# ---- with fewer bootstrap values ----


@pytest.mark.parametrize("shape", [(17,), (700,), (33, 3), (33, 8), (60, 40)], ids=str)
@pytest.mark.parametrize("of", ["the last row", "nothing"])
def test_ends_without_bootstrap_values(
    lib: ModuleType, shape: tuple[int, ...], of: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    v = rng.normal(size=shape).astype(dtype)
    bootstrap = p["bootstrap_values"][-1] if of == "the last row" else None
    cut = {"ends": p["ends"], "bootstrap_values": bootstrap}
    for c in (0.9, p["c"]):
        assert_close(lib.affine_scan(p["x"], c, **cut), backward_sums(p["x"], c, p["ends"], bootstrap))
        for n in (1, 3, 20):
            expected = n_step_sums(p["x"], v, c, n, p["ends"], bootstrap)
            assert_close(lib.n_step_return(p["x"], v, c, n, **cut), expected)
