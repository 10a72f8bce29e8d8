"""One step of Adam on a flat parameter vector."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference._arrays import FloatArray


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
    """One descent step along `grad`, in place: m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ), θ −= lr·m̂/(√v̂ + ε).

    m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g²; `step` is t ≥ 1. See `pgcore.kernels.adam_step`;
    source: Kingma & Ba 2015, algorithm 1.

    >>> theta, m, v = np.zeros(1), np.zeros(1), np.zeros(1)
    >>> adam_step(theta, [3.0], m, v, 1, learning_rate=0.1)
    >>> theta.round(6)
    array([-0.1])
    """
    g = np.asarray(grad).astype(theta.dtype)
    smallest, largest = (1e-17, 1e19) if theta.dtype == np.float32 else (1e-150, 1e154)
    low = smallest if epsilon < 1000 * smallest else 0.0  # else ε decides
    with np.errstate(all="ignore"):
        # Gradients whose squares don't fit v become the nearest whose squares do; infinity becomes NaN.
        g = np.where(g == 0.0, g, np.copysign(np.clip(np.abs(g), low, largest), g) + (g - g))
        m[...] = beta1 * m + (1.0 - beta1) * g
        v[...] = beta2 * v + (1.0 - beta2) * g * g
        m_hat, v_hat = m / _correction(beta1, step), v / _correction(beta2, step)
        root = np.sqrt(v_hat) + theta.dtype.type(epsilon)
        theta -= learning_rate * m_hat / np.maximum(root, np.finfo(theta.dtype).tiny)  # 0/0 is no step


def _correction(beta: float, step: int) -> float:
    """1 − βᵗ, exact also for β close to 1."""
    return -math.expm1(step * math.log(beta)) if beta > 0.0 else 1.0
