"""Names of regions on axes: few enough to read, all of them under the pointer, some by choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
from bokeh.models import CustomJSHover, HoverTool

from dtbdask.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

MAX_TICKS = 20

Hook = Callable[[hv.plotting.bokeh.ElementPlot, hv.Element], None]


def region_names(dataset: xr.Dataset | xr.DataArray) -> list[str]:
    """Names of the voxels of a dataset.

    Parameters
    ----------
    dataset : xarray.Dataset or xarray.DataArray
        The names are its coordinate `voxel_label` or `label` (voxel) str; without it, "voxel 0",
        "voxel 1", ...
    """
    for name in ("voxel_label", "label"):
        if name in dataset.coords and dataset.coords[name].dims == ("voxel",):
            return [str(label) for label in dataset.coords[name].values]
    return [f"voxel {i}" for i in range(dataset.sizes["voxel"])]


def ticks(
    names: Sequence[str], positions: Sequence[float] | None = None
) -> list[tuple[float, str]]:
    """Labelled positions, ascending and so far apart that at most `MAX_TICKS` labels fit."""
    places = [float(place) for place in (range(len(names)) if positions is None else positions)]
    apart = (places[-1] - places[0]) / MAX_TICKS if places else 0.0
    kept: list[tuple[float, str]] = []
    for place, name in zip(places, names, strict=True):
        if not kept or place - kept[-1][0] > apart:
            kept.append((place, name))
    return kept


def chosen(
    names: Sequence[str], voxels: Sequence[int | str] | None, default: int
) -> NDArray[np.intp]:
    """Choose the voxels to show.

    Parameters
    ----------
    names : sequence of str
        Names of all voxels.
    voxels : sequence of int or str, optional
        Indices or names; without it, `default` voxels spread evenly.
    default : int
        How many to show unasked.

    Raises
    ------
    InputError
        A name or index is not there.
    """
    if voxels is None:
        count = min(default, len(names))
        return np.linspace(0, len(names) - 1, count).round().astype(np.intp)
    return np.array([_index(names, voxel) for voxel in voxels], dtype=np.intp)


def _index(names: Sequence[str], voxel: int | str) -> int:
    if isinstance(voxel, str):
        if voxel in names:
            return names.index(voxel)
        raise InputError(
            f"voxels holds {voxel!r}, which is no region; regions are {names[0]!r} ..."
        )
    if not 0 <= voxel < len(names):
        raise InputError(f"voxels holds {voxel}; indices run from 0 to {len(names) - 1}")
    return int(voxel)


def name_hover(
    rows: Sequence[str], columns: Sequence[str] | None, value: str, x_label: str, y_label: str
) -> Hook:
    """Bokeh hook: the pointer over an image tells the names of its row and column, and the value.

    Parameters
    ----------
    rows : sequence of str
        Name of each row of the image.
    columns : sequence of str, optional
        Name of each column; without it the column's coordinate is shown as a number.
    value, x_label, y_label : str
        What the tooltip calls the value, the columns and the rows.
    """

    def show_names(plot: hv.plotting.bokeh.ElementPlot, element: hv.Element) -> None:
        hover: HoverTool = plot.handles["hover"]
        x = "$x{0.000}" if columns is None else "$x{custom}"
        hover.tooltips = [(y_label, "$y{custom}"), (x_label, x), (value, "@image{0.[0000]}")]
        hover.formatters = {"$y": _lookup(rows)}
        if columns is not None:
            hover.formatters |= {"$x": _lookup(columns)}

    return show_names


def _lookup(names: Sequence[str]) -> CustomJSHover:
    return CustomJSHover(args={"names": list(names)}, code='return names[Math.round(value)] ?? ""')
