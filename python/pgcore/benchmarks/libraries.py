"""The libraries that the kernels are compared with, each imported only when it is asked for."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from pgcore import build_info, get_num_threads, set_num_threads

__all__ = ["LIBRARIES", "Library", "Run", "describe", "installed", "ready"]

Run: TypeAlias = Callable[[], Any]

LIBRARIES = {"numpy": "NumPy", "numba": "numba", "jax": "JAX", "torch": "PyTorch", "scipy": "SciPy"}
"""How they are imported, and how they are written."""


class Library(Protocol):
    """A module of this package, ``with_NAME``."""

    def runs(self, kernel: str, *data: Any) -> list[Run]:
        """Return its ways to compute a kernel; none if it has no good one.

        The arrays among ``data`` become the library's own before anything is timed, and every call allocates
        its results and returns them when they are complete.
        """

    def settings(self) -> AbstractContextManager[Any]:
        """Return the context in which its runs are made, and called."""


def installed(compiled: Path | None = None) -> dict[str, Library]:
    """Return the libraries of this environment by name, NumPy first.

    Parameters
    ----------
    compiled
        Directory that keeps what numba and JAX compile for the next time; they compile anew without it.
    """
    if compiled is not None:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(compiled / "numba"))
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(compiled / "jax"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    libraries: dict[str, Library] = {}
    for name in LIBRARIES:
        try:
            importlib.metadata.version(name)  # a folder of that name can be imported too
            libraries[name] = cast("Library", importlib.import_module(f"pgcore.benchmarks.with_{name}"))
        except ImportError:
            continue
    return libraries


def describe(names: Iterable[str] = ("numpy",)) -> str:
    """Return one line on what runs: versions of pgcore and of the libraries, level, threads."""
    others = ", ".join(f"{LIBRARIES[name]} {importlib.metadata.version(name)}" for name in names)
    info, num = build_info(), get_num_threads()
    return f"pgcore {info['version']} {info['variant']}, {others}, {num} thread{'s' if num > 1 else ''}"


@contextmanager
def ready(libraries: Mapping[str, Library], num_threads: int = 1) -> Iterator[None]:
    """Inside this context all libraries have their settings for benchmarks, and use so many threads.

    JAX counts the processors only once, at its first computation: the context must be open by then.
    """
    before = get_num_threads()
    with ExitStack() as stack:
        for library in libraries.values():
            stack.enter_context(library.settings())
        if hasattr(os, "sched_setaffinity"):
            processors = os.sched_getaffinity(0)
            stack.callback(os.sched_setaffinity, 0, processors)
            os.sched_setaffinity(0, sorted(processors)[-num_threads:])
        with suppress(ImportError):
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(num_threads))
        stack.callback(set_num_threads, before)
        set_num_threads(num_threads)
        yield
