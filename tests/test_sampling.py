"""The choice of combinations that tests marked `covering` run."""

from __future__ import annotations

from itertools import product

import pytest

from support.sampling import covering

VALUES = {"a": range(7), "b": "xyz", "c": (True, False), "d": (1.0, None)}
ALL = [dict(zip(VALUES, row, strict=True)) for row in product(*VALUES.values())]


@pytest.mark.parametrize(("strength", "least", "most"), [(1, 7, 7), (2, 21, 25), (3, 42, 55), (4, 84, 84)])
def test_all_combinations_occur(strength: int, least: int, most: int) -> None:
    chosen = covering(ALL, strength)
    assert least <= len(chosen) <= most
    for names in (["a", "b"], ["a", "d"], ["c", "d"], ["a", "b", "c", "d"], ["b"]):
        if len(names) <= strength:
            found = {tuple(ALL[i][name] for name in names) for i in chosen}
            assert found == set(product(*(VALUES[name] for name in names)))


def test_the_choice_is_always_the_same() -> None:
    assert covering(ALL, 2) == covering([dict(row) for row in ALL], 2)


def test_combinations_that_there_are_not_are_not_missed() -> None:
    rows = [row for row in ALL if row["a"] != 3 or row["b"] == "x"]
    assert {(rows[i]["a"], rows[i]["b"]) for i in covering(rows, 2)} == {(row["a"], row["b"]) for row in rows}


def test_values_that_look_alike_are_different() -> None:
    assert covering([{"a": 1}, {"a": "1"}, {"a": 1.0}, {"a": 1}], 1) in ([0, 1, 2], [1, 2, 3])


def test_fewer_columns_than_asked_for() -> None:
    assert covering([{"a": 1}, {"a": 2}], 2) == [0, 1]


def test_one_case_alone_is_kept() -> None:
    assert covering([{"a": 1, "b": 2}], 2) == [0]
