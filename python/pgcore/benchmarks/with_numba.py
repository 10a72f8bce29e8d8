"""The kernels as plain loops, compiled by numba.

Along time a single column keeps its state in scalars. Several columns have the inner loop, which can then be
vectorised, and keep their state in the row that was written last.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from functools import partial
from typing import Any

import numba
import numpy as np

from pgcore.benchmarks.formulas import ADAM, GAMMA, LAM, NUM_STEPS
from pgcore.benchmarks.libraries import Run

# The default place for compiled code is beside this file, which need not be writeable.
_compiled = numba.njit(fastmath=True, cache="NUMBA_CACHE_DIR" in os.environ)

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

# ---- along time: one column ----


@_compiled
def _reward_to_go(r, ends, gamma):
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    total = zero
    for t in range(len(r) - 1, -1, -1):
        if ends is not None and ends[t]:
            total = zero
        total = r[t] + g * total
        out[t] = total
    return out


@_compiled
def _gae(r, v, ends, gamma, lam):
    zero, g, decay = r.dtype.type(0.0), r.dtype.type(gamma), r.dtype.type(gamma * lam)
    advantages, targets = np.empty_like(r), np.empty_like(r)
    next_value, advantage = zero, zero
    for t in range(len(r) - 1, -1, -1):
        if ends is not None and ends[t]:
            next_value, advantage = zero, zero
        advantage = r[t] + g * next_value - v[t] + decay * advantage
        next_value = v[t]
        advantages[t] = advantage
        targets[t] = advantage + next_value
    return advantages, targets


@_compiled
def _vtrace(r, v, log_rho, ends, gamma):
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    advantages, targets = np.empty_like(r), np.empty_like(r)
    next_value, correction = zero, zero
    for t in range(len(r) - 1, -1, -1):
        if ends is not None and ends[t]:
            next_value, correction = zero, zero
        rho = np.exp(min(zero, log_rho[t]))
        error = r[t] + g * (next_value + correction) - v[t]
        advantages[t] = rho * error
        correction = rho * error
        next_value = v[t]
        targets[t] = next_value + correction
    return advantages, targets


@_compiled
def _cumulative_log_ratios(x, ends):
    out = np.empty_like(x)
    total = x.dtype.type(0.0)
    for t in range(len(x)):
        total += x[t]
        out[t] = total
        if ends is not None and ends[t]:
            total = x.dtype.type(0.0)
    return out


@_compiled
def _weighted_reward_to_go(r, log_rho, ends, gamma):
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    weighted = zero
    for t in range(len(r) - 1, -1, -1):
        if ends is not None and ends[t]:
            weighted = zero
        out[t] = r[t] + g * weighted
        weighted = np.exp(log_rho[t]) * out[t]
    return out


@_compiled
def _affine_scan(x, c, ends):
    out = np.empty_like(x)
    total = x.dtype.type(0.0)
    for t in range(len(x) - 1, -1, -1):
        if ends is not None and ends[t]:
            total = x.dtype.type(0.0)
        total = x[t] + c[t] * total
        out[t] = total
    return out


@_compiled
def _n_step_return(r, v, ends, gamma, n):
    T, zero, g = len(r), r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    for t in range(T):
        total, discount = zero, r.dtype.type(1.0)
        for k in range(t, min(t + n, T)):
            total += discount * r[k]
            discount *= g
            if ends is not None and ends[k]:
                discount = zero
                break
        if t + n < T:
            total += discount * v[t + n]
        out[t] = total
    return out


@_compiled
def _effective_sample_size(log_w):
    largest = log_w[0]
    for t in range(len(log_w)):
        largest = max(largest, log_w[t])
    total, squares = log_w.dtype.type(0.0), log_w.dtype.type(0.0)
    for t in range(len(log_w)):
        w = np.exp(log_w[t] - largest)
        total += w
        squares += w * w
    return total * total / squares


# ---- along time: several columns ----


@_compiled
def _reward_to_go_2d(r, ends, gamma):
    T, N = r.shape
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    out[T - 1] = r[T - 1]
    for t in range(T - 2, -1, -1):
        row, after = out[t], out[t + 1]
        for n in range(N):
            row[n] = r[t, n] + (zero if ends is not None and ends[t, n] else g * after[n])
    return out


@_compiled
def _gae_2d(r, v, ends, gamma, lam):
    T, N = r.shape
    zero, g, decay = r.dtype.type(0.0), r.dtype.type(gamma), r.dtype.type(gamma * lam)
    advantages, targets = np.empty_like(r), np.empty_like(r)
    advantages[T - 1] = r[T - 1] - v[T - 1]
    targets[T - 1] = r[T - 1]
    for t in range(T - 2, -1, -1):
        row, after, next_values = advantages[t], advantages[t + 1], v[t + 1]
        for n in range(N):
            following = g * next_values[n] + decay * after[n]
            if ends is not None and ends[t, n]:
                following = zero
            row[n] = r[t, n] - v[t, n] + following
            targets[t, n] = row[n] + v[t, n]
    return advantages, targets


@_compiled
def _vtrace_2d(r, v, log_rho, ends, gamma):
    T, N = r.shape
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    advantages, targets = np.empty_like(r), np.empty_like(r)
    after = np.zeros(N, r.dtype)
    for t in range(T - 1, -1, -1):
        row = targets[t]
        for n in range(N):
            following = g * after[n]
            if ends is not None and ends[t, n]:
                following = zero
            rho = np.exp(min(zero, log_rho[t, n]))
            advantages[t, n] = rho * (r[t, n] + following - v[t, n])
            row[n] = v[t, n] + advantages[t, n]
        after = row
    return advantages, targets


@_compiled
def _cumulative_log_ratios_2d(x, ends):
    T, N = x.shape
    zero = x.dtype.type(0.0)
    out = np.empty_like(x)
    out[0] = x[0]
    for t in range(1, T):
        row, before = out[t], out[t - 1]
        for n in range(N):
            row[n] = x[t, n] + (zero if ends is not None and ends[t - 1, n] else before[n])
    return out


@_compiled
def _weighted_reward_to_go_2d(r, log_rho, ends, gamma):
    T, N = r.shape
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    out[T - 1] = r[T - 1]
    for t in range(T - 2, -1, -1):
        row, after, ratios = out[t], out[t + 1], log_rho[t + 1]
        for n in range(N):
            following = g * np.exp(ratios[n]) * after[n]
            row[n] = r[t, n] + (zero if ends is not None and ends[t, n] else following)
    return out


@_compiled
def _affine_scan_2d(x, c, ends):
    T, N = x.shape
    zero = x.dtype.type(0.0)
    out = np.empty_like(x)
    out[T - 1] = x[T - 1]
    for t in range(T - 2, -1, -1):
        row, after = out[t], out[t + 1]
        for n in range(N):
            row[n] = x[t, n] + (zero if ends is not None and ends[t, n] else c[t, n] * after[n])
    return out


@_compiled
def _n_step_return_2d(r, v, ends, gamma, n):
    T, N = r.shape
    zero, g = r.dtype.type(0.0), r.dtype.type(gamma)
    out = np.empty_like(r)
    for t in range(T):
        row = out[t]
        if t + n < T:
            row[:] = v[t + n]
        else:
            row[:] = zero
        for k in range(min(t + n, T) - 1, t - 1, -1):
            for i in range(N):
                row[i] = r[k, i] + (zero if ends is not None and ends[k, i] else g * row[i])
    return out


@_compiled
def _effective_sample_size_2d(log_w):
    T, N = log_w.shape
    largest = log_w[0].copy()
    for t in range(T):
        for n in range(N):
            largest[n] = max(largest[n], log_w[t, n])
    total, squares = np.zeros(N, log_w.dtype), np.zeros(N, log_w.dtype)
    for t in range(T):
        for n in range(N):
            w = np.exp(log_w[t, n] - largest[n])
            total[n] += w
            squares[n] += w * w
    return total * total / squares


# ---- distributions ----


@_compiled
def _gaussian_log_prob(a, mean, log_std):
    (B, A), half = a.shape, a.dtype.type(0.5)
    constant = a.dtype.type(A * _HALF_LOG_2PI) + log_std.sum()
    precision = np.exp(-log_std)
    out = np.empty(B, a.dtype)
    for i in range(B):
        total = a.dtype.type(0.0)
        for j in range(A):
            z = (a[i, j] - mean[i, j]) * precision[j]
            total += z * z
        out[i] = -half * total - constant
    return out


@_compiled
def _gaussian_log_prob_rows(a, mean, log_std):
    (B, A), half = a.shape, a.dtype.type(0.5)
    constant = a.dtype.type(A * _HALF_LOG_2PI)
    out = np.empty(B, a.dtype)
    for i in range(B):
        total = a.dtype.type(0.0)
        for j in range(A):
            z = (a[i, j] - mean[i, j]) * np.exp(-log_std[i, j])
            total += half * z * z + log_std[i, j]
        out[i] = -total - constant
    return out


@_compiled
def _gaussian_score(a, mean, log_std):
    (B, A), one = a.shape, a.dtype.type(1.0)
    precision = np.exp(-log_std)
    d_mean, d_log_std = np.empty_like(a), np.empty_like(a)
    for i in range(B):
        for j in range(A):
            z = (a[i, j] - mean[i, j]) * precision[j]
            d_mean[i, j] = z * precision[j]
            d_log_std[i, j] = z * z - one
    return d_mean, d_log_std


@_compiled
def _gaussian_score_rows(a, mean, log_std):
    (B, A), one = a.shape, a.dtype.type(1.0)
    d_mean, d_log_std = np.empty_like(a), np.empty_like(a)
    for i in range(B):
        for j in range(A):
            precision = np.exp(-log_std[i, j])
            z = (a[i, j] - mean[i, j]) * precision
            d_mean[i, j] = z * precision
            d_log_std[i, j] = z * z - one
    return d_mean, d_log_std


@_compiled
def _gaussian_kl(mean_p, log_std_p, mean_q, log_std_q):
    (B, A), half = mean_p.shape, mean_p.dtype.type(0.5)
    precision = np.exp(-log_std_q)
    constant = (log_std_q - log_std_p).sum() + (half * (np.exp(log_std_p) * precision) ** 2 - half).sum()
    out = np.empty(B, mean_p.dtype)
    for i in range(B):
        total = mean_p.dtype.type(0.0)
        for j in range(A):
            shift = (mean_p[i, j] - mean_q[i, j]) * precision[j]
            total += shift * shift
        out[i] = half * total + constant
    return out


@_compiled
def _gaussian_kl_rows(mean_p, log_std_p, mean_q, log_std_q):
    (B, A), half, one = mean_p.shape, mean_p.dtype.type(0.5), mean_p.dtype.type(1.0)
    out = np.empty(B, mean_p.dtype)
    for i in range(B):
        total = mean_p.dtype.type(0.0)
        for j in range(A):
            precision = np.exp(-log_std_q[i, j])
            ratio = np.exp(log_std_p[i, j]) * precision
            shift = (mean_p[i, j] - mean_q[i, j]) * precision
            total += half * (ratio * ratio + shift * shift - one) + log_std_q[i, j] - log_std_p[i, j]
        out[i] = total
    return out


@_compiled
def _gaussian_entropy(log_std):
    B, A = log_std.shape
    constant = log_std.dtype.type(A * (0.5 + _HALF_LOG_2PI))
    out = np.empty(B, log_std.dtype)
    for i in range(B):
        total = constant
        for j in range(A):
            total += log_std[i, j]
        out[i] = total
    return out


@_compiled
def _gaussian_log_prob_full(a, mean, scale):
    (B, A), half = a.shape, a.dtype.type(0.5)
    constant = a.dtype.type(A * _HALF_LOG_2PI)
    for j in range(A):
        constant += np.log(scale[j, j])
    out, z = np.empty(B, a.dtype), np.empty(A, a.dtype)
    for i in range(B):
        total = a.dtype.type(0.0)
        for j in range(A):
            rest = a[i, j] - mean[i, j]
            for k in range(j):
                rest -= scale[j, k] * z[k]
            z[j] = rest / scale[j, j]
            total += z[j] * z[j]
        out[i] = -half * total - constant
    return out


@_compiled
def _gaussian_score_full(a, mean, scale):
    B, A = a.shape
    d_mean, d_scale = np.empty_like(a), np.zeros((B, A, A), a.dtype)
    z = np.empty(A, a.dtype)
    for i in range(B):
        for j in range(A):
            rest = a[i, j] - mean[i, j]
            for k in range(j):
                rest -= scale[j, k] * z[k]
            z[j] = rest / scale[j, j]
        for j in range(A - 1, -1, -1):
            rest = z[j]
            for k in range(j + 1, A):
                rest -= scale[k, j] * d_mean[i, k]
            d_mean[i, j] = rest / scale[j, j]
        for j in range(A):
            for k in range(j + 1):
                d_scale[i, j, k] = d_mean[i, j] * z[k]
            d_scale[i, j, j] -= a.dtype.type(1.0) / scale[j, j]
    return d_mean, d_scale


@_compiled
def _categorical_log_prob(a, logits):
    B, K = logits.shape
    out = np.empty(B, logits.dtype)
    for i in range(B):
        largest, total = logits[i, 0], logits.dtype.type(0.0)
        for k in range(1, K):
            largest = max(largest, logits[i, k])
        for k in range(K):
            total += np.exp(logits[i, k] - largest)
        out[i] = logits[i, a[i]] - largest - np.log(total)
    return out


@_compiled
def _categorical_score(a, logits):
    (B, K), one = logits.shape, logits.dtype.type(1.0)
    out = np.empty_like(logits)
    for i in range(B):
        largest, total = logits[i, 0], logits.dtype.type(0.0)
        for k in range(1, K):
            largest = max(largest, logits[i, k])
        for k in range(K):
            out[i, k] = np.exp(logits[i, k] - largest)
            total += out[i, k]
        factor = -one / total
        for k in range(K):
            out[i, k] *= factor
        out[i, a[i]] += one
    return out


@_compiled
def _categorical_kl(logits_p, logits_q):
    B, K = logits_p.shape
    zero = logits_p.dtype.type(0.0)
    out = np.empty(B, logits_p.dtype)
    for i in range(B):
        max_p, max_q = logits_p[i, 0], logits_q[i, 0]
        for k in range(1, K):
            max_p, max_q = max(max_p, logits_p[i, k]), max(max_q, logits_q[i, k])
        total_p, total_q, cross = zero, zero, zero
        for k in range(K):
            p, q = logits_p[i, k] - max_p, logits_q[i, k] - max_q
            weight = np.exp(p)
            total_p += weight
            total_q += np.exp(q)
            cross += weight * (p - q)
        out[i] = cross / total_p - np.log(total_p) + np.log(total_q)
    return out


@_compiled
def _categorical_entropy(logits):
    B, K = logits.shape
    out = np.empty(B, logits.dtype)
    for i in range(B):
        largest = logits[i, 0]
        for k in range(1, K):
            largest = max(largest, logits[i, k])
        total, weighted = logits.dtype.type(0.0), logits.dtype.type(0.0)
        for k in range(K):
            shifted = logits[i, k] - largest
            w = np.exp(shifted)
            total += w
            weighted += w * shifted
        out[i] = np.log(total) - weighted / total
    return out


# ---- networks, optimisers ----


@_compiled
def _layer(w, b, x, is_last):
    out = np.empty((len(x), len(b)), x.dtype)
    for i in range(len(x)):
        for j in range(len(b)):
            total = b[j]
            for k in range(x.shape[1]):
                total += w[j, k] * x[i, k]
            out[i, j] = total if is_last else np.tanh(total)
    return out


@_compiled
def _three_layers(layers, x):
    (w1, b1), (w2, b2), (w3, b3) = layers
    return _layer(w3, b3, _layer(w2, b2, _layer(w1, b1, x, False), False), True)


@_compiled
def _predict(layers, obs):
    outputs = _three_layers(layers, obs.reshape(1, -1))
    return np.argmax(outputs[0])


@_compiled
def _adam_step(theta, grad, m, v, rate, beta1, beta2, epsilon):
    one = theta.dtype.type(1.0)
    b1, b2, eps = theta.dtype.type(beta1), theta.dtype.type(beta2), theta.dtype.type(epsilon)
    step = theta.dtype.type(rate / (1.0 - beta1))
    correction = theta.dtype.type(1.0 / math.sqrt(1.0 - beta2))
    for i in range(len(theta)):
        m[i] = b1 * m[i] + (one - b1) * grad[i]
        v[i] = b2 * v[i] + (one - b2) * grad[i] * grad[i]
        theta[i] -= step * m[i] / (np.sqrt(v[i]) * correction + eps)
    return theta, m, v


# The second is for several columns, or for a σ in each row.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "reward_to_go": (_reward_to_go, _reward_to_go_2d),
    "gae": (_gae, _gae_2d),
    "vtrace": (_vtrace, _vtrace_2d),
    "cumulative_log_ratios": (_cumulative_log_ratios, _cumulative_log_ratios_2d),
    "weighted_reward_to_go": (_weighted_reward_to_go, _weighted_reward_to_go_2d),
    "affine_scan": (_affine_scan, _affine_scan_2d),
    "n_step_return": (_n_step_return, _n_step_return_2d),
    "effective_sample_size": (_effective_sample_size, _effective_sample_size_2d),
    "gaussian_log_prob": (_gaussian_log_prob, _gaussian_log_prob_rows),
    "gaussian_score": (_gaussian_score, _gaussian_score_rows),
    "gaussian_kl": (_gaussian_kl, _gaussian_kl_rows),
    "gaussian_entropy": (_gaussian_entropy,),
    "gaussian_log_prob, full": (_gaussian_log_prob_full,),
    "gaussian_score, full": (_gaussian_score_full,),
    "categorical_log_prob": (_categorical_log_prob,),
    "categorical_score": (_categorical_score,),
    "categorical_kl": (_categorical_kl,),
    "categorical_entropy": (_categorical_entropy,),
    "MLP.forward": (_three_layers,),
    "predict": (_predict,),
    "adam_step": (_adam_step,),
}
_CONSTANTS: dict[str, tuple[float, ...]] = {
    "reward_to_go": (GAMMA,),
    "gae": (GAMMA, LAM),
    "vtrace": (GAMMA,),
    "weighted_reward_to_go": (GAMMA,),
    "n_step_return": (GAMMA, NUM_STEPS),
    "adam_step": ADAM,
}


settings = nullcontext  # none


def runs(kernel: str, *data: Any) -> list[Run]:
    """See `pgcore.benchmarks.libraries.Library`."""
    if kernel not in _FUNCTIONS:
        return []
    first, *others = _FUNCTIONS[kernel]
    if kernel in ("MLP.forward", "predict"):  # a tuple of arrays is faster to pass on than a list
        data = (tuple(data[0]), *data[1:])
    if kernel == "adam_step":  # in place
        data = tuple(array.copy() for array in data)
    decides = data[-1] if kernel.startswith("gaussian") else data[0]
    function = others[0] if others and decides.ndim == 2 else first
    return [partial(function, *data, *_CONSTANTS.get(kernel, ()))]
