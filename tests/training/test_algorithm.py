"""`Algorithm`: construction, by way of an algorithm as small as can be and of REINFORCE."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from pgcore import REINFORCE
from pgcore.baselines import Constant
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from support.sketch import Sketch


def test_an_algorithm_is_a_dataclass_and_an_update():
    model = Sketch("CartPole-v1", num_envs=2, step_size=0.5)
    before = model.policy.params
    assert model.learn(64) is model
    assert model.num_timesteps == 64
    assert len(model.batches) == 2
    np.testing.assert_allclose(model.policy.params, before + 1.0, rtol=1e-5)
    assert model.logs["train/mean_reward"] == 1.0
    assert model.logs["train/n_updates"] == 2


def test_log_names_are_those_of_stable_baselines3():
    logs = REINFORCE("CartPole-v1", n_steps=32).learn(1).logs
    assert list(logs)[:6] == [
        "rollout/ep_rew_mean",
        "rollout/ep_len_mean",
        "time/iterations",
        "time/fps",
        "time/time_elapsed",
        "time/total_timesteps",
    ]
    assert {
        "train/gradient_norm",
        "train/entropy",
        "train/explained_variance",
        "train/learning_rate",
        "train/n_updates",
    } <= set(logs)
    assert logs["rollout/ep_rew_mean"] == logs["rollout/ep_len_mean"] > 1


@pytest.mark.parametrize(
    "arguments", [("MlpPolicy", "CartPole-v1"), ("MlpPolicy",), ("CartPole-v1", "MlpPolicy")]
)
def test_the_other_librarys_order_is_refused_with_what_to_write(arguments):
    with pytest.raises(TypeError) as caught:
        REINFORCE(*arguments)
    assert str(caught.value).startswith("REINFORCE: expected an environment, then keywords, got ('")
    assert "write REINFORCE(env), REINFORCE(env, hidden=(64, 64)), or REINFORCE(env, policy=...)" in str(
        caught.value
    )


def test_a_policy_by_name_is_refused():
    with pytest.raises(
        TypeError, match=r"^policy: expected one from pgcore\.policies or None, got 'MlpPolicy'$"
    ):
        REINFORCE("CartPole-v1", policy="MlpPolicy")
    with pytest.raises(TypeError, match="REINFORCE: expected an environment"):
        REINFORCE("MlpPolicy", env="CartPole-v1")


def test_unknown_hyperparameters_are_named():
    with pytest.raises(TypeError) as caught:
        REINFORCE("CartPole-v1", learning_rat=0.1)
    assert str(caught.value) == (
        "REINFORCE: unknown hyperparameter 'learning_rat' (did you mean 'learning_rate'?)"
    )
    with pytest.raises(TypeError, match=r"'hiden' \(did you mean 'hidden'\?\)"):
        REINFORCE("CartPole-v1", hiden=(8,))
    with pytest.raises(ValueError, match=r"^n_steps: expected an integer >= 1, got -1$"):
        REINFORCE("CartPole-v1", n_steps=-1)


def test_seeds():
    with pytest.raises(ValueError, match=r"^seed: expected an integer >= 0 or None, got -1$"):
        REINFORCE("CartPole-v1", seed=-1)
    with pytest.raises(TypeError, match=r"^seed: expected an integer >= 0 or None, got float 0\.5$"):
        REINFORCE("CartPole-v1", seed=0.5)
    drawn = REINFORCE("CartPole-v1", seed=None)
    again = REINFORCE("CartPole-v1", seed=drawn.seed)
    np.testing.assert_array_equal(drawn.policy.params, again.policy.params)
    assert REINFORCE("CartPole-v1", seed=None).seed != drawn.seed
    assert not np.array_equal(REINFORCE("CartPole-v1", seed=1).policy.params, again.policy.params)


def test_every_kind_of_environment():
    made = [
        "CartPole-v1",
        gym.make("CartPole-v1"),
        gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync"),
        gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"),
    ]
    for env in made:
        model = REINFORCE(env, n_steps=16).learn(50)
        assert model.num_timesteps >= 50
    assert REINFORCE("CartPole-v1", num_envs=4).env.num_envs == 4
    with pytest.raises(ValueError, match="Nothing-v3"):
        REINFORCE("Nothing-v3")
    with pytest.raises(TypeError, match=r"^env: expected an id, a gymnasium\.Env or a VectorEnv, got 3$"):
        REINFORCE(3)
    with pytest.raises(ValueError, match=r"^num_envs: expected .*, got 0"):
        REINFORCE("CartPole-v1", num_envs=0)
    with pytest.raises(
        ValueError, match=r"^num_envs, backend: expected neither with a made environment, got 4, None"
    ):
        REINFORCE(gym.make("CartPole-v1"), num_envs=4)


def test_given_models_are_used():
    policy = CategoricalPolicy(4, 2, hidden=(5,), dtype="float64")
    model = REINFORCE("CartPole-v1", policy=policy, critic=Constant(3.0), n_steps=16)
    before = policy.params
    assert model.policy is policy
    assert model.critic.c == 3.0
    model.learn(16)
    assert not np.array_equal(policy.params, before)


def test_the_initial_spread_of_continuous_actions():
    model = Sketch("Pendulum-v1", init_log_std=-1.5)
    assert model.policy.params[-1] == -1.5
    discrete = Sketch("CartPole-v1", init_log_std=-1.5)  # has none
    np.testing.assert_array_equal(discrete.policy.params, Sketch("CartPole-v1").policy.params)


def test_policies_that_do_not_fit_are_refused_at_once():
    with pytest.raises(ValueError, match=r"^policy: expected obs_dim 4 to fit the environment, got 3$"):
        REINFORCE("CartPole-v1", policy=CategoricalPolicy(3, 2))
    with pytest.raises(
        ValueError, match=r"^policy: expected action_shape \(\) to fit the environment, got \(2,\)$"
    ):
        REINFORCE("CartPole-v1", policy=GaussianPolicy(4, 2))


def test_gaussian_policies_for_boxes():
    assert isinstance(Sketch("Pendulum-v1").policy, GaussianPolicy)


def test_importing_an_algorithm_by_name_is_enough():
    """`pgcore.load` must find classes that nothing has imported yet."""
    code = "from pgcore.training.registry import find_algorithm; print(find_algorithm('REINFORCE').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "REINFORCE\n"
