"""Who is connected with whom: fibres of the connectome, and correlations of BOLD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import xarray as xr

from dtbdask.brain import connectome
from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.regions import name_hover, region_names, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SOURCE = hv.Dimension("source", label="Source region")
TARGET = hv.Dimension("target", label="Target region")
ONE = hv.Dimension("one", label="Region")
OTHER = hv.Dimension("other", label="Region")

_FEWER = "choose voxels first, such as brain.isel(voxel=..., voxel_source=...)"


def connectivity_matrix(brain: xr.Dataset) -> hv.Image:
    """Structural connection of every target (row) from every source (column), in log colour.

    Grey cells have no connection at all. In Bokeh the pointer tells both names.

    Parameters
    ----------
    brain : xarray.Dataset
        `connection` (voxel, voxel_source) float, fibres, and coordinate `label` (voxel) str.

    Returns
    -------
    image : holoviews.Image
        Dimensions source, target and fibres.

    Raises
    ------
    InputError
        Nothing is connected, or the matrix has more cells than a picture can hold.
    """
    connection = brain["connection"].transpose("voxel", "voxel_source")
    style.check_pixels(connection.shape[0], connection.shape[1], _FEWER)
    matrix = np.asarray(connection.values, dtype=np.float64)
    positive = matrix[matrix > 0]
    if not positive.size:
        raise InputError("connection has no entry above 0; there is nothing to draw")
    rows = region_names(brain)
    columns = rows if matrix.shape[0] == matrix.shape[1] else _sources(brain, matrix.shape[1])
    value = hv.Dimension("connection", label="Connection", unit="fibres")
    clim = (float(positive.min()), float(positive.max()))
    clim = clim if clim[0] < clim[1] else (clim[0] / 2, clim[1] * 2)
    picture = _matrix(matrix, rows, columns, (SOURCE, TARGET, value))
    style.image(picture, cmap=style.SEQUENTIAL, clim=clim, logz=True)
    return _square(picture, "Structural connectivity", rows, columns)


def functional_connectivity(bold: xr.Dataset | xr.DataArray) -> hv.Image:
    """Pearson correlation of BOLD between every two regions over frames.

    Grey cells are undefined: one of the two series is constant.

    Parameters
    ----------
    bold : xarray.Dataset or xarray.DataArray
        A brain with `bold_rest`, a recording with `bold`, or an array (frame, voxel) float.

    Returns
    -------
    image : holoviews.Image
        Dimensions other, one and correlation (-1 to 1).

    Raises
    ------
    InputError
        There is no BOLD, fewer than 3 frames, or more cells than a picture can hold.
    """
    series = _bold(bold)
    n = series.sizes["voxel"]
    style.check_pixels(n, n, "choose voxels first, such as bold.isel(voxel=...)")
    if series.sizes["frame"] < 3:
        raise InputError(f"bold has {series.sizes['frame']} frames; correlation needs at least 3")
    names = region_names(series)
    value = hv.Dimension("correlation", label="Correlation", unit="r")
    matrix = connectome.functional_connectivity(series.values).values
    picture = _matrix(matrix, names, names, (OTHER, ONE, value))
    style.image(picture, cmap=style.DIVERGING, clim=(-1.0, 1.0))
    return _square(picture, "Functional connectivity", names, names)


def _bold(bold: xr.Dataset | xr.DataArray) -> xr.DataArray:
    if isinstance(bold, xr.DataArray):
        return bold.transpose("frame", "voxel")
    for name in ("bold_rest", "bold"):
        if name in bold:
            return bold[name].transpose("frame", "voxel")
    raise InputError(f"no BOLD among {sorted(map(str, bold.data_vars))}; give bold_rest or bold")


def _sources(brain: xr.Dataset, n: int) -> list[str]:
    coordinate = brain["connection"].coords.get("voxel_source")
    return [str(i) for i in (range(n) if coordinate is None else coordinate.values)]


def _matrix(
    values: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    dimensions: tuple[hv.Dimension, hv.Dimension, hv.Dimension],
) -> hv.Image:
    x, y, value = dimensions
    axes = (np.arange(values.shape[1]), np.arange(values.shape[0]))
    picture = hv.Image((*axes, values), [x, y], value)
    hook = name_hover(rows, columns, value.label, x.label, y.label)
    return picture.opts(backend="bokeh", hooks=[hook])


def _square(picture: hv.Image, title: str, rows: Sequence[str], columns: Sequence[str]) -> hv.Image:
    return style.panel(
        picture, title, width=520, height=520, xticks=ticks(columns), yticks=ticks(rows),
        xrotation=90, invert_yaxis=True,
    )  # fmt: skip
