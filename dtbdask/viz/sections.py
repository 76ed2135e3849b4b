"""Further figures of the standard report: the brain in space, statistics of firing, skill."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np

from dtbdask.errors import InputError
from dtbdask.viz.anatomy import region_xyz
from dtbdask.viz.brain import brain_points, glass_brain
from dtbdask.viz.export import save
from dtbdask.viz.page import Figure, Section
from dtbdask.viz.regions import region_names
from dtbdask.viz.skill import innovations, rank_bars, spread_and_error
from dtbdask.viz.statistics import interval_histogram, rate_boxes, rate_spectrum, rate_wavelet
from dtbdask.viz.window import rates_of_voxels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
FIBRES = hv.Dimension("fibres", label="ln(1 + fibres) in all", unit="1")
EDGES = 150
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
    if recording is not None and "spike_count" in recording:
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
        (
            brain_points(values, xyz, names, value, title=value.label, azimuth_deg=35),
            f"{value.label} of every region; drag to turn the brain.",
        ),
        (
            glass_brain(values, xyz, names, value, connection=connection, edges=EDGES),
            "The same from above, from the left and from behind"
            + (f", with the {EDGES} strongest connections." if brain is not None else "."),
        ),
    ]  # fmt: skip
    return Section("The brain", ("Where it happens.",), (), figures)


def firing_figures(recording: xr.Dataset) -> list[Figure]:
    """Statistics of firing, as far as a recording is long enough.

    Parameters
    ----------
    recording : xarray.Dataset
        `spike_count` (step, population), and perhaps spikes.
    """
    figures: list[Figure] = []
    if recording.sizes.get("spike", 0):
        figures.append((
            interval_histogram(recording),
            "Coefficient of variation of the intervals between spikes, neuron by neuron: 0 for a "
            "clock, 1 for a Poisson process.",
        ))  # fmt: skip
    dt = float(recording.attrs["dt_ms"])
    bin_ms = max(1, round(BIN_MS / dt)) * dt
    last = recording.isel(step=slice(-round(LONGEST_S * 1e3 / dt), None))
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
