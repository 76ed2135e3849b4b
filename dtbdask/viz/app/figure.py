"""A picture in its place on a page: drawn when it is looked at, and again when what it shows moves.

A picture is a function of the stores' versions and of what was chosen; it is drawn only if one of
these is another than at the last time, and only on the page that is open.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import holoviews as hv
import panel as pn
from holoviews import streams

from dtbdask.errors import DTBDaskError

_Counter = streams.Stream.define("_Counter", version=0)


class Figure:
    """One picture, made anew when it changes.

    Parameters
    ----------
    draw : callable
        Makes the HoloViews object.
    key : callable
        What it depends on, to be compared with that of the last drawing.
    caption : str
        What it shows, in words.
    steady : callable, optional
        While what it returns stays, the new picture is of the same make, and its data alone are
        sent: no flicker, and what the visitor turned stays turned.
    wire : callable, optional
        Adds streams to what is put on the page, that is to a HoloViews object.
    cheap : bool
        It costs so little that it may follow a run at every look.
    """

    def __init__(
        self, draw: Callable[[], Any], key: Callable[[], Hashable], caption: str, *,
        steady: Callable[[], Hashable] | None = None, wire: Callable[[Any], None] | None = None,
        cheap: bool = False,
    ) -> None:  # fmt: skip
        self._draw, self._key, self._steady, self._wire = draw, key, steady, wire
        self.cheap = cheap
        self.now: Any = None
        """The picture as it was last drawn."""
        self._drawn: Hashable = None
        self._made: Hashable = None
        self._counter = _Counter()
        self._pane = pn.pane.HoloViews(None, linked_axes=False)
        self._said = pn.pane.Alert("", alert_type="light", visible=False)
        self.place = pn.Column(self._said, self._pane, _words(caption), margin=(0, 24, 24, 0))

    def update(self) -> bool:
        """Draw if anything changed; whether it did."""
        key = self._key()
        if key == self._drawn:
            return False
        self._drawn = key
        try:
            self.now = self._draw()
        except DTBDaskError as error:
            self.now = self._pane.object = None
            self._said.object, self._said.visible = _escaped(str(error)), True
            return True
        self._said.visible = False
        made = (self._steady(),) if self._steady else None
        if made is not None and made == self._made and self._pane.object is not None:
            self._counter.event(version=self._counter.version + 1)
            return True
        self._made = made
        shown = self.now if made is None else self._following()
        if self._wire:
            self._wire(shown)
        self._pane.object = shown
        return True

    def accept(self) -> None:
        """Take the picture for drawn: it made the change itself."""
        self._drawn = self._key()

    def _following(self) -> Any:
        """What shows the last picture, whenever there is another."""
        self._counter = _Counter()
        if not isinstance(self.now, hv.Layout):
            return hv.DynamicMap(lambda version: self.now, streams=[self._counter])
        parts = [
            hv.DynamicMap(lambda version, i=i: list(self.now)[i], streams=[self._counter])
            for i in range(len(self.now))
        ]
        return hv.Layout(parts).cols(len(parts))


class Table:
    """Rows of name, value and note, as HTML that is written again when they change.

    Parameters
    ----------
    rows : callable
        Makes them.
    title : str
    """

    cheap = True

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


def _words(caption: str) -> pn.pane.HTML:
    style = "color:#57606a;font-size:14px;max-width:44rem;line-height:1.5"
    return pn.pane.HTML(f"<p style='{style}'>{_escaped(caption)}</p>")


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
