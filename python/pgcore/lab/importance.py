"""Another policy's episodes: growth of the weights with the horizon, and the bias of cheaper forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pgcore.baselines import LinearFeatures
from pgcore.envs import lqr
from pgcore.estimators import off_policy_gradient, policy_gradient
from pgcore.io.tables import Table
from pgcore.kernels import cumulative_log_ratios, reward_to_go
from pgcore.lab.simulate import check_finite, exact_policy_gradient, linear_policy, play

__all__ = [
    "BEHAVIOUR",
    "TARGET",
    "ImportanceStudy",
    "approximate_gradient",
    "importance_study",
    "trajectory_kl",
    "weight_second_moment",
]

Array = NDArray[np.float64]
LinearPolicy = tuple[float, float]
Form = Literal["trajectory", "per_decision", "past_only", "action_only", "marginal"]
States = Literal["behaviour", "target"]

BEHAVIOUR: LinearPolicy = (-0.3, 0.4)
"""(k, σ) of the policy that makes the episodes."""
TARGET: LinearPolicy = (-0.45, 0.33)
"""(k, σ) of the policy whose gradient is wanted."""

_FORMS: tuple[Form, ...] = ("trajectory", "per_decision", "past_only", "action_only")
# The forms that drop ratios, and whose states they see in the limit.
_STATES: dict[Form, States] = {"action_only": "behaviour", "past_only": "target", "marginal": "target"}
_FIRST_ORDER: tuple[Form, ...] = ("action_only", "marginal")
_QUANTILES = (0.05, 0.5, 0.95)
_DISTANCES = tuple(2.0 ** (-half / 2) for half in range(8, -1, -1))  # from the behaviour policy to the target
_BIAS_HORIZON, _BIAS_GROUPS = 10, 25


@dataclass(frozen=True)
class ImportanceStudy:
    """What `importance_study` found, and for which problem."""

    behaviour: LinearPolicy
    target: LinearPolicy
    episodes: int
    bias_horizon: int
    weights: Table
    """Quantiles of the weights at every time of the longest horizon."""
    horizons: Table
    """For every horizon and form: effective sample size, variance, bias."""
    bias: Table
    """Bias of the forms without all ratios, for targets at growing distances from the behaviour policy."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return (self.weights, self.horizons, self.bias)

    def summary(self) -> str:
        """Return one sentence: the weights at the longest horizon, and the bias per √KL."""
        longest = int(self.horizons.column("horizon").max())
        at = self.horizons.where(horizon=longest)
        fraction = at.where(form="trajectory").column("effective_sample_fraction_last")[0]
        share = at.where(form="trajectory").column("largest_weight_share_last")[0]
        ratio = (
            at.where(form="trajectory").column("variance_trace")[0]
            / at.where(form="action_only").column("variance_trace")[0]
        )
        kl, biased = self.bias.column("kl_trajectory"), self.bias.column("action_only_relative_bias")
        return (
            f"After {longest} steps the whole trajectories' weights leave {100 * fraction:.2g} % of "
            f"{self.episodes} episodes (the largest has {share:.0%} of the sum), and the trajectory form "
            f"{ratio:.2g} times the variance of the first-order form; the bias of that, "
            f"for {self.bias_horizon} steps, is {biased[0]:.2g} of the gradient's length where the policies "
            f"are {kl[0]:.2g} nats apart, and {biased[-1]:.2g} at {kl[-1]:.2g}."
        )


def importance_study(
    *,
    behaviour: LinearPolicy = BEHAVIOUR,
    target: LinearPolicy = TARGET,
    horizon: int = 50,
    episodes: int = 10_000,
    seed: int = 0,
) -> ImportanceStudy:
    """Measure the off-policy forms for growing horizons and growing distances of the target.

    Parameters
    ----------
    behaviour, target
        (k, σ) of either policy.
    horizon
        The longest; shorter ones are about equally spaced in their logarithm.
    episodes
        N of each horizon, and of the bias.
    seed
        Of the episodes.

    Returns
    -------
    ImportanceStudy

    Raises
    ------
    ValueError
        For equal policies, ones without a density or a finite return, fewer than 2 episodes or steps.

    Notes
    -----
    Lecture, part 4; Precup et al. (2000).
    """
    if behaviour == target:
        raise ValueError(f"target: expected another policy than the behaviour policy {behaviour}, got it")
    for name, value in (("episodes", episodes), ("horizon", horizon)):
        if value < 2:
            raise ValueError(f"{name}: expected an integer >= 2, got {value}")
    longest = max(horizon, _BIAS_HORIZON)
    for name, (k, sigma) in (("behaviour", behaviour), ("target", target)):
        check_finite(name, k, sigma, longest)
    weights_rng, horizons_rng, bias_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    horizons = np.unique(np.geomspace(1, horizon, min(horizon, 10)).round().astype(int)).tolist()
    return ImportanceStudy(
        behaviour,
        target,
        episodes,
        _BIAS_HORIZON,
        _weights(behaviour, target, horizon, episodes, weights_rng),
        _horizons(behaviour, target, horizons, episodes, horizons_rng),
        _bias(behaviour, target, episodes, bias_rng),
    )


def trajectory_kl(old: LinearPolicy, new: LinearPolicy, horizon: int) -> float:
    r"""Return KL(old‖new) of whole trajectories in nats.

    .. math:: \sum_t \frac{m_t (k'-k)^2 + \sigma^2}{2\sigma'^2} + \log\frac{\sigma'}{\sigma} - \frac12

    with the old policy's second moments m_t.

    >>> round(trajectory_kl((-0.5, 0.5), (-0.6, 0.45), 10), 4)
    0.2235
    """
    (k, sigma), (new_k, new_sigma) = old, new
    moments = lqr.second_moments(k, sigma, horizon=horizon)
    each = (moments * (new_k - k) ** 2 + sigma**2) / (2 * new_sigma**2) + math.log(new_sigma / sigma) - 0.5
    return float(each.sum())


def weight_second_moment(behaviour: LinearPolicy, target: LinearPolicy, horizon: int) -> float:
    r"""Return E[W²] of whole trajectories' weights in closed form; infinite where it is.

    1/E[W²] is the effective sample size of many episodes, as a fraction of them. From the end, with f_T = 1,

    .. math:: f_t(s) = \int \frac{\pi(a\mid s)^2}{\mu(a\mid s)} f_{t+1}(s + a)\, da = c_t e^{\alpha_t s^2}

    is a Gaussian integral at every step, and E[W²] = E[f_0(s_0)].

    >>> weight_second_moment((-0.5, 0.5), (-0.5, 0.5), 10)
    1.0
    >>> weight_second_moment((-0.5, 0.5), (-0.5, 0.8), 1)
    inf
    """
    (old_k, tau), (k, sigma) = behaviour, target
    alpha, log_c = 0.0, 0.0
    for _ in range(horizon):
        # The integrand is exp(−A a² + 2 B a s + C s²) up to a factor.
        a = 1 / sigma**2 - 0.5 / tau**2 - alpha
        if a <= 0:
            return math.inf
        b = k / sigma**2 - 0.5 * old_k / tau**2 + alpha
        c = -(k**2) / sigma**2 + 0.5 * old_k**2 / tau**2 + alpha
        log_c += math.log(tau / sigma**2) - 0.5 * math.log(2 * a)
        alpha = b * b / a + c
    left = 1 - 2 * alpha
    return math.inf if left <= 0 else math.exp(min(log_c - 0.5 * math.log(left), 700.0))


def approximate_gradient(
    behaviour: LinearPolicy, target: LinearPolicy, horizon: int, *, states: States
) -> Array:
    r"""Return what the forms that drop ratios converge to, in (k, b, log σ), shape (3,), in closed form.

    .. math:: \sum_t E_{s \sim d_t} \nabla E_{a \sim \pi(\cdot\mid s)} Q^\mu_t(s, a)

    with the behaviour policy's Q; ``"behaviour"`` states are those of ``action_only``, ``"target"`` states
    those of ``past_only`` and ``marginal``. Where both policies are the same it is the gradient.

    >>> approximate_gradient((-0.5, 0.5), (-0.5, 0.5), 2, states="behaviour").tolist()
    [0.25, 0.0, -1.625]
    """
    (old_k, _), (k, sigma) = behaviour, target
    moments = lqr.second_moments(*(behaviour if states == "behaviour" else target), horizon=horizon)
    by_gain = by_std = 0.0
    for t, moment in enumerate(moments.tolist()):
        left = horizon - t - 1
        # Q_t = −s² − a² − p (s+a)² − …, where −p is the return from s = 1 without noise.
        p = -lqr.exact_return(old_k, 0.0, horizon=left) if left else 0.0
        by_gain -= 2 * moment * (k + p * (1 + k))
        by_std -= 2 * sigma * (1 + p)
    return np.array([by_gain, 0.0, sigma * by_std])


def _weights(
    behaviour: LinearPolicy, target: LinearPolicy, horizon: int, episodes: int, rng: np.random.Generator
) -> Table:
    _, batch = play(*behaviour, horizon, episodes, rng)
    assert batch.log_probs is not None
    single = linear_policy(*target).log_prob(batch.obs, batch.actions) - batch.log_probs
    columns = ("weight", "step", *(f"log10_quantile_{q:g}" for q in _QUANTILES), "log10_largest")
    rows = []
    for name, logs in (("product", cumulative_log_ratios(single, ends=batch.ends)), ("ratio", single)):
        by_time = logs.reshape(episodes, horizon).T / math.log(10)
        for t, values in enumerate(by_time):
            rows.append((name, t, *np.quantile(values, _QUANTILES), values.max()))
    return Table.of("weights", columns, rows)


def _horizons(
    behaviour: LinearPolicy,
    target: LinearPolicy,
    horizons: list[int],
    episodes: int,
    rng: np.random.Generator,
) -> Table:
    columns = (
        "horizon",
        "form",
        "kl_trajectory",
        "effective_sample_fraction_last",
        "effective_sample_fraction_mean",
        "effective_sample_fraction_exact",
        "largest_weight_share_last",
        "variance_trace",
        "signal_to_noise_per_episode",
        "relative_bias_exact",
    )
    rows: list[tuple[str | float, ...]] = []
    policy = linear_policy(*target)
    for horizon in horizons:
        _, batch = play(*behaviour, horizon, episodes, rng)
        exact = exact_policy_gradient(*target, horizon)
        length = float(np.linalg.norm(exact))
        kl = trajectory_kl(behaviour, target, horizon)
        limit = 1 / weight_second_moment(behaviour, target, horizon)
        for form in _FORMS:
            found = off_policy_gradient(policy, batch, form=form, on_low_ess="ignore")
            fractions = found.effective_sample_size / episodes
            bias = 0.0
            if form in _STATES:
                limiting = approximate_gradient(behaviour, target, horizon, states=_STATES[form])
                bias = float(np.linalg.norm(limiting - exact)) / length
            rows.append(
                (
                    horizon,
                    form,
                    kl,
                    fractions[-1],
                    fractions.mean(),
                    # For a single ratio there is no closed form here: the states' weights come in.
                    math.nan if form == "action_only" else limit,
                    found.max_weight_share[-1],
                    found.variance_trace,
                    length**2 / found.variance_trace,
                    bias,
                )
            )
        own, fresh = play(*target, horizon, episodes, rng)
        on_policy = policy_gradient(own, fresh, form="reward_to_go")
        snr = length**2 / on_policy.variance_trace
        rows.append(
            (horizon, "on_policy", 0.0, 1.0, 1.0, 1.0, 1 / episodes, on_policy.variance_trace, snr, 0.0)
        )
    return Table.of("horizons", columns, rows)


def _bias(behaviour: LinearPolicy, target: LinearPolicy, episodes: int, rng: np.random.Generator) -> Table:
    """Bias relative to the exact gradient's length: in closed form, and sampled with its standard error."""
    columns = ["distance", "k", "sigma", "kl_trajectory", "kl_per_step", "gradient_norm"]
    for form in _FIRST_ORDER:
        columns += [f"{form}_relative_bias", f"{form}_sampled", f"{form}_standard_error"]
    rows = []
    (old_k, old_sigma), (k, sigma) = behaviour, target
    # A baseline of the state, fitted to other episodes, changes no expectation here and lowers the noise.
    _, other = play(*behaviour, _BIAS_HORIZON, 2000, rng)
    baseline = LinearFeatures()
    baseline.fit(other, reward_to_go(other.rewards, ends=other.ends))
    for distance in _DISTANCES:
        # σ moves geometrically, so that it stays positive however far the line goes.
        new = (old_k + distance * (k - old_k), old_sigma * (sigma / old_sigma) ** distance)
        # Fresh episodes each time, so that the errors of neighbouring points are independent.
        sampled = _sampled_gradients(behaviour, new, baseline, 4 * episodes, rng)
        exact = exact_policy_gradient(*new, _BIAS_HORIZON)
        length = float(np.linalg.norm(exact))
        kl = trajectory_kl(behaviour, new, _BIAS_HORIZON)
        row = [distance, *new, kl, kl / _BIAS_HORIZON, length]
        for form in _FIRST_ORDER:
            bias = approximate_gradient(behaviour, new, _BIAS_HORIZON, states=_STATES[form]) - exact
            size = float(np.linalg.norm(bias))
            # Along the true bias: the length of a noisy vector would be too large.
            found = (sampled[form] - exact) @ (bias / max(size, 1e-300)) / length
            error = float(np.std(found, ddof=1)) / math.sqrt(len(found))
            row += [size / length, float(found.mean()), error]
        rows.append(tuple(row))
    return Table.of("bias", tuple(columns), rows)


def _sampled_gradients(
    behaviour: LinearPolicy,
    target: LinearPolicy,
    baseline: LinearFeatures,
    episodes: int,
    rng: np.random.Generator,
) -> dict[Form, Array]:
    """Gradients by each of the `_FIRST_ORDER` forms from `_BIAS_GROUPS` batches, (groups, P).

    Their spread gives the error in any direction; the standard errors of components would not, since these
    are correlated.
    """
    policy, found = linear_policy(*target), {form: list[Array]() for form in _FIRST_ORDER}
    for _ in range(_BIAS_GROUPS):
        _, batch = play(*behaviour, _BIAS_HORIZON, max(episodes // _BIAS_GROUPS, 1), rng)
        ratios = lqr.state_log_ratios(batch.obs[:, 0], batch.step_in_segment, new=target, old=behaviour)
        for form in _FIRST_ORDER:
            estimate = off_policy_gradient(
                policy,
                batch,
                form=form,
                baseline=baseline,
                state_log_ratios=ratios if form == "marginal" else None,
                on_low_ess="ignore",
            )
            found[form].append(estimate.gradient)
    return {form: np.array(gradients) for form, gradients in found.items()}
