"""Spikes of a recording for other programs: streamed, so that memory does not grow with them.

The spikes of step `k` are those at its end, `(k + 1) dt`, as in `Recording.to_xarray`.
"""

from __future__ import annotations

import importlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import InputError, MissingDependencyError, StoreExistsError
from dtbdask.graph.sonata.arrays import NAME
from dtbdask.sim.steps import SpikeSteps

Ints = NDArray[np.int64]

AT_ONCE = 1 << 20
"""Spikes that are in memory at a time."""
CHUNK = 1 << 16
"""Values in a chunk of an HDF5 dataset."""
SORTED_BY = {"none": 0, "by_id": 1, "by_time": 2}
"""How SONATA says in what order spikes are."""


@dataclass(frozen=True)
class Spikes:
    """The spikes of a finished recording, and what its neurons belong to.

    Attributes
    ----------
    group : zarr.Group
    dt_ms : float
    step : SpikeSteps
        Of each spike.
    labels : dict of str to array
        `population_label`, `first_neuron`, `size`, `excitatory` and `population_voxel`
        (population), `voxel_label` (voxel).
    """

    group: zarr.Group
    dt_ms: float
    step: SpikeSteps
    labels: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, path: Path) -> Spikes:
        """Open a recording; `InputError` if it has no spikes."""
        group = schema.open_store(path, "recording")
        root = schema.root_of(group)
        if "spike_neuron" not in group:
            raise InputError(
                f"{path}: record is {root['record']}; spikes can be exported where 'spikes' were "
                "recorded"
            )
        size = schema.read(group, "population/size")
        labels = {
            "population_label": np.array(root["population_labels"]),
            "first_neuron": np.cumsum(size) - size,
            "size": size,
            "excitatory": schema.read(group, "population/excitatory"),
            "population_voxel": schema.read(group, "population/voxel"),
            "voxel_label": np.array(root["labels"]),
        }
        step = SpikeSteps(schema.read(group, "n_spikes"), root["first_step"])
        return cls(group, float(root["dt_ms"]), step, labels)

    @property
    def n_spikes(self) -> int:
        """How many there are."""
        return len(self.step)

    def stretches(self) -> Iterator[tuple[int, NDArray[np.float64], Ints]]:
        """First index, times in ms and neurons of some spikes after the other."""
        for start in range(0, self.n_spikes, AT_ONCE):
            stop = min(start + AT_ONCE, self.n_spikes)
            neuron = schema.read(self.group, "spike_neuron", start, stop)
            step = self.step[start:stop].astype(np.float64)
            yield start, (step + 1) * self.dt_ms, neuron

    def population_of(self, neuron: Ints) -> Ints:
        """Population of each neuron."""
        return np.searchsorted(self.labels["first_neuron"], neuron, side="right") - 1


def export_spikes(
    recording: str | Path, to: str | Path, form: str = "sonata", *, overwrite: bool = False
) -> Path:
    """Write the spikes of a recording as one file that other programs read.

    Parameters
    ----------
    recording : path
        A finished recording with spikes.
    to : path
        The file to be made.
    form : {"sonata", "npz", "parquet", "nwb", "neo"}
        SONATA (HDF5), arrays of NumPy, Apache Parquet, Neurodata Without Borders, or NIX as Neo
        writes it.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        No spikes were recorded, or the format is unknown.
    MissingDependencyError
        The library that writes the format is not installed.
    StoreExistsError
        Something is at `to`.
    """
    from dtbdask.sim.export_units import write_neo, write_nwb

    writers: Mapping[str, Callable[[Spikes, Path], None]] = {
        "sonata": _sonata, "npz": _npz, "parquet": _parquet, "nwb": write_nwb, "neo": write_neo,
    }  # fmt: skip
    if form not in writers:
        raise InputError(f"format is {form!r}; known are {', '.join(writers)}")
    path = Path(to)
    if path.is_dir() or (path.exists() and not overwrite):
        hint = "choose another path" if path.is_dir() else "pass overwrite to replace it"
        raise StoreExistsError(f"{path} exists already; it was left untouched; {hint}")
    spikes = Spikes.of(Path(recording))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        writers[form](spikes, made)
        made.replace(path)
    return path


def needed(module: str, extra: str = "spikes") -> Any:
    """A module of an optional library, or an error that tells how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{module.split('.')[0]} writes this format and is not installed: "
            f"pip install 'dtbdask[{extra}]'"
        ) from error


def _sonata(spikes: Spikes, path: Path) -> None:
    h5py = needed("h5py", "formats")
    with h5py.File(path, "w") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
        group = file.create_group(f"spikes/{NAME}")
        kind = h5py.enum_dtype(SORTED_BY, basetype="u1")
        group.attrs.create("sorting", SORTED_BY["by_time"], dtype=kind)
        options = {"chunks": (CHUNK,), "fletcher32": True, "maxshape": (None,)}
        time = group.create_dataset("timestamps", (spikes.n_spikes,), np.float64, **options)
        time.attrs["units"] = "ms"
        node = group.create_dataset("node_ids", (spikes.n_spikes,), np.uint64, **options)
        for start, time_ms, neuron in spikes.stretches():
            time[start : start + neuron.size], node[start : start + neuron.size] = time_ms, neuron
        about = file.create_group("dtbdask")
        for name, values in spikes.labels.items():
            text = values.dtype.kind == "U"
            about[name] = values.astype(h5py.string_dtype()) if text else values


def _npz(spikes: Spikes, path: Path) -> None:
    kinds = {"time_ms": np.dtype(np.float64), "neuron": np.dtype(np.int64)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for column, (name, kind) in enumerate(kinds.items(), start=1):
            header = {"descr": kind.str, "fortran_order": False, "shape": (spikes.n_spikes,)}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for stretch in spikes.stretches():
                    file.write(np.ascontiguousarray(stretch[column], kind).tobytes())
        for name, values in spikes.labels.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _parquet(spikes: Spikes, path: Path) -> None:
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    voxel = spikes.labels["population_voxel"]
    named = {
        "population": pa.array(spikes.labels["population_label"].tolist(), pa.string()),
        "voxel": pa.array(spikes.labels["voxel_label"].tolist(), pa.string()),
    }
    label = pa.dictionary(pa.int32(), pa.string())
    fields = {"time_ms": pa.float64(), "neuron": pa.int64(), "population": label, "voxel": label}
    table = pa.schema(list(fields.items()), metadata={"dt_ms": str(spikes.dt_ms)})
    with parquet.ParquetWriter(path, table, compression="zstd") as writer:
        for _, time_ms, neuron in spikes.stretches():
            of = spikes.population_of(neuron)
            index = {"population": of.astype(np.int32), "voxel": voxel[of].astype(np.int32)}
            labels = [pa.DictionaryArray.from_arrays(index[name], named[name]) for name in named]
            columns = [pa.array(time_ms), pa.array(neuron), *labels]
            writer.write_table(pa.Table.from_arrays(columns, schema=table))
