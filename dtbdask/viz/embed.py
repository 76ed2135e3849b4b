"""Figures inside HTML that loads nothing: BokehJS, data and script, all in the page.

Only BokehJS itself is put in. `Resources.render` is not used, for it also links scripts that other
libraries registered, by address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
from bokeh.embed import components
from bokeh.models import Toolbar
from bokeh.resources import Resources
from markupsafe import Markup

from dtbdask.viz.film import played

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.model import Model
    from holoviews.core import Dimensioned


def embed(pictures: Sequence[Dimensioned]) -> tuple[Markup, list[Markup]]:
    """Turn pictures into the parts of an HTML page.

    Parameters
    ----------
    pictures : sequence of HoloViews objects
        In the order of their places.

    Returns
    -------
    script : markupsafe.Markup
        Script elements with BokehJS and the data, for the end of the page; nothing for no picture.
    places : list of markupsafe.Markup
        One element for each picture, where it will appear.
    """
    if not pictures:
        return Markup(), []
    models = [_model(picture) for picture in pictures]
    for model in models:
        for toolbar in model.select({"type": Toolbar}):
            toolbar.update(logo=None)  # it links to a web site
    data, places = components(models)
    library = Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw
    scripts = "\n".join([*(f"<script>\n{text}\n</script>" for text in library), data])
    # Bokeh escapes what it writes; it must not be escaped twice.
    return Markup(scripts), [Markup(place) for place in places]  # noqa: S704


def _model(picture: Dimensioned) -> Model:
    if isinstance(picture, hv.HoloMap) and not isinstance(picture, hv.DynamicMap):
        return played(picture)
    model: Model = hv.render(picture, backend="bokeh")
    return model
