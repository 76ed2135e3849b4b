"""The numbers of the standard report: sizes, rates, scores beside their baselines, twin errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtbdask.assim.scores import FIRST, correlation, fc_similarity, forecast_scores, rmse
from dtbdask.brain.connectome import functional_connectivity
from dtbdask.viz.parameters import log_error

if TYPE_CHECKING:
    import xarray as xr

    from dtbdask.viz.page import Row

Floats = NDArray[np.float64]

LONGEST = 300
"""Most letters of an attribute that is told."""

MOST_VOXELS = 400
"""Most voxels of a matrix or score; of more, every second, third ... is taken."""


def connectome_rows(brain: xr.Dataset) -> list[Row]:
    """Size and density of a connectome, and how far its structure tells its function.

    Parameters
    ----------
    brain : xarray.Dataset
        `connection` (voxel, voxel_source) and perhaps `bold_rest` (frame, voxel).
    """
    connection = brain["connection"].values
    density = float((connection > 0).mean())
    rows: list[Row] = [
        ("Regions", brain.sizes["voxel"], ""),
        ("Connected pairs", f"{density:.1%}", "share of all ordered pairs with any fibre"),
        ("Strongest connection", float(connection.max()), "fibres"),
    ]
    if "bold_rest" in brain:
        shown, remark = thinned(brain)
        r = _structure_function(shown["connection"].values, shown["bold_rest"].values)
        note = f"r of ln(1 + fibres) with functional connectivity. {remark}"
        rows.append(("Structure against function", r, note))
    return rows


def activity_rows(recording: xr.Dataset) -> list[Row]:
    """Neurons, time, spikes and mean rates of a recording.

    Parameters
    ----------
    recording : xarray.Dataset
        `spike_count` (step, population) with `size` and `excitatory` (population).
    """
    seconds = recording.sizes["step"] * recording.attrs["dt_ms"] / 1e3
    count = recording["spike_count"].sum("step").compute().values
    size = recording["size"].values
    excitatory = recording["excitatory"].values.astype(bool)
    rows: list[Row] = [
        ("Neurons", int(size.sum()), f"in {len(size):,} populations"),
        ("Time", f"{seconds:g} s", f"{recording.sizes['step']:,} steps"),
        ("Spikes", int(count.sum()), "of all neurons"),
    ]
    for name, kind in (("Excitatory", excitatory), ("Inhibitory", ~excitatory)):
        if size[kind].sum():
            rate = float(count[kind].sum() / (size[kind].sum() * seconds))
            rows.append((f"{name} rate", f"{rate:.3g} Hz", "mean over neurons and time"))
    return rows


def fit_rows(posterior: xr.Dataset) -> list[Row]:
    """Put the forecast of a fit beside predictors that need no model.

    Parameters
    ----------
    posterior : xarray.Dataset
        `bold_observed` (frame, voxel), `bold_forecast` and perhaps `bold_free`
        (frame, member, voxel).
    """
    rows: list[Row] = [
        ("Method", str(posterior.attrs.get("method", "not stated")), ""),
        ("Members", posterior.sizes["member"], ""),
        ("Frames", posterior.sizes["frame"], f"{posterior.attrs.get('tr_s', 0):g} s each"),
    ]
    enough = posterior.sizes["frame"] > FIRST and posterior.sizes["member"] > 1
    if enough and posterior.sizes["voxel"] > 1:
        names = ("bold_observed", "bold_forecast", "bold_free")
        kept, remark = thinned(posterior[[name for name in names if name in posterior]])
        rows += _scores(kept.compute(), remark)
    return rows


def twin_rows(twin: xr.Dataset) -> list[Row]:
    """Error of each parameter after the fit, and of the prior ensemble.

    Parameters
    ----------
    twin : xarray.Dataset
        `parameter_value` (frame, member, parameter, voxel), `parameter_truth` (parameter, voxel)
        and perhaps `parameter_prior` (member, parameter, voxel).
    """
    rows: list[Row] = []
    last = twin["parameter_value"].isel(frame=-1).mean("member").compute()
    for name in twin["parameter"].values:
        truth = twin["parameter_truth"].sel(parameter=name)
        after = float(log_error(last.sel(parameter=name), truth))
        note = "RMS of ln(estimate / truth) over regions, last frame"
        if "parameter_prior" in twin:
            prior = twin["parameter_prior"].sel(parameter=name).mean("member")
            note += f"; of the prior {float(log_error(prior, truth)):.3g}"
        rows.append((f"Error of {name}", f"{after:.3g}", note))
    return rows


def thinned(data: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Take every k-th voxel where there are too many, and say so.

    Parameters
    ----------
    data : xarray.Dataset
        With a dimension `voxel`, perhaps `voxel_source`.

    Returns
    -------
    thinned : xarray.Dataset
        At most `MOST_VOXELS` voxels.
    remark : str
        How many are left, or nothing where all are.
    """
    step = -(-data.sizes["voxel"] // MOST_VOXELS)
    if step == 1:
        return data, ""
    every = slice(None, None, step)
    kept = data.isel({name: every for name in ("voxel", "voxel_source") if name in data.sizes})
    return kept, f"Of {kept.sizes['voxel']} of {data.sizes['voxel']} voxels, evenly spread."


def _structure_function(connection: Floats, bold: Floats) -> float:
    upper = np.triu_indices(len(connection), k=1)
    fibres = np.log1p((connection + connection.T)[upper])
    pairs = functional_connectivity(bold).values[upper]
    return float(correlation(fibres[:, None], pairs[:, None])[0])


def _scores(fit: xr.Dataset, remark: str) -> list[Row]:
    observed = fit["bold_observed"].values
    scores = forecast_scores(fit["bold_forecast"].values, observed)
    rows: list[Row] = [
        (f"{label}: r, RMSE", f"{scores['r' + key]:.3f}, {scores['rmse' + key]:.3g}", note)
        for label, key, note in (
            ("Forecast", "", f"mean of the ensemble. {remark}"),
            ("Persistence", "_persistence", "the last measured value"),
            ("Extrapolation", "_linear_extrapolation", "the line through the last two values"),
            ("Other regions", "_mean_of_others", "mean of all other regions in the same frame"),
        )
    ]
    if "bold_free" in fit:
        free, truth = fit["bold_free"].mean("member").values[FIRST:], observed[FIRST:]
        value = f"{correlation(free, truth).mean():.3f}, {rmse(free, truth).mean():.3g}"
        rows.append(("Free run: r, RMSE", value, "mean of the prior ensemble, never updated"))
    rows.append(("Spread over error", f"{scores['spread_over_rmse']:.3g}", "1 if reliable"))
    return rows


def difference_rows(one: xr.Dataset, other: xr.Dataset) -> list[Row]:
    """What two recordings do not say alike, and how alike their functional connectivity is.

    Parameters
    ----------
    one, other : xarray.Dataset
        Recordings of the same regions.
    """
    rows: list[Row] = []
    for key in sorted(set(one.attrs) | set(other.attrs)):
        first, second = (told(data.attrs.get(key, "absent")) for data in (one, other))
        if first != second:
            rows.append((key, first, second))
    if all("bold" in data and data.sizes["frame"] > FIRST for data in (one, other)):
        r = fc_similarity(*(thinned(data[["bold"]])[0]["bold"].values for data in (one, other)))
        rows.append(("similarity of functional connectivity", r, "r over pairs of regions"))
    return rows or [("nothing", "", "the runs have the same recipe")]


def told(value: object) -> str:
    """An attribute as text that is not too long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < LONGEST else f"{text[:LONGEST]} ..."
