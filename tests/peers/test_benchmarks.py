"""All libraries that the kernels are compared with give pgcore's answers."""

from __future__ import annotations

import pytest

from pgcore.benchmarks import LIBRARIES, Contest, cases, installed, ready

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),  # PyTorch's own
]


@pytest.fixture(scope="module")
def libraries():
    found = installed()
    assert list(found) == list(LIBRARIES)
    with ready(found):
        yield found


USUAL = [case for case in cases() if case.usual]


@pytest.mark.parametrize("case", USUAL, ids=lambda case: f"{case.kernel}-{case.size}-{case.dtype}")
def test_answers_agree(case, libraries):
    contest = Contest(case)
    ways = {name: contest.runs(name, library) for name, library in libraries.items()}
    assert ways["jax"]
