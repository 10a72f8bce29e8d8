"""Fisher-vector products, and ten iterations of conjugate gradient with them, against PyTorch.

    python bench/bench_fisher.py

PyTorch multiplies as TRPO's usual implementations do: it computes the gradient of the mean KL once, keeps the
graph, and runs a second backward pass for every product. The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import bench_mlp
import harness
import sizes
from harness import Case, Limit
from pgcore.policies import GaussianPolicy

DAMPING = 0.1


def torch_product(
    network: sizes.Network, theta: np.ndarray, obs: np.ndarray, v: np.ndarray
) -> harness.Run | None:
    """Multiply by double backward, if PyTorch is installed."""
    A = network.layers[-1]
    net = bench_mlp.torch_network(network, theta[:-A])
    if net is None:
        return None
    torch = harness.optional("torch")
    assert torch is not None
    log_std = torch.from_numpy(theta[-A:].copy()).requires_grad_()
    parameters = [*net.parameters(), log_std]
    mean = net(torch.from_numpy(obs))
    old_mean, old_std = mean.detach(), log_std.detach().exp()
    squares = (old_std**2 + (mean - old_mean) ** 2) / (2 * (2 * log_std).exp())
    kl = (log_std - old_std.log() + squares - 0.5).sum(dim=1).mean()
    gradient = torch.cat([part.ravel() for part in torch.autograd.grad(kl, parameters, create_graph=True)])
    vector = torch.from_numpy(v)

    def run() -> Any:
        product = torch.autograd.grad(gradient @ vector, parameters, retain_graph=True)
        return (torch.cat([part.ravel() for part in product]) + DAMPING * vector).numpy()

    return run


def network_cases(network: sizes.Network, dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    obs_dim, *hidden, A = network.layers
    policy = GaussianPolicy(obs_dim, A, hidden=hidden, dtype=dtype)
    policy.params = policy.params + (0.05 * rng.standard_normal(policy.num_params)).astype(dtype)
    v = rng.standard_normal(policy.num_params).astype(dtype)
    for B in network.batches:
        obs = rng.standard_normal((B, obs_dim)).astype(dtype)
        F, size = policy.fisher(obs, damping=DAMPING), f"{network}, {B}"
        peer = torch_product(network, policy.params, obs, v)
        yield Case(
            "Fisher.matvec",
            size,
            lambda F=F: F.matvec(v),
            limit=bench_mlp.limit(network, B, "ffwi", dtype),
            peers={} if peer is None else {"torch": peer},
        )
        yield Case(
            "Fisher.solve, 10 CG steps",
            size,
            lambda F=F: F.solve(v, max_iter=10, rtol=0.0).x,
            limit=Limit("10 matvec", lambda F=F: F.matvec(v), 10.0),
        )
        yield Case(
            "policy.fisher",
            size,
            lambda obs=obs: policy.fisher(obs).shape[0],
            limit=bench_mlp.limit(network, B, "f", dtype),
        )


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    for network in sizes.NETWORKS:
        yield from network_cases(network, dtype)


if __name__ == "__main__":
    harness.main(cases, __doc__)
