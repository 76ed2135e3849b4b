"""What all pages share: the stores, the visitor's choice, the part of a store that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import holoviews as hv
from holoviews.streams import RangeX

from dtbdask.errors import InputError
from dtbdask.viz.app.figure import Figure, Table
from dtbdask.viz.window import within

if TYPE_CHECKING:
    from dtbdask.viz.app.choice import Choice
    from dtbdask.viz.app.study import Fit, Run, Study

PANELS = 6
"""Most regions of a page of courses."""
FEWEST_FRAMES = 3
"""Frames that a correlation needs."""
LOOKS = 10_000
"""Most moments of a curve; of more, every second, third ... is drawn."""
MOST = 1_000_000
"""Most numbers that a view takes from where they are."""
STILL = 1e-3
"""Share of a range by which it moves where nobody moved it."""

Part = Figure | Table


class Desk:
    """Stores and choice of one session.

    Parameters
    ----------
    study : Study
    choice : Choice
    """

    def __init__(self, study: Study, choice: Choice) -> None:
        self.study, self.choice = study, choice

    def visible(self, run: Run) -> tuple[float, float]:
        """Chosen time, as far as a run is there."""
        low, high = self.choice.time_s
        return low, max(min(high, run.there_s), low + 1e-9)

    def part(self, run: Run) -> Any:
        """What a run has in the chosen time; an error where that is nothing."""
        return within(run.data, self.visible(run))

    def frames(self, fit: Fit) -> Any:
        """Frames of a fit in the chosen time."""
        return within(fit.data, self.choice.time_s)

    def panels(self) -> list[int] | None:
        """Regions that get a panel of their own, if any was chosen."""
        return list(self.choice.regions[:PANELS]) or None

    def key(
        self, *stores: Run | Fit, regions: bool = True, time: bool = True
    ) -> Callable[[], Hashable]:
        """What a picture of some stores depends on."""

        def found() -> Hashable:
            return (
                tuple(store.version for store in stores),
                tuple(self.choice.regions) if regions else (),
                self.choice.time_s if time else (),
            )

        return found

    def shown(self, store: Run | Fit) -> tuple[float, float]:
        """Chosen time, as far as a store will have it."""
        (low, high), (first, last) = self.choice.time_s, store.span_s
        start, stop = max(low, first), min(high, last)
        return (start, stop) if start < stop else (low, high)

    def seen(
        self, store: Run | Fit, time_s: tuple[float, float] | None, figure: Figure | None = None
    ) -> None:
        """Take what is visible of a picture for the time of all pages, if the visitor moved it."""
        if time_s is None:
            return
        start, stop = self.shown(store)
        if abs(time_s[0] - start) + abs(time_s[1] - stop) > STILL * (stop - start):
            self.choice.see(time_s, figure)

    def over_time(
        self, store: Run | Fit, draw: Callable[[], Any], key: Callable[[], Hashable], caption: str
    ) -> Figure:
        """Picture over time: it shows the chosen time, and where it is zoomed all pages follow."""

        def framed() -> Any:
            picture = draw()
            for part in _parts(picture):
                part.opts(backend="bokeh", xlim=self.shown(store))
            return picture

        def listen(picture: Any) -> None:
            for part in _parts(picture):
                RangeX(source=part).add_subscriber(lambda x_range: self.seen(store, x_range))

        return Figure(framed, key, caption, wire=listen)


def _parts(picture: Any) -> list[Any]:
    return list(picture) if isinstance(picture, hv.Layout) else [picture]


def begun(data: Any) -> Any:
    """A fit, if it has a frame in what is chosen."""
    if not data.sizes["frame"]:
        raise InputError("no frame has been assimilated in this range of time yet")
    return data


def enough(bold: Any) -> Any:
    """BOLD, if it is enough for a correlation."""
    if bold.sizes["frame"] < FEWEST_FRAMES:
        raise InputError(
            f"{bold.sizes['frame']} frames of BOLD are in this range of time; a correlation needs "
            f"{FEWEST_FRAMES}"
        )
    return bold


def thin(data: Any, dim: str, most: int = LOOKS) -> Any:
    """Every first, second, third ... along a dimension, so that few enough are left."""
    return data.isel({dim: slice(None, None, max(1, -(-data.sizes[dim] // max(most, 2))))})


def few_voxels(fit: Any) -> Any:
    """A fit of so few voxels, evenly spread, that what all members forecast may be taken."""
    sizes = fit.sizes
    most = MOST // (3 * max(sizes["frame"] * sizes["member"], 1))
    return thin(fit, "voxel", most)
