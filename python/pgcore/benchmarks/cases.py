"""Which kernels are timed, on which data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pgcore import kernels, reference
from pgcore.benchmarks.formulas import ADAM, CG_STEPS, DAMPING, GAMMA, LAM, MINIBATCH, NUM_STEPS
from pgcore.benchmarks.libraries import Run
from pgcore.optim import SurrogateAscent
from pgcore.policies import CategoricalPolicy, GaussianPolicy

__all__ = ["DTYPES", "Case", "Problem", "cases"]

DTYPES = ("float32", "float64")
_EPISODE_LENGTH = 200  # on average
_CHECKED = 20_000  # rows of a long column, and
_COLUMNS = 64  # columns, that the reference gets

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """A kernel with its data."""

    ours: Run
    """Calls pgcore; the results are allocated."""
    data: tuple[Any, ...]
    """What a `Library` gets: arrays, None, lists and tuples of arrays."""
    reference: Run | None = None
    """The kernel's definition in NumPy, perhaps on a part of the data; None where there is none."""
    part: Any = ...
    """Index of that part in the results."""
    limit: Run | None = None
    """What it takes at least: `numpy.copyto` of the bytes touched, `numpy.matmul` of a network's sizes, or
    the products with a matrix."""
    tolerance: float | None = None
    """Relative to the largest value; by the dtype if not given."""


class Case(NamedTuple):
    """One row of a comparison. The data are made when they are asked for."""

    kernel: str
    size: str
    dtype: str
    usual: bool
    """Whether it is one of the few that represent all."""
    problem: Callable[[], Problem]


def cases(dtypes: tuple[str, ...] = DTYPES) -> Iterator[Case]:
    """Yield all cases: every public kernel, from one number to millions."""
    for family in (_along_time, _gaussians, _categoricals, _networks, _policies, _others):
        for case in family():
            for dtype in dtypes:
                problem = partial(case.problem, np.dtype(dtype))
                yield Case(case.kernel, case.size, dtype, case.usual, problem)


class _Family(NamedTuple):
    """A case of any dtype."""

    kernel: str
    size: str
    usual: bool
    problem: Callable[[np.dtype[np.floating]], Problem]


# ---- data ----


def _normal(dtype: DTypeLike, *shape: int, seed: int = 0, scale: float = 1.0, mean: float = 0.0) -> Array:
    """Normal numbers; beyond 10⁵ they repeat, which saves time."""
    some = mean + scale * np.random.default_rng([seed, *shape]).standard_normal(
        min(int(np.prod(shape)), 100_003)
    )
    return np.resize(some.astype(dtype), shape)


def _ends(shape: tuple[int, ...]) -> Array:
    ends = np.random.default_rng(7).random(shape, np.float32) < 1.0 / _EPISODE_LENGTH
    ends[-1] = True
    return ends


def _copy(*arrays: Array | None) -> Run:
    touched = sum(array.nbytes for array in arrays if array is not None)
    source = np.zeros(max(1, touched // 2), np.uint8)
    return partial(np.copyto, np.ones_like(source), source)


def _products(layers: tuple[int, ...], B: int, passes: str, dtype: DTypeLike) -> Run:
    """A network's matrix products: "f"orward, cotangents of "w"eights and of "i"nputs."""
    shapes = []
    for n_in, n_out in pairwise(layers):
        shapes += [(B, n_in, n_out)] * passes.count("f")
        shapes += [(n_out, B, n_in)] * passes.count("w")
        shapes += [(B, n_out, n_in)] * passes.count("i")
    operands = [(_normal(dtype, m, k), _normal(dtype, k, n), np.empty((m, n), dtype)) for m, k, n in shapes]

    def run() -> None:
        for a, b, out in operands:
            np.matmul(a, b, out=out)

    return run


# ---- along time ----

_SHAPES = (
    (1,), (16,), (128,), (2048,), (100_000,), (1_000_000,), (128, 8), (2048, 1), (2048, 2), (2048, 3),
    (2048, 8), (2048, 16), (2048, 64), (128, 1024), (2048, 4096),
)  # fmt: skip
_USUAL_SHAPES = ((128,), (100_000,), (2048, 8), (2048, 64))


class _TimeKernel(NamedTuple):
    inputs: tuple[str, ...]
    call: Callable[..., Run]
    """(`kernels` or `reference`, inputs, ends) → the call."""
    reads: str
    """Which steps a result depends on: "later", "earlier", or "all" of them."""
    without_ends: bool = False
    """Whether that is a case too, for some length."""
    num_results: int = 1


_INPUTS: dict[str, Callable[..., Array]] = {
    "rewards": partial(_normal, seed=0),
    "values": partial(_normal, seed=1),
    "log_ratios": partial(_normal, seed=2, scale=0.1),
    "factors": partial(_normal, seed=3, scale=0.03, mean=0.9),
}
_ALONG_TIME = {
    "reward_to_go": _TimeKernel(
        ("rewards",), lambda lib, r, e: partial(lib.reward_to_go, r, GAMMA, ends=e), "later", True
    ),
    "gae": _TimeKernel(
        ("rewards", "values"),
        lambda lib, r, v, e: partial(lib.gae, r, v, GAMMA, LAM, ends=e),
        "later",
        without_ends=True,
        num_results=2,
    ),
    "vtrace": _TimeKernel(
        ("rewards", "values", "log_ratios"),
        lambda lib, r, v, x, e: partial(lib.vtrace, r, v, x, GAMMA, ends=e),
        "later",
        num_results=2,
    ),
    "weighted_reward_to_go": _TimeKernel(
        ("rewards", "log_ratios"),
        lambda lib, r, x, e: partial(lib.weighted_reward_to_go, r, x, GAMMA, ends=e),
        "later",
    ),
    "affine_scan": _TimeKernel(
        ("rewards", "factors"), lambda lib, x, c, e: partial(lib.affine_scan, x, c, ends=e), "later"
    ),
    "n_step_return": _TimeKernel(
        ("rewards", "values"),
        lambda lib, r, v, e: partial(lib.n_step_return, r, v, GAMMA, NUM_STEPS, ends=e),
        "later",
    ),
    "cumulative_log_ratios": _TimeKernel(
        ("log_ratios",), lambda lib, x, e: partial(lib.cumulative_log_ratios, x, ends=e), "earlier", True
    ),
    "effective_sample_size": _TimeKernel(
        ("log_ratios",), lambda lib, x: partial(lib.effective_sample_size, x), "all"
    ),
}


def _along_time() -> Iterator[_Family]:
    for name, kernel in _ALONG_TIME.items():
        for shape in _SHAPES:
            size, usual = " × ".join(map(str, shape)), shape in _USUAL_SHAPES
            if kernel.reads == "all":
                yield _Family(name, size, usual, partial(_time_problem, kernel, shape, ()))
                continue
            yield _Family(name, f"{size}, ends", usual, partial(_time_problem, kernel, shape, (True,)))
            if kernel.without_ends and shape[0] >= 128:
                yield _Family(name, size, False, partial(_time_problem, kernel, shape, (False,)))


def _time_problem(
    kernel: _TimeKernel, shape: tuple[int, ...], ends: tuple[bool, ...], dtype: np.dtype[np.floating]
) -> Problem:
    """``ends`` is empty for a kernel that has no such argument."""
    data = (
        *(_INPUTS[name](dtype, *shape) for name in kernel.inputs),
        *(_ends(shape) if given else None for given in ends),
    )
    part: Any = ...
    if len(shape) == 2:
        part = (..., slice(_COLUMNS))
    elif kernel.reads != "all":
        part = slice(-_CHECKED, None) if kernel.reads == "later" else slice(_CHECKED)
    seen = [x if x is None else np.ascontiguousarray(x[part]) for x in data]
    written = [data[0]] * kernel.num_results if kernel.reads != "all" else []
    return Problem(
        kernel.call(kernels, *data), data, kernel.call(reference, *seen), part, _copy(*data, *written)
    )


# ---- distributions ----

_GAUSSIAN = ((1, 1), (64, 6), (2048, 1), (2048, 6), (2048, 17), (8192, 64))
_CATEGORICAL = (*_GAUSSIAN, (2048, 1000))
_FULL = ((1, 1), (64, 6), (2048, 6), (2048, 17))
_USUAL_BATCHES = ((64, 6), (2048, 6), (8192, 64))


def _gaussians() -> Iterator[_Family]:
    for name in ("gaussian_log_prob", "gaussian_score", "gaussian_kl"):
        for B, A in _GAUSSIAN:
            usual = (B, A) in _USUAL_BATCHES
            yield _Family(name, f"{B} × {A}", usual, partial(_gaussian_problem, name, B, A, (A,)))
            yield _Family(name, f"{B} × {A}, σ by row", False, partial(_gaussian_problem, name, B, A, (B, A)))
    for B, A in _GAUSSIAN:
        usual = (B, A) in _USUAL_BATCHES
        yield _Family("gaussian_entropy", f"{B} × {A}", usual, partial(_entropy_problem, B, A))
    for name in ("gaussian_log_prob", "gaussian_score"):
        for B, A in _FULL:
            usual = (B, A) == (2048, 6)
            yield _Family(f"{name}, full", f"{B} × {A}", usual, partial(_full_problem, name, B, A))


def _gaussian_problem(
    name: str, B: int, A: int, spread: tuple[int, ...], dtype: np.dtype[np.floating]
) -> Problem:
    a, mean = _normal(dtype, B, A), _normal(dtype, B, A, seed=1)
    log_std = _normal(dtype, *spread, scale=0.3, seed=2)
    data: tuple[Array, ...] = a, mean, log_std
    if name == "gaussian_kl":
        data = a, log_std, mean, _normal(dtype, *spread, scale=0.3, seed=3)
    written = (a, a) if name == "gaussian_score" else (a[:, 0],)
    return _same_call(name, data, _copy(*data, *written))


def _entropy_problem(B: int, A: int, dtype: np.dtype[np.floating]) -> Problem:
    log_std = _normal(dtype, B, A, scale=0.3)
    return _same_call("gaussian_entropy", (log_std,), _copy(log_std, log_std[:, 0]))


def _full_problem(name: str, B: int, A: int, dtype: np.dtype[np.floating]) -> Problem:
    a, mean = _normal(dtype, B, A), _normal(dtype, B, A, seed=1)
    scale = np.tril(_normal(dtype, A, A, scale=0.2, seed=2), -1) + np.eye(A, dtype=dtype)
    ours, plain = (partial(getattr(lib, name), a, mean, scale_tril=scale) for lib in (kernels, reference))
    written = (a, np.empty((B, A, A), dtype)) if name == "gaussian_score" else (a[:, 0],)
    return Problem(ours, (a, mean, scale), plain, limit=_copy(a, mean, *written))


def _categoricals() -> Iterator[_Family]:
    for name in ("log_prob", "score", "kl", "entropy"):
        for B, K in _CATEGORICAL:
            usual = (B, K) in _USUAL_BATCHES
            yield _Family(
                f"categorical_{name}", f"{B} × {K}", usual, partial(_categorical_problem, name, B, K)
            )


def _categorical_problem(name: str, B: int, K: int, dtype: np.dtype[np.floating]) -> Problem:
    logits, others = _normal(dtype, B, K), _normal(dtype, B, K, seed=1)
    actions = np.random.default_rng(0).integers(0, K, B)
    data: tuple[Array, ...] = {"kl": (logits, others), "entropy": (logits,)}.get(name, (actions, logits))
    written = logits if name == "score" else logits[:, 0]
    return _same_call(f"categorical_{name}", data, _copy(*data, written))


def _same_call(name: str, data: tuple[Array, ...], limit: Run) -> Problem:
    ours, plain = (partial(getattr(lib, name), *data) for lib in (kernels, reference))
    return Problem(ours, data, plain, limit=limit)


# ---- networks ----

_LAYERS = (17, 64, 64, 6)
_NETWORK = "→".join(map(str, _LAYERS))
_BATCHES = (1, 64, 2048, 20_000)
_PASSES = {"forward": "f", "vjp": "fwi", "jvp": "fff", "per_sample_vjp": "fi"}


def _networks() -> Iterator[_Family]:
    for name in _PASSES:
        for B in _BATCHES:
            if name != "per_sample_vjp" or B <= 2048:  # beyond, the result takes 500 MB
                yield _Family(f"MLP.{name}", f"{B}", B in (64, 2048), partial(_pass_problem, name, B))


def _pass_problem(name: str, B: int, dtype: np.dtype[np.floating]) -> Problem:
    net, plain = (lib.MLP(_LAYERS, dtype=dtype) for lib in (kernels, reference))
    theta, x = net.init(0), _normal(dtype, B, _LAYERS[0])
    vector = {"vjp": (B, _LAYERS[-1]), "jvp": (net.num_params,), "per_sample_vjp": (B, _LAYERS[-1])}
    last = (_normal(dtype, *vector[name], seed=1),) if name in vector else ()
    data = (plain.layers(theta), x, *(map(plain.layers, last) if name == "jvp" else last))
    ours, of_reference = (partial(getattr(lib, name), theta, x, *last) for lib in (net, plain))
    limit = _products(_LAYERS, B, _PASSES[name], dtype)
    return Problem(ours, data, of_reference, limit=limit)


# ---- policies ----


def _policies() -> Iterator[_Family]:
    for name in ("policy.log_prob", "policy.score_product", "Fisher.matvec"):
        for B in _BATCHES:
            yield _Family(name, f"{B}", B in (64, 2048), partial(_policy_problem, name, B))
    for B in _BATCHES[1:]:
        size = f"{B}, {CG_STEPS} steps"
        yield _Family("Fisher.solve", size, B in (64, 2048), partial(_policy_problem, "Fisher.solve", B))
    yield _Family("predict", "1", True, _predict_problem)
    yield _Family("SurrogateAscent.epoch", "64", True, _minibatch_problem)


def _policy_problem(name: str, B: int, dtype: np.dtype[np.floating]) -> Problem:
    """A Gaussian policy of HalfCheetah's sizes, on a batch."""
    obs_dim, *hidden, A = _LAYERS
    policy = GaussianPolicy(obs_dim, A, hidden=hidden, dtype=dtype)
    policy.params += _normal(dtype, policy.num_params, scale=0.05)
    net = reference.MLP(_LAYERS, dtype=dtype)
    theta, log_std = policy.params[:-A], policy.params[-A:]
    obs, actions = _normal(dtype, B, obs_dim), _normal(dtype, B, A, seed=1)
    weights, v = _normal(dtype, B, seed=2), _normal(dtype, policy.num_params, seed=3)
    given = net.layers(theta), log_std, obs
    vector = net.layers(v[:-A]), v[-A:]

    def log_prob() -> Array:
        return reference.gaussian_log_prob(actions, net.forward(theta, obs), log_std)

    def score_product() -> Array:
        d_mean, d_log_std = reference.gaussian_score(actions, net.forward(theta, obs), log_std)
        return np.concatenate([net.vjp(theta, obs, weights[:, None] * d_mean), weights @ d_log_std])

    def product(v: Array) -> Array:
        tangent = net.jvp(theta, obs, v[:-A]) * np.exp(-2.0 * log_std) / B
        return np.concatenate([net.vjp(theta, obs, tangent), 2.0 * v[-A:]]) + DAMPING * v

    def solution() -> Array:
        return reference.conjugate_gradient(product, v, max_iter=CG_STEPS, rtol=0.0).x

    if name == "policy.log_prob":
        ours, limit = partial(policy.log_prob, obs, actions), _products(_LAYERS, B, "f", dtype)
        return Problem(ours, (*given, actions), log_prob, limit=limit)
    if name == "policy.score_product":
        ours = partial(policy.score_product, obs, actions, weights)
        limit = _products(_LAYERS, B, "fwi", dtype)
        return Problem(ours, (*given, actions, weights), score_product, limit=limit)
    fisher = policy.fisher(obs, damping=DAMPING)
    if name == "Fisher.matvec":
        limit = _products(_LAYERS, B, "ffwi", dtype)
        return Problem(partial(fisher.matvec, v), (*given, vector), partial(product, v), limit=limit)

    def solve() -> Array:
        return fisher.solve(v, max_iter=CG_STEPS, rtol=0.0).x

    def products() -> None:
        for _ in range(CG_STEPS):
            fisher.matvec(v)

    return Problem(solve, (*given, vector), solution, limit=products, tolerance=1e-2)


def _minibatch_problem(dtype: np.dtype[np.floating]) -> Problem:
    """One step of PPO's actor on CartPole. It works in place: only the first calls are comparable."""
    policy, B = CategoricalPolicy(4, 2, dtype=dtype), 64
    policy.params += _normal(dtype, policy.num_params, scale=0.05)
    obs, advantages = _normal(dtype, B, 4), _normal(dtype, B, seed=1)
    actions, log_probs = policy.sample(obs, np.random.default_rng(0))
    layers = reference.MLP((4, 64, 64, 2), dtype=dtype).layers(policy.params.copy())
    data, order = (obs, actions, advantages, log_probs), np.arange(B)
    ascent = SurrogateAscent(policy)

    def ours() -> Array:
        ascent.epoch(*data, order, batch_size=B, normalize_advantage=True, **MINIBATCH)
        return policy.params

    return Problem(ours, (layers, *data))


def _predict_problem(dtype: np.dtype[np.floating]) -> Problem:
    """CartPole's policy, as an algorithm's ``predict`` calls it."""
    from gymnasium.spaces import Box, Discrete

    from pgcore.training.prediction import Predictor
    from pgcore.training.spaces import Spaces

    policy = CategoricalPolicy(4, 2, dtype=dtype)
    net = reference.MLP((4, 64, 64, 2), dtype=dtype)
    predictor = Predictor(Spaces(Box(-np.inf, np.inf, (4,), dtype.type), Discrete(2)))
    obs = _normal(dtype, 4)

    def predict() -> Any:
        return net.forward(policy.params, obs[None]).argmax(axis=1)[0]

    return Problem(partial(predictor, policy, obs, None), (net.layers(policy.params), obs), predict)


# ---- systems of equations, optimisers ----


def _others() -> Iterator[_Family]:
    for n in (16, 200, 2000):
        yield _Family("conjugate_gradient", f"{n} × {n}", n == 200, partial(_system, n))
    for n in (16, 5702, 1_000_000):
        yield _Family("adam_step", f"{n}", n == 5702, partial(_adam, n))


def _system(n: int, dtype: np.dtype[np.floating]) -> Problem:
    root = np.random.default_rng(0).standard_normal((n, n)) / np.sqrt(n)
    matrix, right = (root @ root.T + 0.5 * np.eye(n)).astype(dtype), _normal(dtype, n)

    def ours() -> Array:
        return kernels.conjugate_gradient(matrix, right, rtol=1e-6).x

    def plain() -> Array:
        return reference.conjugate_gradient(matrix, right, rtol=1e-6).x

    return Problem(ours, (matrix, right), plain, tolerance=1e-4)


def _adam(n: int, dtype: np.dtype[np.floating]) -> Problem:
    """It works in place: only the first calls are comparable."""
    theta, grad, m, root = (_normal(dtype, n, seed=seed) for seed in range(4))
    data = theta, grad, m, root**2
    rate, beta1, beta2, epsilon = ADAM
    options = {"learning_rate": rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}

    def of(library: Any) -> Run:
        arrays = [array.copy() for array in data]
        step = partial(library.adam_step, *arrays, 1, **options)

        def run() -> tuple[Array, ...]:
            step()
            return arrays[0], arrays[2], arrays[3]

        return run

    return Problem(of(kernels), data, of(reference), limit=_copy(*data, *data[:1], *data[2:]))
