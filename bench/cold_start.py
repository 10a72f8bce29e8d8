"""Seconds from the start of the process to a good policy: ``pgcore train`` in new processes.

    python bench/cold_start.py                      # PPO on CartPole-v1, seeds 0 to 9
    python bench/cold_start.py --algorithm trpo --threshold 475

The clock stops when the run directory is written. Then the policy plays 100 new episodes, which are not
timed; their mean return must reach the threshold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("pgcore")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--algorithm", default="ppo")
    parser.add_argument("--env-id", default="CartPole-v1")
    parser.add_argument("--threshold", type=float, default=475.0)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    seconds, solved = [], 0
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "run")
            start = time.perf_counter()
            run("train", arguments.algorithm, "--env-id", arguments.env_id, "--seed", str(seed), "--out", out,
                "--eval-episodes", "0")  # fmt: skip
            seconds.append(time.perf_counter() - start)
            score = json.loads(run("eval", out, "--episodes", "100", "--json"))["mean_reward"]
        solved += score >= arguments.threshold
        print(f"seed {seed}: {seconds[-1]:.2f} s, scores {score:.1f}", flush=True)
    print(
        f"{arguments.algorithm} on {arguments.env_id}: median {statistics.median(seconds):.2f} s from "
        f"process start, {solved} of {arguments.seeds} score at least {arguments.threshold:g}"
    )


if __name__ == "__main__":
    main()
