"""Time to import, size of the wheel, memory of training.

    python bench/footprint.py --wheel dist/pgcore-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl

Imports are timed in new processes, in turns. Memory is the largest increase during one iteration, after all
imports and the construction of the model, without the activations that the Fisher matrix keeps. Beside it are
the bytes of one batch and of all parameters. It is measured in a process of its own (Linux only).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

IMPORTS = {
    "numpy": "import numpy",
    "pgcore": "import pgcore",
    "pgcore, its kernels": "import pgcore.kernels",
    "pgcore, PPO": "import pgcore; pgcore.PPO",
    "gymnasium": "import gymnasium",
    "Stable-Baselines3": "import stable_baselines3",
}
TIMER = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"

MEMORY = """
import inspect, json, sys
import gymnasium as gym
import numpy as np
import pgcore

name, obs_dim, act_dim, num_envs, n_steps = sys.argv[1], *map(int, sys.argv[2:])

class Still(gym.vector.VectorEnv):
    # Spaces of the given sizes; nothing else takes memory.
    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-1, 1, (obs_dim,), np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (act_dim,), np.float32)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self.rng, self.never = np.random.default_rng(0), np.zeros(num_envs, bool)
    def reset(self, *, seed=None, options=None):
        return self.rng.random((self.num_envs, obs_dim), np.float32), {}
    def step(self, actions):
        return self.reset()[0], self.rng.random(self.num_envs), self.never, self.never, {}

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

def make(num_envs, n_steps):
    return getattr(pgcore, name)(Still(num_envs), n_steps=n_steps)

make(2, 64).learn(64)  # whatever is loaded at first use counts as imports
model = make(num_envs, n_steps)
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")  # the peak starts again from here
before = resident("VmRSS")
batches = []
update = model.update
def keep_sizes(batch):
    names = ("obs", "actions", "rewards", "ends", "terminated", "bootstrap_obs", "log_probs")
    batches.append(sum(getattr(batch, each).nbytes for each in names))
    return update(batch)
model.update = keep_sizes
model.learn(num_envs * n_steps)
policy = model.policy
cache = 4 * num_envs * n_steps * (obs_dim + sum(policy.hidden))
limit = inspect.signature(policy.fisher).parameters["max_cache_bytes"].default
print(json.dumps({
    "peak": resident("VmHWM") - before,
    "batch": batches[0],
    "parameters": 2 * 4 * policy.num_params,
    "cache": cache if name == "TRPO" and cache <= limit else 0,
}))
"""


def import_times(rounds: int) -> None:
    """Print medians over new processes."""
    seconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            run = subprocess.run(
                [sys.executable, "-c", TIMER.format(statement)], capture_output=True, text=True, check=False
            )
            if run.returncode == 0:
                seconds[name].append(float(run.stdout.split()[-1]))
    medians = {name: statistics.median(values) for name, values in seconds.items() if values}
    for name, median in medians.items():
        print(f"import {name:22} {1e3 * median:7.0f} ms  {median / medians['numpy']:5.2f} × numpy")


def memory(algorithm: str, obs_dim: int, act_dim: int) -> None:
    """Print the peak of one iteration of 262,144 steps."""
    num_envs, n_steps = 128, 2048
    sizes = map(str, (obs_dim, act_dim, num_envs, n_steps))
    arguments = [sys.executable, "-c", MEMORY, algorithm, *sizes]
    found = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    data = found["batch"] + found["parameters"]
    print(
        f"{algorithm:10} {obs_dim:4} observations, {act_dim:3} actions, {num_envs * n_steps:,} steps: "
        f"peak {found['peak'] / 1e6:6.1f} MB, batch + parameters {data / 1e6:6.1f} MB: "
        f"{(found['peak'] - found['cache']) / data:.2f} times"
        + (
            f" without the Fisher matrix's activations, {found['cache'] / 1e6:.1f} MB"
            if found["cache"]
            else ""
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--wheel", type=Path)
    arguments = parser.parse_args()
    import_times(arguments.rounds)
    if arguments.wheel:
        print(f"wheel {arguments.wheel.stat().st_size / 1e6:.2f} MB")
    for obs_dim, act_dim in ((4, 1), (17, 6), (348, 17)):
        for algorithm in ("PPO", "TRPO"):
            memory(algorithm, obs_dim, act_dim)


if __name__ == "__main__":
    main()
