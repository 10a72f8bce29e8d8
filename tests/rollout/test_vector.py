"""Making vector environments, their autoreset modes, and stepping them all alike."""

from __future__ import annotations

import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from pgcore.rollout import VectorStepper, autoreset_mode, close_vector_env, make_vector_env
from support.toy_envs import MODES, TERMINATED, TRUNCATED, ScriptedEnv, ToyVectorEnv

SCRIPTS = [[(2, TRUNCATED), (1, TERMINATED)], [(3, TERMINATED)]]


@pytest.mark.parametrize(
    ("backend", "kind"),
    [("sync", SyncVectorEnv), ("async", AsyncVectorEnv), ("native", gym.vector.VectorEnv)],
)
def test_ids(backend, kind):
    env = make_vector_env("CartPole-v1", num_envs=2, backend=backend)
    try:
        assert isinstance(env, kind)
        assert env.num_envs == 2
        assert autoreset_mode(env) in AutoresetMode
    finally:
        env.close()
    if backend == "native":
        assert not isinstance(env, SyncVectorEnv | AsyncVectorEnv)


def test_kwargs_and_specifications():
    env = make_vector_env("Pendulum-v1", num_envs=2, g=1.62, max_episode_steps=7)
    assert env.envs[0].unwrapped.g == 1.62
    assert env.envs[0].spec.max_episode_steps == 7
    assert make_vector_env(gym.spec("CartPole-v1"), num_envs=3).num_envs == 3
    assert make_vector_env("gymnasium.envs:CartPole-v1").num_envs == 1


def test_instances():
    single = gym.make("CartPole-v1")
    env = make_vector_env(single)
    assert env.num_envs == 1
    assert env.envs[0] is single
    assert make_vector_env(env) is env
    assert make_vector_env(env, num_envs=1, backend="native") is env
    three = make_vector_env("CartPole-v1", num_envs=3)
    assert make_vector_env(three) is three


@pytest.mark.parametrize("backend", ["sync", "native"])
def test_seed(backend):
    runs = []
    for _ in range(2):
        env = make_vector_env("CartPole-v1", num_envs=2, backend=backend, seed=5)
        runs.append(env.reset()[0])
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"env": "CartPole-v1", "backend": "fast"},
            ValueError,
            "backend: expected one of 'sync', 'async', 'native', 'envpool', got 'fast'",
        ),
        ({"env": "CartPole-v1", "num_envs": 0}, ValueError, "num_envs: expected an integer >= 1, got 0"),
        ({"env": 3}, TypeError, "env: expected an id, a gymnasium.Env or a VectorEnv, got 3"),
        (
            {"env": "no_such_module:CartPole-v1"},
            ValueError,
            "env: expected a module that registers 'CartPole-v1', got 'no_such_module' "
            "(No module named 'no_such_module')",
        ),
        (
            {"env": ScriptedEnv(), "num_envs": 2},
            ValueError,
            "num_envs: expected 1 for a single environment, got 2; pass an id for more",
        ),
        (
            {"env": ScriptedEnv(), "g": 2},
            ValueError,
            "env_kwargs: expected none for an environment that is made, got ['g']",
        ),
        (
            {"env": ToyVectorEnv(SCRIPTS, MODES[0]), "num_envs": 3},
            ValueError,
            "num_envs: expected 2, as many as env has, got 3",
        ),
    ],
)
def test_refusals(arguments, kind, message):
    with pytest.raises(kind) as error:
        make_vector_env(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("env_id", "backend", "says"),
    [
        ("CatPole-v1", "sync", "doesn't exist"),
        ("CartPole-v99", "sync", "v99"),
        ("not an id", "sync", "Malformed"),
        ("NoNamespace/CartPole-v1", "async", "NoNamespace"),
        ("Pendulum-v1", "native", "vector entry point"),
    ],
)
def test_what_gymnasium_cannot_make_is_one_line(env_id, backend, says):
    with pytest.raises(ValueError) as error:
        make_vector_env(env_id, backend=backend)
    message = str(error.value)
    assert message.startswith(
        f"env: expected an environment that gymnasium can make with backend={backend!r}, got {env_id!r}: "
    )
    assert says in message
    assert "\n" not in message


def test_missing_dependency_is_an_import_error():
    def needs_more():
        raise gym.error.DependencyNotInstalled("Box2D is not installed,\n you can install it")

    gym.register("pgcore-test/NeedsMore-v0", entry_point=needs_more)
    with pytest.raises(ImportError) as error:
        make_vector_env("pgcore-test/NeedsMore-v0")
    assert str(error.value) == (
        "env: expected the packages that 'pgcore-test/NeedsMore-v0' needs to be installed, got: "
        "Box2D is not installed, you can install it"
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", [lambda mode: mode, lambda mode: mode.value, lambda mode: mode.name])
def test_autoreset_mode(mode, form):
    env = ToyVectorEnv(SCRIPTS, mode)
    env.metadata = {"autoreset_mode": form(mode)}
    assert autoreset_mode(env) is mode


def test_autoreset_mode_is_never_guessed():
    env = ToyVectorEnv(SCRIPTS, MODES[0])
    options = "AutoresetMode.NEXT_STEP, SAME_STEP or DISABLED (from gymnasium.vector)"
    env.metadata = {}
    with pytest.raises(ValueError) as error:
        autoreset_mode(env)
    assert str(error.value) == (
        f'env.metadata["autoreset_mode"]: expected {options}, got nothing; set it to how ToyVectorEnv resets '
        "finished episodes"
    )
    env.metadata = {"autoreset_mode": "sometimes"}
    with pytest.raises(ValueError) as error:
        VectorStepper(env)
    assert str(error.value) == f"env.metadata[\"autoreset_mode\"]: expected {options}, got 'sometimes'"


def test_metadata_that_vectors_share_is_not_believed():
    """As all of one class did before gymnasium copied it: the one made last had the say."""
    env = SyncVectorEnv([ScriptedEnv], autoreset_mode=AutoresetMode.SAME_STEP)
    env.metadata["autoreset_mode"] = AutoresetMode.NEXT_STEP
    assert autoreset_mode(env) is AutoresetMode.SAME_STEP
    wrapped = gym.vector.VectorWrapper(env)
    assert autoreset_mode(wrapped) is AutoresetMode.SAME_STEP
    wrapped.metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # a wrapper that resets has its own
    assert autoreset_mode(wrapped) is AutoresetMode.DISABLED


def test_metadata_is_read_through_wrappers():
    env = gym.wrappers.vector.RecordEpisodeStatistics(make_vector_env("CartPole-v1", num_envs=2))
    assert autoreset_mode(env) is autoreset_mode(env.env)


def test_stepper_wants_a_vector_environment():
    with pytest.raises(
        TypeError, match=r"env: expected a gymnasium.vector.VectorEnv, got .*; see make_vector_env"
    ):
        VectorStepper(gym.make("CartPole-v1"))


@pytest.mark.parametrize("mode", MODES)
def test_step_by_step(mode):
    """Environment 0 truncates at step 2 and terminates at its next; environment 1 terminates at step 3."""
    stepper = VectorStepper(ToyVectorEnv(SCRIPTS, mode))
    obs, actions = np.empty((2, 3), np.float32), np.zeros(2, np.int64)
    next_step = mode is AutoresetMode.NEXT_STEP
    stepper.reset(obs, seed=3)
    assert stepper.env.reset_seeds == [3]
    np.testing.assert_array_equal(obs, [[0, 0, 0], [1, 0, 0]])

    step = stepper.step(actions, obs)
    np.testing.assert_array_equal(obs, [[0, 0, 1], [1, 0, 1]])
    assert step.idle is None
    assert not step.done.any()
    assert step.final_obs.shape == (0, 3)

    step = stepper.step(actions, obs)
    np.testing.assert_array_equal(step.done, [True, False])
    np.testing.assert_array_equal(step.terminated, [False, False])
    np.testing.assert_array_equal(step.cut, [0])
    np.testing.assert_array_equal(step.final_obs, [[0, 0, 2]])
    np.testing.assert_array_equal(obs, [[0, 0, 2] if next_step else [0, 1, 0], [1, 0, 2]])

    step = stepper.step(actions, obs)
    if next_step:
        np.testing.assert_array_equal(step.idle, [True, False])
        np.testing.assert_array_equal(step.done, [False, True])
        np.testing.assert_array_equal(obs, [[0, 1, 0], [1, 0, 3]])
    else:
        assert step.idle is None
        np.testing.assert_array_equal(step.done, [True, True])
        np.testing.assert_array_equal(step.terminated, [True, True])
        np.testing.assert_array_equal(obs, [[0, 2, 0], [1, 1, 0]])
    assert step.cut.size == 0


def test_final_observations_may_come_as_a_batch():
    stepper = VectorStepper(ToyVectorEnv(SCRIPTS, AutoresetMode.SAME_STEP, batched_final_obs=True))
    obs = np.empty((2, 3))
    stepper.reset(obs)
    stepper.step(np.zeros(2, int), obs)
    np.testing.assert_array_equal(stepper.step(np.zeros(2, int), obs).final_obs, [[0, 0, 2]])


@pytest.mark.parametrize(
    ("final_obs", "got"),
    [(None, "nothing"), (np.full(2, None, object), "None among those of environments [0]")],
)
def test_same_step_without_final_observations(final_obs, got):
    class Forgetful(ToyVectorEnv):
        def step(self, actions):
            *outcome, info = super().step(actions)
            return *outcome, {} if final_obs is None or not info else {"final_obs": final_obs}

    stepper = VectorStepper(Forgetful(SCRIPTS, AutoresetMode.SAME_STEP))
    obs = np.empty((2, 3))
    stepper.reset(obs)
    stepper.step(np.zeros(2, int), obs)
    with pytest.raises(ValueError) as error:
        stepper.step(np.zeros(2, int), obs)
    assert str(error.value) == (
        'info["final_obs"]: expected the last observations of truncated episodes, as same-step autoreset has '
        f"it, got {got}"
    )


def test_gymnasium_does_forget_this_reset():
    """The reason for one refusal: without shared memory, workers keep a pending next-step reset.

    If this fails, gymnasium has mended it, and the refusal can go.
    """

    def steps_after_reset(**kwargs):
        env = AsyncVectorEnv([lambda: ScriptedEnv([(1, TERMINATED), (5, TERMINATED)])], **kwargs)
        try:
            stepper = VectorStepper(env)
            obs, actions = np.empty((1, 3)), np.zeros(1, int)
            stepper.reset(obs)
            stepper.step(actions, obs)
            stepper.reset(obs)
            env.step(actions)
            return env.step(actions)[0][0, 2]
        finally:
            env.close()

    assert steps_after_reset() == 2
    with pytest.raises(ValueError, match="env: expected an AsyncVectorEnv with shared memory or another"):
        steps_after_reset(shared_memory=False)
    original = AsyncVectorEnv.unwrapped
    try:
        AsyncVectorEnv.unwrapped = None  # hides the workers from the check
        assert steps_after_reset(shared_memory=False) == 1
    finally:
        AsyncVectorEnv.unwrapped = original


@pytest.mark.parametrize("broken", ["send", "recv"])
def test_a_step_that_an_interrupt_broke_off_can_be_closed(broken, capfd):
    """Ctrl-C between two workers' actions, or between their answers: others have stepped all the same."""

    class Slow(ScriptedEnv):
        def step(self, action):
            time.sleep(0.2)  # so that its answer comes while the others are asked to close
            return super().step(action)

    env = AsyncVectorEnv([lambda: Slow([(5, TERMINATED)])] * 2)
    stepper, obs = VectorStepper(env), np.empty((2, 3))
    stepper.reset(obs)
    pipe = env.parent_pipes[1]

    class Interrupted:
        def __getattr__(self, name):
            if name == broken:
                raise KeyboardInterrupt
            return getattr(pipe, name)

    env.parent_pipes[1] = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        stepper.step(np.zeros(2, int), obs)
    env.parent_pipes[1] = pipe
    with pytest.raises(gym.error.AlreadyPendingCallError):
        env.reset()  # instead of taking the old step's answers for its own
    workers = list(env.processes)
    close_vector_env(env)
    assert env.closed
    assert not any(worker.is_alive() for worker in workers)
    assert capfd.readouterr().err == ""
