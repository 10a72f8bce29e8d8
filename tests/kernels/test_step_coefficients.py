"""γ_t and λ_t as arrays, next values, V-trace's λ and its limit of the policy gradient's ratio."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels, reference
from support.oracles import assert_close, assert_same_bits, segments
from support.scan_problems import problem

SHAPES = [(1,), (7,), (700,), (2500,), (1, 4), (40, 1), (600, 2), (33, 3), (60, 8), (20, 17), (9, 300)]

Results = tuple[np.ndarray, ...]


def columns_of(x: Any, n: int) -> Any:
    return x[:, n] if np.ndim(x) == 2 else x


def gae_of_column(p: dict[str, Any], gamma: Any, lam: Any, next_values: Any) -> Results:
    """A_t = Σ_{k ≥ t} (Π_{t ≤ j < k} γ_j λ_j) δ_k, inside each segment."""
    r, v = (np.asarray(p[name], float) for name in ("rewards", "values"))
    advantages = np.zeros(len(r))
    for segment in segments(p["ends"], len(r)):
        after = [*v[segment.start + 1 : segment.stop], p["bootstrap_values"][segment.stop - 1]]
        if next_values is not None:
            after = next_values[segment.start : segment.stop]
        delta = [r[t] + gamma[t] * x - v[t] for t, x in zip(segment, after, strict=True)]
        for t in segment:
            weights = np.cumprod([1.0, *(gamma[t : segment.stop - 1] * lam[t : segment.stop - 1])])
            advantages[t] = np.dot(weights, delta[t - segment.start :])
    return advantages, advantages + v


def vtrace_of_column(
    p: dict[str, Any], gamma: Any, lam: Any, next_values: Any, clips: tuple[float, float, float]
) -> Results:
    """vs_t = v_t + Σ_{k ≥ t} (Π_{t ≤ j < k} γ_j λ_j c̄_j) ρ̄_k δ_k, and the advantages from vs_{t+1}."""
    r, v, log_rho = (np.asarray(p[name], float) for name in ("rewards", "values", "log_ratios"))
    rho_bar, c_bar, pg_bar = (np.minimum(clip, np.exp(log_rho)) for clip in clips)
    targets, advantages = np.zeros(len(r)), np.zeros(len(r))
    for segment in segments(p["ends"], len(r)):
        last = segment.stop - 1
        final = p["bootstrap_values"][last] if next_values is None else next_values[last]
        after = [*v[segment.start + 1 : segment.stop], final]
        if next_values is not None:
            after = next_values[segment.start : segment.stop]
        delta = np.array([r[t] + gamma[t] * x - v[t] for t, x in zip(segment, after, strict=True)])
        weighted = rho_bar[segment.start : segment.stop] * delta
        for t in segment:
            weights = np.cumprod([1.0, *(gamma[t:last] * lam[t:last] * c_bar[t:last])])
            targets[t] = v[t] + np.dot(weights, weighted[t - segment.start :])
        for t in segment:
            follows = final if t == last else targets[t + 1]
            advantages[t] = pg_bar[t] * (r[t] + gamma[t] * follows - v[t])
    return advantages, targets


def by_columns(f: Callable[..., Results], p: dict[str, Any], *arrays: Any, **options: Any) -> Results:
    shape = p["rewards"].shape
    arrays = tuple(None if a is None else np.broadcast_to(np.asarray(a, float), shape) for a in arrays)
    if len(shape) == 1:
        return f(p, *arrays, **options)
    parts = [
        f(
            {name: x[:, n] for name, x in p.items()},
            *(None if a is None else a[:, n] for a in arrays),
            **options,
        )
        for n in range(shape[1])
    ]
    return tuple(np.stack(x, axis=1) for x in zip(*parts, strict=True))


def coefficients(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, high: float) -> np.ndarray:
    """Uniform numbers from −`high` to `high`, some of them 0."""
    c = rng.uniform(-high, high, size=shape)
    c[rng.random(shape) < 0.1] = 0.0
    return c.astype(dtype)


GIVEN = [("gamma",), ("lam",), ("gamma", "lam"), ("next_values",), ("gamma", "next_values"), ()]


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_gae(
    lib: ModuleType, shape: tuple[int, ...], given: tuple[str, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    gamma = coefficients(rng, shape, dtype, 1.05) if "gamma" in given else 0.97
    lam = coefficients(rng, shape, dtype, 1.0) if "lam" in given else 0.9
    cut: dict[str, Any] = {"ends": p["ends"]}
    follows = rng.normal(size=shape).astype(dtype) if "next_values" in given else None
    if follows is None:
        cut["bootstrap_values"] = p["bootstrap_values"]
    else:
        cut["next_values"] = follows
    results = lib.gae(p["rewards"], p["values"], gamma, lam, **cut)
    for result, expected in zip(results, by_columns(gae_of_column, p, gamma, lam, follows), strict=True):
        assert result.dtype == dtype
        assert_close(result, expected)


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("pg_rho_clip", [None, 0.8, np.inf])
def test_vtrace(
    lib: ModuleType,
    shape: tuple[int, ...],
    given: tuple[str, ...],
    pg_rho_clip: float | None,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    p = problem(rng, shape, dtype)
    gamma = coefficients(rng, shape, dtype, 1.05) if "gamma" in given else 0.97
    lam = coefficients(rng, shape, dtype, 1.0) if "lam" in given else 0.9
    cut: dict[str, Any] = {"ends": p["ends"], "lam": lam, "pg_rho_clip": pg_rho_clip, "rho_clip": 1.2}
    follows = rng.normal(size=shape).astype(dtype) if "next_values" in given else None
    if follows is None:
        cut["bootstrap_values"] = p["bootstrap_values"]
    else:
        cut["next_values"] = follows
    results = lib.vtrace(p["rewards"], p["values"], p["log_ratios"], gamma, **cut)
    clips = (1.2, 1.0, 1.2 if pg_rho_clip is None else pg_rho_clip)
    expected = by_columns(vtrace_of_column, p, gamma, lam, follows, clips=clips)
    for result, right in zip(results, expected, strict=True):
        assert result.dtype == dtype
        assert_close(result, right)


@pytest.mark.covering(2)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["reward_to_go", "weighted_reward_to_go"])
def test_reward_to_go(
    lib: ModuleType, shape: tuple[int, ...], name: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    gamma = coefficients(rng, shape, dtype, 1.05)
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    log_rho = p["log_ratios"] if name == "weighted_reward_to_go" else np.zeros(shape, dtype)
    arrays = (p["rewards"], log_rho) if name == "weighted_reward_to_go" else (p["rewards"],)

    def column(p: dict[str, Any], gamma: Any, log_rho: Any) -> Results:
        r, returns = np.asarray(p["rewards"], float), np.zeros(len(gamma))
        for segment in segments(p["ends"], len(r)):
            follows = float(p["bootstrap_values"][segment.stop - 1])
            for t in reversed(segment):
                returns[t] = r[t] + gamma[t] * follows
                follows = np.exp(log_rho[t]) * returns[t]
        return (returns,)

    result = getattr(lib, name)(*arrays, gamma, **cut)
    assert result.dtype == dtype
    assert_close(result, by_columns(column, p, gamma, log_rho)[0])


@pytest.mark.parametrize("name", ["gae", "vtrace"])
@pytest.mark.parametrize("shape", [(600,), (60, 3)], ids=str)
def test_next_values_that_say_the_same_change_nothing(
    lib: ModuleType, name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    p = problem(rng, shape)
    arrays = (p["rewards"], p["values"]) if name == "gae" else (p["rewards"], p["values"], p["log_ratios"])
    rest = (0.9, 0.8) if name == "gae" else (0.9,)
    ends = p["ends"].copy()
    ends[-1:] = True
    shifted = np.concatenate([p["values"][1:], p["values"][:1]])
    follows = np.where(ends, p["bootstrap_values"], shifted)
    expected = getattr(lib, name)(*arrays, *rest, ends=ends, bootstrap_values=p["bootstrap_values"])
    results = getattr(lib, name)(*arrays, *rest, ends=ends, next_values=follows)
    for result, right in zip(results, expected, strict=True):
        assert_close(result, right)


@pytest.mark.parametrize("shape", [(1200,), (300, 8), (40, 33)], ids=str)
@pytest.mark.parametrize("gamma", [1e-5, 50.0, 1e6])
def test_discounts_outside_the_usual_range(
    shape: tuple[int, ...], gamma: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Short segments, so that the answer stays finite."""
    p = problem(rng, shape, dtype, 0.4)
    each = (gamma * rng.uniform(0.5, 1.0, size=shape)).astype(dtype)
    cut = {"ends": p["ends"], "bootstrap_values": p["bootstrap_values"]}
    with np.errstate(over="ignore", invalid="ignore"):
        for name, arrays, rest in (
            ("reward_to_go", (p["rewards"],), ()),
            ("gae", (p["rewards"], p["values"]), (0.9,)),
            ("vtrace", (p["rewards"], p["values"], p["log_ratios"]), ()),
            ("weighted_reward_to_go", (p["rewards"], p["log_ratios"]), ()),
        ):
            results = getattr(kernels, name)(*arrays, each, *rest, **cut)
            expected = getattr(reference, name)(*arrays, each, *rest, **cut)
            if not isinstance(results, tuple):
                results, expected = (results,), (expected,)
            for result, right in zip(results, expected, strict=True):
                assert_close(np.log1p(np.abs(result)), np.log1p(np.abs(right)), 1e-5)


def test_dtypes_together(lib: ModuleType) -> None:
    ones = np.ones(4, np.float32)
    assert lib.gae(ones, ones, 0.9, 0.9)[0].dtype == np.float32
    assert lib.gae(ones, ones, np.full(4, 0.9), 0.9)[0].dtype == np.float64
    assert lib.gae(ones, ones, np.full(4, 0.9, np.float32), 0.9)[0].dtype == np.float32
    assert lib.gae(ones, ones, np.float64(0.9), 0.9)[0].dtype == np.float32  # a number takes their dtype
    assert lib.gae(ones, ones, [0.9] * 4, 0.9)[0].dtype == np.float64


def test_bootstrap_values_beside_next_values_are_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="bootstrap_values: expected None beside next_values, got shape"):
        kernels.gae(ones, ones, 0.9, 0.9, bootstrap_values=ones, next_values=ones)
    with pytest.raises(ValueError, match="bootstrap_values: expected None beside next_values, got shape"):
        kernels.vtrace(ones, ones, ones, 0.9, bootstrap_values=1.0, next_values=ones)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k, x: k.gae(x, x, np.ones(2), 0.9), "gamma: expected shape (3,), got (2,)"),
        (lambda k, x: k.gae(x, x, 0.9, np.ones((3, 1))), "lam: expected shape (3,), got (3, 1)"),
        (lambda k, x: k.gae(x, x, 0.9, 0.9, next_values=1.0), "next_values: expected shape (3,), got ()"),
        (lambda k, x: k.vtrace(x, x, x, 0.9, lam=np.inf), "lam: expected a finite number, got inf"),
        (
            lambda k, x: k.vtrace(x, x, x, 0.9, pg_rho_clip=-1),
            "pg_rho_clip: expected a number >= 0, got -1.0",
        ),
    ],
)
def test_errors(call: Callable[[ModuleType, np.ndarray], Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call(kernels, np.ones(3))
    assert str(caught.value) == message


@pytest.mark.parametrize("shape", [(40,), (40, 3)], ids=str)
def test_results_into_out(shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> None:
    p = problem(rng, shape, dtype)
    r, v, log_rho = p["rewards"], p["values"], p["log_ratios"]
    for call in (
        lambda out: kernels.gae(r, v, 0.9, 0.8, ends=p["ends"], out=out),
        lambda out: kernels.vtrace(r, v, log_rho, 0.9, ends=p["ends"], out=out),
    ):
        expected = call(None)
        out = (np.empty(shape, dtype), np.empty(shape, dtype))
        assert call(out) is out
        for result, right in zip(out, expected, strict=True):
            assert_same_bits(result, right)


def test_results_over_inputs(rng: np.random.Generator) -> None:
    p = problem(rng, (40, 3))
    r, v = p["rewards"].copy(), p["values"].copy()
    expected = kernels.gae(r, v, 0.9, 0.8)
    out = (v, r)
    assert kernels.gae(r, v, 0.9, 0.8, out=out) is out
    for result, right in zip(out, expected, strict=True):
        assert_same_bits(result, right)


def test_errors_of_out_leave_it_as_it_was() -> None:
    ones = np.ones(3)
    good, shared = np.full(3, 7.0), np.full(4, 7.0)
    for out, error, message in (
        ([good, good], TypeError, "out: expected a tuple of two arrays, got list"),
        ((good,), TypeError, "out: expected a tuple of two arrays, got 1 of them"),
        ((good, np.empty(2)), ValueError, r"out\[1\]: expected shape \(3,\), got \(2,\)"),
        ((good, np.empty(3, np.float32)), TypeError, r"out\[1\]: expected float64, got float32"),
        ((shared[:3], shared[1:]), ValueError, "out: expected two arrays with memory of their own"),
    ):
        with pytest.raises(error, match=message):
            kernels.gae(ones, ones, 0.9, 0.9, out=out)
    assert (good == 7.0).all()
    assert (shared == 7.0).all()
