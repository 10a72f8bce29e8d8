"""The kernels that SciPy has."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import scipy
import scipy.linalg
import scipy.signal
import scipy.sparse.linalg

from pgcore.benchmarks.formulas import GAMMA, LAM, Array
from pgcore.benchmarks.libraries import Run


def _discounted(x: Array, gamma: float) -> Array:
    """A recursion without segment ends is a filter over reversed time."""
    one, factor = x.dtype.type(1.0), x.dtype.type(-gamma)
    return scipy.signal.lfilter([one], np.array([one, factor]), x[::-1], axis=0)[::-1]


def _reward_to_go(r: Array, _: None) -> Array:
    return _discounted(r, GAMMA)


def _gae(r: Array, v: Array, _: None) -> tuple[Array, Array]:
    delta = r - v
    delta[:-1] += GAMMA * v[1:]
    advantages = _discounted(delta, GAMMA * LAM)
    return advantages, advantages + v


def _cg(matrix: Array, right: Array) -> Array:
    return scipy.sparse.linalg.cg(matrix, right, rtol=1e-6)[0]


def _solve(matrix: Array, right: Array) -> Array:
    return scipy.linalg.solve(matrix, right, assume_a="pos", check_finite=False)


settings = nullcontext  # none


def runs(kernel: str, *data: Any) -> list[Run]:
    """See `pgcore.benchmarks.libraries.Library`."""
    if kernel == "reward_to_go" and data[1] is None:
        return [partial(_reward_to_go, *data)]
    if kernel == "gae" and data[2] is None:
        return [partial(_gae, *data)]
    if kernel == "conjugate_gradient":
        return [partial(_cg, *data), partial(_solve, *data)]
    return []
