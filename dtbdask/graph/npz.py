"""Reading `.npz` archives of strangers: sizes first, plain arrays only, nothing put on disk."""

from __future__ import annotations

import math
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.errors import InputFileError
from dtbdask.graph.guard import decoding, head, refuse_bomb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz`, by name.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    InputFileError
        Not such an archive, damaged, too large, or with pickled objects in it.
    """
    if not head(path, 4).startswith(b"PK"):
        raise InputFileError(f"{path}: not a zip archive, which every .npz is; use numpy.savez")
    with decoding(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        entries = _entries(path, archive)
        return {name: _array(path, archive, info) for name, info in entries.items()}


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    for info in entries:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,64}\.npy", info.filename):
            raise InputFileError(
                f"{path}: a zip archive, but its entry {info.filename[:80]!r} is no array; "
                "each entry must be <name>.npy, as numpy.savez writes it"
            )
    unpacked = sum(info.file_size for info in entries)
    refuse_bomb(path, unpacked, sum(info.compress_size for info in entries))
    named = {info.filename.removesuffix(".npy"): info for info in entries}
    if len(named) < len(entries):
        raise InputFileError(f"{path}: two entries of the archive have the same name")
    return named


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
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
        shape, _, dtype = headers[version](file)
        if dtype.hasobject:
            raise InputFileError(
                f"{path}: {info.filename} holds pickled Python objects, which could run code and "
                "are never loaded; save a plain array (numpy.asarray(x, dtype=float))"
            )
        announced, present = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        if announced != present:
            raise InputFileError(
                f"{path}: the header of {info.filename} announces {announced:,} bytes, "
                f"{present:,} are there"
            )
    with archive.open(info) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
