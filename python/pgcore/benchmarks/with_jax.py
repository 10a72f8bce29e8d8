"""The kernels in JAX, compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg
from jax import lax

from pgcore.benchmarks.formulas import (
    ADAM,
    CG_STEPS,
    DAMPING,
    FORMULAS,
    MINIBATCH,
    Array,
    Layers,
    Operations,
    mlp,
)
from pgcore.benchmarks.libraries import Run

jax.config.update("jax_cpu_enable_async_dispatch", False)  # every call is waited for


def _scan(c: Array | float, x: Array, forward: bool) -> Array:
    """Faster than `lax.associative_scan` at every shape that is timed, on one core."""

    def step(carry: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        y = row[1] + row[0] * carry
        return y, y

    rows = (jnp.broadcast_to(jnp.asarray(c, x.dtype), x.shape), x)
    unroll = 8 if x[0].size <= 2 else 1  # the fastest of 1, 4, 8, 16 and 32
    return lax.scan(step, jnp.zeros_like(x[0]), rows, reverse=not forward, unroll=unroll)[1]


OPERATIONS = Operations(
    xp=jnp,
    scan=_scan,
    discounts=lambda ends, like, gamma: jnp.where(ends, 0.0, gamma).astype(like.dtype),
    log_softmax=jax.nn.log_softmax,
    one_hot=lambda indices, like: jax.nn.one_hot(indices, like.shape[1], dtype=like.dtype),
    pick=lambda rows, indices: jnp.take_along_axis(rows, indices[:, None], axis=1)[:, 0],
)

# ---- networks, policies ----


def _vjp(layers: Layers, x: Array, cotangent: Array) -> Any:
    return jax.vjp(lambda p: mlp(jnp, p, x), layers)[1](cotangent)[0]


def _jvp(layers: Layers, x: Array, tangents: Layers) -> Array:
    return jax.jvp(lambda p: mlp(jnp, p, x), (layers,), (tangents,))[1]


def _per_sample_vjp(layers: Layers, x: Array, cotangents: Array) -> Any:
    return jax.vmap(partial(_vjp, layers))(x[:, None], cotangents[:, None])


def _score_product(layers: Layers, log_std: Array, obs: Array, actions: Array, weights: Array) -> Any:
    def objective(parameters: tuple[Layers, Array]) -> Array:
        return weights @ FORMULAS["policy.log_prob"](OPERATIONS, *parameters, obs, actions)

    return jax.grad(objective)((layers, log_std))


def _mean_passes(layers: Layers, obs: Array) -> tuple[Any, Any]:
    """Products with the Jacobian of the policy's mean, and with its transpose; they hold the activations."""

    def mean(parameters: Layers) -> Array:
        return mlp(jnp, parameters, obs)

    return jax.linearize(mean, layers)[1], jax.vjp(mean, layers)[1]


def _times_fisher(forward: Any, backward: Any, log_std: Array, v: tuple[Layers, Array]) -> Any:
    tangent = forward(v[0])
    (product,) = backward(tangent * jnp.exp(-2.0 * log_std) / len(tangent))
    return jax.tree.map(lambda x, y: x + DAMPING * y, (product, 2.0 * v[1]), v)


def _fisher_product(layers: Layers, log_std: Array, obs: Array, v: tuple[Layers, Array]) -> Any:
    return _times_fisher(*_mean_passes(layers, obs), log_std, v)


def _fisher_solution(layers: Layers, log_std: Array, obs: Array, v: tuple[Layers, Array]) -> Any:
    forward, backward = _mean_passes(layers, obs)
    operator = partial(_times_fisher, forward, backward, log_std)
    return jax.scipy.sparse.linalg.cg(operator, v, tol=0.0, maxiter=CG_STEPS)[0]


def _minibatch(
    state: tuple[Layers, Any, Any], obs: Array, actions: Array, advantages: Array, old: Array
) -> Any:
    """One step of PPO's actor; parameters and moments go in and come out."""
    layers, first, second = state
    rate, clip, norm = MINIBATCH["learning_rate"], MINIBATCH["clip_range"], MINIBATCH["max_grad_norm"]
    standard = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)

    def loss(parameters: Layers) -> Array:
        ratio = jnp.exp(
            FORMULAS["categorical_log_prob"](OPERATIONS, actions, mlp(jnp, parameters, obs)) - old
        )
        return -jnp.minimum(ratio * standard, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * standard).mean()

    gradients = jax.grad(loss)(layers)
    length = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradients)))
    scale = jnp.minimum(1.0, norm / (length + 1e-6))
    steps = jax.tree.map(
        lambda p, g, m, v: _adam_step(p, scale * g, m, v, (rate, 0.9, 0.999, 1e-5)),
        layers,
        gradients,
        first,
        second,
    )
    return jax.tree.transpose(jax.tree.structure(layers), None, steps)


def _adam_step(
    theta: Array, grad: Array, m: Array, v: Array, constants: tuple[float, ...] = ADAM
) -> tuple[Array, Array, Array]:
    rate, beta1, beta2, epsilon = constants
    m = beta1 * m + (1.0 - beta1) * grad
    v = beta2 * v + (1.0 - beta2) * grad * grad
    return theta - rate * (m / (1.0 - beta1)) / (jnp.sqrt(v / (1.0 - beta2)) + epsilon), m, v


def _cg(matrix: Array, right: Array) -> Array:
    return jax.scipy.sparse.linalg.cg(matrix, right, tol=1e-6)[0]


def _solve(matrix: Array, right: Array) -> Array:
    return jax.scipy.linalg.solve(matrix, right, assume_a="pos")


_OWN: dict[str, tuple[Callable[..., Any], ...]] = {
    "MLP.vjp": (_vjp,),
    "MLP.jvp": (_jvp,),
    "MLP.per_sample_vjp": (_per_sample_vjp,),
    "policy.score_product": (_score_product,),
    "Fisher.matvec": (_fisher_product,),
    "Fisher.solve": (_fisher_solution,),
    "adam_step": (_adam_step,),
    "conjugate_gradient": (_cg, _solve),
}


def runs(kernel: str, *data: Any) -> list[Run]:
    """See `pgcore.benchmarks.libraries.Library`."""
    functions = list(_OWN.get(kernel, ()))
    if kernel in FORMULAS:
        functions.append(partial(FORMULAS[kernel], OPERATIONS))
    arrays = jax.tree.map(jnp.asarray, data)
    found = [_complete(partial(jax.jit(function), *arrays)) for function in functions]
    if kernel == "SurrogateAscent.epoch":
        layers, *batch = arrays
        moments = jax.tree.map(jnp.zeros_like, layers)
        step = _complete(partial(jax.jit(_minibatch), (layers, moments, moments), *batch))
        found.append(lambda: step()[0])
    if kernel == "Fisher.matvec":
        layers, log_std, obs, v = arrays  # many products with one batch: its activations are there
        passes = jax.jit(_mean_passes)(layers, obs)
        found.append(_complete(partial(jax.jit(_times_fisher), *passes, log_std, v)))
    return found


def settings() -> AbstractContextManager[None]:
    """Allow float64; float32 stays float32."""
    return jax.enable_x64(True)


def _complete(call: Run) -> Run:
    def run() -> Any:
        result = call()
        first = result
        while not isinstance(first, jax.Array):
            first = first[0]
        first.block_until_ready()  # the outputs of one computation are complete together
        return result

    return run
