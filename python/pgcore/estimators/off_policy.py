"""Estimators for data that other policies have made: importance sampling and its approximations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray, check_shape, float_array, real
from pgcore.data.batch import double_rewards
from pgcore.estimators.estimate import MAX_BYTES, GradientEstimate
from pgcore.estimators.on_policy import check_batch, moments_of
from pgcore.estimators.terms import StepTerms, check_form, on_policy_terms, state_discounts
from pgcore.estimators.weights import (
    Comparison,
    OnLowESS,
    bounded_log_weights,
    check_effective_sample_size,
    compare_weights,
    finite_log_weights,
    importance_weights,
    log_ratios,
    normalized_log_weights,
)
from pgcore.kernels import cumulative_log_ratios, weighted_reward_to_go

if TYPE_CHECKING:
    from pgcore.baselines import Baseline
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy
    from pgcore.values import ValueFunction

__all__ = [
    "OFF_POLICY_FORMS",
    "LogWeights",
    "OffPolicyGradientEstimate",
    "ReturnEstimate",
    "form_log_weights",
    "importance_weighted_return",
    "off_policy_gradient",
    "off_policy_terms",
]

Array = NDArray[np.float64]
OffPolicyForm = Literal["trajectory", "per_decision", "past_only", "action_only", "marginal"]

OFF_POLICY_FORMS = ("trajectory", "per_decision", "past_only", "action_only", "marginal")
_MAX_RETURN = 1e70  # what a product of later ratios may do to a return, short of infinity
_MAX_PRODUCT = 1e144  # and to its product with a weight, whose square is still finite


@dataclass(frozen=True)
class OffPolicyGradientEstimate(GradientEstimate):
    """A `GradientEstimate` from weighted episodes.

    The standard error is the spread of the weighted gradients; with ``self_normalize`` it takes the sum of
    the weights for a constant.
    """

    effective_sample_size: Array
    """(ΣW)²/ΣW² over the episodes, at every time, shape (T_max,)."""
    max_weight_share: Array
    """The largest weight's share in their sum, at every time, (T_max,)."""


class ReturnEstimate(NamedTuple):
    """A policy's expected return, estimated from others' data."""

    value: float
    """J."""
    standard_error: float
    """From the spread over episodes; NaN for one."""
    effective_sample_size: float
    """(ΣW)²/ΣW² of the whole trajectories' weights."""


def off_policy_gradient(
    policy: Policy,
    batch: Batch,
    *,
    form: OffPolicyForm,
    baseline: Baseline | ValueFunction | None = None,
    gamma: float = 1.0,
    discount_states: bool = False,
    self_normalize: bool = False,
    clip: float | None = None,
    state_log_ratios: ArrayLike | None = None,
    ess_threshold: float = 0.1,
    on_low_ess: OnLowESS = "warn",
    max_bytes: float = MAX_BYTES,
) -> OffPolicyGradientEstimate:
    r"""Estimate a policy's gradient from episodes that other policies have made.

    .. math::
        \nabla J(\theta') \approx \frac1N \sum_i \sum_t W_{i,t}\,
        \nabla\log\pi_{\theta'}(a_{i,t}\mid o_{i,t})\,(G_{i,t} - b_{i,t}),
        \qquad \rho_t = \frac{\pi_{\theta'}(a_t\mid o_t)}{\mu(a_t\mid o_t)}

    =================  =========================  ==========================================  ========
    form               W_t                        G_t                                         unbiased
    =================  =========================  ==========================================  ========
    ``trajectory``     ρ_0 ⋯ ρ_{T−1}              R(τ)                                        yes
    ``per_decision``   ρ_0 ⋯ ρ_t                  r_t + ρ_{t+1}(r_{t+1} + ρ_{t+2}(…))         yes
    ``past_only``      ρ_0 ⋯ ρ_t                  r_t + r_{t+1} + …                           no
    ``action_only``    ρ_t                        r_t + r_{t+1} + …                           no
    ``marginal``       d_θ'(s_t)/d_μ(s_t) · ρ_t   r_t + r_{t+1} + …                           no
    =================  =========================  ==========================================  ========

    ``past_only`` drops the ratios of the future and converges to Σ_t E_{π'}[∇log π'·Q^μ]; so does
    ``marginal``, with less variance; ``action_only``, the first-order form, also takes the states as μ visits
    them. All agree with the on-policy gradient where both policies are the same.

    Parameters
    ----------
    policy
        π_θ', whose gradient it is.
    batch
        With the behaviour policy's ``log_probs``; for several behaviour policies see `mixture_log_probs`.
    form
        As in the table.
    baseline, gamma, discount_states, max_bytes
        As in `policy_gradient`; returns are discounted, and ``discount_states`` multiplies W_t by γᵗ (not
        that of ``trajectory``, whose R is discounted already).
    self_normalize
        Replace W_{i,t} by N W_{i,t}/Σ_j W_{j,t}: biased, consistent, of less variance. An episode that has
        ended keeps its last weight in that sum; for ``action_only`` the sum and N are over the episodes that
        are alive at t.
    clip
        Use min(W, clip), before normalising.
    state_log_ratios
        For ``marginal``: log d_θ'(s_t)/d_μ(s_t), shape (B,).
    ess_threshold, on_low_ess
        Where the effective sample size at some step is under this fraction of the episodes: ``"warn"`` (an
        `EffectiveSampleSizeWarning`), ``"raise"`` a `ValueError`, or ``"ignore"``.

    Returns
    -------
    OffPolicyGradientEstimate
        Weights never overflow: they are handled in logs, and one above e¹⁷⁰ counts as e¹⁷⁰ where it is not
        normalised.

    Raises
    ------
    ValueError
        For an empty batch, one without ``log_probs``, an unknown form, ``clip`` not positive,
        ``state_log_ratios`` given without ``marginal`` or the other way round.

    Notes
    -----
    Lecture, part 4; Precup et al. (2000) for per-decision weights.

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=(), dtype="float64")
    >>> policy.params = [0.0, 0.0, 0.0, 0.0]
    >>> batch = Batch(obs=np.zeros((2, 1)), actions=[0, 1], rewards=[1.0, 0.0], ends=[1, 1],
    ...               log_probs=np.log([0.25, 0.75]))
    >>> estimate = off_policy_gradient(policy, batch, form="per_decision")
    >>> estimate.gradient.tolist()
    [0.0, 0.0, 0.5, -0.5]
    >>> estimate.effective_sample_size.round(3).tolist()
    [1.6]
    """
    baseline = check_batch(batch, baseline)
    batch = double_rewards(batch)
    gamma = real("gamma", gamma, minimum=0.0)
    check_clip(clip)
    logs = form_log_weights(policy, batch, form, clip=clip, state_log_ratios=state_log_ratios)
    comparison = logs.compare(batch)
    check_effective_sample_size(comparison, ess_threshold, on_low_ess)
    terms = off_policy_terms(
        batch,
        logs,
        baseline.bootstrap_values(batch),
        gamma=gamma,
        discount_states=discount_states,
        log_mean=comparison.log_mean if self_normalize else None,
    )
    return OffPolicyGradientEstimate(
        **moments_of(policy, batch, terms, baseline, max_bytes).statistics(),
        effective_sample_size=comparison.effective_sample_size,
        max_weight_share=comparison.max_weight_share,
    )


def check_clip(clip: float | None) -> None:
    """Raise for a limit of weights that is not positive."""
    if clip is not None and not real("clip", clip) > 0:
        raise ValueError(f"clip: expected a positive number or None, got {clip}")


class LogWeights(NamedTuple):
    """A form's weights before they are normalised."""

    form: OffPolicyForm
    ratios: FloatArray
    """log ρ_t, (B,)."""
    weights: FloatArray
    """log W_t, (B,)."""

    def compare(self, batch: Batch) -> Comparison:
        """Compare the weights with those that they are normalised by."""
        return compare_weights(self.weights, batch, alive_only=self.form == "action_only")


def form_log_weights(
    policy: Policy,
    batch: Batch,
    form: OffPolicyForm,
    *,
    clip: float | None = None,
    state_log_ratios: ArrayLike | None = None,
) -> LogWeights:
    """Return the logs of a form's weights; arguments are those of `off_policy_gradient`."""
    check_form(form, OFF_POLICY_FORMS)
    if (state_log_ratios is not None) != (form == "marginal"):
        expected = "one number a step" if form == "marginal" else "None"
        got = "None" if state_log_ratios is None else "an array"
        raise ValueError(f"state_log_ratios: expected {expected} for form {form!r}, got {got}")
    log_rho = log_ratios(policy, batch)
    if form == "action_only":
        log_weights: FloatArray = log_rho
    elif form == "marginal":
        assert state_log_ratios is not None
        log_states = float_array("state_log_ratios", state_log_ratios)
        check_shape("state_log_ratios", log_states, log_rho.shape)
        log_weights = log_rho + log_states
    else:
        direction: Literal["trajectory", "past"] = "trajectory" if form == "trajectory" else "past"
        log_weights = cumulative_log_ratios(log_rho, ends=batch.ends, direction=direction)
    if clip is not None:
        log_weights = np.minimum(log_weights, math.log(clip))
    return LogWeights(form, log_rho, finite_log_weights(log_weights))


def off_policy_terms(
    batch: Batch,
    logs: LogWeights,
    bootstrap_values: FloatArray,
    *,
    gamma: float,
    discount_states: bool = False,
    log_mean: Array | None = None,
) -> StepTerms:
    """Return the terms of an off-policy form, W_t γᵗ and G_t in doubles.

    ``logs`` are those of `form_log_weights`, ``bootstrap_values`` those of `on_policy_terms`; ``log_mean``,
    of ``logs.compare(batch)``, normalises the weights; the other arguments are those of
    `off_policy_gradient`.
    """
    batch, bootstrap = double_rewards(batch), bootstrap_values.astype(np.float64)
    if log_mean is None:
        log_weights, weights = bounded_log_weights(logs.weights), importance_weights(logs.weights)
    else:
        log_weights = normalized_log_weights(logs.weights, batch, log_mean)
        weights = np.exp(log_weights)
    products = None
    if logs.form == "per_decision":
        ends = batch.ends
        returns = weighted_reward_to_go(
            batch.rewards, logs.ratios, gamma, bootstrap_values=bootstrap, ends=ends
        )
        returns = np.clip(returns, -_MAX_RETURN, _MAX_RETURN)
        terms = StepTerms(state_discounts(batch, gamma if discount_states else 1.0), returns)
        # W_t G_t is Σ_u γ^(u−t) W_u r_u with the weights W_u of whole pasts. Where those that count are not
        # (limited, or over their mean), what each lacks is made up for by the ratio of one step to the next.
        past = finite_log_weights(cumulative_log_ratios(logs.ratios, ends=ends))
        with np.errstate(invalid="ignore"):  # −∞ + ∞ where nothing has any weight
            lacks = log_weights - (bounded_log_weights(past) if log_mean is None else past)
            later = np.zeros_like(lacks)
            later[1:] = lacks[:-1] - lacks[1:]
        later[~np.isfinite(later)] = 0.0
        weighed = [
            np.multiply(weights, x, out=np.zeros_like(x), where=weights > 0)
            for x in (batch.rewards, bootstrap)
        ]
        products = weighted_reward_to_go(weighed[0], later, gamma, bootstrap_values=weighed[1], ends=ends)
        products = terms.factors * np.clip(products, -_MAX_PRODUCT, _MAX_PRODUCT)
    else:
        counterpart = "trajectory" if logs.form == "trajectory" else "reward_to_go"
        terms = on_policy_terms(
            batch, bootstrap, form=counterpart, gamma=gamma, discount_states=discount_states
        )
    return terms._replace(factors=terms.factors * weights, products=products)


def importance_weighted_return(
    policy: Policy,
    batch: Batch,
    *,
    gamma: float = 1.0,
    per_decision: bool = True,
    self_normalize: bool = False,
    clip: float | None = None,
    ess_threshold: float = 0.1,
    on_low_ess: OnLowESS = "warn",
) -> ReturnEstimate:
    r"""Estimate a policy's expected return from episodes that other policies have made.

    .. math::
        J(\theta') \approx \frac1N \sum_i \sum_t \gamma^t W_{i,t}\, r_{i,t}, \qquad
        W_t = \begin{cases} \rho_0 \cdots \rho_t & \text{per decision} \\
                            \rho_0 \cdots \rho_{T-1} & \text{else} \end{cases}

    Parameters
    ----------
    policy, batch, gamma, clip, ess_threshold, on_low_ess
        As in `off_policy_gradient`. What follows a truncated segment counts nothing.
    per_decision
        Weigh each reward by the ratios up to its own step, not by the whole trajectory's.
    self_normalize
        Divide the weights at each time by their mean. The standard error is then that of the ratio, to first
        order.

    Returns
    -------
    ReturnEstimate
        A named tuple (value, standard_error, effective_sample_size). The value is infinite, and the standard
        error NaN, if a reward follows an action that the behaviour policy never takes (a log-probability of
        −∞) and the weights are neither limited nor normalised.

    Raises
    ------
    ValueError
        For an empty batch, one without ``log_probs``, or ``clip`` not positive.

    Notes
    -----
    Lecture, part 4; Precup et al. (2000).

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=(), dtype="float64")
    >>> policy.params = [0.0, 0.0, 0.0, 0.0]
    >>> batch = Batch(obs=np.zeros((2, 1)), actions=[0, 1], rewards=[1.0, 0.0], ends=[1, 1],
    ...               log_probs=np.log([0.25, 0.75]))
    >>> value, standard_error, effective_sample_size = importance_weighted_return(policy, batch)
    >>> value, standard_error, round(effective_sample_size, 3)
    (1.0, 1.0, 1.6)
    """
    check_batch(batch, None)
    gamma = real("gamma", gamma, minimum=0.0)
    check_clip(clip)
    form: OffPolicyForm = "past_only" if per_decision else "trajectory"
    logs = form_log_weights(policy, batch, form, clip=clip)
    comparison = logs.compare(batch)
    check_effective_sample_size(comparison, ess_threshold, on_low_ess)
    rewards = batch.rewards.astype(np.float64) * np.power(gamma, batch.step_in_segment)
    if self_normalize:
        weights = np.exp(normalized_log_weights(logs.weights, batch, comparison.log_mean))
    else:
        weights = importance_weights(logs.weights)
        if clip is None:
            direction: Literal["past", "trajectory"] = "past" if per_decision else "trajectory"
            exact = cumulative_log_ratios(logs.ratios, ends=batch.ends, direction=direction)
            weights[exact == np.inf] = np.inf
    weighed = np.multiply(weights, rewards, out=np.zeros_like(rewards), where=rewards != 0)
    with np.errstate(invalid="ignore"):  # infinite rewards, or weights, of both signs
        terms = np.add.reduceat(weighed, batch.segment_starts)
    count, value = len(terms), float(terms.mean())
    if self_normalize:
        terms = _deviations(batch, rewards, weights, logs.weights[batch.segment_ends], comparison.log_mean)
    deviation = math.nan
    if count > 1:
        with np.errstate(invalid="ignore"):
            deviation = float(np.sqrt(np.square(terms - terms.mean()).sum() / (count - 1)))
    return ReturnEstimate(value, deviation / math.sqrt(count), float(comparison.effective_sample_size[-1]))


def _deviations(batch: Batch, rewards: Array, weights: Array, log_last: FloatArray, log_mean: Array) -> Array:
    """What each episode adds to a sum of ratios, to first order: Σ_t W_t (r_t − J_t), shape (E,).

    J_t is the weighted mean at t; an episode that has ended continues with its last weight and no reward.
    """
    time = batch.step_in_segment
    means = np.bincount(time, weights=weights * rewards) / batch.num_segments
    terms: Array = np.add.reduceat(weights * (rewards - means[time]), batch.segment_starts)
    for t in np.flatnonzero(means):
        ended = np.flatnonzero(batch.segment_lengths <= t)
        terms[ended] -= np.exp(log_last[ended] - log_mean[t]) * means[t]
    return terms
