"""A part of a recording: what lies in a range of time, what belongs to some regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

TIMES = {"step": ("time_ms", 1e-3), "bin": ("bin_time_ms", 1e-3), "look": ("look_time_ms", 1e-3),
         "frame": ("time_s", 1.0)}  # fmt: skip
"""Coordinate of each dimension of time, and what makes it seconds."""


def within(data: xr.Dataset, time_s: tuple[float, float]) -> xr.Dataset:
    """What a recording or posterior has in a range of time; spikes are left out.

    Parameters
    ----------
    data : xarray.Dataset
        With the coordinates of a recording.
    time_s : tuple of float
        From and to: what ends after the first and up to the second is kept.

    Raises
    ------
    InputError
        Nothing is in this range.
    """
    data = data.drop_vars(["spike_neuron", "spike_step", "n_spikes"], errors="ignore")
    for dim, (name, unit) in TIMES.items():
        if dim in data.sizes and name in data.coords:
            time = data.coords[name].values * unit
            low, high = np.searchsorted(time, np.array(time_s) * (1 + 1e-12), side="right")
            data = data.isel({dim: slice(int(low), int(high))})
    for dim in ("step", "bin"):
        if data.sizes.get(dim, 1) == 0:
            raise InputError(f"nothing is there yet from {time_s[0]:g} to {time_s[1]:g} s")
    return data


def of_regions(data: xr.Dataset, regions: Sequence[int]) -> xr.Dataset:
    """Populations of some regions, by index; all of them for none."""
    if not regions:
        return data
    return data.isel(population=np.flatnonzero(np.isin(data["population_voxel"].values, regions)))


def voxel_means(data: xr.Dataset, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the neurons of each voxel of what populations have.

    Parameters
    ----------
    data : xarray.Dataset
        Coordinates `population_voxel` and `size` (population) and `voxel_label` (voxel).
    values : ndarray
        (..., population) float, mean over the neurons of each.

    Returns
    -------
    ndarray
        (..., voxel) float64; NaN where no neuron is.
    """
    voxel, size = data["population_voxel"].values, data["size"].values.astype(np.float64)
    n = data["voxel_label"].sizes["voxel"]
    total = np.zeros((*values.shape[:-1], n))
    np.add.at(np.moveaxis(total, -1, 0), voxel, np.moveaxis(np.nan_to_num(values) * size, -1, 0))
    with np.errstate(invalid="ignore"):
        return total / np.bincount(voxel, size, minlength=n)


def rates_of_voxels(data: xr.Dataset) -> NDArray[np.float64]:
    """Mean firing rate of each voxel over a recording: (voxel) float64, Hz.

    Parameters
    ----------
    data : xarray.Dataset
        `spike_count` (step, population) or `bin_spike_count` (bin, population).
    """
    name = "spike_count" if "spike_count" in data else "bin_spike_count"
    if name not in data:
        raise InputError("the recording has no spike_count; record rate")
    count = data[name]
    steps = count.shape[0] * (1 if name == "spike_count" else int(data.attrs["bin_steps"]))
    seconds = steps * float(data.attrs["dt_ms"]) / 1e3
    with np.errstate(invalid="ignore"):
        rate = count.sum(str(count.dims[0])).values / (data["size"].values * seconds)
    return voxel_means(data, rate)
