"""Categorical policies in output space: log-probability, score, Kullback-Leibler divergence, entropy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore.reference._arrays import FloatArray, deliver, exp_excess, float_arrays


def categorical_log_prob(
    actions: ArrayLike, logits: ArrayLike, *, out: FloatArray | None = None
) -> FloatArray:
    """Log-probability log π(a) = z_a − log Σ_k exp(z_k), one number a row.

    See `pgcore.kernels.categorical_log_prob`; source: lecture, *Understanding policy gradients*.

    >>> categorical_log_prob([0], [[0.0, 0.0]]).round(6)
    array([-0.693147])
    """
    (z,) = float_arrays(logits)
    a = _checked(actions, z)
    shifted, others = _shifted_and_others(z)
    log_prob: FloatArray = shifted[np.arange(len(a)), a] - np.log1p(others)
    return deliver(log_prob, out)


def categorical_score(actions: ArrayLike, logits: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """∂ log π(a)/∂z = onehot(a) − softmax(z).

    See `pgcore.kernels.categorical_score`; source: lecture, *Understanding policy gradients*.

    >>> categorical_score([0], [[0.0, 0.0]])
    array([[ 0.5, -0.5]])
    """
    (z,) = float_arrays(logits)
    a = _checked(actions, z)
    shifted, others = _shifted_and_others(z)
    rows, weights = np.arange(len(a)), np.exp(shifted)
    score: FloatArray = -weights
    score[rows, a] = others + (1.0 - weights[rows, a])  # the probability of the other choices
    score /= 1.0 + others[:, None]
    return deliver(score, out)


def categorical_kl(logits_p: ArrayLike, logits_q: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """KL(p‖q) = Σ_k p_k (log p_k − log q_k), in nats; classes with p_k = 0 contribute nothing.

    See `pgcore.kernels.categorical_kl`; source: Kullback & Leibler 1951.

    >>> categorical_kl([[0.0, 0.0]], [[0.0, -np.inf]])
    array([inf])
    """
    zp, zq = float_arrays(logits_p, logits_q)
    log_p, log_q = (_log_softmax(z.astype(np.float64)) for z in (zp, zq))
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not selected
        d = log_q - log_p
        # Σ p (log p − log q) = Σ p (e^d − 1 − d): none of these terms is negative.
        terms = np.where(np.abs(d) < 1.0, p * exp_excess(d), (q - p) - p * d)
    divergence: FloatArray = np.where(p.astype(zp.dtype) == 0.0, q, terms).sum(axis=1)
    return deliver(divergence.astype(zp.dtype), out)


def categorical_entropy(logits: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Entropy −Σ_k p_k log p_k, in nats; classes with p_k = 0 contribute nothing.

    See `pgcore.kernels.categorical_entropy`; source: Shannon 1948, section 6.

    >>> categorical_entropy([[0.0, -np.inf]])
    array([0.])
    """
    (z,) = float_arrays(logits)
    shifted, others = _shifted_and_others(z)
    weights = np.exp(shifted)
    with np.errstate(invalid="ignore"):  # 0·∞ is computed and then not selected
        shortfall = np.where(weights == 0.0, 0.0, -weights * shifted).sum(axis=1, dtype=z.dtype)
    entropy: FloatArray = np.log1p(others) + shortfall / (1.0 + others)
    return deliver(entropy, out)


def _shifted_and_others(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logits relative to the largest, (B, K), and Σ exp of all of these but the largest, (B,).

    Near certainty 1 − p of the most probable choice is known by that sum alone.
    """
    with np.errstate(over="ignore"):  # so far below the largest that its probability is 0
        shifted: FloatArray = z - np.max(z, axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(shifted)
    ones = np.sum(np.where(weights < 1.0, 0.0, weights), axis=1, dtype=z.dtype)  # NaN is among them
    others = np.sum(np.where(weights < 1.0, weights, 0.0), axis=1, dtype=z.dtype) + (ones - 1.0)
    return shifted, np.asarray(others)


def _log_softmax(z: FloatArray) -> FloatArray:
    shifted, others = _shifted_and_others(z)
    return shifted - np.log1p(others)[:, None]


def _checked(actions: ArrayLike, logits: FloatArray) -> NDArray[np.int64]:
    a = np.asarray(actions).astype(np.int64)
    outside = a[(a < 0) | (a >= logits.shape[1])]
    if len(outside):
        raise ValueError(f"actions: expected integers in 0…{logits.shape[1] - 1}, got {outside[0]}")
    return a
