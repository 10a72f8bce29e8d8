"""Steps per second of PPO on CartPole-v1: pgcore's, and of one program compiled by JAX (jax_ppo.py).

    python bench/compare_jax.py
    python bench/compare_jax.py --num-envs 4 64 --total-timesteps 1000000 --threads 1

Both have the same networks and take as many steps, epochs and minibatches, with PureJaxRL's settings. JAX's
environment is compiled into its program; ours is gymnasium's, in Python or NumPy, unless ``--backend`` says
otherwise. PureJaxRL clips the value loss, and the gradient of both networks together; pgcore does neither.

Time to compile is not counted. Runs take turns in one process; medians are printed, and the mean return of
the last episodes, which shows that both learn. ``--threads 1`` keeps the process, and so both, on one core.
Needs JAX (``pip install jax``) and Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable

import pgcore

NUM_LAST = 100  # episodes whose mean return is printed

Train = Callable[[int], tuple[float, float]]
"""Trains with a seed; returns seconds and the mean return of the last episodes."""


def ours(num_envs: int, num_timesteps: int, backend: str) -> Train:
    import jax_ppo as settings

    def train(seed: int) -> tuple[float, float]:
        model = pgcore.PPO(
            "CartPole-v1",
            num_envs=num_envs,
            backend=backend,
            hidden=settings.HIDDEN,
            seed=seed,
            n_steps=settings.NUM_STEPS,
            n_epochs=settings.NUM_EPOCHS,
            batch_size=num_envs * settings.NUM_STEPS // settings.NUM_MINIBATCHES,
            gamma=settings.GAMMA,
            gae_lambda=settings.LAMBDA,
            clip_range=settings.CLIP,
            ent_coef=settings.ENT_COEF,
            learning_rate=settings.LEARNING_RATE,
            learning_rate_schedule="linear",
            max_grad_norm=settings.MAX_GRAD_NORM,
        )
        start = time.perf_counter()
        model.learn(num_timesteps)
        seconds = time.perf_counter() - start
        model.close()
        return seconds, model.logs["rollout/ep_rew_mean"]

    return train


def by_jax(num_envs: int, num_timesteps: int) -> Train:
    import jax

    import jax_ppo

    compiled = jax_ppo.compile_training(num_envs, num_timesteps // (num_envs * jax_ppo.NUM_STEPS))

    def train(seed: int) -> tuple[float, float]:
        key = jax.block_until_ready(jax.random.key(seed))
        start = time.perf_counter()
        returns, counts = jax.block_until_ready(compiled(key))
        seconds = time.perf_counter() - start
        total, num = 0.0, 0
        for some, how_many in zip(reversed(returns.tolist()), reversed(counts.tolist()), strict=True):
            if num < NUM_LAST:
                total, num = total + some, num + how_many
        return seconds, total / max(num, 1)

    return train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-envs", type=int, nargs="+", default=[4, 8, 64, 512])
    parser.add_argument("--total-timesteps", type=int, default=500_000)
    parser.add_argument("--threads", type=int, help="cores that both may use; by default all")
    parser.add_argument("--backend", help="ours; by default sync for fewer than 8 copies, else native")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if importlib.util.find_spec("jax") is None:
        parser.exit(1, "compare_jax: expected the package jax (pip install jax), got none\n")
    cores = sorted(os.sched_getaffinity(0))[: arguments.threads]
    os.sched_setaffinity(0, cores)  # before XLA starts its threads, one for each core
    pgcore.set_num_threads(len(cores))
    import jax

    import jax_ppo

    jax.config.update("jax_platforms", "cpu")
    print(
        f"pgcore {pgcore.build_info()['variant']}, JAX {jax.__version__}, {len(cores)} "
        f"core{'s' if len(cores) > 1 else ''}; steps per second (mean return of the last episodes)"
    )
    for num_envs in arguments.num_envs:
        backend = arguments.backend or ("sync" if num_envs < 8 else "native")
        batch_size = num_envs * jax_ppo.NUM_STEPS
        num_timesteps = max(arguments.total_timesteps // batch_size, 1) * batch_size
        sides = [ours(num_envs, num_timesteps, backend), by_jax(num_envs, num_timesteps)]
        results: list[list[tuple[float, float]]] = [[], []]
        for seed in range(arguments.rounds):
            for train, found in zip(sides, results, strict=True):
                found.append(train(seed))
        rates = [num_timesteps / statistics.median(seconds for seconds, _ in found) for found in results]
        scores = [statistics.mean(score for _, score in found) for found in results]
        print(
            f"{num_envs} copies: pgcore, {backend} {rates[0]:,.0f} ({scores[0]:.0f}), JAX {rates[1]:,.0f} "
            f"({scores[1]:.0f}), ratio {rates[0] / rates[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
