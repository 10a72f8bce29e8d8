"""How well an algorithm learns: trains with several seeds, evaluates the final policies, reports all scores.

    python bench/learning.py reinforce CartPole-v1                 # the shipped preset, seeds 0 to 9
    python bench/learning.py reinforce Pendulum-v1 --seeds 100-104 --set learning_rate=0.003
    python bench/learning.py trpo Hopper-v5 --peer                 # Stable-Baselines3 or sb3-contrib instead

Presets are tuned on other seeds (100 and up) than the ones that are reported (0 to 9). The summary is the
interquartile mean of the final scores with a 95 % bootstrap interval over seeds (Agarwal et al. 2021), and
the same of the area under the learning curve: the mean over iterations of the mean return of the last 100
training episodes. With ``--peer`` the other library trains for the same number of steps, with the
settings that its own zoo publishes (learning_peers.py).
"""

from __future__ import annotations

import argparse
import ast
import json
import time
from typing import Any

import numpy as np

import learning_peers
from pgcore import algorithms, presets
from pgcore.cli.eval import evaluate

NUM_RESAMPLES = 10_000


def interquartile_mean(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean of the middle half along the last axis; a quarter, rounded down, is left out at either end."""
    cut = scores.shape[-1] // 4
    middle: np.ndarray[Any, Any] = np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut]
    return middle.mean(axis=-1)


def bootstrap_interval(scores: np.ndarray[Any, Any]) -> tuple[float, float]:
    """95 % percentile interval of the interquartile mean, resampling seeds."""
    rows = np.random.default_rng(0).integers(len(scores), size=(NUM_RESAMPLES, len(scores)))
    low, high = np.percentile(interquartile_mean(scores[rows]), [2.5, 97.5])
    return float(low), float(high)


def train_and_evaluate(
    algorithm: str, env_id: str, seed: int, *, total_timesteps: int, arguments: dict[str, Any], episodes: int
) -> dict[str, Any]:
    """One seed: what ``pgcore train`` does, without the files."""
    kind = getattr(algorithms, algorithms.COMMANDS[algorithm])
    curve: list[float] = []
    started = time.perf_counter()
    model = kind(env_id, seed=seed, **arguments)
    model.learn(total_timesteps, callback=lambda model: curve.append(model.logs["rollout/ep_rew_mean"]))
    seconds = time.perf_counter() - started
    result = evaluate(model, env_id, model.backend, episodes, seed)
    model.close()
    return {**result, "area": round(float(np.nanmean(curve)), 2), "seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("algorithm")
    parser.add_argument("env_id")
    parser.add_argument("--seeds", default="0-9", help="a range of seeds, both ends included")
    parser.add_argument("--total-timesteps", type=int, help="instead of the preset's")
    parser.add_argument("--episodes", type=int, default=100, help="fresh evaluation episodes per seed")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="instead of the preset's")
    parser.add_argument("--json", action="store_true", help="print one JSON object per seed")
    parser.add_argument("--peer", action="store_true", help="train Stable-Baselines3 or sb3-contrib instead")
    args = parser.parse_args()

    preset = presets.find(args.algorithm, args.env_id)
    overrides = dict(item.split("=", 1) for item in args.set)
    arguments = {**preset.arguments, **{name: _value(text) for name, text in overrides.items()}}
    total_timesteps = args.total_timesteps or preset.total_timesteps
    train = train_and_evaluate
    if args.peer:
        train, arguments = (
            learning_peers.train_and_evaluate,
            learning_peers.SETTINGS[args.algorithm, args.env_id],
        )
    first, _, last = args.seeds.partition("-")
    print(f"{args.algorithm} on {args.env_id}: total_timesteps={total_timesteps} {arguments}", flush=True)

    scores, areas = [], []
    for seed in range(int(first), int(last or first) + 1):
        result = train(
            args.algorithm,
            args.env_id,
            seed,
            total_timesteps=total_timesteps,
            arguments=arguments,
            episodes=args.episodes,
        )
        scores.append(result["mean_reward"])
        areas.append(result["area"])
        if args.json:
            print(json.dumps(result), flush=True)
        else:
            print(
                f"seed {seed:3d}  {result['num_timesteps']:9,} steps  {result['seconds']:7.1f} s  "
                f"final mean {result['mean_reward']:10.2f} ± {result['std_reward']:.2f}  "
                f"area {result['area']:.2f}",
                flush=True,
            )
    for name, values in (("final", np.array(scores)), ("area", np.array(areas))):
        low, high = bootstrap_interval(values)
        print(
            f"{name}: interquartile mean {float(interquartile_mean(values)):.2f} "
            f"(95 % interval {low:.2f} to {high:.2f}); worst {values.min():.2f}, best {values.max():.2f}"
        )


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


if __name__ == "__main__":
    main()
