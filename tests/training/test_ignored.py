"""What would be ignored in silence: refused, or warned of."""

from __future__ import annotations

import math
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from scipy.stats import norm

import pgcore
from pgcore import NPG, PPO, REINFORCE, TRPO, BehaviourCloning
from pgcore.baselines import ValueNetwork
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from pgcore.training.action_scale import is_out_of_scale
from support.sketch import BOX, Sketch, Still


@pytest.mark.parametrize("algorithm", [REINFORCE, PPO, TRPO, NPG])
@pytest.mark.parametrize("name", ["learning_rate", "gamma", "n_steps", "normalize_observations"])
def test_hyperparameters_cannot_be_assigned(algorithm, name):
    model = algorithm("CartPole-v1", hidden=())
    for made in (model, model.learn(1)):
        with pytest.raises(AttributeError) as caught:
            setattr(made, name, 1)
        assert str(caught.value).startswith(
            f"{name}: expected hyperparameters to be given when the model is made, "
            f"{algorithm.__name__}(env, {name}="
        )
        assert not hasattr(made, name)


def test_other_attributes(tmp_path):
    model = PPO("CartPole-v1", hidden=(), n_steps=16)
    with pytest.raises(AttributeError, match=r"^kl_coef: expected hyperparameters"):
        model.kl_coef = 0.5  # an attribute too, of another kind
    with pytest.raises(
        AttributeError, match=r"^progres: expected an attribute of PPO, got .did you mean 'progress'"
    ):
        model.progres = 0.5
    loaded = pgcore.load(model.save(tmp_path / "model"))
    with pytest.raises(AttributeError, match=r"^learning_rat: expected .*did you mean 'learning_rate'"):
        loaded.learning_rat = 0.5
    model.progress = 0.5
    model._mine = 3

    class Own(PPO):
        best = 0.0

    own = Own("CartPole-v1", hidden=())
    own.best, own.worst = 3.0, 1.0
    with pytest.raises(AttributeError, match=r"^clip_range: expected hyperparameters"):
        own.clip_range = 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", (8,)),
        ("activation", "relu"),
        ("seed", 3),
        ("num_envs", 7),
        ("backend", "async"),
        ("action_space", BOX),
        ("policy", CategoricalPolicy(4, 2)),
    ],
)
def test_what_is_decided_when_the_model_is_made(tmp_path, name, value):
    model = PPO("CartPole-v1", hidden=(), n_steps=16)
    for made in (model, pgcore.load(model.save(tmp_path / "model"), "CartPole-v1")):
        before = getattr(made, name)
        with pytest.raises(
            AttributeError, match=rf"^{name}: expected to be decided when the model is made, in"
        ):
            setattr(made, name, value)
        assert getattr(made, name) is before


def test_another_environment_is_set_by_its_method():
    model = PPO("CartPole-v1", hidden=(), n_steps=16).learn(16)
    with pytest.raises(AttributeError, match=r"^env: expected set_env\(env\)"):
        model.env = gym.make("CartPole-v1")
    model.set_env(gym.make_vec("CartPole-v1", 3, vectorization_mode="sync"))
    assert model.num_envs == 3
    model.close()
    assert (model.env, model.num_envs) == (None, 3)


def test_a_model_is_closed_also_where_its_environment_fails_to():
    class Stuck(Still):
        def close(self):
            raise RuntimeError("the simulator does not answer")

    model = Sketch(Stuck(BOX, spaces.Discrete(2)))
    with pytest.raises(RuntimeError, match="does not answer"):
        model.close()
    assert model.env is None
    model.close()


def test_settings_of_a_new_policy_beside_a_given_one():
    def policy():
        return GaussianPolicy(3, 1, hidden=(4,))

    for settings in ({"hidden": (8,)}, {"hidden": (64, 64)}, {"activation": "relu"}, {"init_log_std": -1.0}):
        (name,) = settings
        for algorithm in (REINFORCE, PPO):
            with pytest.raises(
                TypeError, match=rf"^{name}: expected none beside policy=, which has its own, got"
            ):
                algorithm("Pendulum-v1", policy=policy(), **settings)
    model = PPO("Pendulum-v1", policy=policy(), critic=ValueNetwork((8,)), n_steps=16)
    assert model.policy.hidden == (4,)
    assert PPO("Pendulum-v1", policy=None, hidden=(8,)).policy.hidden == (8,)
    preset = PPO.from_preset("CartPole-v1", policy=CategoricalPolicy(4, 2, hidden=(4,)))
    assert preset.policy.hidden == (4,)
    with pytest.raises(TypeError, match=r"^hidden: expected none beside policy="):
        PPO.from_preset("CartPole-v1", policy=CategoricalPolicy(4, 2, hidden=(4,)), hidden=(8,))


def boxed(low, high, **arguments):
    return Sketch(Still(BOX, spaces.Box(np.float32(low), np.float32(high))), hidden=(), **arguments)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([30], [1017]),
        ([0], [0.01]),
        ([5], [6]),
        ([-1, 5], [1, 6]),
        ([-0.05], [0.05]),
        ([-100], [100]),
        ([2], [10]),
    ],
)
def test_boxes_out_of_scale_are_warned_of(low, high):
    with pytest.warns(UserWarning, match=r"^action_space: ") as caught:
        boxed(low, high)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith(
        "action_space: expected actions around 0 on a scale of 1, as a new policy's are, got "
    )
    assert message.endswith("gymnasium.wrappers.RescaleAction(env, -1.0, 1.0)")
    env = Still(BOX, spaces.Box(np.float32(low), np.float32(high)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sketch(gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1)))


def test_the_line_that_made_the_model_is_named():
    env = Still(BOX, spaces.Box(np.float32([5]), np.float32([6])))
    batch = pgcore.Batch(np.zeros((2, 3)), np.zeros((2, 1)), [0.0, 0.0], [False, True])
    for make in (
        lambda: REINFORCE(env),
        lambda: BehaviourCloning(env, demonstrations=batch),
        lambda: PPO(env, policy=GaussianPolicy(3, 1)),
    ):
        with pytest.warns(UserWarning, match=r"^action_space: ") as caught:
            make()
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("low", "high"),
    [(-0.4, 0.4), (-1, 1), (-2, 2), (-3, 3), (0, 1), (-np.inf, np.inf), (0, np.inf), (-0.2, 0.2)],
)
def test_common_boxes_are_not(low, high, recwarn):
    boxed([low] * 2, [high] * 2)
    assert recwarn.list == []


def test_the_scale_is_the_policys(tmp_path):
    boxed([-50], [50], init_log_std=math.log(20))
    boxed([-0.02], [0.02], init_log_std=math.log(0.02))
    with pytest.warns(UserWarning, match="on a scale of 0.05"):
        boxed([-1], [1], init_log_std=math.log(0.05))
    with pytest.warns(UserWarning, match="TransformAction$"):
        boxed([5], [np.inf])

    class Centred(GaussianPolicy):  # may know better
        pass

    Sketch(Still(BOX, spaces.Box(np.float32([5]), np.float32([6]))), policy=Centred(3, 1, hidden=()))


def test_the_share_inside_is_the_normal_distributions():
    rng = np.random.default_rng(0)
    for low, width, std in zip(
        rng.uniform(-5, 5, 200), rng.uniform(0, 5, 200), rng.uniform(0.6, 3, 200), strict=True
    ):
        inside = norm.cdf(low + width, scale=std) - norm.cdf(low, scale=std)
        assert is_out_of_scale(low, low + width, std) == (inside < 0.1)


def test_known_environments_are_in_scale(recwarn):
    for env_id in ("Pendulum-v1", "MountainCarContinuous-v0", "pgcore.envs:pgcore/LQR-v0"):
        REINFORCE(env_id, hidden=())
    for env_id in (
        "Ant",
        "HalfCheetah",
        "Hopper",
        "Humanoid",
        "InvertedPendulum",
        "Pusher",
        "Reacher",
        "Swimmer",
    ):
        REINFORCE(f"{env_id}-v5", hidden=())
    assert recwarn.list == []
