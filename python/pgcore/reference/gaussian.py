"""Gaussian policies in output space: log-density, score, Kullback-Leibler divergence, entropy.

The diagonal form has standard deviations exp(log_std); the full form has the covariance Σ = L Lᵀ, of
which `scale_tril` is the lower-triangular L (nothing above its diagonal is read).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore.reference._arrays import FloatArray, deliver, deliver_pair, exp_excess, float_arrays

LOG_2PI = float(np.log(2.0 * np.pi))


def gaussian_log_prob(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: FloatArray | None = None,
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
        return deliver(log_prob, out)
    a, mu, s = float_arrays(actions, mean, spread)
    z = _over_std(a - mu, s)
    log_prob = np.sum(-0.5 * z**2 - s - 0.5 * LOG_2PI, axis=1)
    return deliver(log_prob, out)


def gaussian_score(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: tuple[FloatArray, FloatArray] | None = None,
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
        along = _whiten_transposed(scale, z)
        d_mean = along / np.diag(scale)
        d_tril = np.where(_below(scale, 1), d_mean[:, :, None] * z[:, None, :], 0.0)
        diagonal = np.arange(len(scale))
        d_tril[:, diagonal, diagonal] = (along * z - 1.0) / np.diag(scale)
        return deliver_pair((d_mean, d_tril), out)
    a, mu, s = float_arrays(actions, mean, spread)
    z = _over_std(a - mu, s)
    return deliver_pair((_over_std(z, s), z**2 - 1.0), out)


def gaussian_kl(
    mean_p: ArrayLike,
    log_std_p: ArrayLike | None = None,
    mean_q: ArrayLike | None = None,
    log_std_q: ArrayLike | None = None,
    *,
    scale_tril_p: ArrayLike | None = None,
    scale_tril_q: ArrayLike | None = None,
    out: FloatArray | None = None,
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
        kl: FloatArray = 0.5 * (np.sum(_whiten(lq, mp - mq) ** 2, axis=1) + _factor_divergence(lp, lq))
        return deliver(kl.astype(mp.dtype), out)
    mp, sp, mq, sq = float_arrays(mean_p, spread_p, mean_q, spread_q)
    shift = _over_std(mp - mq, sq)
    kl = np.sum(0.5 * (exp_excess(2.0 * (sp - sq)) + shift**2), axis=1)
    return deliver(kl, out)


def gaussian_entropy(
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: FloatArray | None = None,
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
    return float(entropy) if s.ndim == 1 else deliver(entropy, out)


def _over_std(x: FloatArray, log_std: FloatArray) -> FloatArray:
    """x/σ, and 0 at 0 for any σ; 1/σ in two factors, because it may overflow where x/σ does not."""
    root = np.minimum(np.exp(-0.5 * log_std), np.finfo(x.dtype).max)
    quotient: FloatArray = x * root * root
    return quotient


def _below(L: FloatArray, k: int) -> NDArray[np.bool_]:
    """True on the k-th diagonal below the main one, and below that."""
    return np.tri(len(L), k=-k, dtype=bool)


def _whiten(L: FloatArray, rows: FloatArray) -> FloatArray:
    """L⁻¹ x for every row x, by z_i = x_i/L_ii − Σ_{j<i} (L_ij/L_ii) z_j."""
    z: FloatArray = rows / np.diag(L)
    for i in range(len(L)):
        for j in range(i):
            ratio = _ratio(L, i, j)
            if ratio != 0.0:  # as 0·∞ would be NaN
                z[:, i] -= ratio * z[:, j]
    return z


def _whiten_transposed(L: FloatArray, rows: FloatArray) -> FloatArray:
    """D L⁻ᵀ x for every row x, D the diagonal of L, by u_i = x_i − Σ_{j>i} (L_ji/L_jj) u_j."""
    u = rows.copy()
    for i in reversed(range(len(L))):
        for j in range(i + 1, len(L)):
            ratio = _ratio(L, j, i)
            if ratio != 0.0:
                u[:, i] -= ratio * u[:, j]
    return u


def _ratio(L: FloatArray, i: int, j: int) -> float:
    """L_ij/L_ii; what is 0 stays 0."""
    ratio: float = L[i, j] / L[i, i] if L[i, j] != 0.0 else 0.0  # in the dtype of L
    return ratio


def _factor_divergence(lp: FloatArray, lq: FloatArray) -> float:
    """‖L_q⁻¹ L_p‖² − A − 2 Σ log |L_p,ii/L_q,ii|, by E = L_q⁻¹ (L_p − L_q), so that nothing cancels.

    It is Σ E_ij² below the diagonal, and on it Σ (e^u − 1 − u) with u = 2 log(1 + E_ii).
    """
    # Columns whose signs differ have the same covariance.
    p, q = (np.float64(L) * np.copysign(1.0, np.diag(L)) for L in (lp, lq))
    E = p - q
    for j in range(len(q)):
        for i in range(j, len(q)):
            for k in range(j, i):
                E[i, j] -= q[i, k] * E[k, j]
            E[i, j] /= q[i, i]
    on_diagonal = exp_excess(2.0 * np.log1p(np.diag(E)))
    return float(np.sum(on_diagonal) + np.sum(E[_below(q, 1)] ** 2))


def _one_of(log_std: ArrayLike | None, scale_tril: ArrayLike | None) -> tuple[ArrayLike, bool]:
    """The one that was given, and whether it is the full form."""
    if scale_tril is None and log_std is not None:
        return log_std, False
    if log_std is None and scale_tril is not None:
        return scale_tril, True
    got = "neither" if log_std is None else "both"
    raise ValueError(f"log_std: expected either log_std or scale_tril, got {got}")
