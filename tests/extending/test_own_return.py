"""A return of one's own in one file: Retrace(λ), written with the package's public scans."""

from __future__ import annotations

import numpy as np
import pytest

from pgcore import kernels

# ---- the new return: the whole of what a user writes ----


def retrace(rewards, q_values, next_values, log_ratios, gamma, lam, *, ends):
    """Targets for Q(s_t, a_t) of a policy π from data of a policy μ (Munos et al. 2016, equation 4).

    Q^ret_t = Q_t + Σ_{t'≥t} γ^{t'−t} (Π_{t<k≤t'} c_k) (r_{t'} + γ V_{t'+1} − Q_{t'}), c_k = λ min(1, ρ_k)

    `next_values` is V_{t+1} = E_{a∼π} Q(s_{t+1}, a), and 0 where the episode terminates. All arrays are (T,)
    or (T, N), time first.
    """
    differences = rewards + gamma * next_values - q_values
    traces = lam * np.exp(np.minimum(log_ratios, 0.0))
    traces_after = np.concatenate([traces[1:], np.zeros_like(traces[:1])])  # c_{t+1}
    return q_values + kernels.affine_scan(differences, gamma * traces_after, ends=ends)


# ---- and its test ----

GAMMA = 0.9


def problem(shape=(13, 3), seed=0):
    rng = np.random.default_rng(seed)
    rewards, q_values, next_values = rng.normal(size=(3, *shape))
    log_ratios = rng.normal(size=shape)  # about half of the ratios are cut at 1
    ends = rng.random(shape) < 0.3
    return rewards, q_values, next_values, log_ratios, ends


def by_explicit_sums(rewards, q_values, next_values, log_ratios, gamma, lam, ends):
    """The definition, term by term, in plain loops."""
    targets = np.empty_like(rewards)
    num_steps, num_columns = rewards.shape
    for column in range(num_columns):
        for t in range(num_steps):
            total = q_values[t, column]
            for later in range(t, num_steps):
                product = 1.0
                for k in range(t + 1, later + 1):
                    product *= lam * min(1.0, float(np.exp(log_ratios[k, column])))
                difference = (
                    rewards[later, column] + gamma * next_values[later, column] - q_values[later, column]
                )
                total += gamma ** (later - t) * product * difference
                if ends[later, column]:
                    break
            targets[t, column] = total
    return targets


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_it_is_the_sum_of_the_definition(lam):
    rewards, q_values, next_values, log_ratios, ends = problem()
    targets = retrace(rewards, q_values, next_values, log_ratios, GAMMA, lam, ends=ends)
    expected = by_explicit_sums(rewards, q_values, next_values, log_ratios, GAMMA, lam, ends)
    np.testing.assert_allclose(targets, expected, rtol=1e-12, atol=1e-12)


def test_without_traces_it_is_the_one_step_target():
    rewards, q_values, next_values, log_ratios, ends = problem(seed=1)
    targets = retrace(rewards, q_values, next_values, log_ratios, GAMMA, 0.0, ends=ends)
    np.testing.assert_allclose(targets, rewards + GAMMA * next_values, rtol=0, atol=1e-14)


def test_on_policy_it_is_the_reward_to_go():
    """With ρ = 1, λ = 1 and V_{t+1} = Q_{t+1} the terms cancel, whatever Q is."""
    rewards, q_values, _, _, _ = problem(seed=2)
    ends = np.zeros(rewards.shape, bool)
    ends[[5, -1]] = True  # two episodes that terminate
    next_values = np.where(ends, 0.0, np.roll(q_values, -1, axis=0))
    targets = retrace(rewards, q_values, next_values, np.zeros_like(rewards), GAMMA, 1.0, ends=ends)
    returns = kernels.reward_to_go(rewards, GAMMA, ends=ends)
    np.testing.assert_allclose(targets, returns, rtol=1e-12, atol=1e-12)


def test_the_true_values_are_its_fixed_point():
    """Two states, two actions, exact Q of π: from μ's data too, the targets are Q."""
    gamma, lam = 0.8, 0.9
    pi = np.array([[0.8, 0.2], [0.3, 0.7]])
    mu = np.array([[0.5, 0.5], [0.6, 0.4]])
    reward = np.array([[1.0, -0.5], [0.25, 2.0]])
    step = np.array([[0, 1], [1, 0]])  # the next state, by state and action
    # Q = r + γ P_π Q: four equations
    system = np.eye(4)
    for state in range(2):
        for action in range(2):
            following = step[state, action]
            system[2 * state + action, 2 * following : 2 * following + 2] -= gamma * pi[following]
    q = np.linalg.solve(system, reward.ravel()).reshape(2, 2)

    rng = np.random.default_rng(3)
    states, actions = np.empty(50, int), np.empty(50, int)
    state = 0
    for t in range(50):
        states[t], actions[t] = state, rng.choice(2, p=mu[state])
        state = step[state, actions[t]]
    following = step[states, actions]
    targets = retrace(
        reward[states, actions],
        q[states, actions],
        (pi[following] * q[following]).sum(axis=1),
        np.log(pi[states, actions]) - np.log(mu[states, actions]),
        gamma,
        lam,
        ends=None,
    )
    # The environment is deterministic: r + γ V_{t+1} − Q_t is exactly 0 for the true Q.
    np.testing.assert_allclose(targets, q[states, actions], rtol=1e-12)
