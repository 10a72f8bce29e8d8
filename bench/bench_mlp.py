"""Networks: forward pass and derivatives, against PyTorch and NumPy's matrix products of the same sizes.

    python bench/bench_mlp.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

import harness
import sizes
from harness import Case, Limit, copy_limit, matmul_limit
from pgcore import kernels, reference


def products(layers: tuple[int, ...], B: int, passes: str) -> list[tuple[int, int, int]]:
    """(m, k, n) of a network's matrix products: "f"orward, "w"eight and "i"nput cotangents."""
    shapes = []
    for n_in, n_out in pairwise(layers):
        shapes += [(B, n_in, n_out)] * passes.count("f")
        shapes += [(n_out, B, n_in)] * passes.count("w")
        shapes += [(B, n_out, n_in)] * passes.count("i")
    return shapes


def limit(network: sizes.Network, B: int, passes: str, dtype: np.dtype[Any]) -> Limit:
    """Useful work is 2 P B for each pass."""
    flops = 2.0 * network.num_params * B * len(passes)
    return matmul_limit(products(network.layers, B, passes), flops, dtype)


def torch_network(network: sizes.Network, theta: np.ndarray) -> Any:
    """The same network in PyTorch, or None without it."""
    torch = harness.optional("torch")
    if torch is None:
        return None
    layers: list[Any] = []
    for n_in, n_out in pairwise(network.layers):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-1]).to(torch.from_numpy(theta).dtype)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(theta), net.parameters())
    return net


def torch_peers(
    network: sizes.Network, theta: np.ndarray, x: np.ndarray, cotangent: np.ndarray
) -> dict[str, dict[str, harness.Run]]:
    """PyTorch's ways to a forward pass and to a gradient."""
    net = torch_network(network, theta)
    if net is None:
        return {}
    torch = harness.optional("torch")
    assert torch is not None
    inputs, c = torch.from_numpy(x), torch.from_numpy(cotangent)
    parameters = list(net.parameters())

    def forward() -> Any:
        with torch.inference_mode():
            return net(inputs).numpy()

    def vjp() -> Any:
        gradient = torch.autograd.grad(net(inputs), parameters, c)
        return torch.cat([part.ravel() for part in gradient]).numpy()

    return {"forward": {"torch": forward}, "vjp": {"torch": vjp}}


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for network in sizes.NETWORKS:
        net, plain = (lib.MLP(network.layers, dtype=dtype) for lib in (kernels, reference))
        theta = net.init(0)
        tangent = rng.standard_normal(net.num_params).astype(dtype)
        for B in network.batches:
            x = rng.standard_normal((B, network.layers[0])).astype(dtype)
            c = rng.standard_normal((B, network.layers[-1])).astype(dtype)
            peers = torch_peers(network, theta, x, c)
            size = f"{network}, {B}"
            yield Case(
                "forward",
                size,
                lambda net=net, theta=theta, x=x: net.forward(theta, x),
                lambda plain=plain, theta=theta, x=x: plain.forward(theta, x),
                limit(network, B, "f", dtype),
                peers.get("forward", {}),
            )
            yield Case(
                "vjp",
                size,
                lambda net=net, theta=theta, x=x, c=c: net.vjp(theta, x, c),
                lambda plain=plain, theta=theta, x=x, c=c: plain.vjp(theta, x, c),
                limit(network, B, "fwi", dtype),
                peers.get("vjp", {}),
            )
            yield Case(
                "jvp",
                size,
                lambda net=net, theta=theta, x=x, t=tangent: net.jvp(theta, x, t),
                lambda plain=plain, theta=theta, x=x, t=tangent: plain.jvp(theta, x, t),
                limit(network, B, "fff", dtype),
            )
        B = sizes.PER_SAMPLE
        x, c = x[:B], c[:B]
        if len(x) == B and network is sizes.SMALL:
            yield Case(
                "per_sample_vjp",
                f"{network}, {B}",
                lambda net=net, theta=theta, x=x, c=c: net.per_sample_vjp(theta, x, c),
                lambda plain=plain, theta=theta, x=x, c=c: plain.per_sample_vjp(theta, x, c),
                copy_limit(np.empty((B, net.num_params), dtype)),
            )


if __name__ == "__main__":
    harness.main(cases, __doc__)
