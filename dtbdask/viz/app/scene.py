"""What the brain is coloured by: values of every region, over all of the visible time or a moment.

The film of a quantity is worked out once for a range of time and kept, so that a player shows
moment after moment without reading anything; its colours are those of the whole film.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.viz.app.desk import begun, enough
from dtbdask.viz.brain import span
from dtbdask.viz.window import by_step, rates_of_voxels, rates_over_time, voxel_means, within

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk

Floats = NDArray[np.float64]

MOMENTS = 100
"""Most moments of a film."""
CELLS = 1_000_000
"""Most values of a film."""
RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
BOLD = hv.Dimension("bold", label="BOLD", unit="1")
POTENTIAL = hv.Dimension("v_mean", label="Membrane potential", unit="mV")
TOGETHER = "Correlation with the chosen region"


@dataclass(frozen=True)
class Film:
    """A quantity of every region, in a range of time.

    Attributes
    ----------
    still : (voxel,) float64
        Over all of the range.
    told : str
        What `still` is.
    moving : (moment, voxel) float64
        Moment by moment; no moments where it has none.
    time_s : (moment,) float64
        Ends of the moments.
    value : holoviews.Dimension
    """

    still: Floats
    told: str
    moving: Floats
    time_s: Floats
    value: hv.Dimension

    @property
    def diverging(self) -> bool:
        """Whether colours go from blue to red about 0."""
        return bool(self.value.unit == "r")

    def clim(self, moment: int) -> tuple[float, float]:
        """Values of the first and last colour: the same for all moments, other ones for `still`."""
        shown = self.moving if 0 < moment <= self.time_s.size else self.still
        there = shown[np.isfinite(shown)]
        return span(there, self.diverging) if there.size else (0.0, 1.0)

    def at(self, moment: int) -> tuple[Floats, str]:
        """Values of a moment, counted from 1, or of all the time for 0; and what is shown."""
        if not 0 < moment <= self.time_s.size:
            return self.still, self.told
        return self.moving[moment - 1], f"at {self.time_s[moment - 1]:.3f} s"


class Scenes:
    """Films of all that the stores tell of the brain.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: tuple[Hashable, Film] | None = None
        self._makers: dict[str, Callable[[], Film]] = {}
        if desk.study.runs:
            data = desk.study.runs[0].data
            if {"spike_count", "bin_spike_count"} & set(data):
                self._makers["Firing rate"] = self._rates
            if "bold" in data:
                self._makers |= {"BOLD": self._bold, TOGETHER: self._together}
            if "v_mean" in data:
                self._makers["Membrane potential"] = self._potentials
        if desk.study.fits:
            names = map(str, desk.study.fits[0].data["parameter"].values)
            self._makers |= {name: partial(self._parameter, name) for name in names}

    @property
    def names(self) -> list[str]:
        """What the brain can be coloured by."""
        return list(self._makers)

    def key(self) -> Hashable:
        """What the film that is shown depends on."""
        choice, study = self._desk.choice, self._desk.study
        region = choice.regions[0] if choice.regions and choice.shown == TOGETHER else 0
        return tuple(s.version for s in study.stores), choice.shown, choice.time_s, region

    def film(self) -> Film:
        """The film that is chosen.

        Raises
        ------
        InputError
            Nothing of it is there in the visible time.
        """
        key = self.key()
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self._makers[self._desk.choice.shown]())
        return self._kept[1]

    def n_moments(self) -> int:
        """Moments that can be played."""
        try:
            return int(self.film().time_s.size)
        except InputError:
            return 0

    def _rates(self) -> Film:
        data = by_step(self._desk.part(self._desk.study.runs[0]))
        time_s, moving = rates_over_time(data, self._most(data.sizes["population"]))
        told = f"mean of {self._told(data['time_ms'].values / 1e3)}"
        return Film(rates_of_voxels(data), told, moving, time_s, RATE)

    def _bold(self) -> Film:
        run = self._desk.study.runs[0]
        data = within(run.data, self._desk.visible(run))
        if not data.sizes["frame"]:
            raise InputError("no frame of BOLD is in this range of time yet")
        return self._of_frames(data["bold"], BOLD, "mean")

    def _potentials(self) -> Film:
        data = self._desk.part(self._desk.study.runs[0])
        every = max(1, -(-data.sizes["bin"] // self._most(data.sizes["population"])))
        part = data.isel(bin=slice(None, None, every))
        moving = voxel_means(part, part["v_mean"].transpose("bin", "population").values)
        time = part["bin_time_ms"].values / 1e3
        return Film(moving.mean(axis=0), f"mean of {self._told(time)}", moving, time, POTENTIAL)

    def _together(self) -> Film:
        run, choice = self._desk.study.runs[0], self._desk.choice
        data = within(run.data, self._desk.visible(run))
        bold = enough(data["bold"]).transpose("frame", "voxel").data
        region = choice.regions[0] if choice.regions else 0
        own = bold - bold.mean(axis=0)
        product, power = np.asarray(own[:, region] @ own), np.asarray((own**2).sum(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            r = product / np.sqrt(power[region] * power)
        label = f"Correlation with {self._desk.study.labels[region]}"
        nothing = np.zeros((0, r.size))
        value = hv.Dimension("correlation", label=label, unit="r")
        return Film(r, f"over {len(bold)} frames", nothing, np.zeros(0), value)

    def _parameter(self, name: str) -> Film:
        fit = self._desk.study.fits[0]
        data = begun(self._desk.frames(fit))
        mean = data["parameter_value"].sel(parameter=name).mean("member")
        return self._of_frames(mean, hv.Dimension(name, unit="1"), "last")

    def _of_frames(self, values: Any, value: hv.Dimension, still: str) -> Film:
        """Film of what has frames; all of it is their mean, or the last of them."""
        n = values.sizes["frame"]
        most = self._most(values.sizes["voxel"])
        shown = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
        moving = values.isel(frame=shown).transpose("frame", "voxel").values
        time = values["time_s"].values
        if still == "last":
            return Film(moving[-1], f"at {time[-1]:.3f} s", moving, time[shown], value)
        mean = values.mean("frame").values
        return Film(mean, f"mean of {self._told(time)}", moving, time[shown], value)

    @staticmethod
    def _most(n: int) -> int:
        """Moments of so many populations or voxels."""
        return max(2, min(MOMENTS, CELLS // max(n, 1)))

    @staticmethod
    def _told(time: Floats) -> str:
        return f"{time[0]:.3g} to {time[-1]:.3g} s"
