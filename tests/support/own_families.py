"""Policy families in Python, as a user writes them: a squashed Gaussian, and one that remembers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pgcore import reference
from pgcore.kernels import MLP
from pgcore.policies import Policy

LOG_2PI = float(np.log(2 * np.pi))


class SquashedGaussian(Policy):
    """a = tanh(u), u ~ N(μ(o), σ²): bounded actions, no closed-form entropy, KL or Fisher matrix."""

    def __init__(self, obs_dim, act_dim, *, hidden=(8,), dtype="float64", seed=0):
        self.net = MLP((obs_dim, *hidden, act_dim), dtype=dtype)
        self.hidden, self.act_dim = tuple(hidden), act_dim
        params = np.concatenate([self.net.init(seed, final_gain=0.01), np.zeros(act_dim)])
        super().__init__(obs_dim, (act_dim,), params, support=(-1.0, 1.0), dtype=dtype)

    def arguments(self):
        return {
            "obs_dim": self.obs_dim,
            "act_dim": self.act_dim,
            "hidden": list(self.hidden),
            "dtype": self.dtype.name,
        }

    def distribution(self, obs, params=None):
        theta, x = self.checked_params(params), self.inputs(obs)
        weights, log_std = theta[: -self.act_dim], theta[-self.act_dim :]
        return weights, x, self.net.forward(weights, x), log_std

    def act(self, obs, noise, state=None):
        _, _, mean, log_std = self.distribution(obs)
        return np.clip(np.tanh(mean + np.exp(log_std) * noise), -1 + 1e-6, 1 - 1e-6)

    def mode(self, obs, state=None):
        return np.tanh(self.distribution(obs)[2])

    def log_prob(self, obs, actions, *, params=None, starts=None):
        rows, a = self.checked_data(obs, actions)
        _, _, mean, log_std = self.distribution(rows, params)
        z = (np.arctanh(a) - mean) / np.exp(log_std)
        return (-0.5 * z**2 - log_std - 0.5 * LOG_2PI - np.log1p(-(a**2))).sum(axis=1)

    def score_product(self, obs, actions, weights, *, starts=None):
        rows, a = self.checked_data(obs, actions)
        w = self.checked_weights(weights, len(rows))[:, None]
        theta, x, mean, log_std = self.distribution(rows)
        z = (np.arctanh(a) - mean) / np.exp(log_std)
        return np.concatenate([self.net.vjp(theta, x, w * z / np.exp(log_std)), (w * (z**2 - 1)).sum(axis=0)])


class RunningSum(Policy):
    """Logits are linear in the sum of all observations of the segment so far: it remembers a cue."""

    has_memory = True

    def __init__(self, obs_dim, num_actions, *, seed=0):
        self.net = reference.MLP((obs_dim, num_actions), dtype="float64")
        self.num_actions = num_actions
        super().__init__(
            obs_dim, (), self.net.init(seed, final_gain=0.01), nvec=(num_actions,), noise_width=1
        )

    def arguments(self):
        return {"obs_dim": self.obs_dim, "num_actions": self.num_actions}

    def initial_state(self, num_envs):
        return np.zeros((num_envs, self.obs_dim))

    def probabilities(self, sums, params=None):
        z = self.net.forward(self.checked_params(params), sums)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def act(self, obs, noise, state=None):
        state += self.inputs(obs)
        return (self.probabilities(state)[:, :-1].cumsum(axis=1) < noise).sum(axis=1)

    def mode(self, obs, state=None):
        state += self.inputs(obs)
        return self.probabilities(state).argmax(axis=1)

    def sums(self, obs, starts):
        bounds = [*self.checked_starts(starts, len(obs)), len(obs)]
        x = self.inputs(obs)
        parts = [x[a:b].cumsum(axis=0) for a, b in pairwise(bounds)]
        return np.concatenate([x[:0], *parts])

    def log_prob(self, obs, actions, *, params=None, starts=None):
        rows, a = self.checked_data(obs, actions)
        return np.log(self.probabilities(self.sums(rows, starts), params)[np.arange(len(a)), a])

    def score_product(self, obs, actions, weights, *, starts=None):
        rows, a = self.checked_data(obs, actions)
        w = self.checked_weights(weights, len(rows))[:, None]
        sums = self.sums(rows, starts)
        d = np.eye(self.num_actions)[a] - self.probabilities(sums)
        return self.net.vjp(self.checked_params(None), sums, w * d)


class Wrapped(Policy):
    """A compiled policy seen through the interface alone: what defaults make of it can be compared."""

    def __init__(self, inner, closed_forms=()):
        self.inner, self.closed_forms = inner, frozenset(closed_forms)
        super().__init__(inner.obs_dim, inner.action_shape, inner.params, nvec=inner.nvec, dtype=inner.dtype)

    def arguments(self):
        return {"inner": self.inner.config()}

    def _now(self, params=None):
        self.inner.params, self.inner.normalizer = self.checked_params(params), self.normalizer
        return self.inner

    def act(self, obs, noise, state=None):
        return self._now().act(obs, noise)

    def mode(self, obs, state=None):
        return self._now().mode(obs)

    def log_prob(self, obs, actions, *, params=None, starts=None):
        return self._now(params).log_prob(obs, actions)

    def score_product(self, obs, actions, weights, *, starts=None):
        return self._now().score_product(obs, actions, weights)

    def entropy(self, obs, *, params=None, starts=None):
        return self._now(params).entropy(obs)

    def entropy_gradient(self, obs, *, starts=None):
        return self._now().entropy_gradient(obs)
