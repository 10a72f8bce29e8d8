"""``pgcore eval DIR``: evaluate a trained policy on new episodes."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
import tyro

from pgcore.cli.errors import CommandError, one_line_errors, run_directory_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse, require_at_least
from pgcore.rollout import make_vector_env
from pgcore.rollout.seeds import integer_seed
from pgcore.runs import RunDirectory
from pgcore.training import evaluate_policy, load

if TYPE_CHECKING:
    from pgcore.training import Algorithm, Config

__all__ = ["EvalArguments", "evaluate", "evaluation_text", "run"]

_MAX_ENVS = 10


@dataclass(frozen=True)
class EvalArguments:
    """Arguments of ``pgcore eval``."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run directory that pgcore train wrote."""
    episodes: int = 100
    """Number of episodes to play."""
    seed: int = 0
    """Seed of the episodes."""
    max_steps: int | None = None
    """Longest episode in steps; None: the time limit, at least 100,000."""
    stochastic: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Sample actions instead of taking the most likely ones."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as one JSON object."""

    def __post_init__(self) -> None:
        require_at_least(self, episodes=1, seed=0)
        if self.max_steps is not None:
            require_at_least(self, max_steps=1)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: EvalArguments = parse(
        EvalArguments,
        arguments,
        prog="pgcore eval",
        description="Play new episodes with a trained policy and report their returns.",
    )
    directory = RunDirectory(args.directory)
    with run_directory_errors("DIR"):
        config = directory.read_config()
    if not directory.model_file.exists():
        raise CommandError(f"DIR: expected a run with a checkpoint, got {args.directory} without a model.npz")
    with one_line_errors():
        model = load(directory.model_file)
        result = evaluate(
            model,
            config["env_id"],
            config["backend"],
            args.episodes,
            args.seed,
            stochastic=args.stochastic,
            max_steps=args.max_steps,
        )
    say(json.dumps(result) if args.json else evaluation_text(result))
    return 0


class Evaluation(TypedDict):
    """What ``evaluation.json`` holds and ``--json`` prints."""

    algorithm: str
    env_id: str
    num_timesteps: int
    mean_reward: float
    std_reward: float
    mean_length: float
    episodes: int
    seed: int
    deterministic: bool


def evaluate(
    model: Algorithm[Config],
    env_id: str,
    backend: str,
    episodes: int,
    seed: int,
    *,
    stochastic: bool = False,
    max_steps: int | None = None,
) -> Evaluation:
    """Play episodes that training with the same ``seed`` did not use.

    Parameters
    ----------
    model
        Chooses the actions.
    env_id, backend
        Of the training. ``"sync"`` replaces all backends but EnvPool: their environments are the same.
    episodes
        Number of episodes.
    seed
        Of the initial states.
    stochastic
        Sample the actions instead of taking the most likely ones.
    max_steps
        As in `evaluate_policy`.
    """
    # Training seeds its environments from the first of the seed's streams; these come from another.
    fresh = integer_seed(np.random.SeedSequence([seed, 1]))
    env = make_vector_env(
        env_id,
        num_envs=min(episodes, _MAX_ENVS),
        backend="envpool" if backend == "envpool" else "sync",
        seed=fresh,
    )
    try:
        with _ShownProgress(model, episodes) as player:
            returns, lengths = evaluate_policy(
                player,
                env,
                episodes,
                deterministic=not stochastic,
                seed=fresh,
                return_episode_rewards=True,
                max_steps=max_steps,
                progress=False,  # ours is shown whether or not there is a terminal
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


class _ShownProgress:
    """Acts like ``model``, and shows on standard error how far a long evaluation is.

    On a terminal it updates one line; elsewhere it prints a line every ten seconds.
    """

    def __init__(self, model: Algorithm[Config], episodes: int) -> None:
        self._model, self._episodes = model, episodes
        self._steps = self._ended = self._width = 0
        self._terminal = sys.stderr.isatty()
        self._due = time.monotonic() + 2.0

    def __enter__(self) -> _ShownProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._terminal and self._width:
            self._write("\r" + " " * self._width + "\r")

    def predict(
        self, obs: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Choose actions, and count."""
        starts = np.asarray(episode_start)
        self._ended += int(np.count_nonzero(starts)) if self._steps else 0
        self._steps += starts.size
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + (0.5 if self._terminal else 10.0)
            line = f"evaluating: {self._steps:,} steps, {self._ended:,} of {self._episodes:,} episodes ended"
            self._write(f"\r{line:{self._width}}" if self._terminal else f"{line}\n")
            self._width = len(line)
        return self._model.predict(obs, state, episode_start, deterministic)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the evaluation itself continues
            sys.stderr.write(text)
            sys.stderr.flush()


def evaluation_text(result: Evaluation) -> str:
    """Return the result as a sentence.

    >>> evaluation_text({"mean_reward": 499.5, "std_reward": 2.0, "mean_length": 499.5, "episodes": 10})
    'mean reward 499.5 ± 2 over 10 fresh episodes of mean length 499.5'
    """
    return (
        f"mean reward {result['mean_reward']:.5g} ± {result['std_reward']:.3g} over {result['episodes']} "
        f"fresh episodes of mean length {result['mean_length']:.5g}"
    )
