"""Where a raster that can be zoomed gets its numbers: spikes where a view has few, counts else.

A view never reads more than `READ` spikes nor more bins than a screen has room for, whatever the
recording holds; it is read at once, when it is asked for, and no Dask graph is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.sim.pyramid import Level, Pyramid, Range, View, open_pyramid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import zarr

Ints = NDArray[np.int64]

READ = 500_000
"""Most spikes read for one view."""
POINTS = 20_000
"""Most spikes of a view that are drawn one by one."""
BINS = (1024, 512)
"""Most bins of a view, along time and of neurons."""


@dataclass(frozen=True)
class Spikes:
    """Spikes of a view, one by one.

    Attributes
    ----------
    step, neuron : (spike,) int64
        Steps from the start of the recording.
    steps, neurons : tuple of int
        What the view covers.
    """

    step: Ints
    neuron: Ints
    steps: Range
    neurons: Range


class SpikeSource:
    """Spikes of a recording on disk, also of one that is still being written.

    Parameters
    ----------
    path : path
        Of the recording.
    group : zarr.Group

    Attributes
    ----------
    path : pathlib.Path
    pyramid : Pyramid or None
    names : list of str
        Of regions.
    first, size : (population,) int64
        First neuron and number of neurons.
    voxel : (population,) int32
    excitatory : (population,) bool
    n_neurons : int
    dt_s : float
    first_step : int
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        root = schema.root_of(group)
        if "spike_neuron" not in group:
            raise InputError(f"{path} has no spike_neuron; record spikes to draw a raster")
        self.path, self._group = path, group
        self.pyramid: Pyramid | None = open_pyramid(path)
        self.names = [str(name) for name in root["labels"]]
        self.size: Ints = schema.read(group, "population/size")
        self.first: Ints = np.cumsum(self.size) - self.size
        self.voxel = schema.read(group, "population/voxel")
        self.excitatory = schema.read(group, "population/excitatory")
        self.n_neurons = int(root["n_neurons"])
        self.dt_s = float(root["dt_ms"]) / 1e3
        self.first_step = int(root["first_step"])
        self.refresh()

    @classmethod
    def open(cls, path: str | Path) -> SpikeSource:
        """Source of the spikes of a recording, finished or not.

        Parameters
        ----------
        path : path

        Raises
        ------
        InputError
            No spikes were recorded.
        StoreError
            Not a recording, or damaged.
        """
        return cls(Path(path), schema.open_store(path, "recording", status="any"))

    def refresh(self) -> int:
        """Take up what was written since; the number of steps that are there."""
        group = schema.open_store(self.path, "recording", status="any")
        steps, spikes = (_rows(group, name) for name in ("n_spikes", "spike_neuron"))
        stop = np.cumsum(schema.read(group, "n_spikes", stop=steps))
        self._stop = np.append(0, stop[: int(np.searchsorted(stop, spikes, side="right"))])
        self._group = group
        return self.n_steps

    @property
    def n_steps(self) -> int:
        """Steps of which all spikes are there."""
        return int(self._stop.size - 1)

    @property
    def n_spikes(self) -> int:
        """Spikes that are there."""
        return int(self._stop[-1])

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time, in the time of the session."""
        return (self.first_step * self.dt_s, (self.first_step + self.n_steps) * self.dt_s)

    def neurons_of(self, regions: Sequence[int]) -> Range:
        """Least range of neurons that holds all of some regions; all neurons for none."""
        mine = np.isin(self.voxel, np.asarray(regions, np.int64)) & (self.size > 0)
        if not mine.any():
            return (0, self.n_neurons)
        return int(self.first[mine].min()), int((self.first + self.size)[mine].max())

    def population_of(self, neuron: Ints) -> Ints:
        """Population of each neuron."""
        found: Ints = np.searchsorted(self.first + self.size, neuron, side="right")
        return found

    def readable(self, time_s: tuple[float, float]) -> tuple[float, float]:
        """All of a range of time, or its last part where there is no pyramid and it is too much."""
        low, high = sorted(t / self.dt_s - self.first_step for t in time_s)
        start, stop = _clipped(low, high, self.n_steps)
        last = self._stop[stop]
        if self.pyramid is not None or last - self._stop[start] <= READ:
            return time_s
        start = min(int(np.searchsorted(self._stop, last - READ)), stop - 1)
        within = start + 1e-6  # seconds are not exact: lest the step before be read too
        return ((self.first_step + within) * self.dt_s, (self.first_step + stop) * self.dt_s)

    def read(self, time_s: tuple[float, float], neurons: tuple[float, float]) -> Spikes | View:
        """Spikes of a view if they are few, else counts in bins.

        Parameters
        ----------
        time_s : tuple of float
            From and to, in the time of the session; what lies outside of the recording is empty.
        neurons : tuple of float
            From and to.

        Raises
        ------
        InputError
            The view has more than `READ` spikes and no pyramid was built.
        """
        low, high = sorted(t / self.dt_s - self.first_step for t in time_s)
        steps = _clipped(low, high, self.n_steps)
        span = _clipped(min(neurons), max(neurons), self.n_neurons)
        start, stop = (int(self._stop[step]) for step in steps)
        if stop - start > READ:
            return self._counted(steps, span)
        neuron = schema.read(self._group, "spike_neuron", start, stop)
        step = np.repeat(np.arange(*steps), np.diff(self._stop[steps[0] : steps[1] + 1]))
        inside = (neuron >= span[0]) & (neuron < span[1])
        found = Spikes(step[inside], neuron[inside], steps, span)
        return found if found.step.size <= POINTS else _binned(found)

    def last(self, time_s: tuple[float, float]) -> tuple[Ints, Ints]:
        """Steps, from the start of the recording, and neurons of the last spikes of a range.

        Parameters
        ----------
        time_s : tuple of float
            From and to, in the time of the session.

        Returns
        -------
        step, neuron : (spike,) int64
            Those of whole steps, `READ` at most.
        """
        low, high = sorted(t / self.dt_s - self.first_step for t in time_s)
        start, stop = _clipped(low, high, self.n_steps)
        first = int(np.searchsorted(self._stop, self._stop[stop] - READ))
        start = min(max(start, first), stop)
        at, end = (int(self._stop[step]) for step in (start, stop))
        neuron: Ints = schema.read(self._group, "spike_neuron", at, end).astype(np.int64)
        return np.repeat(np.arange(start, stop), np.diff(self._stop[start : stop + 1])), neuron

    def _counted(self, steps: Range, neurons: Range) -> View:
        if self.pyramid is None:
            raise InputError(
                f"{self.path} has more than {READ:,} spikes from step {steps[0]:,} to "
                f"{steps[1]:,} and no pyramid; call dtbdask.sim.pyramid_build.build_pyramid"
            )
        return self.pyramid.view(steps, neurons, BINS)


def _clipped(low: float, high: float, n: int) -> Range:
    """Whole numbers within (0, n) that cover a range; one of them at least if there is any."""
    start = min(max(0, int(np.floor(low))), max(0, n - 1))
    return start, max(start + min(n, 1), min(n, int(np.ceil(high))))


def _binned(spikes: Spikes) -> View:
    """Counts of spikes that are too many to draw one by one."""
    a = b = 0
    while Level(a, 0).bins(spikes.steps, (0, 1))[0][1] - spikes.steps[0] // 4**a > BINS[0]:
        a += 1
    while Level(0, b).bins((0, 1), spikes.neurons)[1][1] - spikes.neurons[0] // 4**b > BINS[1]:
        b += 1
    level = Level(a, b)
    time, neuron = level.bins(spikes.steps, spikes.neurons)
    shape = (time[1] - time[0], neuron[1] - neuron[0])
    row = spikes.step // level.steps - time[0]
    key = row * shape[1] + spikes.neuron // level.neurons - neuron[0]
    count = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape).astype(np.uint32)
    return View(
        count, level, (time[0] * level.steps, time[1] * level.steps),
        (neuron[0] * level.neurons, neuron[1] * level.neurons),
    )  # fmt: skip


def _rows(group: zarr.Group, name: str) -> int:
    """Rows of an array of one dimension that are there, of one that grows."""
    array = schema.array(group, name)
    return min(int(array.shape[0]), int(array.chunks[0]) * int(array.nchunks_initialized))
