"""A partially observed problem so small that every trajectory can be listed, with its exact answers.

Three hidden states are seen as two observations. Episodes last up to the horizon, or end earlier by chance,
so lengths differ. Everything is a sum over trajectories; gradients come from autograd through the policy
written a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np

from pgcore import Batch
from pgcore.policies import CategoricalPolicy
from support.oracles_policies import ChoiceOracle

START = {0: 0.7, 1: 0.3}
SEEN_AS = (0, 1, 0)  # states 0 and 2 look the same
NEXT = {  # (state, action): [(next state or None for the end, probability), …]
    (0, 0): [(1, 0.6), (2, 0.4)],
    (0, 1): [(2, 0.5), (None, 0.5)],
    (1, 0): [(0, 1.0)],
    (1, 1): [(1, 0.3), (2, 0.7)],
    (2, 0): [(0, 0.2), (None, 0.8)],
    (2, 1): [(1, 1.0)],
}
REWARD = {(0, 0): 1.0, (0, 1): -0.5, (1, 0): 2.0, (1, 1): 0.3, (2, 0): -1.2, (2, 1): 0.7}


@dataclass(frozen=True)
class Trajectory:
    chance: float
    """Probability of all that the environment decides."""
    states: tuple[int, ...]
    actions: tuple[int, ...]

    @property
    def obs(self) -> np.ndarray:
        return np.eye(2)[[SEEN_AS[s] for s in self.states]]

    @property
    def rewards(self) -> np.ndarray:
        return np.array([REWARD[pair] for pair in zip(self.states, self.actions, strict=True)])

    def __len__(self) -> int:
        return len(self.actions)


def trajectories(horizon: int) -> list[Trajectory]:
    return [t for state, p in START.items() for t in _from(p, (state,), (), horizon)]


def _from(
    chance: float, states: tuple[int, ...], actions: tuple[int, ...], horizon: int
) -> Iterator[Trajectory]:
    for action in (0, 1):
        taken = (*actions, action)
        if len(taken) == horizon:
            yield Trajectory(chance, states, taken)
            continue
        for state, p in NEXT[states[-1], action]:
            if state is None:
                yield Trajectory(chance * p, states, taken)
            else:
                yield from _from(chance * p, (*states, state), taken, horizon)


def batch_of(*episodes: Trajectory, log_probs: Any = None) -> Batch:
    ends = np.concatenate([np.arange(len(e)) == len(e) - 1 for e in episodes])
    return Batch(
        np.concatenate([e.obs for e in episodes]),
        np.concatenate([e.actions for e in episodes]).astype(np.int64),
        np.concatenate([e.rewards for e in episodes]),
        ends,
        log_probs=log_probs,
    )


def recorded(policy: CategoricalPolicy, *episodes: Trajectory) -> Batch:
    """A batch with the log-probabilities of the policy that made it."""
    batch = batch_of(*episodes)
    return batch.replace(log_probs=policy.log_prob(batch.obs, batch.actions))


def make_policy(seed: int = 0, spread: float = 1.0) -> CategoricalPolicy:
    policy = CategoricalPolicy(2, 2, hidden=(2,), dtype="float64", seed=seed)
    policy.params = np.random.default_rng(seed).normal(scale=spread, size=policy.num_params)
    return policy


class TwoChoices(ChoiceOracle):
    sizes, num_outputs, action_shape = (2,), 2, ()


ORACLE = TwoChoices(2, (2,), "tanh")


def log_probs(theta: Any, trajectory: Trajectory) -> Any:
    actions = np.array(trajectory.actions)[:, None]
    return anp.reshape(ORACLE.log_prob(theta, trajectory.obs, actions), (-1,))


def probability(policy: CategoricalPolicy, trajectory: Trajectory) -> float:
    return trajectory.chance * float(np.exp(log_probs(policy.params, trajectory).sum()))


def discounted(trajectory: Trajectory, gamma: float) -> float:
    return float(np.sum(gamma ** np.arange(len(trajectory)) * trajectory.rewards))


def exact_return(policy: CategoricalPolicy, horizon: int, gamma: float = 1.0) -> float:
    return sum(probability(policy, t) * discounted(t, gamma) for t in trajectories(horizon))


def exact_gradient(policy: CategoricalPolicy, horizon: int, gamma: float = 1.0) -> np.ndarray:
    """Of the expected (discounted) return, by differentiating the sum over all trajectories."""
    listed = trajectories(horizon)

    def expected_return(theta: Any) -> Any:
        return sum(t.chance * anp.exp(anp.sum(log_probs(theta, t))) * discounted(t, gamma) for t in listed)

    return autograd.grad(expected_return)(policy.params)


def step_scores(policy: CategoricalPolicy, trajectory: Trajectory) -> np.ndarray:
    """∇ log π(a_t∣o_t) as rows."""
    return autograd.jacobian(lambda theta: log_probs(theta, trajectory))(policy.params)


def expectation(
    f: Callable[..., np.ndarray], policy: CategoricalPolicy, horizon: int, *, count: int = 1
) -> np.ndarray:
    """Σ p(τ_1) ⋯ p(τ_count) f(τ_1, …, τ_count) over all trajectories that the policy may make."""
    listed = [(probability(policy, t), t) for t in trajectories(horizon)]
    total: Any = 0.0

    def add(weight: float, chosen: Sequence[Trajectory]) -> None:
        nonlocal total
        if len(chosen) == count:
            total = total + weight * np.asarray(f(*chosen))
            return
        for p, trajectory in listed:
            add(weight * p, (*chosen, trajectory))

    add(1.0, ())
    return np.asarray(total)


def episodes_of(count: int = 7, horizon: int = 4, seed: int = 0) -> list[Trajectory]:
    """Some trajectories of different lengths."""
    chosen = np.random.default_rng(seed).choice(len(trajectories(horizon)), count)
    episodes = [trajectories(horizon)[i] for i in chosen]
    assert len({len(t) for t in episodes}) > 1  # lengths differ
    return episodes
