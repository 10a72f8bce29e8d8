"""A multilayer perceptron over one flat parameter vector, with its derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pgcore import _dispatch
from pgcore._arguments import FloatArray, check_shape, float_array, float_dtype, integers, real
from pgcore._dispatch import classes_of
from pgcore.kernels.coercion import computed, delivered

_Scalar = TypeVar("_Scalar", bound=np.generic)
_ACTIVATIONS = ("tanh", "relu", "gelu", "identity")


class MLP:
    """A multilayer perceptron: its shape; parameters and inputs are arguments of every call.

    h_0 = x; u_l = W_l h_{l−1} + b_l; h_l = σ(u_l) for l < L; f(x) = u_L

    Parameters
    ----------
    sizes : sequence of int
        Widths of all layers, from the inputs to the outputs: at least those two.
    activation : "tanh", "relu", "gelu" or "identity"
        σ, of every layer but the last, which is linear; "gelu" is the exact one, u Φ(u).
    dtype : "float32" or "float64"
        The dtype of the computation; arguments of other real dtypes are converted.

    Attributes
    ----------
    sizes, activation, dtype
        As given.
    num_params : int
        P, the length of the parameter vector θ: W_1 (out × in, row by row), b_1, W_2, b_2, …, as from
        ``torch.nn.utils.parameters_to_vector`` of a ``Sequential`` of ``Linear`` layers.

    Raises
    ------
    TypeError
        If sizes are no integers, or `dtype` is neither float32 nor float64.
    ValueError
        If there are fewer than two sizes, one is below 1, or `activation` is unknown.

    References
    ----------
    Rumelhart, Hinton & Williams 1986, *Learning representations by back-propagating errors* (`vjp`);
    Pearlmutter 1994, *Fast exact multiplication by the Hessian*, section 3 (the forward pass of `jvp`);
    Hendrycks & Gimpel 2016 (gelu).

    Examples
    --------
    >>> net = MLP([3, 64, 2], activation="relu")
    >>> theta = net.init(seed=0)
    >>> net.num_params, net.forward(theta, [[0.1, 0.2, 0.3]]).shape
    (386, (1, 2))
    """

    def __init__(self, sizes: Sequence[int], activation: str = "tanh", dtype: DTypeLike = "float32") -> None:
        self.sizes = integers("sizes", sizes, minimum=1)
        if len(self.sizes) < 2:
            raise ValueError(f"sizes: expected at least two widths, got {list(self.sizes)}")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
        self.activation = activation
        self.dtype = float_dtype("dtype", dtype)
        self._core = classes_of(self.dtype).MLP(self.sizes, activation)
        self.num_params = self._core.num_params

    def init(self, seed: int | np.random.Generator, *, final_gain: float = 1.0) -> FloatArray:
        """Draw parameters: orthogonal weights with gain √2 (the last layer's with `final_gain`), zero biases.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            Source of randomness; equal seeds give equal parameters, bit for bit whatever the
            processor, the threads and NumPy's build, and up to rounding across dtypes.
        final_gain : float
            Gain of the last layer; 0.01 is customary for policies, so that the first actions are near zero.

        Returns
        -------
        (P,)
            θ.

        Raises
        ------
        TypeError, ValueError
            If `seed` cannot seed a generator, or `final_gain` is not a finite number.

        References
        ----------
        Saxe, McClelland & Ganguli 2014, *Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks*; Mezzadri 2007, section 5 (the signs that make the QR factor uniform); Giraud, Langou
        & Rozložník 2005 (Gram and Schmidt's process twice).

        Examples
        --------
        >>> net = MLP([2, 2])
        >>> weight = net.init(seed=0)[:4].reshape(2, 2)
        >>> (weight @ weight.T).round(4) + 0.0
        array([[1., 0.],
               [0., 1.]], dtype=float32)
        """
        rng = np.random.default_rng(seed)
        final_gain = real("final_gain", final_gain)
        theta = np.zeros(self.num_params)
        for layer, (weight, _) in enumerate(self.layers(theta)):
            gain = final_gain if layer == len(self.sizes) - 2 else math.sqrt(2.0)
            columns = rng.standard_normal((max(weight.shape), min(weight.shape)))
            rows = np.ascontiguousarray(columns.T)
            _dispatch.compiled.orthonormalize(rows)
            n_out, n_in = weight.shape
            weight[...] = gain * (rows.T if n_out >= n_in else rows)
        return theta.astype(self.dtype)

    def layers(self, theta: NDArray[_Scalar]) -> list[tuple[NDArray[_Scalar], NDArray[_Scalar]]]:
        """Weights and biases (W_l, b_l) of all layers, from the first to the last, as views of θ.

        θ = (W_1 row by row, b_1, W_2 row by row, b_2, …). What is written to a view is written to θ.

        Parameters
        ----------
        theta : (P,) array
            Parameters, or a vector like them (a gradient, a moment), of any dtype.

        Returns
        -------
        list of ((out, in), (out,))
            W_l and b_l, for l from 1 to L, of the dtype of `theta`.

        Raises
        ------
        TypeError
            If `theta` is no array: it could not be viewed.
        ValueError
            If it has any other shape.

        References
        ----------
        The order of ``torch.nn.utils.parameters_to_vector`` for a ``Sequential`` of ``Linear`` layers.

        Examples
        --------
        >>> net = MLP([2, 1])
        >>> theta = np.array([1.0, 2.0, 3.0])
        >>> ((weight, bias),) = net.layers(theta)
        >>> weight, bias
        (array([[1., 2.]]), array([3.]))
        >>> bias[0] = 4.0
        >>> theta
        array([1., 2., 4.])
        """
        if not isinstance(theta, np.ndarray):
            raise TypeError(f"theta: expected a numpy array, got {type(theta).__name__}")
        check_shape("theta", theta, (self.num_params,))
        layers, start = [], 0
        for n_in, n_out in pairwise(self.sizes):
            weight_end = start + n_out * n_in
            weight = theta[start:weight_end].reshape(n_out, n_in)
            start = weight_end + n_out
            layers.append((weight, theta[weight_end:start]))
        return layers

    def forward(self, theta: ArrayLike, x: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
        """Outputs f(x_i; θ).

        Parameters
        ----------
        theta : (P,)
            Parameters.
        x : (B, in)
            Inputs, one a row.
        out : (B, out), of the network's dtype, optional
            Where to write the result.

        Returns
        -------
        (B, out)
            Outputs.

        Raises
        ------
        TypeError
            If an array holds no real numbers, or `out` has another dtype than the result.
        ValueError
            If a shape is wrong.

        Examples
        --------
        >>> MLP([1, 1]).forward([2.0, 1.0], [[3.0]])
        array([[7.]], dtype=float32)
        """
        exact = self._core.forward(theta, x, out)
        if exact is not None:
            return exact
        t, inputs = self._theta("theta", theta), self._inputs(x)
        result = self._core.forward(t, inputs, None)
        return delivered(computed(result), out)

    def vjp(
        self, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """Vector-Jacobian product, summed over the batch: Σ_i c_iᵀ ∂f(x_i; θ)/∂θ.

        It is the gradient of Σ_i L_i for c_i = ∂L_i/∂f(x_i), by back-propagation.

        Parameters
        ----------
        theta : (P,)
            Parameters.
        x : (B, in)
            Inputs, one a row.
        cotangent : (B, out)
            c.
        out : (P,), of the network's dtype, optional
            Where to write the result; it may be `theta` itself.

        Returns
        -------
        (P,)
            The product.

        Raises
        ------
        TypeError
            If an array holds no real numbers, or `out` has another dtype than the result.
        ValueError
            If a shape is wrong.

        Examples
        --------
        >>> MLP([1, 1]).vjp([2.0, 1.0], [[3.0], [4.0]], [[1.0], [1.0]])
        array([7., 2.], dtype=float32)
        """
        exact = self._core.vjp(theta, x, cotangent, out)
        if exact is not None:
            return exact
        t, inputs = self._theta("theta", theta), self._inputs(x)
        result = self._core.vjp(t, inputs, self._cotangent(cotangent, len(inputs)), None)
        return delivered(computed(result), out)

    def jvp(
        self, theta: ArrayLike, x: ArrayLike, tangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """Jacobian-vector product ∂f(x_i; θ)/∂θ · t: the change of the outputs along a parameter direction.

        Parameters
        ----------
        theta : (P,)
            Parameters.
        x : (B, in)
            Inputs, one a row.
        tangent : (P,)
            t.
        out : (B, out), of the network's dtype, optional
            Where to write the result.

        Returns
        -------
        (B, out)
            The product.

        Raises
        ------
        TypeError
            If an array holds no real numbers, or `out` has another dtype than the result.
        ValueError
            If a shape is wrong.

        Examples
        --------
        >>> MLP([1, 1]).jvp([2.0, 1.0], [[3.0]], [1.0, 0.5])
        array([[3.5]], dtype=float32)
        """
        exact = self._core.jvp(theta, x, tangent, out)
        if exact is not None:
            return exact
        t, inputs = self._theta("theta", theta), self._inputs(x)
        result = self._core.jvp(t, inputs, self._theta("tangent", tangent), None)
        return delivered(computed(result), out)

    def per_sample_vjp(
        self, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike, *, out: FloatArray | None = None
    ) -> FloatArray:
        """Vector-Jacobian products c_iᵀ ∂f(x_i; θ)/∂θ, one row for each sample; `vjp` is their sum.

        Parameters
        ----------
        theta : (P,)
            Parameters.
        x : (B, in)
            Inputs, one a row.
        cotangent : (B, out)
            c.
        out : (B, P), of the network's dtype, optional
            Where to write the result.

        Returns
        -------
        (B, P)
            The products.

        Raises
        ------
        TypeError
            If an array holds no real numbers, or `out` has another dtype than the result.
        ValueError
            If a shape is wrong.

        Examples
        --------
        >>> MLP([1, 1]).per_sample_vjp([2.0, 1.0], [[3.0], [4.0]], [[1.0], [1.0]])
        array([[3., 1.],
               [4., 1.]], dtype=float32)
        """
        exact = self._core.per_sample_vjp(theta, x, cotangent, out)
        if exact is not None:
            return exact
        t, inputs = self._theta("theta", theta), self._inputs(x)
        result = self._core.per_sample_vjp(t, inputs, self._cotangent(cotangent, len(inputs)), None)
        return delivered(computed(result), out)

    def __repr__(self) -> str:
        return f"MLP({list(self.sizes)}, activation={self.activation!r}, dtype={self.dtype.name!r})"

    def __reduce__(self) -> tuple[type[MLP], tuple[tuple[int, ...], str, str]]:
        return MLP, (self.sizes, self.activation, self.dtype.name)

    def _theta(self, name: str, value: ArrayLike) -> FloatArray:
        theta = float_array(name, value, self.dtype)
        check_shape(name, theta, (self.num_params,))
        return theta

    def _inputs(self, x: ArrayLike) -> FloatArray:
        inputs = float_array("x", x, self.dtype)
        if inputs.ndim != 2 or inputs.shape[1] != self.sizes[0]:
            raise ValueError(f"x: expected shape (B, {self.sizes[0]}), got {inputs.shape}")
        return inputs

    def _cotangent(self, value: ArrayLike, rows: int) -> FloatArray:
        cotangent = float_array("cotangent", value, self.dtype)
        check_shape("cotangent", cotangent, (rows, self.sizes[-1]))
        return cotangent
