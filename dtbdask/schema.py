"""Every array at rest: name, dimensions, dtype, unit, meaning; and how stores are kept whole.

A store is a Zarr v3 group written as `create` (status "writing"), regions, `commit` (status
"complete"). Its root attribute `dtbdask` says what it is; opening one that is foreign, newer,
uncommitted or short of a chunk is an error that says so. Each codec chain ends in crc32c, so a
damaged chunk is an error when it is read, never silently other numbers.

Row = target, column = source, in every matrix. Units are ms and mV unless an array says otherwise.
"""

from __future__ import annotations

import glob
import platform
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.buffer.cpu import NDBuffer
from zarr.codecs import BloscCodec, Crc32cCodec

from dtbdask import heap
from dtbdask.errors import StoreError, StoreExistsError

heap.share()  # before Zarr has threads

FORMAT = 3
"""Version of the on-disk format; a store with a larger number is refused by name."""

ROOT = "dtbdask"
"""Root attribute that marks a store as ours."""


@dataclass(frozen=True)
class Array:
    """What one array at rest is."""

    name: str
    """Path inside its store."""
    dims: tuple[str, ...]
    """Dimension names, singular, the same everywhere."""
    dtype: str
    unit: str
    meaning: str


def _specs(*arrays: Array) -> Mapping[str, Array]:
    return {array.name: array for array in arrays}


NETWORK = _specs(
    Array("voxel/grey_matter", ("voxel",), "float64", "1", "grey matter, as given"),
    Array("voxel/region", ("voxel",), "int32", "1", "index into the region names of the root"),
    Array("voxel/xyz", ("voxel", "axis"), "float64", "mm", "coordinates"),
    Array("voxel/is_cortex", ("voxel",), "bool", "1", "cortex, or subcortex"),
    Array("population/voxel", ("population",), "int32", "1", "voxel the population lives in"),
    Array("population/slot", ("population",), "int16", "1", "place in the voxel's motif"),
    Array("population/excitatory", ("population",), "bool", "1", "its neurons excite"),
    Array("population/size", ("population",), "int64", "neurons", "number of neurons"),
    Array("population/degree", ("population",), "int32", "synapses", "in-degree of each neuron"),
    Array("mixture/indptr", ("population_edge",), "int64", "1", "first term of each population"),
    Array(
        "mixture/source",
        ("term",),
        "int32",
        "1",
        "source population of a term; with a far table, its place among those of the voxel",
    ),
    Array("mixture/table", ("term",), "int32", "1", "far table of a term, or -1"),
    Array("mixture/share", ("term",), "float64", "1", "share of a target's in-edges"),
    Array("mixture/far_indptr", ("table_edge",), "int64", "1", "first entry of each far table"),
    Array("mixture/far_population", ("far",), "int32", "1", "first population of a source voxel"),
    Array("mixture/far_share", ("far",), "float64", "1", "share of a source voxel in its table"),
    Array("mixture/far_delay", ("far",), "uint16", "steps", "axonal delay; none where empty"),
    Array("synapse/indptr", ("neuron_edge",), "int64", "1", "first synapse of each target neuron"),
    Array("synapse/source", ("synapse",), "uint32", "1", "global index of the source neuron"),
    Array(
        "synapse/weight",
        ("synapse", "pair"),
        "uint8",
        "1/255",
        "weight pair: AMPA and NMDA of an excitatory source, GABA_A and GABA_B of an inhibitory",
    ),
    Array("spike_source/step", ("spike",), "int64", "steps", "step of each scripted spike"),
    Array("spike_source/neuron", ("spike",), "int64", "1", "neuron of each scripted spike"),
)
"""The network store. `population/parameter/<name>` holds each parameter of the model."""

RECORDING = _specs(
    Array(
        "spike_count", ("step", "population"), "int32", "spikes", "spikes of a population a step"
    ),
    Array("n_spikes", ("step",), "int64", "spikes", "recorded spikes of a step"),
    Array("spike_neuron", ("spike",), "int64", "1", "global neuron of each spike, step by step"),
    Array("bold", ("frame", "voxel"), "float64", "1", "BOLD signal at the end of each frame"),
    Array(
        "bin_spike_count", ("bin", "population"), "int64", "spikes", "spikes of a population a bin"
    ),
    Array(
        "v_mean",
        ("bin", "population"),
        "float64",
        "mV",
        "membrane potential, mean over the neurons of a population and the steps of a bin, each at "
        "its end; neurons that spike show their threshold",
    ),
    Array(
        "current_mean",
        ("bin", "population"),
        "float64",
        "mV/ms",
        "sum of the currents of all receptors, mean as v_mean",
    ),
    Array(
        "receptor_current",
        ("bin", "receptor", "population"),
        "float64",
        "mV/ms",
        "g_u (E_u - V) J_u of each receptor that is on, mean as v_mean; J without the kicks of the "
        "spikes of the step",
    ),
    Array("sample_neuron", ("sample",), "int64", "1", "global index of each sampled neuron"),
    Array(
        "sample_v",
        ("look", "sample"),
        "float64",
        "mV",
        "membrane potential at the end of a step; the threshold where a neuron spikes",
    ),
    Array(
        "sample_current",
        ("look", "sample"),
        "float64",
        "mV/ms",
        "sum of the currents of all receptors, from V and J at the end of a step, J without the "
        "kicks of its spikes",
    ),
    Array("sample_background", ("look", "sample"), "float64", "mV/ms", "background current"),
    Array("sample_spike", ("look", "sample"), "uint16", "spikes", "spikes since the look before"),
)
"""The recording store."""

PYRAMID = _specs(
    Array(
        "count",
        ("time_bin", "neuron_bin"),
        "uint32",
        "spikes",
        "spikes of a bin of 4^a steps and 4^b neurons; one array for each pair, count/<a>-<b>",
    ),
)
"""The store `pyramid` within a recording: see `dtbdask.sim.pyramid`."""

POSTERIOR = _specs(
    Array(
        "parameter_value",
        ("frame", "member", "parameter", "voxel"),
        "float64",
        "1",
        "hyper-parameters of the members after the update with the observation of the frame",
    ),
    Array("bold_observed", ("frame", "voxel"), "float64", "1", "observed BOLD, scaled"),
    Array(
        "bold_forecast",
        ("frame", "member", "voxel"),
        "float64",
        "1",
        "BOLD at the end of a frame before its observation was used",
    ),
    Array(
        "bold_analysis",
        ("frame", "member", "voxel"),
        "float64",
        "1",
        "BOLD of the members after the update with the observation of the frame",
    ),
    Array("rate", ("frame", "member", "voxel"), "float64", "Hz", "mean firing rate in the frame"),
    Array(
        "bold_free",
        ("frame", "member", "voxel"),
        "float64",
        "1",
        "BOLD of the same prior ensemble, never updated",
    ),
    Array(
        "parameter_prior",
        ("member", "parameter", "voxel"),
        "float64",
        "1",
        "hyper-parameters of the prior ensemble, which the free run keeps",
    ),
    Array(
        "parameter_truth",
        ("parameter", "voxel"),
        "float64",
        "1",
        "hidden truth; only in a twin experiment",
    ),
    Array(
        "parameter_smoothed",
        ("frame", "member", "parameter", "voxel"),
        "float64",
        "1",
        "hyper-parameters of the members after the observations of the next `lag` frames",
    ),
    Array(
        "bold_ahead",
        ("frame", "member", "voxel"),
        "float64",
        "1",
        "BOLD of members that set out from the fit at the last frame that `ahead` divides",
    ),
    Array(
        "walk_correlation", ("voxel", "other"), "float64", "1", "correlation of the random walks"
    ),
    Array(
        "taper",
        ("voxel", "other"),
        "float64",
        "1",
        "what an observation of the other voxel counts for a voxel",
    ),
)
"""The posterior store of an assimilation."""

CHECKPOINT = _specs(
    Array("balloon", ("quantity", "member", "voxel"), "float64", "1", "s in 1/s, f, v and q"),
)
"""The checkpoint store. `state/<name>` holds each field of the state, `parameter/`, `multiplier/`
and `held/` what was changed and what was not yet written: see `dtbdask.sim.checkpoint`."""


def provenance() -> dict[str, Any]:
    """Versions and date that every store carries."""
    packages = ("dtbdask", "numpy", "numba", "dask", "distributed", "zarr", "scipy")
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made": made, "python": platform.python_version(), "versions": versions}


def create_store(
    path: str | Path, kind: str, attributes: Mapping[str, Any], *, overwrite: bool = False
) -> zarr.Group:
    """Begin a store.

    Parameters
    ----------
    path : path
        Directory to be made.
    kind : {"connectome", "network", "recording", "pyramid", "posterior", "checkpoint"}
        What the store will be.
    attributes : mapping
        Put into the root attribute beside kind, format, status and provenance.
    overwrite : bool
        Replace a dtbdask store of the same kind. Anything else at `path` is never touched.

    Raises
    ------
    StoreExistsError
        Something is at `path` already.
    StoreError
        The directory cannot be written.
    """
    path = Path(path)
    root = {"kind": kind, "format": FORMAT, "status": "writing", **provenance(), **attributes}
    begin = _replace if check_free(path, kind, overwrite=overwrite) else _begin
    try:
        return begin(path, root)
    except OSError as error:
        raise StoreError(f"cannot write a {kind} store at {path}: {error}") from error


def _begin(path: Path, root: Mapping[str, Any]) -> zarr.Group:
    return zarr.create_group(path, overwrite=False, attributes={ROOT: root}, zarr_format=3)


def _replace(path: Path, root: Mapping[str, Any]) -> zarr.Group:
    """Begin a store beside the one that is there, and have them change places before that goes.

    So a process that dies leaves at `path` one of the two, or nothing, never half of the old; what
    is left aside then is removed by the next that replaces the store.
    """
    store = path.resolve()
    name = f".{store.name}.{uuid.uuid4().hex}"
    new, old = store.with_name(f"{name}.new"), store.with_name(f"{name}.old")
    try:
        _begin(new, root)
        store.rename(old)
        new.rename(store)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for left in store.parent.glob(f".{glob.escape(store.name)}.{'[0-9a-f]' * 32}.old"):
        shutil.rmtree(left)
    return zarr.open_group(path, mode="r+", zarr_format=3)


def check_free(path: str | Path, kind: str, *, overwrite: bool) -> bool:
    """Whether a store that may be replaced is in the way of a new one.

    Raises
    ------
    StoreExistsError
        Something is at `path` that may not be replaced.
    """
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return False
    try:
        found = read_root(path)["kind"]
    except StoreError:
        found = None
    if found == kind and overwrite:
        return True
    what = f"a dtbdask {found} store" if found else "not a dtbdask store"
    hint = "pass overwrite to replace it" if found == kind else "choose another path"
    raise StoreExistsError(f"{path} exists already and is {what}; it was left untouched; {hint}")


def create(
    group: zarr.Group,
    spec: Array,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    *,
    compressor: Literal["zstd", "lz4"] = "zstd",
    shuffle: Literal["bitshuffle", "shuffle"] = "bitshuffle",
) -> Any:
    """Create one array of a store; its chunks are to be written whole, each by one writer.

    Parameters
    ----------
    group : zarr.Group
        Root of the store.
    spec : Array
        What it is.
    shape, chunks : tuple of int
        Sizes by dimension; an array that grows starts with a dimension of 0.
    compressor : {"zstd", "lz4"}
        Of Blosc: smaller, or three times as fast where bits are random anyway.
    shuffle : {"bitshuffle", "shuffle"}
        Of bits: smaller; or of bytes: faster, with lz4 twice as fast.
    """
    return group.create_array(
        spec.name,
        shape=shape,
        chunks=tuple(max(1, min(c, n) if n else c) for c, n in zip(chunks, shape, strict=True)),
        dtype=spec.dtype,
        dimension_names=spec.dims,
        attributes={"units": spec.unit, "long_name": spec.meaning},
        compressors=[
            BloscCodec(
                cname=compressor,
                clevel=1,
                shuffle=shuffle,
                typesize=np.dtype(spec.dtype).itemsize,
            ),
            Crc32cCodec(),
        ],
        fill_value=0,
        config={"write_empty_chunks": True},
    )


def write(group: zarr.Group, spec: Array, values: Any, chunk: int = 1 << 20) -> None:
    """Create an array and write it whole, chunked along its first dimension only."""
    values = np.asarray(values, dtype=spec.dtype)
    create(group, spec, values.shape, (chunk, *values.shape[1:]))[...] = values


def commit(group: zarr.Group) -> None:
    """Check that every chunk is there, then mark the store complete: the last thing written."""
    missing = list(missing_chunks(group))
    if missing:
        raise StoreError(f"{group.store_path}: cannot be completed, {_tell(missing)}")
    update_root(group, status="complete")


def root_of(group: zarr.Group) -> dict[str, Any]:
    """Root attribute of an open store of ours."""
    root: Any = group.attrs[ROOT]
    return dict(root)


def update_root(group: zarr.Group, **changes: Any) -> None:
    """Change entries of the root attribute in one atomic rewrite of the group's metadata."""
    group.update_attributes({ROOT: {**root_of(group), **changes}})


def array(group: zarr.Group, name: str) -> Any:
    """One array of an open store, by its path; a slice of it is a NumPy array.

    Zeros are written to it as they are, so that an absent chunk stays the mark of damage.

    Raises
    ------
    StoreError
        The store lacks it.
    """
    try:
        opened: Any = group[name]
        return opened.with_config({"write_empty_chunks": True})
    except KeyError as error:
        raise StoreError(f"{group.store_path}: damaged, array {name!r} is missing") from error


def read(
    group: zarr.Group, name: str, start: int = 0, stop: int | None = None, *, out: Any = None
) -> Any:
    """Values of an array of an open store, or of a range of its first dimension.

    Parameters
    ----------
    group : zarr.Group
    name : str
        Path of the array.
    start, stop : int
    out : ndarray, optional
        Where to put them; it is returned.

    Raises
    ------
    StoreError
        The array is missing, or a chunk does not match its checksum.
    """
    values = array(group, name)
    try:
        if out is None:
            return values[start:stop]
        values.get_basic_selection((slice(start, stop), ...), out=NDBuffer(out))
        return out
    except (ValueError, RuntimeError, OSError) as error:
        raise StoreError(f"{group.store_path}: damaged, array {name!r}: {error}") from error


def missing_chunks(group: zarr.Group) -> Iterable[tuple[str, int, int]]:
    """Arrays that lack chunks: (name, chunks present, chunks expected)."""
    for name, array in group.members(max_depth=None):
        if isinstance(array, zarr.Array) and array.nchunks_initialized < array.nchunks:
            yield name, array.nchunks_initialized, array.nchunks


def _tell(missing: list[tuple[str, int, int]]) -> str:
    name, present, expected = missing[0]
    more = f" and {len(missing) - 1} more arrays" if len(missing) > 1 else ""
    return f"array {name!r} has {present} of its {expected} chunks{more}"


def read_root(path: str | Path) -> dict[str, Any]:
    """Root attribute of a store of ours, whatever its status.

    Raises
    ------
    StoreError
        Nothing is there, it is not ours, or its format is newer than this version reads.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path}: no such store")
    try:
        attributes = zarr.open_group(path, mode="r", zarr_format=3).attrs.asdict()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a Zarr v3 group ({type(error).__name__})") from error
    root = attributes.get(ROOT)
    if not isinstance(root, dict) or "kind" not in root or "format" not in root:
        raise StoreError(f"{path}: a Zarr group, but not a dtbdask store (no {ROOT!r} attribute)")
    if not isinstance(root["format"], int):
        raise StoreError(f"{path}: its format is {root['format']!r}, expected a whole number")
    if root["format"] > FORMAT:
        raise StoreError(
            f"{path}: written in format {root['format']}, this version reads up to {FORMAT}; "
            "upgrade with: pip install --upgrade dtbdask"
        )
    return root


def open_store(path: str | Path, kind: str, *, status: str = "complete") -> zarr.Group:
    """Open a store read-only after checking that it is of this kind, committed and whole.

    Parameters
    ----------
    path : path
        The store.
    kind : {"connectome", "network", "recording", "pyramid", "posterior", "checkpoint"}
        What it must be.
    status : {"complete", "any"}
        "any" also opens a store that is still being written.

    Raises
    ------
    StoreError
        Missing, foreign, of another kind, uncommitted, or short of a chunk.
    """
    root = read_root(path)
    if root["kind"] != kind:
        raise StoreError(f"{path}: a dtbdask {root['kind']} store, expected a {kind} store")
    group = zarr.open_group(Path(path), mode="r", zarr_format=3)
    if status == "any":
        return group
    missing = list(missing_chunks(group))
    if root.get("status") != "complete":
        lack = _tell(missing) if missing else "its commit mark is absent"
        raise StoreError(
            f"{path}: this {kind} was never completed ({lack}); "
            f"{root.get('again', 'run the same command again to resume')}"
        )
    if missing:
        raise StoreError(f"{path}: damaged, {_tell(missing)}")
    return group
