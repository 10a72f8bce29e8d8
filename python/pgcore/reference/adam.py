"""One step of Adam on a flat parameter vector."""

from __future__ import annotations

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
    g = np.asarray(grad)
    m[...] = beta1 * m + (1.0 - beta1) * g
    v[...] = beta2 * v + (1.0 - beta2) * g**2
    m_hat, v_hat = m / (1.0 - beta1**step), v / (1.0 - beta2**step)
    theta -= learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
