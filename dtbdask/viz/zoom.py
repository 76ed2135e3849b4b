"""All spikes of a recording of any size: counts in bins from afar, points when zoomed in.

The colour is the mean firing rate of a bin, so it keeps its meaning while bins change; the title
tells how wide they are. Every change of the visible range reads one view and nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
from holoviews.streams import RangeXY
from numpy.typing import NDArray

from dtbdask.viz import style
from dtbdask.viz.regions import ticks
from dtbdask.viz.source import Spikes, SpikeSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dtbdask.sim.pyramid import View

NEURON = hv.Dimension("neuron", label="Neuron, by region")
RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
NOTHING = -1.0
"""Colour value of an image that stands aside for points."""

Span = tuple[float, float]
Cells = NDArray[np.float32]


def zoom_raster(
    recording: str | Path | SpikeSource,
    *,
    window_s: Span | None = None,
    regions: Sequence[int] = (),
) -> hv.DynamicMap:
    """Raster of all spikes that follows the visible range; for Bokeh and a live Python.

    Parameters
    ----------
    recording : path or SpikeSource
        Store of a recording with spikes; above 500,000 spikes with a pyramid, see
        `dtbdask.sim.pyramid_build.build_pyramid`.
    window_s : tuple of float, optional
        Time to begin with, in the time of the session; without it all.
    regions : sequence of int
        Only these, by index; without any all.

    Returns
    -------
    raster : holoviews.DynamicMap
        Image of rates (Hz) and points of excitatory and of inhibitory neurons, over time (s) and
        neuron; either the image or the points are empty.

    Raises
    ------
    InputError
        No spikes were recorded.
    StoreError
        Not a recording, or damaged.
    """
    source = recording if isinstance(recording, SpikeSource) else SpikeSource.open(recording)
    time = source.span_s if window_s is None else window_s
    low, high = source.neurons_of(regions)
    start = {"x_range": time, "y_range": (low - 0.5, high - 0.5)}

    def follow(x_range: Span | None, y_range: Span | None) -> hv.Overlay:
        return draw(source, x_range or time, y_range or start["y_range"], regions)

    return hv.DynamicMap(follow, streams=[RangeXY(**start)])


def draw(
    source: SpikeSource, time_s: Span, neurons: Span, regions: Sequence[int] = ()
) -> hv.Overlay:
    """One view of a raster.

    Parameters
    ----------
    source : SpikeSource
    time_s, neurons : tuple of float
        What is visible.
    regions : sequence of int
        Only these, by index; without any all.

    Returns
    -------
    raster : holoviews.Overlay
        As of `zoom_raster`.
    """
    low, high = min(neurons), max(neurons)
    there = source.readable(time_s)
    seen = source.read(there, (low + 0.5, high + 0.5))
    points = _points(source, seen if isinstance(seen, Spikes) else None, regions)
    if isinstance(seen, Spikes):
        title = f"{sum(len(cloud) for cloud in points):,} spikes"
        picture, top = np.full((2, 2), NOTHING, np.float32), 1.0
    else:
        title = (
            f"Spikes in bins of {_length(seen.level.steps * source.dt_s)} x "
            f"{seen.level.neurons:,} neuron{'s' if seen.level.neurons > 1 else ''}"
        )
        picture = _rates(source, seen, regions)
        top = float(np.nanmax(picture, initial=0.0)) or 1.0
    if there != time_s:
        title += f", the last {_length(there[1] - there[0])} only: no pyramid was built"
    left, right = (source.first_step * source.dt_s + step * source.dt_s for step in seen.steps)
    image = hv.Image(
        picture, [style.TIME, NEURON], RATE,
        bounds=(left, seen.neurons[0] - 0.5, right, seen.neurons[1] - 0.5),
    )  # fmt: skip
    style.image(image, cmap=style.SEQUENTIAL, clim=(0.0, top))
    for backend in ("bokeh", "matplotlib"):
        image.opts(backend=backend, clipping_colors={"NaN": style.ABSENT, "min": "#ffffff"})
    image.opts(backend="matplotlib", colorbar=False)
    return style.panel(
        hv.Overlay([image, *points]), title, height=420,
        xlim=tuple(sorted(time_s)), ylim=(low, high),
        yticks=region_ticks(source, low, high), invert_yaxis=True,
        xlabel=style.TIME.pprint_label, ylabel=NEURON.label, show_legend=False,
    )  # fmt: skip


def region_ticks(source: SpikeSource, low: float, high: float) -> list[tuple[float, str]]:
    """Names of the regions in view, each at the middle of what is in view of it."""
    first, last = source.first, source.first + source.size
    change = np.flatnonzero(np.diff(source.voxel)) + 1
    begin, end = first[np.append(0, change)], last[np.append(change - 1, len(last) - 1)]
    voxel = source.voxel[np.append(0, change)]
    begin, end = np.clip(begin, low, high), np.clip(end, low, high)
    seen = np.flatnonzero(end > begin)
    middles = [float(begin[i] + end[i]) / 2 for i in seen]
    return ticks([source.names[voxel[i]] for i in seen], middles)


def _rates(source: SpikeSource, view: View, regions: Sequence[int]) -> Cells:
    """Rates of the bins of a view: (neuron_bin, time_bin) float32, Hz, from the last neuron on."""
    steps = _widths(view.steps, view.level.steps, source.n_steps) * source.dt_s
    neurons = _widths(view.neurons, view.level.neurons, source.n_neurons)
    rate = (view.count / (steps[:, None] * neurons)).astype(np.float32).T
    if regions:
        edges = np.arange(view.neurons[0], view.neurons[1], view.level.neurons)
        rate[~_within(source, edges, edges + view.level.neurons, regions)] = np.nan
    return rate[::-1]


def _widths(span: tuple[int, int], width: int, n: int) -> NDArray[np.int64]:
    """Width of each bin, as far as it lies within n."""
    start = np.arange(span[0], span[1], width)
    return np.minimum(start + width, max(n, span[0] + 1)) - start


def _within(
    source: SpikeSource, start: NDArray[np.int64], stop: NDArray[np.int64], regions: Sequence[int]
) -> NDArray[np.bool_]:
    """Which ranges hold neurons of some regions."""
    mine = np.isin(source.voxel, np.asarray(regions)).astype(np.int64) * source.size
    before = np.append(0, np.cumsum(mine))  # neurons of the regions before each population
    edge = np.append(source.first, source.n_neurons)
    inside: NDArray[np.bool_] = np.interp(stop, edge, before) > np.interp(start, edge, before)
    return inside


def _points(source: SpikeSource, spikes: Spikes | None, regions: Sequence[int]) -> list[hv.Points]:
    """Excitatory and inhibitory points."""
    step = neuron = np.zeros(0, np.int64)
    if spikes is not None:
        step, neuron = spikes.step, spikes.neuron
    population = source.population_of(neuron)
    shown = np.isin(source.voxel[population], regions) if regions else np.ones(step.size, bool)
    time = (source.first_step + step + 1) * source.dt_s
    clouds = []
    for label, kind, look in (
        ("Excitatory", source.excitatory, style.EXCITATORY),
        ("Inhibitory", ~source.excitatory, style.INHIBITORY),
    ):
        here = shown & kind[population]
        cloud = hv.Points((time[here], neuron[here]), [style.TIME, NEURON], label=label)
        clouds.append(style.dots(cloud, look, size=3, alpha=0.8))
    return clouds


def _length(seconds: float) -> str:
    return f"{seconds * 1e3:g} ms" if seconds < 1 else f"{seconds:g} s"
