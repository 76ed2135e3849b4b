"""The view served to browsers: on this machine alone, unless visitors must say who they are."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import panel as pn

from dtbdask.errors import InputError
from dtbdask.viz.app.choice import Choice
from dtbdask.viz.app.figure import Figure
from dtbdask.viz.app.pages import Pages
from dtbdask.viz.app.study import REFRESH_S, Study

QUIET_MS = 300
"""Time without a change of the visible range before other pictures follow it."""
SHARE = 0.01
"""Share of one core that looking at a run which is going may take, on average: its threads meet, so
that all of them wait for the one whose core is taken."""
MOST_SAVED_S = 0.2
"""Time of a core that is saved up for pictures, at most."""
TITLE = "dtbdask"


class View:
    """The pages of one visitor.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.choice = Choice()
        spans = [store.span_s for store in study.stores] or [(0.0, 1.0)]
        span = (min(s[0] for s in spans), max(s[1] for s in spans))
        self.choice.param.time_s.bounds = span
        self.choice.time_s = span
        pages = Pages(study, self.choice)
        self._brain = pages.brain
        if self._brain is not None:
            self.choice.param.shown.objects = self._brain.scenes.names or [""]
            self.choice.shown = self.choice.param.shown.objects[0]
        self._pages = pages.all()
        self._waiting: Any = None
        self._saved, self._ticked = 0.0, time.monotonic()
        self.tabs = pn.Tabs(
            *(
                (name, pn.Column(*self._head(name), pn.FlexBox(*(part.place for part in parts))))
                for name, parts in self._pages.items()
            ),
            dynamic=True,
        )
        self.tabs.param.watch(lambda _: self.update(), "active")
        self.choice.param.watch(self._chosen, ["regions", "time_s", "shown", "at_mm"])
        self.choice.param.watch(lambda _: self.update(), "moment")
        self.update()

    def __panel__(self) -> pn.viewable.Viewable:
        """All of it."""
        names = {name: i for i, name in enumerate(self.study.labels)}
        regions = pn.widgets.MultiChoice(
            label="Regions (none: all)", options=names, value=[], max_items=24, width=420
        )
        regions.link(self.choice, value="regions", bidirectional=True)
        row: list[Any] = [regions]
        if self.study.stores:
            first, last = self.choice.param.time_s.bounds
            time = pn.widgets.EditableRangeSlider(
                label="Time (s)", start=first, end=last, value=self.choice.time_s,
                step=max((last - first) / 1000, 1e-6), width=420,
            )  # fmt: skip
            time.param.watch(lambda event: self.choice.see(event.new), "value_throttled")
            self.choice.param.watch(lambda event: setattr(time, "value", event.new), "time_s")
            row.append(time)
        return pn.Column(pn.Row(*row), self.tabs, sizing_mode="stretch_width")

    def update(self) -> None:
        """Draw what changed on the page that is open."""
        for part in self._pages[self.open]:
            part.update()

    @property
    def open(self) -> str:
        """Name of the page that is open."""
        return list(self._pages)[self.tabs.active]

    def tick(self) -> None:
        """Look whether the stores have grown; what is dear waits until enough time was saved up."""
        now = time.monotonic()
        start = time.process_time()
        self._saved = min(MOST_SAVED_S, self._saved + SHARE * (now - self._ticked))
        self._ticked = now
        self.study.look()
        parts = self._pages[self.open]
        for part in parts:
            if part.cheap:
                part.update()
        if self._saved > 0:
            self.study.refresh()
        for part in parts:
            if self._saved > time.process_time() - start:
                part.update()
        self._saved -= time.process_time() - start

    def _head(self, name: str) -> list[Any]:
        return [self._brain.head()] if name == "Brain" and self._brain is not None else []

    def _chosen(self, *_: Any) -> None:
        """Draw when the visitor has let go: a drag is many small changes."""
        seen, self.choice.seen = self.choice.seen, None
        if isinstance(seen, Figure):
            seen.accept()
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            self.update()
            return
        if self._waiting is not None:
            document.remove_timeout_callback(self._waiting)
        self._waiting = document.add_timeout_callback(self._settled, QUIET_MS)

    def _settled(self) -> None:
        self._waiting = None
        self.update()


def page(study: Study) -> Any:
    """One visitor's page: makes what `serve` shows."""
    view = View(study)
    if study.live:
        pn.state.add_periodic_callback(view.tick, int(1000 * REFRESH_S))
    return view


def serve(
    study: Study, *, address: str = "127.0.0.1", port: int = 5006, password: str | None = None,
    oauth: Mapping[str, str] | None = None, show: bool = False, threaded: bool = False,
) -> Any:  # fmt: skip
    """Serve the view of a study until it is interrupted.

    Parameters
    ----------
    study : Study
    address : str
        Of the interface; one that other machines reach needs `password` or `oauth`.
    port : int
        0 for any that is free.
    password : str, optional
        Asked of every visitor, with any name.
    oauth : mapping, optional
        `oauth_provider`, `oauth_key`, `oauth_secret` and further options of `panel.serve`.
    show : bool
        Open a browser.
    threaded : bool
        Serve in a thread and return.

    Returns
    -------
    object
        What `panel.serve` returns.

    Raises
    ------
    InputError
        The address can be reached from elsewhere and nobody is asked who they are.
    """
    check_address(address, guarded=bool(password or oauth))
    options: dict[str, Any] = dict(oauth or {})
    if password:
        options["basic_auth"] = password
    if options:
        options["login_template"] = str(Path(__file__).with_name("login.html"))
        options["cookie_secret"] = secrets.token_hex(32)
    return pn.serve(
        {"/": lambda: page(study)}, address=address, port=port, show=show, title=TITLE,
        threaded=threaded, verbose=False, **options,
    )  # fmt: skip


def free_port(address: str) -> int:
    """Port that nobody listens on now.

    Parameters
    ----------
    address : str
    """
    with socket.create_server((address, 0)) as found:
        return int(found.getsockname()[1])


def check_address(address: str, *, guarded: bool) -> None:
    """Refuse an address that others can reach, unless they are asked who they are.

    Parameters
    ----------
    address : str
    guarded : bool
        Whether a password or OAuth is asked for.

    Raises
    ------
    InputError
        It is not one of this machine alone, and nothing guards it; or it is no address.
    """
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise InputError(f"address is {address!r}; give an IP address or localhost") from error
    if not loopback and not guarded:
        raise InputError(
            f"address is {address}, which other machines can reach; give a password or OAuth "
            "options, or 127.0.0.1"
        )
