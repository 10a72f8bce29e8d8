"""What a policy is made of: parameters, copies, configurations."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from pgcore.kernels import MLP
from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiBinaryPolicy,
    MultiDiscretePolicy,
    ObservationNormalizer,
    Policy,
    for_spaces,
    from_config,
)
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES, problem

every_family = pytest.mark.parametrize("family", FAMILIES)


# ---- layout ----


def test_the_network_comes_first_layer_by_layer() -> None:
    """As `torch.nn.utils.parameters_to_vector`: weight (out, in) row-major, then bias."""
    policy = GaussianPolicy(2, 1, hidden=(3,), activation="relu", dtype="float64")
    W1, b1 = np.array([[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0]]), np.array([0.5, -0.5, 0.25])
    W2, b2, log_std = np.array([[2.0, -1.0, 3.0]]), np.array([7.0]), np.array([math.log(2.0)])
    policy.params = np.concatenate([W1.ravel(), b1, W2.ravel(), b2, log_std])
    obs = np.array([[1.0, 2.0]])
    # relu([5.5, 10.5, 7.25]) → 2·5.5 − 10.5 + 3·7.25 + 7
    assert policy.mode(obs).tolist() == [[29.25]]
    assert policy.entropy(obs)[0] == pytest.approx(0.5 * math.log(2.0 * math.pi * math.e * 4.0), abs=1e-14)


def test_a_full_covariance_ends_with_the_lower_triangle() -> None:
    policy = GaussianPolicy(1, 3, hidden=(), covariance="full", dtype="float64")
    L = np.array([[0.5, 0.0, 0.0], [0.1, 2.0, 0.0], [-0.2, 0.3, 3.0]])
    extra = [math.log(0.5), 0.1, math.log(2.0), -0.2, 0.3, math.log(3.0)]
    policy.params = np.concatenate([np.zeros(6), extra])
    assert_close(policy.act(np.zeros((3, 1)), np.eye(3)).T, L, 1e-15)


def test_a_state_covariance_has_twice_the_outputs() -> None:
    policy = GaussianPolicy(1, 2, hidden=(), covariance="state", init_log_std=0.5, dtype="float64")
    assert policy.num_params == 2 * 4
    # weights are zero; biases: two means, then two log-deviations above the initial one
    policy.params = np.concatenate([np.zeros(4), [1.0, 2.0, math.log(3.0), math.log(5.0)]])
    actions = policy.act(np.zeros((1, 1)), np.ones((1, 2)))
    assert_close(actions, np.array([[1.0 + 3.0 * math.exp(0.5), 2.0 + 5.0 * math.exp(0.5)]]), 1e-15)


def test_a_fixed_covariance_has_no_parameters() -> None:
    sigma = [[4.0, 1.0], [1.0, 2.0]]
    policy = GaussianPolicy(1, 2, hidden=(), covariance=sigma, dtype="float64")
    assert policy.num_params == 2 * 2
    policy.params = np.zeros(4)
    factor = policy.act(np.zeros((2, 1)), np.eye(2)).T
    assert_close(factor @ factor.T, np.array(sigma), 1e-15)


def test_logits_of_choices_stand_side_by_side() -> None:
    policy = MultiDiscretePolicy(1, [2, 3], hidden=(), dtype="float64")
    policy.params = np.concatenate([np.zeros(5), np.log([0.2, 0.8, 0.5, 0.4, 0.1])])
    log_probs = policy.log_prob(np.zeros((2, 1)), [[1, 0], [0, 2]])
    assert_close(np.exp(log_probs), np.array([0.8 * 0.5, 0.2 * 0.1]), 1e-15)


@every_family
@pytest.mark.parametrize("hidden", [(), (7,), (4, 3, 2, 5)])
def test_num_params(family: str, hidden: tuple[int, ...]) -> None:
    policy = FAMILIES[family].make(3, hidden=hidden)
    assert policy.num_params == FAMILIES[family].oracle(3, hidden, "tanh").num_params
    assert policy.params.shape == (policy.num_params,)
    assert policy.params.dtype == policy.dtype == np.float32


# ---- initial values ----


@every_family
def test_the_network_starts_as_its_own_initialisation(family: str, dtype: np.dtype) -> None:
    policy = FAMILIES[family].make(3, hidden=(8, 6), seed=5, dtype=dtype)
    net = MLP((3, 8, 6, FAMILIES[family].oracle.num_outputs), dtype=dtype)
    assert_same_bits(policy.params[: net.num_params], net.init(5, final_gain=0.01))


@pytest.mark.parametrize("covariance", ["diagonal", "full", "state"])
def test_the_initial_deviation(covariance: Any) -> None:
    policy = GaussianPolicy(3, 2, covariance=covariance, init_log_std=-0.7, dtype="float64")
    entropy = 2 * (0.5 * math.log(2.0 * math.pi * math.e) - 0.7)
    assert_close(policy.entropy(np.zeros((4, 3))), np.full(4, entropy), 1e-12)
    factor = policy.act(np.zeros((2, 3)), np.eye(2)) - policy.mode(np.zeros((2, 3)))
    assert_close(factor, math.exp(-0.7) * np.eye(2), 1e-12)


@every_family
def test_seeds(family: str) -> None:
    make = FAMILIES[family].make
    assert_same_bits(make(3, seed=1).params, make(3, seed=1).params)
    assert (make(3, seed=1).params != make(3, seed=2).params).any()
    assert_close(make(3, seed=1, dtype="float32").params, make(3, seed=1, dtype="float64").params, 1e-6)


@every_family
def test_a_fresh_policy_is_nearly_the_same_everywhere(family: str) -> None:
    policy = FAMILIES[family].make(3, dtype="float64")
    obs = np.random.default_rng(0).normal(size=(50, 3))
    zero = np.zeros((50, 3))
    actions, _ = policy.sample(zero, np.random.default_rng(0))
    difference = policy.log_prob(obs, actions) - policy.log_prob(zero, actions)
    assert 0 < np.abs(difference).max() < 0.2


# ---- reading and assigning ----


@every_family
def test_reading_params_gives_a_copy(family: str) -> None:
    p = problem(family, 4)
    before = p.policy.log_prob(*p.data)
    read = p.policy.params
    read += 1.0
    assert_same_bits(p.policy.params, p.theta)
    assert_same_bits(p.policy.log_prob(*p.data), before)


@every_family
def test_assigning_params_takes_a_copy(family: str) -> None:
    p = problem(family, 4)
    mine = p.theta + 1.0
    p.policy.params = mine
    after = p.policy.log_prob(*p.data)
    mine[:] = 0.0
    assert_same_bits(p.policy.log_prob(*p.data), after)


def test_params_are_cast_and_may_be_any_array() -> None:
    policy = CategoricalPolicy(1, 2, hidden=())
    for value in ([1, 2, 3, 4], np.arange(1.0, 5.0), np.arange(1, 9, 2)[::-1][::-1] // 2 + 1):
        policy.params = value
        assert policy.params.dtype == np.float32
        assert policy.params.tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(3), ValueError, "params: expected shape (4,), got (3,)"),
        (np.zeros((4, 1)), ValueError, "params: expected shape (4,), got (4, 1)"),
        (0.0, ValueError, "params: expected shape (4,), got ()"),
        (
            np.zeros(4, complex),
            TypeError,
            "params: expected float32 or float64 (or integers), got complex128",
        ),
    ],
)
def test_wrong_params_change_nothing(value: Any, error: type[Exception], message: str) -> None:
    policy = CategoricalPolicy(1, 2, hidden=())
    before = policy.params
    with pytest.raises(error) as caught:
        policy.params = value
    assert str(caught.value) == message
    assert_same_bits(policy.params, before)


# ---- copies ----


def pickled(policy: Policy) -> Policy:
    return pickle.loads(pickle.dumps(policy))


@pytest.mark.covering(2)
@every_family
@pytest.mark.parametrize(
    "duplicate", [lambda p: p.copy(), copy.deepcopy, pickled], ids=["copy", "deepcopy", "pickle"]
)
def test_copies_are_equal_and_independent(
    family: str, duplicate: Callable[[Policy], Policy], dtype: np.dtype
) -> None:
    p = problem(family, 20, dtype=dtype, activation="gelu")
    p.policy.normalizer = ObservationNormalizer(3, clip=2.0)
    p.policy.normalizer.update(p.obs)
    before = p.policy.log_prob(*p.data)
    other = duplicate(p.policy)
    assert type(other) is type(p.policy)
    assert other.config() == p.policy.config()
    assert_same_bits(other.params, p.policy.params)
    assert_same_bits(other.log_prob(*p.data), before)
    # Nothing that happens to the copy reaches the original, nor the other way round.
    other.params = other.params + 1.0
    assert other.normalizer is not None
    other.normalizer.update(p.obs + 3.0)
    assert_same_bits(p.policy.log_prob(*p.data), before)
    changed = other.log_prob(*p.data)
    assert (changed != before).any()
    p.policy.params = 0 * p.theta
    p.policy.normalizer = None
    assert_same_bits(other.log_prob(*p.data), changed)


# ---- configurations ----


@every_family
def test_a_configuration_goes_through_json(family: str, dtype: np.dtype) -> None:
    p = problem(family, 10, hidden=(4, 3), activation="gelu", dtype=dtype)
    config = p.policy.config()
    assert config["kind"] == type(p.policy).__name__
    other = from_config(json.loads(json.dumps(config)))
    assert type(other) is type(p.policy)
    assert other.config() == config
    assert (other.obs_dim, other.action_shape, other.action_dtype, other.dtype) == (
        p.policy.obs_dim,
        p.policy.action_shape,
        p.policy.action_dtype,
        p.policy.dtype,
    )
    other.params = p.policy.params
    assert_same_bits(other.log_prob(*p.data), p.policy.log_prob(*p.data))


def test_from_config_leaves_its_argument_alone() -> None:
    config = CategoricalPolicy(2, 3).config()
    before = dict(config)
    from_config(config)
    assert config == before


@pytest.mark.parametrize("config", [{}, {"kind": "DeterministicPolicy"}, {"kind": None, "obs_dim": 3}])
def test_unknown_kinds(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        from_config(config)
    assert str(caught.value) == (
        "kind: expected one of GaussianPolicy, CategoricalPolicy, MultiDiscretePolicy, MultiBinaryPolicy, "
        f"got {config.get('kind')!r}"
    )


@every_family
def test_repr_names_the_arguments(family: str) -> None:
    policy = FAMILIES[family].make(3, hidden=(4,))
    text = repr(policy)
    assert text.startswith(type(policy).__name__ + "(obs_dim=3, hidden=[4], ")
    assert eval(text).config() == policy.config()


# ---- spaces ----


@pytest.mark.parametrize(
    ("space", "kind", "action_shape"),
    [
        (spaces.Box(-1, 1, (3,)), GaussianPolicy, (3,)),
        (spaces.Box(-1, 1, (2, 2)), GaussianPolicy, (4,)),
        (spaces.Box(-1, 1, ()), GaussianPolicy, (1,)),
        (spaces.Discrete(5), CategoricalPolicy, ()),
        (spaces.Discrete(5, start=-2), CategoricalPolicy, ()),
        (spaces.MultiDiscrete([2, 3]), MultiDiscretePolicy, (2,)),
        (spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])), MultiDiscretePolicy, (4,)),
        (spaces.MultiBinary(3), MultiBinaryPolicy, (3,)),
        (spaces.MultiBinary((2, 3)), MultiBinaryPolicy, (6,)),
    ],
    ids=str,
)
def test_for_spaces(space: gym.Space[Any], kind: type[Policy], action_shape: tuple[int, ...]) -> None:
    policy = for_spaces(4, space, hidden=(3,), activation="relu", dtype="float64", seed=2)
    assert type(policy) is kind
    assert policy.obs_dim == 4
    assert policy.action_shape == action_shape
    assert (policy.hidden, policy.activation, policy.dtype) == ((3,), "relu", np.float64)
    if isinstance(policy, CategoricalPolicy):
        assert policy.num_actions == 5
    if isinstance(space, spaces.MultiDiscrete):
        assert isinstance(policy, MultiDiscretePolicy)
        assert policy.nvec == tuple(space.nvec.ravel())
    actions, _ = policy.sample(np.zeros((1, 4)), np.random.default_rng(0))
    if kind is not GaussianPolicy:  # whose actions may lie outside the box
        action = actions[0].reshape(space.shape) + getattr(space, "start", 0)
        assert space.contains(action.astype(space.dtype))


def test_for_spaces_hands_the_covariance_on() -> None:
    policy = for_spaces(4, spaces.Box(-1, 1, (2,)), covariance="full", init_log_std=-1.0)
    assert policy.config()["covariance"] == "full"
    assert policy.config()["init_log_std"] == -1.0


@pytest.mark.parametrize("space", [spaces.Text(5), spaces.Dict(a=spaces.Discrete(2))], ids=str)
def test_other_spaces(space: gym.Space[Any]) -> None:
    with pytest.raises(TypeError) as caught:
        for_spaces(4, space)
    assert str(caught.value) == (
        f"action_space: expected Box, Discrete, MultiDiscrete or MultiBinary, got {space}"
    )
