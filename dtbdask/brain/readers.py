"""Connectomes in files of our own kinds, `.npz` and Zarr; nothing here judges the content.

A reader looks at sizes before it allocates, refuses Python objects, and tells what is wrong with a
file as an `InputFileError`. What it returns is a `Reading`, arrays by name, which
`dtbdask.brain.contract` checks; a large matrix among them stays in the file, as a Dask array in
chunks of rows.

A lost chunk of a Zarr store would read as zeros and a damaged one as other numbers; so what is
written here is committed whole and ends every codec chain in crc32c (see `dtbdask.schema`).
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from dtbdask import schema
from dtbdask.brain import dtb_voxels
from dtbdask.brain.contract import BRAIN, MATRICES, Reading
from dtbdask.brain.guard import SMALL, decoding, digest, head, refuse_bomb, refuse_endless
from dtbdask.brain.npz import read_arrays
from dtbdask.brain.rows import is_large, is_lazy, lazy, regions
from dtbdask.errors import InputError, InputFileError, StoreError, StoreExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "connectome"
"""Kind of a Zarr store that holds a connectome."""


def read_npz(path: Path) -> Reading:
    """Read arrays by our names from an `.npz`; `tr_s` is the repetition time of its BOLD, in s.

    DTB's `whole_brain_voxel_info.npz` is read too, by its names: see `dtbdask.brain.dtb_voxels`.
    """
    arrays = read_arrays(path, matrices=(*MATRICES, *dtb_voxels.MATRICES))
    if "conn_prob" in arrays:
        fields = {name: arrays[name] for name in dtb_voxels.FIELDS if name in arrays}
        ours, notes = dtb_voxels.arrays_of(path, fields)
        told = {"source": f"DTB voxels {path.name}", "sha256": digest(path), "licence": ""}
        return Reading(ours, told, notes)
    with decoding(path, "an .npz archive of a connectome"):
        told = json.loads(str(arrays.pop("attributes", "{}")))
        attributes = dict(told.get("attributes", {}))
        details = {name: dict(more) for name, more in told.get("details", {}).items()}
    tr_s = arrays.pop("tr_s", None)
    if tr_s is not None:
        for name in (name for name in arrays if name.startswith("bold")):
            details[name] = {
                "tr_s": tr_s.item() if tr_s.size == 1 else tr_s,
                **details.get(name, {}),
            }
    attributes = {"source": path.name, "licence": "", **attributes, "sha256": digest(path)}
    return Reading(arrays, attributes, details)


def read_zarr(path: Path) -> Reading:
    """Read arrays by our names from a Zarr v3 group, ours or anybody's."""
    group = _zarr_group(path)
    with decoding(path, "a Zarr v3 group"):
        for name, present, expected in schema.missing_chunks(group):
            raise StoreError(
                f"{path}: array {name!r} has {present} of its {expected} chunks: damaged, or "
                "written without write_empty_chunks; an absent chunk is not taken for zeros"
            )
        found = dict(group.arrays())
        left = [name for name in MATRICES if name in found and is_large(found[name].shape)]
        refuse_bomb(path, sum(a.nbytes for name, a in found.items() if name not in left), None)
        arrays: dict[str, Any] = {
            name: _lazy(path, name, array) if name in left else np.asarray(array[...])
            for name, array in found.items()
        }
        for name in [name for name in ("label", "region") if name in arrays]:
            if arrays[name].dtype.kind not in "iu":
                arrays[name] = np.array([str(text) for text in arrays[name]])
        details = {name: _own_attributes(array) for name, array in found.items()}
        told: dict[str, Any] = group.attrs.asdict()
        if schema.ROOT in told:
            told = told[schema.ROOT]["attributes"]
        attributes = {"source": path.name, "licence": "", **told, "sha256": digest(path)}
    return Reading(arrays, attributes, details)


def _lazy(path: Path, name: str, array: zarr.Array[Any]) -> Any:
    """Make a Dask array of one that stays in its store."""
    chunk = array.shards or array.chunks
    dtype = np.dtype(array.dtype)
    refuse_endless(path, name, array.nbytes, math.prod(chunk) * dtype.itemsize)
    rows, columns = array.shape
    return lazy(_Rows(path.absolute(), name), (rows, columns), dtype, chunk[0])


@dataclass(frozen=True)
class _Rows:
    """Rows of an array of a store."""

    path: Path
    name: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with decoding(self.path, "a Zarr v3 group"):
            group = zarr.open_group(self.path, mode="r")
            return np.asarray(schema.read(group, self.name, start, stop))


def _own_attributes(array: zarr.Array[Any]) -> dict[str, Any]:
    """Attributes of an array, less those by which xarray remembers its encoding."""
    return {k: v for k, v in array.attrs.items() if k not in ("_FillValue", "coordinates")}


def _zarr_group(path: Path) -> zarr.Group:
    if not path.is_dir():
        head(path, 1)
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            f"{path}: not a Zarr v3 group ({type(error).__name__}); a directory that holds a "
            "connectome is one written by write_connectome, or a group with arrays named alike"
        ) from error
    return schema.open_store(path, KIND) if schema.ROOT in group.attrs else group


def write_npz(reading: Reading, path: Path, *, overwrite: bool) -> None:
    """Write an `.npz` that `read_npz` reads back, attributes included; it appears whole or not."""
    if path.exists() and not (overwrite and path.is_file()):
        raise StoreExistsError(
            f"{path} exists already; it was left untouched; pass overwrite to replace it"
        )
    arrays = {}
    for name, values in reading.arrays.items():
        if is_lazy(values) and is_large(values.shape):
            raise InputError(
                f"{path}: {name} of {values.shape[0]:,} voxels is too large for one .npz, which is "
                "written from memory; write a .zarr"
            )
        arrays[name] = np.asarray(values)
    told = {"attributes": reading.attributes, "details": reading.details}
    text = np.array(json.dumps(told, default=str))
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, attributes=text)
        part.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write a connectome at {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_zarr(reading: Reading, path: Path, *, overwrite: bool) -> None:
    """Write a Zarr v3 group that `read_zarr` reads back, committed last."""
    told = json.loads(json.dumps([reading.attributes, reading.details], default=str))
    group = schema.create_store(path, KIND, {"attributes": told[0]}, overwrite=overwrite)
    for name, values in reading.arrays.items():
        spec = BRAIN[name]
        rows = max(1, SMALL // max(1, math.prod(values.shape[1:]) * values.dtype.itemsize))
        if spec.dtype == "str":
            _write_text(group, spec, values)
        elif name in MATRICES:
            _write_matrix(group, replace(spec, dtype=str(values.dtype)), values, rows)
        else:
            schema.write(group, spec, values, chunk=rows)
        group[name].update_attributes(told[1].get(name, {}))
    schema.commit(group)


def _write_matrix(group: zarr.Group, spec: schema.Array, values: Any, rows: int) -> None:
    """Write a matrix chunk by chunk, each whole and once; a Dask array is never held whole."""
    array = schema.create(group, spec, values.shape, (rows, values.shape[1]))
    for start, block in regions(values, rows):
        array[start : start + len(block)] = block


def _write_text(group: zarr.Group, spec: schema.Array, labels: NDArray[np.str_]) -> None:
    array = group.create_array(
        spec.name,
        shape=labels.shape,
        chunks=labels.shape,
        dtype=str,
        dimension_names=spec.dims,
        compressors=[ZstdCodec(), Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
    array[...] = labels
