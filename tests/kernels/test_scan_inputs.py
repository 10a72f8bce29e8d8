"""reward_to_go, gae and vtrace: arrays of every kind, `out`, and what is said of wrong arguments."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pgcore import kernels
from pgcore.kernels import gae, reward_to_go, vtrace
from support import oracles
from support.oracles import assert_same_bits
from support.scan_problems import call, every_function, problem

# ---- how arrays come in and go out ----


@pytest.mark.covering(2)
@every_function
@pytest.mark.parametrize("form", oracles.AWKWARD)
@pytest.mark.parametrize("shape", [(9, 5), (40,), (0, 3), (1, 1)], ids=str)
def test_awkward_arrays(
    name: str, form: str, shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    p = problem(rng, shape, dtype)
    make = oracles.AWKWARD[form]
    awkward = {key: make(x) for key, x in p.items()}
    before = {key: x.tobytes() for key, x in awkward.items()}
    for result, expected in zip(call(kernels, name, awkward), call(kernels, name, p), strict=True):
        assert_same_bits(result, expected)
        assert result.flags.c_contiguous
        assert result.flags.writeable
    assert {key: x.tobytes() for key, x in awkward.items()} == before


@every_function
def test_lists(name: str, rng: np.random.Generator) -> None:
    p = problem(rng, (9, 5))
    lists = {key: x.tolist() for key, x in p.items()}
    for result, expected in zip(call(kernels, name, lists), call(kernels, name, p), strict=True):
        assert_same_bits(result, expected)


def test_ends_as_integers(rng: np.random.Generator) -> None:
    p = problem(rng, (30, 2))
    expected = reward_to_go(p["rewards"], 0.9, ends=p["ends"])
    for kind in (np.uint8, np.int64, np.int8, bool):
        assert_same_bits(reward_to_go(p["rewards"], 0.9, ends=p["ends"].astype(kind)), expected)


def test_bootstrap_value_as_a_plain_number_keeps_the_dtype(lib: ModuleType) -> None:
    ones = np.ones(3, np.float32)
    assert_same_bits(lib.reward_to_go(ones, bootstrap_values=2.0), np.array([5, 4, 3], np.float32))
    assert lib.gae(ones, ones, 0.9, 0.9, bootstrap_values=1)[0].dtype == np.float32
    assert lib.reward_to_go(ones, bootstrap_values=np.float64(2.0)).dtype == np.float64


def test_out() -> None:
    rewards, out = np.arange(5.0), np.empty(5)
    assert reward_to_go(rewards, 0.5, out=out) is out
    np.testing.assert_array_equal(out, reward_to_go(rewards, 0.5))


@pytest.mark.parametrize("num_rows", [6, 3000])
def test_out_may_share_memory_with_inputs(num_rows: int, rng: np.random.Generator) -> None:
    """In place, shifted by a row either way, over the bootstrap values: always the right numbers."""
    p = problem(rng, (num_rows,))
    cut = {"ends": p["ends"], "bootstrap_values": np.nan_to_num(p["bootstrap_values"])}
    expected = reward_to_go(p["rewards"], 0.9, **cut)
    for offset_in, offset_out in ((0, 0), (0, 1), (1, 0), (3, 0)):
        memory = np.empty(num_rows + 3)
        source = memory[offset_in : offset_in + num_rows]
        source[...] = p["rewards"]
        target = memory[offset_out : offset_out + num_rows]
        result = reward_to_go(source, 0.9, **cut, out=target)
        assert result is target
        assert_same_bits(result, expected)
    for offset_bootstrap, offset_out in ((0, 0), (1, 0), (0, 1)):
        memory = np.empty(num_rows + 1)
        bootstrap = memory[offset_bootstrap : offset_bootstrap + num_rows]
        bootstrap[...] = cut["bootstrap_values"]
        target = memory[offset_out : offset_out + num_rows]
        reward_to_go(p["rewards"], 0.9, ends=p["ends"], bootstrap_values=bootstrap, out=target)
        assert_same_bits(target, expected)
    memory = np.empty(num_rows)
    ends = memory.view(bool)[-num_rows:]
    ends[...] = p["ends"]
    assert_same_bits(
        reward_to_go(p["rewards"], 0.9, ends=ends, bootstrap_values=cut["bootstrap_values"], out=memory),
        expected,
    )


# ---- errors ----

ONES = np.ones(3)


@pytest.mark.parametrize(
    ("function", "arguments", "options", "error", "message"),
    [
        (reward_to_go, (1.0,), {}, ValueError, "rewards: expected shape (T,) or (T, N), got ()"),
        (
            reward_to_go,
            (np.ones((2, 2, 2)),),
            {},
            ValueError,
            "rewards: expected shape (T,) or (T, N), got (2, 2, 2)",
        ),
        (reward_to_go, (ONES, np.nan), {}, ValueError, "gamma: expected a finite number, got nan"),
        (reward_to_go, (ONES, np.inf), {}, ValueError, "gamma: expected a finite number, got inf"),
        (reward_to_go, (ONES, "0.9"), {}, TypeError, "gamma: expected a real number, got str"),
        (reward_to_go, (ONES,), {"ends": [0, 1]}, ValueError, "ends: expected shape (3,), got (2,)"),
        (
            reward_to_go,
            (ONES,),
            {"ends": [0, 2, 1]},
            ValueError,
            "ends: expected booleans or integers 0 and 1, got 2",
        ),
        (
            reward_to_go,
            (ONES,),
            {"ends": [0.0, 1.0, 0.0]},
            TypeError,
            "ends: expected booleans or integers 0 and 1, got float64",
        ),
        (
            reward_to_go,
            (ONES,),
            {"bootstrap_values": [1.0, 2.0]},
            ValueError,
            "bootstrap_values: expected shape (3,) or (), got (2,)",
        ),
        (
            reward_to_go,
            (np.ones((3, 2)),),
            {"bootstrap_values": 1.0},
            ValueError,
            "bootstrap_values: expected shape (3, 2) or (2,), got ()",
        ),
        (gae, (ONES, [1.0, 2.0], 0.9, 0.9), {}, ValueError, "values: expected shape (3,), got (2,)"),
        (
            gae,
            (ONES, None, 0.9, 0.9),
            {},
            TypeError,
            "values: expected float32 or float64 (or integers), got object",
        ),
        (gae, (ONES, ONES, 0.9, np.nan), {}, ValueError, "lam: expected a finite number, got nan"),
        (gae, (ONES, ONES, 0.9, None), {}, TypeError, "lam: expected a real number, got NoneType"),
        (vtrace, (ONES, ONES, [1.0], 0.9), {}, ValueError, "log_ratios: expected shape (3,), got (1,)"),
        (
            vtrace,
            (ONES, ONES, ONES, 0.9),
            {"rho_clip": -1.0},
            ValueError,
            "rho_clip: expected a number >= 0, got -1.0",
        ),
        (
            vtrace,
            (ONES, ONES, ONES, 0.9),
            {"c_clip": np.nan},
            ValueError,
            "c_clip: expected a number >= 0, got nan",
        ),
    ],
)
def test_errors(
    function: Any, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert str(caught.value) == message
