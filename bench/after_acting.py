"""Time of one policy call, and how much slower the environment's next step is because of it.

    python bench/after_acting.py HalfCheetah-v5 --num-envs 1
    python bench/after_acting.py CartPole-v1 --num-envs 8

It times steps after `policy.act`, after a wait of the same length and after nothing, four of each in turn;
the first of the four is not counted. Actions are drawn beforehand, so that they are the same in all three
cases. The difference is the effect of the policy call on the step (a lower clock after wide vectors, colder
caches).
"""

from __future__ import annotations

import argparse
import statistics
import time

import gymnasium as gym
import numpy as np

from pgcore.benchmarks import describe
from pgcore.policies import for_spaces

IN_A_ROW = 4


def wait(seconds: float) -> None:
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("env_id", nargs="?", default="HalfCheetah-v5")
    parser.add_argument("--num-envs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12_000)
    arguments = parser.parse_args()
    N = arguments.num_envs
    env = gym.make_vec(arguments.env_id, N, vectorization_mode="sync")
    obs, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(100)]
    policy = for_spaces(obs.shape[1], env.single_action_space, seed=0)
    noise = policy.draw_noise(np.random.default_rng(0), 1, N)[0]
    rows = np.zeros((N, policy.obs_dim), policy.dtype)
    before = {
        "nothing": lambda: None,
        "act": lambda: policy.act(rows, noise),
        "wait": lambda: wait(30e-6),
    }
    acting: list[float] = []
    stepping: dict[str, list[float]] = {kind: [] for kind in before}
    for t in range(arguments.steps):
        kind = list(before)[t // IN_A_ROW % len(before)]
        start = time.perf_counter()
        before[kind]()
        between = time.perf_counter()
        env.step(actions[t % 100])
        end = time.perf_counter()
        if t % IN_A_ROW:
            stepping[kind].append(1e6 * (end - between))
            if kind == "act":
                acting.append(1e6 * (between - start))
    env.close()
    print(describe())
    steps = ", ".join(f"{statistics.median(times):.0f} after {kind}" for kind, times in stepping.items())
    print(f"{arguments.env_id}, {N} copies, µs: act {statistics.median(acting):.1f}; env.step {steps}")


if __name__ == "__main__":
    main()
