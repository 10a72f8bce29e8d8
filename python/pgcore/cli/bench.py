"""``pgcore bench``: the time of every kernel and of its NumPy version, on this machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypedDict

import numpy as np
import tyro
from numpy.typing import NDArray

from pgcore import build_info, get_num_threads, kernels, reference, set_num_threads
from pgcore.cli.errors import CommandError, one_line_errors
from pgcore.cli.output import say
from pgcore.cli.parse import parse, require_at_least

__all__ = ["BenchArguments", "Case", "cases", "run"]

_TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # relative to the largest value


@dataclass(frozen=True)
class BenchArguments:
    """Arguments of ``pgcore bench``."""

    only: Annotated[str, tyro.conf.arg(metavar="TEXT")] = ""
    """Time only kernels whose name contains TEXT."""
    dtype: Literal["float32", "float64"] = "float32"
    """Type of all arrays."""
    threads: int = 1
    """Number of threads of pgcore's kernels."""
    repeats: int = 5
    """Measurements per kernel; the median is printed."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as one JSON object."""

    def __post_init__(self) -> None:
        require_at_least(self, threads=1, repeats=1)


Arrays: TypeAlias = NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]
Arguments: TypeAlias = tuple[Arrays | float, ...]
Run: TypeAlias = Callable[[], Arrays | tuple[Arrays, ...]]


class Case(NamedTuple):
    """One kernel and its NumPy version on the same data."""

    kernel: str
    size: str
    ours: Run
    numpy: Run


class Row(TypedDict):
    """What was measured of a `Case`."""

    kernel: str
    size: str
    pgcore_seconds: float
    numpy_seconds: float
    ratio: float


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    args: BenchArguments = parse(
        BenchArguments,
        arguments,
        prog="pgcore bench",
        description="Time every kernel and its NumPy version in turns; check that they agree.",
    )
    with one_line_errors(RuntimeError, ImportError):  # no core for this machine
        chosen = [case for case in cases(np.dtype(args.dtype)) if args.only in case.kernel]
    if not chosen:
        names = ", ".join(dict.fromkeys(case.kernel for case in cases(np.dtype(args.dtype))))
        raise CommandError(f"--only: expected part of a kernel's name ({names}), got {args.only!r}")
    threads = get_num_threads()
    set_num_threads(args.threads)
    try:
        rows = []
        if not args.json:
            info = build_info()
            say(f"pgcore {info['version']} {info['variant']}, NumPy {np.__version__}, {args.dtype}")
            say(f"{'kernel':24}{'size':>18}{'pgcore':>12}{'NumPy':>12}{'ratio':>9}")
        for case in chosen:
            rows.append(row := _measure(case, args.repeats, _TOLERANCE[args.dtype]))
            if not args.json:
                ours, numpy = _text(row["pgcore_seconds"]), _text(row["numpy_seconds"])
                say(f"{case.kernel:24}{case.size:>18}{ours:>12}{numpy:>12}{row['ratio']:>8.1f}×")
    finally:
        set_num_threads(threads)
    if args.json:
        say(json.dumps({**build_info(), "numpy": np.__version__, "dtype": args.dtype, "rows": rows}))
    return 0


def cases(dtype: np.dtype[np.floating]) -> Iterator[Case]:
    """Yield all kernels at usual sizes: rollouts of (2048, 64), batches of 8192 steps."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> NDArray[np.floating]:
        return rng.standard_normal(shape).astype(dtype)

    T, N, B, A, K = 2048, 64, 8192, 8, 16
    rewards, values, log_ratios = normal(T, N), normal(T, N), 0.1 * normal(T, N)
    ends = rng.random((T, N)) < 0.01
    actions, mean, log_std, logits = normal(B, A), normal(B, A), 0.1 * normal(A), normal(B, K)
    choices = rng.integers(0, K, B)
    cut: dict[str, Arrays] = {"ends": ends}
    gaussian, rollout = (actions, mean, log_std), f"({T}, {N})"
    calls: list[tuple[str, str, Arguments, dict[str, Arrays]]] = [
        ("reward_to_go", rollout, (rewards, 0.99), cut),
        ("gae", rollout, (rewards, values, 0.99, 0.95), cut),
        ("vtrace", rollout, (rewards, values, log_ratios, 0.99), cut),
        ("cumulative_log_ratios", rollout, (log_ratios,), cut),
        ("weighted_reward_to_go", rollout, (rewards, log_ratios, 0.99), cut),
        ("effective_sample_size", rollout, (log_ratios,), {}),
        ("gaussian_log_prob", f"({B}, {A})", gaussian, {}),
        ("gaussian_score", f"({B}, {A})", gaussian, {}),
        ("gaussian_kl", f"({B}, {A})", (mean, log_std, actions, 0.5 * log_std), {}),
        ("categorical_log_prob", f"({B}, {K})", (choices, logits), {}),
        ("categorical_score", f"({B}, {K})", (choices, logits), {}),
        ("categorical_kl", f"({B}, {K})", (logits, logits[::-1].copy()), {}),
    ]
    for name, size, positional, keywords in calls:
        ours, numpy = getattr(kernels, name), getattr(reference, name)
        yield Case(name, size, _call(ours, positional, keywords), _call(numpy, positional, keywords))
    sizes = (17, 64, 64, 6)
    ours_net, numpy_net = kernels.MLP(sizes, dtype=dtype.name), reference.MLP(sizes, dtype=dtype.name)
    theta, x, cotangent = ours_net.init(0), normal(T, 17), normal(T, 6)
    tangent = normal(ours_net.num_params)
    passes = {"forward": (theta, x), "vjp": (theta, x, cotangent), "jvp": (theta, x, tangent)}
    for name, data in passes.items():
        ours, numpy = getattr(ours_net, name), getattr(numpy_net, name)
        yield Case(f"MLP.{name}", f"{T}: 17-64-64-6", _call(ours, data, {}), _call(numpy, data, {}))
    root = rng.standard_normal((256, 256))
    matrix, right = (root @ root.T + 256 * np.eye(256)).astype(dtype), normal(256)
    yield Case(
        "conjugate_gradient",
        "(256, 256)",
        lambda: kernels.conjugate_gradient(matrix, right, rtol=1e-4).x,
        lambda: reference.conjugate_gradient(matrix, right, rtol=1e-4).x,
    )


def _call(function: Callable[..., Any], positional: Arguments, keywords: dict[str, Arrays]) -> Run:
    return lambda: function(*positional, **keywords)


def _measure(case: Case, repeats: int, tolerance: float) -> Row:
    """Check that both versions agree, then time them in turns."""
    answers = [answer if isinstance(answer, tuple) else (answer,) for answer in (case.ours(), case.numpy())]
    for mine, other in zip(*answers, strict=True):
        error, scale = np.max(np.abs(np.asarray(mine) - other)), np.max(np.abs(other))
        if not error <= tolerance * scale:
            raise CommandError(
                f"{case.kernel}: expected the result of the NumPy version, got one off by {error / scale:.2g}"
            )
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for samples, call in zip(times, (case.ours, case.numpy), strict=True):
            samples.append(_seconds(call))
    ours, numpy = map(statistics.median, times)
    return {
        "kernel": case.kernel,
        "size": case.size,
        "pgcore_seconds": ours,
        "numpy_seconds": numpy,
        "ratio": numpy / ours,
    }


def _text(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"


def _seconds(call: Run) -> float:
    """Seconds of one call, the mean over as many as take a millisecond."""
    count, elapsed = 1, 0.0
    while elapsed < 1e-3:
        started = time.perf_counter()
        for _ in range(count):
            call()
        elapsed = time.perf_counter() - started
        count *= 4
    return elapsed / (count / 4)
