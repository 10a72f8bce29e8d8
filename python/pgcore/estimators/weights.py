"""Importance weights of whole episodes or steps: in logs until the very end, with their diagnostics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pgcore._arguments import FloatArray, check_shape, float_array, real
from pgcore.estimators.estimate import flat_obs
from pgcore.kernels import cumulative_log_ratios
from pgcore.policies import segments_of

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.policies import Policy

__all__ = [
    "Comparison",
    "EffectiveSampleSizeWarning",
    "bounded_log_weights",
    "check_effective_sample_size",
    "compare_weights",
    "finite_log_weights",
    "importance_weights",
    "log_ratios",
    "mixture_log_probs",
    "normalized_log_weights",
]

Array = NDArray[np.float64]
OnLowESS = Literal["warn", "raise", "ignore"]

_MAX_LOG_WEIGHT = 170.0  # the square of such a weight times a return of up to 1e70 is still finite
_BEYOND = 1000.0  # so much larger in logs than any other is an infinite weight, next to which they vanish
_ANSWERS = ("warn", "raise", "ignore")


class EffectiveSampleSizeWarning(UserWarning):
    """So few episodes carry nearly all of the weight that an off-policy estimate says little."""


class Comparison(NamedTuple):
    """What importance weights say about themselves, at every time."""

    effective_sample_size: Array
    """(ΣW)²/ΣW² over the episodes, (T_max,)."""
    max_weight_share: Array
    """The largest weight's share in their sum, (T_max,)."""
    num_compared: NDArray[np.int64]
    """Episodes that these are over, (T_max,)."""
    log_mean: Array
    """Log of the mean weight over them, (T_max,)."""


def log_ratios(policy: Policy, batch: Batch) -> Array:
    """Return log π(a_t∣o_t) − log μ(a_t∣o_t) for every step in doubles, (B,).

    −∞ for an action that the policy never takes, also where the behaviour policy never takes it.

    Raises
    ------
    ValueError
        If the batch does not say the behaviour policy's log-probabilities.
    """
    if batch.log_probs is None:
        raise ValueError("log_probs: expected the behaviour policy's in the batch, got None")
    logs: Array = policy.log_prob(
        flat_obs(batch), batch.actions, **segments_of(policy, batch.segment_starts)
    ).astype(np.float64)
    np.subtract(logs, batch.log_probs, out=logs, where=logs != -np.inf)
    return logs


def mixture_log_probs(
    policies: Sequence[Policy], batch: Batch, *, proportions: ArrayLike | None = None
) -> Array:
    r"""Return the log-probabilities of a batch under a mixture of the policies that made it.

    If each episode was made by one of several policies, and which one is left to chance, the trajectories'
    distribution is :math:`q(\tau) \propto \sum_j \alpha_j \prod_t \mu_j(a_t\mid o_t)`, and its probability of
    a_t given what went before is

    .. math::
        q_t = \frac{\sum_j \alpha_j \prod_{t' \le t} \mu_j(a_{t'}\mid o_{t'})}
                   {\sum_j \alpha_j \prod_{t' < t} \mu_j(a_{t'}\mid o_{t'})}

    With these for ``log_probs`` every off-policy form weighs by the mixture. For a target that is one of the
    μ_j no weight of a past exceeds 1/α_j.

    Parameters
    ----------
    policies
        μ_j, at least one.
    batch
        Whole episodes (or segments that each policy could have begun with).
    proportions
        α_j, shape (len(policies),), positive; scaled to sum 1. Equal by default. Where each policy made
        a known number of episodes, those numbers.

    Returns
    -------
    numpy.ndarray
        log q_t, shape (B,); use as ``batch.replace(log_probs=...)``.

    Raises
    ------
    ValueError
        For no policies, or proportions of another shape or not positive.

    Notes
    -----
    Levine & Koltun (2013), section 4, where the weights are those of such a mixture.

    Examples
    --------
    >>> from pgcore import Batch
    >>> from pgcore.policies import CategoricalPolicy
    >>> policy = CategoricalPolicy(1, 2, hidden=(), dtype="float64", seed=0)
    >>> batch = Batch(obs=np.ones((2, 1)), actions=[0, 1], rewards=[1.0, 0.0], ends=[0, 1])
    >>> mixed = mixture_log_probs([policy, policy], batch)
    >>> bool(np.allclose(mixed, policy.log_prob(batch.obs, batch.actions)))
    True
    """
    if not policies:
        raise ValueError("policies: expected at least one, got none")
    alpha = np.ones(len(policies)) if proportions is None else float_array("proportions", proportions)
    check_shape("proportions", alpha, (len(policies),))
    if not (np.isfinite(alpha).all() and (alpha > 0).all()):
        raise ValueError(f"proportions: expected positive numbers, got {alpha}")
    log_alpha = np.log(alpha / alpha.sum())
    upto = np.empty((len(policies), batch.num_steps))  # log α_j + Σ_{t' ≤ t} log μ_j
    for row, policy, offset in zip(upto, policies, log_alpha, strict=True):
        log_probs = policy.log_prob(
            flat_obs(batch), batch.actions, **segments_of(policy, batch.segment_starts)
        ).astype(np.float64)
        row[:] = offset + cumulative_log_ratios(log_probs, ends=batch.ends)
    total: Array = np.logaddexp.reduce(upto, axis=0)
    conditional = total.copy()
    later = np.ones(batch.num_steps, np.bool_)
    later[batch.segment_starts] = False
    conditional[later] -= total[np.flatnonzero(later) - 1]
    return conditional


def importance_weights(log_weights: FloatArray) -> Array:
    """Return W, shape (B,); at most e¹⁷⁰, so that squares and sums are finite."""
    return np.exp(bounded_log_weights(log_weights))


def bounded_log_weights(log_weights: FloatArray) -> Array:
    """Return log W, at most 170."""
    return np.minimum(log_weights, _MAX_LOG_WEIGHT, dtype=np.float64)


def finite_log_weights(log_weights: FloatArray) -> FloatArray:
    """Return log-weights in which infinite weights are equal, finite, and e¹⁰⁰⁰ times the largest other.

    So they share everything equally between them, as in `pgcore.kernels.effective_sample_size`.
    """
    infinite = log_weights == np.inf
    if not infinite.any():
        return log_weights
    largest = np.max(log_weights, initial=0.0, where=np.isfinite(log_weights))
    return np.where(infinite, largest + _BEYOND, log_weights)


def compare_weights(log_weights: FloatArray, batch: Batch, *, alive_only: bool) -> Comparison:
    """Compare episodes' weights at every time, in logs of any size.

    Parameters
    ----------
    log_weights
        log W_{i,t}, shape (B,).
    batch
        Says which step belongs to which episode and time.
    alive_only
        Compare only the episodes that last longer than t. Otherwise one that has ended keeps its last weight:
        leaving it out would compare survivors, and a normalised estimate be a mean over them.
    """
    starts, lengths = batch.segment_starts, batch.segment_lengths
    horizon = int(lengths.max())
    sizes, shares, log_mean = np.zeros(horizon), np.full(horizon, np.nan), np.full(horizon, -np.inf)
    numbers = np.empty(horizon, np.int64)
    latest = np.empty(batch.num_segments)
    order = np.argsort(lengths, kind="stable")
    num_ended = np.searchsorted(lengths[order], np.arange(horizon), side="right")
    for t in range(horizon):
        alive = order[num_ended[t] :]
        latest[alive] = log_weights[starts[alive] + t]
        compared = latest[alive] if alive_only else latest
        numbers[t] = len(compared)
        top = compared.max()
        if top == -np.inf:  # no episode has any weight
            continue
        relative = np.exp(compared - top)
        total = relative.sum()
        sizes[t] = total**2 / np.square(relative).sum()
        shares[t] = 1 / total
        log_mean[t] = top + np.log(total / len(compared))
    return Comparison(sizes, shares, numbers, log_mean)


def normalized_log_weights(log_weights: FloatArray, batch: Batch, log_mean: Array) -> Array:
    """Return log W less the log of the mean weight at its time, (B,); −∞ where that mean is 0."""
    centre = log_mean[batch.step_in_segment]
    nothing: Array = np.full(len(centre), -np.inf)
    return np.subtract(log_weights, centre, out=nothing, where=centre != -np.inf)


def check_effective_sample_size(weights: Comparison, threshold: float, on_low: OnLowESS) -> None:
    """Warn or raise where the effective sample size falls under a fraction of the episodes.

    Raises
    ------
    ValueError
        If it does and ``on_low`` is ``"raise"``, or for arguments out of range.
    """
    threshold = real("ess_threshold", threshold, minimum=0.0)
    if on_low not in _ANSWERS:
        raise ValueError(f"on_low_ess: expected one of {', '.join(map(repr, _ANSWERS))}, got {on_low!r}")
    fractions = weights.effective_sample_size / weights.num_compared
    if on_low == "ignore" or (fractions >= threshold).all():  # NaN is not enough
        return
    t = int(fractions.argmin())
    message = (
        f"effective sample size: {weights.effective_sample_size[t]:.3g} of {weights.num_compared[t]} "
        f"episodes at step {t}, where the largest weight has {weights.max_weight_share[t]:.0%} of the sum "
        f"(ess_threshold is {threshold:.0%}); such an estimate says little"
    )
    if on_low == "raise":
        raise ValueError(message)
    warnings.warn(message, EffectiveSampleSizeWarning, stacklevel=3)
