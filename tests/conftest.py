"""What all tests share: fixtures, the hypothesis profile, and the package `support` on the import path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

import pgcore
from pgcore import kernels, reference

sys.path.insert(0, str(Path(__file__).parent))  # for `import support`, whatever pytest's import mode

from support.sampling import covering

settings.register_profile("default", max_examples=30, deadline=None)
settings.register_profile("light", max_examples=5, deadline=None)
settings.load_profile(os.environ.get("PGCORE_HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "light: a kernel's main check; runs again at each instruction-set level"
    )
    config.addinivalue_line(
        "markers",
        "covering(n): of all combinations of parameters run some, among which any n values occur together; "
        "PGCORE_ALL_CASES=1 runs all",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the combinations that a test marked `covering` does not need."""
    if os.environ.get("PGCORE_ALL_CASES"):
        return
    marked: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("covering"):
            marked.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = set()
    for group in marked.values():
        (strength,) = group[0].get_closest_marker("covering").args
        kept = covering([item.callspec.params for item in group], strength)
        left_out |= {item.nodeid for item in group} - {group[i].nodeid for i in kept}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


# The reference is the same at every instruction-set level: runs with a forced one (test_isa.py) leave it out.
IMPLEMENTATIONS = [kernels] if os.environ.get("PGCORE_ISA") else [kernels, reference]


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda module: module.__name__.split(".")[-1])
def lib(request: pytest.FixtureRequest) -> ModuleType:
    """Both implementations: what holds for one holds for the other."""
    return request.param


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    """Put the number of threads back after a test that sets it."""
    before = pgcore.get_num_threads()
    yield
    pgcore.set_num_threads(before)
