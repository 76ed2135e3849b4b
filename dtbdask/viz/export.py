"""A picture as a file that needs nothing else: PNG and SVG by Matplotlib, HTML by Bokeh."""

from __future__ import annotations

from pathlib import Path

import holoviews as hv
from bokeh.embed import file_html
from bokeh.models import Toolbar
from bokeh.models.ui import UIElement
from bokeh.resources import INLINE
from matplotlib.figure import Figure

from dtbdask.errors import InputError

DPI = 150


def save(picture: hv.Dimensioned, path: str | Path) -> Path:
    """Write one picture to a file.

    Parameters
    ----------
    picture : HoloViews object
        Any picture of `dtbdask.viz`, or a composition of them.
    path : path
        Ends in .png or .svg (Matplotlib), or in .html (Bokeh, interactive, loads nothing from the
        network).

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    InputError
        The name ends otherwise.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".png" | ".svg":
            figure: Figure = hv.render(picture, backend="matplotlib")
            figure.savefig(path, dpi=DPI, bbox_inches="tight", facecolor="white")
        case ".html":
            page = file_html(bokeh_model(picture), INLINE, title=path.stem)
            path.write_text(page, encoding="utf-8")
        case suffix:
            raise InputError(f"path ends in {suffix!r}; use .png, .svg or .html")
    return path


def bokeh_model(picture: hv.Dimensioned) -> UIElement:
    """The Bokeh figure of a picture, without the logo that links to a web site."""
    model: UIElement = hv.render(picture, backend="bokeh")
    for toolbar in model.select({"type": Toolbar}):
        toolbar.logo = None
    return model
