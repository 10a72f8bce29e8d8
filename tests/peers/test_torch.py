"""The same numbers as PyTorch: layout and derivatives of networks, distributions, Adam."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pgcore import kernels
from support.oracles import assert_close

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peers,
    # PyTorch uses this itself, in forward mode
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

ACTIVATIONS = {
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "gelu": torch.nn.GELU,
    "identity": torch.nn.Identity,
}


def tensor(x: np.ndarray, **options: Any) -> Any:
    return torch.tensor(x, dtype=torch.float64, **options)


def sequential(sizes: list[int], activation: str) -> Any:
    layers: list[Any] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out, dtype=torch.float64), ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*layers[:-1])


# ---- networks ----


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[3, 2], [5, 7, 3], [4, 8, 8, 2]], ids=str)
def test_parameters_to_vector_is_theta(sizes: list[int], activation: str) -> None:
    """A torch network's own parameter vector gives its outputs and its gradient."""
    torch.manual_seed(0)
    module = sequential(sizes, activation)
    theta = torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy()
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(11, sizes[0])), rng.normal(size=(11, sizes[-1]))
    net = kernels.MLP(sizes, activation, "float64")
    assert net.num_params == len(theta)

    output = module(tensor(x))
    assert_close(net.forward(theta, x), output.detach().numpy())
    (output * tensor(c)).sum().backward()
    gradient = torch.cat([parameter.grad.ravel() for parameter in module.parameters()])
    assert_close(net.vjp(theta, x, c), gradient.numpy())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jvp(activation: str) -> None:
    sizes = [4, 6, 5, 2]
    torch.manual_seed(1)
    module = sequential(sizes, activation)
    names = [name for name, _ in module.named_parameters()]
    values = [parameter.detach() for parameter in module.parameters()]
    theta = torch.nn.utils.parameters_to_vector(values).numpy()
    rng = np.random.default_rng(1)
    x, tangent = rng.normal(size=(7, 4)), rng.normal(size=len(theta))
    parts = torch.split(tensor(tangent), [value.numel() for value in values])
    tangents = [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]

    def f(*parameters: Any) -> Any:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), tensor(x))

    _, expected = torch.func.jvp(f, tuple(values), tuple(tangents))
    net = kernels.MLP(sizes, activation, "float64")
    assert_close(net.jvp(theta, x, tangent), expected.numpy())


def test_tensors_come_in_without_copies() -> None:
    x = torch.arange(5, dtype=torch.float32)
    result = kernels.reward_to_go(x, 0.5)
    assert result.dtype == np.float32
    assert_close(result, kernels.reward_to_go(x.numpy(), 0.5))
    assert kernels.reward_to_go(x.to(torch.float16)).dtype == np.float32
    ends = torch.tensor([False, True, False, False, False])
    assert kernels.reward_to_go(x, ends=ends)[0] == 1.0
    with pytest.raises(TypeError, match=r"^rewards: expected an array-like in main memory, got Tensor "):
        kernels.reward_to_go(x.requires_grad_())
    with pytest.raises(TypeError, match=r"^rewards: "):
        kernels.reward_to_go(torch.ones(3, dtype=torch.bfloat16))


# ---- distributions ----


@pytest.mark.parametrize("shared", [True, False])
def test_normal(shared: bool) -> None:
    rng = np.random.default_rng(2)
    actions, mean, other = rng.normal(size=(3, 9, 4))
    log_std = 0.4 * rng.normal(size=4 if shared else (9, 4))
    mu, s = tensor(mean, requires_grad=True), tensor(np.broadcast_to(log_std, (9, 4)), requires_grad=True)
    normal = torch.distributions.Independent(torch.distributions.Normal(mu, s.exp()), 1)
    log_prob = normal.log_prob(tensor(actions))
    assert_close(kernels.gaussian_log_prob(actions, mean, log_std), log_prob.detach().numpy())
    log_prob.sum().backward()
    d_mean, d_log_std = kernels.gaussian_score(actions, mean, log_std)
    assert_close(d_mean, mu.grad.numpy())
    assert_close(d_log_std, s.grad.numpy())
    entropy = np.broadcast_to(kernels.gaussian_entropy(log_std), 9)
    assert_close(entropy, normal.entropy().detach().numpy())
    unit = torch.distributions.Independent(
        torch.distributions.Normal(tensor(other), tensor(np.ones((9, 4)))), 1
    )
    kl = torch.distributions.kl_divergence(normal, unit).detach().numpy()
    assert_close(kernels.gaussian_kl(mean, log_std, other, np.zeros(4)), kl)


def test_multivariate_normal() -> None:
    rng = np.random.default_rng(3)
    actions, mean, other = rng.normal(size=(3, 9, 3))
    L = np.tril(0.3 * rng.normal(size=(3, 3)), -1) + np.diag([0.5, 1.0, 2.0])
    M = np.tril(0.3 * rng.normal(size=(3, 3)), -1) + np.diag([1.5, 0.7, 1.0])
    factor = tensor(L, requires_grad=True)
    mu = tensor(mean, requires_grad=True)
    p = torch.distributions.MultivariateNormal(mu, scale_tril=factor)
    log_prob = p.log_prob(tensor(actions))
    assert_close(kernels.gaussian_log_prob(actions, mean, scale_tril=L), log_prob.detach().numpy())
    log_prob.sum().backward()
    d_mean, d_tril = kernels.gaussian_score(actions, mean, scale_tril=L)
    assert_close(d_mean, mu.grad.numpy())
    assert_close(d_tril.sum(axis=0), np.tril(factor.grad.numpy()))
    assert kernels.gaussian_entropy(scale_tril=L) == pytest.approx(float(p.entropy()[0].detach()), rel=1e-12)
    q = torch.distributions.MultivariateNormal(tensor(other), scale_tril=tensor(M))
    kl = torch.distributions.kl_divergence(p, q).detach().numpy()
    assert_close(kernels.gaussian_kl(mean, mean_q=other, scale_tril_p=L, scale_tril_q=M), kl)


def test_categorical() -> None:
    rng = np.random.default_rng(4)
    p, q = rng.normal(size=(2, 9, 5))
    actions = rng.integers(0, 5, size=9)
    z = tensor(p, requires_grad=True)
    categorical, other = (
        torch.distributions.Categorical(logits=z),
        torch.distributions.Categorical(logits=tensor(q)),
    )
    log_prob = categorical.log_prob(torch.tensor(actions))
    assert_close(kernels.categorical_log_prob(actions, p), log_prob.detach().numpy())
    assert_close(kernels.categorical_entropy(p), categorical.entropy().detach().numpy())
    kl = torch.distributions.kl_divergence(categorical, other).detach().numpy()
    assert_close(kernels.categorical_kl(p, q), kl)
    log_prob.sum().backward()
    assert_close(kernels.categorical_score(actions, p), z.grad.numpy())


# ---- Adam ----


def test_adam() -> None:
    rng = np.random.default_rng(5)
    start = rng.normal(size=20)
    parameter = torch.nn.Parameter(tensor(start))
    optimizer = torch.optim.Adam([parameter], lr=0.01, betas=(0.8, 0.99), eps=1e-6)
    theta, m, v = start.copy(), np.zeros(20), np.zeros(20)
    for step in range(1, 9):
        gradient = rng.normal(size=20)
        parameter.grad = tensor(gradient)
        optimizer.step()
        kernels.adam_step(
            theta, gradient, m, v, step, learning_rate=0.01, beta1=0.8, beta2=0.99, epsilon=1e-6
        )
    assert_close(theta, parameter.detach().numpy())
