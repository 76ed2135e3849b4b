"""The standard report: brain, activity, fit and twin experiment, whatever is there, in one page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dtbdask.assim.scores import fc_similarity
from dtbdask.errors import InputError
from dtbdask.viz.bold import bold_traces
from dtbdask.viz.comparison import fc_comparison
from dtbdask.viz.connectivity import (
    connectivity_matrix,
    functional_connectivity,
)
from dtbdask.viz.page import Figure, Row, Section, write_report
from dtbdask.viz.parameters import (
    parameter_error_curve,
    parameter_traces,
    twin_recovery,
)
from dtbdask.viz.rates import population_rates, rate_histogram, region_rates
from dtbdask.viz.sections import (
    brain_section,
    comparison_section,
    firing_figures,
    network_section,
    neuron_section,
    save_figures,
    skill_figures,
)
from dtbdask.viz.spikes import raster, span_ms
from dtbdask.viz.tables import activity_rows, connectome_rows, fit_rows, thinned, twin_rows
from dtbdask.viz.window import by_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr

    from dtbdask.graph.network import Network

RASTER_POINTS = 30_000
"""Spikes in the page; each costs some 60 bytes of it."""

RASTER_MS = 1000.0
"""Length of the raster, at the end of the recording."""

TIME_BINS = 200
"""Most time bins of the rate figures."""

IMAGE_CELLS = 200_000
"""Most cells of the image of region rates; of many voxels, time is binned more coarsely."""

FC_FRAMES = 20
"""Fewest frames from which functional connectivity is worth a look."""

MOST_PARAMETERS = 4
"""Most parameters whose course is drawn."""

FC_CEILING = "two people resemble each other with about 0.7"
"""Between-subject similarity of functional connectivity at rest: what a fit can hope for."""


def report(
    path: str | Path,
    *,
    brain: xr.Dataset | None = None,
    recording: xr.Dataset | None = None,
    posterior: xr.Dataset | None = None,
    twin: xr.Dataset | None = None,
    numbers: Sequence[Row] = (),
    title: str = "Whole-brain simulation",
    pictures: str | Path | None = None,
    network: Network | None = None,
    other: xr.Dataset | None = None,
) -> Path:
    """Write the standard report of a study as one self-contained HTML file.

    Parameters
    ----------
    path : path
        Ends in .html; a file there is replaced.
    brain : xarray.Dataset, optional
        Connectome, with `connection` (voxel, voxel_source) and perhaps `bold_rest` (frame, voxel).
    recording : xarray.Dataset, optional
        What a simulation recorded.
    posterior : xarray.Dataset, optional
        Fit to measured BOLD.
    twin : xarray.Dataset, optional
        Fit to BOLD of a hidden model, with `parameter_truth` (parameter, voxel).
    numbers : sequence of tuple
        Name, value and note of further lines of the overview.
    title : str
        Of the page.
    pictures : path, optional
        Folder to write every figure to as PNG too.
    network : Network, optional
        What was simulated.
    other : xarray.Dataset, optional
        Another recording of the same regions, to be compared.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    InputError
        No dataset was given, or one to compare with nothing, or the path cannot be a report.
    """
    given = {"brain": brain, "recording": recording, "posterior": posterior, "twin": twin}
    datasets = {name: data for name, data in given.items() if data is not None}
    if not datasets:
        raise InputError("nothing to report; give brain, recording, posterior or twin")
    if other is not None and recording is None:
        raise InputError("other is to be compared with a recording; give recording too")
    sections = [_overview(datasets, numbers)]
    if brain is not None:
        sections.append(_connectome(brain))
    if network is not None:
        sections.append(network_section(network))
    if brain is not None or recording is not None:
        space = brain_section(brain, recording)
        sections += [space] if space else []
    if recording is not None:
        sections += _of_recording(recording, brain, other)
    if posterior is not None:
        sections.append(_fit(posterior))
    if twin is not None:
        sections.append(_twin(twin))
    sections.append(_provenance(datasets))
    if pictures is not None:
        save_figures(sections, pictures)
    return write_report(path, title=title, sections=sections, footer="Made with dtbdask.")


def _of_recording(
    recording: xr.Dataset, brain: xr.Dataset | None, other: xr.Dataset | None
) -> list[Section]:
    """Sections on a simulation, as far as it was recorded."""
    sections = []
    if {"spike_count", "bin_spike_count", "spike_neuron"} & set(recording):
        sections.append(_activity(recording))
    if driven := neuron_section(recording):
        sections.append(driven)
    if "bold" in recording:
        sections.append(_simulated_bold(recording, brain))
    if other is not None:
        sections.append(comparison_section(recording, other))
    return sections


def _overview(datasets: Mapping[str, xr.Dataset], numbers: Sequence[Row]) -> Section:
    rows: list[Row] = [
        (name.capitalize(), _sizes(data), _MEANING[name]) for name, data in datasets.items()
    ]
    prose = (
        "Figures are interactive: drag to pan, use the tools above each figure to zoom, point at "
        "it to read names and values, and click a name in a legend to dim that series.",
    )
    return Section("Overview", prose, [*rows, *numbers])


def _sizes(data: xr.Dataset) -> str:
    told = [(str(name), n) for name, n in data.sizes.items() if name in _COUNTED]
    return ", ".join(f"{n:,} {name}{'' if n == 1 else 's'}" for name, n in told)


_COUNTED = ("voxel", "population", "parameter", "member", "step", "frame", "spike")

_MEANING = {
    "brain": "regions, their fibres and their measured BOLD",
    "recording": "what the simulation left behind",
    "posterior": "ensemble fitted to measured BOLD",
    "twin": "ensemble fitted to BOLD of a hidden model whose parameters are known",
}


def _connectome(brain: xr.Dataset) -> Section:
    shown, remark = thinned(brain)
    figures: list[Figure] = [
        (
            connectivity_matrix(shown),
            "Structural connectivity on a logarithmic scale: row the target, column the source, "
            f"grey where there is no fibre. {remark}",
        )
    ]
    if "bold_rest" in brain:
        figures.append(
            (
                functional_connectivity(shown),
                "Functional connectivity: correlation of the measured BOLD of every two regions. "
                f"{remark}",
            )
        )
    prose = ("Who is connected with whom, and whose measured activity goes together.",)
    return Section("Connectome", prose, connectome_rows(brain), figures)


def _activity(recording: xr.Dataset) -> Section:
    rows: list[Row] = []
    figures: list[Figure] = [_raster(recording)] if recording.sizes.get("spike", 0) else []
    if {"spike_count", "bin_spike_count"} & set(recording):
        counted = by_step(recording)
        rows = activity_rows(counted)
        bin_ms = _bin_ms(counted)
        figures += [
            (
                population_rates(counted, bin_ms),
                "Mean firing rate over time of all excitatory (solid) and all inhibitory (dashed) "
                "neurons.",
            ),
            (region_rates(counted, bin_ms), "Mean firing rate of each region (down) over time."),
            (rate_histogram(counted), "How many populations fire at which mean rate."),
            *firing_figures(recording),
        ]
    prose = ("How the network fires: single neurons, the whole brain, regions and populations.",)
    return Section("Activity", prose, rows, figures)


def _bin_ms(recording: xr.Dataset) -> float:
    """Width of a time bin that keeps the image of region rates within `IMAGE_CELLS`."""
    n_voxels = int(recording["population_voxel"].max()) + 1
    n_bins = min(TIME_BINS, max(1, IMAGE_CELLS // n_voxels))
    steps = -(-recording.sizes["step"] // n_bins)
    return float(steps * recording.attrs["dt_ms"])


def _raster(recording: xr.Dataset) -> Figure:
    start, stop = span_ms(recording)
    window_ms = (max(start, stop - RASTER_MS), stop)
    return (
        raster(recording, max_points=RASTER_POINTS, window_ms=window_ms),
        f"Spikes of the last {stop - window_ms[0]:,.0f} ms: a point for every spike of the neurons "
        "shown, in bands of regions; circles excitatory, triangles inhibitory.",
    )


def _simulated_bold(recording: xr.Dataset, brain: xr.Dataset | None) -> Section:
    figures: list[Figure] = [
        (bold_traces(recording), "Simulated BOLD of four regions, evenly spread.")
    ]
    rows: list[Row] = []
    n_frames, n_voxels = recording["bold"].shape
    if n_frames >= FC_FRAMES:
        shown, remark = thinned(recording[["bold"]])
        caption = f"Functional connectivity of the simulated BOLD. {remark}"
        if brain is None or brain.sizes["voxel"] != n_voxels or "bold_rest" not in brain:
            figures.append((functional_connectivity(shown), caption))
        else:
            there, _ = thinned(brain[["bold_rest"]])
            caption = f"Functional connectivity: simulated, measured, difference. {remark}"
            figures.append((fc_comparison(shown["bold"], there["bold_rest"]), caption))
        if brain is not None and brain.sizes["voxel"] == n_voxels and "bold_rest" in brain:
            measured, _ = thinned(brain[["bold_rest"]])
            similarity = fc_similarity(shown["bold"].values, measured["bold_rest"].values)
            rows.append(("Similarity of functional connectivity", similarity, FC_CEILING))
    prose = ("What a scanner would see of the simulated activity.",)
    return Section("Simulated BOLD", prose, rows, figures)


def _fit(posterior: xr.Dataset) -> Section:
    figures: list[Figure] = [
        (
            bold_traces(posterior),
            "Measured BOLD (points) and the ensemble's forecast of it before each observation was "
            "used: mean (line) and one standard deviation (band)"
            + (", beside the same ensemble never updated (dashed)." if "bold_free" in posterior
               else "."),
        )
    ]  # fmt: skip
    figures += [
        (
            parameter_traces(posterior, str(name)),
            f"{name}: mean of the ensemble in a band of one standard deviation, bounds dotted"
            + (", truth dashed." if "parameter_truth" in posterior else "."),
        )
        for name in posterior["parameter"].values[:MOST_PARAMETERS]
    ]
    figures += skill_figures(posterior)
    prose = (
        "BOLD is so smooth that predictors without any model score high; the forecast is to be "
        "read beside them, and no score of a forecast alone is evidence for the model.",
    )
    return Section("BOLD and fit", prose, fit_rows(posterior), figures)


def _twin(twin: xr.Dataset) -> Section:
    figures: list[Figure] = [
        (
            twin_recovery(twin),
            "Estimated against true parameter of every region: hollow triangles before, full "
            "circles after the fit; on the dashed line they agree.",
        ),
        (
            parameter_error_curve(twin),
            "Error of the ensemble mean over time (solid), beside that of the prior ensemble, "
            "never updated (dashed).",
        ),
        (
            bold_traces(twin),
            "BOLD of the hidden model (points) and the forecast of the ensemble (line and band).",
        ),
    ]
    prose = (
        "A hidden model with known parameters made the observations; the ensemble, which does not "
        "know them, has to find them. Only here can an estimate be compared with the truth.",
    )
    return Section("Twin experiment", prose, twin_rows(twin), figures)


def _provenance(datasets: Mapping[str, xr.Dataset]) -> Section:
    rows: list[Row] = [
        (f"{name}: {key}", _text(value), "")
        for name, data in datasets.items()
        for key, value in data.attrs.items()
    ]
    prose = ("What the datasets say of themselves.",) if rows else ("The datasets say nothing.",)
    return Section("Provenance", prose, rows)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
