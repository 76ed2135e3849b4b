"""Pictures of how a network fires: regularity, spread, correlation, spectrum, wavelet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np

from dtbdask.errors import InputError
from dtbdask.viz import analysis, style
from dtbdask.viz.rates import RATE, _binned, _bins, _steps
from dtbdask.viz.window import by_step

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

CV = hv.Dimension("cv", label="CV of inter-spike intervals", unit="1")
CORRELATION = hv.Dimension("correlation", label="Correlation of spike counts", unit="r")
NEURONS = hv.Dimension("neurons", label="Neurons")
PAIRS = hv.Dimension("pairs", label="Pairs of neurons")
KIND = hv.Dimension("kind", label="Population")
FREQUENCY = hv.Dimension("frequency", label="Frequency", unit="Hz")
POWER = hv.Dimension("power", label="Power of the rate", unit="Hz²/Hz")
SQUARE = hv.Dimension("square", label="Power", unit="Hz²")

READ = 500_000
"""Most spikes of a histogram."""
BINS = 50
FREQUENCIES = 60
MARKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
"""Frequencies on the axis."""
TIMES = 1000
"""Most columns of a wavelet picture."""
KINDS = (("Excitatory", style.EXCITATORY, True), ("Inhibitory", style.INHIBITORY, False))


def interval_histogram(recording: xr.Dataset) -> hv.Overlay:
    """How many neurons fire how regularly, of those with 3 spikes or more.

    Parameters
    ----------
    recording : xarray.Dataset
        `spike_step` and `spike_neuron` (spike), `first_neuron`, `excitatory` (population); of more
        than 500,000 spikes the last ones are taken.

    Returns
    -------
    histogram : holoviews.Overlay
        Histograms of CV, from 0 to 2, of excitatory and of inhibitory neurons.

    Raises
    ------
    InputError
        No spikes were recorded.
    """
    step, neuron, excites = _spikes(recording)
    edges = np.linspace(0, 2, BINS + 1)
    bars = []
    for label, look, kind in KINDS:
        mine = excites == kind
        cv = analysis.cv_of_intervals(step[mine], neuron[mine])
        heights, _ = np.histogram(cv, edges)
        bars.append(style.histogram(edges, heights, CV, NEURONS, label, look))
    return style.panel(hv.Overlay(bars), "Regularity of firing", width=420, height=300)


def correlation_histogram(recording: xr.Dataset, pairs: int = 2000) -> hv.Histogram:
    """Correlations of the spike counts, in bins of 50 ms, of random pairs of neurons.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `interval_histogram`, with `first_step` and `dt_ms`.
    pairs : int
        How many.

    Returns
    -------
    histogram : holoviews.Histogram

    Raises
    ------
    InputError
        No spikes were recorded, or there are too few.
    """
    step, neuron, _ = _spikes(recording)
    first = int(step.min(initial=0))
    width = max(1, round(50 / float(recording.attrs["dt_ms"])))
    n_steps = int(step.max(initial=0)) - first + 1
    r = analysis.pair_correlations(step - first, neuron, n_steps, width=width, pairs=pairs)
    heights, edges = np.histogram(r, BINS, range=(-1, 1))
    bars = style.histogram(edges, heights, CORRELATION, PAIRS, "", style.ENSEMBLE)
    title = f"Pairs, mean r {r.mean():.2f}"
    return style.panel(bars, title, width=420, height=300)


def rate_boxes(
    recording: xr.Dataset, bin_ms: float = 10.0, *, slots: bool = False
) -> hv.BoxWhisker:
    """Spread over time of the mean rate of all excitatory and of all inhibitory neurons.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`.
    bin_ms : float
    slots : bool
        One box for all populations of a name, such as a layer, instead of one for each kind.

    Returns
    -------
    boxes : holoviews.BoxWhisker
        Median, quartiles, whiskers at 1.5 times their distance.
    """
    kind, rate = [], []
    for label, values in _rates(recording, bin_ms, slots=slots).items():
        kind += [label] * values.size
        rate.append(values)
    boxes = hv.BoxWhisker((kind, np.concatenate(rate)), KIND, RATE)
    boxes.opts(backend="bokeh", box_fill_color="#9ec9e8", box_line_color="#1c2128")
    boxes.opts(backend="matplotlib", boxprops={"color": "#1c2128"})
    width = max(300, 60 * len(rate))
    return style.panel(boxes, f"Rates in bins of {bin_ms:g} ms", width=width, height=300)


def rate_spectrum(recording: xr.Dataset, bin_ms: float = 2.0) -> hv.Overlay:
    """Power spectrum of the mean rates, by Welch's method, windows of 1 s.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`.
    bin_ms : float
        Width of a bin of the rate: frequencies go up to half of one over it.

    Returns
    -------
    spectrum : holoviews.Overlay
        Power (Hz²/Hz) over frequency (Hz), both logarithmic.
    """
    layers = []
    looks = {label: look for label, look, _ in KINDS}
    for label, values in _rates(recording, bin_ms).items():
        frequency, power = analysis.spectrum(values, bin_ms / 1e3)
        layers.append(style.curve(frequency, power, FREQUENCY, POWER, label, looks[label]))
    return style.panel(
        hv.Overlay(layers), "Spectrum of the rate", width=420, height=300, logx=True, logy=True
    )


def rate_wavelet(
    recording: xr.Dataset, bin_ms: float = 2.0, band_hz: tuple[float, float] = (2.0, 100.0)
) -> hv.QuadMesh:
    """Power of the mean rate of the brain over time and frequency, by Morlet wavelets.

    Parameters
    ----------
    recording : xarray.Dataset
        As for `population_rates`.
    bin_ms : float
        Width of a bin of the rate.
    band_hz : tuple of float
        Lowest and highest frequency.

    Returns
    -------
    wavelet : holoviews.QuadMesh
        Power (Hz²) over time (s) and frequency (Hz, logarithmic).
    """
    recording = by_step(recording)
    n = _steps(recording, bin_ms)
    count = _binned(recording["spike_count"].sum("population"), n).compute().values
    bins = _bins(recording, n)
    rate = count / (bins.width_s * recording["size"].values.sum())
    top = min(band_hz[1], 0.45e3 / bin_ms)
    frequency = np.geomspace(band_hz[0], top, FREQUENCIES)
    power = analysis.wavelet_power(rate, bin_ms / 1e3, frequency)
    every = -(-rate.size // TIMES)
    picture = hv.QuadMesh((bins.centre_s[::every], frequency, power[:, ::every]),
                          [style.TIME, FREQUENCY], SQUARE)  # fmt: skip
    style.image(picture, cmap=style.SEQUENTIAL, clim=(0.0, float(np.quantile(power, 0.995)) or 1.0))
    picture.opts(backend="bokeh", line_color=None)
    marks = [f for f in MARKS if frequency[0] <= f <= frequency[-1]]
    return style.panel(
        picture, "Wavelet power of the mean rate", height=300, logy=True, yticks=marks
    )


def _rates(
    recording: xr.Dataset, bin_ms: float, *, slots: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Mean rate of each kind, or of each slot of populations, that is there, over time."""
    recording = by_step(recording)
    n = _steps(recording, bin_ms)
    bins = _bins(recording, n)
    excitatory = recording["excitatory"].values.astype(bool)
    names = np.where(excitatory, KINDS[0][0], KINDS[1][0])
    if slots:
        names = np.array([str(x).split()[-1] for x in recording["population_label"].values])
    found = {}
    for label in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero(names == label)
        neurons = recording["size"].values[mine].sum()
        if neurons:
            lazy = recording["spike_count"].isel(population=mine).sum("population")
            found[label] = _binned(lazy, n).compute().values / (bins.width_s * neurons)
    return found


def _spikes(
    recording: xr.Dataset,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Step, neuron and kind of the last spikes, of those of the populations that are there."""
    if "spike_neuron" not in recording:
        raise InputError("the recording has no spike_neuron; record spikes")
    first = max(0, recording.sizes["spike"] - READ)
    part = recording[["spike_step", "spike_neuron"]].isel(spike=slice(first, None)).compute()
    neuron = part["spike_neuron"].values
    start = recording["first_neuron"].values
    population = np.searchsorted(start, neuron, side="right") - 1
    inside = neuron < start[population] + recording["size"].values[population]
    inside &= population >= 0
    kind = recording["excitatory"].values[population].astype(bool)
    return part["spike_step"].values[inside], neuron[inside], kind[inside]
