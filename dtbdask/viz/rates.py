"""How fast populations fire: over time for the brain and for each region, and in distribution."""

from __future__ import annotations

from dataclasses import dataclass

import holoviews as hv
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.regions import name_hover, region_names, ticks
from dtbdask.viz.window import by_step

Floats = NDArray[np.float64]

RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
MEAN_RATE = hv.Dimension("mean_rate", label="Mean firing rate", unit="Hz")
REGION = hv.Dimension("region", label="Region")
COUNT = hv.Dimension("count", label="Populations")

BINS = 40


@dataclass(frozen=True)
class Bins:
    """Time bins of a recording; the last may be shorter than the others."""

    centre_s: Floats
    width_s: Floats


def population_rates(recording: xr.Dataset, bin_ms: float = 10.0) -> hv.Overlay:
    """Mean firing rate of all excitatory and of all inhibitory neurons over time.

    Parameters
    ----------
    recording : xarray.Dataset
        `spike_count` (step, population) int32, spikes; coordinates `time_ms` (step), `excitatory`
        and `size` (population); attribute `dt_ms`. Or `bin_spike_count`, whose bins are the steps.
    bin_ms : float
        Width of a bin, a whole number of steps.

    Returns
    -------
    rates : holoviews.Overlay
        Curves of rate (Hz) over time (s); a kind without neurons has none.

    Raises
    ------
    InputError
        `bin_ms` is not a whole number of steps.
    """
    recording = by_step(recording)
    n = _steps(recording, bin_ms)
    excitatory = recording["excitatory"].values.astype(bool)
    kinds = {
        "Excitatory": (excitatory, style.EXCITATORY),
        "Inhibitory": (~excitatory, style.INHIBITORY),
    }
    kinds = {name: kind for name, kind in kinds.items() if kind[0].any()}
    counts = recording["spike_count"]
    lazy = [counts.isel(population=kind).sum("population") for kind, _ in kinds.values()]
    binned = xr.Dataset({str(i): _binned(count, n) for i, count in enumerate(lazy)}).compute()
    bins = _bins(recording, n)
    curves = []
    for (label, (kind, look)), count in zip(kinds.items(), binned.values(), strict=True):
        rate = count.values / (bins.width_s * recording["size"].values[kind].sum())
        curves.append(style.curve(bins.centre_s, rate, style.TIME, RATE, label, look))
    return style.panel(hv.Overlay(curves), f"Mean firing rate of the brain, bins of {bin_ms:g} ms")


def region_rates(recording: xr.Dataset, bin_ms: float = 10.0) -> hv.Image:
    """Mean firing rate of the neurons of each region over time.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`, with the coordinate `population_voxel` (population).
    bin_ms : float
        Width of a bin, a whole number of steps.

    Returns
    -------
    image : holoviews.Image
        Dimensions time (s), region (index) and rate (Hz).

    Raises
    ------
    InputError
        `bin_ms` is not a whole number of steps, or the image is more than a picture can hold.
    """
    recording = by_step(recording)
    n = _steps(recording, bin_ms)
    names = region_names(recording)
    n_bins = -(-recording.sizes["step"] // n)
    style.check_pixels(len(names), n_bins, "give a larger bin_ms")
    count = _binned(recording["spike_count"], n).transpose("population", "step").compute().values
    member = _membership(recording, len(names))
    size = member @ recording["size"].values
    bins = _bins(recording, n)
    with np.errstate(invalid="ignore"):
        rate = (member @ count) / (size[:, None] * bins.width_s)
    step_s = n * recording.attrs["dt_ms"] / 1e3
    time = bins.centre_s[0] + step_s * np.arange(n_bins)
    picture = hv.Image(
        (time, np.arange(len(names)), rate), [style.TIME, REGION], RATE,
        bounds=(time[0] - step_s / 2, -0.5, time[-1] + step_s / 2, len(names) - 0.5),
    )  # fmt: skip
    top = float(np.nanmax(rate, initial=0.0))
    style.image(picture, cmap=style.SEQUENTIAL, clim=(0.0, top or 1.0))
    picture.opts(backend="bokeh", hooks=[name_hover(names, None, RATE.label, "Time (s)", "Region")])
    title = f"Firing rate of each region, bins of {bin_ms:g} ms"
    return style.panel(picture, title, height=520, yticks=ticks(names), invert_yaxis=True)


def rate_histogram(recording: xr.Dataset) -> hv.Overlay:
    """How many populations fire at which mean rate, over the whole recording.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`.

    Returns
    -------
    histogram : holoviews.Overlay
        Histograms of excitatory and of inhibitory populations over the same edges (Hz).
    """
    recording = by_step(recording)
    seconds = recording.sizes["step"] * recording.attrs["dt_ms"] / 1e3
    count = recording["spike_count"].sum("step").compute().values
    size = recording["size"].values
    occupied = size > 0
    rate = count[occupied] / (size[occupied] * seconds)
    excitatory = recording["excitatory"].values.astype(bool)[occupied]
    edges = np.linspace(0.0, float(rate.max(initial=0.0)) or 1.0, BINS + 1)
    histograms = []
    for label, kind, look, dash in (
        ("Excitatory", excitatory, style.EXCITATORY, "solid"),
        ("Inhibitory", ~excitatory, style.INHIBITORY, "dashed"),
    ):
        heights, _ = np.histogram(rate[kind], edges)
        bars = hv.Histogram((edges, heights), kdims=MEAN_RATE, vdims=COUNT, label=label)
        bars.opts(
            backend="bokeh", fill_color=look.color, line_color=look.color, fill_alpha=0.35,
            line_dash=dash, line_width=1.5, tools=["hover"],
        )  # fmt: skip
        hatch = None if dash == "solid" else "//"
        bars.opts(
            backend="matplotlib", facecolor=look.color, edgecolor=look.color, alpha=0.45,
            **({"hatch": hatch} if hatch else {}),
        )  # fmt: skip
        histograms.append(bars)
    return style.panel(hv.Overlay(histograms), "Firing rates of populations")


def _steps(recording: xr.Dataset, bin_ms: float) -> int:
    """Count the steps of a bin."""
    dt = float(recording.attrs["dt_ms"])
    n = round(bin_ms / dt)
    if n < 1 or abs(n * dt - bin_ms) > 1e-6 * dt:
        raise InputError(f"bin_ms is {bin_ms:g}; give a multiple of the step, {dt:g} ms")
    return min(n, recording.sizes["step"])


def _binned(count: xr.DataArray, n: int) -> xr.DataArray:
    """Spikes in bins of n steps; exact, as float64 holds every whole number below 2^53."""
    return count.drop_vars("time_ms").astype(np.float64).coarsen(step=n, boundary="pad").sum()


def _bins(recording: xr.Dataset, n: int) -> Bins:
    time = recording["time_ms"].values / 1e3
    starts = np.arange(0, len(time), n)
    steps = np.diff(np.append(starts, len(time)))
    return Bins(np.add.reduceat(time, starts) / steps, steps * recording.attrs["dt_ms"] / 1e3)


def _membership(recording: xr.Dataset, n_voxels: int) -> csr_array:
    """(voxel, population) 1 where the population lives in the voxel."""
    voxel = recording["population_voxel"].values
    entries = (np.ones(len(voxel)), (voxel, np.arange(len(voxel))))
    return csr_array(entries, shape=(n_voxels, len(voxel)))
