"""What a connectome is: its arrays, and all that can be wrong with them.

Whatever reads a connectome ends here with a `Reading`, plain arrays by name. It becomes the
*brain*, an `xarray.Dataset`, or one error that lists every problem, so that a source is mended
once. Row = target, column = source.

`connection` and `tract_length` are NumPy arrays of float64, or, where they are too large to hold,
Dask arrays in chunks of whole rows. A Dask array is never computed whole: it is checked, and
written, chunk by chunk. It is float32 where that holds every value of its source (float32, float16,
integers of 8 and 16 bits), which halves it in memory and at rest, else float64. All else is NumPy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from dtbdask.brain import faults
from dtbdask.brain.rows import blocks, compact, is_lazy
from dtbdask.errors import InputError
from dtbdask.schema import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dtbdask.brain.rows import Matrix

Isolated = Literal["error", "drop"]

BRAIN: Mapping[str, Array] = {
    array.name: array
    for array in (
        Array("label", ("voxel",), "str", "1", "name of the voxel or region"),
        Array("connection", ("voxel", "voxel_source"), "float64", "fibres",
              "fibres that reach the target voxel (row) from the source voxel (column)"),
        Array("grey_matter", ("voxel",), "float64", "1", "grey matter, which sizes a voxel"),
        Array("tract_length", ("voxel", "voxel_source"), "float64", "mm", "length of the fibres"),
        Array("region", ("voxel",), "str", "1", "name of the region the voxel lies in"),
        Array("is_cortex", ("voxel",), "bool", "1", "it is cortex; else it lies below the cortex"),
        Array("xyz", ("voxel", "axis"), "float64", "mm", "coordinates of the centre"),
        Array("bold_rest", ("frame", "voxel"), "float64", "arbitrary", "BOLD at rest"),
        Array("bold_task", ("frame_task", "voxel"), "float64", "arbitrary", "BOLD in a task"),
    )
}  # fmt: skip
"""What a connectome may hold; `REQUIRED` and `label` (by default "0", "1", ...) always are."""

REQUIRED = ("connection", "grey_matter")
BOLD = ("bold_rest", "bold_task")
MATRICES = ("connection", "tract_length")
"""Of voxels by voxels, so that they may be Dask arrays."""


@dataclass(frozen=True)
class Reading:
    """What a source holds."""

    arrays: dict[str, Any]
    """By the names of `BRAIN`: NumPy, and Dask where `MATRICES` are large."""
    attributes: dict[str, Any]
    """Of the whole: source, sha256, licence."""
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Attributes of single arrays: tr_s, tr_known, units, note."""


def assemble(reading: Reading, *, isolated: Isolated = "error") -> xr.Dataset:
    """Check what a reader found and make it a brain.

    Parameters
    ----------
    reading : Reading
        Arrays by the names of `BRAIN`, no others.
    isolated : {"error", "drop"}
        What becomes of voxels that no fibre reaches from another voxel.

    Returns
    -------
    xarray.Dataset
        See `dtbdask.brain.connectome.read_connectome`.

    Raises
    ------
    InputError
        All that is wrong, in one message.
    """
    foreign = sorted(set(reading.arrays) - set(BRAIN))
    wrong = [f"{foreign} are not part of a connectome, which has {list(BRAIN)}"] if foreign else []
    checked, alone = _checked(reading, wrong, isolated)
    brain = xr.Dataset(_variables(checked), attrs=reading.attributes)
    return _finished(brain, alone)


def validate_connectome(brain: xr.Dataset, *, isolated: Isolated = "error") -> xr.Dataset:
    """Check a dataset against the contract and return it tidied.

    Parameters
    ----------
    brain : xarray.Dataset
        See `dtbdask.brain.connectome.read_connectome`; further variables are allowed and kept.
        `connection` and `tract_length` stay Dask arrays where they are, and each of their chunks
        of rows is computed in turn, once or twice.
    isolated : {"error", "drop"}
        What becomes of voxels that no fibre reaches from another voxel.

    Returns
    -------
    xarray.Dataset
        The same with float64 arrays, dimensions in the order of `BRAIN`, and all attributes.

    Raises
    ------
    InputError
        All that is wrong, in one message.
    """
    misplaced = {
        name: f"{name} has dimensions {brain[name].dims}; expected {spec.dims}"
        for name, spec in BRAIN.items()
        if name in brain.variables and set(brain[name].dims) != set(spec.dims)
    }
    reading = reading_of(brain.drop_vars(misplaced))
    checked, alone = _checked(reading, list(misplaced.values()), isolated)
    return _finished(brain.assign(_variables(checked)).assign_attrs(reading.attributes), alone)


def reading_of(brain: xr.Dataset) -> Reading:
    """Take the arrays of a dataset, by the names and in the order of dimensions of `BRAIN`."""
    arrays = {
        name: _taken(name, brain[name].transpose(*spec.dims))
        for name, spec in BRAIN.items()
        if name in brain.variables
    }
    details = {name: dict(brain[name].attrs) for name in arrays}
    attributes = {"source": "xarray.Dataset", "licence": "", **brain.attrs}
    if "sha256" not in attributes:
        attributes["sha256"] = _digest(arrays)
    return Reading(arrays, attributes, details)


def _taken(name: str, variable: xr.DataArray) -> Matrix:
    """Values of a variable, still lazy if it is a matrix; names as text."""
    if name in MATRICES and is_lazy(variable.data):
        return variable.data  # type: ignore[no-any-return]
    values = variable.to_numpy()
    if name == "label" or (name == "region" and values.dtype.kind in ("O", "T")):
        return np.array([str(text) for text in values.ravel()]).reshape(values.shape)
    return values


def _digest(arrays: Mapping[str, Matrix]) -> str:
    """SHA-256, in hex, of values; the same for a Dask array and a NumPy array of them."""
    digest = hashlib.sha256()
    for name, values in arrays.items():
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        whole = [(0, values)] if isinstance(values, np.ndarray) else blocks(values)
        for _, block in whole:
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def _variables(reading: Reading) -> dict[str, tuple[tuple[str, ...], Matrix, dict[str, Any]]]:
    variables = {}
    for name, values in reading.arrays.items():
        spec = BRAIN[name]
        attrs = {"long_name": spec.meaning, "units": spec.unit, **reading.details.get(name, {})}
        if name in BOLD:
            attrs |= {"tr_s": float(attrs["tr_s"]), "tr_known": bool(attrs.get("tr_known", True))}
        variables[name] = (spec.dims, values, attrs)
    return variables


def _finished(brain: xr.Dataset, alone: list[int]) -> xr.Dataset:
    """Drop voxels that hear no other, until each hears one that is left."""
    brain = brain.set_coords("label")
    if not alone:
        return brain
    keep = faults.left_over(brain["connection"].data)
    if not keep.any():
        raise InputError("connection: no voxel is left when isolated voxels are dropped")
    dropped = brain["label"].to_numpy()[~keep].tolist()
    kept = np.flatnonzero(keep)
    return brain.isel(voxel=kept, voxel_source=kept).assign_attrs(dropped=dropped)


def _checked(reading: Reading, wrong: list[str], isolated: Isolated) -> tuple[Reading, list[int]]:
    """Complete a reading and tell its voxels to be dropped; refuse it with all its problems."""
    arrays, sizes = _completed(reading.arrays)
    wrong = wrong + [
        f"{name} is missing; found are {sorted(reading.arrays)}"
        for name in REQUIRED
        if name not in arrays
    ]
    labels = np.empty(0, dtype=str)
    alone: list[int] = []
    for name in [name for name in BRAIN if name in arrays]:
        if shape := list(faults.shape_faults(BRAIN[name], arrays[name], sizes)):
            wrong += shape
            continue
        arrays[name] = _typed(BRAIN[name], arrays[name])
        found = _looked_at(BRAIN[name], arrays[name], labels, isolated)
        wrong += found.faults
        alone += found.alone
        if name == "label":
            labels = arrays[name]
    for name in [name for name in BOLD if name in arrays]:
        wrong += faults.time_faults(name, reading.details.get(name, {}).get("tr_s"))
    if wrong:
        count = f"{len(wrong)} problem" + ("s" if len(wrong) > 1 else "")
        raise InputError("\n- ".join([f"{reading.attributes['source']}: {count}", *wrong]))
    return replace(reading, arrays=arrays), alone


def _completed(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Arrays with labels and regions as text, and the sizes of the dimensions."""
    arrays = dict(found)
    if "region" in arrays and arrays["region"].dtype.kind in "iu":
        arrays["region"] = arrays["region"].astype(str)
    connection = arrays.get("connection", np.empty(0))
    if connection.ndim != 2:
        return arrays, {"axis": 3}
    n = connection.shape[0]
    if np.isfinite(n):  # Dask may not know it
        arrays.setdefault("label", np.arange(n).astype(str))
    return arrays, {"axis": 3, "voxel": n, "voxel_source": n}


def _typed(spec: Array, values: Matrix) -> Matrix:
    """Values as they are kept: NumPy float64, or Dask in chunks of whole rows."""
    if spec.dtype != "float64":
        return values
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values, dtype=np.float64)
    rows: Matrix = values.rechunk({1: -1}).astype(compact(values.dtype))
    return rows


def _looked_at(
    spec: Array, values: Matrix, labels: NDArray[np.str_], isolated: Isolated
) -> faults.Survey:
    """What is wrong with the values of one array of the right shape, and who is to be dropped."""
    if spec.dtype == "float64":
        found = faults.survey(spec, values, labels)
        if found.faults:
            return faults.Survey(found.faults)
        if isolated == "error":
            return faults.Survey(list(faults.isolation_faults(found.alone, labels)))
        return found
    if spec.name == "label":
        return faults.Survey(list(faults.label_faults(np.asarray(values))))
    if spec.name == "region":
        return faults.Survey(list(faults.region_faults(np.asarray(values), labels)))
    return faults.Survey([])
