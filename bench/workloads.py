"""Fixed work whose instructions `instructions.py` counts: data, sizes and numbers of calls never change.

Run by `instructions.py` under valgrind, or alone as a check that all of them run:

    python bench/workloads.py
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import pgcore
from pgcore import kernels

Run = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """A function to call, made when it is needed."""

    make: Callable[[], Run]
    calls: int
    """In the shorter of two laps."""


# ---- along time ----


def along_time(kernel: Callable[..., object], num_arrays: int, shape: tuple[int, ...], **options: Any) -> Run:
    rng = np.random.default_rng(0)
    arrays = [0.1 * rng.standard_normal(shape, np.float32) for _ in range(num_arrays)]
    ends = rng.random(shape) < 0.01
    return lambda: kernel(*arrays, ends=ends, **options)


def reward_to_go(*shape: int) -> Run:
    return along_time(kernels.reward_to_go, 1, shape, gamma=0.99)


def gae(*shape: int) -> Run:
    return along_time(kernels.gae, 2, shape, gamma=0.99, lam=0.95)


def vtrace(*shape: int) -> Run:
    return along_time(kernels.vtrace, 3, shape, gamma=0.99)


def cumulative_log_ratios(*shape: int) -> Run:
    return along_time(kernels.cumulative_log_ratios, 1, shape)


# ---- distributions, networks, linear systems ----


def gaussian_log_prob() -> Run:
    rng = np.random.default_rng(0)
    actions, mean = rng.standard_normal((2, 2048, 6), np.float32)
    log_std = np.full(6, -0.5, np.float32)
    return lambda: kernels.gaussian_log_prob(actions, mean, log_std)


def categorical_score() -> Run:
    rng = np.random.default_rng(0)
    logits, actions = rng.standard_normal((2048, 6), np.float32), rng.integers(6, size=2048)
    return lambda: kernels.categorical_score(actions, logits)


def network(product: str) -> Run:
    rng = np.random.default_rng(0)
    net = kernels.MLP((17, 64, 64, 6))
    theta, x = net.init(0), rng.standard_normal((64, 17), np.float32)
    cotangent = rng.standard_normal((64, 6), np.float32)
    return {"forward": lambda: net.forward(theta, x), "vjp": lambda: net.vjp(theta, x, cotangent)}[product]


def conjugate_gradient() -> Run:
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((16, 16)) / 4
    A, b = factor @ factor.T + 0.5 * np.eye(16), rng.standard_normal(16)
    return lambda: kernels.conjugate_gradient(A, b)


# ---- policies ----


def gaussian_policy(product: str) -> Run:
    from pgcore.policies import GaussianPolicy

    rng = np.random.default_rng(0)
    policy = GaussianPolicy(17, 6)
    obs = rng.standard_normal((64, 17), np.float32)
    actions, weights = policy.sample(obs, rng)[0], rng.standard_normal(64, np.float32)
    v = rng.standard_normal(policy.num_params, np.float32)
    F = policy.fisher(obs, damping=0.1)
    return {
        "score_product": lambda: policy.score_product(obs, actions, weights),
        "Fisher.matvec": lambda: F.matvec(v),
    }[product]


def predict() -> Run:
    model = pgcore.PPO("CartPole-v1")
    obs = np.array([0.01, -0.02, 0.03, 0.04], np.float32)
    return lambda: model.predict(obs, deterministic=True)


def ppo_epoch() -> Run:
    from pgcore.optim import SurrogateAscent
    from pgcore.policies import CategoricalPolicy

    rng = np.random.default_rng(0)
    policy = CategoricalPolicy(4, 2)
    obs = rng.standard_normal((256, 4), np.float32)
    actions, log_probs = policy.sample(obs, rng)
    advantages, order = rng.standard_normal(256, np.float32), rng.permutation(256)
    ascent = SurrogateAscent(policy)
    return lambda: ascent.epoch(
        obs, actions, advantages, log_probs, order, learning_rate=1e-6, batch_size=64, max_grad_norm=0.5
    )


WORKLOADS = {
    "reward_to_go (128,)": Workload(lambda: reward_to_go(128), 50),
    "reward_to_go (2048, 8)": Workload(lambda: reward_to_go(2048, 8), 10),
    "gae (128,)": Workload(lambda: gae(128), 50),
    "gae (2048, 8)": Workload(lambda: gae(2048, 8), 10),
    "gae (2048, 64)": Workload(lambda: gae(2048, 64), 3),
    "vtrace (128,)": Workload(lambda: vtrace(128), 50),
    "vtrace (2048, 8)": Workload(lambda: vtrace(2048, 8), 10),
    "vtrace (2048, 64)": Workload(lambda: vtrace(2048, 64), 3),
    "cumulative_log_ratios (2048, 8)": Workload(lambda: cumulative_log_ratios(2048, 8), 10),
    "gaussian_log_prob (2048, 6)": Workload(gaussian_log_prob, 10),
    "categorical_score (2048, 6)": Workload(categorical_score, 10),
    "conjugate_gradient n=16": Workload(conjugate_gradient, 50),
    "MLP.forward B=64": Workload(lambda: network("forward"), 10),
    "MLP.vjp B=64": Workload(lambda: network("vjp"), 10),
    "policy.score_product B=64": Workload(lambda: gaussian_policy("score_product"), 10),
    "Fisher.matvec B=64": Workload(lambda: gaussian_policy("Fisher.matvec"), 10),
    "SurrogateAscent.epoch 4×64": Workload(ppo_epoch, 5),
    "PPO.predict one": Workload(predict, 50),
}


# ---- laps ----

MARK = "getppid"  # callgrind starts new figures at each call of this C function, which nothing else calls
LAPS = 3  # of one workload: n calls to begin with, n calls, 2n calls


def main(workloads: Mapping[str, Workload], names: Sequence[str]) -> None:
    """Run each of the named workloads in laps, with a mark after every lap; print their numbers of calls."""
    gc.disable()
    mark = getattr(os, MARK)
    for name in names:
        run, calls = workloads[name].make(), workloads[name].calls
        print(name, calls, sep="\t", flush=True)
        for length in (calls, calls, 2 * calls):
            for _ in range(length):
                run()
            mark()


if __name__ == "__main__":
    main(WORKLOADS, sys.argv[1:] or list(WORKLOADS))
