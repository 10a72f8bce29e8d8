"""Gaussian policies in output space: log-density, score, Kullback-Leibler divergence, entropy.

The diagonal form has standard deviations exp(log_std); the full form has the covariance Σ = L Lᵀ, of
which `scale_tril` is the lower-triangular L (nothing above its diagonal is read).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore.reference._arrays import FloatArray, float_arrays

LOG_2PI = float(np.log(2.0 * np.pi))


def gaussian_log_prob(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
) -> FloatArray:
    """Log-density log π(a) = −½ (a − μ)ᵀ Σ⁻¹ (a − μ) − ½ log |2πΣ|, one number a row.

    See `pgcore.kernels.gaussian_log_prob`; source: lecture, *Understanding policy gradients*.

    >>> gaussian_log_prob([[0.0]], [[0.0]], [0.0]).round(6)
    array([-0.918939])
    """
    spread, full = _one_of(log_std, scale_tril)
    if full:
        a, mu, scale = float_arrays(actions, mean, spread)
        z = _whiten(scale, a - mu)
        log_det = np.sum(np.log(np.abs(np.diag(scale))))
        log_prob: FloatArray = -0.5 * np.sum(z**2, axis=1) - log_det - 0.5 * a.shape[1] * LOG_2PI
        return log_prob
    a, mu, s = float_arrays(actions, mean, spread)
    z = (a - mu) * np.exp(-s)
    log_prob = np.sum(-0.5 * z**2 - s - 0.5 * LOG_2PI, axis=1)
    return log_prob


def gaussian_score(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the log-density with respect to the mean and to log_std (or to L).

    ∂/∂μ = Σ⁻¹ (a − μ); ∂/∂log σ = z² − 1 with z = (a − μ)/σ;
    ∂/∂L = tril(L⁻ᵀ z zᵀ) − diag(1/L_jj) with z = L⁻¹ (a − μ).
    See `pgcore.kernels.gaussian_score`; source: lecture, *Understanding policy gradients*.

    >>> gaussian_score([[2.0]], [[0.0]], [0.0])
    (array([[2.]]), array([[3.]]))
    """
    spread, full = _one_of(log_std, scale_tril)
    if full:
        a, mu, scale = float_arrays(actions, mean, spread)
        z = _whiten(scale, a - mu)
        d_mean = np.linalg.solve(np.tril(scale).T, z.T).T
        d_tril = np.tril(d_mean[:, :, None] * z[:, None, :]) - np.diag(1.0 / np.diag(scale))
        return d_mean, d_tril
    a, mu, s = float_arrays(actions, mean, spread)
    z = (a - mu) * np.exp(-s)
    return z * np.exp(-s), z**2 - 1.0


def gaussian_kl(
    mean_p: ArrayLike,
    log_std_p: ArrayLike | None = None,
    mean_q: ArrayLike | None = None,
    log_std_q: ArrayLike | None = None,
    *,
    scale_tril_p: ArrayLike | None = None,
    scale_tril_q: ArrayLike | None = None,
) -> FloatArray:
    """KL(p‖q) = ½ [tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − A + log |Σ_q| − log |Σ_p|], in nats.

    See `pgcore.kernels.gaussian_kl`; source: Kullback & Leibler 1951 for two Gaussians.

    >>> gaussian_kl([[0.0]], [0.0], [[1.0]], [0.0])
    array([0.5])
    """
    spread_p, full = _one_of(log_std_p, scale_tril_p)
    spread_q, full_q = _one_of(log_std_q, scale_tril_q)
    if mean_q is None or full_q != full:
        raise ValueError("gaussian_kl: expected two means and both distributions in one form, got less")
    if full:
        mp, lp, mq, lq = float_arrays(mean_p, spread_p, mean_q, spread_q)
        ratio = _whiten(lq, np.tril(lp).T)  # (L_q⁻¹ L_p)ᵀ: its squares sum to tr(Σ_q⁻¹ Σ_p)
        shift = _whiten(lq, mp - mq)
        log_det_ratio = np.sum(np.log(np.abs(np.diag(lq) / np.diag(lp))))
        kl: FloatArray = 0.5 * (np.sum(ratio**2) + np.sum(shift**2, axis=1) - mp.shape[1]) + log_det_ratio
        return kl
    mp, sp, mq, sq = float_arrays(mean_p, spread_p, mean_q, spread_q)
    variance_ratio = np.exp(2.0 * (sp - sq))
    shift = (mp - mq) * np.exp(-sq)
    kl = np.sum(0.5 * (variance_ratio + shift**2 - 1.0) + sq - sp, axis=1)
    return kl


def gaussian_entropy(
    log_std: ArrayLike | None = None, *, scale_tril: ArrayLike | None = None
) -> float | FloatArray:
    """Differential entropy ½ log |2πe Σ|, in nats: Σ_j log σ_j + ½ A (1 + log 2π).

    See `pgcore.kernels.gaussian_entropy`; source: Cover & Thomas 2006, theorem 8.4.1.

    >>> round(gaussian_entropy([0.0]), 6)
    1.418939
    """
    spread, full = _one_of(log_std, scale_tril)
    (s,) = float_arrays(spread)
    if full:
        s = np.log(np.abs(np.diag(s)))
    entropy: FloatArray = np.sum(s + 0.5 * (1.0 + LOG_2PI), axis=-1)
    return float(entropy) if s.ndim == 1 else entropy


def _whiten(scale_tril: FloatArray, rows: FloatArray) -> FloatArray:
    """L⁻¹ x for every row x."""
    whitened: FloatArray = np.linalg.solve(np.tril(scale_tril), rows.T).T
    return whitened


def _one_of(log_std: ArrayLike | None, scale_tril: ArrayLike | None) -> tuple[ArrayLike, bool]:
    """The one that was given, and whether it is the full form."""
    if scale_tril is None and log_std is not None:
        return log_std, False
    if log_std is None and scale_tril is not None:
        return scale_tril, True
    got = "neither" if log_std is None else "both"
    raise ValueError(f"log_std: expected either log_std or scale_tril, got {got}")
