"""A multilayer perceptron over one flat parameter vector, with its derivatives written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pgcore.reference._arrays import FloatArray, deliver

_Scalar = TypeVar("_Scalar", bound=np.generic)

_normal_cdf = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)), otypes=[np.float64])


def _normal_pdf(x: FloatArray) -> FloatArray:
    density: FloatArray = np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    return density


# name -> (σ, σ')
ACTIVATIONS: dict[str, tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]]] = {
    "tanh": (np.tanh, lambda u: 1.0 - np.tanh(u) ** 2),
    "relu": (lambda u: np.maximum(u, 0.0), lambda u: np.where(u > 0.0, 1.0, 0.0)),
    "gelu": (lambda u: u * _normal_cdf(u), lambda u: _normal_cdf(u) + u * _normal_pdf(u)),
    "identity": (np.positive, np.ones_like),
}


class MLP:
    """h_0 = x; u_l = h_{l−1} W_lᵀ + b_l; h_l = σ(u_l); the output is the last u, without activation.

    `theta` holds W_1 (out × in, row by row), b_1, W_2, b_2, …: the order of
    ``torch.nn.utils.parameters_to_vector`` for a ``Sequential`` of ``Linear`` layers.
    See `pgcore.kernels.MLP`; source: Rumelhart, Hinton & Williams 1986.

    >>> net = MLP([1, 1], dtype="float64")
    >>> net.forward([2.0, 1.0], [[3.0]])
    array([[7.]])
    """

    def __init__(self, sizes: Sequence[int], activation: str = "tanh", dtype: DTypeLike = "float32") -> None:
        self.sizes = tuple(sizes)
        self.activation = activation
        self.dtype = np.dtype(dtype)
        self.num_params = sum(n_out * n_in + n_out for n_in, n_out in pairwise(self.sizes))
        self._sigma, self._sigma_prime = ACTIVATIONS[activation]

    def __reduce__(self) -> tuple[type[MLP], tuple[tuple[int, ...], str, str]]:
        return MLP, (
            self.sizes,
            self.activation,
            self.dtype.name,
        )  # functions without a name can't be pickled

    def init(self, seed: int | np.random.Generator, *, final_gain: float = 1.0) -> FloatArray:
        """Orthogonal weights (gain √2, `final_gain` in the last layer), zero biases (Saxe et al. 2014)."""
        rng = np.random.default_rng(seed)
        parts = []
        for layer, (n_in, n_out) in enumerate(pairwise(self.sizes)):
            gain = final_gain if layer == len(self.sizes) - 2 else math.sqrt(2.0)
            tall = rng.standard_normal((max(n_in, n_out), min(n_in, n_out)))
            q, r = np.linalg.qr(tall)
            q = q * np.sign(np.diag(r))  # with r's diagonal positive, q is uniform over the orthogonal group
            parts += [gain * (q if n_out >= n_in else q.T).ravel(), np.zeros(n_out)]
        return np.concatenate(parts).astype(self.dtype)

    def layers(self, theta: NDArray[_Scalar]) -> list[tuple[NDArray[_Scalar], NDArray[_Scalar]]]:
        """(W_l, b_l) of all layers, views of θ: see `pgcore.kernels.MLP.layers`."""
        if theta.shape != (self.num_params,):
            raise ValueError(f"theta: expected shape {(self.num_params,)}, got {theta.shape}")
        layers, start = [], 0
        for n_in, n_out in pairwise(self.sizes):
            weight = theta[start : start + n_out * n_in].reshape(n_out, n_in)
            start += n_out * n_in
            layers.append((weight, theta[start : start + n_out]))
            start += n_out
        return layers

    def forward(self, theta: ArrayLike, x: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
        """The network's outputs (B, out) for inputs (B, in)."""
        return deliver(self._forward(self.layers(self._array(theta)), self._array(x))[0], out)

    def vjp(
        self, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """Σ_i c_iᵀ ∂f(x_i)/∂θ, a vector (P,): reverse accumulation from the cotangent c (B, out)."""
        layers = self.layers(self._array(theta))
        _, inputs, pre_activations = self._forward(layers, self._array(x))
        d_u = self._array(cotangent)  # ∂/∂u of the layer above, starting at the linear output
        parts: list[FloatArray] = []
        for layer in reversed(range(len(layers))):
            weight, _ = layers[layer]
            parts = [(d_u.T @ inputs[layer]).ravel(), d_u.sum(axis=0), *parts]
            if layer > 0:
                d_u = (d_u @ weight) * self._sigma_prime(pre_activations[layer - 1])
        return deliver(np.concatenate(parts).astype(self.dtype), out)

    def jvp(
        self, theta: ArrayLike, x: ArrayLike, tangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """∂f(x_i)/∂θ · t for every row, (B, out): forward accumulation of the tangent t (P,)."""
        layers, d_layers = self.layers(self._array(theta)), self.layers(self._array(tangent))
        h = self._array(x)
        d_h = np.zeros_like(h)  # the input does not depend on θ
        for layer, ((weight, bias), (d_weight, d_bias)) in enumerate(zip(layers, d_layers, strict=True)):
            u = h @ weight.T + bias
            d_u = h @ d_weight.T + d_h @ weight.T + d_bias
            if layer < len(layers) - 1:
                h, d_h = self._sigma(u), self._sigma_prime(u) * d_u
        return deliver(d_u.astype(self.dtype), out)

    def per_sample_vjp(
        self, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """c_iᵀ ∂f(x_i)/∂θ, one row (P,) for each sample."""
        x, c = self._array(x), self._array(cotangent)
        rows = [self.vjp(theta, x[i : i + 1], c[i : i + 1]) for i in range(len(x))]
        return deliver(np.stack(rows) if rows else np.zeros((0, self.num_params), self.dtype), out)

    def _forward(
        self, layers: list[tuple[FloatArray, FloatArray]], x: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
        """The output, every layer's input h_{l−1}, every layer's u_l."""
        inputs: list[FloatArray] = []
        pre_activations: list[FloatArray] = []
        h = x
        for weight, bias in layers:
            inputs.append(h)
            pre_activations.append(h @ weight.T + bias)
            h = self._sigma(pre_activations[-1])
        return pre_activations[-1].astype(self.dtype), inputs, pre_activations

    def _array(self, x: ArrayLike) -> FloatArray:
        return np.asarray(x, dtype=self.dtype)
