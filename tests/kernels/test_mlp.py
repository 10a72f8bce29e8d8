"""The perceptron: forward, vjp, jvp, per-sample vjp and initial parameters."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from types import ModuleType
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from pgcore import reference
from pgcore.kernels import MLP
from support import oracles
from support.oracles import assert_close, assert_same_bits

ACTIVATIONS = ["tanh", "relu", "gelu", "identity"]
# Depths 0 to 4 of hidden layers, odd widths, a width of one.
NETWORKS = [[3, 2], [1, 1], [5, 7, 3], [4, 8, 8, 2], [2, 1, 5, 3], [3, 5, 4, 3, 2], [6, 9, 1, 7, 3, 4]]
BATCHES = [0, 1, 5, 17]
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_network = pytest.mark.parametrize("sizes", NETWORKS, ids=lambda sizes: "-".join(map(str, sizes)))
every_batch = pytest.mark.parametrize("B", BATCHES)


def problem(
    rng: np.random.Generator, sizes: list[int], B: int, dtype: Any = np.float64
) -> dict[str, np.ndarray]:
    """Parameters that are no initial ones (biases included), inputs, and vectors to multiply by."""
    P = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    arrays = {
        "theta": 0.5 * rng.normal(size=P),
        "x": rng.normal(size=(B, sizes[0])),
        "cotangent": rng.normal(size=(B, sizes[-1])),
        "tangent": rng.normal(size=P),
    }
    return {key: array.astype(dtype) for key, array in arrays.items()}


def wide(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: array.astype(np.float64) for key, array in p.items()}


def all_results(net: Any, p: dict[str, Any]) -> dict[str, Any]:
    return {
        "forward": net.forward(p["theta"], p["x"]),
        "vjp": net.vjp(p["theta"], p["x"], p["cotangent"]),
        "jvp": net.jvp(p["theta"], p["x"], p["tangent"]),
        "per_sample_vjp": net.per_sample_vjp(p["theta"], p["x"], p["cotangent"]),
    }


# ---- values and derivatives ----


@pytest.mark.covering(2)
@every_activation
@every_network
@every_batch
def test_against_autograd(
    lib: ModuleType,
    sizes: list[int],
    activation: str,
    B: int,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    p = problem(rng, sizes, B, dtype)
    net = lib.MLP(sizes, activation, dtype)
    assert net.num_params == len(p["theta"])
    results = all_results(net, p)
    for result in results.values():
        assert result.dtype == dtype
    q, f = wide(p), oracles.mlp(sizes, activation)
    assert_close(results["forward"], f(q["theta"], q["x"]))

    def contracted(theta: Any, rows: slice = slice(None)) -> Any:
        return anp.sum(q["cotangent"][rows] * f(theta, q["x"][rows]))

    assert_close(results["vjp"], autograd.grad(contracted)(q["theta"]))
    gradients = [autograd.grad(contracted)(q["theta"], slice(i, i + 1)) for i in range(B)]
    assert_close(results["per_sample_vjp"], np.reshape(gradients, (B, net.num_params)))
    jacobian = autograd.jacobian(f)(q["theta"], q["x"]) if B else np.zeros((0, sizes[-1], net.num_params))
    assert_close(results["jvp"], jacobian @ q["tangent"])


@pytest.mark.covering(2)
@every_activation
@pytest.mark.parametrize(
    "sizes", [[3, 2], [2, 3, 2], [2, 3, 3, 2], [2, 3, 2, 3, 2], [1, 2, 3, 2, 2, 2]], ids=str
)
def test_by_finite_differences(
    lib: ModuleType, sizes: list[int], activation: str, rng: np.random.Generator
) -> None:
    p = problem(rng, sizes, 3)
    net = lib.MLP(sizes, activation, "float64")
    jacobian = oracles.finite_difference(lambda theta: net.forward(theta, p["x"]), p["theta"], 1e-3)
    by_rows = np.einsum("bo,bop->bp", p["cotangent"], jacobian)
    assert_close(by_rows, net.per_sample_vjp(p["theta"], p["x"], p["cotangent"]), 1e-7)
    assert_close(by_rows.sum(axis=0), net.vjp(p["theta"], p["x"], p["cotangent"]), 1e-7)
    assert_close(jacobian @ p["tangent"], net.jvp(p["theta"], p["x"], p["tangent"]), 1e-7)


@pytest.mark.covering(2)
@pytest.mark.light
@every_activation
@pytest.mark.parametrize(
    ("sizes", "B"),
    [
        ([5, 16, 3], 255),
        ([5, 16, 3], 256),
        ([5, 16, 3], 257),
        ([17, 64, 64, 6], 100),
        ([3, 33, 1], 2050),
        ([100, 300, 5], 40),
        ([4, 5], 5000),
    ],
    ids=str,
)
def test_larger_networks_equal_reference(
    sizes: list[int], B: int, activation: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Around and beyond the kernel's blocks of 256 rows."""
    p = problem(rng, sizes, B, dtype)
    p["theta"] /= 4.0
    net, slow = MLP(sizes, activation, dtype), reference.MLP(sizes, activation, "float64")
    q = wide(p)
    results = {"forward": net.forward(p["theta"], p["x"]), "jvp": net.jvp(p["theta"], p["x"], p["tangent"])}
    assert_close(results["forward"], slow.forward(q["theta"], q["x"]))
    assert_close(results["jvp"], slow.jvp(q["theta"], q["x"], q["tangent"]))
    vjp = net.vjp(p["theta"], p["x"], p["cotangent"])
    assert_close(vjp, slow.vjp(q["theta"], q["x"], q["cotangent"]))
    if B * net.num_params < 1_000_000:
        rows = net.per_sample_vjp(p["theta"], p["x"], p["cotangent"])
        assert_close(vjp, rows.sum(axis=0, dtype=np.float64))
        one = slow.vjp(q["theta"], q["x"][-1:], q["cotangent"][-1:])
        assert_close(rows[-1], one)


@every_activation
def test_vjp_and_jvp_are_adjoint(lib: ModuleType, activation: str, rng: np.random.Generator) -> None:
    """⟨c, J t⟩ = ⟨Jᵀ c, t⟩."""
    sizes = [5, 11, 7, 3]
    p = problem(rng, sizes, 19)
    results = all_results(lib.MLP(sizes, activation, "float64"), p)
    assert np.sum(p["cotangent"] * results["jvp"]) == pytest.approx(results["vjp"] @ p["tangent"], rel=1e-11)


def test_a_linear_network_by_hand(lib: ModuleType) -> None:
    net = lib.MLP([2, 1], "tanh", "float64")
    theta, x = [1.0, 2.0, 3.0], [[4.0, 5.0]]
    np.testing.assert_array_equal(net.forward(theta, x), [[17.0]])
    np.testing.assert_array_equal(net.vjp(theta, x, [[2.0]]), [8.0, 10.0, 2.0])
    np.testing.assert_array_equal(net.jvp(theta, x, [1.0, 0.0, 1.0]), [[5.0]])


def test_layout_is_weight_rows_then_bias(lib: ModuleType) -> None:
    """W_1 is (out, in) row by row, then b_1, then W_2: as from torch's parameters_to_vector."""
    net = lib.MLP([2, 3, 1], "identity", "float64")
    W1, b1 = np.arange(6.0).reshape(3, 2), np.array([10.0, 20.0, 30.0])
    W2, b2 = np.array([[1.0, -2.0, 0.5]]), np.array([7.0])
    x = np.array([[1.0, 2.0], [-3.0, 0.5]])
    theta = np.concatenate([W1.ravel(), b1, W2.ravel(), b2])
    np.testing.assert_allclose(net.forward(theta, x), (x @ W1.T + b1) @ W2.T + b2, rtol=1e-15)


def test_the_last_layer_is_linear(lib: ModuleType) -> None:
    for activation in ACTIVATIONS:
        assert lib.MLP([1, 1], activation, "float64").forward([1.0, 0.0], [[-50.0]])[0, 0] == -50.0


def test_relu_has_slope_zero_at_zero(lib: ModuleType) -> None:
    net = lib.MLP([1, 1, 1], "relu", "float64")
    np.testing.assert_array_equal(net.vjp([1.0, 0.0, 1.0, 0.0], [[0.0]], [[1.0]]), [0.0, 0.0, 0.0, 1.0])


# ---- activations at their limits ----


def activation_of(net: Any, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ(u) and σ'(u), through a network of two unit layers."""
    theta = np.array([1.0, 0.0, 1.0, 0.0], net.dtype)
    bias_tangent = np.array([0.0, 1.0, 0.0, 0.0], net.dtype)
    x = u.astype(net.dtype)[:, None]
    return net.forward(theta, x)[:, 0], net.jvp(theta, x, bias_tangent)[:, 0]


GRID = np.concatenate([-np.logspace(2, -8, 400), [0.0], np.logspace(-8, 2, 400), np.linspace(0.6, 0.65, 101)])


@pytest.mark.light
def test_tanh_is_accurate_to_a_few_ulp(dtype: np.dtype) -> None:
    u = GRID.astype(dtype)
    value, slope = activation_of(MLP([1, 1, 1], "tanh", dtype), u)
    exact = np.tanh(u.astype(np.longdouble))
    ulp = np.abs((value - exact) / np.spacing(np.abs(value)))
    assert ulp.max() <= 4.0
    eps = np.finfo(dtype).eps
    assert np.max(np.abs(slope - (1 - exact**2))) <= 8 * eps


@pytest.mark.light
def test_gelu_is_the_exact_one(dtype: np.dtype) -> None:
    u = GRID.astype(dtype)
    value, slope = activation_of(MLP([1, 1, 1], "gelu", dtype), u)
    cdf = np.array([0.5 * math.erfc(-float(x) / math.sqrt(2)) for x in u])
    pdf = np.exp(-0.5 * u.astype(float) ** 2) / math.sqrt(2 * math.pi)
    eps = np.finfo(dtype).eps
    wide_u = u.astype(np.float64)
    assert np.max(np.abs(value - wide_u * cdf) / np.maximum(np.abs(wide_u), 1e-30)) <= 8 * eps
    assert np.max(np.abs(slope - (cdf + wide_u * pdf))) <= 16 * eps


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_infinite_and_large_inputs(lib: ModuleType, activation: str, dtype: np.dtype) -> None:
    u = np.array([-np.inf, -1e30, 1e30, np.inf], dtype)
    net = lib.MLP([1, 1, 1], activation, dtype)
    with np.errstate(all="ignore"):
        value, _ = activation_of(net, u)
    expected = {"tanh": np.tanh(u), "relu": np.maximum(u, 0), "identity": u}[activation]
    np.testing.assert_array_equal(value, expected)


@every_activation
def test_nan_stays_in_its_row(
    lib: ModuleType, activation: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    sizes = [4, 9, 3]
    p = problem(rng, sizes, 300, dtype)
    net = lib.MLP(sizes, activation, dtype)
    clean = {name: all_results(net, p)[name] for name in ("forward", "jvp", "per_sample_vjp")}
    p["x"][123, 1] = np.nan
    with np.errstate(invalid="ignore"):
        spoilt = all_results(net, p)
    others = np.arange(300) != 123
    for name, before in clean.items():
        assert_close(spoilt[name][others], before[others], 1e-6 if dtype == np.float32 else 1e-14)
        assert np.isnan(spoilt[name][123]).any()
    assert np.isnan(spoilt["vjp"]).any()


# ---- initial parameters ----


def layers(theta: np.ndarray, sizes: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    result, start = [], 0
    for n_in, n_out in pairwise(sizes):
        weight = theta[start : start + n_in * n_out].reshape(n_out, n_in)
        start += n_in * n_out
        result.append((weight, theta[start : start + n_out]))
        start += n_out
    assert start == len(theta)
    return result


@pytest.mark.parametrize("sizes", [[3, 2], [2, 5, 5, 9], [8, 4, 1], [64, 64, 3]], ids=str)
def test_initial_weights_are_orthogonal(lib: ModuleType, sizes: list[int], dtype: np.dtype) -> None:
    net = lib.MLP(sizes, "tanh", dtype)
    theta = net.init(7, final_gain=0.01)
    assert theta.dtype == dtype
    assert theta.shape == (net.num_params,)
    found = layers(theta.astype(np.float64), sizes)
    for number, (weight, bias) in enumerate(found):
        gain = 0.01 if number == len(found) - 1 else math.sqrt(2.0)
        n_out, n_in = weight.shape
        product = weight @ weight.T if n_out <= n_in else weight.T @ weight
        np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=gain**2 * 1e-5)
        np.testing.assert_array_equal(bias, 0.0)


def test_initial_weights_are_uniform_over_rotations(lib: ModuleType) -> None:
    """Without the signs of R's diagonal, Householder's QR would favour one half of the circle."""
    first = np.array([lib.MLP([2, 2], "tanh", "float64").init(seed)[0] for seed in range(400)])
    assert abs(np.mean(first)) < 5 * math.sqrt(0.5 / 400)
    assert np.mean(first**2) == pytest.approx(0.5, abs=0.1)


def test_initial_parameters_depend_on_the_seed_alone(lib: ModuleType) -> None:
    net = lib.MLP([3, 8, 2], "tanh", "float64")
    assert_same_bits(net.init(3), net.init(3))
    assert np.any(net.init(3) != net.init(4))
    rng = np.random.default_rng(3)
    assert_same_bits(net.init(rng), net.init(3))
    assert np.any(net.init(rng) != net.init(3))
    narrow = lib.MLP([3, 8, 2], "tanh", "float32").init(3)
    assert_same_bits(narrow, net.init(3).astype(np.float32))
    final = layers(net.init(3, final_gain=-2.0), [3, 8, 2])[1][0]
    assert_close(final, -2.0 * layers(net.init(3), [3, 8, 2])[1][0], 1e-15)


def test_both_implementations_draw_the_same(dtype: np.dtype) -> None:
    for sizes in ([4, 4], [3, 8, 2], [5, 2, 7]):
        for gain in (1.0, 0.01):
            assert_close(
                MLP(sizes, dtype=dtype).init(11, final_gain=gain),
                reference.MLP(sizes, dtype=dtype).init(11, final_gain=gain),
                1e-7 if dtype == np.float32 else 1e-13,  # the reference takes LAPACK's
            )


# ---- the object ----


def test_attributes_and_pickling(rng: np.random.Generator) -> None:
    net = MLP((3, 5, 2), "gelu", np.float64)
    assert (net.sizes, net.activation, net.dtype, net.num_params) == ((3, 5, 2), "gelu", np.float64, 32)
    assert repr(net) == "MLP([3, 5, 2], activation='gelu', dtype='float64')"
    copy = pickle.loads(pickle.dumps(net))
    p = problem(rng, [3, 5, 2], 4)
    assert_same_bits(copy.forward(p["theta"], p["x"]), net.forward(p["theta"], p["x"]))
    assert repr(copy) == repr(net)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype(np.float32), "f4", "<f4"])
def test_names_of_dtypes(dtype: Any) -> None:
    assert MLP([1, 1], dtype=dtype).dtype is np.dtype(np.float32)


@pytest.mark.parametrize("form", oracles.AWKWARD)
@pytest.mark.parametrize("B", [0, 9])
def test_awkward_arrays(form: str, B: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    sizes = [3, 5, 2]
    p = problem(rng, sizes, B, dtype)
    awkward = {key: oracles.AWKWARD[form](x) for key, x in p.items()}
    before = {key: x.tobytes() for key, x in awkward.items()}
    net = MLP(sizes, "tanh", dtype)
    plain = all_results(net, p)
    for name, result in all_results(net, awkward).items():
        assert_same_bits(result, plain[name])
    assert {key: x.tobytes() for key, x in awkward.items()} == before


def test_arguments_are_cast_to_the_networks_dtype() -> None:
    net = MLP([2, 1])
    assert net.forward([1, 1, 1], [[1, 2]]).dtype == np.float32
    assert net.forward(np.ones(3, np.float16), np.ones((1, 2))).dtype == np.float32
    assert_same_bits(net.vjp(np.ones(3), [[0.1, 0.2]], [[1.0]]), np.array([0.1, 0.2, 1.0], np.float32))


NET = MLP([2, 3, 1])
THETA, X = np.zeros(13, np.float32), np.zeros((4, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MLP([3]), ValueError, "sizes: expected at least two widths, got [3]"),
        (lambda: MLP([3, 0, 1]), ValueError, "sizes: expected an integer >= 1, got 0"),
        (lambda: MLP([3, 1.5]), TypeError, "sizes: expected an integer, got float"),
        (
            lambda: MLP([1, 1], "sigmoid"),
            ValueError,
            "activation: expected one of tanh, relu, gelu, identity, got 'sigmoid'",
        ),
        (lambda: MLP([1, 1], dtype="float16"), TypeError, "dtype: expected float32 or float64, got float16"),
        (lambda: MLP([1, 1], dtype="spam"), TypeError, "dtype: expected float32 or float64, got 'spam'"),
        (lambda: MLP([1, 1], dtype=">f4"), TypeError, "dtype: expected float32 or float64, got >f4"),
        (lambda: NET.init(0, final_gain=np.nan), ValueError, "final_gain: expected a finite number, got nan"),
        (lambda: MLP(5), TypeError, "sizes: expected a sequence of integers, got int"),
        (lambda: NET.forward(THETA[1:], X), ValueError, "theta: expected shape (13,), got (12,)"),
        (lambda: NET.forward(THETA, X[0]), ValueError, "x: expected shape (B, 2), got (2,)"),
        (lambda: NET.forward(THETA, X.T), ValueError, "x: expected shape (B, 2), got (2, 4)"),
        (lambda: NET.vjp(THETA, X, X), ValueError, "cotangent: expected shape (4, 1), got (4, 2)"),
        (
            lambda: NET.per_sample_vjp(THETA, X, X[:, 0]),
            ValueError,
            "cotangent: expected shape (4, 1), got (4,)",
        ),
        (lambda: NET.jvp(THETA, X, THETA[None]), ValueError, "tangent: expected shape (13,), got (1, 13)"),
        (
            lambda: NET.jvp(THETA, X, THETA.astype(complex)),
            TypeError,
            "tangent: expected float32 or float64 (or integers), got complex128",
        ),
        (
            lambda: NET.forward(THETA.astype(np.longdouble), X),
            TypeError,
            f"theta: expected float32 or float64 (or integers), got {np.dtype(np.longdouble)}",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


# ---- layers ----


@every_network
def test_layers_are_views_of_all_parameters_in_order(
    lib: ModuleType, sizes: list[int], dtype: np.dtype
) -> None:
    net = lib.MLP(sizes)
    theta = np.arange(net.num_params).astype(dtype)
    layers = net.layers(theta)
    assert [weight.shape for weight, _ in layers] == [(n_out, n_in) for n_in, n_out in pairwise(sizes)]
    assert [bias.shape for _, bias in layers] == [(n_out,) for n_out in sizes[1:]]
    for part in (part for layer in layers for part in layer):
        assert part.dtype == dtype
        assert np.shares_memory(part, theta)
    read = np.concatenate([part.ravel() for layer in layers for part in layer])
    assert read.tolist() == list(range(net.num_params))
    for weight, bias in layers:
        weight[...] = -1
        bias[...] = -2
    assert sorted(set(theta)) == [-2, -1]


@every_network
def test_layers_by_hand_make_the_network(lib: ModuleType, sizes: list[int], rng: np.random.Generator) -> None:
    p = problem(rng, sizes, 4)
    net = lib.MLP(sizes, "tanh", "float64")
    *hidden, (weight, bias) = net.layers(p["theta"])
    h = p["x"]
    for W, b in hidden:
        h = np.tanh(h @ W.T + b)
    assert_close(net.forward(p["theta"], p["x"]), h @ weight.T + bias)


def test_layers_of_a_strided_vector_are_views(lib: ModuleType) -> None:
    net, theta = lib.MLP([2, 3, 1]), np.zeros((13, 2))
    for weight, bias in net.layers(theta[:, 1]):
        weight[...] = bias[...] = 1
    assert theta.sum(axis=0).tolist() == [0, 13]


@pytest.mark.parametrize("shape", [(0,), (2,), (4,), (1, 3), ()])
def test_layers_of_another_length(lib: ModuleType, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"theta: expected shape \(3,\), got") as caught:
        lib.MLP([2, 1]).layers(np.zeros(shape))
    assert str(caught.value) == f"theta: expected shape (3,), got {shape}"


def test_layers_of_no_array() -> None:
    with pytest.raises(TypeError) as caught:
        MLP([2, 1]).layers([1.0, 2.0, 3.0])
    assert str(caught.value) == "theta: expected a numpy array, got list"
