"""Distributions over one action: nothing is left to choose."""

from __future__ import annotations

import numpy as np
import pytest

from pgcore import kernels, reference
from support.oracles import assert_same_bits


@pytest.mark.parametrize("num_rows", [1, 17, 3000])
def test_everything_is_zero(num_rows: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    z = (50.0 * rng.normal(size=(num_rows, 1))).astype(dtype)
    q = rng.normal(size=(num_rows, 1)).astype(dtype)
    actions, zeros = np.zeros(num_rows, int), np.zeros(num_rows, dtype)
    assert_same_bits(kernels.categorical_log_prob(actions, z), zeros)
    assert_same_bits(kernels.categorical_score(actions, z), zeros[:, None])
    assert_same_bits(kernels.categorical_kl(z, q), zeros)
    assert_same_bits(kernels.categorical_entropy(z), zeros)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_spoils_its_row_alone(bad: float, dtype: np.dtype) -> None:
    z = np.array([[1.0], [bad], [2.0]], dtype)
    q, actions = np.ones((3, 1), dtype), np.zeros(3, int)
    with np.errstate(invalid="ignore"):
        for name, arguments in (
            ("log_prob", (actions, z)),
            ("score", (actions, z)),
            ("entropy", (z,)),
            ("kl", (z, q)),
            ("kl", (q, z)),
            ("kl", (z, z)),
        ):
            found = getattr(kernels, f"categorical_{name}")(*arguments)
            expected = getattr(reference, f"categorical_{name}")(*arguments)
            np.testing.assert_array_equal(found, expected, err_msg=name)
