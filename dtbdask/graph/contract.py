"""What a connectome is: its arrays, and all that can be wrong with them.

Whatever reads a connectome ends here with a `Reading`, plain arrays by name. It becomes the
*brain*, an `xarray.Dataset`, or one error that lists every problem, so that a source is mended
once. Row = target, column = source.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from dtbdask.errors import InputError
from dtbdask.schema import Array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

Isolated = Literal["error", "drop"]

BRAIN: Mapping[str, Array] = {
    array.name: array
    for array in (
        Array("label", ("voxel",), "str", "1", "name of the voxel or region"),
        Array("connection", ("voxel", "voxel_source"), "float64", "fibres",
              "fibres that reach the target voxel (row) from the source voxel (column)"),
        Array("grey_matter", ("voxel",), "float64", "1", "grey matter, which sizes a voxel"),
        Array("tract_length", ("voxel", "voxel_source"), "float64", "mm", "length of the fibres"),
        Array("xyz", ("voxel", "axis"), "float64", "mm", "coordinates of the centre"),
        Array("bold_rest", ("frame", "voxel"), "float64", "arbitrary", "BOLD at rest"),
        Array("bold_task", ("frame_task", "voxel"), "float64", "arbitrary", "BOLD in a task"),
    )
}  # fmt: skip
"""What a connectome may hold; `REQUIRED` and `label` (by default "0", "1", ...) always are."""

REQUIRED = ("connection", "grey_matter")
BOLD = ("bold_rest", "bold_task")
NON_NEGATIVE = ("connection", "grey_matter", "tract_length")


@dataclass(frozen=True)
class Reading:
    """What a source holds."""

    arrays: dict[str, NDArray[Any]]
    """By the names of `BRAIN`."""
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
        See `dtbdask.graph.connectome.read_connectome`.

    Raises
    ------
    InputError
        All that is wrong, in one message.
    """
    foreign = sorted(set(reading.arrays) - set(BRAIN))
    faults = [f"{foreign} are not part of a connectome, which has {list(BRAIN)}"] if foreign else []
    brain = xr.Dataset(_variables(_checked(reading, faults, isolated)), attrs=reading.attributes)
    return _finished(brain, isolated)


def validate_connectome(brain: xr.Dataset, *, isolated: Isolated = "error") -> xr.Dataset:
    """Check a dataset against the contract and return it tidied.

    Parameters
    ----------
    brain : xarray.Dataset
        See `dtbdask.graph.connectome.read_connectome`; further variables are allowed and kept.
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
    tidy = _variables(_checked(reading, list(misplaced.values()), isolated))
    return _finished(brain.assign(tidy).assign_attrs(reading.attributes), isolated)


def reading_of(brain: xr.Dataset) -> Reading:
    """Take the arrays of a dataset, by the names and in the order of dimensions of `BRAIN`."""
    arrays = {
        name: brain[name].transpose(*spec.dims).to_numpy()
        for name, spec in BRAIN.items()
        if name in brain.variables
    }
    if "label" in arrays:
        arrays["label"] = np.array([str(label) for label in arrays["label"]])
    details = {name: dict(brain[name].attrs) for name in arrays}
    attributes = {"source": "xarray.Dataset", "licence": "", **brain.attrs}
    if "sha256" not in attributes:
        digest = hashlib.sha256()
        for name, values in arrays.items():
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
        attributes["sha256"] = digest.hexdigest()
    return Reading(arrays, attributes, details)


def _variables(reading: Reading) -> dict[str, tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]]:
    variables = {}
    for name, values in reading.arrays.items():
        spec = BRAIN[name]
        attrs = {"long_name": spec.meaning, "units": spec.unit, **reading.details.get(name, {})}
        if name in BOLD:
            attrs |= {"tr_s": float(attrs["tr_s"]), "tr_known": bool(attrs.get("tr_known", True))}
        variables[name] = (spec.dims, values, attrs)
    return variables


def _finished(brain: xr.Dataset, isolated: Isolated) -> xr.Dataset:
    """Drop, where asked, voxels that hear no other until each hears one that is left."""
    brain = brain.set_coords("label")
    if isolated != "drop":
        return brain
    heard = _heard(brain["connection"].to_numpy())
    keep = np.ones(len(heard), dtype=bool)
    while not np.array_equal(keep, left := keep & heard[:, keep].any(axis=1)):
        keep = left
    if keep.all():
        return brain
    if not keep.any():
        raise InputError("connection: no voxel is left when isolated voxels are dropped")
    dropped = brain["label"].to_numpy()[~keep].tolist()
    kept = np.flatnonzero(keep)
    return brain.isel(voxel=kept, voxel_source=kept).assign_attrs(dropped=dropped)


def _heard(connection: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pairs joined by a fibre, itself not counted; a single voxel needs no other."""
    heard: NDArray[np.bool_] = connection != 0
    np.fill_diagonal(heard, len(heard) == 1)
    return heard


def _checked(reading: Reading, faults: list[str], isolated: Isolated) -> Reading:
    """Complete a reading; refuse it with all its problems."""
    arrays = dict(reading.arrays)
    faults = faults + [
        f"{name} is missing; found are {sorted(arrays)}" for name in REQUIRED if name not in arrays
    ]
    sizes = {"axis": 3}
    connection = arrays.get("connection", np.empty(0))
    if connection.ndim == 2:
        sizes |= {"voxel": len(connection), "voxel_source": len(connection)}
        arrays.setdefault("label", np.arange(len(connection)).astype(str))
    labels = np.empty(0, dtype=str)
    for name in [name for name in BRAIN if name in arrays]:
        wrong = list(_shape_faults(BRAIN[name], arrays[name], sizes))
        if not wrong and name == "label":
            labels = arrays["label"]
            wrong = list(_label_faults(labels))
        elif not wrong:
            arrays[name] = np.ascontiguousarray(arrays[name], dtype=np.float64)
            wrong = list(_value_faults(BRAIN[name], arrays[name], labels))
        if not wrong and name == "connection" and isolated == "error":
            wrong = list(_isolation_faults(arrays[name], labels))
        faults += wrong
    for name in [name for name in BOLD if name in arrays]:
        faults += _time_faults(name, reading.details.get(name, {}).get("tr_s"))
    if faults:
        count = f"{len(faults)} problem" + ("s" if len(faults) > 1 else "")
        raise InputError("\n- ".join([f"{reading.attributes['source']}: {count}", *faults]))
    return replace(reading, arrays=arrays)


def _shape_faults(spec: Array, values: NDArray[Any], sizes: Mapping[str, int]) -> Iterator[str]:
    """Tell what is wrong with the dtype, dimensions and lengths of one array."""
    kinds, right = ("U", "text (str)") if spec.name == "label" else ("iuf", "real numbers")
    if values.dtype.kind not in kinds:
        yield f"{spec.name} has dtype {values.dtype}; expected {right}"
    expected = tuple(sizes.get(dim, dim) for dim in spec.dims)
    fits = values.ndim == len(expected) and all(
        length == size or (isinstance(size, str) and length > 0)
        for length, size in zip(values.shape, expected, strict=True)
    )
    if spec.name == "connection" and (values.size == 0 or not fits):
        yield f"connection has shape {values.shape}; expected a square matrix of at least one voxel"
    elif not fits:
        shape = ", ".join(map(str, expected))
        yield f"{spec.name} has shape {values.shape}; expected ({shape}) for {', '.join(spec.dims)}"


def _label_faults(labels: NDArray[np.str_]) -> Iterator[str]:
    names, first, count = np.unique(labels, return_index=True, return_counts=True)
    if (twice := count > 1).any():
        index = first[twice].min()
        places = np.flatnonzero(labels == labels[index]).tolist()
        more = f", and {twice.sum() - 1} more names are repeated" if twice.sum() > 1 else ""
        yield f"label {str(labels[index])!r} stands at {places[:5]}{more}; each voxel needs its own"
    if "" in names:
        yield f"label[{first[0]}] is empty; each voxel needs a name"


def _value_faults(
    spec: Array, values: NDArray[np.float64], labels: NDArray[np.str_]
) -> Iterator[str]:
    """Tell what is wrong with the numbers of one array, with the first offender of each kind."""
    wrong = {"must be finite": ~np.isfinite(values)}
    if spec.name in NON_NEGATIVE:
        wrong["must not be negative"] = values < 0
    for rule, mask in wrong.items():
        if count := int(mask.sum()):
            first = tuple(int(i) for i in np.argwhere(mask)[0])
            more = f" and {count - 1:,} more" if count > 1 else ""
            yield f"{spec.name}[{_place(spec, first, labels)}] is {values[first]}{more}; it {rule}"
    if spec.name == "grey_matter" and not values.any():
        yield "grey_matter is 0 everywhere; at least one voxel must have some"
    if spec.name == "connection" and np.isfinite(values).all() and np.isinf(_total(values)):
        yield f"connection sums to more than a float64 holds (largest {values.max()}); scale it"


def _total(values: NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        return float(values.sum())


def _place(spec: Array, index: tuple[int, ...], labels: NDArray[np.str_]) -> str:
    """Tell an index with the names of its voxels: 3 'Insula_L', 7 'Insula_R'."""
    named = [
        f"{i} {str(labels[i])!r}" if dim.startswith("voxel") and i < len(labels) else str(i)
        for dim, i in zip(spec.dims, index, strict=True)
    ]
    return ", ".join(named)


def _isolation_faults(connection: NDArray[np.float64], labels: NDArray[np.str_]) -> Iterator[str]:
    alone = np.flatnonzero(~_heard(connection).any(axis=1)).tolist()
    if alone:
        shown = "; ".join(_place(BRAIN["label"], (i,), labels) for i in alone[:10])
        more = f"; and {len(alone) - 10} more" if len(alone) > 10 else ""
        yield (
            f"connection: {len(alone)} isolated voxels, which no fibre reaches from another voxel: "
            f"{shown}{more}; connect them, or leave them out with isolated='drop'"
        )


def _time_faults(name: str, tr_s: object) -> Iterator[str]:
    if not (isinstance(tr_s, Real) and np.isfinite(float(tr_s)) and float(tr_s) > 0):
        yield f"{name}: tr_s is {tr_s!r}; expected its repetition time in s, above 0"
