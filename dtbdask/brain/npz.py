"""Reading `.npz` archives of strangers: sizes first, plain arrays only, nothing put on disk.

A large matrix stays in the file and is read a few rows at a time: at its place in the file, or, of
a compressed archive, by unpacking all that is before the rows, which takes as long as it sounds.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.guard import SMALL, decoding, head, refuse_bomb, refuse_endless
from dtbdask.brain.rows import is_large, lazy
from dtbdask.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from numpy.typing import NDArray


def read_arrays(path: Path, *, matrices: Container[str] = ()) -> dict[str, Any]:
    """All arrays of an `.npz`, by name.

    Parameters
    ----------
    path : path
    matrices : container of str
        Names that stay in the file, as Dask arrays in chunks of rows, if they are large.

    Returns
    -------
    dict of str to ndarray or dask.array.Array

    Raises
    ------
    InputFileError
        Not such an archive, damaged, too large, or with pickled objects in it.
    """
    if not head(path, 4).startswith(b"PK"):
        raise InputFileError(f"{path}: not a zip archive, which every .npz is; use numpy.savez")
    with decoding(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        entries = {
            name: _Entry.look(path.absolute(), archive, info)
            for name, info in _entries(path, archive).items()
        }
        left = {name for name in entries if name in matrices and is_large(entries[name].shape)}
        read = [entries[name].info for name in entries if name not in left]
        unpacked = sum(info.file_size for info in read)
        refuse_bomb(path, unpacked, sum(info.compress_size for info in read))
        return {
            name: entry.lazy(archive) if name in left else entry.whole(archive)
            for name, entry in entries.items()
        }


def read_header(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """What the header of an entry says, and no more of the entry.

    Parameters
    ----------
    path : path
        Of the archive, for the messages.
    archive : zipfile.ZipFile
    info : zipfile.ZipInfo

    Returns
    -------
    shape : tuple of int
    fortran : bool
        Stored column by column.
    dtype : dtype
    start : int
        Bytes of the header.

    Raises
    ------
    InputFileError
        An unknown version, pickled objects, or other sizes than announced.
    """
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise InputFileError(
                f"{path}: {info.filename} has .npy version {version}, not 1.0 or 2.0"
            )
        shape, fortran, dtype = headers[version](file)
        start = file.tell()
    if dtype.hasobject:
        raise InputFileError(
            f"{path}: {info.filename} holds pickled Python objects, which could run code and "
            "are never loaded; save a plain array (numpy.asarray(x, dtype=float))"
        )
    announced, present = math.prod(shape) * dtype.itemsize, info.file_size - start
    if announced != present or min(shape, default=0) < 0:
        raise InputFileError(
            f"{path}: the header of {info.filename} announces {announced:,} bytes, "
            f"{present:,} are there"
        )
    return shape, fortran, dtype, start


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    for info in entries:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,64}\.npy", info.filename):
            raise InputFileError(
                f"{path}: a zip archive, but its entry {info.filename[:80]!r} is no array; "
                "each entry must be <name>.npy, as numpy.savez writes it"
            )
    named = {info.filename.removesuffix(".npy"): info for info in entries}
    if len(named) < len(entries):
        raise InputFileError(f"{path}: two entries of the archive have the same name")
    return named


@dataclass(frozen=True)
class _Entry:
    """One array of an archive, by its header."""

    path: Path
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int
    """Bytes of the header."""

    @classmethod
    def look(cls, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
        """Read the header of an entry, and no more of it."""
        shape, fortran, dtype, start = read_header(path, archive, info)
        return cls(path, info, shape, dtype, fortran, start)

    def whole(self, archive: zipfile.ZipFile) -> NDArray[Any]:
        """All of it, in memory."""
        with archive.open(self.info) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    def lazy(self, archive: zipfile.ZipFile) -> Any:
        """It as a Dask array, after a check of its checksum."""
        rows, columns = self.shape
        refuse_endless(self.path, self.info.filename, self.info.file_size, 0)
        source: _Placed | _Packed
        if self.info.compress_type == zipfile.ZIP_STORED:
            with archive.open(self.info) as file:
                while file.read(SMALL):
                    pass
            place = _place(self.path, self.info) + self.start
            source = _Placed(self.path, place, (rows, columns), self.dtype, self.fortran)
        elif self.fortran:
            raise InputFileError(
                f"{self.path}: {self.info.filename} is large, compressed and in Fortran order, so "
                "that no row can be read; write numpy.ascontiguousarray(x), or do not compress"
            )
        else:
            source = _Packed(self.path, self.info.filename, self.start, columns, self.dtype)
        return lazy(source, (rows, columns), self.dtype)


def _place(path: Path, info: zipfile.ZipInfo) -> int:
    """Place in the file of the first byte of an entry."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    return info.header_offset + 30 + int(name) + int(extra)


@dataclass(frozen=True)
class _Placed:
    """Rows of a matrix that lies in a file as it is."""

    path: Path
    place: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    fortran: bool

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with decoding(self.path, "an .npz archive"):
            matrix: NDArray[Any] = np.memmap(
                self.path, self.dtype, "r", self.place, self.shape, "F" if self.fortran else "C"
            )
            return np.array(matrix[start:stop], order="C")


@dataclass(frozen=True)
class _Packed:
    """Rows of a matrix that a compressed archive holds."""

    path: Path
    name: str
    start: int
    columns: int
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        row = self.columns * self.dtype.itemsize
        with (
            decoding(self.path, "an .npz archive"),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self.name) as file,
        ):
            file.seek(self.start + start * row)
            packed = file.read((stop - start) * row)
            return np.frombuffer(packed, self.dtype).reshape(stop - start, self.columns)
