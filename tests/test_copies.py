"""Everything a user holds copies and pickles into an equal that is independent: one line for each class."""

from __future__ import annotations

import copy
import enum
import functools
import importlib
import inspect
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest

import pgcore
from pgcore import Batch, baselines, envs, estimators, kernels, policies, rollout, training, values
from pgcore.algorithms.ppo import AdaptiveCoefficient
from pgcore.data import Demonstrations, Replay
from pgcore.optim import LineSearch, LineSearchReason, ScoreAscent, SurrogateAscent, SurrogateReport

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def batch_of(num_steps: int = 60, *, choices: int = 0, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    ends = np.arange(num_steps) % 20 == 19
    return Batch(
        5 + 3 * rng.normal(size=(num_steps, 3)),
        rng.integers(choices, size=num_steps) if choices else rng.normal(size=(num_steps, 2)),
        rng.normal(size=num_steps),
        ends,
        terminated=ends & (np.arange(num_steps) > 20),
        bootstrap_obs=rng.normal(size=(num_steps // 20, 3)),
        log_probs=rng.normal(size=num_steps) - 2,
    )


BATCH = batch_of()
OBS = BATCH.obs


def normalizer() -> policies.ObservationNormalizer:
    made = policies.ObservationNormalizer(3, clip=4.0)
    made.update(OBS)
    return made


# ---- what is seen of an object, and how it is used ----


def state_of(x: Any) -> Any:
    return x.state()


def fields_of(x: Any) -> Any:
    return {name: getattr(x, name) for name in getattr(x, "_fields", None) or vars(x)}


class Case(NamedTuple):
    """How to make an object, what is seen of it, and what changes it (None: nothing can)."""

    make: Callable[[], Any]
    observe: Callable[[Any], Any]
    use: Callable[[Any], Any] | None = None
    ways: tuple[str, ...] = tuple(WAYS)


def policy_case(family: type[policies.Policy], *arguments: Any, **options: Any) -> Case:
    def make() -> policies.Policy:
        policy = family(3, *arguments, hidden=(5,), seed=2, **options)
        policy.normalizer = normalizer()
        policy.mode(OBS)  # its kernels hold the statistics
        return policy

    def observe(policy: policies.Policy) -> Any:
        actions, log_probs = policy.sample(OBS, np.random.default_rng(0))
        return [policy.params, actions, log_probs, policy.entropy(OBS), policy.config(), policy.dtype]

    def use(policy: policies.Policy) -> None:
        assert policy.normalizer is not None
        policy.normalizer.update(OBS**2)
        policy.params = policy.params * 1.1

    return Case(make, observe, use)


def baseline_case(make: Callable[[], baselines.Baseline]) -> Case:
    def made() -> baselines.Baseline:
        baseline = make()
        baseline.normalizer = normalizer()
        baseline.fit(BATCH, BATCH.rewards)
        return baseline

    def observe(baseline: baselines.Baseline) -> Any:
        state = [baseline.config(), baseline.state()]
        if isinstance(baseline, baselines.OptimalBaseline):
            return state
        return [*state, baseline.values(BATCH, BATCH.rewards), baseline.bootstrap_values(BATCH)]

    def use(baseline: baselines.Baseline) -> None:
        assert baseline.normalizer is not None
        baseline.normalizer.update(OBS**2)
        baseline.fit(BATCH, 3 * BATCH.rewards + 1)

    return Case(made, observe, use)


def value_network() -> values.ValueNetwork:
    made = values.ValueNetwork((5,), seed=3, n_epochs=2)
    made.normalizer = normalizer()
    made.fit(OBS, BATCH.rewards)
    return made


def fisher() -> policies.Fisher:
    policy = policies.GaussianPolicy(3, 2, hidden=(5,), seed=2)
    policy.normalizer = normalizer()
    made = policy.fisher(OBS, BATCH.actions, kind="empirical", damping=0.1, num_samples=40)
    policy.normalizer.update(OBS**2)  # it is the operator of before
    policy.params = policy.params + 1
    return made


def seen_of_fisher(operator: policies.Fisher) -> Any:
    v = np.linspace(-1, 1, operator.shape[0])
    solutions = [operator.solve(v, method=method).x for method in ("cg", "dense", "gram")]
    return [repr(operator), operator.cached, operator @ v, operator.diagonal(), *solutions]


def change_fisher(operator: policies.Fisher) -> None:
    operator.damping *= 2


def ascent(kind: type[SurrogateAscent | ScoreAscent] = SurrogateAscent) -> SurrogateAscent | ScoreAscent:
    policy = policies.GaussianPolicy(3, 2, hidden=(5,), seed=2)
    policy.normalizer = normalizer()
    made = kind(policy)
    climb(made)
    return made


def climb(made: SurrogateAscent | ScoreAscent) -> None:
    arguments = OBS, BATCH.actions, BATCH.rewards, BATCH.log_probs, np.arange(60)
    made.epoch(*arguments, learning_rate=1e-3, normalize_advantage=True)


def adam() -> training.Adam:
    made = training.Adam(beta1=0.8)
    made.ascend(np.zeros(3), np.array([1.0, -2.0, 3.0]), 0.1)
    return made


def play_on(collector: rollout.Collector) -> None:
    collector.collect(7)


def collector() -> rollout.Collector:
    env = rollout.make_vector_env("CartPole-v1", num_envs=3, seed=0)
    made = rollout.Collector(env, policies.CategoricalPolicy(4, 2, seed=1), rng=np.random.default_rng(3))
    made.collect(11)  # inside of episodes
    return made


def seen_of_collector(made: rollout.Collector) -> Any:
    """What comes next, from a copy whose independence the test itself looks at."""
    twin = copy.deepcopy(made)
    return [batch_fields(twin.collect(40)), twin.episode_returns, twin.rng.bit_generator.state]


def batch_fields(batch: Batch) -> Any:
    return [getattr(batch, name) for name in pgcore.data.batch.FIELDS]


def sampler() -> rollout.LocalSampler:
    env = rollout.make_vector_env("CartPole-v1", num_envs=3, seed=0)
    made = rollout.LocalSampler(env, rng=np.random.default_rng(3))
    made.begin_episodes(8)
    play(made)
    return made


def play(made: rollout.LocalSampler, n_steps: int = 11) -> Batch:
    return made.collect(policies.CategoricalPolicy(4, 2, seed=1), n_steps).batch


def seen_of_sampler(made: rollout.LocalSampler) -> Any:
    twin = copy.deepcopy(made)
    return [batch_fields(play(twin, 40)), twin.rng.bit_generator.state]


def recorded() -> rollout.RecordedSampler:
    return rollout.RecordedSampler(Demonstrations(BATCH, 0.3, seed=2), position=3)


def stepper() -> rollout.VectorStepper:
    made = rollout.VectorStepper(rollout.make_vector_env("CartPole-v1", num_envs=2, seed=0))
    made.reset(np.empty((2, 4)), seed=1)
    return made


def push(made: rollout.VectorStepper) -> Any:
    out = np.empty((2, 4))
    for _ in range(30):
        made.step(np.array([0, 1]), out)
    return out


def env_case(make: Callable[[], gym.Env[Any, Any]], action: Any) -> Case:
    def started() -> gym.Env[Any, Any]:
        env = make()
        env.reset(seed=3)
        return env

    def use(env: gym.Env[Any, Any]) -> Any:
        env.reset()  # from its own generator
        return [*env.step(action)[:4], env.unwrapped.np_random.bit_generator.state]

    return Case(started, lambda env: use(copy.deepcopy(env)), use, ways=("deepcopy", "pickle"))


def replay() -> Replay:
    made = Replay(2)
    made.add(BATCH)
    return made


def closed_logger(directory: str) -> training.CSVLogger:
    path = Path(directory) / "progress.csv"
    made = training.CSVLogger(path, resume_at=0)
    made.write({"time/total_timesteps": 1.0})
    made.close()
    return made


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


GAUSSIAN: Any = {"hidden": (5,), "seed": 2}
CASES: dict[str, Case] = {
    "pgcore.Batch": Case(batch_of, batch_fields),
    "pgcore.kernels.MLP": Case(
        lambda: kernels.MLP([3, 4, 2], "gelu", "float64"),
        lambda net: [net.sizes, net.dtype, net.forward(net.init(0), OBS)],
    ),
    "pgcore.kernels.CGResult": Case(
        lambda: kernels.conjugate_gradient(np.diag([1.0, 2.0]), np.ones(2)), fields_of
    ),
    "pgcore.policies.GaussianPolicy": policy_case(policies.GaussianPolicy, 2, covariance="full"),
    "pgcore.policies.CategoricalPolicy": policy_case(policies.CategoricalPolicy, 4, dtype="float64"),
    "pgcore.policies.MultiDiscretePolicy": policy_case(policies.MultiDiscretePolicy, [2, 3]),
    "pgcore.policies.MultiBinaryPolicy": policy_case(policies.MultiBinaryPolicy, 3, activation="relu"),
    "pgcore.policies.ObservationNormalizer": Case(
        normalizer, lambda x: [x.state(), x.normalize(OBS), x.normalize(OBS[0])], lambda x: x.update(OBS**2)
    ),
    "pgcore.optim.ScoreAscent": Case(
        lambda: ascent(ScoreAscent), lambda x: [x.state(), x.policy.params], climb
    ),
    "pgcore.optim.SurrogateAscent": Case(ascent, lambda x: [x.state(), x.policy.params], climb),
    "pgcore.optim.SurrogateReport": Case(
        lambda: SurrogateReport(1, False, 0.5, 0.7, 0.01, 0.2, 1.5), fields_of
    ),
    "pgcore.curvature.Fisher": Case(fisher, seen_of_fisher, change_fisher),
    "pgcore.baselines.AverageReturn": baseline_case(lambda: baselines.AverageReturn(leave_one_out=False)),
    "pgcore.baselines.Constant": baseline_case(lambda: baselines.Constant(3.0)),
    "pgcore.baselines.LinearFeatures": baseline_case(lambda: baselines.LinearFeatures(ridge=1e-3)),
    "pgcore.baselines.OptimalPerComponent": baseline_case(baselines.OptimalPerComponent),
    "pgcore.baselines.OptimalScalar": baseline_case(baselines.OptimalScalar),
    "pgcore.baselines.TimeDependent": baseline_case(baselines.TimeDependent),
    "pgcore.baselines.ValueNetwork": baseline_case(lambda: baselines.ValueNetwork((5,), seed=3, n_epochs=2)),
    "pgcore.baselines.ValueBaseline": baseline_case(
        lambda: baselines.ValueBaseline(values.ValueNetwork((5,), seed=3, n_epochs=2))
    ),
    "pgcore.values.ValueNetwork": Case(
        value_network,
        lambda x: [x.config(), x.state(), x.predict(OBS)],
        lambda x: [x.normalizer.update(OBS**2), x.fit(OBS, 3 * BATCH.rewards)],
    ),
    "pgcore.rollout.ActionAdapter": Case(
        lambda: rollout.ActionAdapter(gym.spaces.Box(-1, 1, (2,))), lambda x: x.to_env(3 * BATCH.actions)
    ),
    "pgcore.rollout.ObservationAdapter": Case(
        lambda: rollout.ObservationAdapter(gym.spaces.Box(-9, 9, (3, 1))), lambda x: x(OBS[:, :, None])
    ),
    "pgcore.rollout.Collector": Case(collector, seen_of_collector, play_on),
    "pgcore.rollout.LocalSampler": Case(sampler, seen_of_sampler, play),
    "pgcore.rollout.RecordedSampler": Case(
        recorded,
        lambda x: [x.state(), batch_fields(copy.deepcopy(x).collect(None, 70).batch)],
        lambda x: x.collect(None, 9),
    ),
    "pgcore.rollout.Rollout": Case(
        lambda: rollout.Rollout(BATCH, [1.0, 2.0], [3, 4]),
        lambda x: [batch_fields(x.batch), x.episode_returns, x.episode_lengths, x.num_env_steps],
    ),
    "pgcore.rollout.VectorStepper": Case(stepper, lambda x: push(copy.deepcopy(x)), push),
    "pgcore.estimators.GradientEstimate": Case(
        lambda: estimators.policy_gradient(policies.GaussianPolicy(3, 2, **GAUSSIAN), BATCH), fields_of
    ),
    "pgcore.estimators.OffPolicyGradientEstimate": Case(
        lambda: estimators.off_policy_gradient(
            policies.GaussianPolicy(3, 2, **GAUSSIAN), BATCH, form="trajectory", on_low_ess="ignore"
        ),
        fields_of,
    ),
    "pgcore.estimators.ReturnEstimate": Case(
        lambda: estimators.importance_weighted_return(
            policies.GaussianPolicy(3, 2, **GAUSSIAN), BATCH, on_low_ess="ignore"
        ),
        fields_of,
    ),
    "pgcore.envs.LQR": env_case(envs.LQR, np.array([0.1], np.float32)),
    "pgcore.envs.LQRVector": env_case(lambda: envs.LQRVector(2), np.array([[0.1], [0.2]], np.float32)),
    "pgcore.envs.HideObservations": env_case(
        lambda: envs.HideObservations(gym.make("CartPole-v1"), keep=[0, 2]), 1
    ),
    "pgcore.envs.Recall": env_case(envs.Recall, 1),
    "pgcore.optim.SGD": Case(training.SGD, state_of),
    "pgcore.optim.LineSearch": Case(
        lambda: LineSearch(np.ones(2), LineSearchReason.KL, 3, 0.1, 0.2), lambda x: x._asdict()
    ),
    "pgcore.optim.Adam": Case(
        adam, lambda x: [x.state(), vars(x)], lambda x: x.ascend(np.zeros(3), np.ones(3), 0.1)
    ),
    "pgcore.training.Spaces": Case(
        lambda: training.Spaces(gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(3)),
        lambda x: [x.observation, x.action, x.obs_dim],
    ),
    "pgcore.training.TrainingState": Case(
        lambda: training.TrainingState(np.random.SeedSequence(1)),
        state_of,
        lambda x: [x.count(3, episode_returns=[1.0], episode_lengths=[3]), x.rng.random()],
    ),
    "pgcore.callbacks.CheckpointCallback": Case(
        lambda: training.CheckpointCallback("model.npz", 10), lambda x: [x.path, x.save_freq]
    ),
    "pgcore.loggers.CSVLogger": Case(lambda: closed_logger("."), lambda x: x.path),
    "Replay": Case(
        replay,
        lambda x: [x.state(), x.batches.maxlen],
        lambda x: x.add(BATCH.replace(rewards=-BATCH.rewards)),
    ),
    "AdaptiveCoefficient": Case(lambda: AdaptiveCoefficient(0.5), state_of, lambda x: x.adapt(1.0, 0.1)),
}

# Nothing of these is ever held, or nothing may be copied.
LEFT_OUT = {
    "pgcore.loggers.ConsoleLogger": "belongs to a terminal; refuses",
    "pgcore.callbacks.ProgressBar": "belongs to a terminal; refuses",
    "pgcore.estimators.EffectiveSampleSizeWarning": "a warning",
    "pgcore.rollout.FaultyEnvironmentError": "an exception",
    "pgcore.rollout.WorkerError": "an exception",
    "pgcore.training.Config": "every model's is a subclass",
}

MODELS: dict[str, Callable[[], pgcore.training.Algorithm[Any]]] = {
    "PPO": lambda: pgcore.PPO(
        "CartPole-v1", num_envs=3, n_steps=50, target_kl=0.02, kl_coef=0.1, kl_adaptive=True, seed=4
    ),
    "TRPO": lambda: pgcore.TRPO("Pendulum-v1", n_steps=120, normalize_observations=True, seed=4),
    "NPG": lambda: pgcore.NPG(
        gym.make("CartPole-v1"), n_steps=90, critic=baselines.LinearFeatures(), fisher="empirical", seed=4
    ),
    "REINFORCE": lambda: pgcore.REINFORCE(
        "CartPole-v1", num_envs=2, n_steps=60, baseline="value_network", normalize_observations=True, seed=4
    ),
    "OffPolicyPG": lambda: pgcore.OffPolicyPG("CartPole-v1", num_envs=2, n_steps=60, n_batches=3, seed=4),
    "BehaviourCloning": lambda: pgcore.BehaviourCloning(
        envs.HideObservations(gym.make("CartPole-v1"), keep=[0, 1, 3]),
        demonstrations=batch_of(choices=2).replace(bootstrap_obs=None),
        validation_fraction=0.3,
        n_steps=60,
        seed=4,
    ),
}


def public_classes() -> Iterator[str]:
    """By where they are offered: what somebody can make, or is given."""
    seen: set[object] = {Batch}
    for name in (
        "kernels",
        "curvature",
        "optim",
        "policies",
        "values",
        "baselines",
        "rollout",
        "estimators",
        "envs",
        "io",
        "callbacks",
        "loggers",
        "training",
    ):
        module = importlib.import_module(f"pgcore.{name}")
        for exported in module.__all__:
            found = getattr(module, exported)
            if (
                inspect.isclass(found)
                and found not in seen
                and not inspect.isabstract(found)
                and not issubclass(found, enum.Enum)
                and not getattr(found, "_is_protocol", False)
            ):
                seen.add(found)
                yield f"pgcore.{name}.{exported}"
    yield "pgcore.Batch"


def test_every_public_class_is_here() -> None:
    abstract = {"pgcore.baselines.OptimalBaseline", "pgcore.training.Algorithm"}
    assert set(public_classes()) - abstract == {n for n in CASES if "." in n} | set(LEFT_OUT)
    assert set(MODELS) == set(pgcore.algorithms.__all__)


def assert_equal(one: Any, other: Any, path: str = "") -> None:
    assert type(one) is type(other), path
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        np.testing.assert_array_equal(one, other, err_msg=path)
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{path}[{i}]")
    else:
        assert one == other or (one != one and other != other), path


def differ(one: Any, other: Any) -> bool:
    try:
        assert_equal(one, other)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name, case in CASES.items() for way in case.ways], ids=str
)
def test_copies_are_equal_and_independent(name: str, way: str) -> None:
    make, observe, use, _ = CASES[name]
    original = make()
    before = copy.deepcopy(observe(original))
    other = WAYS[way](original)
    assert type(other) is type(original)
    assert_equal(observe(other), before)
    if use is None:
        return
    use(other)
    assert_equal(observe(original), before)  # unchanged
    after = copy.deepcopy(observe(other))
    if "Constant" not in name and "Average" not in name and "Time" not in name and "Optimal" not in name:
        assert differ(after, before)
    use(original)
    assert_equal(observe(original), after)  # the same happens to it
    assert_equal(observe(other), after)


# ---- models ----


def one_obs(model: Any) -> np.ndarray:
    return np.full(model.observation_space.shape, 0.1, model.observation_space.dtype)


def seen_of(model: Any) -> Any:
    scalars, arrays = pgcore.training.persistence.snapshot(model)
    action, _ = model.predict(one_obs(model), deterministic=True)
    return [scalars, arrays, model.config, np.asarray(action), model.predict_rng.bit_generator.state]


def learn(model: Any, num_steps: int = 200) -> Any:
    return model.learn(num_steps, reset_num_timesteps=False)


@every_way
@pytest.mark.parametrize("name", MODELS)
def test_a_copied_model_learns_as_the_original(name: str, way: Callable[[Any], Any]) -> None:
    model = learn(MODELS[name]())
    before = seen_of(model)
    other = way(model)
    assert_equal(seen_of(other), before)
    assert other.env is not model.env
    if model.critic is not None:
        assert other.critic.normalizer is other.policy.normalizer
        assert other.critic is not model.critic
    learn(other)
    other.predict(one_obs(other))
    assert_equal(seen_of(model), before)
    model.predict(one_obs(model))
    learn(model)
    assert_equal(seen_of(other), seen_of(model))
    numbers = [{k: v for k, v in m.logs.items() if not k.startswith("time/")} for m in (model, other)]
    assert_equal(*numbers)


@every_way
@pytest.mark.parametrize("name", MODELS)
def test_a_copied_model_without_an_environment(name: str, way: Callable[[Any], Any]) -> None:
    model = learn(MODELS[name]())
    env = model.env
    env.close()
    model.close()
    other = way(model)
    assert other.env is None
    assert_equal(seen_of(other), seen_of(model))


@every_way
def test_a_copy_of_a_loaded_model(way: Callable[[Any], Any], tmp_path: Path) -> None:
    path = learn(MODELS["PPO"]()).save(tmp_path / "model.npz")
    loaded = pgcore.load(path, env="CartPole-v1")
    other = way(loaded)
    assert_equal(seen_of(learn(other)), seen_of(learn(loaded)))
    assert_equal(seen_of(pgcore.load(other.save(tmp_path / "other"))), seen_of(other))


def test_models_act_alike_in_another_process() -> None:
    model = learn(MODELS["TRPO"]())
    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = copy.deepcopy(model).predict(obs)[0], model.critic.predict(obs)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        got = pool.apply(model.predict, (obs,))[0], pool.apply(model.critic.predict, (obs,))
    assert_equal(got, expected)


def own_attributes() -> policies.GaussianPolicy:
    class Noted(policies.GaussianPolicy):
        note: str

    made = Noted(3, 2)
    made.note = "mine"
    return made


def test_attributes_of_subclasses_are_kept() -> None:
    policy = own_attributes()
    assert policy.copy().note == copy.copy(policy).note == "mine"


class Counter(gym.Env[np.ndarray, int], gym.utils.EzPickle):
    """Pickles as its arguments, without the episode that is running in it, as MuJoCo's environments do."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, limit: int = 17) -> None:
        gym.utils.EzPickle.__init__(self, limit)
        self.limit, self.count = limit, 0.0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = self.np_random.random()
        return np.array([self.count]), {}

    def step(self, action: int) -> Any:
        self.count += 1 + action
        return np.array([self.count]), self.count % 5, self.count > self.limit, False, {}


@pytest.mark.parametrize("make", [Counter, functools.partial(gym.make, "HalfCheetah-v5")])
def test_episodes_that_pickle_forgets(make: Callable[[], Any]) -> None:
    """A copy continues them; an unpickled object begins new ones, as a loaded model does."""
    try:
        env = make()
    except gym.error.DependencyNotInstalled:
        pytest.skip("needs MuJoCo")
    model = learn(pgcore.PPO(env, n_steps=40, seed=0), 80)
    copied, pickled, again = copy.deepcopy(model), *(pickle.loads(pickle.dumps(model)) for _ in range(2))
    loaded = pgcore.load(model.save("model"), env=make())
    for other in (model, copied, pickled, again, loaded):
        learn(other, 80)
    np.testing.assert_array_equal(copied.policy.params, model.policy.params)
    np.testing.assert_array_equal(again.policy.params, pickled.policy.params)
    assert np.isfinite(loaded.policy.params).all()


def test_environments_that_cannot_be_copied_are_named() -> None:
    model = pgcore.PPO("CartPole-v1", num_envs=2, backend="async", n_steps=16)
    try:
        for way, verb in ((copy.copy, "copied"), (copy.deepcopy, "copied"), (pickle.dumps, "pickled")):
            with pytest.raises(TypeError) as caught:
                way(model)
            message = str(caught.value)
            assert message.startswith(f"env: expected an environment that can be {verb}, got AsyncVectorEnv(")
            assert message.endswith(
                "; close the model first, or save it and load it with an environment of its own"
            )
        learn(model, 32)  # nothing happened to it
    finally:
        model.close()
    assert_equal(seen_of(copy.copy(model)), seen_of(model))


def test_a_lambda_is_named_by_pickle_alone() -> None:
    env = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)
    model = learn(pgcore.PPO(env, n_steps=16, seed=0), 32)
    assert_equal(seen_of(learn(copy.copy(model))), seen_of(learn(model)))
    with pytest.raises(
        TypeError, match=r"^env: expected an environment that can be pickled, got SyncVectorEnv"
    ):
        pickle.dumps(model)


@every_way
def test_open_files_and_terminals_are_not_copied(way: Callable[[Any], Any]) -> None:
    logger = training.CSVLogger("progress.csv")
    with pytest.raises(TypeError, match=r"^CSVLogger: expected a closed one to copy or pickle, got one with"):
        way(logger)
    logger.close()
    with pytest.raises(TypeError, match=r"^ConsoleLogger: expected to stay with its terminal or stream"):
        way(training.ConsoleLogger(100))
    bar = training.ProgressBar(100)
    bar.close()
    with pytest.raises(TypeError, match=r"^ProgressBar: expected to stay with its terminal"):
        way(bar)
