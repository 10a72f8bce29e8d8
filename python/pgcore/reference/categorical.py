"""Categorical policies in output space: log-probability, score, Kullback-Leibler divergence, entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore.reference._arrays import FloatArray, float_arrays


def categorical_log_prob(actions: ArrayLike, logits: ArrayLike) -> FloatArray:
    """Log-probability log π(a) = z_a − log Σ_k exp(z_k), one number a row.

    See `pgcore.kernels.categorical_log_prob`; source: lecture, *Understanding policy gradients*.

    >>> categorical_log_prob([0], [[0.0, 0.0]]).round(6)
    array([-0.693147])
    """
    (z,) = float_arrays(logits)
    a = _checked(actions, z)
    log_prob: FloatArray = _log_softmax(z)[np.arange(len(a)), a]
    return log_prob


def categorical_score(actions: ArrayLike, logits: ArrayLike) -> FloatArray:
    """∂ log π(a)/∂z = onehot(a) − softmax(z).

    See `pgcore.kernels.categorical_score`; source: lecture, *Understanding policy gradients*.

    >>> categorical_score([0], [[0.0, 0.0]])
    array([[ 0.5, -0.5]])
    """
    (z,) = float_arrays(logits)
    a = _checked(actions, z)
    score: FloatArray = -np.exp(_log_softmax(z))
    score[np.arange(len(a)), a] += 1.0
    return score


def categorical_kl(logits_p: ArrayLike, logits_q: ArrayLike) -> FloatArray:
    """KL(p‖q) = Σ_k p_k (log p_k − log q_k), in nats; classes with p_k = 0 contribute nothing.

    See `pgcore.kernels.categorical_kl`; source: Kullback & Leibler 1951.

    >>> categorical_kl([[0.0, 0.0]], [[0.0, -np.inf]])
    array([inf])
    """
    zp, zq = float_arrays(logits_p, logits_q)
    log_p, log_q = _log_softmax(zp), _log_softmax(zq)
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):  # 0·∞ is computed and then not selected
        divergence: FloatArray = np.where(p == 0.0, 0.0, p * (log_p - log_q)).sum(axis=1, dtype=zp.dtype)
    return divergence


def categorical_entropy(logits: ArrayLike) -> FloatArray:
    """Entropy −Σ_k p_k log p_k, in nats; classes with p_k = 0 contribute nothing.

    See `pgcore.kernels.categorical_entropy`; source: Shannon 1948, section 6.

    >>> categorical_entropy([[0.0, -np.inf]])
    array([0.])
    """
    (z,) = float_arrays(logits)
    log_p = _log_softmax(z)
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):  # 0·∞ is computed and then not selected
        entropy: FloatArray = np.where(p == 0.0, 0.0, -p * log_p).sum(axis=1, dtype=z.dtype)
    return entropy


def _log_softmax(z: FloatArray) -> FloatArray:
    shifted = z - np.max(z, axis=1, keepdims=True, initial=-np.inf)
    log_softmax: FloatArray = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return log_softmax


def _checked(actions: ArrayLike, logits: FloatArray) -> NDArray[np.integer[Any]]:
    a = np.asarray(actions).astype(np.int64)
    outside = a[(a < 0) | (a >= logits.shape[1])]
    if len(outside):
        raise ValueError(f"actions: expected integers in 0…{logits.shape[1] - 1}, got {outside[0]}")
    return a
