"""A picture in its place on a page: drawn when it is looked at, and again when what it shows moves.

A picture is a function of the stores' versions and of what was chosen; it is drawn only if one of
these is another than at the last time, and only on the page that is open.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any

import panel as pn

from dtbdask.errors import DTBDaskError

logger = logging.getLogger(__name__)


class Figure:
    """One picture.

    Parameters
    ----------
    draw : callable
        Makes the HoloViews object.
    key : callable
        What it depends on, to be compared with that of the last drawing.
    caption : str
        What it shows, in words.
    """

    def __init__(self, draw: Callable[[], Any], key: Callable[[], Hashable], caption: str) -> None:
        self._draw, self._key = draw, key
        self._drawn: Hashable = None
        self._pane = pn.pane.HoloViews(None, linked_axes=False, sizing_mode="fixed")
        self._said = pn.pane.Alert("", alert_type="light", visible=False)
        words = pn.pane.Str(caption, styles={"color": "#57606a", "max-width": "44rem"})
        self.place = pn.Column(self._said, self._pane, words, margin=(0, 0, 24, 0))

    def update(self) -> bool:
        """Draw if anything changed; whether it did."""
        key = self._key()
        if key == self._drawn:
            return False
        self._drawn = key
        try:
            self._pane.object = self._draw()
            self._said.visible = False
        except DTBDaskError as error:
            self._pane.object = None
            self._said.object, self._said.visible = _escaped(str(error)), True
        return True

    def accept(self) -> None:
        """Take the picture for drawn: it made the change itself."""
        self._drawn = self._key()


class Table:
    """Rows of name, value and note, as HTML that is written again when they change.

    Parameters
    ----------
    rows : callable
        Makes them.
    title : str
    """

    def __init__(self, rows: Callable[[], list[tuple[str, Any, str]]], title: str) -> None:
        self._rows, self._title = rows, title
        self._pane = pn.pane.HTML("", sizing_mode="stretch_width")
        self.place = pn.Column(self._pane)

    def update(self) -> bool:
        """Write the rows if they changed; whether they did."""
        text = _html(self._title, self._rows())
        if text == self._pane.object:
            return False
        self._pane.object = text
        return True


def _html(title: str, rows: list[tuple[str, Any, str]]) -> str:
    from dtbdask.viz.page import number

    cells = "".join(
        f"<tr><th scope='row' style='text-align:left;padding:4px 24px 4px 0'>{_escaped(name)}</th>"
        f"<td style='padding:4px 24px 4px 0'>{_escaped(number(value))}</td>"
        f"<td style='color:#57606a'>{_escaped(note)}</td></tr>"
        for name, value, note in rows
    )
    return f"<h2>{_escaped(title)}</h2><table style='font-size:15px'>{cells}</table>"


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
