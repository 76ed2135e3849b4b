"""A posterior as lazy, labelled arrays, finished or as far as it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dtbdask import schema
from dtbdask.errors import StoreError


def open_posterior(path: str | Path, *, live: bool = False) -> xr.Dataset:
    """A posterior as lazy, labelled arrays.

    Parameters
    ----------
    path : path
    live : bool
        Also of a fit that goes on, or was cut short: the frames that are there now. Open it again
        for more.

    Returns
    -------
    xarray.Dataset
        The arrays of `dtbdask.schema.POSTERIOR`; scores and settings are attributes, and
        `n_frames` that the fit has when it is finished.

    Raises
    ------
    StoreError
        Not a posterior, never finished unless live, or damaged.
    """
    import dask.array as da

    group = schema.open_store(path, "posterior", status="any" if live else "complete")
    root = schema.root_of(group)
    if live and "bold_observed" not in group:
        raise StoreError(f"{path}: no bold_observed yet; the fit has only just begun")
    arrays = {name: group[name] for name in schema.POSTERIOR if name in group}
    n_frames = there = int(schema.array(group, "bold_observed").shape[0])
    if root["status"] != "complete":
        there = min(_written(a) for name, a in arrays.items() if _grows(name))
    data = {}
    for name, array in arrays.items():
        spec, values = schema.POSTERIOR[name], da.from_zarr(array)
        about = {"units": spec.unit, "long_name": spec.meaning}
        data[name] = (spec.dims, values[:there] if _grows(name) else values, about)
    coords = {
        "parameter": list(root.pop("parameters")),
        "voxel_label": ("voxel", list(root.pop("labels"))),
        "time_s": ("frame", (np.arange(there) + 1) * root["tr_s"]),
    }
    return xr.Dataset(data, coords=coords, attrs={**root, "n_frames": n_frames})


def _grows(name: str) -> bool:
    return "frame" in schema.POSTERIOR[name].dims


def _written(array: Any) -> int:
    """Frames of whole chunks of an array that is still written."""
    sizes = zip(array.shape[1:], array.chunks[1:], strict=True)
    columns = int(np.prod([-(-n // c) for n, c in sizes]))
    return min(
        int(array.shape[0]), int(array.chunks[0]) * int(array.nchunks_initialized) // columns
    )
