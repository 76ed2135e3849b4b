"""Recordings: written window by window in whole chunks, read as lazy xarray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.network import Network

QUANTITIES = ("rate", "bold", "spikes")
"""What can be recorded."""

ROWS = {"spike_count": 500, "bold": 64, "spike_step": 1 << 18, "spike_neuron": 1 << 18}
"""First dimension of a chunk."""


class Column:
    """An array that grows along its first dimension and writes only whole chunks until its end.

    Parameters
    ----------
    group : zarr.Group
    spec : schema.Array
    tail : tuple of int
        Sizes of the other dimensions.
    rows : int
        First dimension of a chunk.
    """

    def __init__(
        self, group: zarr.Group, spec: schema.Array, tail: tuple[int, ...], rows: int
    ) -> None:
        if spec.name in group:
            self._array = schema.array(group, spec.name)
        else:
            self._array = schema.create(group, spec, (0, *tail), (rows, *tail))
        self._rows, self.held = rows, np.zeros((0, *tail), spec.dtype)

    @property
    def written(self) -> int:
        """Rows on disk."""
        return int(self._array.shape[0])

    def cut(self, written: int, held: NDArray[Any] | None) -> None:
        """Go back to when there were fewer rows on disk, and some held: (row, ...)."""
        self._array.resize((written, *self._array.shape[1:]))
        self.held = self.held[:0] if held is None else held

    def append(self, values: NDArray[Any]) -> None:
        """Add rows: (row, ...)."""
        self.held = np.concatenate([self.held, values.astype(self.held.dtype)])
        self._flush(self.held.shape[0] // self._rows * self._rows)

    def finish(self) -> None:
        """Write what is left."""
        self._flush(self.held.shape[0])

    def _flush(self, n: int) -> None:
        if n:
            start = self._array.shape[0]
            self._array.resize((start + n, *self._array.shape[1:]))
            self._array[start:] = self.held[:n]
            self.held = self.held[n:]


class Recorder:
    """Writes what a session sees.

    Parameters
    ----------
    path : path
        Of the new store.
    network : Network
    record : tuple of str
        Of `QUANTITIES`.
    attributes : dict
        About the run, for the root of the store.
    overwrite : bool
        Replace a recording that is there.
    """

    def __init__(
        self, path: str | Path, network: Network, record: tuple[str, ...],
        attributes: dict[str, Any], *, overwrite: bool,
    ) -> None:  # fmt: skip
        about = {
            "network": network.path,
            "recipe_sha256": network.attributes.get("recipe_sha256", ""),
            "source": network.attributes.get("source", ""),
            "lesions": list(network.attributes.get("lesions", [])),
            "n_neurons": network.n_neurons,
            "n_synapses": network.n_synapses,
            "labels": list(network.labels),
            "population_labels": network.population_labels,
            "record": list(record),
            **attributes,
        }
        self.path = Path(path)
        self.group = schema.create_store(path, "recording", about, overwrite=overwrite)
        self._lay_out(network, record)

    @classmethod
    def reopened(cls, path: str | Path, network: Network, store: Path) -> Recorder:
        """Recorder of an unfinished recording, cut back to when a checkpoint was written.

        Parameters
        ----------
        path : path
            Of the recording.
        network : Network
        store : path
            Of the checkpoint.
        """
        kept = schema.open_store(store, "checkpoint")
        rows = schema.root_of(kept).get("rows", {})
        made = cls.__new__(cls)
        made.path = Path(path)
        made.group = zarr.open_group(made.path, mode="r+", zarr_format=3)
        made._lay_out(network, tuple(schema.root_of(made.group)["record"]))
        for name, column in made._columns.items():
            held = schema.read(kept, f"held/{name}") if rows else None
            column.cut(rows.get(name, 0), held)
        return made

    def _lay_out(self, network: Network, record: tuple[str, ...]) -> None:
        """Write the tables of the populations, and begin the columns or take up those there."""
        populations = network.populations
        for name in ("voxel", "excitatory", "size"):
            spec = schema.NETWORK[f"population/{name}"]
            if spec.name in self.group:  # perhaps without its values
                del self.group[spec.name]
            schema.write(self.group, spec, getattr(populations, name))
        tails = {"spike_count": (populations.size.size,), "bold": (len(network.labels),)}
        wanted = {
            "rate": ("spike_count",),
            "bold": ("bold",),
            "spikes": ("spike_step", "spike_neuron"),
        }
        self._columns = {
            name: Column(self.group, schema.RECORDING[name], tails.get(name, ()), ROWS[name])
            for quantity in record
            for name in wanted[quantity]
        }

    def write(self, **values: NDArray[Any]) -> None:
        """Append the rows of one window to the arrays that are recorded."""
        for name, column in self._columns.items():
            column.append(values[name])

    def has(self, name: str) -> bool:
        """Whether an array is recorded."""
        return name in self._columns

    def rows(self) -> dict[str, int]:
        """Rows of each array that are on disk."""
        return {name: column.written for name, column in self._columns.items()}

    def held(self) -> dict[str, NDArray[Any]]:
        """Rows of each array that wait for their chunk to be full: (row, ...)."""
        return {name: column.held for name, column in self._columns.items()}

    def finish(self) -> Recording:
        """Write the rest and mark the recording complete."""
        for column in self._columns.values():
            column.finish()
        schema.commit(self.group)
        return Recording(self.path)


@dataclass(frozen=True)
class Recording:
    """A finished recording on disk.

    Attributes
    ----------
    path : pathlib.Path
    """

    path: Path

    def to_xarray(self) -> xr.Dataset:
        """Lazy, labelled arrays on Dask; nothing is read but the labels.

        Returns
        -------
        xarray.Dataset
            `spike_count (step, population)`, `bold (frame, voxel)`, `spike_step` and
            `spike_neuron (spike)`, as far as recorded, with times in ms and s and the names of
            populations and voxels as coordinates.

        Raises
        ------
        StoreError
            Not a recording, never finished, or damaged.
        """
        import dask.array as da

        group = schema.open_store(self.path, "recording")
        root = schema.root_of(group)
        size = schema.read(group, "population/size")
        data = xr.Dataset(
            {
                name: (
                    spec.dims,
                    da.from_zarr(group[name]),
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
            attrs={k: v for k, v in root.items() if k not in ("labels", "population_labels")},
        )
        dt_s = root["dt_ms"] / 1000
        if "spike_count" in data:
            step = np.arange(root["first_step"], root["first_step"] + data.sizes["step"])
            data = data.assign_coords(time_ms=("step", (step + 1) * root["dt_ms"]))
        if "bold" in data:
            first = root["first_step"] // root["frame_steps"]
            frame = np.arange(first, first + data.sizes["frame"])
            data = data.assign_coords(time_s=("frame", (frame + 1) * root["frame_steps"] * dt_s))
        return data


def open_recording(path: str | Path) -> Recording:
    """Handle on a finished recording.

    Parameters
    ----------
    path : path

    Returns
    -------
    Recording

    Raises
    ------
    StoreError
        Not a recording, never finished, or damaged.
    """
    schema.open_store(path, "recording")
    return Recording(Path(path))


def check_record(record: tuple[str, ...]) -> tuple[str, ...]:
    """The quantities to record, or an error that lists those known."""
    if len(set(record)) < len(record):
        raise InputError(f"record is {record}; name each quantity once")
    for quantity in record:
        if quantity not in QUANTITIES:
            raise InputError(f"record: {quantity!r} is unknown; known are {', '.join(QUANTITIES)}")
    return record
