"""A recording on disk, read as lazy xarray, also while it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from dtbdask import schema
from dtbdask.sim.steps import SpikeSteps

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Recording:
    """A recording on disk.

    Attributes
    ----------
    path : pathlib.Path
    live : bool
        It may be unfinished: of each array the whole chunks are there.
    """

    path: Path
    live: bool = False

    @property
    def finished(self) -> bool:
        """Whether everything has been written."""
        return schema.read_root(self.path).get("status") == "complete"

    def to_xarray(self) -> xr.Dataset:
        """Lazy, labelled arrays on Dask; only labels and numbers of spikes are read.

        Returns
        -------
        xarray.Dataset
            `spike_count (step, population)`, `bold (frame, voxel)`, `n_spikes (step)`, `spike_step`
            and `spike_neuron (spike)`, and the others of `dtbdask.schema.RECORDING`, as far as
            recorded, with times in ms and s and the names of populations and voxels as coordinates.
            Of a live recording what is there now; call again for more.

        Raises
        ------
        StoreError
            Not a recording, never finished unless live, or damaged.
        """
        import dask.array as da
        import xarray as xr

        group = schema.open_store(self.path, "recording", status="any" if self.live else "complete")
        root = schema.root_of(group)
        length = _lengths(group)
        size = schema.read(group, "population/size")
        data = xr.Dataset(
            {
                name: (
                    spec.dims,
                    da.from_zarr(group[name])[: length[spec.dims[0]]],
                    {"units": spec.unit, "long_name": spec.meaning},
                )
                for name, spec in schema.RECORDING.items()
                if name in group
            },
            coords={
                "population_label": ("population", root["population_labels"]),
                "population_voxel": ("population", schema.read(group, "population/voxel")),
                "excitatory": ("population", schema.read(group, "population/excitatory")),
                "size": ("population", size),
                "first_neuron": ("population", np.cumsum(size) - size),
                "voxel_label": ("voxel", root["labels"]),
            },
            attrs={
                k: v for k, v in root.items() if k not in ("labels", "population_labels", "sample")
            },
        )
        if "spike" in data.sizes:
            n_spikes = schema.read(group, "n_spikes", stop=length["step"])
            data = _with_steps(data, SpikeSteps(n_spikes, root["first_step"]))
        dt_s = root["dt_ms"] / 1000
        if "step" in data.sizes:
            step = np.arange(root["first_step"], root["first_step"] + data.sizes["step"])
            data = data.assign_coords(time_ms=("step", (step + 1) * root["dt_ms"]))
        if "bold" in data:
            first = root["first_step"] // root["frame_steps"]
            frame = np.arange(first, first + data.sizes["frame"])
            data = data.assign_coords(time_s=("frame", (frame + 1) * root["frame_steps"] * dt_s))
        for dim, steps in (("bin", "bin_steps"), ("look", "sample_steps")):
            if dim in data.sizes:
                end = root["first_step"] + root[steps] * np.arange(1, data.sizes[dim] + 1)
                data = data.assign_coords({f"{dim}_time_ms": (dim, end * root["dt_ms"])})
        if "receptor" in data.sizes:
            data = data.assign_coords(receptor=("receptor", root["receptors"]))
        return data


def _with_steps(data: xr.Dataset, steps: SpikeSteps) -> xr.Dataset:
    """With the step of each spike; those of which either array has no more are left out."""
    import dask.array as da

    data = data.isel(spike=slice(len(steps)))
    told = {"units": "steps", "long_name": "step of each recorded spike, ascending"}
    chunk = max(1, data["spike_neuron"].data.chunksize[0])
    lazy = da.from_array(steps, chunks=chunk)[: data.sizes["spike"]]
    return data.assign(spike_step=("spike", lazy, told))


def _lengths(group: zarr.Group) -> dict[str, int]:
    """Rows of each first dimension that all arrays with it have whole.

    Chunks are written whole and in order after their array has grown, so that the number of those
    that are there says how many rows are.
    """
    length: dict[str, int] = {}
    for name, spec in schema.RECORDING.items():
        if name in group:
            array: Any = group[name]
            rows = min(array.shape[0], array.chunks[0] * array.nchunks_initialized)
            length[spec.dims[0]] = min(rows, length.get(spec.dims[0], rows))
    return length


def open_recording(path: str | Path, *, live: bool = False) -> Recording:
    """Handle on a recording.

    Parameters
    ----------
    path : path
    live : bool
        Also one that is still being written, or was never finished: what is there can be read.

    Returns
    -------
    Recording

    Raises
    ------
    StoreError
        Not a recording, never finished unless live, or damaged.
    """
    schema.open_store(path, "recording", status="any" if live else "complete")
    return Recording(Path(path), live)
