"""The compiled core's own constructors refuse sizes that no object can have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore._dispatch import classes_of
from pgcore.kernels import MLP

HUGE = 2**40


@pytest.mark.parametrize("kind", ["MLP", "ValueFit"])
@pytest.mark.parametrize(
    "sizes", [[], [3], [0, 1], [-1, 1], [3, 0, 1], [3, -5, 1], [HUGE, HUGE, 1], [2**62, 2**62, 1]]
)
def test_layers(kind: str, sizes: list[int], dtype: np.dtype) -> None:
    with pytest.raises(ValueError, match="sizes: expected"):
        getattr(classes_of(dtype), kind)(sizes, "tanh")


def test_a_critic_has_one_output(dtype: np.dtype) -> None:
    with pytest.raises(ValueError, match="sizes: expected 1 as the last width, got 2"):
        classes_of(dtype).ValueFit([3, 2], "tanh")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, [4], "tanh", 1, "diagonal", [2]), "obs_dim"),
        ((-3, [4], "tanh", 1, "diagonal", [2]), "obs_dim"),
        ((3, [0], "tanh", 1, "diagonal", [2]), "hidden"),
        ((3, [4, -4], "tanh", 1, "diagonal", [2]), "hidden"),
        ((3, [4], "tanh", 1, "diagonal", []), "sizes"),
        ((3, [4], "tanh", 1, "diagonal", [0]), "sizes"),
        ((3, [4], "tanh", 1, "full", [-1]), "sizes"),
        ((3, [4], "tanh", 1, "state", [-2]), "sizes"),
        ((3, [4], "tanh", 1, "categorical", [2, 0]), "sizes"),
        ((3, [4], "tanh", 1, "categorical", []), "sizes"),
        ((3, [4], "tanh", 1, "categorical", [HUGE]), "sizes"),
        ((HUGE, [HUGE], "tanh", 1, "categorical", [2]), "sizes"),
        ((3, [4], "tanh", 0, "categorical", [2, 2]), "action_ndim"),
        ((3, [4], "tanh", 2, "diagonal", [2]), "action_ndim"),
        ((3, [4], "tanh", -1, "categorical", [2]), "action_ndim"),
    ],
)
def test_policies(arguments: tuple[Any, ...], name: str, dtype: np.dtype) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        classes_of(dtype).Policy(*arguments)


def test_kronecker_products(dtype: np.dtype) -> None:
    inverse = classes_of(dtype).KroneckerInverse()
    for shape in ((0, 0), (0, 3), (2, 0)):
        out, width = shape
        with pytest.raises(ValueError, match="inverse: expected sizes of at least 1, got 0"):
            inverse.add_layer(*(np.ones(s, dtype) for s in ((width, width), (out, out), shape)))


def test_fisher_operators(dtype: np.dtype) -> None:
    policy = classes_of(dtype).Policy(3, [4], "tanh", 1, "diagonal", [2])
    params = np.zeros(policy.num_params, dtype)
    make = classes_of(dtype).Fisher
    with pytest.raises(ValueError, match="obs: expected sizes of at least 1, got 0"):
        make(policy, params, np.zeros((0, 3), dtype), None, None, 0.0)
    fisher = make(policy, params, np.zeros((2, 3), dtype), None, None, 0.0)
    with pytest.raises(ValueError, match="hidden: expected an array for each of 2 layers, got 0"):
        fisher.factors([], [], np.zeros((2, 2), dtype))
    with pytest.raises(ValueError, match="inputs: expected an array for each of 2 layers, got 3"):
        fisher.kronecker_factors([np.zeros((4, 4), dtype)] * 3, [])


def test_more_parameters_than_can_be_counted() -> None:
    with pytest.raises(ValueError, match="sizes: expected at most 1e13 parameters, got"):
        MLP([HUGE, HUGE])
