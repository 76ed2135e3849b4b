"""Arrays of an `.npz` of strangers, whole or stretch by stretch: memory does not grow with them.

Sizes and types are looked at first; nothing pickled is loaded and nothing is put on disk. Entries
may be packed. The checksum of an entry is compared when its last byte has been read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.guard import decoding, head, listed, refuse_bomb
from dtbdask.brain.npz import read_header
from dtbdask.errors import InputFileError


@dataclass(frozen=True)
class Entry:
    """What the header of one array says.

    Attributes
    ----------
    info : zipfile.ZipInfo
    shape : tuple of int
    dtype : numpy.dtype
    by_column : bool
        Stored column by column (Fortran's order), which cannot be read row by row.
    offset : int
        Bytes before the values.
    """

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    offset: int


@dataclass(frozen=True)
class Archive:
    """An open `.npz`.

    Attributes
    ----------
    path : path
    entries : dict of str to Entry
        Its arrays by name.
    file : zipfile.ZipFile
    """

    path: Path
    entries: dict[str, Entry]
    file: zipfile.ZipFile

    def read(self, name: str) -> NDArray[Any]:
        """One array, whole."""
        entry = self.entries[name]
        with decoding(self.path, "an .npz archive"), self._values(entry) as file:
            values = np.frombuffer(file.read(), entry.dtype)
            order: Any = "F" if entry.by_column else "C"
            return values.reshape(entry.shape, order=order)

    def stretches(
        self, names: Sequence[str], length: int
    ) -> Iterator[tuple[int, list[NDArray[Any]]]]:
        """Arrays of equal length, in step.

        Parameters
        ----------
        names : sequence of str
        length : int
            Rows of a stretch.

        Yields
        ------
        start : int
            First row of the stretch.
        arrays : list of (row, ...) array
        """
        n = self.entries[names[0]].shape[0]
        with ExitStack() as opened:
            whole = {name: self.read(name) for name in names if self.entries[name].by_column}
            files = {
                name: opened.enter_context(self._values(self.entries[name]))
                for name in names
                if name not in whole
            }
            for start in range(0, n, length):
                stop = min(start + length, n)
                yield (
                    start,
                    [
                        whole[name][start:stop]
                        if name in whole
                        else self._rows(self.entries[name], files[name], stop - start)
                        for name in names
                    ],
                )

    def _values(self, entry: Entry) -> IO[bytes]:
        with decoding(self.path, "an .npz archive"):
            file = self.file.open(entry.info)
            file.read(entry.offset)
            return file

    def _rows(self, entry: Entry, file: IO[bytes], count: int) -> NDArray[Any]:
        with decoding(self.path, "an .npz archive"):
            size = count * math.prod(entry.shape[1:]) * entry.dtype.itemsize
            values = np.frombuffer(file.read(size), entry.dtype)
            return values.reshape(count, *entry.shape[1:])


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """An `.npz`, after a look at the headers of all its arrays.

    Parameters
    ----------
    path : path

    Yields
    ------
    Archive

    Raises
    ------
    InputFileError
        Not such an archive, damaged, too large, or with pickled objects in it.
    """
    if not head(path, 4).startswith(b"PK"):
        raise InputFileError(f"{path}: not a zip archive, which every .npz is; use numpy.savez")
    with ExitStack() as opened:
        with decoding(path, "an .npz archive"):
            file = opened.enter_context(zipfile.ZipFile(path))
            entries = _entries(path, file)
        yield Archive(path, entries, file)


def _entries(path: Path, file: zipfile.ZipFile) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for info in file.infolist():
        name = info.filename.removesuffix(".npy")
        if not name.isidentifier() or name == info.filename:
            raise InputFileError(
                f"{path}: a zip archive, but its entry {listed([info.filename])} is no array; "
                "each entry must be <name>.npy, as numpy.savez writes it"
            )
        if name in entries:
            raise InputFileError(f"{path}: two entries of the archive are named {name!r}")
        refuse_bomb(path, info.file_size, info.compress_size)
        shape, by_column, dtype, offset = read_header(path, file, info)
        entries[name] = Entry(info, shape, dtype, by_column and len(shape) > 1, offset)
    return entries
