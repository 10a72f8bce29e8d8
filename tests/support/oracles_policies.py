"""Policies written a second time, for HIPS autograd in float64: what `pgcore.policies` is checked against.

Densities come from determinants and inverses of explicit covariances, and probabilities from one softmax for
each choice, so that nothing but the meaning is shared with the package. Only `Family.make` touches it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np

from pgcore.policies import (
    CategoricalPolicy,
    GaussianPolicy,
    MultiBinaryPolicy,
    MultiDiscretePolicy,
    Policy,
)
from support import oracles

Array = np.ndarray


class Oracle:
    """A policy of given sizes, its parameters an argument of every call."""

    num_outputs: int
    num_free = 0

    def __init__(self, obs_dim: int, hidden: tuple[int, ...], activation: str) -> None:
        sizes = [obs_dim, *hidden, self.num_outputs]
        self.num_net = sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))
        self.num_params = self.num_net + self.num_free
        self._net = oracles.mlp(sizes, activation)

    def outputs(self, theta: Any, obs: Any) -> Any:
        return self._net(theta[: self.num_net], obs)

    def log_prob(self, theta: Any, obs: Any, actions: Any) -> Any:
        raise NotImplementedError

    def entropy(self, theta: Array, obs: Array) -> Array:
        raise NotImplementedError

    def kl(self, theta_p: Array, theta_q: Array, obs: Array) -> Array:
        """KL(p‖q)."""
        raise NotImplementedError

    def mode(self, theta: Array, obs: Array) -> Array:
        raise NotImplementedError

    def actions(self, rng: np.random.Generator, num_rows: int) -> Array:
        """Any valid actions; not samples of the policy."""
        raise NotImplementedError

    def scores(self, theta: Array, obs: Array, actions: Array) -> Array:
        """∇ log π as rows: one reverse pass for each."""
        if len(obs) == 0:
            return np.zeros((0, self.num_params))
        return autograd.jacobian(self.log_prob)(theta, obs, actions)

    def score_product(self, theta: Array, obs: Array, actions: Array, weights: Array) -> Array:
        if len(obs) == 0:
            return np.zeros(self.num_params)
        return autograd.grad(lambda t: anp.sum(weights * self.log_prob(t, obs, actions)))(theta)


class GaussianOracle(Oracle):
    A = 3
    init_log_std = 0.0

    def covariance(self, theta: Any, num_rows: int, outputs: Any) -> Any:
        """Σ, of shape (A, A) or (B, A, A)."""
        raise NotImplementedError

    def moments(self, theta: Any, obs: Any) -> tuple[Any, Any]:
        outputs = self.outputs(theta, obs)
        return outputs[:, : self.A], self.covariance(theta, len(obs), outputs)

    def log_prob(self, theta: Any, obs: Any, actions: Any) -> Any:
        mean, covariance = self.moments(theta, obs)
        deviation = (actions - mean)[:, None, :]
        squares = anp.matmul(deviation, anp.linalg.inv(covariance)) * deviation
        return -0.5 * anp.sum(squares, axis=(1, 2)) - 0.5 * anp.linalg.slogdet(2.0 * np.pi * covariance)[1]

    def entropy(self, theta: Array, obs: Array) -> Array:
        _, covariance = self.moments(theta, obs)
        log_det = np.linalg.slogdet(2.0 * np.pi * np.e * covariance)[1]
        return np.broadcast_to(0.5 * log_det, (len(obs),))

    def kl(self, theta_p: Array, theta_q: Array, obs: Array) -> Array:
        rows = []
        for i in range(len(obs)):
            (mean_p, cov_p), (mean_q, cov_q) = (
                self.moments(theta, obs[i : i + 1]) for theta in (theta_p, theta_q)
            )
            cov_p, cov_q = (cov.reshape(self.A, self.A) for cov in (cov_p, cov_q))
            rows.append(oracles.gaussian_kl(mean_p, cov_p, mean_q, cov_q)[0])
        return np.array(rows)

    def mode(self, theta: Array, obs: Array) -> Array:
        return self.moments(theta, obs)[0]

    def actions(self, rng: np.random.Generator, num_rows: int) -> Array:
        return rng.normal(size=(num_rows, self.A))


class DiagonalOracle(GaussianOracle):
    num_outputs = num_free = GaussianOracle.A

    def covariance(self, theta: Any, num_rows: int, outputs: Any) -> Any:
        return anp.eye(self.A) * anp.exp(2.0 * theta[self.num_net :])


class StateOracle(GaussianOracle):
    num_outputs = 2 * GaussianOracle.A
    init_log_std = -0.4

    def covariance(self, theta: Any, num_rows: int, outputs: Any) -> Any:
        log_std = outputs[:, self.A :] + self.init_log_std
        return anp.eye(self.A) * anp.exp(2.0 * log_std)[:, None, :]


class FullOracle(GaussianOracle):
    num_outputs = GaussianOracle.A
    num_free = GaussianOracle.A * (GaussianOracle.A + 1) // 2

    def covariance(self, theta: Any, num_rows: int, outputs: Any) -> Any:
        rows, columns = np.tril_indices(self.A)
        places = np.zeros((len(rows), self.A, self.A))
        places[np.arange(len(rows)), rows, columns] = 1.0
        extra = theta[self.num_net :]
        entries = anp.where(rows == columns, anp.exp(extra), extra)
        factor = anp.reshape(anp.dot(entries, places.reshape(len(rows), -1)), (self.A, self.A))
        return anp.dot(factor, factor.T)


class FixedOracle(GaussianOracle):
    num_outputs = GaussianOracle.A
    sigma = np.array([[2.0, 0.6, -0.3], [0.6, 0.5, 0.1], [-0.3, 0.1, 0.25]])

    def covariance(self, theta: Any, num_rows: int, outputs: Any) -> Any:
        return self.sigma


class ChoiceOracle(Oracle):
    sizes: tuple[int, ...]
    action_shape: tuple[int, ...]

    def log_probs(self, theta: Any, obs: Any) -> list[Any]:
        """For every choice its log-probabilities, (B, K_d)."""
        logits = self.outputs(theta, obs)
        parts, start = [], 0
        for size in self.sizes:
            z = logits[:, start : start + size]
            start += size
            largest = anp.max(z, axis=1, keepdims=True)
            parts.append(z - largest - anp.log(anp.sum(anp.exp(z - largest), axis=1, keepdims=True)))
        return parts

    def joint(self, theta: Array, obs: Array) -> tuple[Array, Array]:
        """All joint actions (M, D), and their probabilities (B, M)."""
        every = np.array(list(itertools.product(*map(range, self.sizes))))
        parts = self.log_probs(theta, obs)
        return every, np.exp(sum(part[:, every[:, d]] for d, part in enumerate(parts)))

    def log_prob(self, theta: Any, obs: Any, actions: Any) -> Any:
        actions = np.reshape(actions, (len(obs), len(self.sizes)))
        rows = np.arange(len(obs))
        return sum(part[rows, actions[:, d]] for d, part in enumerate(self.log_probs(theta, obs)))

    def entropy(self, theta: Array, obs: Array) -> Array:
        _, p = self.joint(theta, obs)
        return -np.sum(p * np.log(p), axis=1)

    def kl(self, theta_p: Array, theta_q: Array, obs: Array) -> Array:
        (_, p), (_, q) = self.joint(theta_p, obs), self.joint(theta_q, obs)
        return np.sum(p * (np.log(p) - np.log(q)), axis=1)

    def mode(self, theta: Array, obs: Array) -> Array:
        every, p = self.joint(theta, obs)
        return every[np.argmax(p, axis=1)].reshape(len(obs), *self.action_shape)

    def actions(self, rng: np.random.Generator, num_rows: int) -> Array:
        columns = [rng.integers(0, size, num_rows) for size in self.sizes]
        return np.stack(columns, axis=1).reshape(num_rows, *self.action_shape)


class CategoricalOracle(ChoiceOracle):
    sizes, num_outputs, action_shape = (4,), 4, ()


class MultiDiscreteOracle(ChoiceOracle):
    sizes, num_outputs, action_shape = (2, 1, 3), 6, (3,)


class MultiBinaryOracle(ChoiceOracle):
    sizes, num_outputs, action_shape = (2, 2, 2), 6, (3,)


@dataclass(frozen=True)
class Family:
    """A policy family: how the package makes one (``make(obs_dim, **network arguments)``), and its oracle."""

    make: Callable[..., Policy]
    oracle: type[Oracle]

    @property
    def is_gaussian(self) -> bool:
        return issubclass(self.oracle, GaussianOracle)


def _gaussian(covariance: Any, oracle: type[GaussianOracle]) -> Family:
    def make(obs_dim: int, **arguments: Any) -> Policy:
        return GaussianPolicy(
            obs_dim, oracle.A, covariance=covariance, init_log_std=oracle.init_log_std, **arguments
        )

    return Family(make, oracle)


FAMILIES: dict[str, Family] = {
    "diagonal": _gaussian("diagonal", DiagonalOracle),
    "full": _gaussian("full", FullOracle),
    "state": _gaussian("state", StateOracle),
    "fixed": _gaussian(FixedOracle.sigma, FixedOracle),
    "categorical": Family(lambda obs_dim, **k: CategoricalPolicy(obs_dim, 4, **k), CategoricalOracle),
    "multi_discrete": Family(
        lambda obs_dim, **k: MultiDiscretePolicy(obs_dim, MultiDiscreteOracle.sizes, **k), MultiDiscreteOracle
    ),
    "multi_binary": Family(lambda obs_dim, **k: MultiBinaryPolicy(obs_dim, 3, **k), MultiBinaryOracle),
}


@dataclass
class Problem:
    """A policy with random parameters, its oracle, and a batch; all arrays are of the policy's dtype."""

    policy: Policy
    oracle: Oracle
    theta: Array
    obs: Array
    actions: Array
    weights: Array

    @property
    def data(self) -> tuple[Array, Array]:
        return self.obs, self.actions

    @property
    def wide(self) -> tuple[Array, Array, Array]:
        """θ, observations and actions as the oracle takes them."""
        actions = self.actions if self.actions.dtype.kind == "i" else self.actions.astype(np.float64)
        return self.theta.astype(np.float64), self.obs.astype(np.float64), actions


def problem(
    name: str,
    num_rows: int,
    *,
    obs_dim: int = 3,
    hidden: tuple[int, ...] = (5, 4),
    activation: str = "tanh",
    dtype: Any = np.float64,
    seed: int = 0,
) -> Problem:
    """Parameters of order one: a fresh policy's last layer is so small that most mistakes would not show."""
    rng = np.random.default_rng([seed, num_rows, len(hidden)])
    family = FAMILIES[name]
    policy = family.make(obs_dim, hidden=hidden, activation=activation, dtype=dtype)
    oracle = family.oracle(obs_dim, hidden, activation)
    theta = (0.6 * rng.normal(size=policy.num_params)).astype(dtype)
    policy.params = theta
    actions = oracle.actions(rng, num_rows)
    return Problem(
        policy=policy,
        oracle=oracle,
        theta=theta,
        obs=rng.normal(size=(num_rows, obs_dim)).astype(dtype),
        actions=actions if actions.dtype.kind == "i" else actions.astype(dtype),
        weights=rng.normal(size=num_rows).astype(dtype),
    )


Method = Callable[[Policy, Any, Any, Any], Any]

# Every method that reads observations, called as f(policy, obs, actions, weights)
METHODS: dict[str, Method] = {
    "log_prob": lambda p, o, a, w: p.log_prob(o, a),
    "entropy": lambda p, o, a, w: p.entropy(o),
    "kl": lambda p, o, a, w: p.kl(o, 0.5 * p.params),
    "score_product": lambda p, o, a, w: p.score_product(o, a, w),
    "scores": lambda p, o, a, w: p.scores(o, a),
    "episode_scores": lambda p, o, a, w: p.episode_scores(o, a, np.arange(len(o)) % 5 == 4),
    "score_sq_norms": lambda p, o, a, w: p.score_sq_norms(o, a),
    "mode": lambda p, o, a, w: p.mode(o),
    "act": lambda p, o, a, w: p.act(o, p.draw_noise(np.random.default_rng(0), 1, len(o))[0]),
    "sample": lambda p, o, a, w: p.sample(o, np.random.default_rng(0))[0],
    "sampled_log_probs": lambda p, o, a, w: p.sample(o, np.random.default_rng(0))[1],
}
