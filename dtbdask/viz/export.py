"""A picture as a file that needs nothing else: PNG and SVG by Matplotlib, HTML by Bokeh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import holoviews as hv
from markupsafe import escape

from dtbdask.errors import InputError
from dtbdask.viz.embed import embed

if TYPE_CHECKING:
    from holoviews.core import Dimensioned
    from matplotlib.figure import Figure

DPI = 150

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{place}
{script}
</body>
</html>
"""


def save(picture: Dimensioned, path: str | Path) -> Path:
    """Write one picture to a file.

    Parameters
    ----------
    picture : HoloViews object
        Any picture of `dtbdask.viz`, or a composition of them; of a film the last frame where it
        cannot be played.
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
            still = picture.last if isinstance(picture, hv.HoloMap) else picture
            figure: Figure = hv.render(still, backend="matplotlib")
            figure.savefig(path, dpi=DPI, bbox_inches="tight", facecolor="white")
        case ".html":
            script, (place,) = embed([picture])
            page = _PAGE.format(title=escape(path.stem), place=place, script=script)
            path.write_text(page, encoding="utf-8")
        case suffix:
            raise InputError(f"path ends in {suffix!r}; use .png, .svg or .html")
    return path
