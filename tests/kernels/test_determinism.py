"""Bits do not depend on the number of threads, on where arrays lie in memory, or on who calls from where."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pgcore
from pgcore import kernels
from support.oracles import assert_same_bits, shifted

Arrays = dict[str, np.ndarray]
Case = Callable[[Arrays], Any]


def arrays(dtype: Any, large: bool) -> Arrays:
    """Inputs for every kernel; `large` is enough for all of them to use threads."""
    rng = np.random.default_rng(7)
    T, N, B, A, K = (260, 301, 20_011, 5, 6) if large else (23, 5, 37, 3, 4)
    column = 70_001 if large else 1_303
    net = kernels.MLP([A, 33, 17, 3], dtype=dtype)
    floats = {
        "rewards": rng.normal(size=(T, N)),
        "values": rng.normal(size=(T, N)),
        "log_ratios": 0.3 * rng.normal(size=(T, N)),
        "bootstrap": rng.normal(size=(T, N)),
        "column": rng.normal(size=column),
        "actions": rng.normal(size=(B, A)),
        "mean": rng.normal(size=(B, A)),
        "log_std": 0.3 * rng.normal(size=A),
        "log_stds": 0.3 * rng.normal(size=(B, A)),
        "tril": np.tril(0.3 * rng.normal(size=(A, A)), -1) + np.eye(A),
        "logits": rng.normal(size=(B, K)),
        "other_logits": rng.normal(size=(B, K)),
        "theta": rng.normal(size=net.num_params),
        "tangent": rng.normal(size=net.num_params),
        "cotangent": rng.normal(size=(B, 3)),
        "few_x": rng.normal(size=(700, A)),
        "few_cotangents": rng.normal(size=(700, 3)),
        "matrix": np.cov(rng.normal(size=(100, 600))) + np.eye(100),
        "b": rng.normal(size=100),
    }
    result = {key: value.astype(dtype) for key, value in floats.items()}
    result["ends"] = rng.random((T, N)) < 0.02
    result["column_ends"] = rng.random(column) < 0.002
    result["choices"] = rng.integers(0, K, size=B)
    return result


def net_of(a: Arrays) -> kernels.MLP:
    return kernels.MLP([a["actions"].shape[1], 33, 17, 3], dtype=a["theta"].dtype)


def adam(a: Arrays) -> tuple[np.ndarray, ...]:
    theta, m, v = (a["column"].copy() for _ in range(3))
    v *= v
    kernels.adam_step(theta, a["column"], m, v, 3, learning_rate=0.1)
    return theta, m, v


CASES: dict[str, Case] = {
    "reward_to_go": lambda a: kernels.reward_to_go(
        a["rewards"], 0.9, ends=a["ends"], bootstrap_values=a["bootstrap"]
    ),
    "reward_to_go column": lambda a: kernels.reward_to_go(a["column"], 0.99, ends=a["column_ends"]),
    "affine_scan": lambda a: kernels.affine_scan(a["rewards"], a["values"], ends=a["ends"]),
    "affine_scan column": lambda a: kernels.affine_scan(a["column"], 0.99, ends=a["column_ends"]),
    "affine_scan forward": lambda a: kernels.affine_scan(a["column"], 0.9, direction="forward"),
    "n_step_return": lambda a: kernels.n_step_return(a["rewards"], a["values"], 0.9, 5, ends=a["ends"]),
    "gae": lambda a: kernels.gae(a["rewards"], a["values"], 0.9, 0.9, ends=a["ends"]),
    "gae column": lambda a: kernels.gae(a["column"], a["column"], 0.99, 0.9),
    "gae coefficients": lambda a: kernels.gae(
        a["rewards"], a["values"], a["log_ratios"], 0.9, ends=a["ends"]
    ),
    "vtrace": lambda a: kernels.vtrace(a["rewards"], a["values"], a["log_ratios"], 0.9, ends=a["ends"]),
    "cumulative": lambda a: kernels.cumulative_log_ratios(
        a["log_ratios"], ends=a["ends"], direction="future"
    ),
    "weighted": lambda a: kernels.weighted_reward_to_go(a["rewards"], a["log_ratios"], 0.9, ends=a["ends"]),
    "effective_sample_size": lambda a: kernels.effective_sample_size(a["log_ratios"]),
    "gaussian_log_prob": lambda a: kernels.gaussian_log_prob(a["actions"], a["mean"], a["log_std"]),
    "gaussian_log_prob rows": lambda a: kernels.gaussian_log_prob(a["actions"], a["mean"], a["log_stds"]),
    "gaussian_log_prob full": lambda a: kernels.gaussian_log_prob(
        a["actions"], a["mean"], scale_tril=a["tril"]
    ),
    "gaussian_score": lambda a: kernels.gaussian_score(a["actions"], a["mean"], a["log_stds"]),
    "gaussian_score full": lambda a: kernels.gaussian_score(a["actions"], a["mean"], scale_tril=a["tril"]),
    "gaussian_kl": lambda a: kernels.gaussian_kl(a["mean"], a["log_std"], a["actions"], a["log_stds"]),
    "gaussian_kl full": lambda a: kernels.gaussian_kl(
        a["mean"], mean_q=a["actions"], scale_tril_p=a["tril"], scale_tril_q=2 * a["tril"]
    ),
    "gaussian_entropy": lambda a: kernels.gaussian_entropy(a["log_stds"]),
    "categorical_log_prob": lambda a: kernels.categorical_log_prob(a["choices"], a["logits"]),
    "categorical_score": lambda a: kernels.categorical_score(a["choices"], a["logits"]),
    "categorical_kl": lambda a: kernels.categorical_kl(a["logits"], a["other_logits"]),
    "categorical_entropy": lambda a: kernels.categorical_entropy(a["logits"]),
    "mlp forward": lambda a: net_of(a).forward(a["theta"], a["actions"]),
    "mlp vjp": lambda a: net_of(a).vjp(a["theta"], a["actions"], a["cotangent"]),
    "mlp jvp": lambda a: net_of(a).jvp(a["theta"], a["actions"], a["tangent"]),
    "mlp per_sample_vjp": lambda a: net_of(a).per_sample_vjp(a["theta"], a["few_x"], a["few_cotangents"]),
    "conjugate_gradient": lambda a: kernels.conjugate_gradient(a["matrix"], a["b"]).x,
    "adam_step": adam,
}
every_case = pytest.mark.parametrize("case", CASES)


def results(case: str, a: Arrays) -> tuple[np.ndarray, ...]:
    return as_tuple(CASES[case](a))


def assert_same_results(found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one, other)


def test_every_public_function_has_a_case() -> None:
    for name in kernels.__all__:
        if not name.startswith("CG"):
            words = name.lower().replace("cumulative_log_ratios", "cumulative")
            words = words.replace("weighted_reward_to_go", "weighted")
            assert any(case.startswith(words) for case in CASES), name


# ---- threads ----


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def large(request: pytest.FixtureRequest) -> Arrays:
    return arrays(request.param, large=True)


@every_case
@pytest.mark.usefixtures("restore_threads")
def test_same_bits_for_any_number_of_threads(case: str, large: Arrays) -> None:
    pgcore.set_num_threads(1)
    expected = results(case, large)
    for num_threads in (2, 3, 3):
        pgcore.set_num_threads(num_threads)
        assert_same_results(results(case, large), expected)


@pytest.mark.usefixtures("restore_threads")
def test_callers_on_many_threads(large: Arrays) -> None:
    """Calls side by side, on shared inputs and one shared network, give what calls one by one give."""
    pgcore.set_num_threads(1)
    expected = {case: results(case, large) for case in CASES}
    pgcore.set_num_threads(2)
    net = net_of(large)
    forward = net.forward(large["theta"], large["actions"])
    vjp = net.vjp(large["theta"], large["actions"], large["cotangent"])
    with ThreadPoolExecutor(4) as pool:
        futures = [(case, pool.submit(results, case, large)) for _ in range(3) for case in CASES]
        shared = [(pool.submit(net.forward, large["theta"], large["actions"]), forward) for _ in range(6)] + [
            (pool.submit(net.vjp, large["theta"], large["actions"], large["cotangent"]), vjp)
            for _ in range(6)
        ]
        for case, future in futures:
            assert_same_results(future.result(timeout=120), expected[case])
        for future, right in shared:
            assert_same_bits(future.result(timeout=120), right)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # Python 3.12 warns of forks with threads
@pytest.mark.usefixtures("restore_threads")
def test_forked_children(large: Arrays) -> None:
    """A child of a process whose pool has worked gets the same bits, and does not hang."""
    pgcore.set_num_threads(2)
    expected = {case: results(case, large) for case in CASES}
    pid = os.fork()
    if pid == 0:  # in the child: no pytest beyond this point
        status = 1
        try:
            for case, right in expected.items():
                assert_same_results(results(case, large), right)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    assert_same_results(results("mlp vjp", large), expected["mlp vjp"])  # and the parent goes on


# ---- memory ----


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_same_bits_for_any_alignment(case: str, dtype: Any) -> None:
    """Arrays that start 0 to 17 items after a cache line, all alike and each otherwise."""
    plain = arrays(dtype, large=False)
    expected = results(case, {key: shifted(x, 0) for key, x in plain.items()})
    for items in (1, 2, 3, 5, 8, 13, 17):
        assert_same_results(results(case, {key: shifted(x, items) for key, x in plain.items()}), expected)
    mixed = {key: shifted(x, 3 * number % 17) for number, (key, x) in enumerate(plain.items())}
    assert_same_results(results(case, mixed), expected)


def test_same_bits_for_any_alignment_of_out() -> None:
    a = arrays(np.float32, large=False)
    for case, function in (
        ("rewards", kernels.reward_to_go),
        ("column", kernels.reward_to_go),
        ("log_ratios", kernels.cumulative_log_ratios),
    ):
        expected = function(a[case])
        for items in range(9):
            assert_same_bits(function(a[case], out=shifted(a[case], items)), expected)


@every_case
def test_same_bits_again_and_again(case: str) -> None:
    a = arrays(np.float32, large=False)
    expected = results(case, a)
    for _ in range(3):
        assert_same_results(results(case, a), expected)


@pytest.mark.parametrize("name", ["forward", "jvp", "per_sample_vjp"])
def test_rows_of_a_network_do_not_depend_on_others(name: str) -> None:
    """Within 1e-6: a matrix product's last bits depend on its size."""
    a = arrays(np.float32, large=False)
    net = net_of(a)
    third = {"jvp": a["tangent"], "per_sample_vjp": a["cotangent"]}.get(name)

    def call(rows: slice) -> np.ndarray:
        extra = [] if third is None else [third if name == "jvp" else third[rows]]
        return getattr(net, name)(a["theta"], a["actions"][rows], *extra)

    whole = call(slice(None))
    for start in range(0, 30, 7):
        part = call(slice(start, start + 5))
        np.testing.assert_allclose(part, whole[start : start + 5], rtol=0, atol=1e-6 * np.abs(whole).max())


def rows_of_a_density(name: str, width: int, dtype: Any) -> tuple[Case, Arrays]:
    """A density of 37 rows, in arrays whose first axis is the batch."""
    rng = np.random.default_rng(width)
    x, y, log_std = (rng.normal(size=(37, width)).astype(dtype) for _ in range(3))
    actions = np.arange(37) % width
    cases: dict[str, tuple[Case, Arrays]] = {
        "categorical_log_prob": (
            lambda a: kernels.categorical_log_prob(a["actions"], a["x"]),
            {"actions": actions, "x": x},
        ),
        "categorical_score": (
            lambda a: kernels.categorical_score(a["actions"], a["x"]),
            {"actions": actions, "x": x},
        ),
        "categorical_kl": (lambda a: kernels.categorical_kl(a["x"], a["y"]), {"x": x, "y": y}),
        "categorical_entropy": (lambda a: kernels.categorical_entropy(a["x"]), {"x": x}),
        "gaussian_log_prob": (
            lambda a: kernels.gaussian_log_prob(a["x"], a["y"], a["log_std"]),
            {"x": x, "y": y, "log_std": log_std},
        ),
        "gaussian_score": (
            lambda a: kernels.gaussian_score(a["x"], a["y"], a["log_std"]),
            {"x": x, "y": y, "log_std": log_std},
        ),
        "gaussian_entropy": (lambda a: kernels.gaussian_entropy(a["log_std"]), {"log_std": log_std}),
    }
    return cases[name]


@pytest.mark.covering(2)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 9, 16, 33, 300])
@pytest.mark.parametrize(
    "name",
    [
        *("categorical_log_prob", "categorical_score", "categorical_kl", "categorical_entropy"),
        *("gaussian_log_prob", "gaussian_score", "gaussian_entropy"),
    ],
)
def test_rows_of_a_density_do_not_depend_on_others(name: str, width: int, dtype: Any) -> None:
    run, data = rows_of_a_density(name, width, dtype)
    whole = run(data)
    for start, stop in ((0, 1), (5, 6), (36, 37), (3, 20)):
        part = run({key: value[start:stop] for key, value in data.items()})
        for got, expected in zip(as_tuple(part), as_tuple(whole), strict=True):
            assert_same_bits(got, expected[start:stop])


def as_tuple(answer: Any) -> tuple[np.ndarray, ...]:
    return answer if isinstance(answer, tuple) else (answer,)
