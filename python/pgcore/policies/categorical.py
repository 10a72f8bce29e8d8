"""Policies over choices: `CategoricalPolicy`, and products of them for several choices at once."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import DTypeLike

from pgcore._arguments import integer, integers
from pgcore.policies.compiled import CompiledPolicy

__all__ = ["CategoricalPolicy", "MultiBinaryPolicy", "MultiDiscretePolicy"]


class CategoricalPolicy(CompiledPolicy):
    r"""A choice among 0 … K − 1 whose logits are a network of the observation.

    .. math:: \pi_\theta(a \mid o) = \mathrm{softmax}(z_\theta(o))_a, \qquad
              \partial\log\pi_\theta/\partial z = \mathrm{onehot}(a) - \mathrm{softmax}(z)

    Parameters
    ----------
    obs_dim
        Length of an observation.
    num_actions
        K.
    hidden, activation, dtype, seed
        As for `GaussianPolicy`.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``.

    Notes
    -----
    Lecture, part 2 (discrete policies). Actions are int64, shape (B,).

    Examples
    --------
    >>> import numpy as np
    >>> policy = CategoricalPolicy(4, 2, hidden=(), seed=0)
    >>> policy.num_params, round(float(policy.log_prob(np.zeros((1, 4)), [1])[0]), 4)
    (10, -0.6931)
    """

    def __init__(
        self,
        obs_dim: int,
        num_actions: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        dtype: DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        self.num_actions = K = integer("num_actions", num_actions, minimum=1)
        super().__init__(
            obs_dim,
            K,
            (),
            ("categorical", [K]),
            nvec=(K,),
            hidden=hidden,
            activation=activation,
            dtype=dtype,
            seed=seed,
        )

    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments but the seed."""
        return {**self.network_arguments(), "num_actions": self.num_actions}


class MultiDiscretePolicy(CompiledPolicy):
    r"""Independent choices, the d-th among 0 … K_d − 1; log π is the sum of theirs.

    Parameters
    ----------
    obs_dim
        Length of an observation.
    nvec
        K_d for every choice: the ``nvec`` of `gymnasium.spaces.MultiDiscrete`.
    hidden, activation, dtype, seed
        As for `GaussianPolicy`.

    Notes
    -----
    Actions are int64, shape (B, D). The network's output holds the logits of all choices, one choice after
    another.

    Examples
    --------
    >>> import numpy as np
    >>> policy = MultiDiscretePolicy(4, [2, 3], seed=0)
    >>> policy.sample(np.zeros((6, 4)), np.random.default_rng(0))[0].shape
    (6, 2)
    """

    def __init__(
        self,
        obs_dim: int,
        nvec: Sequence[int],
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        dtype: DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        nvec = integers("nvec", nvec, minimum=1)
        if not nvec:
            raise ValueError("nvec: expected at least one number, got none")
        super().__init__(
            obs_dim,
            sum(nvec),
            (len(nvec),),
            ("categorical", list(nvec)),
            nvec=nvec,
            hidden=hidden,
            activation=activation,
            dtype=dtype,
            seed=seed,
        )

    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments but the seed."""
        return {**self.network_arguments(), "nvec": list(self.nvec or ())}


class MultiBinaryPolicy(MultiDiscretePolicy):
    """Independent yes/no choices: a `MultiDiscretePolicy` with two logits for each.

    Parameters
    ----------
    obs_dim
        Length of an observation.
    num_bits
        D, how many choices.
    hidden, activation, dtype, seed
        As for `GaussianPolicy`.

    Examples
    --------
    >>> MultiBinaryPolicy(4, 3).action_shape
    (3,)
    """

    def __init__(
        self,
        obs_dim: int,
        num_bits: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        dtype: DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        self.num_bits = integer("num_bits", num_bits, minimum=1)
        super().__init__(
            obs_dim, [2] * self.num_bits, hidden=hidden, activation=activation, dtype=dtype, seed=seed
        )

    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments but the seed."""
        return {**self.network_arguments(), "num_bits": self.num_bits}
