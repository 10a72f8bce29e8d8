"""PPO's surrogate: its gradient against autograd, and what a pass over minibatches does."""

from __future__ import annotations

import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from pgcore.optim import SurrogateAscent
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES, GaussianOracle, Problem, problem

every_family = pytest.mark.parametrize("family", FAMILIES)
OBJECTIVES: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"clip_range": 0.1},
    "entropy": {"clip_range": 0.2, "ent_coef": 0.3},
    "penalty": {"kl_coef": 0.7},
    "normalized": {"clip_range": 0.2, "normalize_advantage": True},
}


def entropy(p: Problem, theta: Any, obs: np.ndarray) -> Any:
    if isinstance(p.oracle, GaussianOracle):
        covariance = p.oracle.moments(theta, obs)[1]
        log_det = anp.linalg.slogdet(2.0 * np.pi * np.e * covariance)[1]
        return 0.5 * log_det * np.ones(len(obs)) + 0.0 * anp.sum(theta)  # a fixed Σ does not depend on θ
    return -sum(anp.sum(anp.exp(part) * part, axis=1) for part in p.oracle.log_probs(theta, obs))


def objective(p: Problem, old: np.ndarray, options: dict[str, Any]) -> Any:
    """The mean surrogate as a function of θ, by its formula."""
    _, obs, actions = p.wide
    advantages = p.weights.astype(np.float64)
    if options.get("normalize_advantage") and len(advantages) > 1:  # as Stable-Baselines3's PPO.train
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    epsilon = options.get("clip_range", math.inf)

    def mean(theta: Any) -> Any:
        log_ratio = p.oracle.log_prob(theta, obs, actions) - old
        ratio = anp.exp(log_ratio)
        gain = anp.minimum(ratio * advantages, anp.clip(ratio, 1 - epsilon, 1 + epsilon) * advantages)
        bonus = options.get("ent_coef", 0.0) * entropy(p, theta, obs)
        penalty = options.get("kl_coef", 0.0) * (ratio - 1 - log_ratio)
        return anp.mean(gain + bonus - penalty)

    return mean


def gradient_of(ascent: SurrogateAscent) -> np.ndarray:
    """Of the first step: Adam's first moment is a tenth of it, downhill."""
    return -ascent.state()["m"] / (1 - 0.9)


@pytest.mark.covering(2)
@every_family
@pytest.mark.parametrize("num_rows", [1, 2, 33, 300])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_is_that_of_the_formula(family: str, name: str, num_rows: int) -> None:
    p, options = problem(family, num_rows, hidden=(5,)), OBJECTIVES[name]
    rng = np.random.default_rng(5)
    old = p.policy.log_prob(*p.data) + 0.3 * rng.normal(size=num_rows)
    want = autograd.grad(objective(p, old, options))(p.wide[0])
    value = objective(p, old, options)(p.wide[0])
    ascent = SurrogateAscent(p.policy)
    order = rng.permutation(num_rows)
    report = ascent.epoch(*p.data, p.weights, old, order, learning_rate=1e-3, batch_size=num_rows, **options)
    assert_close(gradient_of(ascent), want)
    assert report.minibatches == 1
    assert report.gradient_norm == pytest.approx(np.linalg.norm(want))
    mean_entropy = np.mean(entropy(p, *p.wide[:2]))
    log_ratio = p.oracle.log_prob(*p.wide) - old
    kl = np.mean(np.exp(log_ratio) - 1 - log_ratio)
    assert report.entropy == pytest.approx(mean_entropy)
    assert report.approx_kl == pytest.approx(kl)
    bonus = options.get("ent_coef", 0.0) * mean_entropy - options.get("kl_coef", 0.0) * kl
    assert report.surrogate + bonus == pytest.approx(value, abs=1e-12)
    outside = np.abs(np.exp(log_ratio) - 1) > options.get("clip_range", math.inf)
    assert report.clip_fraction == pytest.approx(outside.mean())


@every_family
@pytest.mark.parametrize("num_rows", [0, 1, 300])
def test_entropy_gradients(family: str, num_rows: int) -> None:
    p = problem(family, num_rows)
    theta, obs, _ = p.wide
    want = np.zeros_like(theta)
    if num_rows:
        want = autograd.grad(lambda t: anp.sum(entropy(p, t, obs)))(theta)
    assert_close(p.policy.entropy_gradient(p.obs), want)


@pytest.mark.parametrize("family", ["diagonal", "categorical"])
def test_a_pass_is_a_sequence_of_minibatches(family: str) -> None:
    p = problem(family, 50)
    options: dict[str, Any] = {"learning_rate": 0.01, "clip_range": 0.2, "max_grad_norm": 0.5}
    old, order = p.policy.log_prob(*p.data), np.random.default_rng(0).permutation(50)[:45]
    whole, parts = SurrogateAscent(p.policy), SurrogateAscent(p.policy.copy())
    report = whole.epoch(*p.data, p.weights, old, order, batch_size=20, **options)
    assert report.minibatches == 3
    segments = [
        parts.epoch(*p.data, p.weights, old, part, batch_size=99, **options)
        for part in (order[:20], order[20:40], order[40:])
    ]
    assert_same_bits(whole.policy.params, parts.policy.params)
    means = np.average([r.surrogate for r in segments], weights=[20, 20, 5])
    assert report.surrogate == pytest.approx(means)
    assert int(whole.state()["step"]) == 3


def test_ratios_start_at_one() -> None:
    p = problem("diagonal", 400, dtype=np.float32)
    ascent = SurrogateAscent(p.policy)
    old = p.policy.log_prob(*p.data)
    report = ascent.epoch(*p.data, p.weights, old, np.arange(400), learning_rate=1e-9, batch_size=400)
    assert abs(report.approx_kl) < 1e-12
    assert_close(gradient_of(ascent), p.policy.score_product(*p.data, p.weights) / 400)


def test_the_gradients_norm_is_limited() -> None:
    p = problem("full", 20)
    old = p.policy.log_prob(*p.data)
    free, limited = SurrogateAscent(p.policy.copy()), SurrogateAscent(p.policy.copy())
    arguments: Any = (*p.data, p.weights, old, np.arange(20))
    norm = free.epoch(*arguments, learning_rate=0.1).gradient_norm
    assert limited.epoch(*arguments, learning_rate=0.1, max_grad_norm=norm / 4).gradient_norm == norm
    assert_close(gradient_of(limited), gradient_of(free) / 4)


def test_a_pass_ends_before_a_step_from_too_far() -> None:
    p = problem("categorical", 60)
    old = p.policy.log_prob(*p.data)
    ascent = SurrogateAscent(p.policy)
    report = ascent.epoch(
        *p.data, p.weights, old, np.arange(60), learning_rate=0.3, batch_size=10, max_kl=0.05
    )
    assert report.stopped
    assert 1 <= report.minibatches < 6
    moved = p.policy.params
    again = ascent.epoch(
        *p.data, p.weights, old - 1.0, np.arange(60), learning_rate=0.3, batch_size=60, max_kl=0.05
    )
    assert again.minibatches == 0
    assert math.isnan(again.surrogate)
    assert_same_bits(p.policy.params, moved)


@pytest.mark.parametrize("advantages", [np.full(30, 1e6), np.full(30, 0.1), np.zeros(30)])
def test_advantages_that_do_not_vary(advantages: np.ndarray) -> None:
    p = problem("diagonal", 30)
    ascent, old = SurrogateAscent(p.policy), p.policy.log_prob(*p.data)
    ascent.epoch(
        *p.data, advantages, old, np.arange(30), learning_rate=0.1, batch_size=30, normalize_advantage=True
    )
    assert not gradient_of(ascent).any()


def normalized_gradient(p: Problem, advantages: np.ndarray) -> np.ndarray:
    """Of one minibatch of all rows."""
    ascent, old = SurrogateAscent(p.policy.copy()), p.policy.log_prob(*p.data)
    size = len(advantages)
    options: Any = {"learning_rate": 0.1, "batch_size": size, "normalize_advantage": True}
    ascent.epoch(*p.data, advantages, old, np.arange(size), **options)
    return gradient_of(ascent)


@pytest.mark.parametrize("policy_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [1e6, -0.1, 1e30, 3e-30])
def test_advantages_that_rounding_sets_apart(level: float, dtype: np.dtype, policy_dtype: Any) -> None:
    p = problem("diagonal", 30, dtype=policy_dtype)
    advantages = np.full(30, level, dtype)
    advantages[::2] = np.nextafter(advantages[::2], dtype.type(0))
    assert not normalized_gradient(p, advantages).any()


@pytest.mark.parametrize("policy_dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("level", "scale"), [(1e8, 1.0), (-1e12, 3.0), (0.0, 1e200), (7.0, 1e-4)])
def test_advantages_keep_what_sets_them_apart(level: float, scale: float, policy_dtype: Any) -> None:
    """Their mean is taken away in double precision, before anything is rounded to the policy's dtype."""
    p = problem("diagonal", 30, dtype=policy_dtype)
    signs = np.where(np.arange(30) % 3 == 0, 1.0, -1.0)
    apart = (signs - signs.mean()) / signs.std(ddof=1)
    want = p.policy.score_product(*p.data, apart) / 30
    assert_close(normalized_gradient(p, level + scale * signs), want, 1e-3)


def test_bad_numbers_are_noticed_before_they_do_harm() -> None:
    p = problem("diagonal", 30)
    ascent, before = SurrogateAscent(p.policy), p.policy.params
    old = p.policy.log_prob(*p.data)
    weights = p.weights.copy()
    weights[7] = np.nan
    with pytest.raises(FloatingPointError, match=r"^gradient: expected finite numbers; look for infinite"):
        ascent.epoch(*p.data, weights, old, np.arange(30), learning_rate=0.1)
    assert_same_bits(p.policy.params, before)


def test_moments_are_saved_and_restored() -> None:
    p = problem("state", 40)
    old = p.policy.log_prob(*p.data)
    first = SurrogateAscent(p.policy)
    arguments: Any = (*p.data, p.weights, old, np.arange(40))
    first.epoch(*arguments, learning_rate=0.01)
    second = SurrogateAscent(p.policy.copy())
    second.load_state(first.state())
    first.epoch(*arguments, learning_rate=0.01)
    second.epoch(*arguments, learning_rate=0.01)
    assert_same_bits(second.policy.params, first.policy.params)


def test_the_policys_normaliser_is_applied() -> None:
    from pgcore.policies import ObservationNormalizer

    p = problem("diagonal", 40)
    normalizer = ObservationNormalizer(3)
    normalizer.update(5 + 3 * p.obs)
    plain = p.policy.copy()
    p.policy.normalizer = normalizer
    old = p.policy.log_prob(*p.data)
    with_it, by_hand = SurrogateAscent(p.policy), SurrogateAscent(plain)
    with_it.epoch(*p.data, p.weights, old, np.arange(40), learning_rate=0.01)
    by_hand.epoch(normalizer.normalize(p.obs), p.actions, p.weights, old, np.arange(40), learning_rate=0.01)
    assert_close(p.policy.params, plain.params)


GAUSSIAN, CHOICE = GaussianPolicy(3, 2, hidden=()), CategoricalPolicy(3, 4, hidden=())
OBS, ACTIONS = np.zeros((5, 3), np.float32), np.zeros((5, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros(4), np.zeros(5), range(5)), {}, ValueError, "advantages: expected shape (5,), got (4,)"),
        (
            (np.zeros(5), np.zeros(4), range(5)),
            {},
            ValueError,
            "log_probs_old: expected shape (5,), got (4,)",
        ),
        ((np.zeros(5), np.zeros(5), [5]), {}, ValueError, "order: expected integers in 0…4, got 5"),
        ((np.zeros(5), np.zeros(5), [-1]), {}, ValueError, "order: expected integers in 0…4, got -1"),
        (
            (np.zeros(5), np.zeros(5), range(5)),
            {"batch_size": 0},
            ValueError,
            "batch_size: expected an integer >= 1, got 0",
        ),
    ],
)
def test_errors(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        SurrogateAscent(GAUSSIAN).epoch(OBS, ACTIONS, *arguments, learning_rate=0.1, **options)
    assert str(caught.value) == message
    with pytest.raises(ValueError, match=r"^actions: expected integers in 0…3, got 4$"):
        SurrogateAscent(CHOICE).epoch(
            OBS, np.full(5, 4), np.zeros(5), np.zeros(5), range(5), learning_rate=0.1
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_grad_norm": -1.0}, ValueError, "max_grad_norm: expected a number >= 0, got -1.0"),
        ({"clip_range": -0.1}, ValueError, "clip_range: expected a number >= 0, got -0.1"),
        ({"clip_range": math.nan}, ValueError, "clip_range: expected a number >= 0, got nan"),
        ({"max_kl": math.nan}, ValueError, "max_kl: expected a number >= 0, got nan"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate: expected a finite number >= 0, got nan"),
        ({"learning_rate": "x"}, TypeError, "learning_rate: expected a real number, got str"),
        ({"order": [True] * 5}, TypeError, "order: expected row numbers, got bool"),
        ({"order": [0.7, 1.9]}, TypeError, "order: expected integers, got float64"),
    ],
)
def test_numbers_are_checked(options: Any, error: type[Exception], message: str) -> None:
    arguments = {"order": range(5), "learning_rate": 0.1, **options}
    ascent = SurrogateAscent(GAUSSIAN)
    with pytest.raises(error) as caught:
        ascent.epoch(OBS, ACTIONS, np.zeros(5), np.zeros(5), **arguments)
    assert str(caught.value) == message
    assert int(ascent.state()["step"]) == 0


def test_states_of_other_policies_are_refused() -> None:
    ascent = SurrogateAscent(GAUSSIAN)
    with pytest.raises(ValueError, match=r"^m: expected shape \(10,\), got \(5,\)$"):
        ascent.load_state({"m": np.zeros(5), "v": np.zeros(10), "step": np.array(1)})
    assert int(ascent.state()["step"]) == 0


def test_a_ratio_that_overflows_has_no_weight_where_it_is_clipped() -> None:
    p = problem("diagonal", 30)
    old = p.policy.log_prob(*p.data)
    old[3] -= 800.0
    advantages = np.abs(p.weights)
    ascent = SurrogateAscent(p.policy)
    ascent.epoch(*p.data, advantages, old, np.arange(30), learning_rate=0.1, batch_size=30, clip_range=0.2)
    assert np.isfinite(gradient_of(ascent)).all()


def test_other_threads_never_see_parameters_half_way() -> None:
    p = problem("diagonal", 2000, hidden=(16,))
    old, ascent = p.policy.log_prob(*p.data), SurrogateAscent(p.policy)
    same = np.repeat(p.obs[:1], 3000, axis=0), np.repeat(p.actions[:1], 3000, axis=0)
    copy_before = copy.copy(p.policy)
    theta = copy_before.params
    with ThreadPoolExecutor(3) as pool:
        order = np.tile(np.arange(2000), 3)
        arguments: Any = (*p.data, p.weights, old, order)
        training = [pool.submit(ascent.epoch, *arguments, learning_rate=1e-3) for _ in range(4)]
        while not all(future.done() for future in training):
            log_probs = p.policy.log_prob(*same)
            assert (log_probs == log_probs[0]).all()
    assert int(ascent.state()["step"]) == 4 * math.ceil(6000 / 64)
    assert_same_bits(copy_before.params, theta)


def test_index_arrays_may_change_during_a_call() -> None:
    p = problem("categorical", 3000, hidden=(16,))
    old, ascent = p.policy.log_prob(*p.data), SurrogateAscent(p.policy)
    actions, order = p.actions.copy(), np.tile(np.arange(3000), 4)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ascent.epoch, p.obs, actions, p.weights, old, order, learning_rate=1e-3)
        while not future.done():
            order[:], actions[:] = 2**40, 2**40
            time.sleep(1e-3)
            order[:], actions[:] = 0, 0
    error = future.exception()  # bad numbers may be seen before they are copied; after that they do no harm
    assert error is None or "expected integers in" in str(error)
