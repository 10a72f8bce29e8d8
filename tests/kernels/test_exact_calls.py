"""Every kernel's two ways into the compiled core: exact arguments at once, others after Python's coercion.

Both give the same bits, and neither does anything where an argument is refused.
"""

from __future__ import annotations

import decimal
import functools
import gc
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pgcore import _dispatch, kernels
from support import oracles
from support.kernel_calls import CALLS, NAMES, Call, calls, results_of, takes_out
from support.oracles import assert_same_bits

SENTINEL = 77.0


class Subclass(np.ndarray):
    pass


class Recorder:
    """The compiled module (or object), with a record of what it was called with."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            self.calls.append((getattr(self.compiled, name), arguments))
            return self.calls[-1][0](*arguments)

        return function


@pytest.fixture
def compiled(call: Call, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """What the kernel calls."""
    network = getattr(call.kernel, "__self__", None)
    holder, attribute = (_dispatch, "compiled") if network is None else (network, "_core")
    recorder = Recorder(getattr(holder, attribute))
    monkeypatch.setattr(holder, attribute, recorder, raising=False)
    return recorder


@pytest.fixture(params=NAMES)
def call(request: pytest.FixtureRequest, dtype: np.dtype) -> Call:
    return CALLS[dtype][request.param]


def copied(call: Call) -> Call:
    """The same on memory of its own."""
    return Call(
        call.kernel, {n: x.copy() if isinstance(x, np.ndarray) else x for n, x in call.arguments.items()}
    )


def assert_same_results(got: Any, expected: Any) -> None:
    for one, other in zip(results_of(got), results_of(expected), strict=True):
        assert_same_bits(one, other)


def assert_unchanged(call: Call, before: Call) -> None:
    for name, array in call.arrays.items():
        assert_same_bits(array, before.arguments[name])


def new_out(call: Call) -> Any:
    """Arrays for a call's results, or None if these are numbers."""
    returned = call()
    if isinstance(returned, float):
        return None
    out = tuple(np.full_like(result, SENTINEL) for result in results_of(returned))
    return out if isinstance(returned, tuple) else out[0]


def test_every_kernel_is_called() -> None:
    others = {"CGResult", "CGStatus", "conjugate_gradient"}  # calls operators: it has no short way
    assert {name.split()[0] for name in NAMES} | others == set(kernels.__all__)


# ---- the two ways ----


def test_exact_arguments_are_not_coerced(call: Call, compiled: Recorder) -> None:
    before, returned = copied(call), call()
    assert len(compiled.calls) == 1
    for result in results_of(returned):
        if isinstance(result, float):
            continue
        assert type(result) is np.ndarray
        assert result.dtype is np.dtype(result.dtype.type)
        assert result.flags.c_contiguous
        assert result.flags.aligned
        assert result.flags.writeable
        assert "adam" in call.kernel.__name__ or result.flags.owndata
        assert not any(np.shares_memory(result, array) for array in call.arrays.values())
    assert_unchanged(call, before)


def test_read_only_inputs_are_exact(call: Call, compiled: Recorder) -> None:
    changed = ("theta", "m", "v") if "adam" in call.kernel.__name__ else ()
    inputs = {name: x for name, x in call.arrays.items() if name not in changed}
    for i, (name, array) in enumerate(inputs.items()):
        call(**{name: oracles.read_only(array)})
        assert len(compiled.calls) == i + 1


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    **{name: form for name, form in oracles.AWKWARD.items() if name != "read_only"},
    "subclass": lambda x: x.view(Subclass),
    "list": np.ndarray.tolist,
}


@pytest.mark.parametrize("form", FORMS)
def test_coerced_arguments_give_the_same_bits(call: Call, form: str) -> None:
    before, expected, make = copied(call), call(), FORMS[form]
    in_place = ("theta", "m", "v") if "adam" in call.kernel.__name__ else ()
    inputs = {name: x for name, x in call.arrays.items() if name not in in_place}
    if form in ("strided", "reversed", "fortran"):
        inputs = {name: x for name, x in inputs.items() if x.ndim}
    for name, array in inputs.items():
        assert_same_results(call(**{name: _of_dtype(make(array), array)}), expected)
    changes = {name: _of_dtype(make(array), array) for name, array in inputs.items()}
    assert_same_results(call(**changes), expected)
    assert_unchanged(call, before)


def _of_dtype(made: Any, array: np.ndarray) -> Any:
    """Lists as what has an array of the right dtype."""
    return Listed(made, array.dtype) if isinstance(made, list) else made


class Listed:
    """An array-like that is no array."""

    def __init__(self, values: list[Any], dtype: np.dtype) -> None:
        self.values, self.dtype = values, dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, self.dtype if dtype is None else dtype)


def test_a_subclass_is_coerced(call: Call, compiled: Recorder) -> None:
    """So that the test before this one compares two ways."""
    for i, name in enumerate(call.arrays):
        call(**{name: call.arguments[name].view(Subclass)})
        assert len(compiled.calls) == 2 * i + 2


NUMBERS: list[Callable[[float], Any]] = [np.float64, np.array, lambda x: np.array(x).view(Subclass)]


def test_numbers_of_any_kind(call: Call) -> None:
    expected = call()
    for name, value in call.arguments.items():
        if type(value) is float:
            for make in NUMBERS:
                assert_same_results(call(**{name: make(value)}), expected)
            for one in (1, True, np.float32(1), np.int8(1), np.bool_(True)):
                assert_same_results(call(**{name: one}), call(**{name: 1.0}))
        elif type(value) is int:
            for make in (np.int64, np.uint8, np.array):
                assert_same_results(call(**{name: make(value)}), expected)


# ---- out ----


@pytest.fixture
def with_out(call: Call) -> Call:
    return copied(call)


of_kernels_with_out = pytest.mark.parametrize(
    "call", [name for name in NAMES if name != "adam_step"], indirect=True
)


@of_kernels_with_out
def test_out_is_written_and_returned(with_out: Call, compiled: Recorder) -> None:
    expected, out = with_out(), new_out(with_out)
    if out is None:
        return
    compiled.calls.clear()
    assert with_out(out=out) is out
    assert len(compiled.calls) == 1
    assert_same_results(out, expected)


@of_kernels_with_out
def test_out_for_a_number_is_refused(with_out: Call) -> None:
    if new_out(with_out) is None:
        with pytest.raises(ValueError, match=r"^out: expected None for "):
            with_out(out=np.zeros(1, next(iter(with_out.floats.values())).dtype))


def with_part(out: Any, k: int, array: Any) -> Any:
    """``out`` with another array in place k."""
    return tuple(array if i == k else x for i, x in enumerate(out)) if isinstance(out, tuple) else array


def parts_of(out: Any) -> Iterator[tuple[int, np.ndarray]]:
    return enumerate(() if out is None else results_of(out))


@of_kernels_with_out
def test_out_may_be_an_input(with_out: Call) -> None:
    """Wholly, or in part: before it and after it in memory."""
    expected = with_out()
    for k, part in parts_of(new_out(with_out)):
        for name, array in with_out.arrays.items():
            for offset in (0, 1, -1):
                memory = np.zeros(2 * array.nbytes + 4 * part.nbytes + 64, np.uint8)
                start = -memory.ctypes.data % 16 + part.nbytes // 16 * 16 + 16
                given = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
                given[...] = array
                first = start + offset * part.itemsize
                out = memory[first : first + part.nbytes].view(part.dtype).reshape(part.shape)
                assert offset or np.shares_memory(given, out)
                whole = with_part(new_out(with_out), k, out)
                assert with_out(out=whole, **{name: given}) is whole
                assert_same_results(whole, expected)


@of_kernels_with_out
def test_out_of_a_subclass_is_written(with_out: Call) -> None:
    expected = with_out()
    for k, part in parts_of(new_out(with_out)):
        out = with_part(new_out(with_out), k, part.view(Subclass))
        assert with_out(out=out) is out
        assert_same_bits(results_of(out)[k].view(np.ndarray), results_of(expected)[k])


WRONG_OUT: dict[str, tuple[type[Exception], Callable[[np.ndarray], Any]]] = {
    "list": (TypeError, np.ndarray.tolist),
    "number": (TypeError, lambda x: 1.0),
    "other dtype": (TypeError, lambda x: x.astype(np.float32 if x.itemsize == 8 else np.float64)),
    "integers": (TypeError, lambda x: x.astype(np.int64)),
    "byte order": (TypeError, oracles.byte_swapped),
    "mask": (TypeError, lambda x: np.ma.masked_array(x, mask=np.ones(x.shape, bool))),
    "longer": (ValueError, lambda x: np.concatenate([x, x])),
    "another dimension": (ValueError, lambda x: x[None].copy()),
    "read-only": (ValueError, oracles.read_only),
    "strided": (ValueError, oracles.strided),
    "misaligned": (ValueError, oracles.misaligned),
}


@of_kernels_with_out
@pytest.mark.parametrize("wrong", WRONG_OUT)
def test_out_that_does_not_fit(with_out: Call, wrong: str) -> None:
    error, make = WRONG_OUT[wrong]
    before = copied(with_out)
    for k, part in parts_of(new_out(with_out)):
        bad = make(part)
        out = with_part(new_out(with_out), k, bad)
        with pytest.raises(error, match=r"^out(\[[01]\])?: expected "):
            with_out(out=out)
        for _, array in parts_of(out):
            assert (np.asarray(array) == (1.0 if wrong == "number" and array is bad else SENTINEL)).all()
        assert_unchanged(with_out, before)


@of_kernels_with_out
def test_out_of_two_results(with_out: Call) -> None:
    out = new_out(with_out)
    if not isinstance(out, tuple):
        return
    for wrong, got in ((list(out), "list"), (out[:1], "1 of them"), ((*out, out[0]), "3 of them")):
        with pytest.raises(TypeError, match=rf"^out: expected a tuple of two arrays, got {got}$"):
            with_out(out=wrong)
    if out[0].shape == out[1].shape:
        twice, memory = (out[0], out[0]), np.full(2 * out[0].size, SENTINEL, out[0].dtype)
        partly = tuple(memory[i : i + out[0].size].reshape(out[0].shape) for i in (0, 1))
        for shared in (twice, partly):
            with pytest.raises(ValueError, match=r"^out: expected two arrays with memory of their own"):
                with_out(out=shared)
    assert all((array == SENTINEL).all() for array in out)


# ---- arguments that are no arguments ----

WEIRD: list[Any] = [
    None,
    "text",
    b"bytes",
    "",
    10**400,
    -(10**30),
    2**63,
    float("nan"),
    float("inf"),
    1j,
    True,
    decimal.Decimal(1),
    object(),
    {},
    set(),
    (),
    [],
    [[]],
    [None],
    (1, 2),
    slice(None),
    len,
    np,
    np.zeros(0),
    np.zeros((0, 3)),
    np.zeros((3, 0), np.float32),
    np.zeros((1,) * 8),
    np.array(0.5),
    np.array(None),
    np.array("text"),
    np.zeros(5, object),
    np.zeros((5, 3), np.float16),
    np.zeros((5, 3), np.longdouble),
    np.zeros((5, 3), complex),
    np.zeros((5, 3), ">f4"),
    np.zeros((5, 3), ">f8"),
    np.zeros((5, 3), bool),
    np.zeros(5, np.int64),
    np.full(5, 99),
    np.full(5, -1),
    np.zeros(5, [("a", "f4")]),
    np.zeros(5, "datetime64[s]"),
    np.ma.masked_array(np.zeros((5, 3)), True),
    np.float64("nan"),
    np.float32(3),
    np.bool_(False),
]


@pytest.mark.filterwarnings("ignore:.*(invalid value|overflow)")
def test_whatever_comes_is_computed_or_refused_by_name(call: Call) -> None:
    before = copied(call)
    for name in [*call.arguments, *(["out"] if takes_out(call) else [])]:
        for weird in WEIRD:
            returned, error = outcome(call, **{name: weird})
            if error is None:
                assert all(isinstance(x, float | np.ndarray) for x in results_of(returned)), (name, weird)
            else:
                assert isinstance(error, TypeError | ValueError), (name, weird, error)
                assert re.match(r"^\w+(\[\d\])?: expected .*, got ", str(error)), (name, weird, error)
    assert_unchanged(call, before)


def test_inexact_arguments_leave_nothing_done(call: Call, compiled: Recorder) -> None:
    out = new_out(call) if takes_out(call) else None
    call(**({"out": out} if takes_out(call) else {}))
    function, arguments = compiled.calls[-1]
    written = [x for x in (results_of(out) if takes_out(call) else arguments) if isinstance(x, np.ndarray)]
    for array in written:
        array[...] = SENTINEL
    for i, argument in enumerate(arguments):
        inexact = [argument.view(Subclass)] if isinstance(argument, np.ndarray) else []
        for weird in [*WEIRD, *inexact]:
            result, error = outcome(function, *arguments[:i], weird, *arguments[i + 1 :])
            if error is not None:
                assert isinstance(error, ValueError)
                assert str(error).startswith("actions: expected integers in 0…2, got ")
            if result is None:
                assert all((array == SENTINEL).all() for array in written), (i, weird)
            for array in written:
                array[...] = SENTINEL


def outcome(function: Callable[..., Any], *arguments: Any, **changes: Any) -> tuple[Any, Exception | None]:
    """What it returns, or what it raises."""
    try:
        return function(*arguments, **changes), None
    except Exception as error:
        return None, error


def test_compiled_functions_take_their_arguments_alone(call: Call, compiled: Recorder) -> None:
    call()
    ((function, arguments),) = compiled.calls
    for wrong in ((), arguments[:-1], (*arguments, None)):
        with pytest.raises(TypeError, match=rf"^arguments: expected {len(arguments)}, got {len(wrong)}$"):
            function(*wrong)
    with pytest.raises(TypeError, match="keyword"):
        function(*arguments[:-1], out=None)


def test_methods_take_their_own_class_alone() -> None:
    floats, doubles = (_dispatch.compiled.float32.MLP, _dispatch.compiled.float64.MLP)
    with pytest.raises(TypeError, match="descriptor 'forward'"):
        floats.forward(doubles([1, 1], "tanh"), None, None, None)

    class Empty(floats):  # type: ignore[misc, valid-type]  # a class known at run time
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError):
        floats.forward(Empty.__new__(Empty), None, None, None)


# ---- references ----


@pytest.mark.parametrize("way", ["exact", "coerced", "refused", "out"])
def test_no_reference_leaks(call: Call, way: str) -> None:
    first = next(name for name in ("grad", *call.arrays) if name in call.arrays)
    changes: dict[str, Any] = {}
    if way == "coerced":
        changes = {first: call.arguments[first].view(Subclass)}
    elif way == "refused":
        changes = {first: "text"}
    elif way == "out":
        out = new_out(call) if takes_out(call) else None
        if out is None:
            return
        changes = {"out": out}
    arguments = {**call.arguments, **changes}
    watched = [
        *arguments.values(),
        *results_of(changes.get("out", ())),
        *map(np.dtype, ("f4", "f8", "i8", "?")),
    ]
    repeats = 1000 if way != "refused" else 200

    def run() -> None:
        for _ in range(repeats):
            try:
                call.kernel(**arguments)
            except TypeError:
                assert way == "refused"

    run()
    gc.disable()  # what it frees was not of these calls
    before = [sys.getrefcount(x) for x in watched]
    grown = []  # NumPy keeps some blocks for later, now and then: a leak is seen every time
    for _ in range(3):
        blocks = sys.getallocatedblocks()
        run()
        grown.append(sys.getallocatedblocks() - blocks)
    gc.enable()
    after = [sys.getrefcount(x) for x in watched]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < repeats // 10, (before, after)
    assert min(grown) < repeats // 2


# ---- the interpreter's lock ----


class Other:
    """A thread that counts how often it gets the interpreter's lock."""

    def __init__(self) -> None:
        self.count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            time.sleep(0)  # gives the lock back
            self.count += 1

    def __enter__(self) -> Other:
        interval = sys.getswitchinterval()
        self._interval = interval
        sys.setswitchinterval(1000.0)  # this thread keeps the lock, except where it gives it up
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        sys.setswitchinterval(self._interval)
        self._stop.set()
        self._thread.join()


long_calls = functools.cache(functools.partial(calls, np.float64))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("gaussian_entropy", "gaussian_entropy full")])
def test_long_calls_let_other_threads_run(name: str) -> None:
    call = long_calls(10**6, 1)[name] if "column" in name else long_calls(20_000, 20)[name]
    arguments = call.arguments
    kernel: Callable[..., Any] = call.kernel
    if name == "adam_step":
        big = np.ones(400_000)
        state = {"theta": big.copy(), "grad": big.copy(), "m": big.copy(), "v": big.copy()}
        kernel, arguments = kernels.adam_step, {**state, "step": 1, "learning_rate": 0.1}
    with Other() as other:
        for _ in range(500):  # until the other thread was quick enough
            before = other.count
            kernel(**arguments)
            runs = other.count - before
            if runs:
                break
    assert runs > 0


@pytest.mark.parametrize("name", NAMES)
def test_short_calls_keep_the_lock(name: str) -> None:
    """Giving it up would take longer than they do."""
    call = CALLS[np.dtype(np.float32)][name]
    with Other() as other:
        before = other.count
        for _ in range(20):
            call()
        assert other.count == before
