"""`SurrogateAscent`: minibatch Adam on the clipped surrogate of a policy, an epoch in one compiled call."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pgcore import _dispatch
from pgcore._arguments import (
    Arrays,
    Float64Array,
    check_shape,
    float_array,
    int_array,
    integer,
    real,
    state_count,
    state_entries,
)
from pgcore._dispatch import classes_of
from pgcore._rounding import rounding

if TYPE_CHECKING:
    from typing import Self

    from pgcore.policies.compiled import CompiledPolicy

__all__ = ["SurrogateAscent", "SurrogateReport"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-5  # the epsilon of Stable-Baselines3


@dataclass(frozen=True)
class SurrogateReport:
    """What `SurrogateAscent.epoch` did: means over rows that steps were taken on, NaN if there were none.

    Examples
    --------
    >>> SurrogateReport(1, False, 0.5, 0.7, 0.01, 0.2, 1.5).clip_fraction
    0.2
    """

    minibatches: int
    """Steps taken."""
    stopped: bool
    """Whether a minibatch's KL was beyond ``max_kl``; no step was taken on that one."""
    surrogate: float
    """Mean of the clipped surrogate."""
    entropy: float
    """Mean H(π(·∣o)), in nats."""
    approx_kl: float
    """Mean of ρ − 1 − log ρ, which estimates KL(π_old‖π)."""
    clip_fraction: float
    """Share of ratios outside the clip range."""
    gradient_norm: float
    """Mean norm of a minibatch's gradient, before it is limited."""


class SurrogateAscent:
    r"""Adam steps up a policy's surrogate objective (Schulman et al. 2017).

    .. math:: \frac1B\sum_i \min\bigl(\rho_i A_i,\ \mathrm{clip}(\rho_i, 1-\epsilon, 1+\epsilon) A_i\bigr)
              + c\,H(\pi(\cdot\mid o_i)) - \beta\,(\rho_i - 1 - \log\rho_i), \qquad
              \rho_i = \frac{\pi(a_i\mid o_i)}{\pi_\text{old}(a_i\mid o_i)}

    The last term estimates KL(π_old‖π) and has its gradient in expectation. The object keeps the moments from
    pass to pass; several threads take turns with it.

    Parameters
    ----------
    policy
        Changed in place.

    Examples
    --------
    >>> import numpy as np
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy, rng = CategoricalPolicy(1, 2, hidden=()), np.random.default_rng(0)
    >>> obs = np.ones((64, 1))
    >>> actions, log_probs = policy.sample(obs, rng)
    >>> ascent = SurrogateAscent(policy)
    >>> for _ in range(30):
    ...     order = rng.permutation(64)
    ...     report = ascent.epoch(obs, actions, actions - 0.5, log_probs, order, learning_rate=0.1)
    >>> bool(np.exp(policy.log_prob([[1.0]], [1]))[0] > 0.55)
    True
    """

    def __init__(self, policy: CompiledPolicy) -> None:
        if not hasattr(policy, "compiled_data"):  # not by its class: policies offer this one too
            raise TypeError(
                f"policy: expected a compiled one, got {type(policy).__name__}; ScoreAscent takes any policy"
            )
        self.policy = policy
        self._step = 0
        self._m, self._v = np.zeros_like(policy.params), np.zeros_like(policy.params)
        self._make_kernels()

    def epoch(
        self,
        obs: ArrayLike,
        actions: ArrayLike,
        advantages: ArrayLike,
        log_probs_old: ArrayLike,
        order: ArrayLike,
        *,
        learning_rate: float,
        batch_size: int = 64,
        clip_range: float = math.inf,
        ent_coef: float = 0.0,
        kl_coef: float = 0.0,
        max_grad_norm: float | None = None,
        max_kl: float | None = None,
        normalize_advantage: bool = False,
    ) -> SurrogateReport:
        """Take one pass over the rows that ``order`` names, in minibatches.

        Parameters
        ----------
        obs, actions
            Shapes (B, obs_dim) and (B, \\*action_shape).
        advantages, log_probs_old
            A and log π_old(a∣o), shape (B,).
        order
            Row numbers, each from 0 to B − 1.
        learning_rate
            Adam's.
        batch_size
            Rows of a minibatch; the last may have fewer.
        clip_range
            ε.
        ent_coef, kl_coef
            c and β.
        max_grad_norm
            Longer gradients are scaled down to this norm.
        max_kl
            A minibatch whose estimated KL is larger ends the pass before its step.
        normalize_advantage
            Standardise the advantages of each minibatch, (A − mean A) / (std A + 1e-8), in double precision.
            As in Stable-Baselines3 the deviation is that with b − 1 for b rows, and a minibatch of one row
            keeps its advantage. Where rounding alone, in the dtype of ``advantages``, may have set them
            apart they become 0.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or range.
        FloatingPointError
            If a gradient is not finite; the policy has the parameters from before that step.
        """
        policy = self.policy
        rows, choices = policy.compiled_data(obs, actions)
        gains = float_array("advantages", advantages)
        old = float_array("log_probs_old", log_probs_old, policy.dtype)
        for name, array in (("advantages", gains), ("log_probs_old", old)):
            check_shape(name, array, (len(rows),))
        numbers = int_array("order", order)
        if numbers is not order and np.asarray(order).dtype == bool:
            raise TypeError("order: expected row numbers, got bool")
        options = _dispatch.compiled.SurrogateOptions(
            integer("batch_size", batch_size, minimum=1),
            real("clip_range", clip_range, minimum=0.0, or_infinite=True),
            real("ent_coef", ent_coef, minimum=0.0),
            real("kl_coef", kl_coef, minimum=0.0),
            _limit("max_grad_norm", max_grad_norm),
            _limit("max_kl", max_kl),
            bool(normalize_advantage),
            rounding(gains.dtype),
        )
        rate = real("learning_rate", learning_rate, minimum=0.0)
        adam_options = _dispatch.compiled.AdamOptions(rate, BETA1, BETA2, EPSILON)
        with self._lock:
            # On a copy: other threads may be using the policy.
            theta = policy.params
            adam = classes_of(policy.dtype).AdamState(theta, self._m, self._v, self._step, adam_options)
            wide: Float64Array = gains.astype(np.float64, copy=False)
            report = self._kernels.epoch(adam, rows, policy.scaling, choices, wide, old, numbers, options)
            self._step = adam.step
            policy.params = theta
        if not report.finite:
            raise FloatingPointError(
                "gradient: expected finite numbers; look for infinite rewards or observations, or lower the "
                "learning rate"
            )
        return SurrogateReport(
            report.minibatches,
            report.stopped,
            report.surrogate,
            report.entropy,
            report.approx_kl,
            report.clip_fraction,
            report.gradient_norm,
        )

    def state(self) -> Arrays:
        """Return moments and step count."""
        return {"m": self._m.copy(), "v": self._v.copy(), "step": np.array(self._step)}

    def load_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Restore moments and step count that `state` returned.

        Raises
        ------
        ValueError
            If something is missing, of another policy, or not finite; then nothing has changed.
        """
        shapes = dict.fromkeys(("m", "v"), self._m.shape)
        moments = state_entries(state, shapes, self.policy.dtype, not_negative=("v",))
        self._step = state_count(state, "step")
        self._m, self._v = moments["m"], moments["v"]

    # Compiled kernels and the lock are made anew. A copy that shared the policy would not be independent.

    def _make_kernels(self) -> None:
        self._kernels = classes_of(self.policy.dtype).SurrogateAscent(self.policy.kernels)
        self._lock = threading.Lock()

    def __copy__(self) -> Self:
        return deepcopy(self)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kernels": None, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._make_kernels()


def _limit(name: str, value: float | None) -> float:
    return math.inf if value is None else real(name, value, minimum=0.0, or_infinite=True)
