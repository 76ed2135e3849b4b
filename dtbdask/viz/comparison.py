"""Two beside each other: functional connectivity measured and simulated, rates of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.anatomy import region_colours
from dtbdask.viz.connectivity import ONE, OTHER
from dtbdask.viz.regions import name_hover, region_names, ticks
from dtbdask.viz.window import rates_of_voxels

if TYPE_CHECKING:
    import xarray as xr

CORRELATION = hv.Dimension("correlation", label="Correlation", unit="r")
DIFFERENCE = hv.Dimension("difference", label="Difference", unit="r")
REGION = hv.Dimension("region", label="Region")

SIDE = 300


def fc_comparison(
    simulated: xr.DataArray, measured: xr.DataArray | None = None,
    names: tuple[str, str] = ("Simulated", "Measured"),
) -> hv.Layout:  # fmt: skip
    """Functional connectivity of two series of BOLD and their difference.

    Parameters
    ----------
    simulated, measured : xarray.DataArray
        (frame, voxel) float, 3 frames or more; they may differ in length. Without the second only
        the first is drawn.
    names : tuple of str
        What the two are.

    Returns
    -------
    matrices : holoviews.Layout
        Images of correlation, and of the first less the second.

    Raises
    ------
    InputError
        Too few frames, too many voxels, or the two have not the same voxels.
    """
    labels = region_names(simulated)
    style.check_pixels(len(labels), len(labels), "choose voxels first, such as bold.isel(voxel=..)")
    series = [simulated] if measured is None else [simulated, measured]
    for name, bold in zip(names, series, strict=False):
        if bold.sizes["frame"] < 3 or bold.sizes["voxel"] != len(labels):
            raise InputError(
                f"{name} BOLD is {dict(bold.sizes)}; give 3 frames or more of {len(labels)} voxels"
            )
    found = [_correlation(bold) for bold in series]
    cells = [(name, matrix, CORRELATION) for name, matrix in zip(names, found, strict=False)]
    if len(found) == 2:
        cells.append((f"{names[0]} less {names[1].lower()}", found[0] - found[1], DIFFERENCE))
    axis = np.arange(len(labels))
    panels = []
    for title, matrix, value in cells:
        picture = hv.Image((axis, axis, matrix), [OTHER, ONE], value)
        style.image(picture, cmap=style.DIVERGING, clim=(-1.0, 1.0))
        hook = name_hover(labels, labels, value.label, OTHER.label, ONE.label)
        picture.opts(backend="bokeh", hooks=[hook])
        few = ticks(labels)[::2]
        panels.append(
            style.panel(picture, title, width=SIDE, height=SIDE, xticks=few, yticks=few,
                        xrotation=90, invert_yaxis=True)
        )  # fmt: skip
    layout = style.stack(panels, columns=len(panels))
    return layout.opts(backend="matplotlib", fig_inches=5, hspace=0.9)


def _correlation(bold: xr.DataArray) -> NDArray[np.float64]:
    """Correlation of every two voxels; of lazy BOLD the frames stay where they are."""
    frames = bold.transpose("frame", "voxel").data
    own = frames - frames.mean(axis=0)
    product = np.asarray(own.T @ own)
    norm = np.sqrt(np.diag(product))
    with np.errstate(invalid="ignore", divide="ignore"):
        r: NDArray[np.float64] = np.clip(product / np.outer(norm, norm), -1.0, 1.0)
    return r


def rate_scatter(
    one: xr.Dataset, other: xr.Dataset, name: str = "one run", name_other: str = "other run"
) -> hv.Overlay:
    """Mean firing rate of every region in one recording against that in another.

    Parameters
    ----------
    one, other : xarray.Dataset
        Recordings of the same regions, with `spike_count`.
    name, name_other : str
        What they are called on the axes.

    Returns
    -------
    scatter : holoviews.Overlay
        Points in the colours of the regions' lobes, and the line on which both agree.
    """
    labels = region_names(one)
    x = hv.Dimension("rate_one", label=f"Firing rate, {name}", unit="Hz")
    y = hv.Dimension("rate_other", label=f"Firing rate, {name_other}", unit="Hz")
    rates = [rates_of_voxels(data) for data in (one, other)]
    span = np.array([np.nanmin(rates), np.nanmax(rates)])
    line = style.curve(span, span, x, y, "Both the same", style.TRUTH)
    columns = (*rates, np.asarray(labels), np.asarray(region_colours(labels)))
    points = hv.Points(columns, [x, y], [REGION, "colour"], label="Regions")
    points.opts(backend="bokeh", color="colour", size=7, line_color="#404040", tools=["hover"])
    points.opts(backend="matplotlib", color="colour", s=30, edgecolors="#404040", linewidth=0.5)
    return style.panel(
        hv.Overlay([line, points]), "Firing rates of regions", width=380, height=380, padding=0.05
    )
