"""How array-likes become what the compiled core takes: aligned, C-contiguous arrays of one float dtype.

Well-formed arguments are returned as they are, in well under a microsecond. Others are converted if their
meaning is clear, and refused if not, with the argument's name.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeGuard, TypeVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

AnyArray: TypeAlias = NDArray[Any]
"""An array whose dtype is known only when the program runs, for example of actions."""
FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""float32 or float64: what the core computes in."""
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
AnyDType: TypeAlias = np.dtype[Any]
FloatDType: TypeAlias = np.dtype[np.floating[Any]]
Arrays: TypeAlias = dict[str, AnyArray]
"""Arrays by name, what a component's `state` returns."""

_Scalar = TypeVar("_Scalar", bound=np.generic)

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)

_LARGEST = np.iinfo(np.int64).max

# Bits of `ndarray.flags.num`; one integer test is several times faster than two attribute look-ups.
_C_ALIGNED = 0x0001 | 0x0100
_OUTPUT = _C_ALIGNED | 0x0400  # and writeable
_FLOATS = "float32 or float64 (or integers)"


@overload
def float_arrays(
    names: tuple[str, ...], values: tuple[ArrayLike, ...], *, last_optional: Literal[False] = False
) -> tuple[FloatArray, ...]: ...
@overload
def float_arrays(
    names: tuple[str, ...], values: tuple[ArrayLike, ArrayLike | None], *, last_optional: Literal[True]
) -> tuple[FloatArray, FloatArray | None]: ...
@overload
def float_arrays(
    names: tuple[str, ...],
    values: tuple[ArrayLike, ArrayLike, ArrayLike | None],
    *,
    last_optional: Literal[True],
) -> tuple[FloatArray, FloatArray, FloatArray | None]: ...
@overload
def float_arrays(
    names: tuple[str, ...],
    values: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike | None],
    *,
    last_optional: Literal[True],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray | None]: ...
def float_arrays(
    names: tuple[str, ...], values: tuple[ArrayLike | None, ...], *, last_optional: bool = False
) -> tuple[FloatArray | None, ...]:
    """Return `values` as C-contiguous arrays of one dtype, float32 or float64.

    Where the last is optional it may be `None`, and stays so.
    Integers count as float64, float16 as float32, and mixed floats follow `numpy.result_type`, in which a
    plain Python number takes the dtype of the others. Arrays that are already right are not copied.

    Raises
    ------
    TypeError
        For arguments that do not hold real numbers of a supported precision.
    ValueError
        For ragged nested sequences.
    """
    dtype = getattr(values[0], "dtype", None)
    if dtype is FLOAT32 or dtype is FLOAT64:
        for value in values[:-1]:
            if not _is_ready(value, dtype):
                break
        else:
            last = values[-1]
            if (last is None and last_optional) or _is_ready(last, dtype):
                return values  # type: ignore[return-value]  # each of them is ready

    given = dict(zip(names, values, strict=True))
    if last_optional and values[-1] is None:
        del given[names[-1]]
    arrays = promoted(given)  # type: ignore[arg-type]  # a required None is refused there
    return tuple(arrays.get(name) for name in names)


def promoted(values: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    """Return array-likes, by name, as C-contiguous arrays of one dtype, float32 or float64.

    As `float_arrays`, of which it is the part that takes time.
    """
    arrays: dict[str, AnyArray] = {}
    narrow = wide = False  # whether float32 and float64 occur; both make float64
    for name, value in values.items():
        array = arrays[name] = to_numpy(name, value)
        dtype = _float_dtype(name, array)
        if type(value) is not float and type(value) is not int:
            if dtype is FLOAT64:
                wide = True
            else:
                narrow = True
    common: FloatDType = FLOAT32 if narrow and not wide else FLOAT64
    return {name: _contiguous(array, common) for name, array in arrays.items()}


def float_array(name: str, value: ArrayLike, dtype: FloatDType | None = None) -> FloatArray:
    """Return `value` as one C-contiguous float array, cast to `dtype` where one is given."""
    if dtype is None:
        return float_arrays((name,), (value,))[0]
    if _is_ready(value, dtype):
        return value
    array = to_numpy(name, value)
    _float_dtype(name, array)
    return _contiguous(array, dtype)


def observation_array(name: str, value: ArrayLike) -> FloatArray:
    """Return observations as one C-contiguous array of the smallest float dtype that loses nothing of them.

    A policy's or critic's own dtype comes later, after the mean is subtracted: float32 would lose the
    differences between time stamps.
    """
    if type(value) is np.ndarray:
        own = value.dtype
        if (own is FLOAT32 or own is FLOAT64) and value.flags.num & _C_ALIGNED == _C_ALIGNED:
            return value
    array = to_numpy(name, value)
    _float_dtype(name, array)
    return _contiguous(array, observation_dtype(array.dtype))


def observation_dtype(*dtypes: AnyDType) -> FloatDType:
    """The dtype of `observation_array` for observations of these dtypes together.

    float32 for floats and integers of at most 32 and 16 bits, else float64.
    """
    exact = all(dtype.itemsize <= (4 if dtype.kind == "f" else 2) for dtype in dtypes)
    return FLOAT32 if exact else FLOAT64


def bool_array(name: str, value: ArrayLike, shape: tuple[int, ...], *, any_byte: bool = False) -> BoolArray:
    """Return flags of the given shape: booleans, or integers that are 0 or 1.

    Memory that another library calls boolean may hold bytes other than 0 and 1, all of them true to NumPy,
    whose sums and counts go wrong with them. They become 1, unless the caller accepts `any_byte`.
    """
    flags: BoolArray
    if _is_ready(value, BOOL):
        flags = value
    else:
        array = to_numpy(name, value)
        if array.dtype.kind in "iu":
            bad = array[(array != 0) & (array != 1)]
            if bad.size:
                raise ValueError(f"{name}: expected booleans or integers 0 and 1, got {bad[0]}")
        elif array.dtype.kind != "b" and not _is_empty_sequence(value):
            raise TypeError(f"{name}: expected booleans or integers 0 and 1, got {array.dtype}")
        flags = _contiguous(array, BOOL)
    if flags.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {flags.shape}")
    if not any_byte:
        data = flags.view(np.uint8)
        if data.size and data.max() > 1:
            flags = data != 0
    return flags


def int_array(name: str, value: ArrayLike) -> IntArray:
    """Return `value` as C-contiguous 64-bit integers."""
    if _is_ready(value, INT64):
        return value
    array = to_numpy(name, value)
    if array.dtype.kind not in "biu" and not _is_empty_sequence(value):
        raise TypeError(f"{name}: expected integers, got {array.dtype}")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: expected integers of 64 bits, got {array.max()}")
    return _contiguous(array, INT64)


def _is_ready(value: object, dtype: np.dtype[_Scalar]) -> TypeGuard[NDArray[_Scalar]]:
    """Whether it is an array that the core can read as it is."""
    return type(value) is np.ndarray and value.dtype is dtype and value.flags.num & _C_ALIGNED == _C_ALIGNED


def _is_empty_sequence(value: ArrayLike) -> bool:
    """Whether it is a list like ``[]``, which NumPy calls float64 because it has no elements."""
    return isinstance(value, Sequence) and np.size(value) == 0


def to_numpy(name: str, value: ArrayLike | None) -> AnyArray:
    """Return any array-like as an array of its own dtype, without a copy where there is memory to share."""
    if type(value) is np.ndarray:
        return value
    if _has_mask(value):
        got = "a list of MaskedArray" if isinstance(value, list | tuple) else type(value).__name__
        raise TypeError(f"{name}: expected an array without a mask, got {got}")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)  # type: ignore[arg-type]  # it has what is needed
        array = np.asanyarray(value)  # what `__array__` gives may have a mask too
        if _has_mask(array):
            raise TypeError("its array has a mask")
        return np.asarray(array)
    except (TypeError, RuntimeError, BufferError) as error:  # tensors on a GPU or with gradients
        message = f"{name}: expected an array-like in main memory, got {type(value).__name__} ({error})"
        raise TypeError(message) from error
    except ValueError as error:
        message = f"{name}: expected a rectangular array, got {type(value).__name__} ({error})"
        raise ValueError(message) from error


def _has_mask(value: object, depth: int = 64) -> bool:
    """Whether it is a masked array, or a sequence that holds one; masked entries would count like others."""
    if isinstance(value, list | tuple) and depth:
        return any(_has_mask(part, depth - 1) for part in value if type(part) is not float)
    return isinstance(value, np.ma.MaskedArray)


def _float_dtype(name: str, array: AnyArray) -> FloatDType:
    """The dtype to compute in for values of the given array."""
    dtype = array.dtype
    if dtype.kind in "biu":
        return FLOAT64
    if dtype.kind == "f" and dtype.char != "g":  # longdouble has its own character even where it is a double
        return FLOAT64 if dtype.itemsize == 8 else FLOAT32
    raise TypeError(f"{name}: expected {_FLOATS}, got {dtype}")


def _contiguous(array: AnyArray, dtype: np.dtype[_Scalar]) -> NDArray[_Scalar]:
    # np.require would do, but makes 0-d arrays 1-d.
    if array.dtype == dtype and array.flags.num & _C_ALIGNED == _C_ALIGNED:
        # The core knows dtypes by identity; NumPy sometimes makes equal ones.
        return array if array.dtype is dtype else array.view(dtype)
    return np.array(array, dtype=dtype, order="C")


def check_shape(name: str, array: AnyArray, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless the array has exactly this shape."""
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def end_flags(ends: ArrayLike | None, shape: tuple[int, ...]) -> BoolArray | None:
    """Return ``ends`` as the core takes them, for which any byte but 0 is true."""
    return None if ends is None else bool_array("ends", ends, shape, any_byte=True)


def output(name: str, out: object, shape: tuple[int, ...], dtype: np.dtype[_Scalar]) -> NDArray[_Scalar]:
    """Return an array to write results into: a new one, or `out` if it fits.

    Raises
    ------
    TypeError
        If `out` is no array or has another dtype.
    ValueError
        If it has another shape, or is not C-contiguous, aligned and writeable.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {type(out).__name__}")
    if _has_mask(out):
        raise TypeError(f"{name}: expected an array without a mask, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{name}: expected {dtype}, got {out.dtype}")
    check_shape(name, out, shape)
    if out.flags.num & _OUTPUT == _OUTPUT:
        return out
    lacks = next(flag for flag in ("writeable", "contiguous", "aligned") if not getattr(out.flags, flag))
    raise ValueError(f"{name}: expected a writeable, contiguous, aligned array, got one that is not {lacks}")


def real(name: str, value: object, *, minimum: float = -math.inf, or_infinite: bool = False) -> float:
    """Return a real number of at least `minimum` as a Python float.

    Raises
    ------
    TypeError
        If `value` is not a real number (or a 0-d array of one).
    ValueError
        If it is NaN or below `minimum`, or is infinite and not `or_infinite`.
    """
    number = value if type(value) is float else _as_python_float(name, value)
    if minimum <= number and (or_infinite or -math.inf < number < math.inf):
        return number
    expected = "a number" if or_infinite else "a finite number"
    limit = "" if minimum == -math.inf else f" >= {minimum:g}"
    raise ValueError(f"{name}: expected {expected}{limit}, got {number}")


def _as_python_float(name: str, value: object) -> float:
    if not isinstance(value, numbers.Real):  # NumPy's scalars are Real, 0-d arrays are not
        array = to_numpy(name, cast(ArrayLike, value))
        if array.ndim > 0 or array.dtype.kind not in "biuf":
            got = f"shape {array.shape}" if array.ndim else type(value).__name__
            raise TypeError(f"{name}: expected a real number, got {got}")
        value = array.item()
    try:
        return float(cast(float, value))
    except OverflowError:  # a Python integer beyond every float
        return math.inf if cast(float, value) > 0 else -math.inf


def integer(name: str, value: object, *, minimum: int) -> int:
    """Return an integer of 64 bits and at least `minimum` as a Python int."""
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if number < minimum:
        raise ValueError(f"{name}: expected an integer >= {minimum}, got {number}")
    if number > _LARGEST:
        raise ValueError(f"{name}: expected an integer of 64 bits, got {number}")
    return number


def integers(name: str, values: Iterable[object], *, minimum: int) -> tuple[int, ...]:
    """Return a sequence's integers, each of at least `minimum`, as Python ints."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a sequence of integers, got {type(values).__name__}")
    return tuple(integer(name, value, minimum=minimum) for value in values)


def float_dtype(name: str, dtype: DTypeLike) -> FloatDType:
    """Return float32 or float64 for anything that names one of them."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name}: expected float32 or float64, got {dtype!r}") from None
    if result.char not in "fd" or not result.isnative:
        raise TypeError(f"{name}: expected float32 or float64, got {result}")
    return FLOAT32 if result.itemsize == 4 else FLOAT64


def state_entries(
    state: Mapping[str, ArrayLike],
    shapes: Mapping[str, tuple[int, ...]],
    dtype: FloatDType = FLOAT64,
    *,
    not_negative: Collection[str] = (),
) -> dict[str, FloatArray]:
    """Return copies of a saved state's arrays, which must be there, of these shapes, and finite.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``.
    """
    missing = sorted(set(shapes) - set(state))
    if missing:
        raise ValueError(f"state: expected entries {missing}, got {sorted(state)}")
    entries = {}
    for name, shape in shapes.items():
        with np.errstate(over="ignore"):  # seen in the next lines
            array = float_array(name, state[name]).astype(dtype)
        check_shape(name, array, shape)
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        if name in not_negative and (array < 0).any():
            raise ValueError(f"{name}: expected numbers >= 0, got {array.min()}")
        entries[name] = array
    return entries


def state_count(state: Mapping[str, ArrayLike], name: str) -> int:
    """Return a saved state's count, an integer of at least 0."""
    if name not in state:
        raise ValueError(f"state: expected entries {[name]}, got {sorted(state)}")
    array = int_array(name, state[name])
    check_shape(name, array, ())
    return integer(name, array.item(), minimum=0)
