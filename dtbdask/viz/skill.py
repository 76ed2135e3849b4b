"""Whether an ensemble knows how wrong it is: innovations, spread and error, ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np

from dtbdask.assim.scores import rank_histogram, spread_skill
from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.bold import deviation

if TYPE_CHECKING:
    import xarray as xr

INNOVATION = hv.Dimension("innovation", label="Measured less forecast", unit="SD of BOLD")
SPREAD = hv.Dimension("spread", label="Spread and error", unit="BOLD")
RANK = hv.Dimension("rank", label="Members below the measurement")
CASES = hv.Dimension("cases", label="Cases")


def innovations(posterior: xr.Dataset) -> hv.Overlay:
    """What the forecast missed in each frame: mean over regions in a band of their spread.

    Parameters
    ----------
    posterior : xarray.Dataset
        `bold_observed` (frame, voxel) and `bold_forecast` (frame, member, voxel).

    Returns
    -------
    innovations : holoviews.Overlay
        In standard deviations of the measured BOLD, over time (s); dotted 0.

    Raises
    ------
    InputError
        No frame is there.
    """
    fit = _frames(posterior)
    time = fit["time_s"].values
    scale = float(fit["bold_observed"].std()) or 1.0
    missed = (fit["bold_observed"] - fit["bold_forecast"].mean("member")) / scale
    mean, spread = missed.mean("voxel").values, missed.std("voxel").values
    layers = [
        style.band(time, mean, spread, style.TIME, INNOVATION, "Regions ± SD", style.ENSEMBLE),
        style.curve(time, mean, style.TIME, INNOVATION, "Mean of regions", style.ENSEMBLE),
        style.curve(time, np.zeros(time.size), style.TIME, INNOVATION, "No error", style.BOUND),
    ]
    return style.panel(hv.Overlay(layers), "Innovations")


def spread_and_error(posterior: xr.Dataset) -> hv.Overlay:
    """Spread of the ensemble beside the error of its mean, frame by frame.

    Parameters
    ----------
    posterior : xarray.Dataset
        As for `innovations`, of two members or more.

    Returns
    -------
    curves : holoviews.Overlay
        Root mean squares over regions; where they agree, the ensemble is as wrong as it says.

    Raises
    ------
    InputError
        No frame is there.
    """
    fit = _frames(posterior)
    time = fit["time_s"].values
    forecast, observed = fit["bold_forecast"], fit["bold_observed"]
    spread = np.sqrt((deviation(forecast) ** 2).mean("voxel").values)
    error = np.sqrt(((forecast.mean("member") - observed) ** 2).mean("voxel").values)
    layers = [
        style.curve(time, error, style.TIME, SPREAD, "Error of the mean", style.MEASURED),
        style.curve(time, spread, style.TIME, SPREAD, "Spread of members", style.PRIOR),
    ]
    ratio = spread_skill(forecast.transpose("frame", "member", "voxel").values, observed.values)
    return style.panel(hv.Overlay(layers), f"Spread over error: {ratio:.2f} (1 is reliable)")


def rank_bars(posterior: xr.Dataset) -> hv.Overlay:
    """How often the measurement fell between which members.

    Parameters
    ----------
    posterior : xarray.Dataset
        As for `innovations`, of two members or more.

    Returns
    -------
    histogram : holoviews.Overlay
        Cases by rank, and dotted the flat line of a reliable ensemble: a bowl is too narrow an
        ensemble, a hill too wide a one.

    Raises
    ------
    InputError
        No frame is there.
    """
    fit = _frames(posterior)
    forecast = fit["bold_forecast"].transpose("frame", "member", "voxel").values
    count, _ = rank_histogram(forecast, fit["bold_observed"].values)
    edges = np.arange(count.size + 1) - 0.5
    bars = style.histogram(edges, count, RANK, CASES, "Measurements", style.ENSEMBLE)
    flat = np.full(2, count.mean())
    line = style.curve(edges[[0, -1]], flat, RANK, CASES, "Reliable", style.BOUND)
    return style.panel(bars * line, "Rank histogram", width=420, height=280)


def _frames(posterior: xr.Dataset) -> xr.Dataset:
    if not posterior.sizes["frame"] or posterior.sizes["member"] < 2:
        raise InputError(
            f"{posterior.sizes['frame']} frames of {posterior.sizes['member']} members are there; "
            "give one frame or more of two members or more"
        )
    return posterior[["bold_observed", "bold_forecast"]].compute()
