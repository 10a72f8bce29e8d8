"""One PPO step on a minibatch of 64, actor and critic, against the same step in PyTorch.

    python bench/bench_surrogate.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import harness
from harness import Case
from pgcore import Batch
from pgcore.baselines import ValueNetwork
from pgcore.optim import SurrogateAscent
from pgcore.policies import CategoricalPolicy

ROWS, MINIBATCH = 2048, 64
OPTIONS: dict[str, Any] = {"clip_range": 0.2, "max_grad_norm": 0.5, "normalize_advantage": True}


def torch_minibatch(
    obs: np.ndarray, actions: np.ndarray, advantages: np.ndarray, old: np.ndarray
) -> harness.Run | None:
    """One step of actor and critic as Stable-Baselines3 takes it, without its logging."""
    torch = harness.optional("torch")
    if torch is None:
        return None

    def network(outputs: int) -> Any:
        layers = [torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers, torch.nn.Linear(64, outputs))

    actor, critic = network(2), network(1)
    parameters = [*actor.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, lr=3e-4, eps=1e-5)
    o, a, raw, lp = (torch.from_numpy(x[:MINIBATCH]) for x in (obs, actions, advantages, old))

    def run() -> int:
        standard = (raw - raw.mean()) / (raw.std() + 1e-8)
        distribution = torch.distributions.Categorical(logits=actor(o), validate_args=False)
        ratio = torch.exp(distribution.log_prob(a) - lp)
        gain = torch.min(ratio * standard, torch.clamp(ratio, 0.8, 1.2) * standard).mean()
        loss = 0.5 * torch.nn.functional.mse_loss(critic(o).flatten(), raw) - gain
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        adam.step()
        return MINIBATCH

    return run


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((ROWS, 4)).astype(dtype)
    policy = CategoricalPolicy(4, 2, dtype=dtype)
    actions, log_probs = policy.sample(obs, rng)
    advantages = rng.standard_normal(ROWS).astype(dtype)
    order = rng.permutation(ROWS)
    ascent = SurrogateAscent(policy)
    critic = ValueNetwork(n_epochs=1, dtype=dtype)
    batch = Batch(obs, actions, advantages, np.arange(ROWS) == ROWS - 1)

    def actor_epoch(rows: np.ndarray) -> int:
        data = obs, actions, advantages, log_probs, rows
        ascent.epoch(*data, learning_rate=1e-6, batch_size=MINIBATCH, **OPTIONS)
        return MINIBATCH

    def both() -> int:
        actor_epoch(order)
        critic.fit(batch, advantages)
        return MINIBATCH

    peer = torch_minibatch(obs, actions, advantages, log_probs)
    size, num = "4→64→64→2, 64", ROWS // MINIBATCH
    one = order[:MINIBATCH]
    peers = {"torch, actor and critic": peer} if peer else {}
    yield Case("actor, one minibatch", size, lambda: actor_epoch(one), peers=peers)
    yield Case(f"actor, {num} minibatches", size, lambda: actor_epoch(order))
    yield Case(f"actor and critic, {num} each", size, both)


if __name__ == "__main__":
    harness.main(cases, __doc__)
