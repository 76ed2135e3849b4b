"""Reading connectivity archives of The Virtual Brain (`connectivity_76.zip`, ...).

Such a zip holds tables of text, each maybe packed with bzip2: `weights`, and if wanted
`tract_lengths` (mm), `centres` (a label and x, y, z in mm, a region a line) and `cortical` (1 or
0). Areas, hemispheres and orientations are left alone. In TVB, too, row = target and column =
source: `u_kj` is the strength of the connection from node j to node k (`tvb.simulator.coupling`).

The archive is read where it lies and never unpacked to disk; nothing but text is read of it.
"""

from __future__ import annotations

import bz2
import io
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.contract import Reading
from dtbdask.brain.guard import RATIO_LIMIT, SMALL, decoding, digest, head, listed, refuse_bomb
from dtbdask.brain.tables import UNIFORM
from dtbdask.errors import InputFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = {
    "weights": "weights",
    "tract_lengths": "tract_lengths",
    "centres": "centres",
    "centers": "centres",
    "cortical": "cortical",
}
"""Tables that are read, as they may be called."""


def read_tvb(path: Path) -> Reading:
    """Read a connectivity archive.

    Parameters
    ----------
    path : path
        The zip.

    Returns
    -------
    Reading
        Grey matter, which it has none of, is 1 everywhere.

    Raises
    ------
    InputFileError
        No such archive, damaged, too large, or with entries that would lie outside a folder.
    """
    if not head(path, 4).startswith(b"PK"):
        raise InputFileError(f"{path}: not a zip archive; a connectivity of TVB is one")
    with decoding(path, "a zip archive of TVB"), zipfile.ZipFile(path) as archive:
        entries = _entries(path, archive)
        packed = sum(info.compress_size for info in entries.values())
        refuse_bomb(path, sum(info.file_size for info in entries.values()), packed)
        text = {name: _text(path, archive, info) for name, info in entries.items()}
        arrays = _arrays(path, text)
    arrays["grey_matter"] = np.ones(len(arrays["connection"]))
    attributes = {"source": f"TVB {path.name}", "sha256": digest(path), "licence": ""}
    return Reading(arrays, attributes, {"grey_matter": dict(UNIFORM)})


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries that are read, by the names of their tables, in whatever folder they lie."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        place = PurePosixPath(info.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise InputFileError(
                f"{path}: its entry {info.filename[:80]!r} lies outside the archive"
            )
        stem, _, suffix = place.name.partition(".")
        name = NAMES.get(stem)
        if name is None or info.is_dir() or "__MACOSX" in place.parts:
            continue
        if suffix not in ("txt", "txt.bz2"):
            raise InputFileError(
                f"{path}: {place.name[:80]!r} is no table; read are .txt, .txt.bz2"
            )
        if name in found:
            raise InputFileError(f"{path}: has two tables {name!r}")
        found[name] = info
    if "weights" not in found:
        names = (info.filename for info in archive.infolist())
        raise InputFileError(f"{path}: has no weights.txt, as TVB's has; found are {listed(names)}")
    return found


def _text(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    """Text of an entry, unpacked no further than is harmless."""
    with archive.open(info) as file:
        if not info.filename.endswith(".bz2"):
            return file.read().decode("utf-8-sig")
        limit = max(SMALL, RATIO_LIMIT * info.file_size)
        with bz2.open(file) as unpacked:
            content = unpacked.read(limit + 1)
        refuse_bomb(path, len(content), info.file_size)
        return content.decode("utf-8-sig")


def _arrays(path: Path, text: dict[str, str]) -> dict[str, Any]:
    arrays: dict[str, Any] = {"connection": _numbers(path, "weights", text["weights"])}
    if "tract_lengths" in text:
        arrays["tract_length"] = _numbers(path, "tract_lengths", text["tract_lengths"])
    if "cortical" in text:
        flag = _numbers(path, "cortical", text["cortical"]).ravel()
        if not np.isin(flag, (0, 1)).all():
            raise InputFileError(f"{path}: 'cortical' holds {flag.max():g}; expected 0 or 1")
        arrays["is_cortex"] = flag == 1
    if "centres" in text:
        rows = [line.split() for line in text["centres"].splitlines() if line.strip()]
        if short := [row for row in rows if len(row) < 4]:
            raise InputFileError(
                f"{path}: 'centres' has the line {short[0]}; expected a label and x, y, z"
            )
        arrays["label"] = np.array([" ".join(row[:-3]) for row in rows])
        arrays["xyz"] = np.array([[float(cell) for cell in row[-3:]] for row in rows])
    return arrays


def _numbers(path: Path, name: str, text: str) -> NDArray[np.float64]:
    if not text.strip():
        raise InputFileError(f"{path}: its table {name!r} is empty")
    mark = "," if "," in text[: text.find("\n")] else None
    return np.loadtxt(io.StringIO(text), delimiter=mark, ndmin=2)
