from __future__ import annotations

import autograd
import autograd.numpy as anp
import gymnasium as gym
import numpy as np
import pytest

import pgcore
from pgcore import Batch, BehaviourCloning
from pgcore.baselines import Constant
from pgcore.io.datasets import save_batch
from pgcore.policies import CategoricalPolicy, GaussianPolicy, ObservationNormalizer
from pgcore.rollout import make_vector_env
from support.sketch import equal_states


def taught(rng, steps=200, length=20):
    """A teacher on CartPole's spaces who follows the pole; observations of different scales."""
    obs = rng.normal(size=(steps, 4)) * [1.0, 5.0, 0.2, 3.0] + [0.0, 2.0, 0.0, -1.0]
    actions = (obs[:, 2] + 0.05 * obs[:, 3] > 0).astype(np.int64)
    return Batch(obs, actions, np.ones(steps), np.arange(steps) % length == length - 1)


def clone(batch, **arguments):
    arguments = {"hidden": (8,), "n_steps": 64, "batch_size": 16, "seed": 4, **arguments}
    return BehaviourCloning("CartPole-v1", demonstrations=batch, **arguments)


# The gradient


def one_step(policy, batch, env_id="CartPole-v1", **arguments):
    """Plain ascent with step 1 on everything at once: the change of the parameters is the gradient."""
    steps = batch.num_steps
    model = BehaviourCloning(
        env_id,
        demonstrations=batch,
        policy=policy,
        **{"optimizer": "sgd", "learning_rate": 1.0, "n_steps": steps, "batch_size": steps, **arguments},
    )
    before = policy.params
    model.learn(steps)
    return policy.params - before, model


def hidden_layer(theta, obs, outputs):
    """One tanh layer of 3, as the parameters are laid out: weights (out, in), bias, layer by layer."""
    inputs, width = obs.shape[1], 3
    cuts = np.cumsum([width * inputs, width, outputs * width, outputs])
    w, b, v, c = (theta[i:j] for i, j in zip([0, *cuts[:-1]], cuts, strict=True))
    h = anp.tanh(obs @ w.reshape(width, inputs).T + b)
    return h @ v.reshape(outputs, width).T + c, theta[cuts[-1] :]


def categorical(theta, obs, actions):
    logits, _ = hidden_layer(theta, obs, 2)
    return logits[np.arange(len(obs)), actions] - anp.log(anp.sum(anp.exp(logits), axis=1))


def gaussian(theta, obs, actions):
    mean, log_std = hidden_layer(theta, obs, 1)
    noise = (actions - mean) / anp.exp(log_std)
    return anp.sum(-0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi), axis=1)


def wiggled(policy, rng):
    policy.params = policy.params + 0.3 * rng.normal(size=policy.num_params)
    return policy


def pendulum(rng, steps=30):
    """Actions mostly outside the Box [-2, 2]: nothing clips them."""
    ends = np.arange(steps) % 10 == 9
    return Batch(rng.normal(size=(steps, 3)), 5 * rng.normal(size=(steps, 1)), np.zeros(steps), ends)


def test_the_step_is_the_maximum_likelihood_gradient_of_choices(rng):
    batch = taught(rng, steps=30, length=10)
    policy = wiggled(CategoricalPolicy(4, 2, hidden=(3,), dtype="float64"), rng)
    obs, actions = batch.obs, batch.actions
    expected = autograd.grad(lambda theta: anp.mean(categorical(theta, obs, actions)))(policy.params)
    step, model = one_step(policy, batch)
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-13)
    assert model.logs["train/gradient_norm"] == pytest.approx(np.linalg.norm(expected))
    after = np.mean(categorical(policy.params, obs, actions))
    assert model.logs["train/log_likelihood"] == pytest.approx(after)
    assert after > np.mean(categorical(policy.params - step, obs, actions))
    assert model.logs["train/entropy"] == pytest.approx(np.mean(policy.entropy(obs)))


def test_the_step_is_the_maximum_likelihood_gradient_of_real_actions(rng):
    batch = pendulum(rng)
    policy = wiggled(GaussianPolicy(3, 1, hidden=(3,), dtype="float64"), rng)
    expected = autograd.grad(lambda theta: anp.mean(gaussian(theta, batch.obs, batch.actions)))(policy.params)
    step, model = one_step(policy, batch, "Pendulum-v1")
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-13)
    after = np.mean(gaussian(policy.params, batch.obs, batch.actions))
    assert model.logs["train/log_likelihood"] == pytest.approx(after)


def test_it_is_the_lectures_sum_up_to_a_factor(rng):
    """(1/N) Σ_i Σ_t ∇log π is B/N times the mean over steps."""
    batch = taught(rng, steps=30, length=10)
    policy = wiggled(CategoricalPolicy(4, 2, hidden=(3,), dtype="float64"), rng)
    episodes = policy.episode_scores(batch.obs, batch.actions, batch.ends)
    step, _ = one_step(policy, batch)
    np.testing.assert_allclose(step * 30 / 3, episodes.mean(axis=0), rtol=1e-10, atol=1e-13)


def test_every_minibatch_is_a_step_from_where_the_last_one_ended(rng):
    batch = taught(rng, steps=10, length=5)
    policy = wiggled(CategoricalPolicy(4, 2, hidden=(3,), dtype="float64"), rng)
    byhand = policy.copy()
    _, model = one_step(policy, batch, batch_size=4, learning_rate=0.5)
    order = model.demonstrations.take(0, 10)
    norms = []
    for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
        gradient = byhand.scores(order.obs[rows], order.actions[rows]).mean(axis=0)
        norms.append(np.linalg.norm(gradient))
        byhand.params = byhand.params + 0.5 * gradient
    np.testing.assert_allclose(policy.params, byhand.params, rtol=1e-10)
    assert model.logs["train/gradient_norm"] == pytest.approx(np.mean(norms))


def test_entropy_bonus_and_norm_limit(rng):
    batch = pendulum(rng)
    policy = wiggled(GaussianPolicy(3, 1, hidden=(3,), dtype="float64"), rng)
    start = policy.params
    plain, _ = one_step(policy, batch, "Pendulum-v1")
    policy.params = start
    with_bonus, _ = one_step(policy, batch, "Pendulum-v1", ent_coef=0.25)
    bonus = np.zeros_like(plain)
    bonus[-1] = 0.25  # the entropy of a Gaussian grows with log_std one to one, and with nothing else
    np.testing.assert_allclose(with_bonus - plain, bonus, atol=1e-12)
    policy.params = start
    short, model = one_step(policy, batch, "Pendulum-v1", max_grad_norm=0.01)
    np.testing.assert_allclose(short, plain * 0.01 / np.linalg.norm(plain), rtol=1e-9)
    assert model.logs["train/gradient_norm"] == pytest.approx(np.linalg.norm(plain))


# Learning


def test_the_likelihood_rises_on_both_sides_of_the_split(rng):
    seen = []
    model = clone(taught(rng, steps=1000), validation_fraction=0.2, n_steps=200, learning_rate=1e-2)
    model.learn(20_000, callback=lambda model: seen.append(model.logs))
    for name in ("train/log_likelihood", "train/validation_log_likelihood"):
        assert seen[0][name] < -0.3
        assert seen[-1][name] > -0.15
    assert model.num_timesteps == 20_000
    assert seen[-1]["train/epochs"] == 20_000 / 800
    held_out = model.demonstrations.validation(200)
    assert held_out.num_steps == 200
    expected = np.mean(model.policy.log_prob(held_out.obs, held_out.actions))
    assert seen[-1]["train/validation_log_likelihood"] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(seen[-1]["rollout/ep_rew_mean"])


def test_what_is_held_out_is_not_learned_from(rng):
    batch = taught(rng)
    model = clone(batch, validation_fraction=0.3, normalize_observations=True)
    held_out = np.setdiff1d(np.arange(200), model.demonstrations.rows)
    actions = batch.actions.copy()
    actions[held_out] = 1 - actions[held_out]
    obs = batch.obs.copy()
    obs[held_out] += 1e3
    other = clone(
        batch.replace(actions=actions, obs=obs), validation_fraction=0.3, normalize_observations=True
    )
    assert equal_states(model.learn(500), other.learn(500))
    assert model.logs["train/validation_log_likelihood"] > other.logs["train/validation_log_likelihood"]


def test_iterations_follow_the_epochs(rng, monkeypatch):
    shown = []
    update = BehaviourCloning.update
    monkeypatch.setattr(
        BehaviourCloning, "update", lambda self, batch: shown.append(batch) or update(self, batch)
    )
    batch = taught(rng)
    model = clone(batch).learn(400)  # 7 iterations of 64: two epochs of 200, and a part of a third
    model.learn(100)  # counts from 0 again, but goes on in the epochs
    obs = np.concatenate([part.obs for part in shown])
    np.testing.assert_array_equal(obs, model.demonstrations.take(0, 9 * 64).obs)
    for epoch in (obs[:200], obs[200:400]):
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(batch.obs, axis=0))


def test_the_environment_is_never_stepped(rng, monkeypatch):
    env = gym.make("CartPole-v1")

    def refuse(*_, **__):
        raise AssertionError("stepped")

    monkeypatch.setattr(env.unwrapped, "step", refuse)
    model = BehaviourCloning(env, demonstrations=taught(rng), n_steps=64).learn(100)
    assert model.num_timesteps == 128
    assert model.num_iterations == model.num_updates == 2


def test_the_same_seed_gives_the_same_bits(rng):
    batch = taught(rng)
    arguments = {"normalize_observations": True, "validation_fraction": 0.1, "ent_coef": 1e-3}
    assert equal_states(clone(batch, **arguments).learn(500), clone(batch, **arguments).learn(500))
    first, second = clone(batch), clone(batch, seed=5)
    assert first.policy.params.tolist() != second.policy.params.tolist()
    second.policy.params = first.policy.params
    first.learn(64), second.learn(64)  # other orders
    assert first.policy.params.tolist() != second.policy.params.tolist()


def test_learning_in_two_parts_is_learning_once(rng):
    batch = taught(rng)
    whole = clone(batch).learn(640)
    parts = clone(batch).learn(128)
    parts.learn(512, reset_num_timesteps=False)
    assert equal_states(whole, parts)


def test_the_normaliser_is_the_demonstrations_own_and_stays(rng):
    batch = taught(rng)
    model = clone(batch, normalize_observations=True)
    normalizer = model.policy.normalizer

    def check(_=None):
        assert normalizer.count == 200
        np.testing.assert_allclose(normalizer.mean, batch.obs.mean(axis=0))
        np.testing.assert_allclose(normalizer.m2 / 200, batch.obs.var(axis=0))

    check()
    model.learn(1000, callback=check)
    given = CategoricalPolicy(4, 2, hidden=())
    given.normalizer = ObservationNormalizer(4)
    given.normalizer.update(np.ones((3, 4)))
    model = BehaviourCloning(
        "CartPole-v1", demonstrations=batch, policy=given, normalize_observations=True, n_steps=64
    )
    model.learn(64)
    assert given.normalizer.count == 3  # it has its own already
    assert clone(batch).policy.normalizer is None


def test_the_schedule_falls_to_zero(rng):
    rates = []
    model = clone(taught(rng), learning_rate=0.1, learning_rate_schedule="linear")
    model.learn(256, callback=lambda model: rates.append(model.logs["train/learning_rate"]))
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025])


def test_other_batches_can_be_learned_from_by_hand(rng):
    model = clone(taught(rng))
    model.demonstrations = None
    assert "log_likelihood" in model.update(taught(rng, steps=40))


# Saving


@pytest.mark.parametrize("normalize", [False, True])
def test_a_stopped_run_continues_bit_for_bit(rng, tmp_path, normalize):
    path = save_batch(tmp_path / "demos", taught(rng))
    arguments = {
        "normalize_observations": normalize,
        "learning_rate_schedule": "linear",
        "validation_fraction": 0.2,
    }
    whole = clone(path, **arguments).learn(960)
    model = clone(path, **arguments)
    model.learn(960, callback=lambda model: model.num_timesteps < 320)
    resumed = BehaviourCloning.load(model.save(tmp_path / "model"), env="CartPole-v1")
    resumed.set_demonstrations(path)
    assert equal_states(resumed, model)
    resumed.learn(960 - 320, reset_num_timesteps=False)
    assert equal_states(resumed, whole)
    same = [name for name in whole.logs if name.startswith("train/")]
    assert [resumed.logs[name] for name in same] == [whole.logs[name] for name in same]


def test_demonstrations_are_not_in_the_file(rng, tmp_path):
    small, large = clone(taught(rng)).learn(64), clone(taught(rng, steps=2000)).learn(64)
    sizes = [model.save(tmp_path / "model").stat().st_size for model in (small, large)]
    assert abs(sizes[0] - sizes[1]) < 200
    loaded = pgcore.load(tmp_path / "model", env="CartPole-v1")
    obs = rng.normal(size=(9, 4))
    np.testing.assert_array_equal(
        loaded.predict(obs, deterministic=True)[0], large.predict(obs, deterministic=True)[0]
    )
    with pytest.raises(ValueError) as caught:
        loaded.learn(64, reset_num_timesteps=False)
    assert str(caught.value) == (
        "demonstrations: expected some to learn from, got none; call set_demonstrations"
    )
    assert loaded.num_timesteps == 64


# Refusals


def test_arguments_that_do_not_fit(rng, tmp_path):
    batch = taught(rng)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'demonstrations'"):
        BehaviourCloning("CartPole-v1")
    with pytest.raises(TypeError, match=r"^demonstrations: expected a Batch, a file or 'minari:"):
        clone(None)
    with pytest.raises(FileNotFoundError, match=r"nothing.npz, which is no file$"):
        clone(tmp_path / "nothing")
    with pytest.raises(
        ValueError, match=r"^demonstrations: expected obs of shape \(200, 3\), got \(200, 4\)$"
    ):
        BehaviourCloning("Pendulum-v1", demonstrations=batch)
    with pytest.raises(ValueError, match=r"^critic: expected None, since nothing is valued here, got "):
        clone(batch, critic=Constant(0.0))
    with pytest.raises(TypeError, match=r"^BehaviourCloning: unknown hyperparameter 'gamma'"):
        clone(batch, gamma=0.9)
    with pytest.raises(ValueError, match=r"^validation_fraction: expected a number in \[0, 1\), got 1.0$"):
        clone(batch, validation_fraction=1)
    with pytest.raises(ValueError, match=r"^validation_fraction: expected 0 with a single episode, got 0.1$"):
        clone(batch.segment(0), validation_fraction=0.1)
    model = clone(batch).learn(64)
    with pytest.raises(ValueError, match=r"^demonstrations: expected actions from 0 to 1, got 2 in row "):
        model.set_demonstrations(batch.replace(actions=batch.actions + 1))
    assert model.demonstrations.batch is batch


def test_environments_made_for_nothing_are_closed(rng, monkeypatch):
    closed = []
    monkeypatch.setattr(BehaviourCloning, "close", lambda self: closed.append(self.env))
    with pytest.raises(ValueError, match="expected obs"):
        BehaviourCloning("Pendulum-v1", demonstrations=taught(rng))
    assert len(closed) == 1
    env = make_vector_env("Pendulum-v1", num_envs=1)
    with pytest.raises(ValueError, match="expected obs"):
        BehaviourCloning(env, demonstrations=taught(rng))
    assert len(closed) == 1
    env.close()
