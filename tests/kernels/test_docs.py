"""Every public docstring of the kernels is complete, and its examples are right."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest

from pgcore import kernels

MODULES = [f"pgcore.kernels.{module.name}" for module in pkgutil.iter_modules(kernels.__path__)]
METHODS = ["init", "forward", "vjp", "jvp", "per_sample_vjp"]
DOCUMENTED: dict[str, Any] = {
    name: getattr(kernels, name) for name in kernels.__all__ if name not in ("CGResult", "CGStatus")
}
DOCUMENTED |= {f"MLP.{name}": getattr(kernels.MLP, name) for name in METHODS}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    with np.printoptions(legacy=False):
        failures, _ = doctest.testmod(importlib.import_module(module), verbose=False)
    assert failures == 0


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_are_complete(name: str) -> None:
    """What, shapes, errors, source, example; methods of MLP have their source in the class."""
    text = DOCUMENTED[name].__doc__
    sections = ["Parameters", "Raises", "Examples", ">>> "]
    sections += [] if name.startswith("MLP.") and name != "MLP.init" else ["References"]
    sections += [] if name in ("MLP", "adam_step") else ["Returns"]
    for section in sections:
        assert section in text, section
    assert text.splitlines()[0].endswith(".")
