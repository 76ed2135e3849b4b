"""The table `property` of a DTB block: 22 parameters of every neuron, row by row.

Rows are ordered by population. A run of rows of one population is told by its first row and by the
columns that are the same all along it; nothing else of the table is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputFileError
from dtbdask.graph.dtb.npz_stream import Archive, open_npz
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.kernels import RECEPTORS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COLUMNS: dict[str, int] = {
    "noise_rate": 0, "excluded": 1, "i_ext": 2, "c": 4, "t_ref": 5, "g_l": 6, "v_l": 7, "v_th": 8,
    "v_reset": 9,
    **{f"g_{name}": 10 + u for u, name in enumerate(RECEPTORS)},
    **{f"e_{name}": 14 + u for u, name in enumerate(RECEPTORS)},
    **{f"tau_{name}": 18 + u for u, name in enumerate(RECEPTORS)},
}  # fmt: skip
"""Column of each parameter; DTB's name of `excluded` is blocked_in_stat."""

POPULATION_COLUMN, N_COLUMNS = 3, 22
"""Column 3 is the population; its parity says whether its neurons excite (even) or inhibit."""

MOST_POPULATIONS = 2**22
"""Ids from 0 that are read: those of 18 whole brains of 22,703 voxels with ten slots."""

ROWS = 2**16
"""Neurons that are looked at at once."""

_WHOLE = (POPULATION_COLUMN, COLUMNS["excluded"])


@dataclass(frozen=True)
class Runs:
    """Runs of consecutive neurons of one population.

    Attributes
    ----------
    id, size : (run,) int64
        Population and number of neurons.
    row : (run, column) float64
        Properties of the first neuron.
    same : (run, column) bool
        Columns whose bits are the same in the whole run.
    plays : (run,) bool
        Its neurons play back given spikes.
    """

    id: Ints
    size: Ints
    row: Floats
    same: Bools
    plays: Bools

    @classmethod
    def join(cls, parts: Sequence[Runs]) -> Runs:
        """All of them in a row; what belongs together at a seam becomes one run."""
        ids, size, row, same, plays = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("id", "size", "row", "same", "plays")
        )
        begins = np.ones(ids.size, np.bool_)
        begins[1:] = (np.diff(ids) != 0) | (plays[1:] != plays[:-1])
        first = np.flatnonzero(begins)
        bits = row.view(np.uint64)
        alike = same & (bits == bits[first[np.cumsum(begins) - 1]])
        return cls(
            ids[first], np.add.reduceat(size, first), row[first],
            np.logical_and.reduceat(alike, first, axis=0), plays[first],
        )  # fmt: skip


def property_rows(archive: Archive) -> Iterator[tuple[int, Floats]]:
    """First neuron and properties (neuron, column) float64 of stretches of the table."""
    for start, (rows,) in archive.stretches(("property",), ROWS):
        yield start, rows.astype(np.float64)


def property_runs(archive: Archive, plays: bool) -> Runs:
    """Runs of the whole table, every value checked.

    Parameters
    ----------
    archive : Archive
        Block file with a table (neuron, 22).
    plays : bool
        Its neurons play back given spikes.

    Raises
    ------
    InputFileError
        A value makes no sense; the message names its row, column and parameter.
    """
    parts, count = [], 0
    for start, rows in property_rows(archive):
        _check(archive.path, rows, start)
        cuts = np.flatnonzero(np.diff(rows[:, POPULATION_COLUMN])) + 1
        first = np.concatenate([[0], cuts]).astype(np.int64)
        bits = rows.view(np.uint64)
        same = np.minimum.reduceat(bits, first) == np.maximum.reduceat(bits, first)
        ids, size = rows[first, POPULATION_COLUMN], np.diff(np.append(first, len(rows)))
        parts.append(
            Runs(ids.astype(np.int64), size, rows[first], same, np.full(first.size, plays))
        )
        count += first.size
        if count > MOST_POPULATIONS:
            raise InputFileError(
                f"{archive.path}: column {POPULATION_COLUMN} of property, the population, changes "
                f"more than {MOST_POPULATIONS:,} times; its rows must be ordered by population"
            )
    return Runs.join(parts)


def read_columns(path: Path, names: Sequence[str]) -> Floats:
    """Some parameters of all neurons of a block file: (parameter, neuron) float64."""
    columns = [COLUMNS[name] for name in names]
    with open_npz(path) as archive:
        return np.concatenate([rows[:, columns].T for _, rows in property_rows(archive)], axis=1)


def _bounds() -> tuple[Floats, Floats, list[str]]:
    """Smallest and largest value of each column, and its name."""
    low, high = np.full(N_COLUMNS, 0.0), np.full(N_COLUMNS, MOST_POPULATIONS - 1.0)
    names = ["population"] * N_COLUMNS
    for name, column in COLUMNS.items():
        low[column], high[column] = PARAMETERS[name].low, PARAMETERS[name].high
        names[column] = name
    return low, high, names


def _right(column: int, low: float, high: float) -> str:
    """What a value of a column must be."""
    kind = "whole" if column in _WHOLE else "finite"
    bounds = f" from {low:g}" if np.isfinite(low) else ""
    bounds += f" to {high:,.0f}" if np.isfinite(high) else ""
    return f"a {kind} number{bounds}"


def _check(path: Path, rows: Floats, start: int) -> None:
    low, high, names = _bounds()
    bad = ~np.isfinite(rows) | (rows < low) | (rows > high)
    bad[:, _WHOLE] |= rows[:, _WHOLE] != np.floor(rows[:, _WHOLE])
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputFileError(
            f"{path}: property[{start + row}, {column}], {names[column]}, is "
            f"{rows[row, column]:g}; expected {_right(column, low[column], high[column])}"
        )
    reset, threshold = rows[:, COLUMNS["v_reset"]], rows[:, COLUMNS["v_th"]]
    above = np.flatnonzero(reset >= threshold)
    if above.size:
        row = above[0]
        raise InputFileError(
            f"{path}: property[{start + row}, {COLUMNS['v_reset']}], v_reset, is {reset[row]:g} "
            f"mV; expected one below its v_th of {threshold[row]:g} mV"
        )
