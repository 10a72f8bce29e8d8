"""`ScoreAscent`: `SurrogateAscent` for policies that are not compiled, from their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray, check_shape, float_array, int_array, integer, real
from pgcore._rounding import rounding, spread_of
from pgcore.optim.optimizers import Adam, clip_norm
from pgcore.optim.surrogate import BETA1, BETA2, EPSILON, SurrogateReport

if TYPE_CHECKING:
    from pgcore.policies.base import Policy

__all__ = ["ScoreAscent"]


class ScoreAscent:
    r"""Adam steps up the surrogate objective of any policy, as `SurrogateAscent` takes them.

    A minibatch's gradient is one `Policy.score_product`, with weights

    .. math:: w_i = \frac1b \bigl(\rho_i A_i\,[\text{not clipped}] - \beta(\rho_i - 1)\bigr), \qquad
              \nabla\rho_i = \rho_i \nabla\log\pi(a_i\mid o_i)

    Parameters
    ----------
    policy
        Changed in place. One without memory: minibatches take rows out of their segments.

    Raises
    ------
    ValueError
        For a policy with memory.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy, rng = CategoricalPolicy(1, 2, hidden=()), np.random.default_rng(0)
    >>> obs = np.ones((64, 1))
    >>> actions, log_probs = policy.sample(obs, rng)
    >>> ascent = ScoreAscent(policy)
    >>> for _ in range(30):
    ...     order = rng.permutation(64)
    ...     report = ascent.epoch(obs, actions, actions - 0.5, log_probs, order, learning_rate=0.1)
    >>> bool(np.exp(policy.log_prob([[1.0]], [1]))[0] > 0.55)
    True
    """

    def __init__(self, policy: Policy) -> None:
        if policy.has_memory:
            raise ValueError(f"policy: expected one without memory, got {type(policy).__name__}")
        self.policy = policy
        self._adam = Adam(beta1=BETA1, beta2=BETA2, epsilon=EPSILON)

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

        Parameters and errors are those of `SurrogateAscent.epoch`. In the report, the entropy of a policy
        without a closed form is the mean of −log π over the rows; an ``ent_coef`` is refused there.
        """
        policy = self.policy
        rows, taken = policy.checked_data(obs, actions)
        gains = float_array("advantages", advantages)
        old = float_array("log_probs_old", log_probs_old, policy.dtype)
        for name, array in (("advantages", gains), ("log_probs_old", old)):
            check_shape(name, array, (len(rows),))
        numbers = int_array("order", order)
        check_shape("order", numbers, (numbers.size,))
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < len(rows)):
            raise ValueError(f"order: expected row numbers from 0 to {len(rows) - 1}, got {numbers}")
        clip_range = real("clip_range", clip_range, minimum=0.0, or_infinite=True)
        ent_coef, kl_coef = real("ent_coef", ent_coef, minimum=0.0), real("kl_coef", kl_coef, minimum=0.0)
        learning_rate = real("learning_rate", learning_rate, minimum=0.0)
        batch_size = integer("batch_size", batch_size, minimum=1)
        kl_limit = math.inf if max_kl is None else real("max_kl", max_kl, minimum=0.0, or_infinite=True)
        if max_grad_norm is not None:
            max_grad_norm = real("max_grad_norm", max_grad_norm, minimum=0.0, or_infinite=True)

        sums, num_rows, num_minibatches, stopped = np.zeros(5), 0, 0, False
        for first in range(0, len(numbers), batch_size):
            some = numbers[first : first + batch_size]
            A: FloatArray = gains[some].astype(np.float64)
            if normalize_advantage and len(some) > 1:
                A = _standardized(A, gains.dtype)
            log_probs = policy.log_prob(rows[some], taken[some]).astype(np.float64)
            log_ratios = log_probs - old[some]
            with np.errstate(over="ignore", invalid="ignore"):  # a ratio may overflow where it has no weight
                ratios, excess = np.exp(log_ratios), np.expm1(log_ratios)
                clamped = np.clip(ratios, 1 - clip_range, 1 + clip_range)
                counts = A != 0
                gained = np.where(counts, np.minimum(ratios * A, clamped * A), 0.0)
                weights = np.where(counts & ~(clamped * A < ratios * A), ratios * A, 0.0)
                if kl_coef:
                    weights -= kl_coef * excess
                approx_kl = float((excess - log_ratios).sum())
            if approx_kl > kl_limit * len(some):
                stopped = True
                break
            gradient = policy.score_product(rows[some], taken[some], weights / len(some))
            if ent_coef:
                bonus = np.asarray(ent_coef / len(some), policy.dtype)
                gradient = gradient + bonus * policy.entropy_gradient(rows[some])
            gradient, norm = clip_norm(gradient, max_grad_norm)
            has_entropy = "entropy" in policy.closed_forms
            entropy = policy.entropy(rows[some]) if has_entropy else -log_probs
            policy.params = self._adam.ascend(policy.params, gradient, learning_rate)
            num_minibatches += 1
            num_rows += len(some)
            num_clipped = int(np.count_nonzero(clamped != ratios))
            total_entropy = float(entropy.sum(dtype=np.float64))
            sums += [float(gained.sum()), total_entropy, approx_kl, num_clipped, norm * len(some)]
        means = (sums / num_rows).tolist() if num_rows else [math.nan] * 5
        return SurrogateReport(num_minibatches, stopped, *means)

    def state(self) -> dict[str, NDArray[np.floating | np.integer]]:
        """Return moments and step count."""
        return self._adam.state()

    def load_state(self, state: Mapping[str, NDArray[np.floating | np.integer]]) -> None:
        """Restore moments and step count that `state` returned.

        Raises
        ------
        TypeError, ValueError
            If something is missing, of another policy, or not finite; then nothing has changed.
        """
        adam = Adam(beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
        adam.load_state(dict(state))
        if np.size(state["m"]) not in (0, self.policy.num_params):
            raise ValueError(f"m: expected shape ({self.policy.num_params},), got {np.shape(state['m'])}")
        self._adam = adam

    def __copy__(self) -> Self:
        return deepcopy(self)  # a copy that shared the policy would not be independent


def _standardized(advantages: FloatArray, dtype: np.dtype[np.floating]) -> FloatArray:
    """(A − mean A) / (std A + 1e-8) with the deviation of n − 1; 0 where rounding may have set A apart."""
    spread = spread_of(advantages)
    n = len(advantages)
    deviation = spread.deviation * math.sqrt(n / (n - 1))
    if deviation <= rounding(dtype) * float(np.abs(advantages).max()):
        return np.zeros_like(advantages)
    return np.asarray(spread.centred / (deviation + 1e-8))
