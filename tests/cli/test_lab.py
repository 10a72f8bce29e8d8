"""``pgcore lab``."""

from __future__ import annotations

import csv
import sys
from functools import partial

import pytest

from pgcore import lab, plots
from pgcore.cli import main
from pgcore.plots.style import new_figure
from support.commands import failure

QUICK = {
    "variance": ["--horizon", "3", "--episodes", "80"],
    "lqr-field": ["--horizon", "3", "--episodes", "3"],
    "importance": ["--horizon", "4", "--episodes", "40", "--target", "-0.4", "0.35"],
}
TABLES = {
    "variance": ["estimates", "folklore"],
    "lqr-field": ["field", "paths", "steps", "noise"],
    "importance": ["weights", "horizons", "bias"],
}


def small_figure(study):
    figure = new_figure("title", "subtitle", 3, 2)
    figure.subplots().plot([0, 1])
    return figure


@pytest.fixture
def quick(monkeypatch):
    """Fewer shifts than anybody would look at."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(lab, "variance_study", partial(lab.variance_study, shifts=(0.0, 1.0)))


@pytest.mark.parametrize("figure", list(QUICK))
def test_a_picture_and_its_numbers(figure, tmp_path, capsys, quick):
    picture = tmp_path / "talk.png"
    assert main(["lab", figure, "-o", str(picture), *QUICK[figure]]) == 0
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(files) == sorted(["talk.png", *(f"talk-{name}.csv" for name in TABLES[figure])])
    assert files["talk.png"].startswith(b"\x89PNG")
    for name in TABLES[figure]:
        assert len(list(csv.DictReader(files[f"talk-{name}.csv"].decode().splitlines()))) > 5
    said = capsys.readouterr().out.splitlines()
    written = [line for line in said if line.startswith("wrote ")]
    assert written[0] == f"wrote {picture}"
    findings = said[: -len(written)]
    assert findings[-1].endswith(".")
    assert all(len(line) <= 80 for line in findings)


@pytest.mark.parametrize("figure", list(QUICK))
def test_a_seed_decides_every_byte(figure, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(plots, f"draw_{figure.replace('-', '_')}", small_figure)

    def tables(*options):
        assert main(["lab", figure, "--out", str(tmp_path / "a.svg"), *QUICK[figure], *options]) == 0
        return [(tmp_path / f"a-{name}.csv").read_bytes() for name in TABLES[figure]]

    assert tables() == tables("--seed", "0") != tables("--seed", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["histogram"], "FIGURE: expected one of variance, lqr-field, importance, got 'histogram'"),
        (["variance", "-o", "a.png", "--episodes", "79"], "--episodes: expected an integer >= 80, got 79"),
        (
            ["variance", "-o", "a.png", "--sigma", "0"],
            "policy: expected finite k and sigma > 0, got k = -0.8, sigma = 0.0",
        ),
        (["lqr-field", "-o", "a.png", "--horizon", "1"], "--horizon: expected an integer >= 2, got 1"),
        (
            ["importance", "-o", "a.png", "--target", "-0.3", "0.4"],
            "target: expected another policy than the behaviour policy (-0.3, 0.4), got it",
        ),
    ],
)
def test_bad_arguments(capsys, arguments, message, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert failure(capsys, "lab", *arguments).startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["variance"], ["variance", "-o", "a.png", "--episode", "100"]])
def test_missing_and_unknown_options(capsys, arguments):
    assert "(see pgcore lab variance --help)" in failure(capsys, "lab", *arguments)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a.gif", "out: expected a file that ends in .png, .pdf or .svg, got a.gif"),
        ("missing/a.png", "out: expected a file in a directory that exists, got "),
    ],
)
def test_bad_outputs_are_refused_before_anything_is_computed(capsys, out, message, monkeypatch):
    pytest.importorskip("matplotlib")

    def compute(**_):
        raise AssertionError("computed")

    for name in ("variance_study", "lqr_field_study", "importance_study"):
        monkeypatch.setattr(lab, name, compute)
    for figure in QUICK:
        assert failure(capsys, "lab", figure, "-o", out).startswith(message)


def test_without_matplotlib_it_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(lab, "variance_study", None)
    message = failure(capsys, "lab", "variance", "-o", str(tmp_path / "a.png"))
    assert message.startswith("matplotlib: expected it to draw with, got none (")
    assert message.endswith("pip install 'pgcore-rl[plots]'")


def test_help(capsys):
    assert main(["lab", "--help"]) == main(["lab"]) == 0
    text = capsys.readouterr().out
    assert all(figure in text for figure in QUICK)
    for figure in QUICK:
        with pytest.raises(SystemExit) as left:
            main(["lab", figure, "--help"])
        assert left.value.code == 0
        text = capsys.readouterr().out
        assert all(option in text for option in ("-o", "--out", "--seed", "--episodes", "--horizon"))
    assert main(["--help"]) == 0
    assert "lab FIGURE" in capsys.readouterr().out
