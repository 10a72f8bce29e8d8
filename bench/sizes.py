"""Problem sizes that all benchmarks share, so that their numbers can be compared. Imported, not run."""

from __future__ import annotations

from dataclasses import dataclass

# Recursions along time: a batch of parallel environments (rows, columns), and one long column of episodes.
SCAN_WIDE = (2048, 64)
SCAN_COLUMN = 1_000_000
EPISODE_LENGTH = 200  # on average, where a column has ends
SCAN_REFERENCE = 20_000  # steps of the long column that the reference, a Python loop, is given

# Distributions: rows, and action dimensions or choices.
GAUSSIAN = (65_536, 8)
GAUSSIAN_FULL = (16_384, 8)
CATEGORICAL = (65_536, 6)

# Linear systems for conjugate gradient, and how many iterations it is given.
SYSTEMS = (200, 2000)
CG_ITERATIONS = 10


@dataclass(frozen=True)
class Network:
    """A policy network: its layers, and the batches that it is timed with."""

    name: str
    layers: tuple[int, ...]
    batches: tuple[int, ...]

    @property
    def num_params(self) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.layers, self.layers[1:], strict=False))

    def __str__(self) -> str:
        return "→".join(map(str, self.layers))


# HalfCheetah's policy in the usual size, from a minibatch to a rollout; and Humanoid's in a large one.
SMALL = Network("small", (17, 64, 64, 6), (64, 2048, 20_000))
LARGE = Network("large", (376, 256, 256, 17), (2048,))
NETWORKS = (SMALL, LARGE)

# Rows for derivatives that are formed one sample at a time: (rows, parameters) is large.
PER_SAMPLE = 512
