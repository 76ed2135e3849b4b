"""A part of a recording: what lies in a range of time, what belongs to some regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
    """Some regions of a recording, by index, and their populations; all of them for none.

    Parameters
    ----------
    data : xarray.Dataset
        With `population_voxel` (population) and `voxel_label` (voxel).
    regions : sequence of int

    Returns
    -------
    xarray.Dataset
        Its `population_voxel` counts the regions that are left, which keep their order.
    """
    if not regions:
        return data
    kept = np.unique(np.asarray(regions, np.int64))
    mine = np.flatnonzero(np.isin(data["population_voxel"].values, kept))
    part = data.isel(population=mine, voxel=kept)
    voxel = np.searchsorted(kept, part["population_voxel"].values)
    return part.assign_coords(population_voxel=("population", voxel))


def by_step(data: xr.Dataset) -> xr.Dataset:
    """A recording with `spike_count` (step, population), also if spikes were counted by the bin.

    Parameters
    ----------
    data : xarray.Dataset
        With `spike_count`, or with `bin_spike_count` (bin, population).

    Returns
    -------
    xarray.Dataset
        Where there were bins they are its steps, and `dt_ms` is their width.

    Raises
    ------
    InputError
        Neither was recorded.
    """
    if "spike_count" in data:
        return data
    if "bin_spike_count" not in data:
        raise InputError("the recording has no spike_count; record rate")
    others = [name for name in data.variables if "step" in data[name].dims]
    binned = data.drop_vars(others).rename(
        {"bin": "step", "bin_spike_count": "spike_count", "bin_time_ms": "time_ms"}
    )
    return binned.assign_attrs(dt_ms=float(data.attrs["dt_ms"]) * int(data.attrs["bin_steps"]))


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
    voxel = data["population_voxel"].values
    weight = np.where(np.isnan(values), 0.0, data["size"].values.astype(np.float64))
    there = csr_array(
        (np.ones(voxel.size), (np.arange(voxel.size), voxel)),
        shape=(voxel.size, data["voxel_label"].sizes["voxel"]),
    )
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = (np.nan_to_num(values) * weight @ there) / (weight @ there)
    return mean


def rates_of_voxels(data: xr.Dataset) -> NDArray[np.float64]:
    """Mean firing rate of each voxel over a recording: (voxel) float64, Hz.

    Parameters
    ----------
    data : xarray.Dataset
        `spike_count` (step, population) or `bin_spike_count` (bin, population).
    """
    counted = by_step(data)
    seconds = counted.sizes["step"] * float(counted.attrs["dt_ms"]) / 1e3
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = counted["spike_count"].sum("step").values / (counted["size"].values * seconds)
    return voxel_means(counted, rate)


def rates_over_time(data: xr.Dataset, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean firing rate of each voxel in successive bins.

    Parameters
    ----------
    data : xarray.Dataset
        As of `rates_of_voxels`, with `time_ms`.
    most : int
        Bins, at most.

    Returns
    -------
    time_s : (bin) float64, s
        Ends of the bins.
    rate : (bin, voxel) float64, Hz
    """
    counted = by_step(data)
    n_steps, dt_s = counted.sizes["step"], float(counted.attrs["dt_ms"]) / 1e3
    n = max(1, -(-n_steps // most))
    end = np.minimum(np.arange(n, n_steps + n, n), n_steps)
    lazy = counted["spike_count"].drop_vars("time_ms").astype(np.float64)
    count = lazy.coarsen(step=n, boundary="pad").sum().transpose("step", "population").values
    width = np.diff(end, prepend=0)[:, None] * dt_s
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = count / (width * counted["size"].values)
    return counted["time_ms"].values[end - 1] / 1e3, voxel_means(counted, rate)
