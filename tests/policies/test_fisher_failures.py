"""The errors of Fisher operators, word for word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pgcore.policies import GaussianPolicy

GAUSSIAN = GaussianPolicy(3, 2, hidden=())
OBS = np.zeros((5, 3), np.float32)
P = GAUSSIAN.num_params
F = GAUSSIAN.fisher(OBS)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda: GAUSSIAN.fisher(OBS, kind="sampled"),
            ValueError,
            "kind: expected 'exact' or 'empirical', got 'sampled'",
        ),
        (
            lambda: GAUSSIAN.fisher(OBS, kind="empirical"),
            ValueError,
            "actions: expected those taken for kind 'empirical', got None",
        ),
        (
            lambda: GAUSSIAN.fisher(OBS, np.zeros((4, 2)), kind="empirical"),
            ValueError,
            "actions: expected shape (5, 2), got (4, 2)",
        ),
        (lambda: GAUSSIAN.fisher(OBS[:0]), ValueError, "obs: expected at least one observation, got none"),
        (lambda: GAUSSIAN.fisher(OBS[0]), ValueError, "obs: expected shape (B, 3), got (3,)"),
        (
            lambda: GAUSSIAN.fisher(OBS, damping=-1.0),
            ValueError,
            "damping: expected a finite number >= 0, got -1.0",
        ),
        (
            lambda: GAUSSIAN.fisher(OBS, num_samples=0),
            ValueError,
            "num_samples: expected an integer >= 1, got 0",
        ),
        (lambda: F @ np.zeros(3), ValueError, f"v: expected shape ({P},), got (3,)"),
        (lambda: F @ np.zeros((3, 2)), ValueError, f"v: expected shape ({P}, 2), got (3, 2)"),
        (lambda: F.solve(np.zeros(3)), ValueError, f"g: expected shape ({P},), got (3,)"),
        (lambda: F.solve(np.zeros(P), x0=np.zeros(3)), ValueError, f"x0: expected shape ({P},), got (3,)"),
        (
            lambda: F.solve(np.zeros(P), method="lu"),
            ValueError,
            "method: expected one of cg, dense, gram, got 'lu'",
        ),
        (
            lambda: F.solve(np.zeros(P), preconditioner="jacobi"),
            ValueError,
            "preconditioner: expected one of diagonal, kronecker, got 'jacobi'",
        ),
        (
            lambda: F.solve(np.zeros(P), method="gram"),
            ValueError,
            "damping: expected a number > 0 for method 'gram', got 0.0",
        ),
        (
            lambda: GAUSSIAN.fisher(np.zeros((5_001, 3)), damping=1.0).solve(np.zeros(P), method="gram"),
            ValueError,
            "method: expected 'gram' for at most 10000 equations, got 10002",
        ),
    ],
)
def test_errors(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        function()
    assert str(caught.value) == message


def test_a_preconditioner_that_fails_is_heard_of() -> None:
    def broken(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match=r"^no$"):
        F.solve(np.ones(P), preconditioner=broken)
