"""NPG, TRPO and PPO: what they do with a batch, what they spend, and that they resume exactly."""

from __future__ import annotations

import _thread
import math
import threading
import time

import numpy as np
import pytest

import pgcore
from pgcore import NPG, PPO, TRPO, Batch
from pgcore.algorithms.actor_critic import Advantages, gradient_statistics, policy_gradient
from pgcore.baselines import AverageReturn, Constant, LinearFeatures, TimeDependent, ValueNetwork
from pgcore.kernels import CGStatus, gae
from pgcore.optim.line_search import LineSearchReason
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from pgcore.training.side_by_side import side_by_side

ALL = pytest.mark.parametrize("kind", [NPG, TRPO, PPO])


def make(kind, **arguments):
    """Double precision, and parameters of order one."""
    policy = CategoricalPolicy(4, 2, hidden=(6,), dtype="float64", seed=3)
    policy.params = policy.params + 0.5 * np.random.default_rng(0).normal(size=policy.num_params)
    critic = ValueNetwork((5,), dtype="float64", seed=1, n_epochs=3)
    return kind("CartPole-v1", policy=policy, critic=critic, n_steps=64, **arguments)


def play(model, seed=0):
    """A batch of the model's own actions, in which some segments are truncated."""
    rng = np.random.default_rng(seed)
    lengths = [5, 1, 20, 14, 60]
    steps = sum(lengths)
    obs = rng.normal(size=(steps, 4))
    ends = np.zeros(steps, bool)
    ends[np.cumsum(lengths) - 1] = True
    terminated = ends.copy()
    terminated[[19 + 6, steps - 1]] = False
    return Batch(
        obs,
        model.policy.sample(obs, rng)[0],
        rng.normal(size=steps),
        ends,
        terminated=terminated,
        bootstrap_obs=rng.normal(size=(len(lengths), 4)),
    )


def standardized(x, ddof=0):
    return (x - x.mean()) / x.std(ddof=ddof)


# ---- advantages and the gradient ----


def test_advantages_come_from_the_critic_before_its_fit():
    model = make(TRPO)
    batch = play(model)
    assert batch.num_truncated == 2
    model.critic.fit(batch, batch.rewards)
    values, bootstrap = model.critic.values(batch, batch.rewards), model.critic.bootstrap_values(batch)
    assert np.abs(bootstrap[batch.ends & ~batch.terminated]).min() > 0
    want, targets = gae(batch.rewards, values, 0.9, 0.7, ends=batch.ends, bootstrap_values=bootstrap)
    estimate = Advantages.of(batch, model.critic, gamma=0.9, gae_lambda=0.7)
    np.testing.assert_array_equal(estimate.advantages, want)
    np.testing.assert_array_equal(estimate.targets, targets)
    logs = model.update(batch)
    used = Advantages.of(batch, model.critic, gamma=0.99, gae_lambda=0.95)  # the critic has moved on
    assert np.abs(used.values - values).max() > 0
    assert logs["explained_variance"] < 1


@pytest.mark.parametrize("kind", [NPG, TRPO, PPO, pgcore.REINFORCE])
@pytest.mark.parametrize(
    ("offset", "reward_dtype"),
    [(2.0**20, np.float32), (2.0**20, np.float64), (1e8, np.float64), (-1e12, np.float64)],
)
def test_learning_does_not_depend_on_the_level_of_rewards(kind, offset, reward_dtype):
    """Episodes of a single step, whose rewards differ by ones; critics and policies in float32."""
    models = [
        kind(
            "CartPole-v1",
            policy=CategoricalPolicy(4, 2, hidden=(6,), seed=3),
            critic=ValueNetwork((6,), seed=1, learning_rate=1e-2),
            n_steps=64,
        )
        for _ in range(2)
    ]
    rng = np.random.default_rng(0)
    for _ in range(3):
        obs, actions = rng.normal(size=(200, 4)), rng.integers(2, size=200)
        rewards = (actions == (obs[:, 0] > 0)) + 3.0 * (obs[:, 1] > 0)
        logs = []
        for model, level in zip(models, (0.0, offset), strict=True):
            batch = Batch(obs, actions, (level + rewards).astype(reward_dtype), np.ones(200, bool))
            logs.append(model.update(batch))
        near, far = (model.policy.params for model in models)
        assert np.abs(far - near).max() <= 2e-3 * np.abs(near).max()
    assert logs[1]["explained_variance"] == pytest.approx(logs[0]["explained_variance"], abs=1e-2)
    assert logs[0]["explained_variance"] > 0.01
    untouched = CategoricalPolicy(4, 2, hidden=(6,), seed=3).params
    assert np.abs(models[0].policy.params - untouched).max() > 1e-3


@pytest.mark.parametrize("kind", [NPG, TRPO, PPO, pgcore.REINFORCE])
@pytest.mark.parametrize("scale", [1e-3, 1e30, 1e40, 1e100])
def test_learning_does_not_depend_on_the_scale_of_rewards(kind, scale):
    """Far beyond float32 too, in which policy and critic compute."""
    models = [
        kind(
            "CartPole-v1",
            policy=CategoricalPolicy(4, 2, hidden=(6,), seed=3),
            critic=ValueNetwork((6,), seed=1),
            n_steps=64,
        )
        for _ in range(2)
    ]
    rng = np.random.default_rng(0)
    for _ in range(3):
        obs, actions = rng.normal(size=(200, 4)), rng.integers(2, size=200)
        rewards = (actions == (obs[:, 0] > 0)) + 3.0 * (obs[:, 1] > 0)
        for model, size in zip(models, (1.0, scale), strict=True):
            logs = model.update(Batch(obs, actions, size * rewards, np.ones(200, bool)))
            assert math.isfinite(logs["explained_variance"])
        near, far = (model.policy.params for model in models)
        assert np.abs(far - near).max() <= 2e-3 * np.abs(near).max()


@pytest.mark.parametrize("kind", [NPG, TRPO, PPO, pgcore.REINFORCE])
@pytest.mark.parametrize("level", [0.1, 1e6, -1e9 / 7, 1e13 / 3])
@pytest.mark.parametrize("known", [False, True])
def test_rewards_that_are_all_equal_teach_nothing(kind, level, known):
    """Their returns differ by what rounding makes of the sums, or not at all."""
    model = kind(
        "CartPole-v1",
        policy=CategoricalPolicy(4, 2, hidden=(6,), seed=3),
        critic=Constant(level) if known else ValueNetwork((6,), seed=1),
        whole_episodes=True,
        n_steps=64,
        gamma=0.9,
        **({} if kind is pgcore.REINFORCE else {"gae_lambda": 1.0}),
    )
    before, rng = model.policy.params, np.random.default_rng(0)
    for _ in range(3):
        lengths = np.arange(700) % 7 == 6
        batch = Batch(rng.normal(size=(700, 4)), rng.integers(2, size=700), np.zeros(700), lengths)
        # Every return is the same number, reached by sums of its own.
        time = batch.step_in_segment
        batch = batch.replace(rewards=np.where(time == 6, level, 0.1 * level))
        logs = model.update(batch)
        np.testing.assert_array_equal(model.policy.params, before)
        assert math.isnan(logs["explained_variance"])


@ALL
@pytest.mark.parametrize("critic", [Constant(0.5), LinearFeatures()])
def test_any_baseline_serves_as_critic(kind, critic):
    model = kind("CartPole-v1", critic=critic, n_steps=64, whole_episodes=True).learn(200)
    assert model.critic is critic
    assert np.isfinite(model.policy.params).all()


@ALL
def test_the_first_direction_is_that_of_the_policy_gradient(kind):
    """By single rows; for the natural ones solved densely, for PPO seen in Adam's first moment."""
    options = {"n_epochs": 1, "batch_size": 100, "max_grad_norm": None} if kind is PPO else {}
    model = make(kind, **options)
    batch = play(model)
    estimate = Advantages.of(batch, model.critic, gamma=0.99, gae_lambda=0.95)
    scores = model.policy.scores(batch.obs, batch.actions)
    advantages = standardized(estimate.advantages, ddof=1 if kind is PPO else 0)
    gradient = scores.T @ advantages / batch.num_steps
    before = model.policy.params
    fisher = model.policy.fisher(batch.obs, damping=0.1).dense()
    logs = model.update(batch)
    if kind is PPO:
        np.testing.assert_allclose(-model.ascent.state()["m"] / 0.1, gradient, rtol=1e-6, atol=1e-9)
        return
    assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-6)
    step = model.policy.params - before
    natural = np.linalg.solve(fisher, gradient)
    cosine = step @ natural / np.linalg.norm(step) / np.linalg.norm(natural)
    assert cosine == pytest.approx(1, abs=1e-6)


def test_entropy_bonus_and_statistics_of_the_gradient():
    model = make(NPG)
    batch = play(model)
    A = np.random.default_rng(1).normal(size=batch.num_steps)
    rows = model.policy.scores(batch.obs, batch.actions) * A[:, None]
    gradient = policy_gradient(model.policy, batch.obs, batch.actions, A)
    np.testing.assert_allclose(gradient, rows.mean(axis=0), rtol=1e-9, atol=1e-12)
    with_bonus = policy_gradient(model.policy, batch.obs, batch.actions, A, 0.3)
    bonus = 0.3 * model.policy.entropy_gradient(batch.obs) / batch.num_steps
    np.testing.assert_allclose(with_bonus, gradient + bonus, rtol=1e-12)
    statistics = gradient_statistics(model.policy, batch.obs, batch.actions, A, gradient)
    noise = np.sum(rows.var(axis=0)) / batch.num_steps
    assert statistics["gradient_norm"] == pytest.approx(np.linalg.norm(gradient))
    assert statistics["gradient_snr"] == pytest.approx(gradient @ gradient / noise)


def large_batch(model, steps=1200):
    """Steps of the model's own actions, more than the log looks at, with their log-probabilities."""
    rng = np.random.default_rng(7)
    obs = rng.normal(size=(steps, 4))
    actions, log_probs = model.policy.sample(obs, rng)
    return Batch(obs, actions, rng.normal(size=steps), np.arange(steps) % 10 == 9, log_probs=log_probs)


def test_the_log_of_ppo_is_of_steps_spread_over_a_large_batch():
    model = make(PPO, n_epochs=1, batch_size=600)
    batch = large_batch(model)
    A = Advantages.of(batch, model.critic, gamma=0.99, gae_lambda=0.95).advantages[::3]
    old, some = model.policy.params, batch.obs[::3]
    gradient = policy_gradient(model.policy, some, batch.actions[::3], A)
    logs = model.update(batch)
    assert logs["gradient_norm"] == pytest.approx(np.linalg.norm(gradient))
    kl = model.policy.kl(some, old).mean()
    assert logs["kl_divergence_loss"] == pytest.approx(kl, rel=1e-6)
    adaptive = make(PPO, n_epochs=1, batch_size=600, target_kl=0.01, kl_coef=1.0, kl_adaptive=True)
    kl_of_all = adaptive.update(batch)["kl_divergence_loss"]
    assert kl_of_all == pytest.approx(adaptive.policy.kl(batch.obs, old).mean(), rel=1e-6)


def test_the_noise_of_a_gradient_is_estimated_from_steps_spread_over_the_batch():
    model = make(NPG)
    batch = large_batch(model)
    A = np.random.default_rng(1).normal(size=batch.num_steps)
    scores = model.policy.scores(batch.obs, batch.actions) * A[:, None]
    gradient = scores.mean(axis=0)
    snr = gradient_statistics(model.policy, batch.obs, batch.actions, A, gradient)["gradient_snr"]
    square = gradient @ gradient
    noise = (np.square(scores[::3]).sum(axis=1).mean() - square) / batch.num_steps
    assert snr == pytest.approx(square / noise)
    assert snr == pytest.approx(square / (np.sum(scores.var(axis=0)) / batch.num_steps), rel=0.2)


def test_ppo_takes_a_batch_s_log_probs_only_if_they_are_its_own():
    updated = []
    for change in (0.0, 0.3, None):
        model = make(PPO, n_epochs=2, batch_size=600)
        batch = large_batch(model)
        given = None if change is None else batch.log_probs + change
        model.update(batch.replace(log_probs=given))
        updated.append(model.policy.params)
    np.testing.assert_array_equal(updated[0], updated[1])
    np.testing.assert_array_equal(updated[0], updated[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_rows", [3, 7, 1000, 10_000])
def test_equal_gradients_have_no_noise(dtype, num_rows):
    policy = GaussianPolicy(3, 1, hidden=(5,), dtype=dtype)
    obs, actions, A = np.full((num_rows, 3), 0.3), np.full((num_rows, 1), 0.7), np.full(num_rows, 0.1)
    gradient = policy_gradient(policy, obs, actions, A)
    assert math.isnan(gradient_statistics(policy, obs, actions, A, gradient)["gradient_snr"])
    A[0] *= 3
    gradient = policy_gradient(policy, obs, actions, A)
    assert gradient_statistics(policy, obs, actions, A, gradient)["gradient_snr"] > 1


@ALL
def test_an_entropy_bonus_keeps_the_policy_random(kind):
    entropies = []
    for ent_coef in (0.0, 10.0):
        model = make(kind, ent_coef=ent_coef)
        for seed in range(5):
            logs = model.update(play(model, seed))
        entropies.append(logs["entropy"])
    assert entropies[1] > entropies[0] + 0.01


@ALL
def test_gradients_that_are_not_finite_change_nothing(kind):
    model = make(kind, normalize_advantage=False)
    batch = play(model)
    rewards = batch.rewards.copy()
    rewards[3] = np.inf
    before = model.policy.params
    with pytest.raises((FloatingPointError, ValueError)):
        model.update(batch.replace(rewards=rewards))
    np.testing.assert_array_equal(model.policy.params, before)


@ALL
@pytest.mark.parametrize("critic", [AverageReturn(), TimeDependent(), Constant(0.0)])
def test_critics_that_would_take_a_time_limit_for_an_end_are_refused(kind, critic):
    with pytest.raises(ValueError, match=r"^critic: expected one that can value what follows a truncated"):
        kind("CartPole-v1", critic=critic)


def test_ppos_settings_are_those_of_both_networks():
    critic = PPO("CartPole-v1", n_epochs=3, batch_size=256, learning_rate=1e-2, max_grad_norm=0.1).critic
    assert (critic.n_epochs, critic.batch_size, critic.learning_rate) == (3, 256, 1e-2)
    assert critic.max_grad_norm == 0.1
    own = {"n_critic_updates": 4, "critic_batch_size": 32, "critic_learning_rate": 1e-4}
    critic = PPO("CartPole-v1", **own).critic
    assert (critic.n_epochs, critic.batch_size, critic.learning_rate) == (4, 32, 1e-4)
    critic = TRPO("CartPole-v1", n_critic_updates=4, batch_size=32, learning_rate=1e-4).critic
    assert (critic.n_epochs, critic.batch_size, critic.learning_rate) == (4, 32, 1e-4)


# ---- NPG ----


def test_npg_halves_a_step_that_the_quadratic_model_got_wrong():
    """Without damping, the Fisher matrix of a few rows says nothing of most directions."""
    model = make(NPG, cg_damping=0.0, fisher_sub_sampling_factor=30, cg_max_steps=100)
    halvings = []
    for seed in range(5):
        batch, old = play(model, seed), model.policy.params
        logs = model.update(batch)
        assert logs["kl_divergence_loss"] <= 0.02
        assert model.policy.kl(batch.obs, old).mean() == pytest.approx(logs["kl_divergence_loss"], abs=1e-12)
        halvings.append(logs["step_halvings"])
    # How far a step goes astray where F says nothing is rounding's choice: not every one does.
    assert sum(h > 0 for h in halvings) >= 3, halvings


def test_npg_spends_its_kl_budget():
    model = make(NPG, target_kl=1e-4, cg_damping=1e-3, cg_max_steps=100)
    logs = model.update(play(model))
    assert logs["predicted_kl"] == pytest.approx(1e-4)
    # The quadratic model holds for small steps, but for what the damping adds to it.
    assert 0.5e-4 < logs["kl_divergence_loss"] < 1.05e-4


def test_npg_with_a_fixed_step():
    model = make(NPG, step_rule="fixed", step_size=0.03)
    batch, before = play(model), model.policy.params
    logs = model.update(batch)
    assert logs["step_size"] == 0.03
    step = model.policy.params - before
    assert logs["predicted_improvement"] > 0
    assert logs["predicted_kl"] == pytest.approx(
        0.5 * step @ (CategoricalPolicy.fisher(_at(model, before), batch.obs, damping=0.1) @ step), rel=1e-4
    )


def _at(model, params):
    policy = model.policy.copy()
    policy.params = params
    return policy


@pytest.mark.parametrize("kind", [NPG, TRPO])
def test_the_kl_budget_falls_with_its_schedule(kind):
    model = make(kind, step_schedule="linear")
    for progress, budget in ((0.0, 0.01), (0.75, 0.0025)):
        model.progress = progress
        logs = model.update(play(model))
        assert logs["predicted_kl"] == pytest.approx(budget)
        assert 0 < logs["kl_divergence_loss"] < 2 * budget


def test_trpos_line_search_keeps_to_the_scheduled_radius():
    """Without damping, the longest step makes more KL than the quadratic model says."""
    model = make(TRPO, step_schedule="linear", cg_damping=1e-4, cg_max_steps=50, line_search_max_iter=30)
    model.progress = 0.75
    shortened = 0
    for seed in range(5):
        logs = model.update(play(model, seed))
        shortened += logs["line_search_steps"] > 1
        assert logs["kl_divergence_loss"] <= 0.0025
    assert shortened


def test_steps_without_a_gradient_stay():
    for kind in (NPG, TRPO):
        model = make(kind, normalize_advantage=False)
        batch, before = play(model), model.policy.params
        model.critic = Constant(0.0)  # nothing to learn from
        logs = model.update(batch.replace(rewards=np.zeros(batch.num_steps)))
        np.testing.assert_array_equal(model.policy.params, before)
        assert logs["step_size"] == 0.0
        assert logs["cg_status"] == CGStatus.CONVERGED


# ---- TRPO ----


def test_trpo_stays_inside_its_radius_and_improves():
    model = make(TRPO)
    for seed in range(5):
        batch = play(model, seed)
        old = model.policy.params
        logs = model.update(batch)
        assert logs["line_search_reason"] == LineSearchReason.ACCEPTED
        assert logs["is_line_search_success"] == 1.0
        kl = model.policy.kl(batch.obs, old).mean()
        assert 0 < kl <= 0.01
        assert logs["kl_divergence_loss"] == pytest.approx(kl)
        assert logs["policy_objective"] > 0
        assert logs["predicted_kl"] == pytest.approx(0.01)


def test_trpo_gives_up_without_a_trace():
    """Rewards of one sign against a constant advantage of zero leave nothing to improve at any step size."""
    model = make(TRPO, line_search_max_iter=1, cg_damping=0.0, target_kl=3.0)
    old = model.policy.params
    logs = model.update(play(model))
    assert logs["line_search_reason"] in (LineSearchReason.KL, LineSearchReason.NO_IMPROVEMENT)
    assert logs["is_line_search_success"] == 0.0
    assert logs["kl_divergence_loss"] == 0.0
    assert model.policy.params.tobytes() == old.tobytes()


def test_trpo_constrains_kl_from_old_to_new():
    """The other direction differs, and would be met with another step."""
    model = TRPO("Pendulum-v1", policy=GaussianPolicy(3, 1, dtype="float64"), n_steps=200, target_kl=0.5)
    batch = model.collect()
    old = model.policy.copy()
    logs = model.update(batch)
    forward = model.policy.kl(batch.obs, old.params).mean()
    backward = old.kl(batch.obs, model.policy.params).mean()
    assert logs["kl_divergence_loss"] == pytest.approx(forward)
    assert abs(backward - forward) > 0.02 * forward


def test_trpo_subsamples():
    factors = {
        "sub_sampling_factor": 2,
        "fisher_sub_sampling_factor": 3,
        "line_search_sub_sampling_factor": 4,
    }
    results = []
    for seed in (0, 0, 1):
        model = make(TRPO, seed=seed, **factors)
        model.update(play(model))
        results.append(model.policy.params)
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[2] - results[0]).max() > 0


# ---- actor and critic at the same time ----


@pytest.mark.parametrize("algorithm", [NPG, TRPO, PPO])
def test_actor_and_critic_side_by_side_give_the_same_bits(algorithm):
    results = []
    for parallel in (True, False):
        model = algorithm("CartPole-v1", num_envs=2, n_steps=100, parallel_critic=parallel).learn(600)
        results.append((model.policy.params, model.critic.state()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    for name, value in results[0][1].items():
        np.testing.assert_array_equal(value, results[1][1][name])


def test_interrupts_wait_for_the_critic():
    """However often it is pressed: what the critic thread changes will be restored by others."""
    started, finished = threading.Event(), []

    def slow():
        started.set()
        time.sleep(0.6)
        finished.append(True)

    def interrupted():
        started.wait()
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(interrupted, slow)
    assert finished
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda: 1, lambda: 1 / 0)


def test_ppo_counts_its_minibatches_and_stops_at_its_target():
    model = make(PPO, n_epochs=4, batch_size=30, learning_rate=0.05)
    assert model.update(play(model))["n_minibatches"] == 4 * math.ceil(100 / 30)
    model = make(PPO, n_epochs=50, batch_size=30, learning_rate=0.05, target_kl=0.01)
    logs = model.update(play(model))
    assert 0 < logs["n_minibatches"] < 200
    assert logs["kl_divergence_loss"] < 0.1


def test_the_penalty_holds_the_policy_back_and_adapts():
    kls = []
    for kl_coef in (0.0, 20.0):
        model = make(PPO, clip_range=None, kl_coef=kl_coef, n_epochs=20, learning_rate=0.02)
        kls.append(model.update(play(model))["kl_divergence_loss"])
    assert kls[1] < 0.5 * kls[0]
    model = make(PPO, clip_range=None, kl_coef=1.0, kl_adaptive=True, target_kl=1e-6, learning_rate=0.02)
    assert model.update(play(model))["kl_coef"] == 2.0
    model.config = model.config_class(kl_coef=1.0, kl_adaptive=True, target_kl=100.0)
    assert model.update(play(model))["kl_coef"] == 1.0
    for _ in range(50):
        model.kl_coef.adapt(kl=1.0, target=0.01)
    assert model.kl_coef.value == 1e4
    for _ in range(50):
        model.kl_coef.adapt(kl=0.0, target=0.01)
    assert model.kl_coef.value == 1e-4
    with pytest.raises(ValueError, match=r"^kl_adaptive: expected False unless target_kl and kl_coef"):
        make(PPO, kl_adaptive=True)


def test_ppo_schedules():
    model = make(PPO, learning_rate_schedule="linear", clip_range_schedule="linear")
    model.progress = 0.75
    logs = model.update(play(model))
    assert logs["learning_rate"] == pytest.approx(0.25 * 3e-4)
    assert logs["clip_range"] == pytest.approx(0.25 * 0.2)


# ---- saving ----


@ALL
@pytest.mark.parametrize("normalize", [False, True])
def test_a_resumed_run_is_the_unbroken_one(kind, normalize, tmp_path):
    arguments = {"num_envs": 2, "n_steps": 50, "whole_episodes": True, "normalize_observations": normalize}
    if kind is PPO:
        arguments |= {"kl_coef": 0.5, "kl_adaptive": True, "target_kl": 0.01}
    if kind is TRPO:
        arguments |= {"sub_sampling_factor": 2}
    unbroken = kind("CartPole-v1", **arguments)
    broken = kind("CartPole-v1", **arguments)
    unbroken.learn(600)
    first = broken.learn(300).num_timesteps
    path = broken.save(tmp_path / "model")
    resumed = pgcore.load(path, "CartPole-v1")
    assert type(resumed) is kind
    while resumed.num_timesteps < unbroken.num_timesteps:
        resumed.learn(1, reset_num_timesteps=False)
    assert first < resumed.num_timesteps == unbroken.num_timesteps
    np.testing.assert_array_equal(resumed.policy.params, unbroken.policy.params)
    for name, value in unbroken.critic.state().items():
        np.testing.assert_array_equal(resumed.critic.state()[name], value)


@ALL
def test_continuous_actions_and_float32(kind):
    model = kind("Pendulum-v1", num_envs=2, n_steps=64, normalize_observations=True).learn(400)
    assert model.policy.params.dtype == np.float32
    actions, _ = model.predict(np.zeros(3), deterministic=True)
    assert actions.shape == (1,)
    assert all(math.isfinite(v) for name, v in model.logs.items() if name != "rollout/ep_rew_mean"), (
        model.logs
    )
