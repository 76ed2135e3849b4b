"""Reading connectomes from tables of text: one `.csv` of the weights, or a folder of them.

    weights.csv        connection: row = target, column = source, never made symmetric
    tract_lengths.csv  optional, mm, of the same form
    centres.csv        optional: columns label, x, y, z (mm), and, if wanted, region and is_cortex
    grey_matter.csv    optional: columns label, grey_matter; without it, 1 everywhere

A matrix is numbers alone, or has the names of the voxels as its header row and again, in the same
order, as its first column; the corner, empty or text, tells. The other tables have a header and are
matched by `label`, in any order; beside a matrix without names, theirs is the order. Cells are
divided by commas, semicolons, tabs or blanks, whichever the first line has; decimals have a point.

A large matrix stays in its file, and its rows are read when they are wanted.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.brain.contract import Reading
from dtbdask.brain.guard import SMALL, decoding, digest, head, listed, refuse_endless
from dtbdask.brain.rows import is_large, lazy
from dtbdask.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = {
    "centres.csv": ("label", "x", "y", "z"),
    "grey_matter.csv": ("label", "grey_matter"),
}
"""Tables of voxels and the columns they must have."""

FILES = ("weights.csv", "tract_lengths.csv", *COLUMNS)
"""What is read of a folder."""

LINE_LIMIT = 4 * SMALL
"""Bytes of one line."""

UNIFORM = {"note": "uniform: the source states no grey matter"}


def read_csv(path: Path) -> Reading:
    """Read the weights alone; grey matter is 1 everywhere."""
    return _reading(path, {"weights.csv": path})


def read_folder(path: Path) -> Reading:
    """Read the tables of a folder.

    Raises
    ------
    InputFileError
        It lacks `weights.csv`, has a `.csv` of another name, or a table is damaged or does not
        fit the weights.
    """
    found = {file.name: file for file in sorted(path.glob("*.csv"))}
    if foreign := [name for name in found if name not in FILES]:
        raise InputFileError(f"{path}: {listed(foreign)} not known; read are {listed(FILES)}")
    if "weights.csv" not in found:
        raise InputFileError(f"{path}: lacks 'weights.csv'; found are {listed(found)}")
    return _reading(path, found)


def _reading(path: Path, files: dict[str, Path]) -> Reading:
    connection, labels = _matrix(files["weights.csv"])
    arrays: dict[str, Any] = {"connection": connection}
    details: dict[str, dict[str, Any]] = {}
    if file := files.get("tract_lengths.csv"):
        arrays["tract_length"], names = _matrix(file)
        if labels is not None and names is not None and names != labels:
            _refuse_labels(file, names, labels)
    for name, columns in COLUMNS.items():
        if file := files.get(name):
            table = _table(file, columns)
            labels = labels or table["label"]
            arrays |= _along(file, table, labels)
    if labels is not None:
        arrays["label"] = np.array(labels)
    if "grey_matter" not in arrays:
        arrays["grey_matter"], details["grey_matter"] = np.ones(connection.shape[0]), dict(UNIFORM)
    attributes = {"source": path.name, "sha256": digest(*files.values()), "licence": ""}
    return Reading(arrays, attributes, details)


def _along(path: Path, table: dict[str, list[str]], labels: list[str]) -> dict[str, NDArray[Any]]:
    """Columns of a table by our names, in the order of the labels."""
    place = {label: row for row, label in enumerate(table["label"])}
    if len(place) < len(table["label"]) or place.keys() != set(labels):
        _refuse_labels(path, table["label"], labels)
    order = [place[label] for label in labels]
    column = {name: [cells[row] for row in order] for name, cells in table.items()}
    arrays: dict[str, NDArray[Any]] = {}
    if "x" in column:
        arrays["xyz"] = np.stack([_numbers(path, axis, column[axis]) for axis in "xyz"], axis=1)
    if "grey_matter" in column:
        arrays["grey_matter"] = _numbers(path, "grey_matter", column["grey_matter"])
    if "region" in column:
        arrays["region"] = np.array(column["region"])
    if "is_cortex" in column:
        flag = _numbers(path, "is_cortex", column["is_cortex"])
        if not np.isin(flag, (0, 1)).all():
            raise InputFileError(
                f"{path}: column 'is_cortex' holds {flag.max():g}; expected 0 or 1"
            )
        arrays["is_cortex"] = flag == 1
    return arrays


def _refuse_labels(path: Path, found: list[str], labels: list[str]) -> None:
    """Tell how the names of a table differ from those of the weights."""
    extra = [name for name in found if name not in set(labels)]
    lack = [name for name in labels if name not in set(found)]
    how = f"it lacks {listed(lack)} and has {listed(extra)} besides"
    if not extra and not lack:
        how = "it has them twice" if len(set(found)) < len(found) else "they are in another order"
    raise InputFileError(f"{path}: its labels are not those of the other tables: {how}")


def _table(path: Path, required: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns, as text, of a table with a header, by name."""
    head(path, 1)
    if (size := path.stat().st_size) > SMALL:
        raise InputFileError(f"{path}: has {size:,} bytes; a table of voxels has at most {SMALL:,}")
    with decoding(path, "a table of text"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = list(_cells([line for line in lines if line.strip()]))
    header, *body = rows
    if missing := [name for name in required if name not in header]:
        raise InputFileError(
            f"{path}: its header lacks {listed(missing)}; found are {listed(header)}"
        )
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputFileError(
                f"{path}: row {number} has {len(row)} cells, the header {len(header)}"
            )
    wanted = [*required, *(name for name in ("region", "is_cortex") if name in header)]
    return {name: [row[header.index(name)] for row in body] for name in wanted}


def _numbers(path: Path, name: str, cells: list[str]) -> NDArray[np.float64]:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise InputFileError(f"{path}: column {name!r}: {error}") from error


def _delimiter(line: str) -> str | None:
    return next((mark for mark in (";", "\t", ",") if mark in line), None)


def _cells(lines: list[str]) -> Iterator[list[str]]:
    """Cells of each line, divided by what divides the first."""
    mark = _delimiter(lines[0])
    if mark is None:
        yield from (line.split() for line in lines)
        return
    for row in csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True):
        yield [cell.strip() for cell in row]


def _matrix(path: Path) -> tuple[Any, list[str] | None]:
    """A matrix, lazy if large, and its labels, the same along rows and columns."""
    head(path, 1)
    with decoding(path, "a table of text"):
        source, rows, columns = _scanned(path.absolute())
        if rows != columns:
            place = next(
                (i for i, (a, b) in enumerate(zip(rows, columns, strict=False)) if a != b), 0
            )
            raise InputFileError(
                f"{path}: {len(rows)} rows and {len(columns)} columns are named, and the names "
                f"{place + 1} are {rows[place : place + 1]} and {columns[place : place + 1]}; "
                "expected the same names in the same order"
            )
        shape = (len(source.places), source.columns)
        if is_large(shape):
            refuse_endless(path, path.name, 8 * shape[0] * shape[1], 0)
            return lazy(source, shape, np.float64), rows or None
        return source(0, shape[0]), rows or None


def _scanned(path: Path) -> tuple[_Text, list[str], list[str]]:
    """Where the rows of a matrix begin, and the names of its rows and columns if it has any."""
    lines = _lines(path)
    place, first = next(lines, (0, ""))
    if not first:
        raise InputFileError(f"{path}: holds nothing but blanks; expected a matrix")
    mark = _delimiter(first)
    header = next(_cells([first]))
    labelled = not _is_number(header[0])
    places, rows = ([], []) if labelled else ([place], [])
    for place, text in lines:
        places.append(place)
        if labelled:
            rows.append(_divided(text, mark)[0])
    columns = header[1:] if labelled else []
    source = _Text(path, np.array(places, np.int64), mark, labelled, len(header) - labelled)
    return source, rows, columns


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, each with the place in the file at which it begins."""
    place = 0
    with path.open("rb") as file:
        while raw := file.readline(LINE_LIMIT + 1):
            if len(raw) > LINE_LIMIT:
                raise InputFileError(f"{path}: a line has more than {LINE_LIMIT:,} bytes")
            if text := _text(raw):
                yield place, text
            place += len(raw)


def _text(raw: bytes) -> str:
    return raw.decode().removeprefix("\ufeff").strip("\r\n ")


def _divided(text: str, mark: str | None) -> tuple[str, str]:
    """The first cell of a line, and the rest."""
    if mark is None:
        first, _, rest = text.partition(" ")
        return first, rest
    if quoted := re.match(rf'"((?:[^"]|"")*)"\s*{re.escape(mark)}', text):
        return quoted[1].replace('""', '"').strip(), text[quoted.end() :]
    first, _, rest = text.partition(mark)
    return first.strip(), rest


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Text:
    """Rows of a matrix in a table."""

    path: Path
    places: NDArray[np.int64]
    mark: str | None
    labelled: bool
    columns: int

    def __call__(self, start: int, stop: int) -> NDArray[np.float64]:
        lines = []
        with decoding(self.path, "a table of text"), self.path.open("rb") as file:
            for place in self.places[start:stop]:
                file.seek(place)
                text = _text(file.readline(LINE_LIMIT))
                lines.append(_divided(text, self.mark)[1] if self.labelled else text)
        expected = f"expected {self.columns:,} numbers a row"
        try:
            values = np.loadtxt(lines, delimiter=self.mark, comments=None, ndmin=2)
        except ValueError as error:
            raise InputFileError(
                f"{self.path}: {expected}; in rows {start + 1} to {stop}, counted from 0: {error}"
            ) from error
        if values.shape[1] != self.columns:
            raise InputFileError(
                f"{self.path}: row {start + 1} has {values.shape[1]:,} numbers; {expected}"
            )
        return np.asarray(values)
