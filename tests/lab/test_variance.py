"""The numbers of the variance laboratory, in small."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pgcore.baselines import Constant, OptimalScalar
from pgcore.estimators import policy_gradient
from pgcore.lab import variance_study
from pgcore.lab.simulate import play
from pgcore.lab.variance import BASELINES, COMBINATIONS

SHIFTS = (-2.0, 0.0, 0.2, 2.0)


@pytest.fixture(scope="module")
def study():
    return variance_study(k=-0.8, sigma=0.2, horizon=10, episodes=8000, seed=3, shifts=SHIFTS)


def variance(study, form, baseline, shift=0.0):
    return float(
        study.estimates.where(form=form, baseline=baseline, reward_shift=shift).column("variance_trace")[0]
    )


def test_every_combination_is_there(study):
    assert len(COMBINATIONS) == 2 * len(BASELINES) + 3
    for shift in SHIFTS:
        rows = study.estimates.where(reward_shift=shift)
        assert list(zip(rows.column("form"), rows.column("baseline"), strict=True)) == list(COMBINATIONS)
    assert set(study.estimates.where(reward_shift=0.0).column("episodes")) == {8000}
    assert set(study.estimates.where(reward_shift=2.0).column("episodes")) == {2000}


def test_nothing_is_biased_and_a_shift_does_not_change_the_gradient(study):
    assert study.estimates.column("largest_bias_in_standard_errors").max() < 5
    for name in ("k", "b", "log_sigma"):
        error = study.estimates.column(f"bias_{name}_standard_error")
        assert (np.abs(study.estimates.column(f"bias_{name}")) < 5 * error).all()
        assert (error > 0).all()
    # so that the test can fail: the gradient is many standard errors long for the best of them
    best = study.estimates.where(form="reward_to_go", baseline="linear", reward_shift=0.0)
    assert best.column("signal_to_noise_per_episode")[0] * 8000 > 400


@pytest.mark.parametrize("form", ["trajectory", "reward_to_go"])
def test_the_optimal_baseline_has_the_least_variance_of_all_constants(study, form):
    policy, batch = play(-0.8, 0.2, 10, 4000, np.random.default_rng(9))
    same, *constants = (
        policy_gradient(policy, batch, form=form, baseline=baseline).variance_trace
        for baseline in (OptimalScalar(), *(Constant(c) for c in (-5, -3, -1, 0, 1)))
    )
    assert same < 1.01 * min(constants)
    assert max(constants) > 1.5 * same
    optimal = variance(study, form, "optimal")
    assert variance(study, form, "optimal_component") < 1.02 * optimal
    for baseline in ("none", "constant", "average"):
        assert optimal < 1.02 * variance(study, form, baseline)


def test_a_shift_costs_variance_unless_the_baseline_takes_it_up(study):
    for form in ("trajectory", "reward_to_go"):
        assert variance(study, form, "none", -2.0) > 10 * variance(study, form, "none")
    # an episode's return is shifted by the same for all, a reward-to-go by less the later it is
    assert variance(study, "trajectory", "average", 2.0) == pytest.approx(
        variance(study, "trajectory", "average", -2.0), rel=1e-9
    )
    assert variance(study, "reward_to_go", "average", 2.0) > 10 * variance(
        study, "reward_to_go", "average", 0.2
    )
    assert variance(study, "gpomdp", "optimal", 2.0) == pytest.approx(
        variance(study, "gpomdp", "optimal", -2.0), rel=0.05
    )


def test_folklore_is_measured_where_it_fails_and_where_it_holds(study):
    table = study.folklore
    assert set(table.column("verdict")) <= {"holds", "fails", "undecided"}
    for better, worse in (
        ("reward_to_go + none", "trajectory + none"),
        ("reward_to_go + linear", "reward_to_go + time"),
    ):
        assert table.where(better=better, worse=worse, reward_shift=0.0).column("verdict") == ["holds"]
    for row in table.rows:
        claim = dict(zip(table.columns, row, strict=True))
        better, worse = (
            variance(study, *str(claim[side]).split(" + "), claim["reward_shift"])
            for side in ("better", "worse")
        )
        assert claim["variance_ratio"] == pytest.approx(better / worse)
        if better != pytest.approx(worse, rel=1e-8):
            assert (claim["difference_in_standard_errors"] > 0) == (better > worse)
    # at the shift by which rewards are about zero on average, no baseline is better than that of the average
    fails = table.where(verdict="fails")
    assert "reward_to_go + average" in fails.column("better")
    assert "Folklore" in study.summary()


def test_the_summary_names_what_fails(study):
    row = ("a is better than b", "a", "b", 0.0, 1.5, 9.0, "fails")
    one = dataclasses.replace(study.folklore, rows=(row,))
    assert dataclasses.replace(study, folklore=one).summary() == (
        "Folklore fails here: a is better than b (a has 1.50 times the variance of b); "
        "over all reward shifts 1 of 1 such comparisons fail."
    )
    none = dataclasses.replace(one, rows=((*row[:-1], "holds"),))
    assert dataclasses.replace(study, folklore=none).summary().startswith("Folklore holds here")


def test_a_seed_gives_the_same_bytes_twice():
    first, again, other = (
        [table.csv() for table in variance_study(horizon=3, episodes=160, seed=s, shifts=(0.0, 1.0)).tables]
        for s in (1, 1, 2)
    )
    assert first == again != other
    assert first[0].startswith("form,baseline,reward_shift,episodes,bias_k,bias_k_standard_error,")
    assert first[1].splitlines()[0] == (
        "claim,better,worse,reward_shift,variance_ratio,difference_in_standard_errors,verdict"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 79}, "episodes: expected an integer >= 80, got 79"),
        ({"shifts": (1.0,)}, "shifts: expected 0 among them, got (1.0,)"),
        ({"sigma": 0.0}, "policy: expected finite k and sigma > 0, got k = -0.8, sigma = 0.0"),
        (
            {"k": 9.0, "horizon": 999},
            "policy: expected a gain that keeps the return finite for 999 steps, got k = 9.0",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:
        variance_study(**arguments)
    assert str(caught.value) == message
