"""Options of `pytest bench/`, and its rows: every case by every library that is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgcore.benchmarks import DTYPES, cases, installed, ready

COMPILED = Path(tempfile.gettempdir()) / "pgcore-bench"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pgcore")
    group.addoption("--dtype", choices=DTYPES, default="float32", help="of all arrays (default: float32)")
    group.addoption("--every-size", action="store_true", help="all sizes instead of the usual ones")
    group.addoption("--threads", type=int, default=1, help="of all libraries (default: 1)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    options = metafunc.config.option
    rows = {"pgcore": None, "reference": None, **installed(COMPILED), "limit": None}
    metafunc.parametrize(
        ("case", "name", "library"),
        [
            pytest.param(case, name, library, id=f"{case.kernel}-{case.size}-{name}".replace(" ", ""))
            for case in cases((options.dtype,))
            if case.usual or options.every_size
            for name, library in rows.items()
        ],
    )


@pytest.fixture(scope="session", autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    with ready(installed(), request.config.option.threads):
        yield
