"""Policy-gradient estimators for data that the policy itself has made, and maximum likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray, check_shape, float_array, real
from pgcore.baselines import Baseline, Constant, OptimalBaseline, as_baseline
from pgcore.data.batch import double_rewards
from pgcore.estimators.estimate import MAX_BYTES, GradientEstimate, Moments, chunks, gradient_rows
from pgcore.estimators.gpomdp import RunningScores, gpomdp_moments
from pgcore.estimators.terms import ON_POLICY_FORMS, StepTerms, check_form, on_policy_terms
from pgcore.values import ValueFunction

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy

Array = NDArray[np.float64]

__all__ = ["check_batch", "maximum_likelihood_gradient", "moments_of", "policy_gradient"]


def policy_gradient(
    policy: Policy,
    batch: Batch,
    *,
    form: Literal["trajectory", "reward_to_go", "gpomdp"] = "reward_to_go",
    baseline: Baseline | ValueFunction | None = None,
    gamma: float = 1.0,
    discount_states: bool = False,
    max_bytes: float = MAX_BYTES,
) -> GradientEstimate:
    r"""Estimate the gradient of the expected return, the mean over N episodes.

    .. math::
        \nabla J \approx \frac1N \sum_{i=1}^N \sum_t \nabla\log\pi_\theta(a_{i,t}\mid o_{i,t})
        \,(G_{i,t} - b_{i,t})

    Parameters
    ----------
    policy
        π_θ, which made the batch.
    batch
        At least one episode. Segments that were truncated continue with ``baseline.bootstrap_values(batch)``,
        or with 0.
    form
        ``"trajectory"``: G_t is the whole return R(τ) = Σ γᵗ r_t; ``"reward_to_go"``: the rewards from t on,
        Σ_{t'≥t} γ^{t'−t} r_t'; ``"gpomdp"``: the same terms summed by reward,
        Σ_h (Σ_{k≤h} ∇log π_k)(r_h − b_h).
    baseline
        One from `pgcore.baselines`; none by default. It has to be fitted before, if it is one that learns.
        For ``"gpomdp"``, where it is one of single rewards, an optimal one or none.
    gamma
        Discount γ.
    discount_states
        Weigh step t by γᵗ: the gradient of the discounted objective. Practice leaves it out. The trajectory
        form always contains it.
    max_bytes
        Gradients of single episodes are held up to about this much memory at a time (at least one episode's).
        ``"gpomdp"`` with an optimal baseline needs four numbers for every parameter and time besides.

    Returns
    -------
    GradientEstimate
        Unbiased for whole episodes, any baseline but those with ``leave_one_out=False`` or fitted to this
        batch, and ``gamma`` 1 or ``discount_states``.

    Raises
    ------
    ValueError
        For an empty batch, an unknown form, or a baseline of returns with ``"gpomdp"``.
    TypeError
        If ``baseline`` is none of `pgcore.baselines`.

    Notes
    -----
    Lecture, parts 2 and 3; Williams (1992); Baxter & Bartlett (2001); Peters & Schaal (2008).

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=(), dtype="float64")
    >>> policy.params = [0.0, 0.0, 0.0, 0.0]  # both actions equally likely; two weights, two biases
    >>> batch = Batch(obs=np.zeros((2, 1)), actions=[0, 1], rewards=[1.0, 0.0], ends=[1, 1])
    >>> estimate = policy_gradient(policy, batch)
    >>> estimate.gradient.tolist()
    [0.0, 0.0, 0.25, -0.25]
    >>> estimate.num_episodes, estimate.variance_trace
    (2, 0.25)
    """
    check_form(form, ON_POLICY_FORMS)
    gamma = real("gamma", gamma, minimum=0.0)
    baseline = check_batch(batch, baseline)
    batch = double_rewards(batch)
    bootstrap = baseline.bootstrap_values(batch)
    if form == "gpomdp":
        if isinstance(baseline, OptimalBaseline):
            scores = RunningScores(policy, batch, gamma, discount_states)
            return GradientEstimate(**gpomdp_moments(scores, baseline, max_bytes).statistics())
        if not _is_zero(baseline):
            raise ValueError(
                "baseline: expected None, OptimalScalar or OptimalPerComponent for form 'gpomdp', which "
                f"subtracts it from single rewards, got {baseline!r}"
            )
    terms = on_policy_terms(batch, bootstrap, form=form, gamma=gamma, discount_states=discount_states)
    return GradientEstimate(**moments_of(policy, batch, terms, baseline, max_bytes).statistics())


def maximum_likelihood_gradient(
    policy: Policy, batch: Batch, *, weights: ArrayLike | None = None, max_bytes: float = MAX_BYTES
) -> GradientEstimate:
    r"""Estimate the gradient of the (weighted) log-likelihood of the recorded actions.

    .. math::
        \frac1N \sum_{i=1}^N \sum_t w_{i,t} \nabla\log\pi_\theta(a_{i,t}\mid o_{i,t})

    With the rewards-to-go for weights this *is* the policy gradient.

    Parameters
    ----------
    policy, batch, max_bytes
        As in `policy_gradient`.
    weights
        Shape (B,); ones by default.

    Raises
    ------
    ValueError
        For an empty batch, or weights of another shape.

    Notes
    -----
    Lecture, part 2.

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=(), dtype="float64")
    >>> policy.params = [0.0, 0.0, 0.0, 0.0]
    >>> demonstrations = Batch(obs=np.zeros((2, 1)), actions=[0, 0], rewards=[0.0, 0.0], ends=[1, 1])
    >>> maximum_likelihood_gradient(policy, demonstrations).gradient.tolist()
    [0.0, 0.0, 0.5, -0.5]
    """
    check_batch(batch, None)
    factors = np.ones(batch.num_steps) if weights is None else float_array("weights", weights)
    check_shape("weights", factors, (batch.num_steps,))
    terms = StepTerms(factors, np.ones_like(factors))
    return GradientEstimate(**moments_of(policy, batch, terms, Constant(), max_bytes).statistics())


def check_batch(batch: Batch, baseline: Baseline | ValueFunction | None) -> Baseline:
    """Refuse an empty batch and what is no baseline; return the baseline, zero for None."""
    if batch.num_segments == 0:
        raise ValueError("batch: expected at least one episode, got none")
    if baseline is None:
        return Constant()
    if not isinstance(baseline, Baseline | ValueFunction):
        raise TypeError(f"baseline: expected one from pgcore.baselines or None, got {baseline!r}")
    return as_baseline(baseline)


def _is_zero(baseline: Baseline) -> bool:
    return isinstance(baseline, Constant) and baseline.c == 0


def moments_of(
    policy: Policy, batch: Batch, terms: StepTerms, baseline: Baseline, max_bytes: float
) -> Moments:
    r"""Return the moments of :math:`g_i = \sum_t c_t (G_t - b_t) \nabla\log\pi_t` over episodes."""
    moments = Moments(policy.num_params)
    per_row = 3 * 8 * policy.num_params  # in the policy's dtype, in double, and squared
    factors = np.asarray(terms.factors, np.float64)
    if not isinstance(baseline, OptimalBaseline):
        weighted = terms.weighted_advantages(baseline.values(batch, terms.returns))
        for episodes in chunks(batch, 0, per_row, max_bytes):
            moments.add(*gradient_rows(policy, batch, episodes, weighted))
        return moments

    # In double, what one number can take away: of returns of 1e8 ± 1 a policy's float32 has only the 1e8.
    centre = _best_constant(factors, terms.weighted_returns())
    weighted = terms.weighted_advantages(np.full(batch.num_steps, centre))

    def parts(episodes: slice) -> tuple[Array, ...]:
        h, g = gradient_rows(policy, batch, episodes, weighted, factors)
        products, squares = h * g, g * g
        if not baseline.per_component:
            products, squares = products.sum(axis=1, keepdims=True), squares.sum(axis=1, keepdims=True)
        return h, g, products, squares

    runs = list(chunks(batch, 0, 3 * per_row, max_bytes))
    kept = [parts(runs[0])] if len(runs) == 1 else []  # all of them fit: one pass will do
    numerator = denominator = np.zeros(1)
    for episodes in runs:
        _, _, products, squares = kept[0] if kept else parts(episodes)
        numerator = numerator + products.sum(axis=0)
        denominator = denominator + squares.sum(axis=0)
    for episodes in runs:
        h, g, products, squares = kept[0] if kept else parts(episodes)
        b = baseline.coefficients(numerator, denominator, products, squares, centre=centre)
        moments.add(h - b * g)
    return moments


def _best_constant(factors: Array, weighted_returns: FloatArray) -> float:
    """Return the c for which Σ (c_t G_t − c_t·c)² is smallest, 0 where it is not known."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.dot(factors, factors))
        constant = float(np.dot(factors, weighted_returns.astype(np.float64))) / (size or math.inf)
    return constant if math.isfinite(constant) else 0.0
