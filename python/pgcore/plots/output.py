"""A picture and its tables, written together or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pgcore.io.files import replacing
from pgcore.io.tables import Table
from pgcore.plots.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_output", "output_files", "write"]

# None removes the time of day, so that the same numbers make the same file.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}


def check_output(picture: Path) -> None:
    """Check that a picture can be written, before a long computation.

    Raises
    ------
    ValueError
        For a suffix other than .png, .pdf and .svg, or a directory that does not exist.

    Examples
    --------
    >>> check_output(Path("figure.gif"))
    Traceback (most recent call last):
    ValueError: out: expected a file that ends in .png, .pdf or .svg, got figure.gif
    """
    if picture.suffix.lower() not in _METADATA:
        raise ValueError(f"out: expected a file that ends in .png, .pdf or .svg, got {picture}")
    if not picture.parent.is_dir():
        raise ValueError(f"out: expected a file in a directory that exists, got {picture}")
    if picture.is_dir():
        raise ValueError(f"out: expected a file, got the directory {picture}")


def output_files(picture: Path, tables: Sequence[Table]) -> list[Path]:
    """Return the tables' files: beside the picture, with its stem, and their names if there are several.

    >>> [path.name for path in output_files(Path("a.png"), [Table.of("x", (), ()), Table.of("y", (), ())])]
    ['a-x.csv', 'a-y.csv']
    """
    if len(tables) == 1:
        return [picture.with_suffix(".csv")]
    return [picture.with_name(f"{picture.stem}-{table.name}.csv") for table in tables]


def write(picture: Path, draw: Callable[[], Figure], tables: Sequence[Table]) -> list[Path]:
    """Draw, then write the picture and the tables; old files are replaced once all new ones are complete.

    Parameters
    ----------
    picture
        The file; its suffix is the format.
    draw
        Makes the figure.
    tables
        The numbers.

    Returns
    -------
    list of Path
        All files, the picture first.

    Raises
    ------
    ValueError
        As `check_output`.
    OSError
        If a file cannot be written; then no file changes. It names the file.
    """
    check_output(picture)
    suffix = picture.suffix.lower()
    image = io.BytesIO()
    with styled():
        draw().savefig(image, format=suffix[1:], dpi=200, metadata=_METADATA[suffix])
    contents = {picture: image.getvalue()}
    for path, table in zip(output_files(picture, tables), tables, strict=True):
        contents[path] = table.csv().encode()
    with ExitStack() as ready:  # all are written before the first takes its name
        for path, content in contents.items():
            file = ready.enter_context(replacing(path))
            file.write(content)
            file.flush()
    return list(contents)
