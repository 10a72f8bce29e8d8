"""Tables, files, and that the pictures can be drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pgcore import lab, plots
from pgcore.io.tables import Table
from pgcore.plots.style import new_figure

MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def test_a_table_reads_back():
    table = Table.of("t", ("name", "x"), [("a, b", np.float64(1 / 3)), ("c", np.int64(2))])
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert rows == [{"name": "a, b", "x": "0.3333333333"}, {"name": "c", "x": "2"}]
    assert table.where(name="c").column("x").tolist() == [2]
    with pytest.raises(ValueError, match=r"^rows: expected 2 cells each, got \(1,\)$"):
        Table.of("t", ("a", "b"), [(1,)])


def test_where_the_tables_go():
    one, two = Table.of("one", ("a",), []), Table.of("two", ("a",), [])
    assert plots.output_files(Path("d/x.y.png"), [one]) == [Path("d/x.y.csv")]
    assert plots.output_files(Path("d/x.png"), [one, two]) == [Path("d/x-one.csv"), Path("d/x-two.csv")]


def small_figure():
    figure = new_figure("title", "subtitle", 3, 2)
    figure.subplots().plot([0, 1], label="line")
    return figure


@pytest.fixture(scope="module")
def studies():
    return {
        "variance": lab.variance_study(horizon=3, episodes=80, shifts=(0.0, 1.0)),
        "lqr_field": lab.lqr_field_study(horizon=3, episodes=3),
        "importance": lab.importance_study(horizon=4, episodes=40),
    }


@pytest.mark.parametrize("name", ["variance", "lqr_field", "importance"])
def test_pictures_have_titles_labels_and_legends(studies, name):
    pytest.importorskip("matplotlib")
    figure = getattr(plots, f"draw_{name}")(studies[name])
    panels = figure.axes
    assert len(panels) == {"variance": 3, "lqr_field": 6, "importance": 4}[name]
    assert all(panel.get_xlabel() for panel in panels)
    assert sum(panel.get_ylabel() != "" for panel in panels) >= len(panels) - 1  # one shares its neighbour's
    letters = sorted(panel.get_title(loc="left")[:3] for panel in panels)
    assert letters == [f"({letter})" for letter in "abcdef"[: len(panels)]]
    assert figure.get_suptitle()


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PNG"])
def test_pictures_and_tables_are_written(studies, tmp_path, suffix):
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    picture = tmp_path / f"figure{suffix}"
    study = studies["importance"]
    for _ in range(2):  # over what is there
        files = plots.write(picture, small_figure, study.tables)
        assert files[0] == picture
        assert sorted(files) == sorted(tmp_path.iterdir())
    assert picture.read_bytes().startswith(MAGIC[suffix.lower()])
    assert (tmp_path / "figure-bias.csv").read_text() == study.bias.csv()
    assert dict(matplotlib.rcParams) == before


def test_the_same_numbers_make_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for suffix in (".svg", ".pdf"):
        pictures = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for picture in pictures:
            plots.write(picture, small_figure, ())
        assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_nothing_changes_when_drawing_fails(tmp_path):
    pytest.importorskip("matplotlib")
    picture, table = tmp_path / "figure.png", tmp_path / "figure.csv"
    picture.write_text("old picture")
    table.write_text("old table")

    def broken():
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        plots.write(picture, broken, [Table.of("t", ("a",), [])])
    assert picture.read_text() == "old picture"
    assert table.read_text() == "old table"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("figure.gif", "out: expected a file that ends in .png, .pdf or .svg, got {}"),
        ("figure", "out: expected a file that ends in .png, .pdf or .svg, got {}"),
        ("missing/figure.png", "out: expected a file in a directory that exists, got {}"),
        ("directory.png", "out: expected a file, got the directory {}"),
    ],
)
def test_bad_outputs(tmp_path, path, message):
    (tmp_path / "directory.png").mkdir()
    with pytest.raises(ValueError) as caught:
        plots.check_output(tmp_path / path)
    assert str(caught.value) == message.format(tmp_path / path)
