"""Further sections of the standard report: the brain in space, neurons, a network, two runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.viz.anatomy import region_xyz
from dtbdask.viz.brain import brain_points, glass_brain
from dtbdask.viz.comparison import fc_comparison, rate_scatter
from dtbdask.viz.export import save
from dtbdask.viz.film import brain_film
from dtbdask.viz.matrices import MatrixSource, draw_matrix, voxel_matrix
from dtbdask.viz.network import degree_histogram, weight_histogram
from dtbdask.viz.page import Figure, Section
from dtbdask.viz.regions import region_names
from dtbdask.viz.skill import innovations, rank_bars, spread_and_error
from dtbdask.viz.slices import brain_slices, on_grid
from dtbdask.viz.statistics import interval_histogram, rate_boxes, rate_spectrum, rate_wavelet
from dtbdask.viz.tables import difference_rows, thinned
from dtbdask.viz.traces import (
    MEANS,
    membrane_traces,
    neuron_currents,
    receptor_currents,
    region_means,
)
from dtbdask.viz.window import by_step, rates_of_voxels, rates_over_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from holoviews.core import Dimensioned

    from dtbdask.graph.network import Network

RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
FIBRES = hv.Dimension("fibres", label="ln(1 + fibres) in all", unit="1")
SYNAPSES = hv.Dimension("synapses", label="Synapses", unit="expected")
COUNTED = {"spike_count", "bin_spike_count"}
EDGES = 150
FRAMES = 40
"""Most moments of the brain over time."""
CELLS = 200_000
"""Most values of a film, and of an image of means."""
TRACE_LOOKS = 2000
"""Most moments of a course, the last ones."""
FEWEST_FRAMES = 3
"""Frames that a correlation needs."""
LONGEST_S = 60.0
"""Time of which a spectrum and a wavelet are taken, at the end of a recording."""
SHORTEST = 100
"""Bins of a rate that are too few for a spectrum."""
BIN_MS = 2.0


def brain_section(brain: xr.Dataset | None, recording: xr.Dataset | None) -> Section | None:
    """The brain in space, coloured by rates, or by fibres where nothing was simulated.

    Parameters
    ----------
    brain, recording : xarray.Dataset or None

    Returns
    -------
    Section or None
        None where nobody knows where the regions lie.
    """
    with_places = brain if brain is not None else recording
    assert with_places is not None
    try:
        xyz = region_xyz(with_places)
    except InputError:
        return None
    if recording is not None and COUNTED & set(recording):
        values, value = rates_of_voxels(recording), RATE
    elif brain is not None:
        total = brain["connection"].sum("voxel_source").values
        values, value = np.log1p(total), FIBRES
    else:
        return None
    if len(xyz) != len(values):
        return None
    names = region_names(with_places)
    connection = None if brain is None else brain["connection"].values
    figures: list[Figure] = [
        (_moving(recording, values, xyz, names, value), f"{value.label} of every region; drag to "
         "turn the brain." + (" The slider goes through time." if recording is not None else "")),
        (
            glass_brain(values, xyz, names, value, connection=connection, edges=EDGES),
            "The same from above, from the left and from behind"
            + (f", with the {EDGES} strongest connections." if brain is not None else "."),
        ),
    ]  # fmt: skip
    if on_grid(xyz):
        figures.append((brain_slices(values, xyz, value), "Slices through the middle."))
    return Section("The brain", ("Where it happens.",), (), figures)


def _moving(
    recording: xr.Dataset | None, values: NDArray[np.float64], xyz: NDArray[np.float64],
    names: Sequence[str], value: hv.Dimension,
) -> Dimensioned:  # fmt: skip
    """The brain over the time of a recording, or as it is where there is none."""
    dress: dict[str, Any] = {"title": value.label, "azimuth_deg": 35}
    most = min(FRAMES, CELLS // values.size)
    if recording is None or not COUNTED & set(recording) or most < 2:
        return brain_points(values, xyz, names, value, **dress)
    time_s, moving = rates_over_time(recording, most)
    return brain_film(moving, time_s, xyz, names, value, **dress)


def neuron_section(recording: xr.Dataset) -> Section | None:
    """Membranes and currents, as far as they were recorded.

    Parameters
    ----------
    recording : xarray.Dataset
        Perhaps with `sample_v`, `sample_current`, `receptor_current`, `v_mean`, `current_mean`.

    Returns
    -------
    Section or None
        None where nothing of it was recorded.
    """
    figures: list[Figure] = []
    if "sample_v" in recording:
        last = _last(recording, "look", TRACE_LOOKS)
        figures += [
            (membrane_traces(last), "Membrane potential of sampled neurons."),
            (neuron_currents(last), "Currents into the same neurons, of all synapses and of the "
             "background."),
        ]  # fmt: skip
    if "receptor_current" in recording:
        caption = "Current of each receptor, mean over the neurons of a region."
        figures.append((receptor_currents(_last(recording, "bin", TRACE_LOOKS)), caption))
    for name, (value, _) in MEANS.items():
        if name in recording:
            every = max(1, recording[name].size // CELLS)
            shown = recording.isel(bin=slice(None, None, every))
            shown = shown.assign_attrs(bin_steps=recording.attrs["bin_steps"] * every)
            figures.append((region_means(shown, name), f"{value.label} of every region over time."))
    return Section("Neurons", ("What drives them.",), (), figures) if figures else None


def _last(recording: xr.Dataset, dim: str, n: int) -> xr.Dataset:
    return recording.isel({dim: slice(-n, None)})


def network_section(network: Network) -> Section:
    """Synapses between regions, degrees and weights of a network.

    Parameters
    ----------
    network : Network
    """
    source = MatrixSource(voxel_matrix(network))
    n = len(network.labels)
    whole = (-0.5, n - 0.5)
    matrix = draw_matrix(source, SYNAPSES, rows=whole, columns=whole, names=network.labels,
                         title="Synapses")  # fmt: skip
    rows = [("Neurons", network.n_neurons, ""), ("Synapses", network.n_synapses, "")]
    figures: list[Figure] = [
        (matrix, "Expected number of synapses: row the target, column the source."),
        (degree_histogram(network), "Synapses on neurons, and of neurons."),
        (weight_histogram(network), "Weights, of the synapses that are stored first."),
    ]
    return Section("Network", ("What was built.",), rows, figures)


def comparison_section(one: xr.Dataset, other: xr.Dataset) -> Section:
    """What differs between two recordings of the same regions.

    Parameters
    ----------
    one, other : xarray.Dataset
        With rates, or BOLD, or both.
    """
    figures: list[Figure] = []
    if COUNTED & set(one) and COUNTED & set(other):
        figures.append((rate_scatter(one, other), "Mean rate of every region in both runs; on the "
                        "dashed line they agree."))  # fmt: skip
    if all("bold" in data and data.sizes["frame"] >= FEWEST_FRAMES for data in (one, other)):
        first, second = (thinned(data[["bold"]])[0]["bold"] for data in (one, other))
        figures.append((fc_comparison(first, second, ("One run", "Other run")),
                        "Functional connectivity of both, and their difference."))  # fmt: skip
    return Section("Two runs", ("What is not the same.",), difference_rows(one, other), figures)


def firing_figures(recording: xr.Dataset) -> list[Figure]:
    """Statistics of firing, as far as a recording is long enough.

    Parameters
    ----------
    recording : xarray.Dataset
        `spike_count` (step, population) or `bin_spike_count`, and perhaps spikes.
    """
    figures: list[Figure] = []
    if recording.sizes.get("spike", 0):
        figures.append((
            interval_histogram(recording),
            "Coefficient of variation of the intervals between spikes, neuron by neuron: 0 for a "
            "clock, 1 for a Poisson process.",
        ))  # fmt: skip
    counted = by_step(recording)
    dt = float(counted.attrs["dt_ms"])
    bin_ms = max(1, round(BIN_MS / dt)) * dt
    last = counted.isel(step=slice(-round(LONGEST_S * 1e3 / dt), None))
    if last.sizes["step"] * dt / bin_ms < SHORTEST:
        return figures
    return [
        *figures,
        (rate_boxes(last, max(1, round(10 / dt)) * dt), "Spread of the mean rates over time."),
        (rate_spectrum(last, bin_ms), "Power spectrum of the mean rates, by Welch's method."),
        (rate_wavelet(last, bin_ms), "Power of the mean rate over time and frequency."),
    ]


def skill_figures(posterior: xr.Dataset) -> list[Figure]:
    """Whether the ensemble knows how wrong it is.

    Parameters
    ----------
    posterior : xarray.Dataset
        `bold_observed` (frame, voxel) and `bold_forecast` (frame, member, voxel).
    """
    if posterior.sizes["frame"] < 2 or posterior.sizes["member"] < 2:
        return []
    return [
        (innovations(posterior), "What the forecast missed: mean of the regions and their spread."),
        (spread_and_error(posterior), "Error of the forecast beside the ensemble's spread."),
        (rank_bars(posterior), "Rank of the measurement among the members; flat is reliable."),
    ]


def save_figures(sections: Sequence[Section], folder: str | Path) -> list[Path]:
    """Write the figures of a report as PNG.

    Parameters
    ----------
    sections : sequence of Section
    folder : path
        Made if it is not there; files of the same names are replaced.

    Returns
    -------
    list of pathlib.Path
        Named by section and number.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for section in sections:
        name = re.sub(r"\W+", "-", section.title.lower()).strip("-")
        for i, (picture, _) in enumerate(section.figures, 1):
            made.append(save(picture, folder / f"{name}-{i}.png"))
    return made
