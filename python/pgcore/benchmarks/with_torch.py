"""The kernels in PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch

from pgcore.benchmarks.formulas import (
    ADAM,
    DAMPING,
    FORMULAS,
    MINIBATCH,
    Array,
    Layers,
    Operations,
    loops_over_rows,
    mlp,
)
from pgcore.benchmarks.libraries import Run

_LONGEST = 2048  # rows of a loop in Python


def _scan(c: Array | float, x: Array, forward: bool) -> Array:
    y, T = x.clone(), len(x)
    before = -1 if forward else 1
    for t in range(1, T) if forward else range(T - 2, -1, -1):
        if isinstance(c, float):
            y[t].add_(y[t + before], alpha=c)
        else:
            y[t].addcmul_(c[t], y[t + before])
    return y


def _one_hot(indices: Array, like: Array) -> Array:
    return torch.zeros_like(like).scatter_(1, indices[:, None], 1.0)


OPERATIONS = Operations(
    xp=torch,
    scan=_scan,
    discounts=lambda ends, like, gamma: torch.full_like(like, gamma).masked_fill_(ends, 0.0),
    log_softmax=partial(torch.log_softmax, dim=-1),
    one_hot=_one_hot,
    pick=lambda rows, indices: rows.gather(1, indices[:, None])[:, 0],
)

# ---- networks, policies ----


def _vjp(layers: Layers, x: Array, cotangent: Array) -> Any:
    with torch.enable_grad():
        return torch.autograd.grad(mlp(torch, layers, x), _leaves(layers), cotangent)


def _jvp(layers: Layers, x: Array, tangents: Layers) -> Array:
    return torch.func.jvp(lambda p: mlp(torch, p, x), (layers,), (tangents,))[1]


def _per_sample_vjp(layers: Layers, x: Array, cotangents: Array) -> Any:
    def one(row: Array, cotangent: Array) -> Any:
        return torch.func.vjp(lambda p: mlp(torch, p, row), layers)[1](cotangent)[0]

    with torch.enable_grad():
        return torch.func.vmap(one)(x, cotangents)


def _score_product(layers: Layers, log_std: Array, obs: Array, actions: Array, weights: Array) -> Any:
    with torch.enable_grad():
        log_prob = FORMULAS["policy.log_prob"](OPERATIONS, layers, log_std, obs, actions)
        return torch.autograd.grad(weights @ log_prob, [*_leaves(layers), log_std])


def _fisher_product(gradient: Array, parameters: list[Array], v: list[Array]) -> Any:
    """The gradient of the mean KL is known, with its graph, as in common implementations of TRPO."""
    product = torch.autograd.grad(gradient, parameters, v, retain_graph=True)
    return [x.add_(y, alpha=DAMPING) for x, y in zip(product, v, strict=True)]


def _kl_gradient(layers: Layers, log_std: Array, obs: Array) -> tuple[tuple[Array, ...], list[Array]]:
    with torch.enable_grad():
        mean = mlp(torch, layers, obs)
        formula = FORMULAS["gaussian_kl"]
        kl = formula(OPERATIONS, mean.detach(), log_std.detach(), mean, log_std).mean()
        parameters = [*_leaves(layers), log_std]
        return torch.autograd.grad(kl, parameters, create_graph=True), parameters


def _adam_step(theta: Array, grad: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
    rate, beta1, beta2, epsilon = ADAM
    m.lerp_(grad, 1.0 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
    scale = v.sqrt().div_((1.0 - beta2) ** 0.5).add_(epsilon)
    return theta.addcdiv_(m, scale, value=-rate / (1.0 - beta1)), m, v


def _minibatches(
    layers: Layers, obs: Array, actions: Array, advantages: Array, old: Array
) -> Callable[[], list[Array]]:
    """Steps of PPO's actor as Stable-Baselines3 takes them, without its logging."""
    rate, clip, norm = MINIBATCH["learning_rate"], MINIBATCH["clip_range"], MINIBATCH["max_grad_norm"]
    parameters = [array.requires_grad_() for array in _leaves(layers)]
    adam = torch.optim.Adam(parameters, lr=rate, eps=1e-5)

    def run() -> list[Array]:
        with torch.enable_grad():
            standard = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            logits = mlp(torch, layers, obs)
            distribution = torch.distributions.Categorical(logits=logits, validate_args=False)
            ratio = torch.exp(distribution.log_prob(actions) - old)
            clipped = torch.clamp(ratio, 1.0 - clip, 1.0 + clip)
            adam.zero_grad()
            (-torch.min(ratio * standard, clipped * standard).mean()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, norm)
        adam.step()
        return [array.detach() for array in parameters]

    return run


def _solve(matrix: Array, right: Array) -> Array:
    return torch.linalg.solve(matrix, right)


_OWN: dict[str, Callable[..., Any]] = {
    "MLP.vjp": _vjp,
    "MLP.jvp": _jvp,
    "MLP.per_sample_vjp": _per_sample_vjp,
    "policy.score_product": _score_product,
    "adam_step": _adam_step,
    "conjugate_gradient": _solve,
}


def runs(kernel: str, *data: Any) -> list[Run]:
    """See `pgcore.benchmarks.libraries.Library`."""
    in_place = kernel in ("adam_step", "SurrogateAscent.epoch")
    tensors = _map(lambda array: torch.tensor(array) if in_place else torch.from_numpy(array), data)
    if kernel in ("MLP.vjp", "policy.score_product", "Fisher.matvec"):
        _map(lambda tensor: tensor.requires_grad_(), tensors[:1] if kernel == "MLP.vjp" else tensors[:2])
    if kernel == "Fisher.matvec":
        *batch, vector = tensors
        return [partial(_fisher_product, *_kl_gradient(*batch), [*_leaves(vector[0]), vector[1]])]
    if kernel == "SurrogateAscent.epoch":
        return [_minibatches(*tensors)]
    if kernel in _OWN:
        return [partial(_OWN[kernel], *tensors)]
    if loops_over_rows(kernel, data) and len(data[0]) > _LONGEST:
        return []
    return [partial(FORMULAS[kernel], OPERATIONS, *tensors)] if kernel in FORMULAS else []


def settings() -> AbstractContextManager[None]:
    """Record no operations, except where a gradient is asked for."""
    return torch.no_grad()


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to all arrays of nested lists and tuples."""
    if isinstance(tree, list | tuple):
        return type(tree)(_map(function, part) for part in tree)
    return tree if tree is None else function(tree)


def _leaves(layers: Layers) -> list[Array]:
    return [array for layer in layers for array in layer]
