"""reward_to_go, gae and vtrace of one long column, which the kernels take in blocks: against a plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore import kernels
from pgcore.kernels import reward_to_go
from support import oracles
from support.oracles import assert_close
from support.scan_problems import call, every_function, problem

LONG = 100_003


def python_loop(name: str, p: dict[str, Any], gamma: float, lam: float = 0.9) -> list[np.ndarray]:
    """The recursions in plain Python floats, which neither block nor reorder anything."""
    r, v, bootstrap = (p[key].tolist() for key in ("rewards", "values", "bootstrap_values"))
    ends = p["ends"].tolist()
    ends[-1] = True
    rho = np.minimum(np.exp(p["log_ratios"]), 1.0).tolist()
    first, second = [0.0] * len(r), [0.0] * len(r)
    after, v_after = 0.0, 0.0
    for t in reversed(range(len(r))):
        if name == "reward_to_go":
            first[t] = r[t] + gamma * (bootstrap[t] if ends[t] else after)
            second[t] = first[t]
        elif name == "gae":
            delta = r[t] + gamma * (bootstrap[t] if ends[t] else v_after) - v[t]
            first[t] = delta + gamma * lam * (0.0 if ends[t] else after)
            second[t] = first[t] + v[t]
        else:
            delta = r[t] + gamma * (bootstrap[t] if ends[t] else v_after) - v[t]
            first[t] = rho[t] * (r[t] + gamma * (bootstrap[t] if ends[t] else after) - v[t])
            second[t] = v[t] + rho[t] * delta + gamma * rho[t] * (0.0 if ends[t] else after - v_after)
        after, v_after = second[t] if name == "vtrace" else first[t], v[t]
    return [np.array(first)] if name == "reward_to_go" else [np.array(first), np.array(second)]


@every_function
@pytest.mark.parametrize(
    ("density", "gamma"), [(0.0, 1.0), (0.0, 0.999), (1e-3, 0.99), (0.5, 1.0), (1.0, 0.9), (1e-3, 0.0)]
)
def test_long_column(name: str, density: float, gamma: float, rng: np.random.Generator) -> None:
    p = problem(rng, (LONG,), density=density)
    for result, expected in zip(call(kernels, name, p, gamma), python_loop(name, p, gamma), strict=True):
        assert_close(result, expected)


@every_function
def test_long_column_of_equal_rewards(name: str) -> None:
    """Constant rewards without an end: a returns' sum of 100,003 equal terms, in closed form for γ = 1."""
    p = {
        "rewards": np.full(LONG, 0.1),
        "values": np.zeros(LONG),
        "log_ratios": np.zeros(LONG),
        "ends": np.zeros(LONG, bool),
        "bootstrap_values": np.zeros(LONG),
    }
    expected = 0.1 * np.arange(LONG, 0, -1)
    assert_close(call(kernels, name, p, 1.0, **({"lam": 1.0} if name == "gae" else {}))[0], expected)
    single = {key: x if x.dtype == bool else x.astype(np.float32) for key, x in p.items()}
    result = call(kernels, name, single, 1.0, **({"lam": 1.0} if name == "gae" else {}))[0]
    assert_close(result, np.float64(np.float32(0.1)) * np.arange(LONG, 0, -1))


@every_function
@pytest.mark.parametrize("gamma", [1.0, 0.99])
def test_long_column_with_bad_numbers(name: str, gamma: float, rng: np.random.Generator) -> None:
    """Infinities, NaN and numbers whose sums overflow flow as they do in the plain recursion."""
    p = problem(rng, (LONG,), density=2e-4)
    for t, value in zip(
        rng.integers(0, LONG, 24), [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 1e300] * 4, strict=True
    ):
        p["rewards"][t] = value
        p["values"][rng.integers(0, LONG)] = value
    with np.errstate(all="ignore"):
        expected = python_loop(name, p, gamma)
    for result, right in zip(call(kernels, name, p, gamma), expected, strict=True):
        for segment in oracles.segments(p["ends"], LONG):  # rounding is relative to what a segment holds
            assert_close(result[segment.start : segment.stop], right[segment.start : segment.stop])


@pytest.mark.parametrize("gamma", [1.0, 1.01, -1.0, 0.5])
@pytest.mark.parametrize("num_rows", [600, 5000])
def test_overflow_where_only_a_regrouped_sum_would(gamma: float, num_rows: int) -> None:
    """Alternating huge rewards: running sums stay finite although sums of neighbours may not."""
    rewards = np.tile([1.0e308, 1.0e308, -1.0e308, -1.0e308], num_rows // 4)
    zeros = np.zeros(num_rows)
    p = {"rewards": rewards, "values": zeros, "log_ratios": zeros}
    p |= {"ends": zeros.astype(bool), "bootstrap_values": zeros}
    p["rewards"][-1] = 0.5e308
    (expected,) = python_loop("reward_to_go", p, gamma)
    np.testing.assert_allclose(reward_to_go(rewards, gamma), expected, rtol=1e-12)
