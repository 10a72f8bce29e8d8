"""The same steps as Stable-Baselines3 and sb3-contrib take from the same batch."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pgcore import TRPO, Batch, kernels
from pgcore.algorithms.actor_critic import Advantages
from pgcore.policies import GaussianPolicy
from support.oracles import assert_close

torch = pytest.importorskip("torch")
sb3_contrib = pytest.importorskip("sb3_contrib")
pytestmark = pytest.mark.peers

OBS, ACTIONS, STEPS, COPIES = 5, 3, 128, 2


class Drift(gym.Env[np.ndarray, np.ndarray]):
    """A random walk that actions push, and that ends by chance."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = self.np_random.normal(size=OBS)
        return self.state.astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.state = 0.9 * self.state + 0.3 * self.np_random.normal(size=OBS)
        self.state[:ACTIONS] += 0.3 * action
        ended = bool(self.np_random.random() < 0.05)
        return self.state.astype(np.float32), -float(np.square(self.state).sum()), ended, False, {}


@pytest.fixture
def collected() -> Any:
    """A TRPO of sb3-contrib that has learned for a while, with a fresh batch in its buffer."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = DummyVecEnv([Drift] * COPIES)
    model = sb3_contrib.TRPO(
        "MlpPolicy", env, n_steps=STEPS, cg_max_steps=50, cg_damping=0.1, target_kl=0.01, seed=3, device="cpu"
    )
    model.learn(4 * STEPS * COPIES)
    _, callback = model._setup_learn(10**6, reset_num_timesteps=False)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=STEPS)
    return model


def parameters(model: Any) -> np.ndarray:
    state = model.policy.state_dict()
    layers = ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net")
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    return np.concatenate([state[name].numpy().ravel() for name in [*names, "log_std"]])


def test_trpo_takes_the_same_step(collected: Any) -> None:
    """Their KL is the mean over the action's dimensions: radius and damping are as many times ours."""
    buffer = collected.rollout_buffer
    kept = buffer.observations, buffer.actions, buffer.advantages  # which `train` reshapes
    obs, actions, advantages = (buffer.swap_and_flatten(array).copy() for array in kept)
    advantages = advantages.ravel()
    before = parameters(collected)
    policy = GaussianPolicy(OBS, ACTIONS, hidden=(64, 64))
    policy.params = before
    ours = TRPO(
        Drift(),
        policy=policy,
        target_kl=0.01 * ACTIONS,
        cg_damping=0.1 * ACTIONS,
        cg_max_steps=50,
        cg_rtol=0.0,
    )
    batch = Batch(obs, actions, np.zeros(len(obs), np.float32), np.zeros(len(obs), np.bool_))
    logs = ours.improve_policy(batch, Advantages(advantages, advantages, advantages))
    collected.train()
    step = parameters(collected) - before
    assert np.linalg.norm(step) > 0.01
    assert logs["line_search_steps"] == 1
    assert_close(ours.policy.params - before, step, 1e-3)


def test_gae_gives_the_same_advantages(collected: Any) -> None:
    buffer = collected.rollout_buffer
    ends = np.zeros((STEPS, COPIES), np.bool_)
    ends[:-1] = buffer.episode_starts[1:]
    ends[-1] = collected._last_episode_starts
    with torch.no_grad():
        last = collected.policy.predict_values(collected.policy.obs_to_tensor(collected._last_obs)[0])
    advantages, targets = kernels.gae(
        buffer.rewards,
        buffer.values,
        collected.gamma,
        collected.gae_lambda,
        ends=ends,
        bootstrap_values=np.where(ends[-1], 0.0, last.numpy().ravel()).astype(np.float32),
    )
    assert ends.any()
    assert_close(advantages, buffer.advantages, 1e-5)
    assert_close(targets, buffer.returns, 1e-5)
