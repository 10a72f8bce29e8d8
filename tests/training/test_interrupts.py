"""Ctrl-C at any moment: the model is that of a whole iteration, and everyone has been told of it."""

from __future__ import annotations

import _thread
import ctypes
import itertools
import signal
import sys
import threading
import time

import numpy as np
import pytest

from pgcore import NPG, PPO, REINFORCE, TRPO
from pgcore.training import persistence, side_by_side
from pgcore.training.interrupts import Interrupts
from support.sketch import Sketch

ALGORITHMS = [PPO, TRPO, NPG, REINFORCE]


def small(algorithm, **arguments):
    cut = {} if algorithm is REINFORCE else {"n_steps": 16, "batch_size": 16, "num_envs": 2}
    return algorithm("CartPole-v1", **{"hidden": (8,), "n_steps": 30, "seed": 3, **cut, **arguments})


class Last:
    """Knows the state after the last iteration it was told of, and how often it was told of each."""

    def __init__(self, model):
        self.told = []
        self(model)

    def __call__(self, model):
        self.told.append(model.num_updates)
        self.scalars, self.arrays = persistence.snapshot(model)

    def assert_is(self, model):
        scalars, arrays = persistence.snapshot(model)
        assert scalars == self.scalars
        assert arrays.keys() == self.arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, self.arrays[name], err_msg=name)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ctrl_c_at_any_moment_and_again(algorithm, monkeypatch):
    """Pressed up to three times in a row, at random; told of every iteration once and of no other."""
    # One that falls into a destructor is dropped by Python, which would tell pytest of it.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    rng = np.random.default_rng(0)
    model = small(algorithm)
    model.learn(200)
    last = Last(model)
    presses = []

    def press(*_):
        presses.append(time.perf_counter())
        if len(presses) < 3:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1e-3))
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, press)
    try:
        num_interrupts = 0
        while num_interrupts < 80:
            presses.clear()
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 8e-3))
                model.learn(10**6, callback=last, reset_num_timesteps=False)
            except KeyboardInterrupt:
                num_interrupts += 1
            while True:  # those that come when `learn` is over
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    break
                except KeyboardInterrupt:
                    pass
            last.assert_is(model)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert last.told == list(range(last.told[0], model.num_updates + 1))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("algorithm", [PPO, TRPO, NPG])
def test_exceptions_thrown_into_the_thread(algorithm):
    """As debuggers do it: no signal, and nothing that could be held back.

    On one thread: Python throws what is meant for a thread into another that it has just started.
    """
    rng = np.random.default_rng(1)
    model = small(algorithm, parallel_critic=False)
    model.learn(200)
    thrown = []

    def learn():
        for _ in range(25):
            last = Last(model)
            try:
                model.learn(10**6, callback=last, reset_num_timesteps=False)
            except KeyboardInterrupt:
                last.assert_is(model)
                thrown.append(True)

    learner = threading.Thread(target=learn)
    learner.start()
    while learner.is_alive():
        time.sleep(rng.uniform(5e-3, 2e-2))
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(learner.ident), ctypes.py_object(KeyboardInterrupt)
        )
    learner.join()
    assert len(thrown) >= 20  # some arrive outside `learn`


@pytest.mark.parametrize("moment", ["after the start", "before the start"])
def test_an_interrupt_while_the_critics_thread_starts(moment, monkeypatch):
    model = small(PPO).learn(200)
    last = Last(model)
    start = _thread.start_new_thread

    def interrupted(*arguments):
        if moment == "after the start":
            start(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.learn(100, reset_num_timesteps=False)
    time.sleep(0.1)
    last.assert_is(model)
    monkeypatch.undo()
    model.learn(64, reset_num_timesteps=False)


def test_where_no_thread_can_be_started_the_numbers_are_the_same(monkeypatch):
    expected = Last(small(PPO).learn(200))

    def refused(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refused)
    expected.assert_is(small(PPO).learn(200))
    with pytest.raises(ZeroDivisionError):
        side_by_side.side_by_side(lambda: 1, lambda: 1 / 0)


def test_a_second_ctrl_c_while_the_model_is_put_back(monkeypatch):
    model = small(PPO).learn(200)
    last = Last(model)
    restore, update = persistence.restore, type(model).update

    def pressed_inside(model, *state):
        signal.raise_signal(signal.SIGINT)
        restore(model, *state)
        signal.raise_signal(signal.SIGINT)

    def broken_off(self, batch):
        update(self, batch)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(persistence, "restore", pressed_inside)
    monkeypatch.setattr(type(model), "update", broken_off)
    with pytest.raises(KeyboardInterrupt):
        model.learn(64, reset_num_timesteps=False)
    last.assert_is(model)


@pytest.mark.parametrize("where", ["in the log", "in the first callback", "in the last callback"])
def test_an_iteration_that_is_over_is_reported_once(where, monkeypatch):
    seen, press = [[], []], itertools.count()

    def maybe(here):
        if here == where and next(press) == 1:
            signal.raise_signal(signal.SIGINT)

    log = Sketch._log

    def watched(self, *arguments):
        log(self, *arguments)
        maybe("in the log")

    def first(model):
        maybe("in the first callback")
        seen[0].append(model.logs["time/total_timesteps"])

    def last(model):
        seen[1].append(model.logs["time/total_timesteps"])
        maybe("in the last callback")

    monkeypatch.setattr(Sketch, "_log", watched)
    model = Sketch("CartPole-v1")
    with pytest.raises(KeyboardInterrupt):
        model.learn(64, callback=[first, last])
    assert model.num_timesteps == 32
    model.learn(32, callback=[first, last], reset_num_timesteps=False)
    assert seen == [[16, 32, 48, 64]] * 2


def test_errors_of_one_callback_are_kept_from_no_other():
    seen = []

    def broken(model):
        raise OSError("disk full")

    model = Sketch("CartPole-v1")
    with pytest.raises(OSError, match="disk full"):
        model.learn(64, callback=[broken, lambda m: seen.append(m.num_timesteps)])
    assert seen == [16]


def test_a_callback_that_hangs_is_broken_off_by_pressing_again(monkeypatch):
    monkeypatch.setattr("pgcore.training.interrupts._PATIENCE", 0.05)

    def hangs(model):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # at once: still the same press
        hung.append(True)
        time.sleep(0.06)
        signal.raise_signal(signal.SIGINT)
        hung.append(False)

    hung, others = [], []
    with pytest.raises(KeyboardInterrupt):
        Sketch("CartPole-v1").learn(64, callback=[hangs, others.append])
    assert hung == [True]
    assert len(others) == 1


def test_handlers_are_put_back_and_those_of_others_are_left(monkeypatch):
    calls = []

    def mine(signum, frame):
        calls.append(signum)

    before = signal.signal(signal.SIGINT, mine)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert calls == []
            interrupts.admit()
            assert calls == [signal.SIGINT]
            signal.raise_signal(signal.SIGINT)  # one that raises nothing
            assert calls == [signal.SIGINT] * 2
        assert signal.getsignal(signal.SIGINT) is mine
        with Interrupts():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # someone else's
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_does_not_swallow_ctrl_c():
    def fail():
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            raise FloatingPointError

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, FloatingPointError)


def test_elsewhere_than_in_the_main_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(Sketch("CartPole-v1").learn(32).num_timesteps))
    thread.start()
    thread.join()
    assert done == [32]


def test_after_a_failed_iteration_episodes_begin_anew():
    """Its environments stand somewhere in the middle; to play on from there is to mix two episodes."""

    class Fails(Sketch):
        fails = False

        def update(self, batch):
            if self.fails:
                raise FloatingPointError("broken")
            return super().update(batch)

    model = Fails("CartPole-v1", n_steps=5).learn(5)
    model.fails = True
    with pytest.raises(FloatingPointError):
        model.learn(5, reset_num_timesteps=False)
    model.fails = False
    resets = []
    reset = model.env.reset
    model.env.reset = lambda **arguments: resets.append(arguments) or reset(**arguments)
    model.learn(5, reset_num_timesteps=False)
    assert len(resets) == 1
    assert np.abs(model.batches[-1].obs[0]).max() <= 0.05  # where CartPole's episodes begin


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_kept_does_not_move_with_the_model(algorithm):
    """A part that takes its state over without copying it would change the snapshot under way."""
    model = small(algorithm).learn(200)
    kept = persistence.snapshot(model)
    copy = {name: array.copy() for name, array in kept[1].items()}
    persistence.restore(model, *kept)
    model.learn(100, reset_num_timesteps=False)
    for name, array in kept[1].items():
        np.testing.assert_array_equal(array, copy[name], err_msg=name)
    persistence.restore(model, *kept)
    last = Last(model)
    model.learn(100, reset_num_timesteps=False)
    persistence.restore(model, *kept)
    last.assert_is(model)
