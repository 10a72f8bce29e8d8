"""Categorical policies in output space: log-probability, score, Kullback-Leibler divergence, entropy.

Distributions over the actions 0 … K−1 are given by logits z, with p_k = exp(z_k)/Σ_j exp(z_j). A logit of −∞
is an impossible action: it has probability 0 and adds nothing to entropies and divergences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray, check_shape, float_array, float_arrays, int_array
from pgcore._dispatch import core


def categorical_log_prob(actions: ArrayLike, logits: ArrayLike) -> FloatArray:
    """Log-probability of actions under categorical distributions.

    log π(a) = z_a − log Σ_k exp(z_k)

    Parameters
    ----------
    actions : (B,) integers
        Actions a, from 0 to K−1.
    logits : (B, K)
        Logits z.

    Returns
    -------
    (B,)
        Log-probabilities, in nats.

    Raises
    ------
    TypeError
        If `actions` holds no integers or `logits` no real numbers.
    ValueError
        If shapes disagree, or an action is outside 0 … K−1.

    References
    ----------
    Lecture, *Understanding policy gradients*: the log-probability of the chosen action.

    Examples
    --------
    >>> categorical_log_prob([0, 1], [[0.0, 0.0], [0.0, 0.0]]).round(4)
    array([-0.6931, -0.6931])
    """
    a, z = _actions_and_logits(actions, logits)
    result = np.empty(len(z), z.dtype)
    core().categorical_log_prob(a, z, result)
    return result


def categorical_score(actions: ArrayLike, logits: ArrayLike) -> FloatArray:
    """Derivative of the log-probability with respect to the logits.

    ∂ log π(a)/∂z = onehot(a) − softmax(z)

    Parameters
    ----------
    actions : (B,) integers
        Actions a, from 0 to K−1.
    logits : (B, K)
        Logits z.

    Returns
    -------
    (B, K)
        The error signal to propagate back through the network that made z; its rows sum to zero.

    Raises
    ------
    TypeError
        If `actions` holds no integers or `logits` no real numbers.
    ValueError
        If shapes disagree, or an action is outside 0 … K−1.

    References
    ----------
    Lecture, *Understanding policy gradients*: the gradient of the log-probability of the chosen action.

    Examples
    --------
    >>> categorical_score([0], [[0.0, 0.0]])
    array([[ 0.5, -0.5]])
    """
    a, z = _actions_and_logits(actions, logits)
    result = np.empty_like(z)
    core().categorical_score(a, z, result)
    return result


def categorical_kl(logits_p: ArrayLike, logits_q: ArrayLike) -> FloatArray:
    """Kullback-Leibler divergence of categorical distributions, row by row, from p to q.

    KL(p‖q) = Σ_k p_k (log p_k − log q_k), where p_k = 0 contributes nothing

    Parameters
    ----------
    logits_p, logits_q : (B, K)
        Logits.

    Returns
    -------
    (B,)
        Divergences, in nats; infinite if q excludes an action that p allows.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree.

    References
    ----------
    Kullback & Leibler 1951, *On information and sufficiency*. TRPO's constraint is KL(π_old‖π).

    Examples
    --------
    >>> categorical_kl([[0.0, 0.0]], [[0.0, 0.0]])
    array([0.])
    """
    zp, zq = float_arrays(("logits_p", "logits_q"), (logits_p, logits_q))
    _check_logits("logits_p", zp)
    check_shape("logits_q", zq, zp.shape)
    result = np.empty(len(zp), zp.dtype)
    core().categorical_kl(zp, zq, result)
    return result


def categorical_entropy(logits: ArrayLike) -> FloatArray:
    """Entropy of categorical distributions.

    H = −Σ_k p_k log p_k, where p_k = 0 contributes nothing

    Parameters
    ----------
    logits : (B, K)
        Logits.

    Returns
    -------
    (B,)
        Entropies in nats, from 0 to log K.

    Raises
    ------
    TypeError
        If `logits` holds no real numbers.
    ValueError
        If it has any other number of dimensions.

    References
    ----------
    Shannon 1948, *A mathematical theory of communication*, section 6.

    Examples
    --------
    >>> categorical_entropy([[0.0, 0.0]]).round(4)
    array([0.6931])
    """
    z = float_array("logits", logits)
    _check_logits("logits", z)
    result = np.empty(len(z), z.dtype)
    core().categorical_entropy(z, result)
    return result


def _actions_and_logits(actions: ArrayLike, logits: ArrayLike) -> tuple[NDArray[np.int64], FloatArray]:
    z = float_array("logits", logits)
    _check_logits("logits", z)
    a = int_array("actions", actions)
    check_shape("actions", a, z.shape[:1])
    return a, z


def _check_logits(name: str, logits: FloatArray) -> None:
    if logits.ndim != 2:
        raise ValueError(f"{name}: expected shape (B, K), got {logits.shape}")
