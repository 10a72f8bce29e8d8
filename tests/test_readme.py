"""What the README says runs: its Python examples, and the two shell lines are where `.ci/run` finds them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")


def blocks(readme: str, language: str) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("readme", READMES)
def test_python_examples_run(readme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = blocks(readme, "python")
    assert len(examples) == 3
    for example in examples:
        # The same code for fewer steps and episodes.
        quick = example.replace("100_000", "3_000").replace("n_eval_episodes=100", "n_eval_episodes=2")
        exec(compile(quick, readme, "exec"), {})  # the README is ours
    assert (tmp_path / "cartpole.npz").exists()


def test_readmes_agree():
    for language in ("bash", "python"):
        english, chinese = ([re.sub(r"#.*", "", block) for block in blocks(r, language)] for r in READMES)
        assert [re.sub(r"\s+", " ", b) for b in english] == [re.sub(r"\s+", " ", b) for b in chinese]


def test_two_lines():
    train, test = blocks("README.md", "bash")
    assert "pgcore train reinforce --env-id CartPole-v1" in train
    assert train.count("\n") == test.count("\n") == 1
    assert "'.[test]'" in test
    assert "pytest" in test
    assert "'.[test]'" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
