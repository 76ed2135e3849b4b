"""Reading connectomes that others wrote, one function a format; nothing here judges the content.

A reader looks at sizes before it allocates, refuses Python objects, and tells what is wrong with a
file as an `InputFileError`. What it returns is a `Reading`, plain arrays by name, which
`dtbdask.graph.contract` checks.

A lost chunk of a Zarr store would read as zeros and a damaged one as other numbers; so what is
written here is committed whole and ends every codec chain in crc32c (see `dtbdask.schema`).
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.io
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from dtbdask import schema
from dtbdask.errors import InputFileError, StoreError, StoreExistsError
from dtbdask.graph.contract import BRAIN, Reading
from dtbdask.graph.guard import SMALL, decoding, digest, head, listed, refuse_bomb
from dtbdask.graph.npz import read_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "connectome"
"""Kind of a Zarr store that holds a connectome."""

DTB_TR_S = 0.8
"""Repetition time, s, that DTB assumes for the 90-region file, which does not state it."""

DTB_KEYS = {
    "net_sum": "connection",
    "roi_grey": "grey_matter",
    "roi_rest_state": "bold_rest",
    "roi_task_evaulation_reward": "bold_task",
}
"""Keys of the 90-region file of DTB (the misspelling is the file's) and our names."""

_AAL_PAIRS = (
    "Precentral", "Frontal_Sup", "Frontal_Sup_Orb", "Frontal_Mid", "Frontal_Mid_Orb",
    "Frontal_Inf_Oper", "Frontal_Inf_Tri", "Frontal_Inf_Orb", "Rolandic_Oper",
    "Supp_Motor_Area", "Olfactory", "Frontal_Sup_Medial", "Frontal_Med_Orb", "Rectus", "Insula",
    "Cingulum_Ant", "Cingulum_Mid", "Cingulum_Post", "Hippocampus", "ParaHippocampal",
    "Amygdala", "Calcarine", "Cuneus", "Lingual", "Occipital_Sup", "Occipital_Mid",
    "Occipital_Inf", "Fusiform", "Postcentral", "Parietal_Sup", "Parietal_Inf", "SupraMarginal",
    "Angular", "Precuneus", "Paracentral_Lobule", "Caudate", "Putamen", "Pallidum", "Thalamus",
    "Heschl", "Temporal_Sup", "Temporal_Pole_Sup", "Temporal_Mid", "Temporal_Pole_Mid",
    "Temporal_Inf",
)  # fmt: skip

AAL90 = tuple(f"{name}_{side}" for name in _AAL_PAIRS for side in "LR")
"""Cerebral regions of the AAL atlas, left and right in turn (Tzourio-Mazoyer et al. 2002)."""

_NUMERIC = (
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def read_mat(path: Path) -> Reading:
    """Read the MATLAB 5 file of DTB's 90 regions: counts, grey matter, BOLD of rest and task."""
    found = load_mat(path, required=("net_sum", "roi_grey"), optional=tuple(DTB_KEYS)[2:])
    arrays = {DTB_KEYS[key]: values for key, values in found.items()}
    grey = arrays["grey_matter"]
    arrays["grey_matter"] = grey.ravel() if 1 in grey.shape else grey
    if len(arrays["connection"]) == len(AAL90):
        arrays["label"] = np.array(AAL90)
    time = {"tr_s": DTB_TR_S, "tr_known": False, "note": "TR assumed: the file does not state it"}
    attributes = {"source": f"DTB regions {path.name}", "sha256": digest(path), "licence": ""}
    return Reading(arrays, attributes, {name: dict(time) for name in arrays if "bold" in name})


def load_mat(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Load named numeric variables of a MATLAB 5 file after looking at their sizes.

    Parameters
    ----------
    path : path
        The file.
    required, optional : sequence of str
        Variables that must and may be there; any other is left alone.

    Returns
    -------
    dict of str to ndarray
        The variables found, as stored.

    Raises
    ------
    InputFileError
        No MATLAB 5 file, damaged, too large, or short of a required variable.
    """
    _refuse_foreign_mat(path, head(path, 520))
    with decoding(path, "a MATLAB 5 file"):
        listing = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        if missing := [name for name in required if name not in listing]:
            raise InputFileError(
                f"{path}: lacks {listed(missing)}; needed are {listed(required)}, "
                f"found are {listed(listing)}"
            )
        wanted = [name for name in (*required, *optional) if name in listing]
        for name in wanted:
            if listing[name][1] not in _NUMERIC:
                raise InputFileError(
                    f"{path}: {name!r} is of MATLAB class {listing[name][1]!r}; expected a full "
                    "numeric matrix (in MATLAB: full(double(x)))"
                )
        unpacked = sum(8 * math.prod(map(int, listing[name][0])) for name in wanted)
        refuse_bomb(path, unpacked, path.stat().st_size)
        loaded = scipy.io.loadmat(path, variable_names=wanted)
        return {name: np.asarray(loaded[name]) for name in wanted}


def _refuse_foreign_mat(path: Path, start: bytes) -> None:
    if start.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n" in start:
        raise InputFileError(
            f"{path}: MATLAB v7.3 (HDF5), which is not read; save it again in MATLAB with "
            "save(file, '-v7'), or take its arrays with h5py (they appear transposed) and write "
            "them with numpy.savez(file, connection=..., grey_matter=...)"
        )
    if not start.startswith(b"MATLAB 5.0"):
        raise InputFileError(
            f"{path}: not a MATLAB 5 file: it starts with {start[:10]!r}, expected b'MATLAB 5.0'"
        )


def read_npz(path: Path) -> Reading:
    """Read arrays by our names from an `.npz`; `tr_s` is the repetition time of its BOLD, in s."""
    arrays = read_arrays(path)
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
        refuse_bomb(path, sum(array.nbytes for array in found.values()), None)
        arrays = {name: np.asarray(array[...]) for name, array in found.items()}
        if "label" in arrays:
            arrays["label"] = np.array([str(label) for label in arrays["label"]])
        details = {name: _own_attributes(array) for name, array in found.items()}
        told: dict[str, Any] = group.attrs.asdict()
        if schema.ROOT in told:
            told = told[schema.ROOT]["attributes"]
        attributes = {"source": path.name, "licence": "", **told, "sha256": digest(path)}
    return Reading(arrays, attributes, details)


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
    told = {"attributes": reading.attributes, "details": reading.details}
    text = np.array(json.dumps(told, default=str))
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **reading.arrays, attributes=text)
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
        if name == "label":
            _write_labels(group, BRAIN[name], values)
        else:
            rows = max(1, SMALL // max(1, values[:1].nbytes))
            schema.write(group, BRAIN[name], values, chunk=rows)
        group[name].update_attributes(told[1].get(name, {}))
    schema.commit(group)


def _write_labels(group: zarr.Group, spec: schema.Array, labels: NDArray[np.str_]) -> None:
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
