"""Environment steps per second of whole training runs, of pgcore and of other libraries.

    python bench/compare_throughput.py ppo-cartpole trpo-cartpole trpo-halfcheetah
    python bench/compare_throughput.py trpo-envpool ppo-pendulum

Both libraries get the same environment, number of copies, steps and passes: the other library's defaults.
Runs take turns in one process; the median of each is printed. The other libraries are in the extra ``peers``;
without it only pgcore is timed. RLtools is compiled in its first run, which is not counted.

"Stepping alone" is gymnasium's own vector environment (or EnvPool) with random actions. MuJoCo takes longer
the more the body moves, so that steps with the policy's actions can be slower: "in env.step" is the share of
pgcore's run that is spent there. pgcore has a vector environment of its own (docs/decisions/0008-no-info.md).
"""

from __future__ import annotations

import argparse
import importlib
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

import pgcore
from pgcore.benchmarks import describe

Train = Callable[[], int]


@dataclass(frozen=True)
class Contest:
    """A training run: an environment, and the same settings on both sides."""

    env_id: str
    num_envs: int
    steps: int
    ours: dict[str, Any]
    theirs: dict[str, Any]
    algorithm: str
    peer: str = "Stable-Baselines3"
    backend: str = "sync"


PPO = {"n_steps": 256, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4}
TRPO = {"n_steps": 2048, "batch_size": 128, "n_critic_updates": 10, "cg_max_steps": 15, "learning_rate": 1e-3}
RLTOOLS = {  # what rltools.PPO does unless told otherwise
    "n_steps": 64,
    "batch_size": 64,
    "n_epochs": 10,
    "learning_rate": 1e-3,
    "ent_coef": 0.01,
    "init_log_std": math.log(0.5),
    "hidden": (64, 64),
    "activation": "relu",
}
CONTESTS = {
    "ppo-cartpole": Contest("CartPole-v1", 8, 20_480, PPO, PPO, "PPO"),
    "trpo-cartpole": Contest("CartPole-v1", 8, 32_768, TRPO, TRPO, "TRPO"),
    "trpo-halfcheetah": Contest("HalfCheetah-v5", 1, 16_384, TRPO, TRPO, "TRPO"),
    "trpo-envpool": Contest(
        "HalfCheetah-v5", 8, 65_536, {**TRPO, "n_steps": 256}, {}, "TRPO", peer="", backend="envpool"
    ),
    "ppo-pendulum": Contest("Pendulum-v1", 64, 98_304, RLTOOLS, {}, "PPO", peer="RLtools"),
}


def ours(contest: Contest, backend: str, shares: list[float]) -> Train:
    def run() -> int:
        started, inside = time.perf_counter(), 0.0
        kind = getattr(pgcore, contest.algorithm)
        model = kind(contest.env_id, num_envs=contest.num_envs, backend=backend, **contest.ours)
        step = model.env.step

        def timed_step(actions: Any) -> Any:
            nonlocal inside
            before = time.perf_counter()
            result = step(actions)
            inside += time.perf_counter() - before
            return result

        model.env.step = timed_step
        steps: int = model.learn(contest.steps).num_timesteps
        model.close()
        shares.append(inside / (time.perf_counter() - started))
        return steps

    return run


def stable_baselines(contest: Contest) -> Train | None:
    try:
        name = "stable_baselines3" if contest.algorithm == "PPO" else "sb3_contrib"
        package = importlib.import_module(name)
        from stable_baselines3.common.env_util import make_vec_env
    except ImportError:
        return None

    def run() -> int:
        env = make_vec_env(contest.env_id, contest.num_envs)
        model = getattr(package, contest.algorithm)("MlpPolicy", env, device="cpu", **contest.theirs)
        steps: int = model.learn(contest.steps).num_timesteps
        env.close()
        return steps

    return run


def rltools(contest: Contest) -> Train | None:
    try:
        package = importlib.import_module("rltools")
    except ImportError:
        return None
    module = package.PPO(
        lambda: gym.wrappers.RescaleAction(gym.make(contest.env_id), -1.0, 1.0),
        enable_evaluation=False,
        TOTAL_STEP_LIMIT=contest.steps,
        interface_name="compare_throughput",
    )

    def run() -> int:
        state = module.State(0)
        while not state.step():
            pass
        return contest.steps

    return run


PEERS = {"Stable-Baselines3": stable_baselines, "RLtools": rltools}


def stepping(contest: Contest) -> Train:
    """The environments alone, with random actions drawn beforehand."""

    def run() -> int:
        if contest.backend == "envpool":
            import envpool

            env = envpool.make(contest.env_id, env_type="gymnasium", num_envs=contest.num_envs)
            env.reset()
            space = gym.vector.utils.batch_space(env.action_space, contest.num_envs)
        else:
            env = gym.make_vec(contest.env_id, contest.num_envs, vectorization_mode="sync")
            env.reset(seed=0)
            space = env.action_space
        actions = [space.sample() for _ in range(100)]
        num = contest.steps // contest.num_envs
        for t in range(num):
            env.step(actions[t % 100])
        env.close()
        return num * contest.num_envs

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("contests", nargs="*", default=list(CONTESTS), help=", ".join(CONTESTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--native", action="store_true", help="step ours by the environment's own vector code"
    )
    arguments = parser.parse_args()
    print(describe())
    for name in arguments.contests:
        contest = CONTESTS[name]
        shares: list[float] = []
        runs: dict[str, Train] = {
            "pgcore": ours(contest, "native" if arguments.native else contest.backend, shares),
            "stepping alone": stepping(contest),
        }
        peer = PEERS[contest.peer](contest) if contest.peer else None
        if peer is not None:
            runs[contest.peer] = peer
        rates: dict[str, list[float]] = {side: [] for side in runs}
        for _ in range(arguments.rounds):
            for side, run in runs.items():
                start = time.perf_counter()
                rates[side].append(run() / (time.perf_counter() - start))
        medians = {side: statistics.median(values) for side, values in rates.items()}
        cells = [
            f"{side} {rate:,.0f} steps/s ({medians['pgcore'] / rate:.2f}×)" for side, rate in medians.items()
        ]
        cells.append(f"{statistics.median(shares):.0%} of ours in env.step")
        print(f"{name}: " + ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
