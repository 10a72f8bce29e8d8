"""What the forms of the policy gradient make of a batch: a factor and a return for every step.

Algorithms and estimators both begin here, so that one place decides about time limits, discounts and
bootstrap values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pgcore._arguments import FloatArray
from pgcore.kernels import reward_to_go

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["ON_POLICY_FORMS", "StepTerms", "check_form", "on_policy_terms", "state_discounts"]

ON_POLICY_FORMS = ("trajectory", "reward_to_go", "gpomdp")


class StepTerms(NamedTuple):
    r"""An episode's gradient is :math:`\sum_t c_t (G_t - b_t) \nabla\log\pi(a_t\mid o_t)`."""

    factors: FloatArray
    """c_t: importance weight and discount of the state, shape (B,)."""
    returns: FloatArray
    """G_t: what a baseline is subtracted from, shape (B,)."""
    products: FloatArray | None = None
    """c_t G_t where it is known better than as that product, whose factors may over- and underflow."""

    def weighted_returns(self) -> FloatArray:
        """Return c_t G_t, (B,)."""
        return self.factors * self.returns if self.products is None else self.products

    def weighted_advantages(self, values: FloatArray) -> FloatArray:
        """Return c_t (G_t − b_t) for the values b_t of a baseline, (B,), subtracted in double."""
        if self.products is None:
            return self.factors * np.subtract(self.returns, values, dtype=np.float64)
        return np.subtract(self.products, self.factors * values, dtype=np.float64)


def on_policy_terms(
    batch: Batch, bootstrap_values: FloatArray, *, form: str, gamma: float, discount_states: bool = False
) -> StepTerms:
    """Return the terms of an on-policy form.

    Parameters
    ----------
    batch
        Whole episodes or segments.
    bootstrap_values
        Value of what follows a truncated segment, at its last step, shape (B,), as
        `Baseline.bootstrap_values` has it.
    form
        ``"trajectory"``: the whole return R = Σ γᵗ r_t at every step; ``"reward_to_go"`` (and ``"gpomdp"``,
        which sums the same terms in another order): G_t = Σ_{t'≥t} γ^{t'−t} r_t'.
    gamma
        Discount.
    discount_states
        Weigh step t by γᵗ too, as the discounted objective's gradient has it (R already contains it).

    Returns
    -------
    StepTerms
        In the rewards' dtype.
    """
    returns = reward_to_go(batch.rewards, gamma, ends=batch.ends, bootstrap_values=bootstrap_values)
    if form == "trajectory":
        returns = np.repeat(returns[batch.segment_starts], batch.segment_lengths)
        return StepTerms(np.ones_like(returns), returns)
    return StepTerms(state_discounts(batch, gamma if discount_states else 1.0), returns)


def state_discounts(batch: Batch, gamma: float) -> FloatArray:
    """Return γᵗ for every step, (B,), in the rewards' dtype."""
    if gamma == 1.0:
        return np.ones_like(batch.rewards)
    discounts: FloatArray = np.power(gamma, batch.step_in_segment).astype(batch.rewards.dtype)
    return discounts


def check_form(form: str, forms: tuple[str, ...]) -> None:
    """Raise `ValueError` for a form that there isn't."""
    if form not in forms:
        raise ValueError(f"form: expected one of {', '.join(map(repr, forms))}, got {form!r}")
