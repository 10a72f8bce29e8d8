"""The reference has the kernels' names and signatures, needs NumPy alone, and its examples are right.

That its numbers are right is tested in tests/kernels, where most tests run on both implementations.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import pytest

from pgcore import kernels, reference

FUNCTIONS = [name for name in kernels.__all__ if inspect.isfunction(getattr(kernels, name))]
METHODS = ["__init__", "init", "layers", "forward", "vjp", "jvp", "per_sample_vjp"]
MODULES = [f"pgcore.reference.{module.name}" for module in pkgutil.iter_modules(reference.__path__)]


def test_same_names() -> None:
    assert sorted(reference.__all__) == sorted(kernels.__all__)
    assert len(FUNCTIONS) == 18


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_signatures(name: str) -> None:
    assert inspect.signature(getattr(reference, name)) == inspect.signature(getattr(kernels, name))


@pytest.mark.parametrize("name", METHODS)
def test_same_methods(name: str) -> None:
    assert inspect.signature(getattr(reference.MLP, name)) == inspect.signature(getattr(kernels.MLP, name))


def test_same_results_of_conjugate_gradient() -> None:
    assert list(reference.CGStatus.__members__) == list(kernels.CGStatus.__members__)
    assert list(reference.CGResult.__dataclass_fields__) == list(kernels.CGResult.__dataclass_fields__)


@pytest.mark.parametrize("path", sorted(Path(reference.__file__).parent.glob("*.py")), ids=lambda p: p.name)
def test_imports_numpy_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            assert (
                top in ("numpy", "__future__")
                or top in sys.stdlib_module_names
                or (name.startswith("pgcore.reference"))
            ), name


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    failures, _ = doctest.testmod(importlib.import_module(module), verbose=False)
    assert failures == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_have_source_and_example(name: str) -> None:
    text = getattr(reference, name).__doc__
    assert "source:" in text
    assert ">>> " in text
    assert f"pgcore.kernels.{name}" in text
