"""All libraries that the kernels are compared with give pgcore's answers."""

from __future__ import annotations

import pytest

from pgcore.benchmarks import LIBRARIES, Contest, cases, installed

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def libraries():
    found = installed()
    assert list(found) == list(LIBRARIES)
    return found


USUAL = [case for case in cases() if case.usual]


@pytest.mark.parametrize("case", USUAL, ids=lambda case: f"{case.kernel}-{case.size}-{case.dtype}")
def test_answers_agree(case, libraries):
    contest = Contest(case)
    ways = {name: contest.runs(name, library) for name, library in libraries.items()}
    assert any(ways.values())
    if "2048" not in case.size or "ends" not in case.size:
        assert ways["jax"] or case.kernel == "SurrogateAscent.epoch"
