"""Classes of the user's own: found when a model is loaded, or refused when it is made."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import pgcore
from pgcore import PPO, REINFORCE
from pgcore.baselines import Baseline, Constant, ValueNetwork
from pgcore.io.checkpoint import read_checkpoint, write_checkpoint
from pgcore.policies import CategoricalPolicy, GaussianPolicy
from pgcore.rollout.sync_vector import SyncVectorEnv
from pgcore.training import Config
from support.sketch import BOX, Sketch, Still


class Mean(Baseline):
    """Says the mean of what it has been shown."""

    def __init__(self, scale=1.0):
        self.scale, self.mean = scale, 0.0

    def values(self, batch, returns):
        return np.full(batch.num_steps, self.scale * self.mean, returns.dtype)

    def fit(self, batch, targets):
        self.mean = float(np.mean(targets))
        return {}

    def config(self):
        return {**super().config(), "scale": self.scale}

    def state(self):
        return {"mean": np.array(self.mean)}

    def load_state(self, state):
        self.mean = float(state["mean"])


class Small(ValueNetwork):
    def __init__(self):
        super().__init__((4,), n_epochs=1)


class Cautious(CategoricalPolicy):
    """Fixes some of what its parent takes."""

    def __init__(self, obs_dim, num_actions, *, seed=0):
        super().__init__(obs_dim, num_actions, hidden=(4,), seed=seed)


def same(first, second):
    np.testing.assert_array_equal(first.policy.params, second.policy.params)
    obs = np.random.default_rng(0).normal(size=(20, first.policy.obs_dim))
    np.testing.assert_array_equal(
        first.predict(obs, deterministic=True)[0], second.predict(obs, deterministic=True)[0]
    )


@pytest.mark.parametrize("critic", [lambda: Mean(2.0), Small], ids=["Mean", "Small"])
def test_own_baselines_come_back(tmp_path, critic):
    model = REINFORCE("CartPole-v1", critic=critic(), n_steps=20).learn(100)
    loaded = pgcore.load(model.save(tmp_path / "model"), env="CartPole-v1")
    assert type(loaded.critic) is type(model.critic)
    assert loaded.critic.config() == model.critic.config()
    for name, array in model.critic.state().items():
        np.testing.assert_array_equal(loaded.critic.state()[name], array)
    loaded.learn(40, reset_num_timesteps=False)


def test_own_policies_come_back(tmp_path):
    class Local(GaussianPolicy):
        def mode(self, obs):
            return 2 * super().mode(obs)

    for env, policy in (("CartPole-v1", Cautious(4, 2)), ("Pendulum-v1", Local(3, 1, hidden=(4,)))):
        model = PPO(env, policy=policy, n_steps=16).learn(32)
        loaded = pgcore.load(model.save(tmp_path / "model"), env=env)
        assert type(loaded.policy) is type(policy)
        same(model, loaded)
        loaded.learn(16, reset_num_timesteps=False)


def test_a_class_of_the_same_name_is_another_class(tmp_path):
    real = pgcore.PPO
    shipped = real("CartPole-v1", n_steps=16, hidden=(4,)).save(tmp_path / "shipped")

    class PPO(REINFORCE):
        pass

    class CategoricalPolicy(Cautious):
        pass

    class Constant(Mean):
        pass

    mine = PPO("CartPole-v1", policy=CategoricalPolicy(4, 2), critic=Constant(), n_steps=20).learn(20)
    own = mine.save(tmp_path / "own")
    assert type(pgcore.load(shipped)) is type(real.load(shipped)) is real
    assert type(pgcore.load(shipped).policy) is pgcore.policies.CategoricalPolicy
    loaded = pgcore.load(own)
    assert [type(part) for part in (loaded, loaded.policy, loaded.critic)] == [
        PPO,
        CategoricalPolicy,
        Constant,
    ]
    with pytest.raises(ValueError, match=r"^path: expected a PPO checkpoint, got one of PPO in"):
        real.load(own)
    assert read_checkpoint(shipped)[0]["algorithm"] == "PPO"


def test_another_process_finds_what_it_can_import(tmp_path):
    (tmp_path / "mylab.py").write_text(
        textwrap.dedent(
            """
            import pgcore
            class Mine(pgcore.REINFORCE): pass
            class Policy(pgcore.policies.CategoricalPolicy): pass
            class Critic(pgcore.baselines.Constant): pass
            if __name__ == "__main__":
                import mylab
                for made in ((Mine, Policy, Critic), (mylab.Mine, mylab.Policy, mylab.Critic)):
                    model = made[0]("CartPole-v1", policy=made[1](4, 2), critic=made[2](1.0))
                    model.save(made[0].__module__.strip("_"))
            """
        )
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert run("mylab.py").returncode == 0
    done = run("-c", "import pgcore; print(type(pgcore.load('mylab').policy))")
    assert done.stdout == "<class 'mylab.Policy'>\n", done.stderr
    done = run("-c", "import pgcore; pgcore.load('main')")
    assert "got '__main__:Mine'; run or import what defines Mine in __main__ first" in done.stderr
    done = run(
        "-c", "import pgcore; exec(open('mylab.py').read().split('if')[0]); print(pgcore.load('main'))"
    )
    assert "Mine object" in done.stdout, done.stderr


def test_files_of_earlier_versions_call_classes_by_their_names(tmp_path):
    model = Sketch("CartPole-v1", policy=Cautious(4, 2)).learn(16)
    metadata, arrays = read_checkpoint(model.save(tmp_path / "model"))
    metadata = {**metadata, "algorithm": "Sketch", "policy": {**metadata["policy"], "kind": "Cautious"}}
    loaded = pgcore.load(write_checkpoint(tmp_path / "old", metadata, arrays))
    assert (type(loaded), type(loaded.policy)) == (Sketch, Cautious)


@pytest.mark.parametrize(
    "kind", ["os:system", "nowhere:Policy", "pgcore.data.batch:Batch", "numpy:ndarray", ":", 3, None]
)
def test_other_names_are_refused(kind):
    for make, shipped in (
        (pgcore.policies.from_config, "GaussianPolicy"),
        (pgcore.baselines.from_config, "Constant"),
    ):
        with pytest.raises(ValueError, match=rf"^kind: expected one of .*{shipped}.*, got {kind!r}"):
            make({"kind": kind})


def test_what_could_not_be_made_again_is_refused_at_once():
    class Forgets(Mean):  # its own argument
        def __init__(self, scale=1.0, power=2):
            super().__init__(scale)

    class Passes(Mean):  # its own argument, beside whatever its parent takes
        def __init__(self, *, power=2, **others):
            super().__init__(**others)

    class Changes(Constant):  # what it is given
        def __init__(self, c):
            super().__init__(2 * c)

    class Needs(Constant):  # an object that is in no file
        def __init__(self, network):
            super().__init__(0.0)

    for critic, message in (
        (
            Forgets(),
            r"critic: expected config\(\) to have every argument of Forgets\(...\), got none for power",
        ),
        (
            Passes(power=3),
            r"critic: expected config\(\) to have every argument of Passes\(...\), got none for power",
        ),
        (Changes(1.0), r"critic: expected one whose config\(\) has the arguments of Changes\(...\)"),
        (Needs(object()), r"critic: expected one whose config\(\) has the arguments of Needs\(...\)"),
        (Mean(np.ones(2)), r"critic: expected one whose config\(\) has the arguments of Mean\(...\)"),
        (Mean(print), r"critic: expected one whose config\(\) has the arguments of Mean\(...\)"),
    ):
        with pytest.raises((TypeError, ValueError), match="^" + message):
            REINFORCE("CartPole-v1", critic=critic)

    class Warm(CategoricalPolicy):
        def __init__(self, *sizes, temperature=1.0, **others):
            super().__init__(*sizes, **others)

    with pytest.raises(ValueError, match=r"^policy: expected config\(\) .*, got none for temperature"):
        REINFORCE("CartPole-v1", policy=Warm(4, 2, temperature=2.0))

    class Wide(CategoricalPolicy):
        def __init__(self, obs_dim, num_actions, width):
            super().__init__(obs_dim, num_actions, hidden=(width,))

    with pytest.raises(ValueError, match=r"^policy: expected one whose config\(\) has the arguments of Wide"):
        REINFORCE("CartPole-v1", policy=Wide(4, 2, 8))

    class Remembers(Sketch):
        def __init__(self, env, **arguments):
            self.rate = 0.1
            super().__init__(env, **arguments)

        def setup(self):
            super().setup()
            self.twice = 2 * self.rate

    with pytest.raises(ValueError, match=r"^Remembers: expected a class that `load` can make again, got"):
        Remembers("CartPole-v1")


@dataclass(frozen=True)
class OddConfig(Config):
    n_steps: int = 16
    sizes: tuple[int, ...] = (1, 2)
    rule: object = None
    directory: object = field(default=None)


class Odd(Sketch):
    config_class = OddConfig

    def update(self, batch):
        return {}


def test_odd_settings_come_back_or_are_refused(tmp_path):
    model = Odd("CartPole-v1", sizes=[3, np.int64(4)], n_steps=np.int32(8)).learn(8)
    loaded = pgcore.load(model.save(tmp_path / "model"))
    assert loaded.config == model.config
    assert loaded.config.sizes == (3, 4)
    for name, value in (
        ("rule", print),
        ("rule", np.float32(1.5)),
        ("directory", Path("x")),
        ("rule", {1: 2}),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: expected what a JSON file can hold, got "):
            Odd("CartPole-v1", **{name: value})
    with pytest.raises(TypeError, match=r"^learning_rate: expected float, got "):
        REINFORCE("CartPole-v1", learning_rate=lambda progress: progress)
    with pytest.raises(ValueError, match=r"^activation: expected one of tanh"):
        REINFORCE("CartPole-v1", activation=np.tanh)
    with pytest.raises(ValueError, match=r"^form: expected one of 'trajectory', 'reward_to_go', got array"):
        REINFORCE("CartPole-v1", form=np.array(["trajectory"]))


def test_numpy_scalars_are_settings_like_others(tmp_path):
    model = REINFORCE(
        "CartPole-v1",
        seed=np.int64(3),
        num_envs=np.int32(2),
        hidden=np.array([4]),
        activation=np.str_("relu"),
        form=np.str_("trajectory"),
        learning_rate=np.float32(0.5),
        n_steps=np.uint8(20),
        normalize_observations=np.True_,
    ).learn(40)
    loaded = pgcore.load(model.save(tmp_path / "model"))
    assert loaded.config == model.config
    assert (loaded.seed, loaded.num_envs, loaded.hidden) == (3, 2, (4,))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({0: BOX, 1: spaces.Discrete(3)}),
        spaces.Dict({np.int64(4): BOX, 2: spaces.Dict({-1: BOX})}),
        type("Mine", (spaces.Box,), {})(-1, 1, (3,)),
    ],
    ids=["integers", "NumPy's", "subclass"],
)
def test_odd_spaces_come_back(tmp_path, space):
    model = Sketch(Still(space, spaces.Discrete(2)), hidden=(4,)).learn(16)
    loaded = Sketch.load(model.save(tmp_path / "model"), Still(space, spaces.Discrete(2)))
    assert loaded.observation_space == space
    loaded.learn(16)


class Particular(spaces.Box):
    __hash__ = None

    def __eq__(self, other):
        return type(other) is Particular and super().__eq__(other)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({(0, 1): BOX}),
        spaces.Dict({1.5: BOX}),
        spaces.Tuple([spaces.Dict({None: BOX})]),
        spaces.Text(3),
        spaces.Sequence(BOX),
        spaces.Graph(BOX, None),
        spaces.OneOf([BOX, spaces.Discrete(2)]),
        Particular(-1, 1, (3,)),
    ],
    ids=str,
)
def test_spaces_that_no_file_can_hold_are_refused_when_the_model_is_made(space):
    with pytest.raises(ValueError, match=r"^observation_space: "):
        Sketch(Still(space, spaces.Discrete(2)))


def test_the_environment_of_a_refused_model_is_closed_if_it_is_ours(monkeypatch):
    closed = []
    monkeypatch.setattr(SyncVectorEnv, "close_extras", lambda self, **_: closed.append(self))
    with pytest.raises(ValueError, match=r"^activation"):
        REINFORCE("CartPole-v1", activation="sin")
    assert len(closed) == 1
    env = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"^activation"):
        REINFORCE(env, activation="sin")
    env.reset()
