"""Systems that the tests of `conjugate_gradient` share."""

from __future__ import annotations

import numpy as np


def spd(rng: np.random.Generator, n: int, condition: float = 10.0) -> np.ndarray:
    """A symmetric positive-definite matrix with eigenvalues from 1/condition to 1, in log-equal steps."""
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    a = (q * np.logspace(0, -np.log10(condition), n)) @ q.T
    return 0.5 * (a + a.T)


class Operator:
    """A matrix known by its products, which are counted."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.products = matrix, 0

    def matvec(self, v: np.ndarray) -> np.ndarray:
        self.products += 1
        return self.matrix @ v
