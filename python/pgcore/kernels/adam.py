"""One step of Adam on a flat parameter vector."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import (
    FLOAT32,
    FLOAT64,
    FloatArray,
    check_shape,
    float_array,
    integer,
    output,
    real,
)
from pgcore.kernels.coercion import computed


def adam_step(
    theta: FloatArray,
    grad: ArrayLike,
    m: FloatArray,
    v: FloatArray,
    step: int,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Descend along a gradient, with steps scaled by running moments; `theta`, `m` and `v` change in place.

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − lr·m̂/(√v̂ + ε)
    with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)

    A component of g whose square does not fit the dtype of v is replaced by the nearest one whose square fits
    (float32: at most 1e19 and, unless ε is much larger, at least 1e-17), so that steps keep their length. As
    long as all gradients were 0 there is no step, also for ε = 0.

    Parameters
    ----------
    theta : (P,), C-contiguous, writeable
        Parameters; the other arrays take their dtype.
    grad : (P,)
        Gradient g of the function to minimise; to maximise, give its negative.
    m, v : (P,), C-contiguous, writeable
        First and second moments, zero before the first step.
    step : int
        t, from 1 on.
    learning_rate : float
        lr.
    beta1, beta2 : float
        Decay rates of the moments, at least 0 and below 1.
    epsilon : float
        ε, not negative.

    Raises
    ------
    TypeError
        If `theta`, `m` or `v` is no array of one dtype, float32 or float64, or `grad` holds no real numbers.
    ValueError
        If shapes disagree, memory is read-only, not contiguous or shared, or a number is outside its range.

    References
    ----------
    Kingma & Ba 2015, *Adam: a method for stochastic optimization*, algorithm 1.

    Examples
    --------
    >>> theta, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    >>> adam_step(theta, [3.0, -0.5], m, v, 1, learning_rate=0.1)
    >>> theta.round(6)
    array([-0.1,  0.1])
    """
    compute = _dispatch.compiled.adam_step
    if compute(theta, grad, m, v, step, (learning_rate, beta1, beta2, epsilon)) is not None:
        return
    arrays = {"theta": theta, "m": m, "v": v}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a numpy array, got {type(array).__name__}")
    if theta.dtype not in (FLOAT32, FLOAT64):
        raise TypeError(f"theta: expected float32 or float64, got {theta.dtype}")
    if theta.ndim != 1:
        raise ValueError(f"theta: expected shape (P,), got {theta.shape}")
    dtype = FLOAT32 if theta.dtype == FLOAT32 else FLOAT64  # the core knows it by identity
    for name, array in arrays.items():
        output(name, array, theta.shape, dtype)
        arrays[name] = float_array(name, array, dtype)  # the same memory
    for (name, array), (other, later) in itertools.combinations(arrays.items(), 2):
        if np.may_share_memory(array, later):
            raise ValueError(f"{other}: expected memory of its own, got that of {name}")
    g = float_array("grad", grad, dtype)
    check_shape("grad", g, theta.shape)
    if any(np.may_share_memory(g, array) for array in arrays.values()):
        g = g.copy()
    options = (
        real("learning_rate", learning_rate),
        _decay("beta1", beta1),
        _decay("beta2", beta2),
        real("epsilon", epsilon, minimum=0.0),
    )
    number = integer("step", step, minimum=1)
    computed(compute(arrays["theta"], g, arrays["m"], arrays["v"], number, options))


def _decay(name: str, value: float) -> float:
    rate = real(name, value, minimum=0.0)
    if rate >= 1.0:
        raise ValueError(f"{name}: expected a number below 1, got {rate}")
    return rate
