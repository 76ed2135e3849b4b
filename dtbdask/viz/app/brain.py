"""Brain: where it happens, in space and over time; a click chooses regions on all pages."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
from holoviews.streams import Selection1D, Tap

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.viz.anatomy import region_xyz
from dtbdask.viz.app.figure import Figure
from dtbdask.viz.app.scene import Scenes
from dtbdask.viz.brain import VIEWS, brain_points, glass_brain
from dtbdask.viz.matrices import voxel_matrix
from dtbdask.viz.slices import brain_slices, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.scene import Film

MOST_VOXELS = 2000
"""Most regions between which connections are drawn."""
PAUSE_MS = 400
"""Time between two moments that are played."""
BUTTONS = ("first", "previous", "pause", "play", "next")


class Brain:
    """The page of the brain.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self.scenes = desk, Scenes(desk)
        self._places: NDArray[np.float64] | None = None
        self._edges: Any = None
        self._turning = Figure(
            self._points, self._key,
            "Drag to turn. A click on a region chooses it on all pages, with shift more than one.",
            steady=self._make, wire=self._choosing,
        )  # fmt: skip
        self._said = pn.pane.HTML("", width=220)
        self.player = pn.widgets.Player(
            start=0, end=1, value=0, interval=PAUSE_MS, loop_policy="loop", width=420,
            show_loop_controls=False, visible_buttons=list(BUTTONS),
        )  # fmt: skip

    def parts(self) -> list[Part]:
        """Parts of the page."""
        flat = Figure(
            self._glass, self._key,
            "From above, from the left and from behind, with the strongest connections.",
            steady=self._make,
        )  # fmt: skip
        slices = Figure(
            self._slices, lambda: (self._key(), self._desk.choice.at_mm),
            "Slices through a voxel; a click moves them there and chooses it.",
            steady=self._make, wire=self._cutting,
        )  # fmt: skip
        try:
            gridded = on_grid(self.places)
        except InputError:
            gridded = False
        return [self._turning, flat, *([slices] if gridded else [])]

    def head(self) -> pn.viewable.Viewable:
        """What is shown, and a player of its moments."""
        choice = self._desk.choice
        colour = pn.widgets.Select.from_param(choice.param.shown, label="Colour", width=280)
        self.player.param.watch(lambda event: setattr(choice, "moment", event.new), "value")
        return pn.Row(colour, pn.Column(self.player, self._said))

    def _settle(self) -> None:
        """Let the player have the moments that there are, and tell which is shown."""
        choice, n = self._desk.choice, self.scenes.n_moments()
        choice.moment = min(choice.moment, n)
        self.player.param.update(end=max(n, 1), value=choice.moment, disabled=n == 0)
        try:
            self._said.object = f"{choice.shown}, {self.scenes.film().at(choice.moment)[1]}"
        except InputError:
            self._said.object = ""

    @property
    def places(self) -> NDArray[np.float64]:
        """Where regions lie: (voxel, axis), mm."""
        if self._places is None:
            self._places = region_xyz(self._with_places())
        return self._places

    def _with_places(self) -> Any:
        """A dataset that tells where regions lie, or at least their names."""
        study = self._desk.study
        if study.brain is not None:
            return study.brain
        data, network = study.stores[0].data, study.network
        if network is not None and network.path:
            group = schema.open_store(network.path, "network")
            if "voxel/xyz" in group:
                return data.assign(xyz=(("voxel", "axis"), schema.read(group, "voxel/xyz")))
        return data

    def _key(self) -> Hashable:
        return self.scenes.key(), self._desk.choice.moment, tuple(self._desk.choice.regions)

    def _make(self) -> Hashable:
        """What cannot be changed in a picture that is there: its labels, and how many points."""
        film = self.scenes.film()
        return self._desk.choice.shown, film.value.label, np.isnan(film.still).sum()

    def _colours(self, film: Film) -> dict[str, Any]:
        return {"clim": film.clim(self._desk.choice.moment), "diverging": film.diverging}

    def _points(self) -> Any:
        self._settle()
        film, names = self.scenes.film(), self._desk.study.labels
        values, told = film.at(self._desk.choice.moment)
        title = f"{self._desk.choice.shown}, {told}"
        picture = brain_points(
            values, self.places, names, film.value, title=title, **self._colours(film)
        )
        chosen = {names[region] for region in self._desk.choice.regions}
        shown = [str(name) for name in picture.dimension_values("region")]
        marked = [i for i, name in enumerate(shown) if name in chosen]
        return picture.opts(backend="bokeh", selected=marked or None)

    def _choosing(self, picture: Any) -> None:
        place = {name: i for i, name in enumerate(self._desk.study.labels)}

        def choose(index: list[int]) -> None:
            shown = self._turning.now.dimension_values("region")
            self._desk.choice.regions = [place[str(shown[i])] for i in index]

        Selection1D(source=picture).add_subscriber(choose)

    def _glass(self) -> Any:
        film, study = self.scenes.film(), self._desk.study
        values, _ = film.at(self._desk.choice.moment)
        if self._edges is None and len(values) <= MOST_VOXELS:
            if study.brain is not None:
                self._edges = study.brain["connection"].values
            elif study.network is not None:
                self._edges = voxel_matrix(study.network).toarray()
        return glass_brain(
            values, self.places, study.labels, film.value, connection=self._edges,
            **self._colours(film),
        )  # fmt: skip

    def _slices(self) -> Any:
        film = self.scenes.film()
        values, _ = film.at(self._desk.choice.moment)
        return brain_slices(values, self.places, film.value, at_mm=self._desk.choice.at_mm,
                            **self._colours(film))  # fmt: skip

    def _cutting(self, picture: Any) -> None:
        for part, (_, _, _, (i, j)) in zip(picture, VIEWS, strict=True):

            def cut(x: float | None, y: float | None, i: int = i, j: int = j) -> None:
                if x is None or y is None:
                    return
                places = self.places
                point = np.array(self._desk.choice.at_mm or _middle(places))
                point[[i, j]] = x, y
                nearest = int(np.nanargmin(((places - point) ** 2).sum(axis=1)))
                self._desk.choice.at_mm = tuple(float(v) for v in places[nearest])
                self._desk.choice.regions = [nearest]

            Tap(source=part).add_subscriber(cut)


def _middle(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where slices meet unless told."""
    distance = ((places - np.nanmean(places, axis=0)) ** 2).sum(axis=1)
    found: NDArray[np.float64] = places[np.nanargmin(distance)]
    return found
