"""Courses over time: rates of regions, membranes of single neurons, currents of receptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.rates import RATE, _binned, _bins, _steps
from dtbdask.viz.regions import chosen, region_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

POTENTIAL = hv.Dimension("v", label="Membrane potential", unit="mV")
CURRENT = hv.Dimension("current", label="Synaptic current", unit="mV/ms")

MOST = 6
"""Most regions of one overlay: as many as there are looks."""
DEFAULT = 4


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
        Rate (Hz) over time (s), one curve a region.

    Raises
    ------
    InputError
        Too many regions, one that is not there, or `bin_ms` is no whole number of steps.
    """
    names = region_names(recording)
    shown = chosen(names, regions, DEFAULT)
    if len(shown) > MOST:
        raise InputError(f"{len(shown)} regions asked for; choose at most {MOST}")
    n = _steps(recording, bin_ms)
    voxel, size = recording["population_voxel"].values, recording["size"].values
    mine = np.flatnonzero(np.isin(voxel, shown))
    binned = _binned(recording["spike_count"].isel(population=mine), n)
    count = binned.transpose("step", "population").compute().values
    bins = _bins(recording, n)
    curves = []
    for look, region in zip(style.CYCLE, shown, strict=False):
        here = voxel[mine] == region
        neurons = size[mine][here].sum()
        rate = count[:, here].sum(axis=1) / (np.maximum(neurons, 1) * bins.width_s)
        curves.append(style.curve(bins.centre_s, rate, style.TIME, RATE, names[region], look))
    return style.panel(hv.Overlay(curves), f"Firing rate of regions, bins of {bin_ms:g} ms")


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
    if "sample_v" not in recording:
        raise InputError("the recording has no sample_v; record sample")
    neurons = recording["sample_neuron"].values
    labels = [f"Neuron {neuron:,}" for neuron in neurons]
    shown = chosen(labels, samples, DEFAULT)
    values = recording["sample_v"].isel(sample=shown).transpose("sample", "look").values
    time = recording["look_time_ms"].values / 1e3
    return style.stack([
        style.panel(
            hv.Overlay([style.curve(time, v, style.TIME, POTENTIAL, labels[i], style.ENSEMBLE)]),
            labels[i], height=130, yticks=4, show_legend=False,
        )
        for v, i in zip(values, shown, strict=True)
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
