"""BOLD over time: of a recording, or of an ensemble beside the measurement it was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.regions import chosen, region_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

BOLD = hv.Dimension("bold", label="BOLD", unit="1")

DEFAULT_PANELS = 4


def bold_traces(data: xr.Dataset, voxels: Sequence[int | str] | None = None) -> hv.Layout:
    """BOLD of regions over time, one panel a region.

    Parameters
    ----------
    data : xarray.Dataset
        A recording with `bold` (frame, voxel), or a posterior with `bold_observed` (frame, voxel),
        `bold_forecast` and perhaps `bold_free` (frame, member, voxel), all float, 1; coordinate
        `time_s` (frame).
    voxels : sequence of int or str, optional
        Indices or names of regions; without it four, evenly spread.

    Returns
    -------
    traces : holoviews.Layout
        Of a recording one curve each. Of a posterior the measurement as points, the mean forecast
        as a line in a band of one standard deviation of the members, and, where it is there, the
        mean of the same ensemble never updated.

    Raises
    ------
    InputError
        There is no BOLD, a region is not there, or more than 24 are asked for.
    """
    fitted = "bold_observed" in data
    if not fitted and "bold" not in data:
        raise InputError(f"no BOLD among {sorted(map(str, data.data_vars))}; record bold")
    names = region_names(data)
    shown = chosen(names, voxels, DEFAULT_PANELS)
    wanted = ["bold_observed", "bold_forecast", "bold_free"] if fitted else ["bold"]
    slices = data[[name for name in wanted if name in data]].isel(voxel=shown).compute()
    draw = _fit if fitted else _recorded
    panels = [
        style.panel(draw(slices.isel(voxel=i)), names[voxel], height=150, yticks=5)
        for i, voxel in enumerate(shown)
    ]
    return style.stack(panels)


def _recorded(region: xr.Dataset) -> hv.Overlay:
    time = region["time_s"].values
    look = style.ENSEMBLE
    curve = style.curve(time, region["bold"].values, style.TIME, BOLD, "Simulated", look)
    return hv.Overlay([curve])


def _fit(region: xr.Dataset) -> hv.Overlay:
    time = region["time_s"].values
    forecast = region["bold_forecast"]
    mean, spread = forecast.mean("member").values, deviation(forecast).values
    layers = [
        style.band(time, mean, spread, style.TIME, BOLD, "Forecast ± SD", style.ENSEMBLE),
        style.curve(time, mean, style.TIME, BOLD, "Forecast mean", style.ENSEMBLE),
    ]
    if "bold_free" in region:
        free = region["bold_free"].mean("member").values
        layers.append(style.curve(time, free, style.TIME, BOLD, "Free run mean", style.PRIOR))
    measured = hv.Scatter(
        (time, region["bold_observed"].values), style.TIME, BOLD, label="Measured"
    )
    return hv.Overlay([*layers, style.dots(measured, style.MEASURED, size=4)])


def deviation(ensemble: xr.DataArray) -> xr.DataArray:
    """Take the sample's standard deviation over members (0 for a single member).

    Parameters
    ----------
    ensemble : xarray.DataArray
        (..., member, ...) float, any unit.
    """
    return ensemble.std("member", ddof=min(1, ensemble.sizes["member"] - 1))
