"""The HDF5 files of a SONATA network: plain columns, read a stretch at a time.

An HDF5 file may point into other files, claim terabytes that nobody wrote, ask for foreign code to
unpack it, or hold Python objects. A `Column` is a dataset that does none of this; it is read in
stretches, so that its length costs no memory.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.guard import decoding, head, listed, refuse_bomb
from dtbdask.errors import InputFileError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_LIMIT = 2**28
"""Bytes that one chunk may unpack to: it is read whole, however short the stretch."""

FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
"""Filters that come with HDF5 and h5py (the last is LZF); others would be code from elsewhere."""

KINDS = {"integers": "iu", "numbers": "iuf"}
"""What a column of numbers may hold, and the kinds of NumPy dtype that are it."""

KIND = "an HDF5 file"


def load_h5py() -> Any:
    """The module h5py, or an error that tells how to get it."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise MissingDependencyError(
            "SONATA networks are HDF5 files, which h5py reads and writes; it is not installed: "
            "pip install 'dtbdask[formats]'"
        ) from error


@dataclass(frozen=True)
class Column:
    """A one-dimensional dataset that may be trusted to be what it says.

    Attributes
    ----------
    path : Path
        Of its file.
    dataset : h5py.Dataset
    """

    path: Path
    dataset: Any

    def __len__(self) -> int:
        return int(self.dataset.shape[0])

    def __str__(self) -> str:
        """File and place in it, for messages."""
        return f"{self.path}: {self.dataset.name}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its values."""
        dtype: np.dtype[Any] = self.dataset.dtype
        return dtype

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Values of a stretch; all of them where no end is given."""
        if stop is None:
            refuse_bomb(self.path, self.dataset.nbytes, None)
        with decoding(self.path, KIND):
            return np.asarray(self.dataset[start:stop])

    def text(self) -> list[str]:
        """All values of a column of text."""
        refuse_bomb(self.path, self.dataset.nbytes, None)
        with decoding(self.path, KIND):
            return [str(value) for value in self.dataset.asstr()[...]]

    def attribute(self, name: str) -> str:
        """Text of an attribute."""
        with decoding(self.path, KIND):
            value = self.dataset.attrs.get(name)
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if not isinstance(value, str) or not value:
            raise InputFileError(f"{self} lacks the text attribute {name!r}")
        return value


@dataclass(frozen=True)
class Folder:
    """A group of an open HDF5 file.

    Attributes
    ----------
    path : Path
        Of the file.
    group : h5py.Group
    """

    path: Path
    group: Any

    def __str__(self) -> str:
        """File and place in it, for messages."""
        return f"{self.path}: {self.group.name}"

    def names(self) -> list[str]:
        """Names of what is in it."""
        with decoding(self.path, KIND):
            return [str(name) for name in self.group]

    def folder(self, name: str) -> Folder | None:
        """A group in it, or None where there is nothing of the name."""
        found = self._member(name, load_h5py().Group, "a group")
        return None if found is None else Folder(self.path, found)

    def folders(self) -> Iterator[tuple[str, Folder]]:
        """All that is in it, which must be groups, by name."""
        for name in self.names():
            folder = self.folder(name)
            assert folder is not None
            yield name, folder

    def column(self, name: str, what: str, length: int | None = None) -> Column | None:
        """A column in it, or None where there is nothing of the name.

        Parameters
        ----------
        name : str
        what : {"integers", "numbers", "text"}
            What it must hold.
        length : int, optional
            Values it must have.
        """
        found = self._member(name, load_h5py().Dataset, "a dataset")
        if found is None:
            return None
        with decoding(self.path, KIND):
            fault = _type_fault(found, what) or _storage_fault(found)
            if fault is None and length is not None and found.shape[0] != length:
                fault = f"has {found.shape[0]:,} values, expected {length:,}"
        if fault is not None:
            raise InputFileError(f"{self.path}: {found.name} {fault}")
        return Column(self.path, found)

    def required(self, name: str, what: str, length: int | None = None) -> Column:
        """A column that must be there."""
        found = self.column(name, what, length)
        if found is None:
            raise InputFileError(f"{self} lacks {name!r}; found are {listed(self.names())}")
        return found

    def _member(self, name: str, kind: type, what: str) -> Any:
        where = f"{str(self).rstrip('/')}/{name[:80]}"
        with decoding(self.path, KIND):
            link = self.group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, load_h5py().HardLink):
            raise InputFileError(f"{where} is a link, which may lead elsewhere and is not followed")
        with decoding(self.path, KIND):
            found = self.group[name]
        if not isinstance(found, kind):
            raise InputFileError(f"{where} is not {what}")
        return found


@contextmanager
def open_hdf5(path: Path) -> Iterator[Folder]:
    """Open an HDF5 file to read.

    Parameters
    ----------
    path : path

    Yields
    ------
    Folder
        The root group.

    Raises
    ------
    InputFileError
        Not an HDF5 file, or damaged.
    MissingDependencyError
        h5py is not installed.
    """
    h5py = load_h5py()
    if not head(path, 8).startswith(b"\x89HDF\r\n\x1a\n"):
        raise InputFileError(f"{path}: not an HDF5 file, which SONATA keeps nodes and edges in")
    with decoding(path, KIND):
        file = h5py.File(path, "r")
    with file:
        yield Folder(path, file)


def _type_fault(dataset: Any, what: str) -> str | None:
    if dataset.shape is None or len(dataset.shape) != 1:
        return f"has shape {dataset.shape}; expected one dimension"
    if what == "text":
        fits = load_h5py().check_string_dtype(dataset.dtype) is not None
    else:
        fits = dataset.dtype.kind in KINDS[what] and dataset.dtype.itemsize <= 8
    return None if fits else f"has dtype {dataset.dtype}; expected {what}"


def _storage_fault(dataset: Any) -> str | None:
    """What is wrong with where the values are: elsewhere, nowhere, or in chunks beyond reason."""
    if dataset.external or dataset.is_virtual:
        return "keeps its values in other files, which are not opened"
    plan = dataset.id.get_create_plist()
    foreign = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} - FILTERS
    if foreign:
        return f"needs the HDF5 filters {sorted(foreign)}, which do not come with h5py"
    if dataset.size == 0:
        return None
    if dataset.chunks is None:
        absent = dataset.id.get_storage_size() < dataset.nbytes
        return "has no values: nothing was ever written" if absent else None
    chunk = dataset.chunks[0] * dataset.dtype.itemsize
    if chunk > CHUNK_LIMIT:
        return f"has chunks of {chunk:,} bytes, each unpacked whole; at most {CHUNK_LIMIT:,} are"
    present, expected = dataset.id.get_num_chunks(), -(-dataset.shape[0] // dataset.chunks[0])
    if present < expected:
        return f"has {present:,} of its {expected:,} chunks; an absent chunk is not taken for zeros"
    return None
