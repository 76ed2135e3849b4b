"""Courses over time: rates of regions, membranes and currents of neurons and of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.anatomy import region_colours
from dtbdask.viz.rates import RATE, REGION, _binned, _bins, _steps
from dtbdask.viz.regions import chosen, name_hover, region_names, ticks
from dtbdask.viz.window import by_step, voxel_means

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

POTENTIAL = hv.Dimension("v", label="Membrane potential", unit="mV")
CURRENT = hv.Dimension("current", label="Synaptic current", unit="mV/ms")
INTO = hv.Dimension("current", label="Current", unit="mV/ms")
MEANS = {
    "v_mean": (hv.Dimension("v_mean", label="Membrane potential", unit="mV"), "potential"),
    "current_mean": (hv.Dimension("current_mean", label="Synaptic current", unit="mV/ms"),
                     "synaptic current"),
}  # fmt: skip
"""Means that are drawn of every region: dimension, and what the title calls it."""

MOST = len(style.DASHES)
"""Most regions of one overlay."""
DEFAULT = 4
COLUMNS = 2000
"""Most moments of an image."""


def region_curves(
    recording: xr.Dataset, regions: Sequence[int | str] | None = None, bin_ms: float = 10.0
) -> hv.Overlay:
    """Mean firing rate of some regions over time.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`, with `population_voxel` (population).
    regions : sequence of int or str, optional
        Indices or names, 6 at most; without them four, evenly spread.
    bin_ms : float
        Width of a bin, a whole number of steps.

    Returns
    -------
    curves : holoviews.Overlay
        Rate (Hz) over time (s), one curve a region in the colour of its lobe, told apart by dashes.

    Raises
    ------
    InputError
        Too many regions, one that is not there, or `bin_ms` is no whole number of steps.
    """
    names = region_names(recording)
    shown = chosen(names, regions, DEFAULT)
    if len(shown) > MOST:
        raise InputError(f"{len(shown)} regions asked for; choose at most {MOST}")
    recording = by_step(recording)
    n = _steps(recording, bin_ms)
    voxel, size = recording["population_voxel"].values, recording["size"].values
    mine = np.flatnonzero(np.isin(voxel, shown))
    binned = _binned(recording["spike_count"].isel(population=mine), n)
    count = binned.transpose("step", "population").compute().values
    bins = _bins(recording, n)
    curves, colours = [], region_colours(names)
    for dash, region in zip(style.DASHES, shown, strict=False):
        here = voxel[mine] == region
        neurons = size[mine][here].sum()
        rate = count[:, here].sum(axis=1) / (np.maximum(neurons, 1) * bins.width_s)
        look = style.Look(colours[region], dash)
        curves.append(style.curve(bins.centre_s, rate, style.TIME, RATE, names[region], look))
    return style.panel(hv.Overlay(curves), f"Firing rate of regions, bins of {bin_ms:g} ms")


def region_means(recording: xr.Dataset, quantity: str = "v_mean") -> hv.Image:
    """Mean membrane potential, or synaptic current, of each region over time.

    Parameters
    ----------
    recording : xarray.Dataset
        `v_mean` or `current_mean` (bin, population) float, mV or mV/ms; `bin_time_ms` (bin),
        `population_voxel` and `size` (population).
    quantity : str
        "v_mean" or "current_mean".

    Returns
    -------
    image : holoviews.Image
        Dimensions time (s), region (index) and the quantity, mean over the region's neurons.

    Raises
    ------
    InputError
        It was not recorded, or the image is more than a picture can hold.
    """
    if quantity not in MEANS or quantity not in recording:
        raise InputError(f"the recording has no {quantity}; record one of {', '.join(MEANS)}")
    value, told = MEANS[quantity]
    names = region_names(recording)
    bins = recording[quantity].transpose("bin", "population")
    every = max(1, -(-bins.sizes["bin"] // COLUMNS))
    shown = bins.isel(bin=slice(None, None, every))
    style.check_pixels(len(names), shown.sizes["bin"], "choose regions first")
    mean = voxel_means(recording, np.asarray(shown.values, np.float64)).T
    time = shown["bin_time_ms"].values / 1e3
    apart = every * int(recording.attrs["bin_steps"]) * float(recording.attrs["dt_ms"]) / 1e3
    picture = hv.Image(
        mean[::-1], [style.TIME, REGION], value,
        bounds=(time[0] - apart, -0.5, time[-1], len(names) - 0.5),
    )  # fmt: skip
    seen = mean[np.isfinite(mean)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    style.image(picture, cmap=style.SEQUENTIAL, clim=(low, high if high > low else low + 1.0))
    hook = name_hover(names, None, value.label, "Time (s)", "Region")
    picture.opts(backend="bokeh", hooks=[hook])
    title = f"Mean {told} of each region"
    return style.panel(picture, title, height=520, yticks=ticks(names), invert_yaxis=True)


def membrane_traces(recording: xr.Dataset, samples: Sequence[int] | None = None) -> hv.Layout:
    """Membrane potentials of single neurons, one panel each.

    Parameters
    ----------
    recording : xarray.Dataset
        `sample_v` (look, sample) float, mV; `sample_neuron` (sample); `look_time_ms` (look).
    samples : sequence of int, optional
        Which of those recorded; without it four, evenly spread.

    Returns
    -------
    traces : holoviews.Layout
        Potential (mV) over time (s).

    Raises
    ------
    InputError
        No samples were recorded, or one is not there.
    """
    labels, shown, time = _sampled(recording, "sample_v", samples)
    values = recording["sample_v"].isel(sample=shown).transpose("sample", "look").values
    return style.stack([
        style.panel(
            hv.Overlay([style.curve(time, v, style.TIME, POTENTIAL, labels[i], style.ENSEMBLE)]),
            labels[i], height=130, yticks=4, show_legend=False,
        )
        for v, i in zip(values, shown, strict=True)
    ])  # fmt: skip


def neuron_currents(recording: xr.Dataset, samples: Sequence[int] | None = None) -> hv.Layout:
    """Synaptic and background currents of single neurons, one panel each.

    Parameters
    ----------
    recording : xarray.Dataset
        `sample_current` and `sample_background` (look, sample) float, mV/ms; `sample_neuron`
        (sample); `look_time_ms` (look).
    samples : sequence of int, optional
        Which of those recorded; without it four, evenly spread.

    Returns
    -------
    currents : holoviews.Layout
        Current (mV/ms) over time (s): of all synapses, and of the background.

    Raises
    ------
    InputError
        No samples were recorded, or one is not there.
    """
    labels, shown, time = _sampled(recording, "sample_current", samples)
    part = recording[["sample_current", "sample_background"]].isel(sample=shown)
    synaptic, background = (
        part[name].transpose("sample", "look").values
        for name in ("sample_current", "sample_background")
    )
    return style.stack([
        style.panel(
            hv.Overlay([
                style.curve(time, one, style.TIME, INTO, "Synapses", style.ENSEMBLE),
                style.curve(time, other, style.TIME, INTO, "Background", style.PRIOR),
            ]),
            labels[i], height=130, yticks=4,
        )
        for one, other, i in zip(synaptic, background, shown, strict=True)
    ])  # fmt: skip


def receptor_currents(
    recording: xr.Dataset, regions: Sequence[int | str] | None = None
) -> hv.Layout:
    """Mean currents of the receptors, one panel a region.

    Parameters
    ----------
    recording : xarray.Dataset
        `receptor_current` (bin, receptor, population) float, mV/ms; `bin_time_ms` (bin).
    regions : sequence of int or str, optional
        Indices or names; without them four, evenly spread.

    Returns
    -------
    currents : holoviews.Layout
        Current (mV/ms) over time (s), one curve a receptor.

    Raises
    ------
    InputError
        No currents were recorded, or a region is not there.
    """
    if "receptor_current" not in recording:
        raise InputError("the recording has no receptor_current; record receptor_current")
    names = region_names(recording)
    shown = chosen(names, regions, DEFAULT)
    time = recording["bin_time_ms"].values / 1e3
    voxel, size = recording["population_voxel"].values, recording["size"].values
    panels = []
    for region in shown:
        mine = np.flatnonzero((voxel == region) & (size > 0))
        part = recording["receptor_current"].isel(population=mine)
        values = part.transpose("receptor", "bin", "population").values
        mean = np.average(values, axis=2, weights=size[mine])
        curves = [
            style.curve(time, mean[i], style.TIME, CURRENT, str(name), style.CYCLE[i])
            for i, name in enumerate(recording["receptor"].values)
        ]
        panels.append(style.panel(hv.Overlay(curves), names[region], height=150, yticks=5))
    return style.stack(panels)


def _sampled(
    recording: xr.Dataset, name: str, samples: Sequence[int] | None
) -> tuple[list[str], NDArray[np.intp], NDArray[np.float64]]:
    """Names of the sampled neurons, which are shown, and the times of the looks in s."""
    if name not in recording:
        raise InputError(f"the recording has no {name}; record sample")
    labels = [f"Neuron {neuron:,}" for neuron in recording["sample_neuron"].values]
    time: NDArray[np.float64] = recording["look_time_ms"].values / 1e3
    return labels, chosen(labels, samples, DEFAULT), time
