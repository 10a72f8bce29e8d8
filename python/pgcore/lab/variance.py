"""Bias and variance of every form of the policy gradient with every baseline, where the gradient is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pgcore.baselines import (
    AverageReturn,
    Baseline,
    Constant,
    LinearFeatures,
    OptimalPerComponent,
    OptimalScalar,
    TimeDependent,
)
from pgcore.envs import lqr
from pgcore.estimators import policy_gradient
from pgcore.io.tables import Table
from pgcore.kernels import reward_to_go
from pgcore.lab.simulate import check_finite, exact_policy_gradient, play

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.policies import GaussianPolicy

__all__ = ["BASELINES", "COMBINATIONS", "SHIFTS", "VarianceStudy", "variance_study"]

Array = NDArray[np.float64]
Form = Literal["trajectory", "reward_to_go", "gpomdp"]

BASELINES = ("none", "constant", "average", "time", "linear", "optimal", "optimal_component")
"""None; the exact J; `AverageReturn`; `TimeDependent`; `LinearFeatures`; `OptimalScalar`, …`PerComponent`."""

_FORMS: tuple[Form, ...] = ("trajectory", "reward_to_go", "gpomdp")
_OF_REWARDS = ("none", "optimal", "optimal_component")  # all that GPOMDP's baselines of single rewards can be

COMBINATIONS = tuple(
    (form, baseline) for form in _FORMS for baseline in (_OF_REWARDS if form == "gpomdp" else BASELINES)
)
"""The forms with the baselines that make sense for them."""

SHIFTS = (-10.0, -5.0, -2.0, -1.0, -0.5, -0.2, 0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Constants to add to all rewards; denser where the unshifted rewards are."""

GROUPS = 10
"""Parts that the episodes are cut into: their spread gives the error of a variance."""

_ESTIMATES = (
    "form",
    "baseline",
    "reward_shift",
    "episodes",
    "bias_k",
    "bias_k_standard_error",
    "bias_b",
    "bias_b_standard_error",
    "bias_log_sigma",
    "bias_log_sigma_standard_error",
    "largest_bias_in_standard_errors",
    "variance_trace",
    "variance_trace_standard_error",
    "signal_to_noise_per_episode",
)
_FOLKLORE = (
    "claim",
    "better",
    "worse",
    "reward_shift",
    "variance_ratio",
    "difference_in_standard_errors",
    "verdict",
)


@dataclass(frozen=True)
class VarianceStudy:
    """What `variance_study` found, and for which problem."""

    k: float
    sigma: float
    horizon: int
    estimates: Table
    """A row for every form, baseline and reward shift."""
    folklore: Table
    """Orderings that are said to hold, with the measured ratio of variances: above 1 they fail."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return (self.estimates, self.folklore)

    def summary(self) -> str:
        """Return one sentence: where folklore fails without a shift, and for how many shifts."""
        at_zero = self.folklore.where(reward_shift=0.0, verdict="fails")
        failures = [
            f"{row[at_zero.columns.index('claim')]} ({row[1]} has "
            f"{row[at_zero.columns.index('variance_ratio')]:.2f} times the variance of {row[2]})"
            for row in at_zero.rows
        ]
        failed, total = len(self.folklore.where(verdict="fails").rows), len(self.folklore.rows)
        shifted = f"over all reward shifts {failed} of {total} such comparisons fail"
        if not failures:
            return f"Folklore holds here without a reward shift; {shifted}."
        return f"Folklore fails here: {'; '.join(failures)}; {shifted}."


class _Measurement(NamedTuple):
    mean: Array  # of the gradient, (P,)
    standard_error: Array  # (P,)
    variances: Array  # one episode's trace, in each group


def variance_study(
    *,
    k: float = -0.8,
    sigma: float = 0.2,
    horizon: int = 20,
    episodes: int = 20_000,
    seed: int = 0,
    shifts: Sequence[float] = SHIFTS,
) -> VarianceStudy:
    """Measure bias and variance of the `COMBINATIONS` on the LQR, for every shift of the rewards.

    A constant added to every reward changes J, but with a fixed horizon not its gradient: what changes is the
    noise. `LinearFeatures` is fitted to other episodes; the constant is the exact J without a shift.

    Parameters
    ----------
    k, sigma
        The policy a ∼ N(k s, σ²); parameters are (k, b, log σ).
    horizon
        Steps of an episode.
    episodes
        N, without a shift; a quarter of them with one. Cut into `GROUPS` groups of independent estimates.
    seed
        Of the episodes.
    shifts
        Must contain 0.

    Returns
    -------
    VarianceStudy

    Raises
    ------
    ValueError
        For fewer than 80 episodes (2 in each group with a shift), shifts without 0, or a policy without a
        density or a finite return.

    Notes
    -----
    Lecture, parts 2 ("what is wrong with the policy gradient?") and 3.

    Examples
    --------
    >>> study = variance_study(horizon=2, episodes=400, shifts=(0.0,))
    >>> len(study.estimates.rows) == len(COMBINATIONS)
    True
    """
    if episodes < 8 * GROUPS:
        raise ValueError(f"episodes: expected an integer >= {8 * GROUPS}, got {episodes}")
    check_finite("policy", k, sigma, horizon)
    if 0.0 not in shifts:
        raise ValueError(f"shifts: expected 0 among them, got {tuple(shifts)}")
    seeds = np.random.SeedSequence(seed).spawn(GROUPS + 1)
    policy, other = play(k, sigma, horizon, 2000, np.random.default_rng(seeds[-1]))
    groups = [
        play(k, sigma, horizon, episodes // GROUPS, np.random.default_rng(each))[1] for each in seeds[:-1]
    ]
    exact = exact_policy_gradient(k, sigma, horizon)
    expected_return = lqr.exact_return(k, sigma, horizon=horizon)
    rows, comparisons = [], []
    for shift in shifts:
        parts = groups if shift == 0 else [_first(group, horizon) for group in groups]
        shifted = [part.replace(rewards=part.rewards + shift) for part in parts]
        found: dict[tuple[str, str], _Measurement] = {}
        for form, baseline in COMBINATIONS:
            subtracted = _make(baseline, form, expected_return, other.replace(rewards=other.rewards + shift))
            measured = found[form, baseline] = _measure(policy, shifted, form, subtracted)
            rows.append(_row((form, baseline), shift, shifted, measured, exact))
        comparisons += list(_comparisons(found, shift))
    return VarianceStudy(
        k,
        sigma,
        horizon,
        Table.of("estimates", _ESTIMATES, rows),
        Table.of("folklore", _FOLKLORE, comparisons),
    )


def _first(batch: Batch, horizon: int) -> Batch:
    """A quarter of the episodes: a shift's effect is so large that they will do."""
    steps = slice(0, batch.num_segments // 4 * horizon)
    return type(batch)(batch.obs[steps], batch.actions[steps], batch.rewards[steps], batch.ends[steps])


def _make(name: str, form: Form, expected_return: float, other: Batch) -> Baseline | None:
    if name == "none":
        return None
    if name == "constant":
        return Constant(expected_return)
    if name == "linear":
        baseline = LinearFeatures()
        returns = reward_to_go(other.rewards, ends=other.ends)
        if form == "trajectory":
            returns = np.repeat(returns[other.segment_starts], other.segment_lengths)
        baseline.fit(other, returns)
        return baseline
    estimated: dict[str, type[Baseline]] = {
        "average": AverageReturn,
        "time": TimeDependent,
        "optimal": OptimalScalar,
        "optimal_component": OptimalPerComponent,
    }
    return estimated[name]()


def _measure(
    policy: GaussianPolicy, groups: Sequence[Batch], form: Form, baseline: Baseline | None
) -> _Measurement:
    estimates = [policy_gradient(policy, group, form=form, baseline=baseline) for group in groups]
    errors = np.array([estimate.standard_error for estimate in estimates])
    return _Measurement(
        np.mean([estimate.gradient for estimate in estimates], axis=0),
        np.sqrt(np.square(errors).sum(axis=0)) / len(groups),
        np.array([estimate.variance_trace for estimate in estimates]),
    )


def _row(
    combination: tuple[str, str], shift: float, groups: Sequence[Batch], found: _Measurement, exact: Array
) -> tuple[str | float, ...]:
    bias = found.mean - exact
    variance = float(found.variances.mean())
    return (
        *combination,
        float(shift),
        sum(group.num_segments for group in groups),
        *np.stack([bias, found.standard_error], axis=1).reshape(-1),
        float(np.max(np.abs(bias) / found.standard_error)),
        variance,
        _standard_error(found.variances),
        float(np.sum(np.square(exact))) / variance,
    )


def _standard_error(values: Array) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _comparisons(
    found: dict[tuple[str, str], _Measurement], shift: float
) -> Iterator[tuple[str, str, str, float, float, float, str]]:
    """Compare what is said to be better with what is said to be worse, on the same groups."""
    for baseline in BASELINES:
        yield _comparison(
            "reward-to-go is better than the trajectory form",
            ("reward_to_go", baseline),
            ("trajectory", baseline),
            found,
            shift,
        )
    for form in ("trajectory", "reward_to_go"):
        claims = {
            "average": ("the average return is better than no baseline", "none"),
            "time": ("a time-dependent average is better than one average", "average"),
            "linear": ("a state-dependent baseline is better than a time-dependent one", "time"),
        }
        for better, (claim, worse) in claims.items():
            yield _comparison(claim, (form, better), (form, worse), found, shift)
    yield _comparison(
        "an optimal baseline for every time is better than one for all",
        ("gpomdp", "optimal"),
        ("reward_to_go", "optimal"),
        found,
        shift,
    )


def _comparison(
    claim: str,
    better: tuple[str, str],
    worse: tuple[str, str],
    found: dict[tuple[str, str], _Measurement],
    shift: float,
) -> tuple[str, str, str, float, float, float, str]:
    ours, theirs = found[better].variances, found[worse].variances
    difference, ratio = ours - theirs, float(ours.mean() / theirs.mean())
    # Forms that are the same estimate differ by rounding, which has a spread too.
    distance = float(difference.mean() / _standard_error(difference)) if abs(ratio - 1) > 1e-9 else 0.0
    verdict = "fails" if distance > 3 else "holds" if distance < -3 else "undecided"
    return claim, " + ".join(better), " + ".join(worse), float(shift), ratio, distance, verdict
