"""Ordinary and natural gradient of the LQR in the plane of (k, σ): exact, sampled, and where they lead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pgcore.baselines import TimeDependent
from pgcore.envs import lqr
from pgcore.estimators import policy_gradient
from pgcore.io.tables import Table
from pgcore.lab.simulate import play

__all__ = [
    "BALL_KL",
    "BALL_RADIUS",
    "GAIN_RANGE",
    "KL_RADIUS",
    "SIGMA_RANGE",
    "STARTS",
    "FieldStudy",
    "kl_ball",
    "lqr_field_study",
]

Array = NDArray[np.float64]

GAIN_RANGE = (-1.6, -0.1)
SIGMA_RANGE = (0.05, 1.0)
STARTS = ((-1.4, 0.9), (-0.25, 0.9), (-1.45, 0.45), (-0.2, 0.35))
"""Where the paths begin."""

KL_RADIUS = 0.01
"""Mean KL divergence per step, in nats, of a natural step along a path."""

BALL_RADIUS = 0.1
"""Of the Euclidean ball."""

BALL_KL = 0.02
"""Of the other ball: mean KL divergence per step, in nats."""

_BALL_POINTS = ((-1.3, 0.85), (-0.3, 0.85), (-1.25, 0.3), (-0.3, 0.3), (-0.62, 0.12))
_FIRST_STEP = 0.2  # the longest first step of the ordinary gradient sets its learning rate
_NATURAL_STEPS = 80
_KEPT = 400  # the ordinary paths have many more steps than a picture can show


class _Source(NamedTuple):
    """Gradients at places (S, 2) in the order (k, σ), (S, 2) each."""

    ordinary: Callable[[Array], Array]
    both: Callable[[Array], tuple[Array, Array]]  # with the natural one, which costs more


@dataclass(frozen=True)
class FieldStudy:
    """What `lqr_field_study` found, and for which problem."""

    horizon: int
    episodes: int
    learning_rate: float
    """Of the ordinary gradient along its paths."""
    best_gain: float
    """k* without noise."""
    field: Table
    """Both gradients at the nodes of a grid, exact and from a small batch."""
    paths: Table
    """Steps from `STARTS`."""
    steps: Table
    """The best linearised step in a Euclidean ball, and in one of the KL divergence."""
    noise: Table
    """Exact derivatives and the spread of one episode's, as σ goes to 0 at k*."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return (self.field, self.paths, self.steps, self.noise)

    def summary(self) -> str:
        """Return one sentence: where the exact paths end."""
        ends = {
            kind: [self.path("exact", kind, start).rows[-1] for start in range(len(STARTS))]
            for kind in ("ordinary", "natural")
        }
        k, steps = self.paths.columns.index("k"), self.paths.columns.index("step")
        text = "; ".join(
            f"{kind}: |k − k*| <= {max(abs(float(row[k]) - self.best_gain) for row in rows):.2g} after "
            f"{rows[0][steps]} steps"
            for kind, rows in ends.items()
        )
        broken = sum(
            self.path("sampled", "ordinary", start).rows[-1][-1] == "left" for start in range(len(STARTS))
        )
        return (
            f"For {self.horizon} steps k* = {self.best_gain:.4f} without noise (not -1). Exact gradients, "
            f"{text}. Of the sampled ordinary paths, {broken} of {len(STARTS)} step out of σ > 0."
        )

    def path(self, source: str, gradient: str, start: int) -> Table:
        """Return the steps of one path."""
        return self.paths.where(source=source, gradient=gradient, start=start)


def lqr_field_study(*, horizon: int = 20, episodes: int = 50, seed: int = 0) -> FieldStudy:
    r"""Compute both gradients over the plane, follow them, and compare their steps.

    The natural gradient is :math:`F^{-1}\nabla J` with F the Fisher matrix of a whole trajectory. Paths of
    the ordinary gradient have a fixed learning rate, by which no first step is longer than 0.2; those of the
    natural gradient steps of the length √(2ε/gᵀF⁻¹g) that keep the mean KL divergence per step, to second
    order, at `KL_RADIUS`. A path ends where a step would leave σ > 0.

    Parameters
    ----------
    horizon
        Steps of an episode.
    episodes
        Of one sampled gradient: reward-to-go with the time-dependent baseline. Its Fisher matrix is the exact
        one of the policy over the visited states.
    seed
        Of all samples.

    Returns
    -------
    FieldStudy

    Raises
    ------
    ValueError
        For fewer than 2 episodes or steps.

    Notes
    -----
    Lecture, part 5; Peters & Schaal (2008).
    """
    for name, value in (("episodes", episodes), ("horizon", horizon)):
        if value < 2:
            raise ValueError(f"{name}: expected an integer >= 2, got {value}")
    field_rng, path_rng, noise_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))

    exact = _exact(horizon)
    learning_rate = _FIRST_STEP / float(np.linalg.norm(exact.ordinary(np.array(STARTS)), axis=1).max())
    sources = {"exact": exact, "sampled": _sampled(horizon, episodes, path_rng)}
    return FieldStudy(
        horizon,
        episodes,
        learning_rate,
        lqr.optimal_gain(horizon=horizon),
        _field(exact, _sampled(horizon, episodes, field_rng), horizon),
        Table.of(
            "paths",
            ("source", "gradient", "start", "step", "k", "sigma", "return", "ends"),
            (row for name, source in sources.items() for row in _paths(name, source, horizon, learning_rate)),
        ),
        _steps(exact, horizon),
        _noise(horizon, noise_rng),
    )


def kl_ball(k: float, sigma: float, horizon: int, radius: float, num_points: int = 200) -> Array:
    r"""Return the boundary of the ball of policies about one, by its true KL divergence, (num_points, 2).

    .. math:: \frac1T \mathrm{KL} = \frac{\bar m\,(k'-k)^2 + \sigma^2}{2\sigma'^2}
        + \log\frac{\sigma'}{\sigma} - \frac12, \qquad \bar m = \frac1T\sum_t m_t

    with the old policy first and its states, as in TRPO.

    Examples
    --------
    >>> ball = kl_ball(-0.5, 0.5, 10, 0.02, num_points=5)
    >>> ball.round(2).tolist()
    [[-0.5, 0.44], [-0.34, 0.51], [-0.5, 0.58], [-0.66, 0.51], [-0.5, 0.44]]
    """

    def excess(ratio: float) -> float:  # of the divergence without a change of k
        return 0.5 / ratio**2 + math.log(ratio) - 0.5 - radius

    low, high = _root(excess, 1e-6, 1.0), _root(excess, 1.0, 1e6)
    angle = np.linspace(0.0, np.pi, num_points // 2 + 1)
    ratio = low + (high - low) * 0.5 * (1 - np.cos(angle))
    room = np.maximum(radius - (0.5 / ratio**2 + np.log(ratio) - 0.5), 0.0)
    mean_moment = lqr.second_moments(k, sigma, horizon=horizon).mean()
    width = np.sqrt(room * 2 / mean_moment) * ratio * sigma
    width[[0, -1]] = 0.0
    up = np.stack([k + width, ratio * sigma], axis=1)
    down = np.stack([k - width, ratio * sigma], axis=1)[::-1]
    return np.concatenate([up, down[1:]])


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """A sign change of a function between two positive numbers, by bisection of their logarithm."""
    rising = f(high) > 0
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if (f(middle) > 0) == rising else (middle, high)
    return math.sqrt(low * high)


def _exact(horizon: int) -> _Source:
    def ordinary(places: Array) -> Array:
        return np.stack(lqr.exact_gradient(*places.T, horizon=horizon), axis=1)

    def both(places: Array) -> tuple[Array, Array]:
        gradients = ordinary(places)
        fisher = np.array([np.diag(lqr.exact_fisher(*place, horizon=horizon)) for place in places])
        return gradients, gradients / fisher

    return _Source(ordinary, both)


def _sampled(horizon: int, episodes: int, rng: np.random.Generator) -> _Source:
    """Gradients from one batch each; the bias of the policy is held at 0."""
    free = [0, 2]

    def one(k: float, sigma: float) -> tuple[Array, Array]:
        policy, batch = play(k, sigma, horizon, episodes, rng)
        gradient = policy_gradient(policy, batch, baseline=TimeDependent()).gradient[free]
        fisher = horizon * policy.fisher(batch.obs).dense()[np.ix_(free, free)]
        scale = np.array([1.0, sigma])  # ∂/∂log σ = σ ∂/∂σ
        return gradient / scale, scale * np.linalg.solve(fisher, gradient)

    def both(places: Array) -> tuple[Array, Array]:
        pairs = np.array([one(*place) for place in places])
        return pairs[:, 0], pairs[:, 1]

    return _Source(lambda places: both(places)[0], both)


def _field(exact: _Source, sampled: _Source, horizon: int) -> Table:
    gradients = [
        f"{source}_{kind}_{axis}"
        for source in ("exact", "sampled")
        for kind in ("ordinary", "natural")
        for axis in ("k", "sigma")
    ]
    k, sigma = np.meshgrid(np.linspace(*GAIN_RANGE, 11), np.linspace(*SIGMA_RANGE, 9))
    places = np.stack([k.ravel(), sigma.ravel()], axis=1)
    values = np.asarray(lqr.exact_return(*places.T, horizon=horizon))
    return Table.of(
        "field",
        ("k", "sigma", "return", *gradients),
        np.column_stack([places, values, *exact.both(places), *sampled.both(places)]).tolist(),
    )


def _paths(
    name: str, source: _Source, horizon: int, learning_rate: float
) -> Iterator[tuple[str | float, ...]]:
    # So many that the error of k shrinks e⁴ times, in a quadratic with the curvature that J has there without
    # noise.
    best, eps = lqr.optimal_gain(horizon=horizon), 1e-4
    slopes = [lqr.exact_gradient(best + d, 0.0, horizon=horizon)[0] for d in (eps, -eps)]
    num_ordinary = math.ceil(4 / (learning_rate * (slopes[1] - slopes[0]) / (2 * eps)))

    def ordinary_moves(places: Array) -> Array:
        return learning_rate * source.ordinary(places)

    def natural_moves(places: Array) -> Array:
        ordinary, natural = source.both(places)
        lengths = np.sum(ordinary * natural, axis=1, keepdims=True)  # gᵀF⁻¹g
        moves: Array = natural * np.sqrt(2 * horizon * KL_RADIUS / lengths)
        return moves

    for kind, moves, count in (
        ("ordinary", ordinary_moves, num_ordinary),
        ("natural", natural_moves, _NATURAL_STEPS),
    ):
        for start, (path, left) in enumerate(_walk(moves, count)):
            values = np.asarray(lqr.exact_return(*path.T, horizon=horizon)).tolist()
            last, every = len(path) - 1, math.ceil(count / _KEPT)
            for step, (place, value) in enumerate(zip(path.tolist(), values, strict=True)):
                if step % every == 0 or step == last:
                    ends = "" if step < last else "left" if left else "done"
                    yield name, kind, start, step, *place, value, ends


def _walk(moves: Callable[[Array], Array], count: int) -> list[tuple[Array, bool]]:
    """Walk from all `STARTS` at once; return each path, and whether its next step would leave σ > 0."""
    paths = [[np.array(start)] for start in STARTS]
    walking = list(range(len(STARTS)))
    for _ in range(count):
        if not walking:
            break
        places = np.array([paths[i][-1] for i in walking])
        reached = places + moves(places)
        inside = reached[:, 1] > 0
        walking = [i for i, stays in zip(walking, inside, strict=True) if stays]
        for i, place in zip(walking, reached[inside], strict=True):
            paths[i].append(place)
    return [(np.array(path), i not in walking) for i, path in enumerate(paths)]


def _steps(exact: _Source, horizon: int) -> Table:
    """Steps to the boundary of either ball, and their true effect."""
    columns = ("k", "sigma", "ball", "step_k", "step_sigma", "kl_per_step", "return_gained")
    rows = []
    for (k, sigma), ordinary, natural in zip(_BALL_POINTS, *exact.both(np.array(_BALL_POINTS)), strict=True):
        steps = {
            "euclidean": ordinary * (BALL_RADIUS / np.linalg.norm(ordinary)),
            "kl": natural * math.sqrt(2 * horizon * BALL_KL / float(ordinary @ natural)),
        }
        moment = lqr.second_moments(k, sigma, horizon=horizon).mean()
        for ball, (dk, dsigma) in steps.items():
            new = sigma + dsigma
            kl = (moment * dk**2 + sigma**2) / (2 * new**2) + math.log(new / sigma) - 0.5
            gained = lqr.exact_return(k + dk, new, horizon=horizon) - lqr.exact_return(
                k, sigma, horizon=horizon
            )
            rows.append((k, sigma, ball, dk, dsigma, kl, gained))
    return Table.of("steps", columns, rows)


def _noise(horizon: int, rng: np.random.Generator) -> Table:
    columns = ("k", "sigma", "exact_k", "exact_sigma", "standard_deviation_k", "standard_deviation_sigma")
    rows, episodes = [], 2000
    k = lqr.optimal_gain(horizon=horizon)
    for sigma in np.geomspace(0.01, 1.0, 13):
        policy, batch = play(k, sigma, horizon, episodes, rng)
        error = policy_gradient(policy, batch, baseline=TimeDependent()).standard_error
        spread = error[[0, 2]] * math.sqrt(episodes) / np.array([1.0, sigma])
        rows.append((k, sigma, *lqr.exact_gradient(k, sigma, horizon=horizon), *spread))
    return Table.of("noise", columns, rows)
