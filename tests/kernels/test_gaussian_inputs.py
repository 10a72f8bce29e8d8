"""The Gaussian kernels: how arrays come in, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore.kernels import gaussian_entropy, gaussian_kl, gaussian_log_prob, gaussian_score
from support import oracles
from support.gaussian_problems import problem
from support.oracles import assert_same_bits


@pytest.mark.covering(2)
@pytest.mark.parametrize("form", oracles.AWKWARD)
@pytest.mark.parametrize(("B", "A"), [(9, 3), (0, 2), (1, 1)])
def test_awkward_arrays(form: str, B: int, A: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    p, q = problem(rng, B, A, dtype), problem(rng, B, A, dtype)
    make = oracles.AWKWARD[form]
    pa, qa = ({key: make(x) for key, x in x.items()} for x in (p, q))
    before = {key: x.tobytes() for key, x in pa.items()}

    def all_results(p: dict[str, Any], q: dict[str, Any]) -> list[Any]:
        results: list[Any] = []
        for options in ({"log_std": p["log_std"]}, {"log_std": p["log_stds"]}, {"scale_tril": p["tril"]}):
            results += [gaussian_log_prob(p["actions"], p["mean"], **options), gaussian_entropy(**options)]
            results += gaussian_score(p["actions"], p["mean"], **options)
        results.append(gaussian_kl(p["mean"], p["log_std"], q["mean"], q["log_stds"]))
        full = {"scale_tril_p": p["tril"], "scale_tril_q": q["tril"]}
        return [*results, gaussian_kl(p["mean"], mean_q=q["mean"], **full)]

    for awkward, plain in zip(all_results(pa, qa), all_results(p, q), strict=True):
        assert_same_bits(awkward, plain)
    assert {key: x.tobytes() for key, x in pa.items()} == before


def test_lists_and_integers() -> None:
    assert gaussian_log_prob([[1, 2]], [[0, 0]], [0, 0]).dtype == np.float64
    assert gaussian_entropy([0, 0]) == gaussian_entropy([0.0, 0.0])
    mixed = gaussian_log_prob(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), [0.0])
    assert mixed.dtype == np.float64


ROWS = np.zeros((4, 2))


@pytest.mark.parametrize(
    ("function", "arguments", "options", "message"),
    [
        (gaussian_log_prob, (ROWS, ROWS), {}, "log_std: expected either log_std or scale_tril, got neither"),
        (
            gaussian_log_prob,
            (ROWS, ROWS, [0.0, 0.0]),
            {"scale_tril": np.eye(2)},
            "log_std: expected either log_std or scale_tril, got both",
        ),
        (gaussian_entropy, (), {}, "log_std: expected either log_std or scale_tril, got neither"),
        (gaussian_log_prob, (ROWS[0], ROWS, [0.0]), {}, "actions: expected shape (B, A), got (2,)"),
        (gaussian_log_prob, (ROWS, ROWS[:3], [0.0]), {}, "mean: expected shape (4, 2), got (3, 2)"),
        (
            gaussian_log_prob,
            (ROWS, ROWS, [0.0]),
            {},
            "log_std: expected shape (2,) or (4, 2), got (1,)",
        ),
        (
            gaussian_score,
            (ROWS, ROWS, np.zeros((1, 2))),
            {},
            "log_std: expected shape (2,) or (4, 2), got (1, 2)",
        ),
        (
            gaussian_score,
            (ROWS, ROWS),
            {"scale_tril": np.eye(3)},
            "scale_tril: expected shape (2, 2), got (3, 3)",
        ),
        (
            gaussian_score,
            (ROWS, ROWS),
            {"scale_tril": np.diag([1.0, 0.0])},
            "scale_tril: expected a diagonal without zeros, got [1. 0.]",
        ),
        (
            gaussian_entropy,
            (),
            {"scale_tril": [[0.0]]},
            "scale_tril: expected a diagonal without zeros, got [0.]",
        ),
        (gaussian_entropy, (), {"scale_tril": [1.0]}, "scale_tril: expected shape (1, 1), got (1,)"),
        (gaussian_entropy, (0.0,), {}, "log_std: expected shape (A,) or (B, A), got ()"),
        (gaussian_kl, (ROWS, [0.0, 0.0]), {}, "mean_q: expected an array, got None"),
        (gaussian_kl, (ROWS, None, ROWS, [0.0, 0.0]), {}, "log_std_p: expected an array, got None"),
        (
            gaussian_kl,
            (ROWS, None, ROWS),
            {"scale_tril_p": np.eye(2)},
            "scale_tril_q: expected an array, got None",
        ),
        (
            gaussian_kl,
            (ROWS, None, ROWS, [0.0, 0.0]),
            {"scale_tril_p": np.eye(2), "scale_tril_q": np.eye(2)},
            "log_std_q: expected either log_std or scale_tril, got both",
        ),
        (
            gaussian_kl,
            (ROWS, [0.0, 0.0], ROWS[:1], [0.0, 0.0]),
            {},
            "mean_q: expected shape (4, 2), got (1, 2)",
        ),
    ],
)
def test_errors(function: Any, arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        function(*arguments, **options)
    assert str(caught.value) == message
