"""What the lecture map says exists: functions and their arguments, tests, links, and both languages of it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pgcore.training import make_config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lecture-map.md"
TEXT = PAGE.read_text(encoding="utf-8")

FIGURES = ("variance", "lqr-field", "importance")
LABELS = ("pgcore", "test", "EN", "中文")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Entry(NamedTuple):
    number: str
    titles: list[str]
    lines: dict[str, str]
    equations: list[str]


def entries() -> list[Entry]:
    found = []
    for rest in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        part = re.split(r"^## ", rest, flags=re.MULTILINE)[0]
        number, title = part.splitlines()[0].split(" ", 1)
        lines = re.findall(r"^- \*\*(.+?)\*\* (.*)$", part, flags=re.MULTILINE)
        assert [label for label, _ in lines] == list(LABELS), number
        equations = re.findall(r"^\$\$\n(.*?)\n\$\$$", part, flags=re.MULTILINE | re.DOTALL)
        found.append(Entry(number, title.split(" · "), dict(lines), equations))
    return found


ENTRIES = entries()


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


# ---- functions ----


def resolved(name: str) -> Any:
    """What a dotted name stands for: the longest module in it, and attributes or declared fields of that."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not name.startswith(str(error.name)):
                raise
            continue
        for part in parts[length:]:
            if not hasattr(value, part) and part in getattr(value, "__annotations__", {}):
                return None  # a dataclass's field without a default: nothing more to look into
            value = getattr(value, part)
        return value
    raise ModuleNotFoundError(name)


def accepts(function: Any, argument: str, value: Any) -> bool:
    """Whether there is such an argument and, where it is a text, whether it can be one of its values."""
    config = getattr(function, "config_class", None)
    if config is not None and argument in {field.name for field in dataclasses.fields(config)}:
        if isinstance(value, str):
            try:
                make_config(config, {argument: value})
            except ValueError:
                return False
        return True
    parameters = inspect.signature(function.__init__ if config else function).parameters
    if argument not in parameters or not isinstance(value, str):
        return argument in parameters
    module = inspect.getmodule(function)
    assert module is not None
    annotation = eval(parameters[argument].annotation, vars(module))  # ours, and postponed
    if typing.get_origin(annotation) is typing.Literal:
        return value in typing.get_args(annotation)
    return f'"{value}"' in inspect.getsource(function)


def complaints(call: str) -> Iterator[str]:
    """What is wrong with ``pgcore.f`` or ``pgcore.f(argument=value, other=...)``."""
    tree = ast.parse(call, mode="eval").body
    name = ast.unparse(tree.func if isinstance(tree, ast.Call) else tree)
    try:
        function = resolved(name)
    except (ModuleNotFoundError, AttributeError) as error:
        yield f"{name}: {error}"
        return
    for keyword in tree.keywords if isinstance(tree, ast.Call) else ():
        if not accepts(function, str(keyword.arg), getattr(keyword.value, "value", None)):
            yield f"{name}: {ast.unparse(keyword)}"


CALLS = sorted({span for span in code_spans(TEXT) if span.startswith("pgcore.")})


def test_every_function_and_argument_exists() -> None:
    assert len(CALLS) > 50
    assert [complaint for call in CALLS for complaint in complaints(call)] == []


def test_no_function_is_named_outside_of_code() -> None:
    bare = re.sub(r"`[^`\n]+`", "", TEXT)
    assert re.findall(r"\bpgcore\.\w+", bare) == []


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("pgcore.kernels.gae", False),
        ("pgcore.kernels.gea", True),
        ("pgcore.kernel.gae", True),
        ("pgcore.estimators.GradientEstimate.variance_trace", False),
        ("pgcore.estimators.GradientEstimate.variance", True),
        ('pgcore.REINFORCE(optimizer="sgd", max_grad_norm=...)', False),
        ('pgcore.REINFORCE(optimizer="sdg")', True),
        ("pgcore.REINFORCE(clip_range=...)", True),
        ('pgcore.estimators.policy_gradient(form="gpomdp")', False),
        ('pgcore.estimators.policy_gradient(form="gpodmp")', True),
        ('pgcore.estimators.off_policy_gradient(form="past_only")', False),
        ('pgcore.estimators.off_policy_gradient(form="past")', True),
        ("pgcore.estimators.policy_gradient(forms=...)", True),
        ('pgcore.policies.GaussianPolicy(covariance="full")', False),
        ('pgcore.policies.GaussianPolicy(covariance="fully")', True),
    ],
)
def test_wrong_names_are_seen(call: str, wrong: bool) -> None:
    assert bool(list(complaints(call))) == wrong


# ---- tests ----


def named_tests(text: str) -> list[str]:
    return [span for span in code_spans(text) if "::" in span]


def exists(test: str) -> bool:
    path, name = test.split("::")
    file = ROOT / path
    if not (path.startswith("tests/") and file.is_file()):
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return name in {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_every_test_exists() -> None:
    mentioned = set(named_tests(TEXT))
    assert len(mentioned) > 50
    assert sorted(test for test in mentioned if not exists(test)) == []
    assert len(re.findall(r"tests/[\w/]+\.py::", TEXT)) == len(named_tests(TEXT))  # none outside of code


def test_wrong_tests_are_seen() -> None:
    assert exists("tests/test_lecture_map.py::test_wrong_tests_are_seen")
    assert not exists("tests/test_lecture_map.py::test_wrong_tests_are_blind")
    assert not exists("tests/test_lecture_maps.py::test_wrong_tests_are_seen")


# ---- entries ----


def test_numbers_are_consecutive() -> None:
    numbers = [entry.number for entry in ENTRIES]
    assert {re.sub(r"\d+$", "", number) for number in numbers} == {"L1.", "L3.", "L4.", "L5.", "D"}
    places = [re.fullmatch(r"(L\d\.|D)(\d+)", number) for number in numbers]
    for before, after in pairwise(place.groups() for place in places if place):
        assert int(after[1]) == (int(before[1]) + 1 if after[0] == before[0] else 1), after
    assert set(re.findall(r"\b(?:L\d\.\d+|D\d+)\b", TEXT)) == set(numbers)  # also those that are referred to


def test_both_languages_have_every_entry() -> None:
    for entry in ENTRIES:
        english, chinese = entry.titles
        for text, language in ((english, "EN"), (entry.lines["EN"], "EN")):
            assert not CHINESE.search(text), (entry.number, language)
        assert CHINESE.search(entry.lines["中文"]), entry.number
        assert CHINESE.search(chinese) or chinese.isupper(), entry.number
        # Formulas, names and numbers that one language refers to, the other does too.
        references = [set(code_spans(entry.lines[language])) for language in ("EN", "中文")]
        assert references[0] == references[1], entry.number


def test_every_entry_says_what_computes_and_what_proves_it() -> None:
    for entry in ENTRIES:
        functions = [span for span in code_spans(entry.lines["pgcore"]) if span.startswith("pgcore.")]
        assert functions or entry.lines["pgcore"].startswith("—"), entry.number
        assert named_tests(entry.lines["test"]) or entry.lines["test"].startswith("—"), entry.number
        assert len(entry.equations) == (entry.number[0] == "L"), entry.number
        for equation in entry.equations:
            assert "\n" not in equation, entry.number
            assert equation.count("{") == equation.count("}"), entry.number
            # What Markdown would take out of a formula before it is set
            assert not re.search(r"\\[^a-zA-Z]|[*<>|$]|\W_", equation), entry.number
    assert sum(line.startswith("$$") for line in TEXT.splitlines()) == 2 * TEXT.count("\n### L")


# ---- links and figures ----


def anchors(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert len(links) >= 5
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors(TEXT), link
        else:
            assert (PAGE.parent / link).is_file(), link
    for path in re.findall(r"`((?:tests|docs|python)/[\w/.-]+\.(?:py|md))`", TEXT):
        assert (ROOT / path).is_file(), path


def test_every_figure_has_its_command() -> None:
    assert re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT) == [f"figures/{name}.png" for name in FIGURES]
    commands = [span for span in code_spans(TEXT) if span.startswith("pgcore lab") and " -o " in span]
    assert commands == [f"pgcore lab {name} -o docs/figures/{name}.png" for name in FIGURES]
    for name in FIGURES:
        assert (ROOT / "docs" / "figures" / f"{name}.png").is_file()
