"""The text files of a SONATA network: JSON, tables of types, parameters; sizes first."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from dtbdask.brain.guard import decoding, head
from dtbdask.errors import InputFileError

TEXT_LIMIT = 256 * 2**20
"""Bytes that a text file may have."""

MISSING = frozenset({"", "NULL", "NA", "None", "nan", "NaN"})
"""Fields of a table that stand for no value."""

Row = dict[str, str]
"""A type of nodes or edges: the values it has, by column."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    text = _text(path)
    with decoding(path, "a JSON file"):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise InputFileError(f"{path}: holds a JSON {type(value).__name__}, expected an object")
    return value


def read_numbers(folder: Path | None, name: str, table: Path) -> dict[str, float]:
    """Parameters of a model from the JSON file that a table of types names.

    Parameters
    ----------
    folder : Path or None
        Where such files are.
    name : str
        Of the file, inside the folder.
    table : Path
        That named it, for the message.
    """
    if folder is None:
        raise InputFileError(
            f"{table}: names the parameter file {name!r}, but the configuration says in none of "
            "its components where such files are"
        )
    with decoding(table, "a table of types"):
        path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InputFileError(f"{table}: the parameter file {name!r} is not in {folder}")
    value = read_json(path)
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise InputFileError(f"{path}: {key[:80]!r} is not a number")
    with decoding(path, "parameters in double precision"):
        return {key: float(number) for key, number in value.items()}


def read_table(path: Path) -> list[Row]:
    """Rows of a table of types: columns separated by spaces, fields with spaces in double quotes.

    Returns
    -------
    list of dict of str to str
        Fields that stand for no value are left out.
    """
    lines = [line.strip() for line in _text(path).split("\n") if line.strip()]
    with decoding(path, "a table separated by spaces"):
        table = list(csv.reader(lines, delimiter=" ", skipinitialspace=True, strict=True))
    if not table:
        raise InputFileError(f"{path}: a table without a line of column names")
    names, rows = table[0], table[1:]
    if len(set(names)) < len(names):
        raise InputFileError(f"{path}: two columns have the same name")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InputFileError(
                f"{path}: row {number + 1} has {len(row)} fields, the header {len(names)}"
            )
    return [
        {name: field for name, field in zip(names, row, strict=True) if field not in MISSING}
        for row in rows
    ]


def number_of(row: Row, name: str, table: Path) -> float | None:
    """Number in a column of a type, or None where it has no value."""
    if name not in row:
        return None
    try:
        return float(row[name])
    except ValueError as error:
        raise InputFileError(f"{table}: {name} is {row[name][:80]!r}; expected a number") from error


def _text(path: Path) -> str:
    head(path, 1)
    if path.stat().st_size > TEXT_LIMIT:
        raise InputFileError(f"{path}: has {path.stat().st_size:,} bytes, at most {TEXT_LIMIT:,}")
    with decoding(path, "a text file"):
        return path.read_text(encoding="utf-8")
