"""The package as a whole: what it says about itself, and that every example in it is true."""

from __future__ import annotations

import doctest
import importlib
import importlib.metadata
import importlib.util
import json
import pkgutil
from pathlib import Path

import pytest

import pgcore


def python_modules() -> list[str]:
    """Every module of the package that is written in Python, and whose library is installed if it has one."""
    names = ["pgcore"]
    for found in pkgutil.walk_packages(pgcore.__path__, "pgcore."):
        spec = importlib.util.find_spec(found.name)
        assert spec is not None
        if spec.origin is not None and spec.origin.endswith(".py") and not found.name.endswith("__main__"):
            library = found.name.removeprefix("pgcore.benchmarks.with_")
            if library == found.name or importlib.util.find_spec(library) is not None:
                names.append(found.name)
    return sorted(set(names))


MODULES = python_modules()


def test_all_modules_are_found() -> None:
    assert len(MODULES) > 40
    assert {"pgcore.kernels.scan", "pgcore.policies.gaussian", "pgcore.training", "pgcore.cli"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # examples may write files
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["kernels", "reference", "policies", "values", "baselines"])
def test_every_public_name_has_an_example(name: str) -> None:
    """Functions and classes that a user calls show how."""
    package = importlib.import_module(f"pgcore.{name}")
    without_need = {"Baseline", "Policy", "CGStatus", "CGResult", "from_config", "for_spaces"}
    for attribute in set(package.__all__) - without_need:
        assert ">>> " in (getattr(package, attribute).__doc__ or ""), attribute


def test_build_info() -> None:
    info = pgcore.build_info()
    assert set(info) == {
        "version",
        "variant",
        "levels_built",
        "levels_supported",
        "compiler",
        "flags",
        "eigen",
        "eigen_simd",
        "threads",
    }
    assert json.loads(json.dumps(info)) == info
    assert info["version"] == pgcore.__version__ == importlib.metadata.version("pgcore-rl")
    assert info["variant"] in info["levels_built"]
    assert info["variant"] in info["levels_supported"]
    assert info["eigen"].startswith("3.")
    assert info["threads"] == pgcore.get_num_threads() >= 1
    assert "-ffast-math" not in info["flags"]
    assert "-march=native" not in info["flags"]


def test_the_package_is_typed() -> None:
    assert (Path(str(pgcore.__file__)).parent / "py.typed").is_file()


def test_names_are_listed() -> None:
    assert set(pgcore.__all__) <= set(dir(pgcore))
