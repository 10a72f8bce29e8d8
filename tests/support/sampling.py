"""A few combinations of parameters in which every pair of values occurs, in place of all combinations."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations


def covering(rows: Sequence[Mapping[str, object]], strength: int) -> list[int]:
    """Numbers of rows in which any ``strength`` columns' values occur together that do so in all rows.

    Greedy: the row with the most new combinations is next. The same rows give the same choice.
    """

    def parts_of(row: Mapping[str, object]) -> set[tuple[tuple[str, str], ...]]:
        values = [(name, f"{type(value).__name__} {value!r}") for name, value in row.items()]
        return set(combinations(sorted(values), min(strength, len(values))))

    parts = [parts_of(row) for row in rows]
    order = random.Random(len(rows)).sample(range(len(rows)), len(rows))
    missing: set[tuple[tuple[str, str], ...]] = set().union(*parts)
    chosen = []
    while missing:
        best = max(order, key=lambda i: len(parts[i] & missing))
        chosen.append(best)
        missing -= parts[best]
    return sorted(chosen)
