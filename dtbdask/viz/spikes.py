"""Spikes as points: time across, neurons down, in bands of regions.

Few screens show a million neurons. What is thinned out is neurons, never spikes: of every
population the 1st, (s+1)th, (2s+1)th ... neuron stays, with all its spikes, and the title tells how
many are shown. So a pattern in time is not blurred, and the same recording gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.regions import region_names, ticks

if TYPE_CHECKING:
    import xarray as xr

Ints = NDArray[np.int64]

ROW = hv.Dimension("row", label="Neuron, in bands of regions")
NEURON = hv.Dimension("neuron", label="Neuron")
POPULATION = hv.Dimension("population", label="Population")

READ = 1 << 22
"""Spikes read at once, so a long recording never lies in memory whole."""


@dataclass(frozen=True)
class _Layout:
    """Where the shown neurons stand: `shown` from the first row to the last."""

    shown: Ints
    population: Ints
    """(shown,) index of the population of each."""

    def find(self, neuron: Ints) -> tuple[NDArray[np.bool_], Ints]:
        """Which of these neurons are shown, and the rows of those that are."""
        order = np.argsort(self.shown)
        ranked = self.shown[order]
        place = np.minimum(np.searchsorted(ranked, neuron), len(ranked) - 1)
        hit = ranked[place] == neuron
        return hit, order[place[hit]]


def raster(
    recording: xr.Dataset,
    *,
    max_points: int = 200_000,
    window_ms: tuple[float, float] | None = None,
    neurons: ArrayLike | None = None,
) -> hv.Overlay:
    """Spike raster of the whole brain or of chosen neurons.

    Parameters
    ----------
    recording : xarray.Dataset
        `n_spikes` (step), `spike_step` (spike), ascending, and `spike_neuron` (spike), all int;
        coordinates `population_label`, `population_voxel`, `excitatory`, `size` and `first_neuron`
        (population); attributes `dt_ms`, `first_step` and `n_steps`.
    max_points : int
        Most spikes to draw; neurons are thinned evenly until their spikes are no more than this.
    window_ms : tuple of float, optional
        First and last time to show, in the time of the session; the whole recording without.
    neurons : array_like, optional
        (shown) int, 1. Global indices of the neurons to show, all of them.

    Returns
    -------
    raster : holoviews.Overlay
        Bands of every second region, then the points of excitatory and of inhibitory neurons:
        time (s), row, neuron, population.

    Raises
    ------
    InputError
        No spikes were recorded, the window is empty, a neuron is not in the network, or even one
        neuron of each population has more than `max_points` spikes.
    """
    if "spike_neuron" not in recording:
        raise InputError("the recording has no spike_neuron; record spikes to draw a raster")
    window_ms = span_ms(recording) if window_ms is None else window_ms
    first, last = _window(recording, window_ms)
    if neurons is not None:
        layout = _arrange(recording, np.unique(np.asarray(neurons, dtype=np.int64)))
        step, neuron = _read(recording, first, last, layout)
    else:
        layout, step, neuron = _thinned(recording, first, last, max_points)
    return _draw(recording, layout, step, neuron, (window_ms[0] / 1e3, window_ms[1] / 1e3))


def span_ms(recording: xr.Dataset) -> tuple[float, float]:
    """Start and end of a recording, in the time of its session.

    Parameters
    ----------
    recording : xarray.Dataset
        Attributes `dt_ms`, `first_step` and `n_steps`.

    Returns
    -------
    span : tuple of float
        ms. The spikes of a step are those at its end.
    """
    first, dt = recording.attrs["first_step"], float(recording.attrs["dt_ms"])
    return first * dt, (first + recording.attrs["n_steps"]) * dt


def _window(recording: xr.Dataset, window_ms: tuple[float, float]) -> tuple[int, int]:
    """First spike of the window and the one after its last."""
    low, high = window_ms
    start, stop = span_ms(recording)
    if not (low < high and low < stop and high > start):
        raise InputError(
            f"window_ms is {window_ms}; give (from, to) within {start:g} to {stop:g} ms"
        )
    n_spikes = recording["n_spikes"].values
    step = recording.attrs["first_step"] + np.arange(n_spikes.size)
    time_ms = (step + 1) * recording.attrs["dt_ms"]
    begin, end = np.searchsorted(time_ms, low, "left"), np.searchsorted(time_ms, high, "right")
    first = np.append(0, np.cumsum(n_spikes))  # spike of each step
    return int(first[begin]), int(first[end])


def _thinned(
    recording: xr.Dataset, first: int, last: int, max_points: int
) -> tuple[_Layout, Ints, Ints]:
    """Neurons thinned evenly, and all their spikes."""
    if max_points < 1:
        raise InputError(f"max_points is {max_points}; give at least 1")
    stride = max(1, -(-(last - first) // max_points))
    layout = _arrange(recording, _every(recording, stride))
    step, neuron = _read(recording, first, last, layout)
    while len(step) > max_points:
        if stride > int(recording["size"].max()):
            raise InputError(
                f"max_points is {max_points:,}, but one neuron of each population already has "
                f"{len(step):,} spikes; give a shorter window_ms or choose neurons"
            )
        stride *= 2
        layout = _arrange(recording, _every(recording, stride))
        hit, _ = layout.find(neuron)
        step, neuron = step[hit], neuron[hit]
    return layout, step, neuron


def _every(recording: xr.Dataset, stride: int) -> Ints:
    """Take the 1st, (stride + 1)th, ... neuron of every population."""
    bounds = zip(recording["first_neuron"].values, recording["size"].values, strict=True)
    kept = [np.arange(first, first + size, stride, dtype=np.int64) for first, size in bounds]
    return np.concatenate(kept)


def _arrange(recording: xr.Dataset, neurons: Ints) -> _Layout:
    """Order neurons by region, then by population; check that each belongs to one."""
    first = recording["first_neuron"].values.astype(np.int64)
    size = recording["size"].values.astype(np.int64)
    by_first = np.argsort(first, kind="stable")
    population = by_first[np.searchsorted(first[by_first], neurons, side="right") - 1]
    outside = (neurons < first[population]) | (neurons >= first[population] + size[population])
    if not len(neurons) or outside.any():
        found = neurons[outside][0] if len(neurons) else "empty"
        raise InputError(f"neurons is or holds {found}; give indices from 0 to {size.sum() - 1}")
    order = np.lexsort((neurons, population, recording["population_voxel"].values[population]))
    return _Layout(neurons[order], population[order])


def _read(recording: xr.Dataset, first: int, last: int, layout: _Layout) -> tuple[Ints, Ints]:
    """Spikes of the shown neurons, piece by piece."""
    steps, neurons = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    spikes = recording[["spike_step", "spike_neuron"]]
    for start in range(first, last, READ):
        piece = spikes.isel(spike=slice(start, min(start + READ, last))).compute()
        hit, _ = layout.find(piece["spike_neuron"].values)
        steps.append(piece["spike_step"].values[hit])
        neurons.append(piece["spike_neuron"].values[hit])
    return np.concatenate(steps), np.concatenate(neurons)


def _draw(
    recording: xr.Dataset, layout: _Layout, step: Ints, neuron: Ints, span_s: tuple[float, float]
) -> hv.Overlay:
    time = (step + 1) * recording.attrs["dt_ms"] / 1e3
    _, row = layout.find(neuron)
    population = layout.population[row]
    excites = recording["excitatory"].values[population]
    names = recording["population_label"].values.astype(str)[population]
    points = []
    for label, which, look in (
        ("Excitatory", excites, style.EXCITATORY),
        ("Inhibitory", ~excites, style.INHIBITORY),
    ):
        columns = (time[which], row[which], neuron[which], names[which])
        cloud = hv.Points(columns, [style.TIME, ROW], [NEURON, POPULATION], label=label)
        points.append(style.dots(cloud, look, size=3, alpha=0.8))
    bands, labels = _bands(recording, layout)
    shown, total = len(layout.shown), int(recording["size"].sum())
    title = f"Spikes of {shown:,} of {total:,} neurons"
    picture = hv.Overlay([bands, *points])
    picture.opts(backend="matplotlib", legend_opts={"markerscale": 3})
    return style.panel(
        picture, title, height=520, xlabel=style.TIME.pprint_label, ylabel=ROW.pprint_label,
        xlim=span_s, yticks=labels, ylim=(-0.5, shown - 0.5), invert_yaxis=True,
    )  # fmt: skip


def _bands(recording: xr.Dataset, layout: _Layout) -> tuple[hv.HSpans, list[tuple[float, str]]]:
    """Grey ground under every second region, and the names of regions at their middles."""
    voxel = recording["population_voxel"].values[layout.population]
    edges = np.flatnonzero(np.diff(voxel)) + 1
    low = np.concatenate([[0], edges]) - 0.5
    high = np.concatenate([edges, [len(voxel)]]) - 0.5
    names = region_names(recording)
    labels = [names[v] for v in voxel[np.concatenate([[0], edges])]]
    bands = hv.HSpans((low[1::2], high[1::2]))
    bands.opts(backend="bokeh", fill_color="#000000", alpha=0.06, line_alpha=0)
    bands.opts(backend="matplotlib", color=None, facecolor="#000000", alpha=0.06, linewidth=0)
    return bands, ticks(labels, list((low + high) / 2))
