"""What a fit says of parameters: their course, and in a twin experiment how near the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import xarray as xr

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.bold import DEFAULT_PANELS, deviation
from dtbdask.viz.regions import chosen, region_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holoviews.core import Dimensioned
    from numpy.typing import NDArray

REGION = hv.Dimension("region", label="Region")
ERROR = hv.Dimension("error", label="RMS log error", unit="1")


def parameter_traces(
    posterior: xr.Dataset, parameter: str, voxels: Sequence[int | str] | None = None
) -> hv.Layout:
    """Draw a parameter in regions over frames, one panel a region.

    Parameters
    ----------
    posterior : xarray.Dataset
        `parameter_value` (frame, member, parameter, voxel) float; perhaps `parameter_truth`
        (parameter, voxel); coordinates `parameter` and `time_s` (frame); attribute `bounds`.
    parameter : str
        Name of the parameter.
    voxels : sequence of int or str, optional
        Indices or names of regions; without it four, evenly spread.

    Returns
    -------
    traces : holoviews.Layout
        Mean of the members in a band of one standard deviation; dotted the bounds, dashed, in a
        twin experiment, the truth.

    Raises
    ------
    InputError
        The parameter or a region is not there, or more than 24 regions are asked for.
    """
    _check(posterior, parameter)
    names = region_names(posterior)
    shown = chosen(names, voxels, DEFAULT_PANELS)
    wanted = [name for name in ("parameter_value", "parameter_truth") if name in posterior]
    slices = posterior[wanted].sel(parameter=parameter).isel(voxel=shown).compute()
    bounds = parameter_bounds(posterior).get(parameter, ())
    value = _dimension(posterior, parameter)
    panels = [
        style.panel(_trace(slices.isel(voxel=i), value, bounds), names[voxel], height=150, yticks=5)
        for i, voxel in enumerate(shown)
    ]
    return style.stack(panels)


def twin_recovery(posterior: xr.Dataset) -> hv.Layout:
    """Estimated against true parameter of every region, before and after the fit.

    Parameters
    ----------
    posterior : xarray.Dataset
        `parameter_value` (frame, member, parameter, voxel), `parameter_truth` (parameter, voxel)
        and perhaps `parameter_prior` (member, parameter, voxel), all float.

    Returns
    -------
    recovery : holoviews.Layout
        One panel a parameter: hollow triangles the mean of the prior ensemble, full circles the
        mean of the ensemble in the last frame, dashed the line on which estimate and truth agree.

    Raises
    ------
    InputError
        There is no truth: it was no twin experiment.
    """
    _check_truth(posterior)
    means = {"Posterior": posterior["parameter_value"].isel(frame=-1).mean("member")}
    if "parameter_prior" in posterior:
        means = {"Prior": posterior["parameter_prior"].mean("member"), **means}
    data = xr.Dataset({**means, "truth": posterior["parameter_truth"]}).compute()
    names = np.asarray(region_names(posterior))
    panels = [
        _recovery(data.sel(parameter=parameter), _dimension(posterior, parameter), names)
        for parameter in data["parameter"].values
    ]
    return style.stack(panels, columns=2)


def parameter_error_curve(posterior: xr.Dataset) -> hv.Overlay:
    """Error of the ensemble mean over frames, beside that of the prior ensemble, never updated.

    The error is the root mean square over regions of ln(estimate / truth): 0.1 means 10 % off.

    Parameters
    ----------
    posterior : xarray.Dataset
        As for `twin_recovery`, with the coordinate `time_s` (frame).

    Returns
    -------
    errors : holoviews.Overlay
        Two curves a parameter, with markers: solid the fit, dashed the prior.

    Raises
    ------
    InputError
        There is no truth, or a value is not positive.
    """
    _check_truth(posterior)
    means = {"Fit": posterior["parameter_value"].mean("member")}
    if "parameter_prior" in posterior:
        means["Prior"] = posterior["parameter_prior"].mean("member")
    data = xr.Dataset({**means, "truth": posterior["parameter_truth"]}).compute()
    time = posterior["time_s"].values
    layers = []
    for i, parameter in enumerate(data["parameter"].values):
        one = data.sel(parameter=parameter)
        look = style.CYCLE[i % len(style.CYCLE)]
        error = log_error(one["Fit"], one["truth"])
        layers += _marked(time, error, f"{parameter}, fit", look)
        if "Prior" in one:
            error = np.full(2, log_error(one["Prior"], one["truth"]))
            layers += _marked(
                time[[0, -1]], error, f"{parameter}, prior", replace(look, dash="dashed")
            )
    picture = hv.Overlay(layers)
    return style.panel(picture, "Error of the estimated parameters", ylim=(0, None))


def _marked(
    time: NDArray[np.float64], error: NDArray[np.float64], label: str, look: style.Look
) -> list[Dimensioned]:
    """Draw a line with markers; Matplotlib's legend shows those of the line, Bokeh's the others."""
    line = style.curve(time, error, style.TIME, ERROR, label, look)
    line.opts(backend="matplotlib", marker=style.MARKER[look.marker], ms=5)
    markers = hv.Scatter((time, error), style.TIME, ERROR, label=label)
    return [line, style.dots(markers, look, hollow=look.dash == "dashed")]


def parameter_bounds(posterior: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Bounds of the parameters, from the attribute `bounds` (a mapping or its JSON)."""
    bounds = posterior.attrs.get("bounds", {})
    bounds = json.loads(bounds) if isinstance(bounds, str) else bounds
    return {str(name): (float(low), float(high)) for name, (low, high) in bounds.items()}


def log_error(estimate: xr.DataArray, truth: xr.DataArray) -> NDArray[np.float64]:
    """Root mean square over voxels of ln(estimate / truth); 0.1 means 10 % off.

    Parameters
    ----------
    estimate : xarray.DataArray
        (..., voxel) float, any unit, positive.
    truth : xarray.DataArray
        (voxel,) float, unit of the estimate, positive.

    Returns
    -------
    error : ndarray
        (...) float64, 1.

    Raises
    ------
    InputError
        A value is not positive.
    """
    for name, values in (("estimate", estimate), ("truth", truth)):
        lowest = float(values.min())
        if not lowest > 0:
            raise InputError(f"{name} of a parameter is {lowest:g}; it must be positive")
    ratio = estimate / truth
    squares = np.log(ratio.transpose(..., "voxel").values) ** 2
    return np.asarray(np.sqrt(squares.mean(axis=-1)), dtype=np.float64)


def _trace(region: xr.Dataset, value: hv.Dimension, bounds: Sequence[float]) -> hv.Overlay:
    time = region["time_s"].values
    ensemble = region["parameter_value"]
    mean, spread = ensemble.mean("member").values, deviation(ensemble).values
    layers = [
        style.band(time, mean, spread, style.TIME, value, "Ensemble ± SD", style.ENSEMBLE),
        style.curve(time, mean, style.TIME, value, "Ensemble mean", style.ENSEMBLE),
    ]
    levels = [("Lower bound", bounds[0]), ("Upper bound", bounds[1])] if bounds else []
    lines = [(label, level, style.BOUND) for label, level in levels]
    if "parameter_truth" in region:
        lines.append(("Truth", float(region["parameter_truth"]), style.TRUTH))
    for label, level, look in lines:
        layers.append(style.curve(time, np.full(len(time), level), style.TIME, value, label, look))
    return hv.Overlay(layers)


def _recovery(one: xr.Dataset, value: hv.Dimension, names: NDArray[np.str_]) -> hv.Overlay:
    true = value.clone(f"true_{value.name}", label=f"True {value.label}")
    estimate = value.clone(f"estimated_{value.name}", label=f"Estimated {value.label}")
    truth = one["truth"].values
    span = np.array([truth.min(), truth.max()])
    identity = style.curve(span, span, true, estimate, "Estimate = truth", style.TRUTH)
    layers = [identity]
    for label, look in (("Prior", style.PRIOR), ("Posterior", style.ENSEMBLE)):
        if label in one:
            columns = (truth, one[label].values, names)
            cloud = hv.Points(columns, [true, estimate], REGION, label=f"{label} mean")
            layers.append(style.dots(cloud, look, hollow=label == "Prior", alpha=0.8))
    return style.panel(hv.Overlay(layers), value.label, width=300, height=300, padding=0.05)


def _dimension(posterior: xr.Dataset, parameter: str) -> hv.Dimension:
    unit = posterior["parameter_value"].attrs.get("units")
    return hv.Dimension(str(parameter), unit=unit)


def _check(posterior: xr.Dataset, parameter: str) -> None:
    known = [str(name) for name in posterior["parameter"].values]
    if parameter not in known:
        raise InputError(f"parameter is {parameter!r}; the posterior has {', '.join(known)}")


def _check_truth(posterior: xr.Dataset) -> None:
    if "parameter_truth" not in posterior:
        raise InputError("the posterior has no parameter_truth; only a twin experiment has one")
