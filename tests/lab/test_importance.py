"""Weights, and the bias of the forms that drop ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pgcore.envs import lqr
from pgcore.estimators import off_policy_gradient
from pgcore.lab import importance_study
from pgcore.lab.importance import approximate_gradient, trajectory_kl, weight_second_moment
from pgcore.lab.simulate import exact_policy_gradient, linear_policy, play

OLD, NEW = (-0.3, 0.4), (-0.45, 0.33)


@pytest.fixture(scope="module")
def study():
    return importance_study(horizon=30, episodes=2000, seed=2)


def test_the_effective_sample_size_falls_with_the_horizon(study):
    own = study.horizons.where(form="trajectory")
    fractions = own.column("effective_sample_fraction_last")
    assert (np.diff(fractions) < 0.02).all()
    assert fractions[0] > 0.8
    assert fractions[-1] < 0.2
    exact = own.column("effective_sample_fraction_exact")
    assert (np.diff(exact) < 0).all()
    assert np.allclose(fractions[:5], exact[:5], rtol=0.1)
    alone = study.horizons.where(form="action_only").column("effective_sample_fraction_mean")
    assert (alone > 0.8).all()


def test_products_of_ratios_have_more_variance_than_ratios(study):
    last = study.horizons.where(horizon=30)
    found = {form: float(last.where(form=form).column("variance_trace")[0]) for form in last.column("form")}
    assert list(found) == ["trajectory", "per_decision", "past_only", "action_only", "on_policy"]
    assert found["trajectory"] > 3 * found["per_decision"]
    assert found["trajectory"] > 2 * found["action_only"]


def test_the_spread_of_the_weights_grows_with_time(study):
    def spread(name):
        own = study.weights.where(weight=name)
        return own.column("log10_quantile_0.95") - own.column("log10_quantile_0.05")

    product, ratio = spread("product"), spread("ratio")
    assert len(product) == len(ratio) == 30
    assert product[0] == ratio[0]
    assert product[-1] > 3 * product[0]
    assert ratio.max() < 1.2 * ratio[0]


def test_the_second_moment_of_the_weights_is_that_of_a_sample():
    for horizon in (1, 4):
        _, batch = play(*OLD, horizon, 100_000, np.random.default_rng(0))
        logs = linear_policy(*NEW).log_prob(batch.obs, batch.actions) - batch.log_probs
        squares = np.exp(2 * logs.reshape(-1, horizon).sum(axis=1))
        error = squares.std() / math.sqrt(len(squares))
        assert abs(weight_second_moment(OLD, NEW, horizon) - squares.mean()) < 5 * error
        assert error < 0.02


def test_weights_may_have_no_second_moment():
    assert weight_second_moment((0.0, 1.0), (0.0, 1.5), 1) == math.inf  # wider than √2 times the behaviour
    assert weight_second_moment((0.0, 1.0), (0.0, 1.3), 1) < 3
    assert weight_second_moment((-0.6, 0.5), (-0.4, 0.5), 20) == math.inf  # a start far out does it


def test_the_limits_of_the_forms_without_all_ratios():
    horizon = 5
    _, batch = play(*OLD, horizon, 50_000, np.random.default_rng(1))
    times = batch.step_in_segment
    ratios = lqr.state_log_ratios(batch.obs[:, 0], times, new=NEW, old=OLD)
    for form, states in (("action_only", "behaviour"), ("past_only", "target"), ("marginal", "target")):
        found = off_policy_gradient(
            linear_policy(*NEW), batch, form=form, state_log_ratios=ratios if form == "marginal" else None
        )
        limit = approximate_gradient(OLD, NEW, horizon, states=states)
        assert (np.abs(found.gradient - limit) < 5 * found.standard_error).all()
        assert np.allclose(
            approximate_gradient(OLD, OLD, horizon, states=states), exact_policy_gradient(*OLD, horizon)
        )
    exact = exact_policy_gradient(*NEW, horizon)
    first = approximate_gradient(OLD, NEW, horizon, states="behaviour")
    assert np.linalg.norm(first - exact) > 0.1 * np.linalg.norm(exact)


def test_the_first_order_bias_grows_like_the_root_of_the_divergence(study):
    kl = study.bias.column("kl_trajectory")
    assert (np.diff(kl) > 0).all()
    assert kl[-1] == pytest.approx(trajectory_kl(OLD, NEW, 10))
    for form in ("action_only", "marginal"):
        bias = study.bias.column(f"{form}_relative_bias")
        assert (np.diff(bias) > 0).all()
        slope = np.polyfit(np.log(kl[:4]), np.log(bias[:4]), 1)[0]
        assert slope == pytest.approx(0.5, abs=0.05)
        found, error = (study.bias.column(f"{form}_{name}") for name in ("sampled", "standard_error"))
        assert (np.abs(found - bias) < 5 * error).all()
        assert found[-1] > 4 * error[-1]
    first, marginal = (study.bias.column(f"{form}_relative_bias") for form in ("action_only", "marginal"))
    assert (first > marginal).all()


def test_the_divergence_of_trajectories_is_the_mean_log_ratio():
    _, batch = play(*OLD, 8, 50_000, np.random.default_rng(3))
    logs = batch.log_probs - linear_policy(*NEW).log_prob(batch.obs, batch.actions)
    totals = logs.reshape(-1, 8).sum(axis=1)
    error = totals.std() / math.sqrt(len(totals))
    assert abs(trajectory_kl(OLD, NEW, 8) - totals.mean()) < 5 * error
    assert trajectory_kl(NEW, OLD, 8) != pytest.approx(trajectory_kl(OLD, NEW, 8), rel=0.05)


def test_a_seed_gives_the_same_bytes_twice():
    first, again, other = (
        [table.csv() for table in importance_study(horizon=3, episodes=50, seed=s).tables] for s in (1, 1, 2)
    )
    assert first == again != other
    assert first[0].startswith("weight,step,log10_quantile_0.05,")
    assert first[1].startswith("horizon,form,kl_trajectory,effective_sample_fraction_last,")
    assert first[2].startswith(
        "distance,k,sigma,kl_trajectory,kl_per_step,gradient_norm,action_only_relative_bias"
    )


def test_the_summary_is_one_line(study):
    assert study.summary().startswith("After 30 steps the whole trajectories' weights leave ")
    assert "\n" not in study.summary()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": OLD}, "target: expected another policy than the behaviour policy (-0.3, 0.4), got it"),
        ({"behaviour": (0.0, -1.0)}, "behaviour: expected finite k and sigma > 0, got k = 0.0, sigma = -1.0"),
        ({"episodes": 1}, "episodes: expected an integer >= 2, got 1"),
        ({"horizon": 1}, "horizon: expected an integer >= 2, got 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:
        importance_study(**arguments)
    assert str(caught.value) == message
