"""A normaliser's statistics change as a whole, and compiled passes of every thread see the change at once."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pgcore import Batch, _dispatch
from pgcore.baselines import ValueNetwork
from pgcore.policies import GaussianPolicy, ObservationNormalizer, Policy
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES, METHODS, problem

CHANGES: dict[str, Callable[[ObservationNormalizer], Any]] = {
    "clip": lambda n: setattr(n, "clip", 0.5),
    "epsilon": lambda n: setattr(n, "epsilon", 4.0),
    "mean": lambda n: setattr(n, "mean", [1.0, -1.0, 0.5]),
    "m2": lambda n: setattr(n, "m2", np.full(3, 1e4)),
    "count": lambda n: setattr(n, "count", 5),
    "update": lambda n: n.update(np.random.default_rng(1).normal(4.0, 3.0, (90, 3))),
    "load_state": lambda n: n.load_state({**n.state(), "clip": 0.25}),
}


def seen() -> ObservationNormalizer:
    normalizer = ObservationNormalizer(3)
    normalizer.update(np.random.default_rng(0).normal(1.0, 2.0, (50, 3)))
    return normalizer


def by_definition(normalizer: ObservationNormalizer, obs: np.ndarray) -> np.ndarray:
    """From what can be read of it."""
    variance = normalizer.m2 / normalizer.count + normalizer.epsilon
    return np.clip((obs - normalizer.mean) / np.sqrt(variance), -normalizer.clip, normalizer.clip)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_after_the_first_call_is_followed(family: str, change: str) -> None:
    p = problem(family, 60)
    plain = p.policy.copy()
    p.policy.normalizer = seen()
    for f in METHODS.values():
        f(p.policy, *p.data, p.weights)
    before = p.policy.log_prob(*p.data)
    CHANGES[change](p.policy.normalizer)
    assert (p.policy.log_prob(*p.data) != before).any()
    obs = by_definition(p.policy.normalizer, p.obs)
    assert_close(p.policy.normalizer.normalize(p.obs), obs, 1e-12)
    for f in METHODS.values():
        assert_close(f(p.policy, *p.data, p.weights), f(plain, obs, p.actions, p.weights), 1e-10)


@pytest.mark.parametrize("change", CHANGES)
def test_a_critic_follows_too(change: str) -> None:
    rng = np.random.default_rng(2)
    obs = rng.normal(1.0, 2.0, (60, 3))
    batch = Batch(obs, np.zeros(60), np.zeros(60), np.ones(60, bool))
    critic, plain = (ValueNetwork(hidden=(6,), dtype="float64") for _ in range(2))
    critic.normalizer = seen()
    plain.normalizer = None
    critic.fit(batch, obs[:, 0])
    plain.fit(batch.replace(obs=critic.normalizer.normalize(obs)), obs[:, 0])
    CHANGES[change](critic.normalizer)
    changed = by_definition(critic.normalizer, obs)
    assert_close(critic.predict(obs), plain.predict(changed), 1e-10)
    critic.fit(batch, obs[:, 1])
    plain.fit(batch.replace(obs=changed), obs[:, 1])
    assert_close(critic.predict(obs), plain.predict(changed), 1e-10)


def test_statistics_are_not_changed_in_place() -> None:
    normalizer = seen()
    for array in (normalizer.mean, normalizer.m2, *normalizer.arrays()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3.0
    given = np.ones(3)
    normalizer.mean = given
    given[:] = 7.0
    np.testing.assert_array_equal(normalizer.mean, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("clip", 0.0, ValueError, "clip: expected a number > 0, got 0.0"),
        ("clip", np.nan, ValueError, "clip: expected a number, got nan"),
        ("clip", "wide", TypeError, "clip: expected a real number, got str"),
        ("epsilon", -1.0, ValueError, "epsilon: expected a number > 0, got -1.0"),
        ("mean", np.zeros(2), ValueError, "mean: expected shape (3,), got (2,)"),
        ("mean", [0.0, np.inf, 0.0], ValueError, "mean: expected finite numbers, got [ 0. inf  0.]"),
        ("m2", [-1.0, 0.0, 0.0], ValueError, "m2: expected finite numbers >= 0, got [-1.  0.  0.]"),
        ("count", -1, ValueError, "count: expected finite numbers >= 0, got -1.0"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    name: str, value: Any, error: type[Exception], message: str
) -> None:
    normalizer = seen()
    before = normalizer.state()
    with pytest.raises(error) as caught:
        setattr(normalizer, name, value)
    assert str(caught.value) == message
    for key, array in normalizer.state().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x.copy()]
)
def test_copies_are_equal_and_independent(copied: Callable[[Any], Any]) -> None:
    policy = GaussianPolicy(3, 2)
    policy.normalizer = seen()
    policy.normalizer.clip, policy.normalizer.epsilon = 1.5, 0.3
    obs = np.random.default_rng(3).normal(size=(20, 3))
    expected = policy.mode(obs)
    normalizer = copied(policy.normalizer)
    for name, value in policy.normalizer.state().items():
        np.testing.assert_array_equal(value, normalizer.state()[name])
    policy.normalizer.update(obs + 50.0)
    policy.normalizer.clip = 9.0
    assert (policy.mode(obs) != expected).any()
    policy.normalizer = normalizer
    assert_same_bits(policy.mode(obs), expected)


@pytest.fixture
def eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_thread_sees_old_statistics_after_an_update(dtype: str) -> None:
    """Threads that compute all the while must not bring back what an update has replaced."""
    policy = GaussianPolicy(1, 1, hidden=(), dtype=dtype)
    policy.params = np.array([1.0, 0.0, 0.0])  # the mean action is the standardised observation
    policy.normalizer = ObservationNormalizer(1, clip=np.inf)
    critic = ValueNetwork(hidden=(3,), dtype=dtype)
    critic.normalizer = policy.normalizer
    critic.predict(np.zeros((1, 1)))
    done, wrong = threading.Event(), []

    def compute() -> None:
        while not done.is_set():
            values = policy.mode(np.array([[0.0], [1.0]]))
            # Of one moment: shift and scale belong together. Each update adds ±k, so μ = 0 and σ grows.
            if abs(values[0, 0]) > 1e-6 or not 0 < values[1, 0] <= 1:
                wrong.append(values)
            critic.predict(np.zeros((4, 1)))

    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for k in range(1, 300):
            policy.normalizer.update([[-float(k)], [float(k)]])
            scale = 1.0 / np.sqrt(policy.normalizer.m2 / policy.normalizer.count + 1e-8)
            assert_close(policy.mode(np.ones((1, 1)))[0], scale.astype(dtype), 1e-6)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert policy.normalizer.count == 598


def test_an_update_while_another_thread_prepares_the_old_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = GaussianPolicy(3, 2)
    plain, normalizer = policy.copy(), seen()
    policy.normalizer = normalizer
    obs = np.random.default_rng(6).normal(size=(9, 3))
    old = by_definition(normalizer, obs)
    original = _dispatch.compiled

    class Updating:
        def __getattr__(self, name: str) -> Any:  # they are ready to be made, and not yet kept
            assert name == "InputScaling"
            monkeypatch.setattr(_dispatch, "compiled", original)
            normalizer.update(np.full((400, 3), 5.0))
            return original.InputScaling

    monkeypatch.setattr(_dispatch, "compiled", Updating())
    assert_close(policy.mode(obs), plain.mode(old), 1e-5)  # this call began before the update ...
    assert normalizer.count == 450
    assert_close(policy.mode(obs), plain.mode(by_definition(normalizer, obs)), 1e-5)  # ... and this one after


@pytest.mark.usefixtures("eager_switching")
def test_updates_of_several_threads_are_all_counted() -> None:
    normalizer = ObservationNormalizer(2)
    parts = np.random.default_rng(4).normal(size=(4, 50, 8, 2))

    def work(part: np.ndarray) -> None:
        for obs in part:
            normalizer.update(obs)

    threads = [threading.Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = parts.reshape(-1, 2)
    assert normalizer.count == len(every)
    assert_close(normalizer.mean, every.mean(axis=0), 1e-9)
    assert_close(normalizer.m2, every.var(axis=0) * len(every), 1e-9)


def test_another_normaliser_or_none_is_followed() -> None:
    policy: Policy = GaussianPolicy(3, 2)
    obs = np.random.default_rng(5).normal(size=(9, 3))
    raw = policy.mode(obs)
    policy.normalizer = seen()
    assert (policy.mode(obs) != raw).any()
    policy.normalizer = None
    assert_same_bits(policy.mode(obs), raw)
