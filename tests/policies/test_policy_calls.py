"""Compiled policies, Fisher matrices and critics: exact arguments give the bits of coerced ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pgcore.policies import CategoricalPolicy, GaussianPolicy, MultiDiscretePolicy, ObservationNormalizer
from pgcore.values import ValueNetwork
from support import oracles
from support.oracles import assert_same_bits

ROWS = 5
WEIRD: list[Any] = [
    None,
    "text",
    10**400,
    1j,
    object(),
    [],
    [[]],
    np.zeros((0, 3)),
    np.zeros((ROWS, 0)),
    np.zeros((1,) * 8),
    np.array(None),
    np.zeros(ROWS, object),
    np.zeros((ROWS, 3), np.longdouble),
    np.full((ROWS, 1), 99),
    np.full(ROWS, -1),
    np.ma.masked_array(np.zeros((ROWS, 3)), True),
]


class Subclass(np.ndarray):
    pass


def calls(kind: str, dtype: np.dtype) -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Methods with exact arguments."""
    rng = np.random.default_rng(4)
    make = {
        "real": lambda: GaussianPolicy(3, 2, hidden=(7,), dtype=dtype),
        "choice": lambda: CategoricalPolicy(3, 4, hidden=(7,), dtype=dtype),
        "choices": lambda: MultiDiscretePolicy(3, [2, 3], hidden=(7,), dtype=dtype),
        "array of one": lambda: MultiDiscretePolicy(3, [3], hidden=(7,), dtype=dtype),
    }
    policy = make[kind]()
    policy.normalizer = ObservationNormalizer(3)
    policy.normalizer.update(rng.normal(size=(20, 3)))
    obs = rng.normal(size=(ROWS, 3)).astype(np.float32)
    noise = policy.draw_noise(rng, 1, ROWS)[0]
    actions, weights = policy.act(obs, noise), rng.normal(size=ROWS).astype(dtype)
    vector = rng.normal(size=policy.num_params).astype(dtype)
    other = policy.params + dtype.type(0.1)
    critic = ValueNetwork((7,), dtype=dtype)
    critic.fit(obs, rng.normal(size=ROWS))
    found: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        "log_prob": (policy.log_prob, [obs, actions]),
        "log_prob of others": (lambda o, a, p: policy.log_prob(o, a, params=p), [obs, actions, other]),
        "entropy": (policy.entropy, [obs]),
        "entropy_gradient": (policy.entropy_gradient, [obs]),
        "kl": (policy.kl, [obs, other]),
        "score_product": (policy.score_product, [obs, actions, weights]),
        "scores": (policy.scores, [obs, actions]),
        "score_sq_norms": (policy.score_sq_norms, [obs, actions]),
        "act": (policy.act, [obs, noise]),
        "sample": (lambda o: policy.sample(o, np.random.default_rng(1)), [obs]),
        "mode": (policy.mode, [obs]),
        "predict": (critic.predict, [obs]),
    }
    for name, damping in (("matvec", 0.0), ("damped matvec", 0.3)):
        fisher = policy.fisher(obs, damping=damping)
        found[name] = fisher.matvec, [vector]
        found[f"{name} @"] = fisher.__matmul__, [vector]
    scores = policy.fisher(obs, actions, kind="empirical", damping=0.3)
    found["empirical matvec"] = scores.matvec, [vector]
    return found


KINDS = ["real", "choice", "choices", "array of one"]
NAMES = list(calls("real", np.dtype(np.float64)))


def results_of(returned: Any) -> tuple[Any, ...]:
    return returned if isinstance(returned, tuple) else (returned,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_give_the_same_bits(kind: str, name: str, dtype: np.dtype) -> None:
    method, arguments = calls(kind, dtype)[name]
    expected = results_of(method(*arguments))
    for i, argument in enumerate(arguments):
        for make in [*oracles.AWKWARD.values(), lambda x: x.view(Subclass)]:
            got = results_of(method(*arguments[:i], make(argument), *arguments[i + 1 :]))
            for one, other in zip(got, expected, strict=True):
                assert_same_bits(one, other)
    for result in expected:
        assert type(result) is np.ndarray
        assert result.flags.owndata
        assert result.flags.writeable


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_is_computed_or_refused_by_name(kind: str, name: str, dtype: np.dtype) -> None:
    method, arguments = calls(kind, dtype)[name]
    for i in range(len(arguments)):
        for weird in WEIRD:
            error: Exception | None = None
            try:
                returned = method(*arguments[:i], weird, *arguments[i + 1 :])
            except (TypeError, ValueError) as caught:
                error = caught
            if error is None:
                assert all(isinstance(x, np.ndarray) for x in results_of(returned)), weird
            else:
                assert re.match(r"^\w+: expected .*, got ", str(error)), (weird, error)


@pytest.mark.parametrize("name", NAMES)
def test_no_reference_leaks(name: str) -> None:
    method, arguments = calls("choice", np.dtype(np.float32))[name]
    coerced = [argument.view(Subclass) for argument in arguments]
    watched = [*arguments, *coerced, None, *map(np.dtype, ("f4", "f8", "i8"))]

    def run() -> None:
        for _ in range(300):
            method(*arguments)
            method(*coerced)

    run()
    before = [sys.getrefcount(x) for x in watched]
    run()
    after = [sys.getrefcount(x) for x in watched]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 30, (before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_out_of_actions(kind: str, dtype: np.dtype) -> None:
    act, (obs, noise) = calls(kind, dtype)["act"]
    expected = act(obs, noise)
    for out in (np.empty_like(expected), np.empty_like(expected).view(Subclass)):
        assert act(obs, noise, out=out) is out
        assert_same_bits(out.view(np.ndarray), expected)
    if kind == "real":
        shared = noise.copy()
        assert act(obs, shared, out=shared) is shared
        assert_same_bits(shared, expected)
    for bad in (np.empty(expected.shape, np.float16), expected.tolist()):
        with pytest.raises(TypeError, match=r"^out: expected "):
            act(obs, noise, out=bad)
    before = oracles.read_only(expected)
    with pytest.raises(ValueError, match="got one that is not writeable"):
        act(obs, noise, out=before)


def test_choices_of_one_array_keep_their_dimension(dtype: np.dtype) -> None:
    one, array = calls("choice", dtype), calls("array of one", dtype)
    assert one["mode"][0](np.zeros((2, 3))).shape == (2,)
    assert array["mode"][0](np.zeros((2, 3))).shape == (2, 1)
    with pytest.raises(ValueError, match=r"^actions: expected shape \(2,\), got \(2, 1\)$"):
        one["log_prob"][0](np.zeros((2, 3)), np.zeros((2, 1), np.int64))
    with pytest.raises(ValueError, match=r"^actions: expected shape \(2, 1\), got \(2,\)$"):
        array["log_prob"][0](np.zeros((2, 3)), np.zeros(2, np.int64))
