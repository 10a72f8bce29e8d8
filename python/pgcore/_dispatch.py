"""Picks the compiled core for this machine: the best level that was built and that the processor runs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pgcore._arguments import FloatDType
    from pgcore._core import Classes, Core

LEVELS = ("base", "v2", "v3", "v4")
"""All levels, slowest first; ``base`` is the compiler's default, for machines that are not x86-64."""


def levels_built() -> list[str]:
    """Levels whose extension module is installed, slowest first."""
    return [level for level in LEVELS if importlib.util.find_spec(f"pgcore._core_{level}") is not None]


def levels_supported() -> list[str]:
    """Levels that this processor and operating system can run, slowest first."""
    from pgcore import _cpu

    return ["base", *_cpu.levels()]


compiled: Core
"""The extension module, loaded when it is first asked for: an attribute, because a call takes longer."""


def __getattr__(name: str) -> Core:
    if name != "compiled":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = globals()["compiled"] = load()
    return module


@lru_cache(maxsize=1)
def load() -> Core:
    """Return the extension module, loaded at the first call; other modules ask for `compiled`.

    Raises
    ------
    RuntimeError
        If ``PGCORE_ISA`` names a level that is unknown, was not built or cannot run here, or if none can.
    """
    built, supported = levels_built(), levels_supported()
    usable = [level for level in built if level in supported]
    forced = os.environ.get("PGCORE_ISA", "")
    if forced:
        if forced not in usable:
            raise RuntimeError(
                f"PGCORE_ISA: expected one of {usable} (built: {built}, supported here: {supported}), "
                f"got {forced!r}"
            )
        level = forced
    elif usable:
        level = usable[-1]
    else:
        raise RuntimeError(
            f"pgcore: expected a compiled core for this processor, got levels {built} where {supported} run; "
            "reinstall pgcore from source on this machine"
        )
    module = cast("Core", importlib.import_module(f"pgcore._core_{level}"))
    _register_with_threadpoolctl(module)
    return module


def classes_of(dtype: FloatDType) -> Classes:
    """Return the extension module's classes that compute in float32 or in float64."""
    return load().float32 if dtype.itemsize == 4 else load().float64


def get_num_threads() -> int:
    """Return how many threads large kernels may use.

    The default is ``OMP_NUM_THREADS`` if set, else the number of processors this process may run on.
    """
    return load().get_num_threads()


def set_num_threads(num_threads: int) -> None:
    """Set how many threads large kernels may use; results are bit-identical for any number.

    Raises
    ------
    TypeError, ValueError
        If ``num_threads`` is not an integer, or is below 1.
    """
    import operator

    try:
        n = operator.index(num_threads)
    except TypeError:
        raise TypeError(f"num_threads: expected an integer, got {type(num_threads).__name__}") from None
    if n < 1:
        raise ValueError(f"num_threads: expected at least 1, got {n}")
    load().set_num_threads(min(n, 1024))


def _register_with_threadpoolctl(module: Core) -> None:
    """Let ``threadpoolctl.threadpool_limits`` reach our pool, where threadpoolctl is installed."""
    try:
        import threadpoolctl
    except ImportError:
        return

    class PgcoreController(threadpoolctl.LibController):  # type: ignore[misc]  # threadpoolctl has no types
        user_api = "pgcore"
        internal_api = "pgcore"
        filename_prefixes = ("_core_base", "_core_v2", "_core_v3", "_core_v4")

        def get_num_threads(self) -> int:
            return module.get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            module.set_num_threads(num_threads)

        def get_version(self) -> str:
            return module.build().variant

        def set_additional_attributes(self) -> None:
            pass

    threadpoolctl.register(PgcoreController)
