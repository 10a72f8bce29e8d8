"""Policies: scores of a batch, and acting on one observation, against the NumPy reference.

    python bench/bench_policies.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np

import bench_mlp
import harness
import sizes
from harness import Case, copy_limit
from pgcore import reference
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from pgcore.rollout.prediction import Predictor


class PlainGaussian:
    """A diagonal Gaussian policy put together from the NumPy reference."""

    def __init__(self, network: sizes.Network, theta: np.ndarray) -> None:
        self.net = reference.MLP(network.layers, dtype=theta.dtype)
        A = network.layers[-1]
        self.theta, self.log_std = theta[:-A], theta[-A:]

    def mean(self, obs: np.ndarray) -> np.ndarray:
        return self.net.forward(self.theta, obs)

    def log_prob(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return reference.gaussian_log_prob(actions, self.mean(obs), self.log_std)

    def score_product(self, obs: np.ndarray, actions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        d_mean, d_log_std = reference.gaussian_score(actions, self.mean(obs), self.log_std)
        gradient = self.net.vjp(self.theta, obs, weights[:, None] * d_mean)
        return np.concatenate([gradient, weights @ d_log_std])

    def scores(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        d_mean, d_log_std = reference.gaussian_score(actions, self.mean(obs), self.log_std)
        return np.concatenate([self.net.per_sample_vjp(self.theta, obs, d_mean), d_log_std], axis=1)


def torch_score_product(
    network: sizes.Network, theta: np.ndarray, obs: np.ndarray, actions: np.ndarray, weights: np.ndarray
) -> dict[str, harness.Run]:
    """PyTorch's autograd on the weighted log-likelihood, if it is installed."""
    A = network.layers[-1]
    net = bench_mlp.torch_network(network, theta[:-A])
    if net is None:
        return {}
    torch = harness.optional("torch")
    assert torch is not None
    log_std = torch.from_numpy(theta[-A:].copy()).requires_grad_()
    parameters = [*net.parameters(), log_std]
    o, a, w = (torch.from_numpy(x) for x in (obs, actions, weights))

    def run() -> Any:
        distribution = torch.distributions.Normal(net(o), log_std.exp(), validate_args=False)
        objective = (w * distribution.log_prob(a).sum(dim=1)).sum()
        gradient = torch.autograd.grad(objective, parameters)
        return torch.cat([part.ravel() for part in gradient]).numpy()

    return {"torch": run}


def batch_cases(network: sizes.Network, dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    obs_dim, *hidden, A = network.layers
    policy = GaussianPolicy(obs_dim, A, hidden=hidden, dtype=dtype)
    theta = policy.params + (0.05 * rng.standard_normal(policy.num_params)).astype(dtype)
    policy.params = theta
    plain = PlainGaussian(network, theta)
    for B in network.batches:
        obs = rng.standard_normal((B, obs_dim)).astype(dtype)
        actions, _ = policy.sample(obs, rng)
        weights = rng.standard_normal(B).astype(dtype)
        data = obs, actions
        size = f"{network}, {B}"
        yield Case(
            "score_product",
            size,
            lambda data=data, w=weights: policy.score_product(*data, w),
            lambda data=data, w=weights: plain.score_product(*data, w),
            bench_mlp.limit(network, B, "fwi", dtype),
            torch_score_product(network, theta, obs, actions, weights),
        )
        yield Case(
            "log_prob",
            size,
            lambda data=data: policy.log_prob(*data),
            lambda data=data: plain.log_prob(*data),
            bench_mlp.limit(network, B, "f", dtype),
        )
        yield Case(
            "score_sq_norms",
            size,
            lambda data=data: policy.score_sq_norms(*data),
            None,
            bench_mlp.limit(network, B, "fi", dtype),
        )
        yield Case(
            "kl",
            size,
            lambda obs=obs: policy.kl(obs, theta),
            None,
            bench_mlp.limit(network, B, "ff", dtype),
        )
    if network is sizes.SMALL:
        B = sizes.PER_SAMPLE
        few = obs[:B], actions[:B]
        yield Case(
            "scores",
            f"{network}, {B}",
            lambda: policy.scores(*few),
            lambda: plain.scores(*few),
            copy_limit(np.empty((B, policy.num_params), dtype)),
        )


def acting_cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    """What a step of one environment, or of eight, costs from Python."""
    rng = np.random.default_rng(0)
    env = gym.make("CartPole-v1")
    policy = CategoricalPolicy(4, 2, dtype=dtype)
    predictor = Predictor(env.observation_space, env.action_space)
    net = reference.MLP((4, 64, 64, 2), dtype=dtype)
    theta = policy.params
    obs = rng.standard_normal((8, 4)).astype(dtype)
    one = obs[0]
    yield Case(
        "predict",
        "4→64→64→2, one",
        lambda: predictor(policy, one, None),
        lambda: net.forward(theta, one[None]).argmax(axis=1)[0],
    )
    yield Case("predict sampled", "4→64→64→2, one", lambda: predictor(policy, one, rng))
    yield Case(
        "mode", "4→64→64→2, 8", lambda: policy.mode(obs), lambda: net.forward(theta, obs).argmax(axis=1)
    )
    noise = policy.draw_noise(rng, 1, 8)[0]
    yield Case("act", "4→64→64→2, 8", lambda: policy.act(obs, noise))
    yield Case("sample", "4→64→64→2, 8", lambda: policy.sample(obs, rng))


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    yield from acting_cases(dtype)
    for network in sizes.NETWORKS:
        yield from batch_cases(network, dtype)


if __name__ == "__main__":
    harness.main(cases, __doc__)
