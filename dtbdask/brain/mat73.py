"""Reading MATLAB v7.3 files, which are HDF5: plain numeric variables of this one file only.

MATLAB stores columns first, so that HDF5 shows every array transposed; what is read here is as
MATLAB shows it. A large matrix stays in the file: its rows are read when they are wanted, some tens
of megabytes at a time, from slabs of columns of the stored array, and the file is opened for each.
A large *sparse* matrix is held as such, some 12 bytes an entry, and unpacked a few rows at a time.

Nothing is followed out of the file (links, external and virtual storage), no filter is loaded, and
what was never written is an error, not zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from dtbdask.brain.guard import decoding, listed, refuse_bomb, refuse_endless
from dtbdask.brain.rows import compact, is_large, lazy
from dtbdask.errors import InputFileError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "a MATLAB v7.3 file"

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset"}
"""Filters that come with HDF5, by number; any other would be code loaded from elsewhere."""


def names(path: Path) -> list[str]:
    """Names of the variables of a file."""
    with decoding(path, KIND), _open(path) as file:
        return [name for name in file if not name.startswith("#")]


def load(path: Path, wanted: Iterable[str], *, matrices: Container[str] = ()) -> dict[str, Any]:
    """Load variables as MATLAB shows them.

    Parameters
    ----------
    path : path
        The file.
    wanted : iterable of str
        Variables that are there; empty ones (`[]`) are left out.
    matrices : container of str
        Those that stay in the file, as Dask arrays in chunks of rows, if they are large.

    Returns
    -------
    dict of str to ndarray or dask.array.Array
        Text is (row,) str.

    Raises
    ------
    InputFileError
        Damaged, dangerous, too large, or no numeric array.
    MissingDependencyError
        h5py is not installed.
    """
    path = path.absolute()
    found = {}
    with decoding(path, KIND), _open(path) as file:
        stored = {name: _Stored.look(path, file, name) for name in wanted}
        read = [one for one in stored.values() if one.sparse or not one.stays(matrices)]
        refuse_bomb(path, sum(one.unpacked for one in read), path.stat().st_size)
        for name, one in stored.items():
            if not one.empty:
                found[name] = one.lazy() if one.stays(matrices) else one.whole()
    return found


def _h5py() -> Any:
    try:
        return import_module("h5py")
    except ImportError as error:
        raise MissingDependencyError(
            "MATLAB v7.3 files are HDF5, which h5py reads; it is not installed: "
            "pip install 'dtbdask[formats]'"
        ) from error


def _open(path: Path) -> Any:
    return _h5py().File(path, "r")


@dataclass(frozen=True)
class _Stored:
    """A variable of an open file, looked at but not read."""

    path: Path
    name: str
    node: Any
    shape: tuple[int, ...]
    """As MATLAB shows it."""
    unpacked: int
    """Bytes; of a sparse matrix, as such."""
    text: bool
    sparse: bool

    @classmethod
    def look(cls, path: Path, file: Any, name: str) -> _Stored:
        node = _follow(path, file, name)
        kind = node.attrs.get("MATLAB_class", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if "MATLAB_sparse" in node.attrs:
            members = list(node)  # `in` would follow a link
            wanted = [part for part in ("jc", "ir", "data") if part in members]
            parts = {part: _follow(path, node, part) for part in wanted}
            for part in parts.values():
                _refuse_strange(path, part)
            shape = (int(node.attrs["MATLAB_sparse"]), parts["jc"].size - 1)
            unpacked = sum(part.size * part.dtype.itemsize for part in parts.values())
            return cls(path, name, node, shape, unpacked, text=False, sparse=True)
        if not hasattr(node, "dtype") or kind == "cell" or node.dtype.kind not in "biuf":
            raise InputFileError(
                f"{path}: {name!r} is {_class(node, kind)}; expected a plain numeric matrix "
                "(in MATLAB: double(x); for a list of names: char(x))"
            )
        _refuse_strange(path, node)
        unpacked = node.size * max(8, node.dtype.itemsize)
        return cls(path, name, node, node.shape[::-1], unpacked, text=kind == "char", sparse=False)

    @property
    def empty(self) -> bool:
        """Whether it is `[]`, of which MATLAB stores the shape as its values."""
        return bool(self.node.attrs.get("MATLAB_empty", 0)) or 0 in self.shape

    def stays(self, matrices: Container[str]) -> bool:
        """Whether it is too large a matrix to be read whole."""
        return self.name in matrices and is_large(self.shape) and not self.text

    def whole(self) -> NDArray[Any]:
        """All of it, in memory."""
        if self.sparse:
            refuse_bomb(self.path, 8 * math.prod(self.shape), None)
            return np.asarray(_csr(self.path, self.name, self.node, self.shape).toarray())
        values = np.asarray(self.node[...]).T
        if not self.text:
            return values
        rows = [row.astype("<u2").tobytes().decode("utf-16-le") for row in np.atleast_2d(values)]
        return np.array([row.rstrip(" \0") for row in rows])

    def lazy(self) -> Any:
        """It as a Dask array in chunks of rows."""
        shape = (self.shape[0], self.shape[1])
        if self.sparse:
            refuse_endless(self.path, self.name, 8 * math.prod(shape), 0)
            matrix = _csr(self.path, self.name, self.node, shape)
            return lazy(_Sparse(matrix), shape, matrix.dtype)
        node, chunks = self.node, self.node.chunks
        packed = math.prod(chunks) * node.dtype.itemsize if chunks else 0
        refuse_endless(self.path, self.name, node.size * node.dtype.itemsize, packed)
        return lazy(_Slab(self.path, self.name), shape, node.dtype, chunks[1] if chunks else 1)


@dataclass(frozen=True)
class _Slab:
    """Rows of a matrix in a file: columns of the array as HDF5 has it."""

    path: Path
    name: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with decoding(self.path, KIND), _open(self.path) as file:
            return np.asarray(_follow(self.path, file, self.name)[:, start:stop]).T


@dataclass(frozen=True)
class _Sparse:
    """Rows of a sparse matrix."""

    matrix: sp.csr_array

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        return np.asarray(self.matrix[start:stop].toarray())


def _follow(path: Path, group: Any, name: str) -> Any:
    """A member of a group that lies in it, not elsewhere."""
    link = group.get(name, getlink=True)
    if not isinstance(link, _h5py().HardLink):
        raise InputFileError(
            f"{path}: {name!r} is a link ({type(link).__name__}), which may lead out of the file "
            "and is not followed; store the array itself"
        )
    return group[name]


def _refuse_strange(path: Path, node: Any) -> None:
    """Refuse arrays that lie elsewhere, need foreign filters, or were never written."""
    name = node.name.lstrip("/")
    if node.external or node.is_virtual:
        raise InputFileError(f"{path}: {name!r} lies in other files, which are not opened")
    plan = node.id.get_create_plist()
    numbers = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if foreign := [number for number in numbers if number not in FILTERS]:
        raise InputFileError(
            f"{path}: {name!r} needs HDF5 filters {foreign}; read are {listed(FILTERS.values())}"
        )
    if node.size == 0:
        return
    if node.chunks:
        pairs = zip(node.shape, node.chunks, strict=True)
        expected = math.prod(-(-length // chunk) for length, chunk in pairs)
        present = node.id.get_num_chunks()
    else:
        expected, present = 1, int(node.id.get_storage_size() > 0)
    if present < expected:
        raise InputFileError(
            f"{path}: {name!r}, of shape {node.shape}, has {present:,} of its {expected:,} chunks; "
            "an absent chunk is not taken for zeros"
        )


def _class(node: Any, kind: str) -> str:
    """What a variable that is no numeric matrix is, for a message."""
    if kind:
        return f"of MATLAB class {kind!r}"
    return f"of dtype {node.dtype}" if hasattr(node, "dtype") else "a group"


def _csr(path: Path, name: str, group: Any, shape: tuple[int, ...]) -> sp.csr_array:
    """Read a sparse matrix, which MATLAB stores by columns, by rows."""
    jc = np.asarray(group["jc"][...]).astype(np.int64).ravel()
    filled = "data" in group and "ir" in group
    ir = np.asarray(group["ir"][...]).ravel() if filled else np.empty(0, np.uint64)
    data = np.asarray(group["data"][...]).ravel() if filled else np.empty(0)
    if data.dtype.kind not in "biuf":
        raise InputFileError(f"{path}: {name!r} has dtype {data.dtype}; expected real numbers")
    right = jc[0] == 0 and jc[-1] == len(ir) == len(data) and (np.diff(jc) >= 0).all()
    if not right or (len(ir) and ir.max() >= shape[0]):
        raise InputFileError(
            f"{path}: damaged, the indices of the sparse matrix {name!r} do not fit its "
            f"{len(data):,} entries in {shape[0]:,} rows and {shape[1]:,} columns"
        )
    narrow: Any = ir.astype(np.int32 if shape[0] < 2**31 else np.int64)
    del ir
    values: Any = data.astype(compact(data.dtype), copy=False)
    rows, columns = shape
    return sp.csr_array(sp.csc_array((values, narrow, jc), shape=(rows, columns)))
