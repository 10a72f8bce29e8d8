"""``pgcore eval DIR``: fresh episodes with a trained policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.parse import parse, require_at_least
from pgcore.cli.run_directory import RunDirectory
from pgcore.rollout import make_vector_env
from pgcore.training import evaluate_policy, load
from pgcore.training.seeding import integer_seed

if TYPE_CHECKING:
    from pgcore.training import Algorithm

__all__ = ["EvalArguments", "evaluate", "evaluation_text", "run"]

_MAX_ENVS = 10


@dataclass(frozen=True)
class EvalArguments:
    """What ``pgcore eval`` can be told."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run directory."""
    episodes: int = 100
    """How many episodes to play."""
    seed: int = 0
    """Seed of the episodes."""
    stochastic: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Sample the actions instead of taking the most likely ones."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_at_least(self, episodes=1, seed=0)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: EvalArguments = parse(
        EvalArguments,
        arguments,
        prog="pgcore eval",
        description="Play fresh episodes with a trained policy and report their returns.",
    )
    directory = RunDirectory(args.directory)
    config = directory.read_config()
    if not directory.model_file.exists():
        raise CommandError(f"DIR: expected a run with a checkpoint, got {args.directory} without a model.npz")
    with one_line_errors():
        model = load(directory.model_file)
        result = evaluate(
            model, config["env_id"], config["backend"], args.episodes, args.seed, stochastic=args.stochastic
        )
    print(json.dumps(result) if args.json else evaluation_text(result))
    return 0


def evaluate(
    model: Algorithm[Any], env_id: str, backend: str, episodes: int, seed: int, *, stochastic: bool = False
) -> dict[str, Any]:
    """Play episodes that training with the same ``seed`` has not seen; return what ``--json`` prints.

    Parameters
    ----------
    model
        Acts.
    env_id, backend
        Where. Of the backends only EnvPool's environments may differ from gymnasium's.
    episodes, seed
        How many, and from which initial states.
    stochastic
        Sample the actions.
    """
    env = make_vector_env(
        env_id,
        num_envs=min(episodes, _MAX_ENVS),
        backend="envpool" if backend == "envpool" else "sync",
        seed=seed,
    )
    try:
        # Training seeds its environments from the first of the seed's streams; these come from another.
        fresh = integer_seed(np.random.SeedSequence([seed, 1]))
        returns, lengths = evaluate_policy(
            model, env, episodes, deterministic=not stochastic, seed=fresh, return_episode_rewards=True
        )
    finally:
        env.close()
    return {
        "algorithm": model.command,
        "env_id": env_id,
        "num_timesteps": model.num_timesteps,
        "mean_reward": float(np.mean(returns)),
        "std_reward": float(np.std(returns)),
        "mean_length": float(np.mean(lengths)),
        "episodes": episodes,
        "seed": seed,
        "deterministic": not stochastic,
    }


def evaluation_text(result: dict[str, Any]) -> str:
    """The same for people.

    >>> evaluation_text({"mean_reward": 499.5, "std_reward": 2.0, "mean_length": 499.5, "episodes": 10})
    'mean reward 499.5 ± 2 over 10 fresh episodes of mean length 499.5'
    """
    return (
        f"mean reward {result['mean_reward']:.5g} ± {result['std_reward']:.3g} over {result['episodes']} "
        f"fresh episodes of mean length {result['mean_length']:.5g}"
    )
