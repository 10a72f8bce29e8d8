"""Gaussian policies in output space: log-density, score, Kullback-Leibler divergence, entropy.

The diagonal form takes ``log_std``, the logarithms of the standard deviations, of shape ``(A,)`` for all rows
or ``(B, A)``. The full form takes ``scale_tril``, the lower-triangular ``(A, A)`` factor L of the covariance
Σ = L Lᵀ; its diagonal has no zeros, and nothing above it is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore._arguments import FloatArray, check_shape, float_array, float_arrays
from pgcore._dispatch import core


def gaussian_log_prob(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
) -> FloatArray:
    """Log-density of actions under normal distributions.

    log π(a) = −½ (a − μ)ᵀ Σ⁻¹ (a − μ) − ½ log |2πΣ|

    Parameters
    ----------
    actions, mean : (B, A)
        Actions a and means μ.
    log_std : (A,) or (B, A), optional
        Diagonal form: log σ, so that Σ = diag(σ²).
    scale_tril : (A, A), optional
        Full form: lower-triangular L with Σ = L Lᵀ.

    Returns
    -------
    (B,)
        One log-density for each row, in nats: the sum over its components, not their mean.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, L has a zero on its diagonal, or not exactly one form is given.

    References
    ----------
    Lecture, *Understanding policy gradients*: Gaussian policies.

    Examples
    --------
    >>> gaussian_log_prob([[0.0], [1.0]], [[0.0], [0.0]], [0.0]).round(4)
    array([-0.9189, -1.4189])
    """
    if scale_tril is not None:
        _only_one("log_std", log_std)
        a, mu, scale = float_arrays(("actions", "mean", "scale_tril"), (actions, mean, scale_tril))
        _check_batch("actions", a, "mean", mu)
        scale, _ = _factor("scale_tril", scale, a.shape[1])
        result = np.empty(len(a), a.dtype)
        core().gaussian_log_prob_tril(a, mu, scale, result)
        return result
    a, mu, s = float_arrays(("actions", "mean", "log_std"), (actions, mean, _given("log_std", log_std)))
    _check_batch("actions", a, "mean", mu)
    s = _rows("log_std", s, a.shape)
    result = np.empty(len(a), a.dtype)
    core().gaussian_log_prob(a, mu, s, result)
    return result


def gaussian_score(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the log-density with respect to the distribution's parameters.

    Diagonal, with z = (a − μ)/σ: ∂/∂μ = z/σ, ∂/∂log σ = z² − 1;
    full, with z = L⁻¹ (a − μ): ∂/∂μ = L⁻ᵀ z = Σ⁻¹ (a − μ), ∂/∂L = tril(L⁻ᵀ z zᵀ) − diag(1/L_jj)

    Parameters
    ----------
    actions, mean : (B, A)
        Actions a and means μ.
    log_std : (A,) or (B, A), optional
        Diagonal form: log σ, so that Σ = diag(σ²).
    scale_tril : (A, A), optional
        Full form: lower-triangular L with Σ = L Lᵀ.

    Returns
    -------
    d_mean : (B, A)
        ∂ log π/∂μ: the error signal to propagate back through the network that made μ.
    d_log_std : (B, A), or d_tril : (B, A, A)
        ∂ log π/∂log σ row by row, also where all rows share one log σ; or ∂ log π/∂L, zero above the
        diagonal.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, L has a zero on its diagonal, or not exactly one form is given.

    References
    ----------
    Lecture, *Understanding policy gradients*: Gaussian policies: δ = Σ⁻¹ (a − μ).

    Examples
    --------
    >>> gaussian_score([[2.0]], [[0.0]], [0.0])
    (array([[2.]]), array([[3.]]))
    >>> gaussian_score([[2.0]], [[0.0]], scale_tril=[[2.0]])
    (array([[0.5]]), array([[[0.]]]))
    """
    if scale_tril is not None:
        _only_one("log_std", log_std)
        a, mu, scale = float_arrays(("actions", "mean", "scale_tril"), (actions, mean, scale_tril))
        _check_batch("actions", a, "mean", mu)
        scale, signs = _factor("scale_tril", scale, a.shape[1])
        d_mean, d_tril = np.empty_like(a), np.empty((*a.shape, a.shape[1]), a.dtype)
        core().gaussian_score_tril(a, mu, scale, d_mean, d_tril)
        if signs is not None:
            d_tril *= signs
        return d_mean, d_tril
    a, mu, s = float_arrays(("actions", "mean", "log_std"), (actions, mean, _given("log_std", log_std)))
    _check_batch("actions", a, "mean", mu)
    s = _rows("log_std", s, a.shape)
    d_mean, d_log_std = np.empty_like(a), np.empty_like(a)
    core().gaussian_score(a, mu, s, d_mean, d_log_std)
    return d_mean, d_log_std


def gaussian_kl(
    mean_p: ArrayLike,
    log_std_p: ArrayLike | None = None,
    mean_q: ArrayLike | None = None,
    log_std_q: ArrayLike | None = None,
    *,
    scale_tril_p: ArrayLike | None = None,
    scale_tril_q: ArrayLike | None = None,
) -> FloatArray:
    """Kullback-Leibler divergence of normal distributions, row by row, from p to q.

    KL(p‖q) = E_p[log p − log q] = ½ [tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − A + log |Σ_q|/|Σ_p|]

    Parameters
    ----------
    mean_p, mean_q : (B, A)
        Means.
    log_std_p, log_std_q : (A,) or (B, A), optional
        Diagonal form: logarithms of the standard deviations.
    scale_tril_p, scale_tril_q : (A, A), optional
        Full form, then for both: lower-triangular factors of the covariances.

    Returns
    -------
    (B,)
        Divergences, in nats.

    Raises
    ------
    TypeError
        If an array holds no real numbers.
    ValueError
        If shapes disagree, a factor has a zero on its diagonal, or not exactly one form is given.

    References
    ----------
    Kullback & Leibler 1951, *On information and sufficiency*. TRPO's constraint is KL(π_old‖π).

    Examples
    --------
    >>> gaussian_kl([[0.0]], [0.0], [[1.0]], [0.0])
    array([0.5])
    >>> gaussian_kl([[0.0]], mean_q=[[2.0]], scale_tril_p=[[1.0]], scale_tril_q=[[1.0]])
    array([2.])
    """
    q = _given("mean_q", mean_q)
    if scale_tril_p is not None or scale_tril_q is not None:
        _only_one("log_std_p", log_std_p)
        _only_one("log_std_q", log_std_q)
        mp, lp, mq, lq = float_arrays(
            ("mean_p", "scale_tril_p", "mean_q", "scale_tril_q"),
            (mean_p, _given("scale_tril_p", scale_tril_p), q, _given("scale_tril_q", scale_tril_q)),
        )
        _check_batch("mean_p", mp, "mean_q", mq)
        lp, _ = _factor("scale_tril_p", lp, mp.shape[1])
        lq, _ = _factor("scale_tril_q", lq, mp.shape[1])
        result = np.empty(len(mp), mp.dtype)
        core().gaussian_kl_tril(mp, lp, mq, lq, result)
        return result
    mp, sp, mq, sq = float_arrays(
        ("mean_p", "log_std_p", "mean_q", "log_std_q"),
        (mean_p, _given("log_std_p", log_std_p), q, _given("log_std_q", log_std_q)),
    )
    _check_batch("mean_p", mp, "mean_q", mq)
    sp, sq = _rows("log_std_p", sp, mp.shape), _rows("log_std_q", sq, mp.shape)
    result = np.empty(len(mp), mp.dtype)
    core().gaussian_kl(mp, sp, mq, sq, result)
    return result


def gaussian_entropy(
    log_std: ArrayLike | None = None, *, scale_tril: ArrayLike | None = None
) -> float | FloatArray:
    """Differential entropy of normal distributions.

    H = ½ log |2πe Σ| = Σ_j log σ_j + ½ A (1 + log 2π), with L_jj for σ_j in the full form

    Parameters
    ----------
    log_std : (A,) or (B, A), optional
        Diagonal form: logarithms of the standard deviations.
    scale_tril : (A, A), optional
        Full form: lower-triangular L with Σ = L Lᵀ.

    Returns
    -------
    float or (B,)
        The entropy in nats: a float for one distribution, an array for ``(B, A)``.

    Raises
    ------
    TypeError
        If the array holds no real numbers.
    ValueError
        If its shape is wrong, L has a zero on its diagonal, or not exactly one form is given.

    References
    ----------
    Cover & Thomas 2006, *Elements of information theory*, theorem 8.4.1.

    Examples
    --------
    >>> round(gaussian_entropy([0.0, 0.0]), 4)
    2.8379
    """
    if scale_tril is not None:
        _only_one("log_std", log_std)
        scale = float_array("scale_tril", scale_tril)
        scale, _ = _factor("scale_tril", scale, len(scale) if scale.ndim else 0)
        s = np.log(scale.diagonal())
    else:
        s = float_array("log_std", _given("log_std", log_std))
    if s.ndim not in (1, 2):
        raise ValueError(f"log_std: expected shape (A,) or (B, A), got {s.shape}")
    rows = s if s.ndim == 2 else s[None, :]
    entropies = np.empty(len(rows), s.dtype)
    core().gaussian_entropy(rows, entropies)
    return entropies if s.ndim == 2 else float(entropies[0])


def _only_one(name: str, other: ArrayLike | None) -> None:
    """Refuse a diagonal parameter beside a full one."""
    if other is not None:
        raise ValueError(f"{name}: expected either log_std or scale_tril, got both")


def _given(name: str, value: ArrayLike | None) -> ArrayLike:
    """Refuse a parameter that neither form can do without."""
    if value is not None:
        return value
    if name == "log_std":
        raise ValueError(f"{name}: expected either log_std or scale_tril, got neither")
    raise ValueError(f"{name}: expected an array, got None")


def _check_batch(name: str, array: FloatArray, other_name: str, other: FloatArray) -> None:
    """Two arrays of one shape (B, A)."""
    if array.ndim != 2:
        raise ValueError(f"{name}: expected shape (B, A), got {array.shape}")
    check_shape(other_name, other, array.shape)


def _rows(name: str, log_std: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Logarithms of standard deviations as (B, A), or as (1, A) for all rows."""
    if log_std.shape == shape:
        return log_std
    if log_std.shape == shape[1:]:
        return log_std[None, :]
    raise ValueError(f"{name}: expected shape {shape[1:]} or {shape}, got {log_std.shape}")


def _factor(name: str, scale: FloatArray, size: int) -> tuple[FloatArray, FloatArray | None]:
    """The factor of this covariance with a positive diagonal, and the signs that its columns changed by."""
    check_shape(name, scale, (size, size))
    diagonal = scale.diagonal()
    if diagonal.min(initial=np.inf) > 0.0:
        return scale, None
    if (diagonal == 0.0).any():  # NaN gives NaN
        raise ValueError(f"{name}: expected a diagonal without zeros, got {diagonal}")
    signs: FloatArray = np.copysign(scale.dtype.type(1), diagonal)
    return scale * signs, signs
