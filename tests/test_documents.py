"""Rules about the documents: links between them lead to files, and the paths that they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# What the table of words in CHANGELOG.md replaced; it names the old words itself.
RETIRED = re.compile(
    r"\b(tail_values|tail_obs|num_choices|num_episodes|floors?|hands? over|handed over|PolicyFit|"
    r"[KES]\d{1,2})\b"
)


def anchors(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path, text: str) -> Iterator[str]:
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield f"{document.relative_to(ROOT)}: {link}"


def missing_paths(document: Path, text: str) -> Iterator[str]:
    """Paths in code spans that begin with a folder of the repository, and are no pattern."""
    folders = "bench|cmake|cpp|docs|examples|python|tests"
    for span in re.findall(rf"`((?:{folders})/[\w/.-]+)`", text):
        if not (ROOT / span).exists():
            yield f"{document.relative_to(ROOT)}: {span}"


def test_links_lead_somewhere() -> None:
    texts = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    assert len(texts) > 15
    assert [link for document, text in texts.items() for link in broken_links(document, text)] == []


def test_paths_exist() -> None:
    texts = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    assert [path for document, text in texts.items() for path in missing_paths(document, text)] == []


def test_retired_words_are_gone() -> None:
    found = [
        f"{document.relative_to(ROOT)}: {word}"
        for document in DOCUMENTS
        if document.name != "CHANGELOG.md"
        for word in RETIRED.findall(document.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_is_wrong_is_seen() -> None:
    page = ROOT / "docs" / "notation.md"
    assert list(broken_links(page, "[a](nothing.md) [b](notation.md#nowhere) [c](notation.md#notation)")) == [
        "docs/notation.md: nothing.md",
        "docs/notation.md: notation.md#nowhere",
    ]
    assert list(missing_paths(page, "`docs/notation.md` `docs/none.md` `python/pgcore/`")) == [
        "docs/notation.md: docs/none.md"
    ]


def test_extensions_are_quoted_from_their_tests() -> None:
    """A section of the page names a test file, and its code stands there word for word."""
    sections = re.split(r"^## ", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    wrong = []
    for section in sections:
        title = section.splitlines()[0]
        files = re.findall(r"`(tests/[\w/]+\.py)`", section)
        blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
        code = "".join((ROOT / file).read_text(encoding="utf-8") for file in files if (ROOT / file).is_file())
        if not files or not blocks or any(block not in code for block in blocks):
            wrong.append(title)
    assert sections
    assert wrong == []
