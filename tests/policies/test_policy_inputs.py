"""What comes in and around: normalisation, awkward arrays, NaN, threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pgcore
from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiBinaryPolicy,
    MultiDiscretePolicy,
    ObservationNormalizer,
)
from support import oracles
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES, METHODS, Problem, problem

every_family = pytest.mark.parametrize("family", FAMILIES)

every_method = pytest.mark.parametrize("method", METHODS)
PER_ROW = (
    "log_prob",
    "entropy",
    "kl",
    "scores",
    "score_sq_norms",
    "mode",
    "act",
    "sample",
    "sampled_log_probs",
)


def call(method: str, p: Problem, obs: Any = None, actions: Any = None, weights: Any = None) -> np.ndarray:
    return METHODS[method](
        p.policy,
        p.obs if obs is None else obs,
        p.actions if actions is None else actions,
        p.weights if weights is None else weights,
    )


# ---- normalisation ----


def moved_normalizer(clip: float = 10.0) -> ObservationNormalizer:
    normalizer = ObservationNormalizer(3, clip=clip)
    rng = np.random.default_rng(1)
    normalizer.update(rng.normal(loc=[5.0, -300.0, 0.01], scale=[2.0, 40.0, 0.003], size=(500, 3)))
    return normalizer


def raw_problem(family: str, dtype: Any = np.float64, num_rows: int = 300) -> Problem:
    """Observations of very different sizes, a few of them far outside what the normaliser saw."""
    p = problem(family, num_rows, dtype=dtype)
    obs = [5.0, -300.0, 0.01] + np.array([2.0, 40.0, 0.003]) * p.obs
    obs[::50] *= 30.0
    p.obs = obs.astype(dtype)
    return p


@pytest.mark.covering(2)
@every_family
@every_method
@pytest.mark.parametrize("clip", [10.0, 0.7, np.inf])
def test_normalising_inside_is_normalising_before(family: str, method: str, clip: float) -> None:
    p = raw_problem(family)
    normalizer = moved_normalizer(clip)
    expected = call(method, p, obs=normalizer.normalize(p.obs))
    without = call(method, p)
    p.policy.normalizer = normalizer
    assert_close(call(method, p).astype(float), expected.astype(float), 1e-12)
    # ... and it changes something, where observations matter at all
    if not (method == "entropy" and family in ("diagonal", "full", "fixed")):
        assert (without != expected).any()
    p.policy.normalizer = None
    assert_same_bits(call(method, p), without)


@pytest.mark.light
@every_family
@pytest.mark.parametrize("method", ["log_prob", "score_product", "sampled_log_probs"])
def test_normalising_in_float32(family: str, method: str) -> None:
    p = raw_problem(family, np.float32)
    expected = call(method, p, obs=moved_normalizer().normalize(p.obs))
    p.policy.normalizer = moved_normalizer()
    assert_close(call(method, p), expected, 1e-5)


@every_method
def test_a_normaliser_without_data_changes_nothing_but_clips(method: str) -> None:
    p = problem("state", 40)
    p.obs[3] = 50.0
    expected = call(method, p, obs=np.clip(p.obs, -10.0, 10.0))
    p.policy.normalizer = ObservationNormalizer(3)
    assert_same_bits(call(method, p), expected)


@every_method
def test_updates_are_followed(method: str) -> None:
    p = raw_problem("state")
    p.policy.normalizer = ObservationNormalizer(3)
    for part in np.array_split(p.obs, 3):
        before = call(method, p)
        p.policy.normalizer.update(part)
        after = call(method, p)
        expected_obs = p.policy.normalizer.normalize(p.obs)
        normalizer, p.policy.normalizer = p.policy.normalizer, None
        assert_close(after, call(method, p, obs=expected_obs), 1e-12)
        p.policy.normalizer = normalizer
        assert (after != before).any()


def test_another_normaliser_and_a_loaded_state_are_followed() -> None:
    p = raw_problem("state")
    p.policy.normalizer = ObservationNormalizer(3)
    fresh = call("log_prob", p)
    p.policy.normalizer = moved_normalizer()
    moved = call("log_prob", p)
    p.policy.normalizer = ObservationNormalizer(3)
    assert_same_bits(call("log_prob", p), fresh)
    p.policy.normalizer.load_state(moved_normalizer().state())
    assert_same_bits(call("log_prob", p), moved)
    p.policy.normalizer.load_state(moved_normalizer(clip=0.5).state())
    assert (call("log_prob", p) != moved).any()


def test_a_normaliser_of_another_length_is_refused() -> None:
    p = problem("diagonal", 4)
    p.policy.normalizer = ObservationNormalizer(2)
    with pytest.raises(ValueError, match=r"^normalizer: expected .* of length 3, got length 2$"):
        p.policy.mode(p.obs)


# ---- awkward arrays ----


@pytest.mark.covering(2)
@every_family
@every_method
@pytest.mark.parametrize("form", oracles.AWKWARD)
def test_awkward_arrays(family: str, method: str, form: str) -> None:
    p = problem(family, 33, dtype=np.float32)
    expected = call(method, p)
    awkward = oracles.AWKWARD[form]
    arguments = awkward(p.obs), awkward(p.actions), awkward(p.weights)
    before = [np.array(x) for x in arguments]
    assert_same_bits(call(method, p, *arguments), expected)
    for x, y in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.covering(1)
@every_family
@every_method
def test_other_dtypes_and_lists_are_cast(family: str, method: str) -> None:
    p = problem(family, 9, dtype=np.float32)
    expected = call(method, p)
    wide = call(method, p, p.obs.astype(np.float64), p.actions, p.weights.astype(np.float64))
    assert_same_bits(wide, expected)
    assert_same_bits(call(method, p, p.obs.tolist(), p.actions.tolist(), p.weights.tolist()), expected)
    whole = np.arange(27).reshape(9, 3)
    assert_same_bits(call(method, p, obs=whole), call(method, p, obs=whole.astype(np.float32)))


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint64, bool])
def test_choices_may_be_any_integers(kind: Any) -> None:
    policy = MultiDiscretePolicy(2, [2, 2], dtype="float64")
    actions = np.array([[0, 1], [1, 1]])
    obs = np.ones((2, 2))
    assert_same_bits(policy.log_prob(obs, actions.astype(kind)), policy.log_prob(obs, actions))


# ---- NaN ----


@pytest.mark.covering(2)
@pytest.mark.light
@every_family
@pytest.mark.parametrize("method", PER_ROW)
@pytest.mark.parametrize("normalise", [False, True], ids=["raw", "normalised"])
def test_nan_stays_in_its_row(family: str, method: str, normalise: bool) -> None:
    p = problem(family, 300)
    if normalise:
        p.policy.normalizer = moved_normalizer()
    expected = call(method, p)
    p.obs[[7, 299]] = np.nan
    if p.actions.dtype.kind == "f":
        p.actions[9, 1] = np.nan
    elif method in ("mode", "act", "sample", "sampled_log_probs"):  # an integer can't be NaN
        with pytest.raises(
            ValueError, match=r"^obs: expected finite numbers, got nan in row 7, component 0$"
        ):
            call(method, p)
        return
    result = call(method, p)
    others = np.delete(np.arange(300), [7, 9, 299])
    assert_same_bits(result[others], expected[others])
    if result.dtype.kind == "f" and not (method == "entropy" and family in ("diagonal", "full", "fixed")):
        assert np.isnan(result[7]).any()
        assert np.isnan(result[299]).any()
    if method == "log_prob" and FAMILIES[family].is_gaussian:
        assert np.isnan(result[9])


@every_family
def test_nan_stays_in_its_episode(family: str) -> None:
    p = problem(family, 50)
    expected = call("episode_scores", p)
    p.obs[12] = np.nan
    result = call("episode_scores", p)
    assert np.isnan(result[2]).any()
    assert_same_bits(np.delete(result, 2, axis=0), np.delete(expected, 2, axis=0))


DISCRETE = {
    "categorical": lambda dtype: CategoricalPolicy(2, 4, hidden=(), dtype=dtype),
    "multi_discrete": lambda dtype: MultiDiscretePolicy(2, [3, 2], hidden=(), dtype=dtype),
    "multi_binary": lambda dtype: MultiBinaryPolicy(2, 3, hidden=(), dtype=dtype),
}


def every_way_to_act(policy: Any, obs: np.ndarray) -> dict[str, Any]:
    """Functions that choose actions at the observations."""
    obs = obs.astype(policy.dtype)
    noise = policy.draw_noise(np.random.default_rng(0), 1, len(obs))
    actions = np.empty((1, len(obs), *policy.action_shape), np.int64)
    return {
        "mode": lambda: policy.mode(obs),
        "sample": lambda: policy.sample(obs, np.random.default_rng(0)),
        "act": lambda: policy.act(obs, noise[0]),
        "actor": lambda: policy.actor(obs[None], noise, actions)(0),
    }


@pytest.mark.parametrize("way", ["mode", "sample", "act", "actor"])
@pytest.mark.parametrize("family", DISCRETE)
def test_choices_without_probabilities_are_refused(family: str, way: str, dtype: np.dtype) -> None:
    policy = DISCRETE[family](dtype)
    obs = np.zeros((20, 2))

    def refusal(where: np.ndarray) -> str:
        with pytest.raises(ValueError) as caught:
            every_way_to_act(policy, where)[way]()
        return str(caught.value)

    for bad, text in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        spoilt = obs.copy()
        spoilt[17, 1] = bad
        assert refusal(spoilt) == f"obs: expected finite numbers, got {text} in row 17, component 1"

    clean = policy.params
    of_outputs = policy.num_params - sum(policy.nvec)  # biases come last
    reason = "the policy's parameters are not finite"
    message = f"logits: expected numbers, got nan in row 0 ({reason})"
    policy.params = np.full(policy.num_params, np.nan)
    assert refusal(obs) == message
    params = clean.copy()
    params[of_outputs + np.arange(2)] = np.inf  # two of them: ∞ − ∞
    policy.params = params
    assert refusal(obs) == message
    params[of_outputs:] = -np.inf  # no choice is possible
    policy.params = params
    assert refusal(obs) == message
    params = clean.copy()
    params[:of_outputs] = np.finfo(dtype).max
    policy.params = params
    huge = obs.copy()
    huge[3] = 1e30
    assert refusal(huge) == "logits: expected numbers, got nan in row 3 (the network overflows)"


def test_impossible_choices_are_never_taken(dtype: np.dtype) -> None:
    """One logit of −∞, or of next to it, leaves the others: with every noise, in modes too."""
    policy = CategoricalPolicy(1, 4, hidden=(), dtype=dtype)
    for low in (-np.inf, -1e30):
        policy.params = [0.0] * 4 + [low, 0.0, -0.1, low]
        noise = np.linspace(0.0, 1.0, 1001)[:-1, None].astype(dtype)
        taken = policy.act(np.zeros((1000, 1)), noise)
        assert set(taken) == {1, 2}
        assert policy.mode(np.zeros((1, 1)))[0] == 1


def test_what_rounding_leaves_over_goes_to_a_possible_choice(rng: np.random.Generator) -> None:
    """With the largest noise there is, the last choice that can be taken is: not the last of all."""
    for dtype in (np.float32, np.float64):
        policy = CategoricalPolicy(9, 8, hidden=(), dtype=dtype)
        weights = np.zeros((8, 9))
        weights[:6, :6] = np.eye(6)
        policy.params = np.concatenate([weights.ravel(), [0.0] * 6, [-np.inf, -1e4]])
        obs = rng.standard_normal((20_000, 9)).astype(dtype)
        noise = np.full((len(obs), 1), np.nextafter(dtype(1), dtype(0)))
        taken = policy.act(obs, noise)
        assert (taken <= 5).all()
        assert np.mean(taken == 5) > 0.99


# ---- noise ----


@pytest.mark.parametrize("family", ["categorical", "multi_discrete", "multi_binary", "gaussian"])
def test_noise_is_the_generators(family: str, dtype: np.dtype) -> None:
    """Drawn in the policy's own dtype: numbers rounded to it might be 1, which is no noise for a choice."""
    policy = GaussianPolicy(2, 3, dtype=dtype) if family == "gaussian" else DISCRETE[family](dtype)
    width = policy.action_shape[0] if policy.action_shape else 1
    noise = policy.draw_noise(np.random.default_rng(5), 7, 4)
    assert noise.shape == (7, 4, width)
    assert noise.dtype == dtype
    generator = np.random.default_rng(5)
    draw = generator.standard_normal if family == "gaussian" else generator.random
    np.testing.assert_array_equal(noise, draw((7, 4, width), dtype.type))


# ---- threads ----


@pytest.mark.light
@every_family
@pytest.mark.usefixtures("restore_threads")
def test_results_do_not_depend_on_the_number_of_threads(family: str, dtype: np.dtype) -> None:
    p = problem(family, 5003, hidden=(32, 24), dtype=dtype)
    p.policy.normalizer = moved_normalizer()
    results = {}
    for num_threads in (1, 2, 3):
        pgcore.set_num_threads(num_threads)
        results[num_threads] = {method: call(method, p) for method in METHODS if method != "scores"}
        results[num_threads]["scores"] = p.policy.scores(p.obs[:700], p.actions[:700])
    for num_threads in (2, 3):
        for method, result in results[num_threads].items():
            assert_same_bits(result, results[1][method])


@pytest.mark.covering(1)
@every_family
@pytest.mark.parametrize("method", METHODS)
def test_results_do_not_depend_on_alignment(family: str, method: str) -> None:
    p = problem(family, 70, hidden=(9, 7), dtype=np.float32)
    expected = call(method, p)
    for items in (1, 3, 5):
        arrays = [oracles.shifted(x, items) for x in (p.obs, p.actions, p.weights)]
        assert_same_bits(call(method, p, *arrays), expected)


@pytest.fixture
def eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@every_family
@pytest.mark.usefixtures("eager_switching", "restore_threads")
def test_one_policy_may_be_used_by_several_threads(family: str) -> None:
    pgcore.set_num_threads(2)
    p = problem(family, 1100, hidden=(16, 16))
    normalizer = moved_normalizer()
    p.policy.normalizer = normalizer
    tasks = [(method, rows) for rows in (3, 300, 1100) for method in METHODS] * 3

    def work(task: tuple[str, int]) -> np.ndarray:
        method, rows = task
        return call(method, p, p.obs[:rows], p.actions[:rows], p.weights[:rows])

    serial = [work(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            normalizer.load_state(normalizer.state())
            for result, expected in zip(pool.map(work, tasks), serial, strict=True):
                assert_same_bits(result, expected)
