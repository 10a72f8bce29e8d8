"""Fields, paths and steps of the two gradients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pgcore.envs import lqr
from pgcore.lab import lqr_field_study
from pgcore.lab.importance import trajectory_kl
from pgcore.lab.lqr_field import BALL_KL, BALL_RADIUS, KL_RADIUS, STARTS, kl_ball

HORIZON = 6


@pytest.fixture(scope="module")
def study():
    return lqr_field_study(horizon=HORIZON, episodes=40, seed=1)


def test_exact_paths_end_near_the_optimum(study):
    best = lqr.optimal_gain(horizon=HORIZON)
    assert study.best_gain == best
    for kind, tolerance in (("ordinary", 0.05), ("natural", 0.005)):
        for start, place in enumerate(STARTS):
            path = study.path("exact", kind, start)
            assert (path.column("k")[0], path.column("sigma")[0]) == place
            assert path.column("ends")[-1] == "done"
            assert abs(path.column("k")[-1] - best) < tolerance
            assert 0 < path.column("sigma")[-1] < 0.01
            returns = path.column("return")
            assert (np.diff(returns) > -1e-9).all()
            assert returns[-1] == pytest.approx(lqr.exact_return(best, 0.0, horizon=HORIZON), rel=0.01)


def test_the_ordinary_path_spends_sigma_before_k_moves(study):
    """What the lecture says of it; the natural path does both at once."""
    for start, (k, sigma) in enumerate(STARTS):
        left = {}
        for kind in ("ordinary", "natural"):
            path = study.path("exact", kind, start)
            at = int(np.argmax(path.column("sigma") < sigma / 10))
            left[kind] = abs(path.column("k")[at] - study.best_gain) / abs(k - study.best_gain)
        assert left["natural"] < 0.5 * left["ordinary"]


def test_natural_steps_keep_the_divergence(study):
    path = study.path("exact", "natural", 0)
    places = list(zip(path.column("k"), path.column("sigma"), strict=True))
    kl = [trajectory_kl(old, new, HORIZON) / HORIZON for old, new in pairwise(places)]
    assert np.allclose(kl, KL_RADIUS, rtol=0.3)  # to second order


def test_the_field_has_exact_and_sampled_gradients(study):
    field = study.field
    for row in field.rows[::17]:
        cells = dict(zip(field.columns, row, strict=True))
        k, sigma = cells["k"], cells["sigma"]
        exact = np.array(lqr.exact_gradient(k, sigma, horizon=HORIZON))
        assert np.allclose([cells["exact_ordinary_k"], cells["exact_ordinary_sigma"]], exact)
        natural = np.linalg.solve(lqr.exact_fisher(k, sigma, horizon=HORIZON), exact)
        assert np.allclose([cells["exact_natural_k"], cells["exact_natural_sigma"]], natural)
    # where noise is small, sampled ones point the same way
    far = field.column("sigma") > 0.5
    for kind in ("ordinary", "natural"):
        found, exact = (
            np.stack([field.column(f"{source}_{kind}_{axis}")[far] for axis in ("k", "sigma")], axis=1)
            for source in ("sampled", "exact")
        )
        cosine = np.sum(found * exact, axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
        assert np.median(cosine) > 0.9


def test_noise_grows_and_the_exact_derivative_vanishes_with_sigma(study):
    noise = study.noise
    sigma, exact = noise.column("sigma"), np.abs(noise.column("exact_sigma"))
    assert np.allclose(exact / sigma, (exact / sigma)[0])
    for name in ("k", "sigma"):
        spread = noise.column(f"standard_deviation_{name}")
        slope = np.polyfit(np.log(sigma[:5]), np.log(spread[:5]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.3)


def test_sampled_paths_stop_before_sigma_is_negative(study):
    paths = study.paths.where(source="sampled")
    assert (paths.column("sigma") > 0).all()
    for start in range(len(STARTS)):
        assert study.path("sampled", "natural", start).column("ends")[-1] == "done"


def test_steps_stay_in_their_balls(study):
    for ball in ("euclidean", "kl"):
        steps = study.steps.where(ball=ball)
        if ball == "euclidean":
            assert np.allclose(np.hypot(steps.column("step_k"), steps.column("step_sigma")), BALL_RADIUS)
            assert steps.column("kl_per_step").max() > 10 * BALL_KL  # where σ is small
        else:
            assert np.allclose(steps.column("kl_per_step"), BALL_KL, rtol=0.4)
        for k, sigma, dk, dsigma, kl, gained in zip(
            *(steps.column(name) for name in steps.columns if name != "ball"), strict=True
        ):
            new = (k + dk, sigma + dsigma)
            assert kl == pytest.approx(trajectory_kl((k, sigma), new, HORIZON) / HORIZON)
            values = [lqr.exact_return(*place, horizon=HORIZON) for place in (new, (k, sigma))]
            assert gained == pytest.approx(values[0] - values[1])


def test_the_boundary_of_the_ball_has_the_divergence():
    for radius in (0.001, 0.1, 1.0):
        for k, sigma in kl_ball(-0.4, 0.3, 5, radius, num_points=40):
            assert trajectory_kl((-0.4, 0.3), (k, sigma), 5) / 5 == pytest.approx(radius, rel=1e-6)


def test_a_seed_gives_the_same_bytes_twice(study):
    again = lqr_field_study(horizon=HORIZON, episodes=40, seed=1)
    assert [table.csv() for table in study.tables] == [table.csv() for table in again.tables]
    assert [table.name for table in study.tables] == ["field", "paths", "steps", "noise"]
    assert study.summary() == again.summary()


@pytest.mark.parametrize("name", ["episodes", "horizon"])
def test_bad_arguments(name):
    with pytest.raises(ValueError) as caught:
        lqr_field_study(**{name: 1})
    assert str(caught.value) == f"{name}: expected an integer >= 2, got 1"
