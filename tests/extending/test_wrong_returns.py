"""What a class of the user's returns and does not fit is refused by its method's name, never broadcast."""

from __future__ import annotations

import pickle

import gymnasium as gym
import numpy as np
import pytest

import pgcore
from pgcore import NPG, PPO, REINFORCE, Batch, OffPolicyPG
from pgcore.baselines import Baseline
from pgcore.estimators import off_policy_gradient, policy_gradient
from pgcore.policies import CategoricalPolicy, GaussianPolicy, check_policy
from pgcore.rollout import Collector, Rollout, Sampler, make_vector_env
from pgcore.training import Algorithm, Config
from pgcore.values import ValueFunction
from support.own_families import RunningSum, SquashedGaussian

RECALL = "pgcore.envs:pgcore/Recall-v0"
OBS = np.random.default_rng(0).normal(size=(4, 2))


def changed(base, name, change):
    """A class whose method ``name`` returns what ``change`` makes of the right result."""

    def method(self, *args, **kwargs):
        return change(getattr(base, name)(self, *args, **kwargs))

    return type(f"Changed_{name}", (base,), {name: method})


def recorded(num_steps=8, **fields):
    ends = np.arange(num_steps) == num_steps - 1
    arrays = {
        "obs": np.zeros((num_steps, 4)),
        "actions": np.arange(num_steps) % 2,
        "rewards": np.ones(num_steps),
    }
    return Batch(**{**arrays, "ends": ends, **fields})


# ---- policies ----

WRONG = [
    ("log_prob", lambda r: r[:, None], ValueError, r"expected shape \(3,\), got \(3, 1\)"),
    ("log_prob", lambda r: r[:1], ValueError, r"expected shape \(3,\), got \(1,\)"),
    ("log_prob", list, TypeError, "expected an array of float32 or float64, got list"),
    ("score_product", lambda r: r[:-1], ValueError, r"expected shape \(6,\), got \(5,\)"),
    ("score_product", lambda r: r[:, None], ValueError, r"expected shape \(6,\), got \(6, 1\)"),
    ("score_product", lambda r: None, TypeError, "expected an array of float32 or float64, got NoneType"),
    ("act", lambda r: r[:1], ValueError, r"expected actions of shape \(3,\), got \(1,\)"),
    ("act", lambda r: r + 0.5, TypeError, "expected integers as actions, got float64"),
    ("act", lambda r: r + 2, ValueError, "expected actions from 0 to 1, got [23]"),
    ("act", lambda r: r[:, None], ValueError, r"expected actions of shape \(3,\), got \(3, 1\)"),
    ("mode", lambda r: r - 2, ValueError, "expected actions from 0 to 1, got -[12]"),
    ("mode", lambda r: None, ValueError, r"expected actions of shape \(3,\), got \(\)"),
    ("initial_state", lambda r: r[:1], ValueError, r"expected shape \(3, \.\.\.\), got \(1, 2\)"),
    ("initial_state", lambda r: None, TypeError, "expected an array to be written to, got NoneType"),
]


@pytest.mark.parametrize(("name", "change", "error", "message"), WRONG)
def test_an_algorithm_refuses_a_policy_whose_method_returns_what_does_not_fit(name, change, error, message):
    policy = changed(RunningSum, name, change)(2, 2)
    with pytest.raises(error, match=f"^{name}: {message}"):
        REINFORCE(RECALL, policy=policy)


class Late(RunningSum):
    """Goes wrong after training has begun."""

    wrong = staticmethod(lambda actions: actions)

    def act(self, obs, noise, state=None):
        return type(self).wrong(super().act(obs, noise, state))


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
def test_wrong_actions_are_refused_at_every_step_of_a_rollout_and_in_predict(mode, monkeypatch):
    env = gym.make_vec(RECALL, 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
    model = REINFORCE(env, policy=Late(2, 2), n_steps=64).learn(192)
    seen = 0

    def wrong(actions):
        nonlocal seen
        seen += 1
        return actions[:1] if seen == 50 else actions

    monkeypatch.setattr(Late, "wrong", staticmethod(wrong))
    with pytest.raises(ValueError, match=r"^act: expected actions of shape \(3,\), got \(1,\)"):
        model.learn(192)
    monkeypatch.setattr(Late, "wrong", staticmethod(lambda actions: actions + 0.5))
    with pytest.raises(TypeError, match=r"^act: expected integers as actions, got float64"):
        model.predict(model.observation_space.sample())


def test_log_probs_that_are_not_finite_are_refused():
    policy = changed(RunningSum, "log_prob", lambda r: r * np.nan)(2, 2)
    with pytest.raises(FloatingPointError, match=r"^log_prob: expected finite numbers for the policy's own"):
        REINFORCE(RECALL, policy=policy).learn(10)


def test_the_policy_is_blamed_for_its_first_action_that_is_not_finite():
    # Whole episodes longer than the first 128 steps, and an environment that goes on with NaN.
    policy = changed(SquashedGaussian, "act", lambda r: r * np.nan)(3, 1)
    env = make_vector_env("Pendulum-v1", num_envs=2)
    with pytest.raises(
        FloatingPointError, match=r"^policy: expected finite actions, got nan in environment 0 at step 0"
    ):
        Collector(env, policy, rng=np.random.default_rng(0)).collect(10, whole_episodes=True)


def test_a_derived_class_of_a_compiled_family_acts_by_its_own_act():
    class Always(CategoricalPolicy):
        def act(self, obs, noise, state=None):
            return np.ones(len(obs), np.int64)

    policy = Always(4, 2)
    env = make_vector_env("CartPole-v1", num_envs=2)
    batch = Collector(env, policy, rng=np.random.default_rng(0)).collect(20)
    assert (batch.actions == 1).all()
    assert (policy.sample(batch.obs, np.random.default_rng(0))[0] == 1).all()


def test_numpy_integers_of_a_space_are_integers():
    n = gym.make(RECALL).action_space.n
    assert isinstance(n, np.integer)
    policy = RunningSum(2, n)
    assert policy.nvec == (2,)
    assert type(policy.nvec[0]) is type(policy.config()["num_actions"]) is int
    REINFORCE(RECALL, policy=policy).learn(10)


def test_check_policy_compares_the_score_with_differences_of_log_prob():
    for policy in (SquashedGaussian(2, 1), RunningSum(2, 3), GaussianPolicy(2, 3), CategoricalPolicy(2, 3)):
        policy.params = np.random.default_rng(1).normal(0, 0.5, policy.num_params)
        check_policy(policy, OBS, derivatives=True)
    for base in (SquashedGaussian, RunningSum):
        wrong = changed(base, "score_product", lambda r: 1.01 * r + 0.01)(2, 3)
        check_policy(wrong, OBS)
        with pytest.raises(ValueError, match=r"^score_product: expected the derivative of log_prob"):
            check_policy(wrong, OBS, derivatives=True)


def test_a_policy_over_the_reference_network_can_be_pickled():
    policy = RunningSum(2, 3, seed=4)
    again = pickle.loads(pickle.dumps(policy))
    np.testing.assert_array_equal(again.log_prob(OBS, [0, 1, 2, 0]), policy.log_prob(OBS, [0, 1, 2, 0]))


# ---- value functions and baselines ----


class Zero(ValueFunction):
    predicted = staticmethod(lambda obs: np.zeros(len(obs)))
    measured = staticmethod(dict)

    def predict(self, obs):
        return type(self).predicted(obs)

    def fit(self, obs, targets):
        return type(self).measured()


@pytest.mark.parametrize("algorithm", [REINFORCE, PPO])
def test_a_critic_that_returns_what_does_not_fit_is_refused(algorithm, monkeypatch):
    def learn():
        algorithm("CartPole-v1", critic=Zero(), n_steps=16).learn(16)

    monkeypatch.setattr(Zero, "predicted", staticmethod(lambda obs: 0.0))
    with pytest.raises(ValueError, match=r"^predict: expected shape \(\d+,\), got \(\)"):
        learn()
    monkeypatch.setattr(Zero, "predicted", staticmethod(lambda obs: np.zeros(len(obs), complex)))
    with pytest.raises(TypeError, match=r"^predict: expected float32 or float64"):
        learn()
    monkeypatch.setattr(
        Zero, "predicted", staticmethod(lambda obs: [0.0] * len(obs))
    )  # any array-like will do
    learn()
    for measured in (None, 1.0):
        monkeypatch.setattr(Zero, "measured", staticmethod(lambda m=measured: m))
        with pytest.raises(TypeError, match=r"^fit: expected a dictionary of numbers for the log, got"):
            learn()
    for value in ("text", np.zeros(3)):
        monkeypatch.setattr(Zero, "measured", staticmethod(lambda v=value: {"loss": v}))
        with pytest.raises(
            TypeError, match=r"^update: expected numbers by their names for the log, got 'loss': "
        ):
            learn()


class Given(Baseline):
    """Returns what it was given as `values` or `bootstrap_values`."""

    needs_whole_episodes = False

    def __init__(self, name="values", change=None):
        self.name, self.change = name, change

    def config(self):
        return {**super().config(), "name": self.name, "change": None}

    def values(self, batch, returns):
        return self.change(returns) if self.name == "values" else np.zeros(len(returns))

    def bootstrap_values(self, batch):
        return self.change(batch.rewards) if self.name != "values" else np.zeros(len(batch.rewards))


@pytest.mark.parametrize("name", ["values", "bootstrap_values"])
@pytest.mark.parametrize(
    ("change", "got"),
    [(lambda r: r[:1], r"\(1,\)"), (lambda r: r[:, None], r"\(8, 1\)"), (lambda r: 0.0, r"\(\)")],
)
def test_a_baseline_of_another_shape_is_not_broadcast(name, change, got):
    batch = recorded(log_probs=np.zeros(8))
    policy = CategoricalPolicy(4, 2)
    for estimate in (policy_gradient, lambda *a, **k: off_policy_gradient(*a, form="per_decision", **k)):
        with pytest.raises(ValueError, match=rf"^{name}: expected shape \(8,\), got {got}"):
            estimate(policy, batch, baseline=Given(name, change))


@pytest.mark.parametrize("name", ["values", "bootstrap_values"])
@pytest.mark.parametrize("algorithm", [REINFORCE, NPG, OffPolicyPG])
def test_an_algorithm_refuses_such_a_baseline(algorithm, name):
    model = algorithm("CartPole-v1", critic=Given(name, lambda r: r[:, None]), n_steps=16)
    with pytest.raises(ValueError, match=rf"^{name}: expected shape \((\d+),\)( or \(\))?, got \(\1, 1\)"):
        model.learn(16)


# ---- samplers and algorithms ----


class Fixed(Sampler):
    def __init__(self, rollout):
        self.rollout = rollout

    def collect(self, policy, n_steps, *, whole_episodes=False):
        return self.rollout


@pytest.mark.parametrize(
    ("rollout", "error", "message"),
    [
        (recorded(), TypeError, "sampler: expected collect to return a Rollout, got Batch"),
        (None, TypeError, "sampler: expected collect to return a Rollout, got NoneType"),
        (
            Rollout(recorded(obs=np.zeros((8, 3)))),
            ValueError,
            r"sampler: expected obs of shape \(8, 4\), got",
        ),
        (
            Rollout(recorded(actions=np.full(8, 5))),
            ValueError,
            r"sampler: expected actions from 0 to 1, got 5",
        ),
        (Rollout(recorded(obs=np.full((8, 4), np.nan))), ValueError, "sampler: expected finite obs"),
        (
            Rollout(Batch(np.zeros((0, 4)), [], [], []), num_env_steps=4),
            ValueError,
            "sampler: expected at least one",
        ),
    ],
)
def test_what_a_sampler_collects_must_fit_the_spaces(rollout, error, message):
    model = REINFORCE("CartPole-v1", sampler=Fixed(rollout))
    with pytest.raises(error, match=f"^{message}"):
        model.learn(1)
    assert model.num_timesteps == 0


def test_a_rollout_checks_what_it_is_made_of():
    with pytest.raises(TypeError, match=r"^batch: expected a pgcore.Batch, got list"):
        Rollout([])
    with pytest.raises(ValueError, match=r"^episode_returns: expected shape \(1,\), got \(2,\)"):
        Rollout(recorded(), episode_returns=[1.0, 2.0], episode_lengths=[1])
    rollout = Rollout(recorded(), np.ones(1, np.float32), np.full(1, 8))
    assert rollout.episode_returns == [1.0]
    assert type(rollout.episode_lengths[0]) is int


def test_a_sampler_that_could_not_be_resumed_is_refused_at_once():
    class NoCollect(Sampler):
        pass

    class NoLoadState(Fixed):
        def state(self):
            return {"place": np.array(1)}

    class Text(NoLoadState):
        def state(self):
            return {"place": object()}

        def load_state(self, state): ...

    with pytest.raises(TypeError, match=r"abstract method '?collect"):
        NoCollect()
    with pytest.raises(TypeError, match=r"^sampler: expected a pgcore.rollout.Sampler or None, got <class"):
        REINFORCE("CartPole-v1", sampler=Fixed)
    with pytest.raises(TypeError, match=r"^sampler: expected load_state to go with state, got NoLoadState"):
        REINFORCE("CartPole-v1", sampler=NoLoadState(Rollout(recorded())))
    with pytest.raises(TypeError, match=r"^sampler/place: expected state\(\) to return an array of numbers"):
        REINFORCE("CartPole-v1", sampler=Text(Rollout(recorded()))).learn(1)


def test_a_loaded_model_learns_from_a_sampler_without_an_environment(tmp_path):
    model = REINFORCE("CartPole-v1", sampler=Fixed(Rollout(recorded()))).learn(8)
    loaded = pgcore.load(model.save(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"^sampler: expected one like the model was trained with, got none"):
        loaded.learn(1)
    loaded.set_sampler(Fixed(Rollout(recorded())))
    loaded.learn(8, reset_num_timesteps=False)
    np.testing.assert_array_equal(
        loaded.policy.params, model.learn(8, reset_num_timesteps=False).policy.params
    )
    loaded.close()
    with pytest.raises(ValueError, match=r"^sampler: expected one like the model was trained with, got none"):
        loaded.learn(1)


def test_what_update_returns_goes_to_the_log():
    class Mine(Algorithm[Config]):
        returned = None

        def update(self, batch):
            return self.returned

    with pytest.raises(TypeError, match=r"^update: expected a dictionary of numbers for the log, got None"):
        Mine("CartPole-v1").learn(1)
    Mine.returned = {"flag": np.bool_(True), "count": 3, "loss": np.float32(0.5)}
    assert Mine("CartPole-v1").learn(1).logs["train/loss"] == 0.5
