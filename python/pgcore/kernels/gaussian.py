"""Gaussian policies in output space: log-density, score, Kullback-Leibler divergence, entropy.

The diagonal form takes ``log_std``, the logarithms of the standard deviations, of shape ``(A,)`` for all rows
or ``(B, A)``. The full form takes ``scale_tril``, the lower-triangular ``(A, A)`` factor L of the covariance
Σ = L Lᵀ; its diagonal has no zeros, and nothing above it is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import FloatArray, check_shape, promoted
from pgcore.kernels.coercion import computed, delivered, delivered_pair


def gaussian_log_prob(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: FloatArray | None = None,
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
    out : (B,), of the result's dtype, optional
        Where to write the result.

    Returns
    -------
    (B,)
        One log-density for each row, in nats: the sum over its components, not their mean.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
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
    compute = _dispatch.compiled.gaussian_log_prob
    exact = compute(actions, mean, log_std, scale_tril, out)
    if exact is not None:
        return exact
    a, mu, s, scale, _ = _coerced(actions, mean, log_std, scale_tril)
    return delivered(computed(compute(a, mu, s, scale, None)), out)


def gaussian_score(
    actions: ArrayLike,
    mean: ArrayLike,
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: tuple[FloatArray, FloatArray] | None = None,
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
    out : tuple of two arrays of the results' shapes and dtype, optional
        Where to write the results; they may be inputs.

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
        If an array holds no real numbers, or `out` has another dtype than the results.
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
    compute = _dispatch.compiled.gaussian_score
    exact = compute(actions, mean, log_std, scale_tril, out)
    if exact is not None:
        return exact
    a, mu, s, scale, signs = _coerced(actions, mean, log_std, scale_tril)
    d_mean, d_spread = computed(compute(a, mu, s, scale, None))
    if signs is not None:
        d_spread *= signs
    return delivered_pair((d_mean, d_spread), out)


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
    out : (B,), of the result's dtype, optional
        Where to write the result.

    Returns
    -------
    (B,)
        Divergences, in nats.

    Raises
    ------
    TypeError
        If an array holds no real numbers, or `out` has another dtype than the result.
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
    compute = _dispatch.compiled.gaussian_kl
    exact = compute(mean_p, log_std_p, mean_q, log_std_q, scale_tril_p, scale_tril_q, out)
    if exact is not None:
        return exact
    form = "log_std" if scale_tril_p is None and scale_tril_q is None else "scale_tril"
    if form == "scale_tril":
        _refuse_both("log_std_p", log_std_p)
        _refuse_both("log_std_q", log_std_q)
    spread_p, spread_q = (log_std_p, log_std_q) if form == "log_std" else (scale_tril_p, scale_tril_q)
    given = {
        "mean_p": mean_p,
        f"{form}_p": _given(f"{form}_p", spread_p),
        "mean_q": _given("mean_q", mean_q),
        f"{form}_q": _given(f"{form}_q", spread_q),
    }
    mp, p, mq, q = promoted(given).values()
    _check_batch("mean_p", mp, "mean_q", mq)
    if form == "log_std":
        _check_log_std("log_std_p", p, mp.shape)
        _check_log_std("log_std_q", q, mp.shape)
        return delivered(computed(compute(mp, p, mq, q, None, None, None)), out)
    p, _ = _factor("scale_tril_p", p, mp.shape[1])
    q, _ = _factor("scale_tril_q", q, mp.shape[1])
    return delivered(computed(compute(mp, None, mq, None, p, q, None)), out)


def gaussian_entropy(
    log_std: ArrayLike | None = None,
    *,
    scale_tril: ArrayLike | None = None,
    out: FloatArray | None = None,
) -> float | FloatArray:
    """Differential entropy of normal distributions.

    H = ½ log |2πe Σ| = Σ_j log σ_j + ½ A (1 + log 2π), with L_jj for σ_j in the full form

    Parameters
    ----------
    log_std : (A,) or (B, A), optional
        Diagonal form: logarithms of the standard deviations.
    scale_tril : (A, A), optional
        Full form: lower-triangular L with Σ = L Lᵀ.
    out : (B,), of the result's dtype, optional
        Where to write the result of several distributions.

    Returns
    -------
    float or (B,)
        The entropy in nats: a float for one distribution, an array for ``(B, A)``.

    Raises
    ------
    TypeError
        If the array holds no real numbers, or `out` has another dtype than the result.
    ValueError
        If its shape is wrong, L has a zero on its diagonal, not exactly one form is given, or `out` is given
        for one distribution: its entropy is a float.

    References
    ----------
    Cover & Thomas 2006, *Elements of information theory*, theorem 8.4.1.

    Examples
    --------
    >>> round(gaussian_entropy([0.0, 0.0]), 4)
    2.8379
    """
    exact = _dispatch.compiled.gaussian_entropy(log_std, scale_tril, out)
    if exact is not None:
        return exact
    name, spread = _form(log_std, scale_tril)
    s, scale = promoted({name: spread})[name], None
    if name == "scale_tril":
        scale, _ = _factor(name, s, len(s) if s.ndim else 0)
    elif s.ndim not in (1, 2):
        raise ValueError(f"log_std: expected shape (A,) or (B, A), got {s.shape}")
    entropy = _dispatch.compiled.gaussian_entropy(s if scale is None else None, scale, None)
    if not isinstance(entropy, float):
        return delivered(computed(entropy), out)
    if out is not None:
        raise ValueError("out: expected None for one distribution, got an array")
    return entropy


def _coerced(
    actions: ArrayLike, mean: ArrayLike, log_std: ArrayLike | None, scale_tril: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray | None, FloatArray | None]:
    """Actions, means, log_std or scale_tril, and the signs that columns of the latter changed by."""
    name, spread = _form(log_std, scale_tril)
    a, mu, s = promoted({"actions": actions, "mean": mean, name: spread}).values()
    _check_batch("actions", a, "mean", mu)
    if name == "log_std":
        _check_log_std(name, s, a.shape)
        return a, mu, s, None, None
    scale, signs = _factor(name, s, a.shape[1])
    return a, mu, None, scale, signs


def _form(log_std: ArrayLike | None, scale_tril: ArrayLike | None) -> tuple[str, ArrayLike]:
    """Name and value of the one that is given."""
    if scale_tril is not None:
        _refuse_both("log_std", log_std)
        return "scale_tril", scale_tril
    if log_std is not None:
        return "log_std", log_std
    raise ValueError("log_std: expected either log_std or scale_tril, got neither")


def _refuse_both(name: str, log_std: ArrayLike | None) -> None:
    """Refuse a diagonal parameter beside a full one."""
    if log_std is not None:
        raise ValueError(f"{name}: expected either log_std or scale_tril, got both")


def _given(name: str, value: ArrayLike | None) -> ArrayLike:
    if value is None:
        raise ValueError(f"{name}: expected an array, got None")
    return value


def _check_batch(name: str, array: FloatArray, other_name: str, other: FloatArray) -> None:
    """Two arrays of one shape (B, A)."""
    if array.ndim != 2:
        raise ValueError(f"{name}: expected shape (B, A), got {array.shape}")
    check_shape(other_name, other, array.shape)


def _check_log_std(name: str, log_std: FloatArray, shape: tuple[int, ...]) -> None:
    if log_std.shape not in (shape[1:], shape):
        raise ValueError(f"{name}: expected shape {shape[1:]} or {shape}, got {log_std.shape}")


def _factor(name: str, scale: FloatArray, size: int) -> tuple[FloatArray, FloatArray | None]:
    """The factor of this covariance with a positive diagonal, and the signs that its columns changed by."""
    check_shape(name, scale, (size, size))
    diagonal = scale.diagonal()
    if not (diagonal <= 0.0).any():  # NaN gives NaN
        return scale, None
    if (diagonal == 0.0).any():
        raise ValueError(f"{name}: expected a diagonal without zeros, got {diagonal}")
    signs: FloatArray = np.copysign(scale.dtype.type(1), diagonal)
    return scale * signs, signs
