"""All that can be wrong with the arrays of a connectome, told one sentence a fault.

A matrix is looked at block by block, so that one of any size is judged in little memory; a Dask
array gives the same sentences as the NumPy array of its values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.rows import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from dtbdask.brain.rows import Matrix
    from dtbdask.schema import Array

NON_NEGATIVE = ("connection", "grey_matter", "tract_length")

_KINDS = {
    "str": ("U", "text (str)"),
    "bool": ("b", "True or False (bool)"),
    "float64": ("iuf", "real numbers"),
}


def shape_faults(spec: Array, values: Matrix, sizes: Mapping[str, int]) -> Iterator[str]:
    """Tell what is wrong with the dtype, dimensions and lengths of one array."""
    kinds, right = _KINDS[spec.dtype]
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


def label_faults(labels: NDArray[np.str_]) -> Iterator[str]:
    """Tell which names of voxels occur twice or are empty."""
    names, first, count = np.unique(labels, return_index=True, return_counts=True)
    if (twice := count > 1).any():
        index = first[twice].min()
        places = np.flatnonzero(labels == labels[index]).tolist()
        more = f", and {twice.sum() - 1} more names are repeated" if twice.sum() > 1 else ""
        yield f"label {str(labels[index])!r} stands at {places[:5]}{more}; each voxel needs its own"
    if "" in names:
        yield f"label[{first[0]}] is empty; each voxel needs a name"


def region_faults(region: NDArray[np.str_], labels: NDArray[np.str_]) -> Iterator[str]:
    """Tell which voxels have no region."""
    if count := int((region == "").sum()):
        more = f" and {count - 1:,} more" if count > 1 else ""
        place = _voxel(int(np.flatnonzero(region == "")[0]), labels)
        yield f"region[{place}] is empty{more}; each voxel needs the name of its region"


@dataclass
class Survey:
    """What a look at all numbers of an array found."""

    faults: list[str]
    alone: list[int] = field(default_factory=list)
    """Voxels that no fibre reaches from another voxel; of `connection` only."""


def survey(spec: Array, values: Matrix, labels: NDArray[np.str_]) -> Survey:
    """Look at the numbers of one array in one pass, with the first offender of each kind.

    Parameters
    ----------
    spec : Array
        What it is.
    values : float, of the shape of `spec`
        NumPy or Dask.
    labels : (voxel,) str
        Names for the sentences; empty where they are themselves wrong.
    """
    rules = ["must be finite", "must not be negative"][: 1 + (spec.name in NON_NEGATIVE)]
    first: dict[str, tuple[tuple[int, ...], Any]] = {}
    count = dict.fromkeys(rules, 0)
    found, total, largest = Survey([]), 0.0, 0.0
    for start, block in blocks(values):
        for rule in rules:
            wrong = ~np.isfinite(block) if rule == "must be finite" else block < 0
            if wrong.any():
                count[rule] += int(wrong.sum())
                place = tuple(int(i) for i in np.argwhere(wrong)[0])
                first.setdefault(rule, ((start + place[0], *place[1:]), block[place]))
        with np.errstate(over="ignore", invalid="ignore"):
            total += float(block.sum(dtype=np.float64))
        largest = max(largest, float(block.max(initial=0)))
        if spec.name == "connection":
            found.alone += (start + np.flatnonzero(~hears(block, start).any(axis=1))).tolist()
        del block  # before the next is made
    for rule in [rule for rule in rules if rule in first]:
        place, value = first[rule]
        more = f" and {count[rule] - 1:,} more" if count[rule] > 1 else ""
        where = _place(spec, place, labels)
        found.faults.append(f"{spec.name}[{where}] is {value}{more}; it {rule}")
    if "must be finite" not in first:
        found.faults += _sum_faults(spec, total, largest)
    return found


def _sum_faults(spec: Array, total: float, largest: float) -> Iterator[str]:
    if spec.name == "grey_matter" and total == largest == 0:
        yield "grey_matter is 0 everywhere; at least one voxel must have some"
    if spec.name == "connection" and np.isinf(total):
        yield f"connection sums to more than a float64 holds (largest {largest}); scale it"


def hears(block: NDArray[Any], start: int) -> NDArray[np.bool_]:
    """Pairs joined by a fibre, itself not counted; a single voxel needs no other.

    Parameters
    ----------
    block : (row, voxel_source) float
        Some rows of a connection.
    start : int
        Voxel of the first row.
    """
    heard: NDArray[np.bool_] = block != 0
    row = np.arange(len(block))
    heard[row, start + row] = block.shape[1] == 1
    return heard


def left_over(connection: Matrix) -> NDArray[np.bool_]:
    """Voxels left when those that hear no other are dropped, until each hears one that is left.

    Who hears whom is kept as one bit a pair: 64 MB for 22,703 voxels.

    Parameters
    ----------
    connection : (voxel, voxel_source) float

    Returns
    -------
    (voxel,) bool
    """
    n = connection.shape[0]
    heard = np.empty((n, -(-n // 8)), np.uint8)
    for start, block in blocks(connection):
        heard[start : start + len(block)] = np.packbits(hears(block, start), axis=1)
        del block
    keep = np.ones(n, dtype=bool)
    while not np.array_equal(keep, left := keep & (heard & np.packbits(keep)).any(axis=1)):
        keep = left
    return keep


def isolation_faults(alone: list[int], labels: NDArray[np.str_]) -> Iterator[str]:
    """Tell which voxels no fibre reaches."""
    if alone:
        shown = "; ".join(_voxel(i, labels) for i in alone[:10])
        more = f"; and {len(alone) - 10} more" if len(alone) > 10 else ""
        yield (
            f"connection: {len(alone)} isolated voxels, which no fibre reaches from another voxel: "
            f"{shown}{more}; connect them, or leave them out with isolated='drop'"
        )


def time_faults(name: str, tr_s: object) -> Iterator[str]:
    """Tell what is wrong with a repetition time."""
    if not (isinstance(tr_s, Real) and np.isfinite(float(tr_s)) and float(tr_s) > 0):
        yield f"{name}: tr_s is {tr_s!r}; expected its repetition time in s, above 0"


def _voxel(index: int, labels: NDArray[np.str_]) -> str:
    return f"{index} {str(labels[index])!r}" if index < len(labels) else str(index)


def _place(spec: Array, index: tuple[int, ...], labels: NDArray[np.str_]) -> str:
    """Tell an index with the names of its voxels: 3 'Insula_L', 7 'Insula_R'."""
    return ", ".join(
        _voxel(i, labels) if dim.startswith("voxel") else str(i)
        for dim, i in zip(spec.dims, index, strict=True)
    )
