"""Categorical policies in output space: log-probability, score, Kullback-Leibler divergence, entropy.

Distributions over the actions 0 … K−1 are given by logits z, with p_k = exp(z_k)/Σ_j exp(z_j). A logit of −∞
is an impossible action: it has probability 0 and adds nothing to entropies and divergences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore import _dispatch
from pgcore._arguments import FloatArray, check_shape, float_array, int_array, promoted
from pgcore.kernels.coercion import computed, delivered


def categorical_log_prob(
    actions: ArrayLike, logits: ArrayLike, *, out: FloatArray | None = None
) -> FloatArray:
    """Log-probability of actions under categorical distributions.

    log π(a) = z_a − log Σ_k exp(z_k)

    Parameters
    ----------
    actions : (B,) integers
        Actions a, from 0 to K−1.
    logits : (B, K)
        Logits z.
    out : (B,), of the result's dtype, optional
        Where to write the result.

    Returns
    -------
    (B,)
        Log-probabilities, in nats.

    Raises
    ------
    TypeError
        If `actions` holds no integers or `logits` no real numbers, or `out` has another dtype
        than the result.
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
    exact = _dispatch.compiled.categorical_log_prob(actions, logits, out)
    if exact is not None:
        return exact
    a, z = _actions_and_logits(actions, logits)
    return delivered(computed(_dispatch.compiled.categorical_log_prob(a, z, None)), out)


def categorical_score(actions: ArrayLike, logits: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Derivative of the log-probability with respect to the logits.

    ∂ log π(a)/∂z = onehot(a) − softmax(z)

    Parameters
    ----------
    actions : (B,) integers
        Actions a, from 0 to K−1.
    logits : (B, K)
        Logits z.
    out : (B, K), of the result's dtype, optional
        Where to write the result; it may be `logits` itself.

    Returns
    -------
    (B, K)
        The error signal to propagate back through the network that made z; its rows sum to zero.

    Raises
    ------
    TypeError
        If `actions` holds no integers or `logits` no real numbers, or `out` has another dtype
        than the result.
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
    exact = _dispatch.compiled.categorical_score(actions, logits, out)
    if exact is not None:
        return exact
    a, z = _actions_and_logits(actions, logits)
    return delivered(computed(_dispatch.compiled.categorical_score(a, z, None)), out)


def categorical_kl(logits_p: ArrayLike, logits_q: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Kullback-Leibler divergence of categorical distributions, row by row, from p to q.

    KL(p‖q) = Σ_k p_k (log p_k − log q_k), where p_k = 0 contributes nothing

    Parameters
    ----------
    logits_p, logits_q : (B, K)
        Logits.
    out : (B,), of the result's dtype, optional
        Where to write the result.

    Returns
    -------
    (B,)
        Divergences, in nats; infinite if q excludes an action that p allows.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
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
    exact = _dispatch.compiled.categorical_kl(logits_p, logits_q, out)
    if exact is not None:
        return exact
    zp, zq = promoted({"logits_p": logits_p, "logits_q": logits_q}).values()
    _check_logits("logits_p", zp)
    check_shape("logits_q", zq, zp.shape)
    return delivered(computed(_dispatch.compiled.categorical_kl(zp, zq, None)), out)


def categorical_entropy(logits: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Entropy of categorical distributions.

    H = −Σ_k p_k log p_k, where p_k = 0 contributes nothing

    Parameters
    ----------
    logits : (B, K)
        Logits.
    out : (B,), of the result's dtype, optional
        Where to write the result.

    Returns
    -------
    (B,)
        Entropies in nats, from 0 to log K.

    Raises
    ------
    TypeError
        If `logits` holds no real numbers, or `out` has another dtype than the result.
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
    exact = _dispatch.compiled.categorical_entropy(logits, out)
    if exact is not None:
        return exact
    z = float_array("logits", logits)
    _check_logits("logits", z)
    return delivered(computed(_dispatch.compiled.categorical_entropy(z, None)), out)


def _actions_and_logits(actions: ArrayLike, logits: ArrayLike) -> tuple[NDArray[np.int64], FloatArray]:
    z = float_array("logits", logits)
    _check_logits("logits", z)
    a = int_array("actions", actions)
    check_shape("actions", a, z.shape[:1])
    return a, z


def _check_logits(name: str, logits: FloatArray) -> None:
    if logits.ndim != 2:
        raise ValueError(f"{name}: expected shape (B, K), got {logits.shape}")
