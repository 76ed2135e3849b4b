"""A report as one HTML file: prose, tables and interactive figures, and nothing from the network.

The page carries BokehJS, its figures' data and its own style; its content security policy forbids
the browser to fetch anything else. All text is escaped. The page follows the reader's choice of
light or dark; figures keep their white ground, on which their colours were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from holoviews.core import Dimensioned
from jinja2 import Environment, Template

from dtbdask.errors import InputError
from dtbdask.viz.embed import embed

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str, str | int | float, str]
"""Name, value and note of one line of a table."""

Figure = tuple[Dimensioned, str]
"""A picture and the caption that says in words what it shows."""


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Parameters
    ----------
    title : str
        Heading, also in the navigation.
    prose : sequence of str
        Paragraphs.
    rows : sequence of tuple
        Lines of a table: name, value, note.
    figures : sequence of tuple
        HoloViews objects, each with the caption that says in words what it shows; screen readers
        get the caption for the figure.
    """

    title: str
    prose: Sequence[str] = ()
    rows: Sequence[Row] = ()
    figures: Sequence[Figure] = ()


def write_report(
    path: str | Path, *, title: str, sections: Sequence[Section], footer: str = ""
) -> Path:
    """Write a report as one self-contained HTML file.

    Parameters
    ----------
    path : path
        Ends in .html; a file there is replaced.
    title : str
        Of the page.
    sections : sequence of Section
        In reading order.
    footer : str
        Last line, such as who made it from what.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    InputError
        The name does not end in .html, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".html" or not path.absolute().parent.is_dir():
        raise InputError(
            f"path is {str(path)!r}; give a name ending in .html in an existing folder"
        )
    script, places = embed([picture for section in sections for picture, _ in section.figures])
    remaining = iter(places)
    rendered = [
        {
            "title": section.title,
            "prose": section.prose,
            "rows": section.rows,
            "pictures": [(next(remaining), caption) for _, caption in section.figures],
        }
        for section in sections
    ]
    page = _template().render(title=title, sections=rendered, footer=footer, script=script)
    path.write_text(page, encoding="utf-8")
    return path


def _template() -> Template:
    environment = Environment(autoescape=True)
    environment.filters["number"] = number
    text = files("dtbdask.viz").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def number(value: str | float) -> str:
    """Write a value as a reader wants it: whole numbers in groups, others in 4 digits."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, (int, np.integer)) or float(value).is_integer()
    return f"{int(value):,}" if whole else f"{value:.4g}"
