"""Every Python block of docs/kernels.md runs, in order; those for another library where it is installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "kernels.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def library(block: str) -> str | None:
    needed = re.match(r"# needs: (\w+)", block)
    return needed[1] if needed else None


def run(blocks: list[str]) -> None:
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours


def test_blocks_for_numpy() -> None:
    blocks = [block for block in BLOCKS if library(block) is None]
    assert len(blocks) >= 7
    run(blocks)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_blocks_for_another_library(name: str) -> None:
    blocks = [block for block in BLOCKS if library(block) in (None, name)]
    assert sum(library(block) == name for block in blocks) >= 3
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    run(blocks)
