"""One call of every public kernel, and of every form that its arguments can have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pgcore import kernels

SIZES = [3, 4, 2]


class Call(NamedTuple):
    """A kernel with arguments by name: arrays are of one dtype where they hold floats."""

    kernel: Callable[..., Any]
    arguments: dict[str, Any]

    def __call__(self, **changes: Any) -> Any:
        return self.kernel(**{**self.arguments, **changes})

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {name: x for name, x in self.arguments.items() if isinstance(x, np.ndarray)}

    @property
    def floats(self) -> dict[str, np.ndarray]:
        return {name: x for name, x in self.arrays.items() if x.dtype.kind == "f"}


def _along_time(a: dict[str, Any], *names: str) -> dict[str, dict[str, Any]]:
    """The arguments of kernels along time, for several columns and for one."""
    several = {name: a[name] for name in names}
    return {"": several, " column": {name: np.ascontiguousarray(x[:, 0]) for name, x in several.items()}}


def calls(dtype: Any, rows: int = 5, columns: int = 3) -> dict[str, Call]:
    """Calls by the kernel's name and what is special about them."""
    rng = np.random.default_rng(20261128)
    dtype = np.dtype(dtype)

    def floats(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    a: dict[str, Any] = {name: floats(rows, columns) for name in ("r", "v", "l", "next", "boot", "p", "q")}
    a["gamma"] = rng.uniform(0.5, 1.0, (rows, columns)).astype(dtype)
    a["ends"] = rng.random((rows, columns)) < 0.4
    tril = np.tril(floats(columns, columns)) * dtype.type(0.1) + np.eye(columns, dtype=dtype)
    log_std, log_stds = floats(columns), floats(rows, columns)
    choices = rng.integers(columns, size=rows)
    net = kernels.MLP(SIZES, dtype=dtype)
    theta, tangent, x, c = (
        net.init(0),
        floats(net.num_params),
        floats(rows, SIZES[0]),
        floats(rows, SIZES[-1]),
    )

    found: dict[str, Call] = {}
    for form, b in _along_time(a, *a).items():
        ends, boot = {"ends": b["ends"]}, {"ends": b["ends"], "bootstrap_values": b["boot"]}
        row = {"bootstrap_values": b["boot"][-1:].reshape(b["boot"].shape[1:])}
        for name, kernel, arguments in [
            ("affine_scan", kernels.affine_scan, {"x": b["r"], "c": b["gamma"], **boot}),
            ("affine_scan forward", kernels.affine_scan, {"x": b["r"], "c": 0.9, "direction": "forward"}),
            ("reward_to_go", kernels.reward_to_go, {"rewards": b["r"], "gamma": 0.9, **boot}),
            ("reward_to_go of a row", kernels.reward_to_go, {"rewards": b["r"], "gamma": b["gamma"], **row}),
            (
                "n_step_return",
                kernels.n_step_return,
                {"rewards": b["r"], "values": b["v"], "gamma": 0.9, "n": 2, **ends},
            ),
            ("gae", kernels.gae, {"rewards": b["r"], "values": b["v"], "gamma": 0.9, "lam": 0.8, **boot}),
            (
                "gae next_values",
                kernels.gae,
                {
                    "rewards": b["r"],
                    "values": b["v"],
                    "gamma": b["gamma"],
                    "lam": 1.0,
                    "next_values": b["next"],
                },
            ),
            (
                "vtrace",
                kernels.vtrace,
                {"rewards": b["r"], "values": b["v"], "log_ratios": b["l"], "gamma": 0.9, **boot}
                | {"lam": b["gamma"], "rho_clip": 1.5, "c_clip": None, "pg_rho_clip": 2.0},
            ),
            (
                "cumulative_log_ratios",
                kernels.cumulative_log_ratios,
                {"log_ratios": b["l"], "direction": "future", **ends},
            ),
            (
                "weighted_reward_to_go",
                kernels.weighted_reward_to_go,
                {"rewards": b["r"], "log_ratios": b["l"], "gamma": 0.9, **boot},
            ),
            ("effective_sample_size", kernels.effective_sample_size, {"log_weights": b["l"]}),
        ]:
            found[name + form] = Call(kernel, arguments)

    p, q = a["p"], a["q"]
    for form, spread in {
        "": {"log_std": log_std},
        " rows": {"log_std": log_stds},
        " full": {"scale_tril": tril},
    }.items():
        (name, value), *_ = spread.items()
        pq = {"mean_p": p, f"{name}_p": value, "mean_q": q, f"{name}_q": value}
        for kernel, arguments in [
            (kernels.gaussian_log_prob, {"actions": p, "mean": q, **spread}),
            (kernels.gaussian_score, {"actions": p, "mean": q, **spread}),
            (kernels.gaussian_kl, pq),
            (kernels.gaussian_entropy, spread),
        ]:
            found[kernel.__name__ + form] = Call(kernel, arguments)
    for kernel, arguments in [
        (kernels.categorical_log_prob, {"actions": choices, "logits": p}),
        (kernels.categorical_score, {"actions": choices, "logits": p}),
        (kernels.categorical_kl, {"logits_p": p, "logits_q": q}),
        (kernels.categorical_entropy, {"logits": p}),
    ]:
        found[kernel.__name__] = Call(kernel, arguments)
    for method, arguments in [
        (net.forward, {"theta": theta, "x": x}),
        (net.vjp, {"theta": theta, "x": x, "cotangent": c}),
        (net.jvp, {"theta": theta, "x": x, "tangent": tangent}),
        (net.per_sample_vjp, {"theta": theta, "x": x, "cotangent": c}),
    ]:
        found[f"MLP {method.__name__}"] = Call(method, arguments)
    state = {"theta": theta, "grad": tangent, "m": tangent, "v": np.square(tangent)}
    found["adam_step"] = Call(_adam_step, {**state, "step": 3, "learning_rate": 0.1})
    return found


def _adam_step(theta: Any, grad: Any, m: Any, v: Any, step: Any, learning_rate: Any) -> Any:
    """On copies: what it changes are its results."""
    changed = [x.copy() if isinstance(x, np.ndarray) else x for x in (theta, m, v)]
    kernels.adam_step(changed[0], grad, *changed[1:], step, learning_rate=learning_rate)
    return tuple(changed)


CALLS = {np.dtype(dtype): calls(dtype) for dtype in (np.float32, np.float64)}
NAMES = list(CALLS[np.dtype(np.float64)])


def takes_out(call: Call) -> bool:
    return "out" in inspect.signature(call.kernel).parameters


def results_of(returned: Any) -> tuple[Any, ...]:
    return returned if isinstance(returned, tuple) else (returned,)
