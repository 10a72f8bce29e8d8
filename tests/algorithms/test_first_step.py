"""One truth: every algorithm's first update goes where the corresponding estimator points."""

from __future__ import annotations

import numpy as np
import pytest

from pgcore import NPG, PPO, REINFORCE, TRPO, Batch
from pgcore.baselines import AverageReturn, Constant, LinearFeatures, TimeDependent
from pgcore.estimators import policy_gradient
from pgcore.optim.optimizers import Adam
from pgcore.policies import GaussianPolicy
from support.oracles import assert_close


def make(kind, **options):
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype="float64", seed=2)
    options = {"n_steps": 50, "gamma": 0.9, "normalize_advantage": False, **options}
    return kind("Pendulum-v1", policy=policy, seed=0, **options)


def played(model):
    """Segments of different lengths, terminated and cut, played by the model's policy."""
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(80, 3))
    actions, log_probs = model.policy.sample(obs, rng)
    ends = np.isin(np.arange(80), [9, 10, 41, 60, 79])
    return Batch(
        obs,
        actions,
        rng.normal(size=80),
        ends,
        terminated=ends & (np.arange(80) != 41),
        bootstrap_obs=rng.normal(size=(5, 3)),
        log_probs=log_probs,
    )


class Critic(LinearFeatures):
    """One that has learned something, so that values and bootstrap values are not zero."""

    def __init__(self):
        super().__init__()
        self._weights = np.linspace(-1, 1, 10)


def direction(model, batch):
    before = model.policy.params
    model.update(batch)
    return model.policy.params - before


def unit(x):
    return x / np.linalg.norm(x)


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
@pytest.mark.parametrize("baseline", [Constant(0.5), AverageReturn(), TimeDependent(), Critic()])
@pytest.mark.parametrize("discount_states", [True, False])
def test_reinforce_steps_along_the_estimate(form, baseline, discount_states):
    model = make(
        REINFORCE,
        critic=baseline,
        form=form,
        discount_states=discount_states,
        optimizer="sgd",
        learning_rate=0.1,
    )
    batch = played(model)
    options = {"form": form, "baseline": baseline, "gamma": 0.9, "discount_states": discount_states}
    estimate = policy_gradient(model.policy, batch, **options)
    assert_close(direction(model, batch), 0.1 * estimate.gradient, 1e-6)


def estimate_for(model, batch):
    """λ = 1: the advantage is the return minus the value. Per step, not per episode."""
    estimate = policy_gradient(model.policy, batch, baseline=model.critic, gamma=0.9)
    return estimate.gradient * batch.num_segments / batch.num_steps


@pytest.mark.parametrize("kind", [NPG, TRPO])
def test_npg_and_trpo_step_along_the_natural_gradient_of_the_estimate(kind):
    options = {"step_rule": "fixed"} if kind is NPG else {}
    model = make(
        kind, critic=Critic(), gae_lambda=1.0, cg_damping=0.1, cg_max_steps=500, cg_rtol=1e-12, **options
    )
    batch = played(model)
    estimate = estimate_for(model, batch)
    natural = model.policy.fisher(batch.obs, damping=0.1).solve(estimate, method="dense").x
    assert_close(unit(direction(model, batch)), unit(natural), 1e-6)


def test_ppos_first_step_is_adams_along_the_estimate():
    model = make(
        PPO,
        critic=Critic(),
        gae_lambda=1.0,
        n_epochs=1,
        batch_size=80,
        max_grad_norm=None,
        learning_rate=1e-3,
    )
    batch = played(model)
    expected = (
        Adam(epsilon=1e-5).ascend(model.policy.params, estimate_for(model, batch), 1e-3) - model.policy.params
    )
    assert_close(direction(model, batch), expected, 1e-6)
