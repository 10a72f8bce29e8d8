"""Constant, average-return and time-dependent baselines, by hand, by loops and by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pgcore import Batch
from pgcore.baselines import AverageReturn, Baseline, Constant, TimeDependent
from support.batches import batch_of, episodes_of
from support.oracles import assert_close

THREE = batch_of([2, 3, 1])
RETURNS = np.array([10.0, 4.0, 20.0, 7.0, 1.0, 60.0])


# ---- by hand ----


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (Constant(2.5), [2.5] * 6),
        (Constant(), [0.0] * 6),
        (AverageReturn(), [40.0, 40.0, 35.0, 35.0, 35.0, 15.0]),
        (AverageReturn(leave_one_out=False), [30.0] * 6),
        (TimeDependent(), [40.0, 7.0, 35.0, 4.0, 0.0, 15.0]),
        (TimeDependent(leave_one_out=False), [30.0, 5.5, 30.0, 5.5, 1.0, 30.0]),
    ],
    ids=repr,
)
def test_values_by_hand(baseline: Baseline, expected: list[float], dtype: np.dtype) -> None:
    values = baseline.values(THREE, RETURNS.astype(dtype))
    assert values.dtype == dtype
    assert values.tolist() == expected


@pytest.mark.parametrize("kind", [AverageReturn, TimeDependent])
def test_a_single_episode_has_no_others(kind: Any) -> None:
    batch, returns = batch_of([4]), np.array([4.0, 3.0, 2.0, 1.0])
    assert kind().values(batch, returns).tolist() == [0.0] * 4
    plain = kind(leave_one_out=False).values(batch, returns)
    assert plain.tolist() == ([4.0] * 4 if kind is AverageReturn else returns.tolist())


# ---- by loops ----


def looped_average(batch: Batch, returns: np.ndarray, leave_one_out: bool) -> list[float]:
    episodes = episodes_of(batch, returns)
    values = []
    for i, episode in enumerate(episodes):
        others = [e[0] for j, e in enumerate(episodes) if j != i or not leave_one_out]
        values += [sum(others) / len(others) if others else 0.0] * len(episode)
    return values


def looped_time_dependent(batch: Batch, returns: np.ndarray, leave_one_out: bool) -> list[float]:
    episodes = episodes_of(batch, returns)
    values = []
    for i, episode in enumerate(episodes):
        for t in range(len(episode)):
            others = [e[t] for j, e in enumerate(episodes) if len(e) > t and (j != i or not leave_one_out)]
            values.append(sum(others) / len(others) if others else 0.0)
    return values


@pytest.mark.covering(2)
@pytest.mark.parametrize("leave_one_out", [True, False])
@pytest.mark.parametrize(
    ("kind", "loop"), [(AverageReturn, looped_average), (TimeDependent, looped_time_dependent)]
)
@pytest.mark.parametrize(
    "lengths", [[1], [1, 1], [5, 5, 5], [1, 7, 2, 30, 2, 1, 11], list(range(1, 20)), [40, 1]], ids=str
)
def test_values_by_loops(
    kind: Any,
    loop: Callable[..., list[float]],
    lengths: list[int],
    leave_one_out: bool,
    dtype: np.dtype,
) -> None:
    batch = batch_of(lengths, truncated=range(0, len(lengths), 2))
    returns = np.random.default_rng(1).normal(loc=3.0, size=batch.num_steps).astype(dtype)
    expected = loop(batch, returns.astype(float), leave_one_out)
    values = kind(leave_one_out=leave_one_out).values(batch, returns)
    assert_close(values, np.array(expected, dtype), 1e-12 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("kind", [AverageReturn, TimeDependent])
def test_no_episode_sees_its_own_return(kind: Any) -> None:
    batch = batch_of([3, 5, 2])
    returns = np.random.default_rng(0).normal(size=10)
    before = kind().values(batch, returns)
    changed = returns.copy()
    changed[3:8] += 1.0
    after = kind().values(batch, changed)
    assert_close(after[3:8], before[3:8], 1e-14)
    assert (after[[0, 8]] != before[[0, 8]]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1e12, 1e300])
@pytest.mark.parametrize("kind", [AverageReturn, TimeDependent])
def test_any_scale_of_rewards(kind: Any, scale: float) -> None:
    assert_close(kind().values(THREE, scale * RETURNS) / scale, kind().values(THREE, RETURNS), 1e-14)


# ---- bias, by enumeration ----
#
# A policy takes action 1 with probability σ(θ), in a state it does not see. Action 0 ends the episode with
# reward 2; action 1 pays 0.5 and goes on, for at most three steps, the last paying another 4.

THETA = 0.3
P_ON = 1.0 / (1.0 + math.exp(-THETA))


def trajectories() -> list[tuple[float, list[float], list[float]]]:
    """All of them: probability, score of every step, reward of every step."""
    on, off = (1.0 - P_ON, 0.5), (-P_ON, 2.0)
    result = []
    for num_on in range(4):
        steps = [on] * num_on + ([off] if num_on < 3 else [])
        rewards = [reward for _, reward in steps]
        if num_on == 3:
            rewards[-1] += 4.0
        probability = P_ON**num_on * (1.0 - P_ON if num_on < 3 else 1.0)
        result.append((probability, [score for score, _ in steps], rewards))
    return result


def rewards_to_go(rewards: list[float]) -> list[float]:
    return [sum(rewards[t:]) for t in range(len(rewards))]


def expected_gradient(baseline: Baseline, num_episodes: int) -> float:
    """E[1/N Σ_i Σ_t s_{i,t} (G_{i,t} − b_{i,t})] over all batches of N trajectories."""
    terms = []
    for episodes in itertools.product(trajectories(), repeat=num_episodes):
        probability = math.prod(p for p, _, _ in episodes)
        scores = np.concatenate([s for _, s, _ in episodes])
        returns = np.concatenate([rewards_to_go(r) for _, _, r in episodes])
        ends = np.concatenate([np.arange(len(s)) == len(s) - 1 for _, s, _ in episodes])
        batch = Batch(np.zeros((len(scores), 1)), np.zeros(len(scores)), np.zeros(len(scores)), ends)
        advantages = returns - baseline.values(batch, returns)
        terms.append(probability * (scores @ advantages) / num_episodes)
    return math.fsum(terms)


def exact_gradient() -> float:
    def objective(theta: float) -> float:
        p = 1.0 / (1.0 + math.exp(-theta))
        return (1 - p) * 2.0 + p * (1 - p) * 2.5 + p**2 * (1 - p) * 3.0 + p**3 * 5.5

    h = 1e-3
    near, far = (objective(THETA + k * h) - objective(THETA - k * h) for k in (1, 2))
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("num_episodes", [1, 2, 3, 4])
@pytest.mark.parametrize("baseline", [Constant(), Constant(3.0), AverageReturn(), TimeDependent()], ids=repr)
def test_baselines_that_leave_the_episode_out_are_unbiased(baseline: Baseline, num_episodes: int) -> None:
    assert expected_gradient(baseline, num_episodes) == pytest.approx(exact_gradient(), rel=1e-9)


@pytest.mark.parametrize("num_episodes", [1, 2, 3, 4])
def test_the_plain_mean_shrinks_the_first_steps_gradient(num_episodes: int) -> None:
    """With the episode itself in the mean, E[Σ_t s_t R] is lost 1/N times."""
    plain = expected_gradient(AverageReturn(leave_one_out=False), num_episodes)
    lost = math.fsum(p * sum(s) * sum(r) for p, s, r in trajectories()) / num_episodes
    assert plain == pytest.approx(exact_gradient() - lost, rel=1e-9)
    # Here Σ_t s_t R has the gradient for its mean, so this is the factor 1 − 1/N.
    assert plain == pytest.approx((1.0 - 1.0 / num_episodes) * exact_gradient(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("num_episodes", [1, 2, 4])
def test_the_plain_mean_over_time_is_biased(num_episodes: int) -> None:
    plain = expected_gradient(TimeDependent(leave_one_out=False), num_episodes)
    assert abs(plain) < 0.95 * abs(exact_gradient())


# ---- the interface ----


@pytest.mark.parametrize("baseline", [Constant(1.0), AverageReturn(), TimeDependent()], ids=repr)
def test_these_learn_nothing_and_know_no_bootstrap_values(baseline: Baseline) -> None:
    batch = batch_of([3, 2], truncated=[0, 1])
    assert baseline.needs_whole_episodes
    assert baseline.bootstrap_values(batch).tolist() == [0.0] * 5
    assert baseline.fit(batch, np.ones(5)) == {}
    assert baseline.state() == {}
    baseline.load_state({})
    with pytest.raises(ValueError) as caught:
        baseline.load_state({"weights": np.zeros(3)})
    assert str(caught.value) == "state: expected no entries, got ['weights']"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("1", TypeError, "c: expected a real number, got str"),
        (math.nan, ValueError, "c: expected a finite number, got nan"),
    ],
)
def test_wrong_constants(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Constant(value)
    assert str(caught.value) == message
