"""What a package index and an installer read: names, versions of Python, extras, addresses."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# `pgcore` on the package index is another project's: nothing may tell a user to install it.
ANOTHER_PROJECT = re.compile(r"pip install\b[^\n`]*[\s'\"]pgcore\b(?!-rl)")


def test_the_distribution_has_a_name_of_its_own_and_the_package_is_called_pgcore():
    assert PROJECT["name"] == "pgcore-rl"
    assert importlib.metadata.metadata("pgcore-rl")["Name"] == "pgcore-rl"
    assert PROJECT["scripts"] == {"pgcore": "pgcore.cli:main"}


@pytest.mark.parametrize("folder", ["python", "docs", "examples", "bench", "."])
def test_no_text_tells_to_install_another_project(folder):
    files = (ROOT / folder).glob("*" if folder == "." else "**/*")
    texts = [f for f in files if f.suffix in {".py", ".md", ".toml", ".yml"}]
    assert texts
    for file in texts:
        found = ANOTHER_PROJECT.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.relative_to(ROOT)}: {found and found[0]}"


def test_the_pattern_finds_what_it_must():
    for wrong in ("pip install pgcore", "pip install 'pgcore[plots]'", 'pip install -q "pgcore[all]"'):
        assert ANOTHER_PROJECT.search(wrong), wrong
    for right in ("pip install 'pgcore-rl[plots]'", "pip install '.[test]'"):
        assert not ANOTHER_PROJECT.search(right), right


def test_extras_refer_to_this_distribution():
    for requirements in PROJECT["optional-dependencies"].values():
        for requirement in requirements:
            assert not re.match(r"pgcore\b(?!-rl)", requirement), requirement


def test_pythons():
    assert PROJECT["requires-python"] == ">=3.11"
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert named[0] == "3.11"
    assert 'target-version = "py311"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_envpool_is_asked_for_on_every_platform():
    """It has wheels for Linux, macOS and Windows."""
    extras = PROJECT["optional-dependencies"]
    for name in ("envpool", "peers"):
        assert [r for r in extras[name] if r.startswith("envpool") and ";" not in r], name


def test_addresses_and_the_files_that_they_name():
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= set(PROJECT["urls"])
    home = PROJECT["urls"]["Homepage"]
    assert all(url.startswith(home) for url in PROJECT["urls"].values())
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'repository-code: "{home}"' in citation
    assert "cff-version: 1.2.0" in citation
    assert "load_batch" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
