"""`Table`: the numbers of a picture, by column, and their CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Table"]

Cell: TypeAlias = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Parameters
    ----------
    name
        Tells the tables of one picture apart.
    columns
        Their names.
    rows
        One cell per column each.

    Examples
    --------
    >>> table = Table.of("growth", ("form", "t", "w"), [("a", 0, 1.0), ("a", 1, 0.1), ("b", 0, 2.0)])
    >>> table.where(form="a").column("w")
    array([1. , 0.1])
    >>> print(table.csv(), end="")
    form,t,w
    a,0,1
    a,1,0.1
    b,0,2
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, name: str, columns: tuple[str, ...], rows: Iterable[Sequence[Cell | np.generic]]) -> Table:
        """Make a table of rows whose numbers may be NumPy's.

        Raises
        ------
        ValueError
            If a row has another number of cells than there are columns.
        """
        plain = tuple(tuple(x.item() if isinstance(x, np.generic) else x for x in row) for row in rows)
        for row in plain:
            if len(row) != len(columns):
                raise ValueError(f"rows: expected {len(columns)} cells each, got {row}")
        return cls(name, columns, plain)

    def column(self, name: str) -> NDArray[Any]:
        """Return one column, shape (number of rows,): of numbers, or of texts."""
        at = self.columns.index(name)
        return np.array([row[at] for row in self.rows])

    def where(self, **equal: Cell) -> Table:
        """Return the rows whose cells equal those given, by column."""
        wanted = [(self.columns.index(name), value) for name, value in equal.items()]
        rows = tuple(row for row in self.rows if all(row[at] == value for at, value in wanted))
        return Table(self.name, self.columns, rows)

    def csv(self) -> str:
        """Return the table as CSV with a header line; numbers to ten significant digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([f"{x:.10g}" if isinstance(x, float) else x for x in row] for row in self.rows)
        return text.getvalue()
