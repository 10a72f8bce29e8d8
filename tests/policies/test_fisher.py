"""Fisher operators: against the Hessian of the KL and outer products of scores, and their linear systems."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import pgcore
from pgcore.kernels import CGStatus, conjugate_gradient
from pgcore.policies import CategoricalPolicy, Fisher, GaussianPolicy, ObservationNormalizer
from support.oracles import assert_close, assert_same_bits
from support.oracles_policies import FAMILIES, ChoiceOracle, GaussianOracle, Problem, problem

every_family = pytest.mark.parametrize("family", FAMILIES)
every_kind = pytest.mark.parametrize("kind", ["exact", "empirical"])


def kl_hessian(p: Problem) -> np.ndarray:
    """The Hessian of mean KL(π_θ‖π_θ') in θ' at θ' = θ, by two passes of automatic differentiation."""
    theta, obs, _ = p.wide

    def mean_kl(other: Any) -> Any:
        if isinstance(p.oracle, GaussianOracle):
            (mean_p, cov_p), (mean_q, cov_q) = p.oracle.moments(theta, obs), p.oracle.moments(other, obs)
            inverse = anp.linalg.inv(cov_q)
            deviation = (mean_p - mean_q)[:, None, :]
            squares = anp.sum(anp.matmul(deviation, inverse) * deviation, axis=(1, 2))
            traces = anp.sum(inverse * cov_p, axis=(-2, -1))  # both are symmetric
            return 0.5 * anp.mean(squares + traces + anp.linalg.slogdet(cov_q)[1])
        assert isinstance(p.oracle, ChoiceOracle)
        pairs = zip(p.oracle.log_probs(theta, obs), p.oracle.log_probs(other, obs), strict=True)
        return -sum(anp.mean(anp.sum(np.exp(log_p) * log_q, axis=1)) for log_p, log_q in pairs)

    return autograd.hessian(mean_kl)(theta)


def expected(p: Problem, kind: str) -> np.ndarray:
    if kind == "exact":
        return kl_hessian(p)
    scores = p.oracle.scores(*p.wide)
    return scores.T @ scores / len(scores)


def fisher(p: Problem, kind: str = "exact", **options: Any) -> Fisher:
    return p.policy.fisher(p.obs, p.actions, kind=kind, **options)


# ---- the matrix ----


@pytest.mark.covering(2)
@every_family
@every_kind
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3), (3, 2, 3)], ids=lambda h: f"depth{len(h)}")
def test_it_is_the_hessian_of_the_kl_or_the_outer_product(
    family: str, kind: str, activation: str, hidden: tuple[int, ...]
) -> None:
    p = problem(family, 5, hidden=hidden, activation=activation)
    assert_close(fisher(p, kind).dense(), expected(p, kind), 1e-8)


@every_family
@every_kind
def test_float32(family: str, kind: str) -> None:
    p = problem(family, 9, hidden=(4,), dtype=np.float32)
    F = fisher(p, kind)
    assert F.dtype == np.float32
    assert_close(F.dense(), expected(p, kind))


@every_family
def test_the_expectation_over_actions(family: str) -> None:
    """The definition itself, Σ_a π(a) s sᵀ, where actions can be listed; by sampling where they can't."""
    p = problem(family, 2, hidden=(3,))
    exact = fisher(p).dense()
    total = np.zeros_like(exact)
    if isinstance(p.oracle, ChoiceOracle):
        every, probabilities = p.oracle.joint(p.theta, p.obs)
        for action, weights in zip(every, probabilities.T, strict=True):
            actions = np.broadcast_to(action, (2, len(action))).reshape(2, *p.policy.action_shape)
            scores = p.policy.scores(p.obs, actions)
            total += (scores * weights[:, None]).T @ scores / 2
        assert_close(total, exact)
        return
    rng = np.random.default_rng(1)
    many = np.repeat(p.obs, 100_000, axis=0)
    F = p.policy.fisher(many, p.policy.sample(many, rng)[0], kind="empirical")
    directions = rng.normal(size=(20, p.policy.num_params))
    for v in directions:  # vᵀ F v is the mean of (sᵀv)², whose deviation is known from the sample
        squares = (p.policy.scores(many[::50], p.policy.sample(many[::50], rng)[0]) @ v) ** 2
        error = squares.std() / np.sqrt(len(many))
        assert abs(v @ (F @ v) - v @ exact @ v) < 5 * error


@pytest.mark.covering(2)
@every_family
@every_kind
@pytest.mark.parametrize("num_rows", [1, 255, 256, 257, 1100])
def test_batches_of_many_blocks(family: str, kind: str, num_rows: int) -> None:
    p = problem(family, num_rows, hidden=(4,))
    if kind == "empirical":
        scores = p.policy.scores(*p.data)
        want = scores.T @ scores / num_rows
    else:  # a mean over rows is the mean of the means over parts of equal size
        want = np.mean([p.policy.fisher(row[None]).dense() for row in p.obs], axis=0)
    assert_close(fisher(p, kind).dense(), want)
    assert_close(fisher(p, kind).diagonal(), np.diagonal(want))


@every_family
@every_kind
def test_keeping_activations_changes_nothing(family: str, kind: str) -> None:
    p = problem(family, 600, hidden=(8, 6), activation="gelu")
    kept, again = fisher(p, kind), fisher(p, kind, max_cache_bytes=0)
    assert kept.cached
    assert not again.cached
    v = np.random.default_rng(0).normal(size=p.policy.num_params)
    assert_same_bits(kept @ v, again @ v)
    assert_same_bits(kept.diagonal(), again.diagonal())


@every_kind
def test_the_operator_stays_at_its_parameters_and_statistics(kind: str) -> None:
    p = problem("diagonal", 300)
    normalizer = ObservationNormalizer(3)
    normalizer.update(p.obs + 1.0)
    p.policy.normalizer = normalizer
    v = np.random.default_rng(0).normal(size=p.policy.num_params)
    for cache in (0, 1e9):
        F = fisher(p, kind, max_cache_bytes=cache)
        before = F @ v
        old = p.policy.params
        p.policy.params = old + 1.0
        normalizer.update(p.obs * 3.0)
        assert_same_bits(F @ v, before)
        assert np.abs(fisher(p, kind) @ v - before).max() > 0
        p.policy.params = old


@every_family
def test_any_number_of_threads_gives_the_same_bits(family: str) -> None:
    p = problem(family, 3000, hidden=(32, 32))
    v = np.random.default_rng(0).normal(size=p.policy.num_params)
    threads = pgcore.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            pgcore.set_num_threads(n)
            results.append(fisher(p) @ v)
    finally:
        pgcore.set_num_threads(threads)
    assert_same_bits(results[1], results[0])
    assert_same_bits(results[2], results[0])
    F = fisher(p)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(F.matvec, [v] * 12):
            assert_same_bits(result, results[0])


def test_wide_layers_and_outputs_of_one() -> None:
    policy = GaussianPolicy(19, 1, hidden=(33, 47), dtype="float64")
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(70, 19))
    F, v = policy.fisher(obs), rng.normal(size=policy.num_params)
    step = 1e-4  # KL ≈ ½ h² vᵀFv; odd powers cancel
    kls = []
    for sign in (1, -1):
        moved = policy.copy()
        moved.params = policy.params + sign * step * v
        kls.append(moved.kl(obs, policy.params).mean())
    assert np.isclose(sum(kls) / step**2, v @ (F @ v), rtol=1e-5)


def test_certain_choices_have_no_curvature() -> None:
    policy = CategoricalPolicy(1, 3, hidden=(), dtype="float64")
    policy.params = np.array([0.0, 0.0, 0.0, 0.0, -np.inf, -np.inf])
    assert not policy.fisher([[1.0]]).dense().any()


# ---- the operator ----


def test_as_a_linear_operator() -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    p = problem("diagonal", 40, hidden=(4,))
    F = fisher(p, damping=0.5)
    operator = linalg.aslinearoperator(F)
    rng = np.random.default_rng(0)
    block = rng.normal(size=(p.policy.num_params, 3))
    assert_close(operator.matvec(block[:, 0]), F.dense() @ block[:, 0])
    assert_close(operator.matmat(block), F.dense() @ block)
    assert_close(operator.rmatvec(block[:, 0]), F.dense() @ block[:, 0])
    assert_close(linalg.cg(operator, block[:, 0], rtol=1e-12)[0], np.linalg.solve(F.dense(), block[:, 0]))


def test_products_with_matrices_and_damping() -> None:
    p = problem("full", 40, hidden=(4,))
    plain, damped = fisher(p), fisher(p, damping=0.25)
    P = p.policy.num_params
    assert damped.shape == (P, P)
    assert damped.dtype == np.float64
    assert damped.kind == "exact"
    matrix = np.random.default_rng(0).normal(size=(P, 4))
    assert_close(plain @ matrix, plain.dense() @ matrix)
    assert (plain @ np.zeros((P, 0))).shape == (P, 0)
    assert_close(plain @ list(np.ones(P)), plain.dense() @ np.ones(P))
    assert_close(damped.dense(), plain.dense() + 0.25 * np.eye(P))
    assert_close(damped.diagonal(), plain.diagonal() + 0.25)
    assert_close(damped @ matrix, plain @ matrix + 0.25 * matrix)
    assert repr(damped) == f"Fisher(shape=({P}, {P}), kind='exact', damping=0.25, dtype='float64')"


def test_subsamples_are_seeded_rows_of_the_batch() -> None:
    p = problem("categorical", 50, hidden=(3,))
    v = np.random.default_rng(0).normal(size=p.policy.num_params)
    first = fisher(p, num_samples=20, seed=3) @ v
    assert_same_bits(fisher(p, num_samples=20, seed=3) @ v, first)
    assert np.abs(fisher(p, num_samples=20, seed=4) @ v - first).max() > 0
    assert_same_bits(fisher(p, num_samples=50) @ v, fisher(p) @ v)
    assert_same_bits(fisher(p, num_samples=500) @ v, fisher(p) @ v)
    each = [p.policy.fisher(row[None]) @ v for row in p.obs]
    means = np.mean([fisher(p, "exact", num_samples=25, seed=s) @ v for s in range(400)], axis=0)
    assert np.abs(means - np.mean(each, axis=0)).max() < 0.1 * np.std(each, axis=0).max()
    subset = fisher(p, "empirical", num_samples=1, seed=0).dense()
    outer = [np.outer(s, s) for s in p.policy.scores(*p.data)]
    assert min(np.abs(subset - o).max() for o in outer) < 1e-12


def test_operators_outlive_their_policy() -> None:
    operators = []
    for seed, cache in itertools.product(range(3), (0, 1e9)):
        rng = np.random.default_rng(seed)
        policy = GaussianPolicy(4, 2, hidden=(8,), seed=seed, dtype="float64")
        obs, v = rng.normal(size=(300, 4)), rng.normal(size=policy.num_params)
        operators.append((policy.fisher(obs, max_cache_bytes=cache), v, policy.fisher(obs) @ v))
        del policy, obs
    for operator, v, product in operators:
        assert_same_bits(operator @ v, product)


# ---- linear systems ----


@every_family
@every_kind
def test_all_methods_agree(family: str, kind: str) -> None:
    p = problem(family, 11, hidden=(4,))
    F = fisher(p, kind, damping=0.1)
    g = np.random.default_rng(0).normal(size=p.policy.num_params)
    want = np.linalg.solve(F.dense(), g)
    preconditioned = [{"preconditioner": m} for m in ("diagonal", "kronecker", np.linalg.inv(F.dense()))]
    for options in [{}, *preconditioned, {"x0": np.ones_like(g)}]:
        result = F.solve(g, rtol=1e-11, **options)
        assert result.status == CGStatus.CONVERGED
        assert result.residual_norm <= 1e-11
        assert_close(result.x, want, 1e-8)
        assert np.isclose(result.curvature, want @ g)
    for method in ("dense", "gram"):
        result = F.solve(g, method=method)
        assert result.status == CGStatus.CONVERGED
        assert result.iterations == 0
        assert result.residual_norm < 1e-9
        assert_close(result.x, want)
        assert np.isclose(result.curvature, want @ g)


@every_kind
def test_gram_with_several_blocks_and_fewer_rows_than_parameters(kind: str) -> None:
    p = problem("diagonal", 300, obs_dim=5, hidden=(40,))
    F = fisher(p, kind, damping=0.05)
    g = np.random.default_rng(0).normal(size=p.policy.num_params)
    assert_close(F.solve(g, method="gram").x, np.linalg.solve(F.dense(), g), 1e-8)


def test_compiled_cg_is_the_kernel_on_the_operator() -> None:
    p = problem("state", 500, hidden=(16,))
    F = fisher(p, damping=0.01)
    g = np.random.default_rng(0).normal(size=p.policy.num_params)
    for max_iter in (0, 1, 5, 10):
        mine = F.solve(g, max_iter=max_iter, rtol=0.0)
        kernel = conjugate_gradient(p.policy.fisher(p.obs), g, max_iter=max_iter, rtol=0.0, damping=0.01)
        assert_same_bits(mine.x, kernel.x)
        assert (mine.status, mine.iterations) == (kernel.status, kernel.iterations)
        assert mine.residual_norm == kernel.residual_norm


@every_kind
@pytest.mark.parametrize("preconditioner", [None, "diagonal"])
def test_tolerance_and_callback_are_those_of_the_kernel(kind: str, preconditioner: str | None) -> None:
    p = problem("diagonal", 200, hidden=(8,))
    F = fisher(p, kind, damping=20.0 if kind == "empirical" else 1.0)
    g = np.random.default_rng(0).normal(size=p.policy.num_params)
    m = None if preconditioner is None else np.diag(1 / F.diagonal())
    seen: list[np.ndarray] = []
    same: list[np.ndarray] = []
    atol = 1e-3 * float(np.linalg.norm(g))
    mine = F.solve(g, rtol=0.0, atol=atol, callback=seen.append, preconditioner=preconditioner)
    kernel = conjugate_gradient(F.dense(), g, rtol=0.0, atol=atol, callback=same.append, preconditioner=m)
    assert (mine.status, mine.iterations) == (CGStatus.CONVERGED, kernel.iterations)
    assert len(seen) == mine.iterations > 2
    for x, other in zip(seen, same, strict=True):
        assert_close(x, other, 1e-8)
    assert_same_bits(seen[-1], mine.x)


def test_preconditioners_save_iterations() -> None:
    """On badly scaled inputs. A linear policy's Fisher matrix *is* one Kronecker product for each layer."""
    policy = GaussianPolicy(6, 2, hidden=(), dtype="float64")
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(500, 6)) * np.logspace(-1.5, 1.5, 6)
    policy.params = policy.params + 0.2 * rng.normal(size=policy.num_params)
    F = policy.fisher(obs, damping=1e-4)
    g = policy.score_product(obs, policy.sample(obs, rng)[0], rng.normal(size=500)) / 500
    iterations = {
        m: F.solve(g, rtol=1e-6, preconditioner=m).iterations for m in (None, "diagonal", "kronecker")
    }
    assert iterations[None] > 20
    assert iterations["diagonal"] < 10
    assert iterations["kronecker"] == 1


def test_singular_and_broken_systems() -> None:
    policy = GaussianPolicy(3, 2, hidden=(), dtype="float64")
    obs = np.ones((4, 3))  # inputs and bias are one and the same: singular
    F = policy.fisher(obs)
    inside = F @ np.random.default_rng(0).normal(size=policy.num_params)
    for method in ("cg", "dense"):
        result = F.solve(inside, method=method)
        assert result.status == CGStatus.CONVERGED
        assert_close(F @ result.x, inside, 1e-8)
        assert_close(result.x, np.linalg.pinv(F.dense()) @ inside, 1e-6)  # the shortest
    assert F.solve(np.zeros(policy.num_params), method="dense").residual_norm == 0.0
    policy.params = np.full(policy.num_params, np.nan)
    broken = policy.fisher(obs, damping=1.0)
    for method in ("cg", "dense", "gram"):
        result = broken.solve(inside, method=method)
        assert result.status == CGStatus.NONFINITE
        assert not result.x.any()


def test_dense_solutions_in_float32_ignore_what_rounding_makes_of_a_singular_matrix() -> None:
    policy = CategoricalPolicy(3, 4, hidden=())  # logits are free by a constant
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(50, 3)).astype(np.float32)
    F = policy.fisher(obs)
    g = F @ rng.normal(size=policy.num_params)
    result = F.solve(g, method="dense")
    assert result.status == CGStatus.CONVERGED
    wide = F.dense().astype(np.float64)
    np.testing.assert_allclose(result.x, np.linalg.pinv(wide, rcond=1e-4) @ g, rtol=0.02, atol=1e-2)
    outside = F.solve(np.ones(policy.num_params), method="dense")
    assert outside.status == CGStatus.MAX_ITER
    assert np.linalg.norm(outside.x) < 1e4


@every_family
def test_the_natural_direction_does_not_depend_on_the_parameterisation(family: str) -> None:
    """With θ = A φ: ∇_φ J = Aᵀ ∇_θ J and F_φ = Aᵀ F A, so A times the direction in φ is the one in θ."""
    p = problem(family, 400, hidden=())
    F = fisher(p)
    g = p.policy.score_product(*p.data, p.weights) / 400
    direction = F.solve(g, method="dense").x
    rng = np.random.default_rng(0)
    A = rng.normal(size=F.shape) + 3 * np.eye(len(g))
    in_phi = np.linalg.lstsq(A.T @ F.dense() @ A, A.T @ g, rcond=1e-13)[0]
    reached = F @ (A @ in_phi)  # compared where F sees it: softmax logits are free by a constant
    assert_close(reached, F @ direction, 1e-6)
    assert np.abs(A @ (A.T @ g) - g).max() > 0.1 * np.abs(g).max()  # the plain gradient does depend on it
