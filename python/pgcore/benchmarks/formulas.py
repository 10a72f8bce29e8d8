"""The kernels as array formulas, for any library that computes on whole arrays.

A library gives its `Operations`; the formulas are written as its users would write them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

__all__ = [
    "ADAM",
    "CG_STEPS",
    "DAMPING",
    "FORMULAS",
    "GAMMA",
    "LAM",
    "MINIBATCH",
    "NUM_STEPS",
    "Array",
    "Layers",
    "Operations",
    "loops_over_rows",
    "mlp",
]

Array: TypeAlias = Any
"""An array of the library."""
Layers: TypeAlias = list[tuple[Array, Array]]
"""(W, b) of every layer of a network, W of shape (out, in)."""


class MinibatchSettings(TypedDict):
    """Keyword arguments of `pgcore.optim.SurrogateAscent.epoch`."""

    learning_rate: float
    clip_range: float
    max_grad_norm: float


GAMMA, LAM = 0.99, 0.95
NUM_STEPS = 5
"""n of the n-step return."""
ADAM = (1e-3, 0.9, 0.999, 1e-8)
"""Learning rate, β₁, β₂, ε."""
DAMPING, CG_STEPS = 0.1, 10
"""Of systems with the Fisher matrix."""
MINIBATCH: MinibatchSettings = {"learning_rate": 3e-4, "clip_range": 0.2, "max_grad_norm": 0.5}
"""Settings of PPO's step."""
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Operations:
    """What the formulas need of a library, beyond what NumPy, JAX and PyTorch call by the same name."""

    xp: Any
    """Its module of array functions."""
    scan: Callable[[Array | float, Array, bool], Array]
    """(c, x, forward) → y with y_t = x_t + c_t y_{t+1}, or y_t = x_t + c_t y_{t−1}; c may be a number."""
    discounts: Callable[[Array, Array, float], Array]
    """(ends, like, γ) → γ, and 0 at ends, in the dtype of ``like``."""
    log_softmax: Callable[[Array], Array]
    """Of the last axis."""
    one_hot: Callable[[Array, Array], Array]
    """(indices, like) → rows of the shape and dtype of ``like``."""
    pick: Callable[[Array, Array], Array]
    """(rows, indices) → one element of every row."""


# ---- along time ----


def _following(op: Operations, x: Array, ends: Array | None) -> Array:
    """The next step's x, and 0 at ends."""
    shifted = op.xp.concatenate((x[1:], op.xp.zeros_like(x[:1])))
    return shifted if ends is None else op.xp.where(ends, 0.0, shifted)


def _discounts(op: Operations, ends: Array | None, like: Array, gamma: float) -> Array | float:
    return gamma if ends is None else op.discounts(ends, like, gamma)


def _reward_to_go(op: Operations, r: Array, ends: Array | None) -> Array:
    return op.scan(_discounts(op, ends, r, GAMMA), r, False)


def _gae(op: Operations, r: Array, v: Array, ends: Array | None) -> tuple[Array, Array]:
    delta = r + GAMMA * _following(op, v, ends) - v
    advantages = op.scan(_discounts(op, ends, r, GAMMA * LAM), delta, False)
    return advantages, advantages + v


def _vtrace(op: Operations, r: Array, v: Array, log_rho: Array, ends: Array | None) -> tuple[Array, Array]:
    rho = op.xp.exp(op.xp.clip(log_rho, None, 0.0))
    delta = rho * (r + GAMMA * _following(op, v, ends) - v)
    targets = v + op.scan(_discounts(op, ends, r, GAMMA) * rho, delta, False)
    return rho * (r + GAMMA * _following(op, targets, ends) - v), targets


def _cumulative_log_ratios(op: Operations, x: Array, ends: Array | None) -> Array:
    if ends is None:
        return op.xp.cumsum(x, 0)
    starts = op.xp.concatenate((ends[-1:], ends[:-1]))
    return op.scan(op.discounts(starts, x, 1.0), x, True)


def _weighted_reward_to_go(op: Operations, r: Array, log_rho: Array, ends: Array | None) -> Array:
    return op.scan(GAMMA * _following(op, op.xp.exp(log_rho), ends), r, False)


def _affine_scan(op: Operations, x: Array, c: Array, ends: Array | None) -> Array:
    return op.scan(c if ends is None else op.xp.where(ends, 0.0, c), x, False)


def _n_step_return(op: Operations, r: Array, v: Array, ends: Array | None) -> Array:
    returns = v
    for _ in range(NUM_STEPS):
        returns = r + GAMMA * _following(op, returns, ends)
    return returns


def _effective_sample_size(op: Operations, log_w: Array) -> Array:
    w = op.xp.exp(log_w - op.xp.amax(log_w, 0))
    return w.sum(0) ** 2 / (w * w).sum(0)


# ---- distributions ----


def _gaussian_log_prob(op: Operations, a: Array, mean: Array, log_std: Array) -> Array:
    z = (a - mean) * op.xp.exp(-log_std)
    return (-0.5 * z * z - log_std).sum(-1) - a.shape[1] * _HALF_LOG_2PI


def _gaussian_score(op: Operations, a: Array, mean: Array, log_std: Array) -> tuple[Array, Array]:
    precision = op.xp.exp(-log_std)
    z = (a - mean) * precision
    return z * precision, z * z - 1.0


def _gaussian_kl(op: Operations, mean_p: Array, s_p: Array, mean_q: Array, s_q: Array) -> Array:
    shift = (mean_p - mean_q) * op.xp.exp(-s_q)
    return (0.5 * (op.xp.exp(2.0 * (s_p - s_q)) + shift * shift - 1.0) + (s_q - s_p)).sum(-1)


def _gaussian_entropy(op: Operations, log_std: Array) -> Array:
    return log_std.sum(-1) + log_std.shape[-1] * (0.5 + _HALF_LOG_2PI)


def _gaussian_log_prob_full(op: Operations, a: Array, mean: Array, scale: Array) -> Array:
    z = op.xp.linalg.solve(scale, (a - mean).T)
    log_det = op.xp.log(op.xp.diag(scale)).sum()
    return -0.5 * (z * z).sum(0) - log_det - a.shape[1] * _HALF_LOG_2PI


def _gaussian_score_full(op: Operations, a: Array, mean: Array, scale: Array) -> tuple[Array, Array]:
    z = op.xp.linalg.solve(scale, (a - mean).T)
    d_mean = op.xp.linalg.solve(scale.T, z).T
    outer = d_mean[:, :, None] * z.T[:, None, :]
    return d_mean, op.xp.tril(outer) - op.xp.diag(1.0 / op.xp.diag(scale))


def _categorical_log_prob(op: Operations, a: Array, logits: Array) -> Array:
    return op.pick(op.log_softmax(logits), a)


def _categorical_score(op: Operations, a: Array, logits: Array) -> Array:
    return op.one_hot(a, logits) - op.xp.exp(op.log_softmax(logits))


def _categorical_kl(op: Operations, logits_p: Array, logits_q: Array) -> Array:
    log_p, log_q = op.log_softmax(logits_p), op.log_softmax(logits_q)
    return (op.xp.exp(log_p) * (log_p - log_q)).sum(-1)


def _categorical_entropy(op: Operations, logits: Array) -> Array:
    log_p = op.log_softmax(logits)
    return -(op.xp.exp(log_p) * log_p).sum(-1)


# ---- networks ----


def mlp(xp: Any, layers: Layers, x: Array) -> Array:
    """Return the outputs of a network of tanh layers; the last layer is linear."""
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = xp.tanh(x @ w.T + b)
    return x @ weight.T + bias


def _forward(op: Operations, layers: Layers, x: Array) -> Array:
    return mlp(op.xp, layers, x)


def _policy_log_prob(op: Operations, layers: Layers, log_std: Array, obs: Array, a: Array) -> Array:
    return _gaussian_log_prob(op, a, mlp(op.xp, layers, obs), log_std)


def _predict(op: Operations, layers: Layers, obs: Array) -> Array:
    return op.xp.argmax(mlp(op.xp, layers, obs[None])[0])


FORMULAS: dict[str, Callable[..., Array]] = {
    "reward_to_go": _reward_to_go,
    "gae": _gae,
    "vtrace": _vtrace,
    "cumulative_log_ratios": _cumulative_log_ratios,
    "weighted_reward_to_go": _weighted_reward_to_go,
    "affine_scan": _affine_scan,
    "n_step_return": _n_step_return,
    "effective_sample_size": _effective_sample_size,
    "gaussian_log_prob": _gaussian_log_prob,
    "gaussian_score": _gaussian_score,
    "gaussian_kl": _gaussian_kl,
    "gaussian_entropy": _gaussian_entropy,
    "gaussian_log_prob, full": _gaussian_log_prob_full,
    "gaussian_score, full": _gaussian_score_full,
    "categorical_log_prob": _categorical_log_prob,
    "categorical_score": _categorical_score,
    "categorical_kl": _categorical_kl,
    "categorical_entropy": _categorical_entropy,
    "MLP.forward": _forward,
    "policy.log_prob": _policy_log_prob,
    "predict": _predict,
}
"""By kernel; each takes `Operations`, then the data of a `Problem`."""


def loops_over_rows(kernel: str, data: tuple[Any, ...]) -> bool:
    """Whether a formula needs `Operations.scan`: for NumPy and PyTorch, a loop in Python."""
    if kernel == "cumulative_log_ratios":
        return data[1] is not None
    return kernel in ("reward_to_go", "gae", "vtrace", "weighted_reward_to_go", "affine_scan")
