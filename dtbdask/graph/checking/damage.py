"""Whether the arrays of a network store are there, of the right kind, and undamaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.graph.checking.findings import Finding
from dtbdask.graph.parameters import AUXILIARY, PARAMETERS
from dtbdask.graph.store import MIXTURE, parameter_array, parameter_spec

SYNAPSES = ("synapse/source", "synapse/weight")
"""Arrays in the order of the synapses; all others are called tables here."""

ENTRIES: Mapping[str, type | tuple[type, ...]] = {
    "synapses": str, "weights": list, "labels": list, "slots": list, "recipe_sha256": str,
}  # fmt: skip
"""What the root attribute of a network must tell."""


def root_findings(root: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell what the root attribute of a store lacks."""
    wanted = dict(ENTRIES)
    if root.get("synapses") == "imported":
        wanted |= {"largest_degree": int, "weight_scale": (int, float)}
    else:
        wanted["seed"] = int
    for name, kind in wanted.items():
        if name not in root:
            yield Finding("root", "root attribute", f"its entry {name!r} is missing")
        elif not isinstance(root[name], kind):
            yield Finding("root", "root attribute", f"its entry {name!r} is {root[name]!r}")
    if root.get("synapses") not in ("stored", "procedural", "imported"):
        told = f"synapses is {root.get('synapses')!r}; expected stored, procedural or imported"
        yield Finding("root", "root attribute", told)


def expected(path: Path, root: Mapping[str, Any]) -> dict[str, schema.Array]:
    """What each array of a store must be: those it cannot lack, and the others it has."""
    names = [f"population/{name}" for name in ("voxel", "slot", "excitatory", "size", "degree")]
    names += [f"mixture/{name}" for name in MIXTURE]
    if root["synapses"] != "procedural":
        names += SYNAPSES
    if root["synapses"] == "imported":
        names.append("synapse/indptr")
    names += [name for name in schema.NETWORK if name not in names and (path / name).exists()]
    specs = {name: schema.NETWORK[name] for name in names}
    for dimension, name in product(("population", "neuron"), PARAMETERS):
        array = parameter_array(root, dimension, name)
        needed = dimension == "population" and name not in AUXILIARY
        if needed or (path / array).exists():
            specs[array] = parameter_spec(dimension, name)
    return specs


def array_findings(group: zarr.Group, name: str, spec: schema.Array) -> Iterator[Finding]:
    """Tell whether an array is missing or not what it must be."""
    place = f"array {name!r}"
    try:
        array = group[name]
    except (KeyError, ValueError, TypeError, OSError) as error:
        yield Finding("array", place, f"missing, or unreadable ({type(error).__name__})")
        return
    if not isinstance(array, zarr.Array):
        yield Finding("array", place, "it is a group, not an array")
        return
    kinds = ("uint8", "uint32") if name == "synapse/weight" else (spec.dtype,)
    if np.dtype(array.dtype).name not in kinds or array.ndim != len(spec.dims):
        told = f"{array.dtype} of {array.ndim} dimensions; expected {' or '.join(kinds)} of "
        yield Finding("array", place, f"{told}{len(spec.dims)}")


def absent_chunks(group: zarr.Group, name: str) -> list[int]:
    """Chunks, counted along the first dimension, of which an array lacks a file."""
    array: Any = schema.array(group, name)
    counts = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
    store: Any = group.store_path.store  # a LocalStore: networks are built on a file system
    folder = store.root / group.path / name
    return sorted(
        {at[0] for at in np.ndindex(*counts)
         if not (folder / array.metadata.encode_chunk_key(at)).exists()}
    )  # fmt: skip


def runs(chunks: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    values = np.array(chunks, np.int64)
    for run in np.split(values, np.flatnonzero(np.diff(values) != 1) + 1):
        if run.size:
            yield int(run[0]), int(run[-1])


def table_findings(group: zarr.Group, name: str) -> Iterator[Finding]:
    """Tell which chunks of a table are missing or damaged."""
    array = schema.array(group, name)
    absent = set(absent_chunks(group, name))
    if not array.ndim or 0 in array.shape:
        return
    wide = array.chunks[0]
    for chunk, start in enumerate(range(0, array.shape[0], wide)):
        stop = min(start + wide, array.shape[0])
        place = f"array {name!r}, chunk {chunk} (entries {start:,} to {stop - 1:,})"
        if chunk in absent:
            yield Finding("missing chunk", place, "its file is not there")
            continue
        try:
            schema.read(group, name, start, stop)
        except StoreError as error:
            yield Finding("checksum", place, damage(error))


def damage(error: StoreError) -> str:
    """What was wrong with a chunk that could not be read, in a few words."""
    cause = str(error.__cause__ or error)
    return f"damaged: {cause.split('. ')[0]}"
