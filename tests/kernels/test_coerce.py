"""How any public function treats its arguments: conversions, refusals, `out`, and what is never copied."""

from __future__ import annotations

import decimal
import fractions
from typing import Any

import numpy as np
import pytest

from pgcore import Batch, _dispatch
from pgcore import _arguments as coerce
from pgcore.kernels import MLP, conjugate_gradient, gae, gaussian_log_prob, reward_to_go
from support.oracles import assert_same_bits

WHAT = "expected float32 or float64 (or integers)"


class Tensor:
    """What torch and friends offer: `__array__`, and the memory behind it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


class Capsule:
    """An array library that speaks DLPack alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class OnAnotherDevice:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("can't convert device type tensor to numpy")


class CarriesGradients:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise RuntimeError("can't call numpy() on a tensor that requires grad")


# ---- dtypes ----


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.int8, np.float64),
        (np.int64, np.float64),
        (np.uint32, np.float64),
        (np.bool_, np.float64),
        (">f4", np.float32),
        (">f8", np.float64),
        (">i2", np.float64),
    ],
)
def test_dtype_of_the_result(given: Any, result: Any) -> None:
    returns = reward_to_go(np.array([1, 0, 1], given), 0.5)
    assert_same_bits(returns, np.array([1.25, 0.5, 1.0], result))


@pytest.mark.parametrize(
    ("rewards", "values", "result"),
    [
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.float16, np.float16, np.float32),
        (np.float16, np.float64, np.float64),
        (np.float32, np.int16, np.float64),
        (np.float16, np.float32, np.float32),
    ],
)
def test_mixed_dtypes(rewards: Any, values: Any, result: Any) -> None:
    for array in gae(np.ones(3, rewards), np.ones(3, values), 0.9, 0.9):
        assert array.dtype == result


@pytest.mark.parametrize(
    ("rewards", "got"),
    [
        (np.ones(2, np.longdouble), str(np.dtype(np.longdouble))),
        (np.ones(2, np.complex128), "complex128"),
        (np.ones(2, np.complex64), "complex64"),
        (np.array([1.0, None]), "object"),
        ([1.0, None], "object"),
        ([decimal.Decimal(1)], "object"),
        ([fractions.Fraction(1, 2)], "object"),
        ([10**30], "object"),
        (None, "object"),
        ({"a": 1}, "object"),
        (["1.0"], "<U3"),
        (b"abc", "|S3"),
        (np.array(["2024-01-01"], "datetime64[D]"), "datetime64[D]"),
        (np.array([1], "timedelta64[s]"), "timedelta64[s]"),
        (np.zeros(1, [("a", "f4")]), "[('a', '<f4')]"),
    ],
    ids=str,
)
def test_refused_dtypes(rewards: Any, got: str) -> None:
    with pytest.raises(TypeError) as caught:
        reward_to_go(rewards)
    assert str(caught.value) == f"rewards: {WHAT}, got {got}"


def test_refused_everywhere() -> None:
    """The argument's own name stands in the message, whichever it is."""
    with pytest.raises(
        TypeError, match=rf"^bootstrap_values: {WHAT.replace('(', '[(]').replace(')', '[)]')}, got c"
    ):
        reward_to_go([1.0], bootstrap_values=1j)
    with pytest.raises(TypeError, match=r"^values: expected .*, got object$"):
        gae([1.0], None, 0.9, 0.9)
    with pytest.raises(TypeError, match=r"^mean: expected .*, got complex128$"):
        gaussian_log_prob([[1.0]], [[1j]], [0.0])
    with pytest.raises(TypeError, match=r"^b: expected .*, got <U1$"):
        conjugate_gradient([[1.0]], ["a"])
    with pytest.raises(TypeError, match=r"^x: expected .*, got complex128$"):
        MLP([1, 1]).forward([1.0, 1.0], [[1j]])


def test_ragged_lists() -> None:
    with pytest.raises(ValueError, match=r"^rewards: expected a rectangular array, got list \("):
        reward_to_go([[1.0, 2.0], [3.0]])


def test_masked_arrays_are_refused() -> None:
    """Their masked entries would count as if they were not."""
    with pytest.raises(TypeError) as caught:
        reward_to_go(np.ma.masked_array([1.0, 2.0], mask=[True, False]))
    assert str(caught.value) == "rewards: expected an array without a mask, got MaskedArray"


@pytest.mark.parametrize("tensor", [OnAnotherDevice, CarriesGradients])
def test_tensors_that_numpy_cannot_read(tensor: type) -> None:
    with pytest.raises(
        TypeError, match=rf"^rewards: expected an array-like in main memory, got {tensor.__name__} "
    ):
        reward_to_go(tensor())


# ---- array-likes ----


@pytest.mark.parametrize("wrap", [Tensor, Capsule, list, tuple, memoryview])
def test_array_likes(wrap: Any) -> None:
    array = np.array([1.0, 2.0, 3.0])
    assert_same_bits(reward_to_go(wrap(array), 0.5), reward_to_go(array, 0.5))


@pytest.mark.parametrize("wrap", [Tensor, Capsule])
def test_array_likes_keep_float32(wrap: Any) -> None:
    assert reward_to_go(wrap(np.ones(3, np.float32))).dtype == np.float32


def test_matrix_and_memmap(tmp_path: Any) -> None:
    array = np.arange(6.0).reshape(3, 2)
    array.tofile(tmp_path / "rewards")
    memmap = np.memmap(tmp_path / "rewards", np.float64, "r", shape=(3, 2))
    expected = reward_to_go(array, 0.5)
    for given in (memmap, array.view(np.matrix)):
        result = reward_to_go(given, 0.5)
        assert type(result) is np.ndarray
        assert_same_bits(result, expected)


def test_good_arrays_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the core computes from is the caller's own memory."""
    seen: list[np.ndarray] = []
    real_gae = _dispatch.compiled.gae

    class Spy:
        def gae(self, *arguments: Any) -> Any:
            results = real_gae(*arguments)
            if results is not None:
                seen.extend(a for a in arguments if isinstance(a, np.ndarray))
            return results

    monkeypatch.setattr("pgcore._dispatch.compiled", Spy(), raising=False)
    for dtype in (np.float32, np.float64):
        for shape in ((4,), (4, 3)):
            r, v, bootstrap = (np.ones(shape, dtype) for _ in range(3))
            ends = np.ones(shape, bool)
            for array in (r, v, bootstrap, ends):
                array.flags.writeable = False
            for given in ([r, v, bootstrap], [Tensor(x) for x in (r, v, bootstrap)]):
                seen.clear()
                gae(given[0], given[1], 0.9, 0.9, ends=ends, bootstrap_values=given[2])
                for array, reached in zip((r, v, ends, bootstrap), seen, strict=True):
                    assert reached.ctypes.data == array.ctypes.data
    # A value of another dtype converts what differs and nothing else.
    seen.clear()
    r = np.ones(4)
    gae(r, np.ones(4, np.float32), 0.9, 0.9)
    assert seen[0].ctypes.data == r.ctypes.data


def test_memmaps_are_not_copied(tmp_path: Any) -> None:
    memmap = np.memmap(tmp_path / "x", np.float64, "w+", shape=(5,))
    assert coerce.float_array("x", memmap).ctypes.data == memmap.ctypes.data


# ---- out ----


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([0.0, 0.0, 0.0], TypeError, "out: expected a numpy array, got list"),
        (np.empty(3, np.float32), TypeError, "out: expected float64, got float32"),
        (np.empty(3, ">f8"), TypeError, "out: expected float64, got >f8"),
        (np.empty(3, np.int64), TypeError, "out: expected float64, got int64"),
        (np.empty(2), ValueError, "out: expected shape (3,), got (2,)"),
        (np.empty((3, 1)), ValueError, "out: expected shape (3,), got (3, 1)"),
        (
            np.empty(6)[::2],
            ValueError,
            "out: expected a writeable, contiguous, aligned array, got one that is not contiguous",
        ),
        (
            np.empty(25, np.uint8)[1:].view(np.float64),
            ValueError,
            "out: expected a writeable, contiguous, aligned array, got one that is not aligned",
        ),
        (
            np.broadcast_to(np.zeros(3), (3,)),
            ValueError,
            "out: expected a writeable, contiguous, aligned array, got one that is not writeable",
        ),
    ],
    ids=lambda x: None if isinstance(x, str | type) else type(x).__name__,
)
def test_out_must_fit(out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        reward_to_go(np.ones(3), out=out)
    assert str(caught.value) == message


def test_out_in_fortran_order_is_refused() -> None:
    with pytest.raises(ValueError, match="got one that is not contiguous"):
        reward_to_go(np.ones((3, 2)), out=np.empty((3, 2), order="F"))


# ---- numbers ----


@pytest.mark.parametrize(
    "gamma", [1, True, np.float32(0.5), np.float64(0.5), np.int64(1), np.array(0.5), fractions.Fraction(1, 2)]
)
def test_real_numbers(gamma: Any) -> None:
    assert_same_bits(reward_to_go([1.0, 1.0], gamma), np.array([1.0 + float(gamma), 1.0]))


def test_zero_dimensional_tensors_are_numbers() -> None:
    assert reward_to_go([1.0, 1.0], Tensor(np.array(0.5, np.float32)))[0] == 1.5


@pytest.mark.parametrize(
    ("gamma", "error", "got"),
    [
        ("0.5", TypeError, "a real number, got str"),
        (None, TypeError, "a real number, got NoneType"),
        (1j, TypeError, "a real number, got complex"),
        ([0.5], ValueError, "shape (2,), got (1,)"),
        (np.array([0.5]), ValueError, "shape (2,), got (1,)"),
        (float("nan"), ValueError, "a finite number, got nan"),
        (np.float32("inf"), ValueError, "a finite number, got inf"),
        (-float("inf"), ValueError, "a finite number, got -inf"),
        (10**400, ValueError, "a finite number, got inf"),
        (-(10**400), ValueError, "a finite number, got -inf"),
    ],
)
def test_what_is_no_real_number(gamma: Any, error: type[Exception], got: str) -> None:
    with pytest.raises(error) as caught:
        reward_to_go([1.0, 1.0], gamma)
    assert str(caught.value) == f"gamma: expected {got}"


def test_integers() -> None:
    assert coerce.integer("n", np.int8(3), minimum=0) == 3
    for bad, error, got in (
        (1.0, TypeError, "an integer, got float"),
        ("1", TypeError, "an integer, got str"),
        (-1, ValueError, "an integer >= 0, got -1"),
    ):
        with pytest.raises(error) as caught:
            coerce.integer("n", bad, minimum=0)
        assert str(caught.value) == f"n: expected {got}"


# ---- ends ----


@pytest.mark.parametrize(
    "ends",
    [
        [0, 1, 0],
        [False, True, False],
        (0, True, 0),
        np.array([0, 1, 0], np.uint8),
        Tensor(np.array([0, 1, 0])),
    ],
    ids=["integers", "booleans", "both", "bytes", "tensor"],
)
def test_ends_in_any_form(ends: Any) -> None:
    np.testing.assert_array_equal(reward_to_go([1.0, 1.0, 1.0], ends=ends), [2.0, 1.0, 1.0])


def test_empty_lists() -> None:
    assert reward_to_go([], ends=[], bootstrap_values=[]).shape == (0,)
    assert reward_to_go([], ends=np.zeros(0, bool), bootstrap_values=1.0).shape == (0,)
    with pytest.raises(TypeError, match=r"^ends: expected booleans or integers 0 and 1, got float64$"):
        reward_to_go([], ends=np.zeros(0))


@pytest.mark.parametrize("ends", [[0, -1, 0], np.array([0, 255, 0], np.uint8)])
def test_ends_with_other_integers(ends: Any) -> None:
    with pytest.raises(ValueError, match=r"^ends: expected booleans or integers 0 and 1, got (-1|255)$"):
        reward_to_go(np.ones(3), ends=ends)


# ---- masks ----

MASKED = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])


class MaskInside:
    """An array-like whose array has a mask."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return MASKED


@pytest.mark.parametrize(
    "call",
    [
        lambda: reward_to_go([MASKED, MASKED]),
        lambda: reward_to_go(((MASKED, [1.0, 2.0, 3.0]),)),
        lambda: reward_to_go([[MASKED[1], 1.0]]),
        lambda: reward_to_go(MaskInside()),
        lambda: reward_to_go(np.ones(3), bootstrap_values=MASKED),
        lambda: reward_to_go(np.ones(3), ends=np.ma.masked_array([0, 1, 0], mask=[0, 1, 0])),
        lambda: reward_to_go(np.ones(3), ends=list(np.ma.masked_array([0, 1, 0], mask=[0, 1, 0]))),
        lambda: reward_to_go(np.ones(3), out=np.ma.masked_array(np.zeros(3), mask=[1, 0, 0])),
        lambda: gae(np.ones(3), [*MASKED], 0.9, 0.9),
        lambda: gaussian_log_prob([MASKED], np.zeros((1, 3)), np.zeros(3)),
        lambda: coerce.int_array("actions", [np.ma.masked_array([0, 1], mask=[0, 1])]),
    ],
)
def test_masks_are_refused_wherever_they_hide(call: Any) -> None:
    with pytest.raises(TypeError, match=r"^\w+: expected an array( without a mask|-like in main memory)"):
        call()


@pytest.mark.parametrize("byte", [2, 128, 255])
def test_flags_of_any_byte_become_one(byte: int) -> None:
    """Sums and counts of such arrays go wrong in NumPy."""
    odd = np.array([0, byte, 0], np.uint8).view(bool)
    flags = coerce.bool_array("ends", odd, (3,))
    assert flags.view(np.uint8).tolist() == [0, 1, 0]
    assert odd.view(np.uint8).tolist() == [0, byte, 0]
    batch = Batch(np.zeros((3, 1)), [0, 0, 0], np.ones(3), odd)
    assert batch.ends.view(np.uint8).tolist() == [0, 1, 1]
    assert batch.num_segments == 2
