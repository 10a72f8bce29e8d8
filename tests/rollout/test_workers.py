"""Worker processes that end, hang or are interrupted: what is said, and that everything can be closed."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import pgcore
from pgcore import evaluate_policy
from pgcore.rollout import close_vector_env, make_vector_env
from pgcore.rollout.async_vector import AsyncVectorEnv
from pgcore.rollout.calls import reset_vector, step_vector
from pgcore.rollout.faults import WorkerError
from support.faulty_envs import Faulty, die, hang, leave

GO_ON = "the next reset, and so the next learn, starts new workers"
ZEROS = np.zeros(2, int)


@pytest.fixture
def vectors():
    """Makes vector environments, and sees to it that each can be closed quickly and leaves nobody behind."""
    made = []

    def make(*singles, **kwargs):
        made.append(AsyncVectorEnv(singles, **kwargs))
        return made[-1]

    yield make
    for env in made:
        workers, began = list(env.processes), time.monotonic()
        close_vector_env(env)
        assert env.closed
        assert time.monotonic() - began < 5
        assert not any(worker.is_alive() for worker in workers)
        env.close()  # twice does no harm


def said_by(env):
    """Of the first reset and two steps."""
    with pytest.raises(WorkerError) as caught:  # noqa: PT012
        env.reset(seed=0)
        step_vector(env, ZEROS)
        step_vector(env, ZEROS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("how", "ended"),
    [
        (die, "by signal 9 (SIGKILL, as the system does where memory is short)"),
        (leave, "with exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), "by signal 10 (SIGUSR1)"),
    ],
)
@pytest.mark.parametrize("call", ["step()", "reset()"])
def test_a_worker_that_ends(how, ended, call, vectors):
    fault = {"outcome": how, "at": 2} if call == "step()" else {"first": how}
    env = vectors(Faulty, partial(Faulty, **fault))
    message = f"environment 1, {call}: expected a running worker process, got one that ended {ended}; {GO_ON}"
    assert said_by(env) == message
    with pytest.raises(
        WorkerError, match=r"^env: expected a reset of all environments, .*, got a step after: "
    ):
        env.step(ZEROS)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_somebody_ends(signum, vectors):
    env = vectors(Faulty, Faulty)
    first = env.reset(seed=0)[0]
    os.kill(env.processes[0].pid, signum)
    env.processes[0].join()
    with pytest.raises(
        WorkerError, match=rf"^environment 0, .* ended by signal {int(signum)} \({signum.name}"
    ):
        env.step(ZEROS)
    np.testing.assert_array_equal(env.reset(seed=0)[0], first)
    for _ in range(3):
        env.step(ZEROS)


def test_one_that_nobody_has_asked_yet(vectors):
    env = vectors(Faulty, Faulty)
    os.kill(env.processes[1].pid, signal.SIGKILL)
    env.processes[1].join()
    with pytest.raises(WorkerError, match=r"^environment 1, reset\(\): expected a running worker"):
        reset_vector(env, seed=0)
    reset_vector(env, seed=0)


def test_one_that_ends_while_it_starts():
    parent = os.getpid()

    def make():
        if os.getpid() != parent:
            leave()
        return Faulty()

    with pytest.raises(WorkerError, match=r"^environment 0, start: .* ended with exit code 3"):
        AsyncVectorEnv([make])


@pytest.mark.parametrize("call", ["step()", "reset()"])
def test_a_worker_that_hangs(call, vectors):
    fault = {"outcome": hang, "at": 2} if call == "step()" else {"first": hang}
    env = vectors(Faulty, partial(Faulty, **fault), worker_timeout=0.5)
    began = time.monotonic()
    assert said_by(env) == (
        f"environment 1, {call}: expected an answer of the worker process within 0.5 seconds "
        f"(worker_timeout), got none; {GO_ON}"
    )
    assert time.monotonic() - began < 4


def test_one_that_hangs_while_it_is_closed():
    parent = os.getpid()

    class Stays(Faulty):
        def close(self):
            if os.getpid() != parent:
                hang()

    env = AsyncVectorEnv([Stays])
    env.reset()
    worker = env.processes[0]
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgcore.rollout.making.PATIENCE", 0.3)
        close_vector_env(env)
    assert time.monotonic() - began < 3
    assert worker.exitcode == -signal.SIGKILL


def test_environments_are_closed_in_order(tmp_path):
    class Notes(Faulty):
        def close(self):
            (tmp_path / str(os.getpid())).touch()

    env = AsyncVectorEnv([Notes] * 2)
    env.reset()
    pids = [worker.pid for worker in env.processes]
    close_vector_env(env)
    assert all((tmp_path / str(pid)).exists() for pid in pids)
    assert all(worker.exitcode == 0 for worker in env.processes)


def test_ctrl_c_while_waiting(vectors):
    env = vectors(Faulty, partial(Faulty, outcome=hang, at=1))
    env.reset(seed=0)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        env.step(ZEROS)
    assert time.monotonic() - began < 3
    with pytest.raises(WorkerError, match="got a reset of some environments after: an interrupt"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)


class FailsOnce(gym.Env):
    """Fails, in whatever way, at its third step in the first process that plays it."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2)

    def __init__(self, flag, how):
        self.flag, self.how, self.t = flag, how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(size=3).astype(np.float32), {}

    def step(self, action):
        self.t += 1
        if self.t == 3 and not self.flag.exists():
            self.flag.touch()
            self.how()
        return self.np_random.uniform(size=3).astype(np.float32), 1.0, bool(self.t % 5 == 0), False, {}


def fail():
    raise ZeroDivisionError("in the environment")


@pytest.mark.parametrize(
    ("how", "error"), [(fail, ZeroDivisionError), (die, WorkerError), (leave, WorkerError)]
)
def test_learning_goes_on_after_a_failure(how, error, tmp_path):
    gym.register("pgcore-test/FailsOnce-v0", partial(FailsOnce, tmp_path / "failed", how))
    try:
        model = pgcore.REINFORCE("pgcore-test/FailsOnce-v0", num_envs=2, backend="async", n_steps=8)
        before = model.policy.params.copy()
        with pytest.raises(error):
            model.learn(16)
        np.testing.assert_array_equal(model.policy.params, before)
        model.learn(16)
        assert model.num_timesteps >= 16
        workers = list(model.env.processes)
        model.close()
        assert not any(worker.is_alive() for worker in workers)
    finally:
        del gym.registry["pgcore-test/FailsOnce-v0"]


@pytest.mark.parametrize("how", [die, leave])
@pytest.mark.parametrize("mode", [AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP])
def test_gymnasiums_own_vector(how, mode):
    env = gym.vector.AsyncVectorEnv([Faulty, partial(Faulty, outcome=how, at=2)], autoreset_mode=mode)
    model = pgcore.REINFORCE(Faulty(), hidden=())
    with pytest.raises(WorkerError) as caught:
        evaluate_policy(model, env, 2)
    assert str(caught.value).startswith(
        "environment 1, step(): expected a running worker process, got one that ended "
    )
    assert str(caught.value).endswith("; make the vector environment again")
    with pytest.raises(WorkerError):
        step_vector(env, ZEROS)
    workers = list(env.processes)
    close_vector_env(env)
    assert env.closed
    assert not any(worker.is_alive() for worker in workers)


def test_gymnasiums_own_vector_after_an_exception():
    env = gym.vector.AsyncVectorEnv([Faulty, partial(Faulty, outcome=fail, at=1)])
    reset_vector(env, seed=0)
    with warnings.catch_warnings(), pytest.raises(ZeroDivisionError, match="in the env"):  # noqa: PT012
        warnings.simplefilter("ignore")  # where gymnasium writes the traceback
        step_vector(env, ZEROS)
    with pytest.raises(
        WorkerError, match=r"^environment 1, step\(\): expected a running worker process, got"
    ):
        step_vector(env, ZEROS)
    close_vector_env(env)
    assert env.closed


def test_the_limit_is_settable():
    env = make_vector_env("CartPole-v1", num_envs=2, backend="async", worker_timeout=5, max_episode_steps=7)
    try:
        assert env.worker_timeout == 5.0
        assert env.spec.id == "CartPole-v1"
        assert env.spec.max_episode_steps == 7
    finally:
        env.close()
    with pytest.raises(ValueError, match=r"^worker_timeout: expected a number >= 0, got -1"):
        make_vector_env("CartPole-v1", backend="async", worker_timeout=-1)
    env = make_vector_env("CartPole-v1", backend="async", worker_timeout=float("inf"), seed=1)
    env.step(np.zeros(1, int))
    env.close()


def test_every_environment_of_this_process_is_closed(tmp_path):
    closed = []

    class Notes(Faulty):
        def close(self):
            closed.append(self)
            if len(closed) == 1:
                raise OSError("no simulator")

    env = pgcore.rollout.sync_vector.SyncVectorEnv([Notes] * 3)
    with pytest.raises(OSError, match="no simulator"):
        close_vector_env(env)
    assert len(closed) == 3
