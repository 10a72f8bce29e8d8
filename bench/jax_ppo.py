"""PPO on CartPole-v1 as one program that JAX compiles: the other side of compare_jax.py, imported, not run.

It is written in the manner of PureJaxRL (Lu et al. 2022) and has its settings: environment, rollout,
advantages, epochs and minibatches are one function, which XLA compiles as a whole.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

NUM_STEPS, NUM_EPOCHS, NUM_MINIBATCHES = 128, 4, 4
LEARNING_RATE, MAX_GRAD_NORM = 2.5e-4, 0.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-5
GAMMA, LAMBDA, CLIP, ENT_COEF, VF_COEF = 0.99, 0.95, 0.2, 0.01, 0.5
HIDDEN = (64, 64)

Tree: TypeAlias = Any
"""Nested tuples of arrays."""
Layers: TypeAlias = list[tuple[jax.Array, jax.Array]]
"""Weight and bias of each."""
Carry: TypeAlias = tuple[Any, ...]


def compile_training(num_envs: int, num_updates: int) -> Any:
    """Return a compiled function of a key: sum of returns, and number, of each update's ended episodes."""
    train = partial(train_all, num_envs, num_updates)
    return jax.jit(train).lower(jax.random.key(0)).compile()


def train_all(num_envs: int, num_updates: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    key, to_actor, to_critic, to_reset = jax.random.split(key, 4)
    params = (init_network(to_actor, (4, *HIDDEN, 2), 0.01), init_network(to_critic, (4, *HIDDEN, 1), 1.0))
    zeros = jax.tree.map(jnp.zeros_like, params)
    playing = (
        Envs(first_states(to_reset, num_envs), jnp.zeros(num_envs, jnp.int32)),
        jnp.zeros(num_envs),
    )
    rates = LEARNING_RATE * (1.0 - jnp.arange(num_updates) / num_updates)
    return jax.lax.scan(iterate, (key, (params, zeros, zeros, 0), playing), rates)[1]


def iterate(carry: Carry, rate: jax.Array) -> tuple[Carry, tuple[jax.Array, jax.Array]]:
    """One rollout, and the epochs on it."""
    key, learned, playing = carry
    key, to_play, to_learn = jax.random.split(key, 3)
    params = learned[0]
    act = partial(act_and_step, params)
    playing, (steps, returns) = jax.lax.scan(act, playing, jax.random.split(to_play, NUM_STEPS))
    last_value = log_probs_and_value(params, playing[0].state)[1]
    advantages = advantages_of(steps, last_value)
    rows = (steps, advantages, advantages + steps.value)
    batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)
    learn = partial(epoch, batch, rate)
    learned, _ = jax.lax.scan(learn, learned, jax.random.split(to_learn, NUM_EPOCHS))
    return (key, learned, playing), (returns.sum(), steps.done.sum())


# ---- CartPole, as gymnasium defines it, all copies at once ----


class Envs(NamedTuple):
    """N environments."""

    state: jax.Array  # (N, 4): place, speed, angle, angular speed
    length: jax.Array  # (N,): steps of the episode so far


def first_states(key: jax.Array, num_envs: int) -> jax.Array:
    """Drawn with a key for each environment, as gymnax does."""
    draw = partial(jax.random.uniform, shape=(4,), minval=-0.05, maxval=0.05)
    return jax.vmap(draw)(jax.random.split(key, num_envs))


def env_step(key: jax.Array, envs: Envs, action: jax.Array) -> tuple[Envs, jax.Array, jax.Array]:
    """What comes next (a new episode where one ended), rewards, and where an episode ended."""
    x, x_dot, theta, theta_dot = envs.state.T
    force = jnp.where(action == 1, 10.0, -10.0)
    cos, sin = jnp.cos(theta), jnp.sin(theta)
    pushed = (force + 0.05 * theta_dot**2 * sin) / 1.1
    theta_acc = (9.8 * sin - cos * pushed) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
    x_acc = pushed - 0.05 * theta_acc * cos / 1.1
    moved = (x + 0.02 * x_dot, x_dot + 0.02 * x_acc, theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc)
    state, length = jnp.stack(moved, axis=1), envs.length + 1
    fallen = (jnp.abs(state[:, 0]) > 2.4) | (jnp.abs(state[:, 2]) > 12 * 2 * jnp.pi / 360)
    done = fallen | (length >= 500)
    fresh = first_states(key, len(state))
    after = Envs(jnp.where(done[:, None], fresh, state), jnp.where(done, 0, length))
    return after, jnp.ones(len(state)), done


# ---- two networks ----


def init_network(key: jax.Array, sizes: tuple[int, ...], last_gain: float) -> Layers:
    gains = [2**0.5] * (len(sizes) - 2) + [last_gain]
    keys = jax.random.split(key, len(gains))
    return [
        (jax.nn.initializers.orthogonal(gain)(one, (m, n)), jnp.zeros(n))
        for one, gain, m, n in zip(keys, gains, sizes[:-1], sizes[1:], strict=True)
    ]


def network(layers: Layers, x: jax.Array) -> jax.Array:
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def log_probs_and_value(params: Tree, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    actor, critic = params
    return jax.nn.log_softmax(network(actor, obs)), network(critic, obs)[..., 0]


def chosen(log_probs: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(log_probs, action[..., None], -1)[..., 0]


# ---- rollout and advantages ----


class Steps(NamedTuple):
    """What a rollout keeps, each (T, N, ...)."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


def act_and_step(params: Tree, playing: Carry, key: jax.Array) -> tuple[Carry, tuple[Steps, jax.Array]]:
    """One vector step, and the returns of the episodes that ended with it (0 elsewhere)."""
    envs, so_far = playing
    to_act, to_reset = jax.random.split(key)
    log_probs, value = log_probs_and_value(params, envs.state)
    action = jax.random.categorical(to_act, log_probs)
    after, reward, done = env_step(to_reset, envs, action)
    total = so_far + reward
    step = Steps(envs.state, action, chosen(log_probs, action), value, reward, done)
    return (after, jnp.where(done, 0.0, total)), (step, jnp.where(done, total, 0.0))


def advantages_of(steps: Steps, last_value: jax.Array) -> jax.Array:
    def back(carry: Carry, step: Steps) -> tuple[Carry, jax.Array]:
        advantage, next_value = carry
        goes_on = 1.0 - step.done
        delta = step.reward + GAMMA * next_value * goes_on - step.value
        advantage = delta + GAMMA * LAMBDA * goes_on * advantage
        return (advantage, step.value), advantage

    start = jnp.zeros_like(last_value), last_value
    return jax.lax.scan(back, start, steps, reverse=True, unroll=16)[1]


# ---- the update ----


def epoch(batch: Tree, rate: jax.Array, learned: Carry, key: jax.Array) -> tuple[Carry, None]:
    order = jax.random.permutation(key, len(batch[1])).reshape(NUM_MINIBATCHES, -1)
    minibatches = jax.tree.map(lambda x: x[order], batch)
    return jax.lax.scan(partial(adam_step, rate), learned, minibatches)


def adam_step(rate: jax.Array, learned: Carry, rows: Tree) -> tuple[Carry, None]:
    params, m, v, count = learned
    gradient = jax.grad(loss)(params, rows)
    norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, MAX_GRAD_NORM / norm)
    gradient = jax.tree.map(lambda g: scale * g, gradient)
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, v, gradient)
    count += 1
    rate, v_scale = rate / (1 - BETA1**count), 1 / (1 - BETA2**count)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * v_scale) + EPSILON), params, m, v)
    return (params, m, v, count), None


def loss(params: Tree, rows: tuple[Steps, jax.Array, jax.Array]) -> jax.Array:
    steps, advantage, target = rows
    log_probs, value = log_probs_and_value(params, steps.obs)
    moved = steps.value + jnp.clip(value - steps.value, -CLIP, CLIP)
    value_loss = 0.5 * jnp.maximum((value - target) ** 2, (moved - target) ** 2).mean()
    ratio = jnp.exp(chosen(log_probs, steps.action) - steps.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    return VF_COEF * value_loss - surrogate - ENT_COEF * entropy
