"""A pyramid of spike counts is built from the spikes of a recording, piece by piece, in one pass.

Of each width of time bins the finest level is counted from the spikes; those of wider neuron bins
are sums of it. What is held at once depends neither on the number of spikes nor on that of steps.
The store is written beside the recording and moved into it when it is whole.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import progress, schema
from dtbdask.errors import InputError, StoreError
from dtbdask.sim.pyramid import FOLDER, Counts, Level, Pyramid, levels, open_pyramid

Ints = NDArray[np.int64]

READ = 1 << 22
"""Spikes of a piece."""
HELD = 1 << 22
"""Bins counted at once, and bins of a level held until they are written."""
CHUNK = 1 << 18
"""Bins of a chunk."""
CHUNK_ROWS = 256
"""Time bins of a chunk, at most."""
THREADS = 2


def build_pyramid(recording: str | Path, *, overwrite: bool = False) -> Pyramid:
    """Pyramid of the spikes of a recording, built if there is none.

    Parameters
    ----------
    recording : path
        Store of a finished recording with `spikes`; the pyramid is put into it.
    overwrite : bool
        Build it again.

    Returns
    -------
    Pyramid

    Raises
    ------
    InputError
        No spikes were recorded.
    StoreError
        The recording is not finished, is damaged, or cannot be written to.
    """
    path = Path(recording)
    group = schema.open_store(path, "recording")
    if "spike_neuron" not in group:
        raise InputError(f"{path} has no spike_neuron; record spikes to build a pyramid of them")
    there = None if overwrite else open_pyramid(path)
    if there is not None:
        return there
    part = path.resolve().with_name(f".{path.resolve().name}.{uuid.uuid4().hex}.{FOLDER}")
    try:
        _write(part, group)
        if overwrite:
            shutil.rmtree(path / FOLDER, ignore_errors=True)
        part.rename(path / FOLDER)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: its pyramid cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Pyramid(schema.open_store(path / FOLDER, "pyramid"))


def _write(path: Path, recording: zarr.Group) -> None:
    """Write the store of a pyramid."""
    root = schema.root_of(recording)
    n_spikes = schema.read(recording, "n_spikes")
    about = {
        "n_steps": int(n_spikes.size), "n_neurons": int(root["n_neurons"]),
        "n_spikes": int(n_spikes.sum()),
    }  # fmt: skip
    made = levels(**about)
    told = [(level.a, level.b) for level in made]
    group = schema.create_store(path, "pyramid", {**about, "levels": told})
    shape = (about["n_steps"], about["n_neurons"])
    of_time = [
        [_Writer(group, level, shape) for level in same]
        for _, same in groupby(made, key=lambda level: level.a)
    ]
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress.track("Counting spikes", about["n_spikes"], "spikes") as done,
    ):
        for step, neuron in _pieces(recording, n_spikes):
            list(pool.map(lambda writers: _count(writers, step, neuron), of_time))  # noqa: B023
            done(step.size)
        list(pool.map(lambda writers: [writer.finish() for writer in writers], of_time))
    schema.commit(group)


def _pieces(recording: zarr.Group, n_spikes: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Steps, counted from the start of the recording, and neurons of successive spikes."""
    stop = np.cumsum(n_spikes)
    total = int(stop[-1]) if stop.size else 0
    for start in range(0, total, READ):
        end = min(start + READ, total)
        neuron = schema.read(recording, "spike_neuron", start, end)
        low, high = np.searchsorted(stop, [start, end - 1], side="right")
        ends = np.clip(stop[low : high + 1], start, end)
        yield np.repeat(np.arange(low, high + 1), np.diff(ends, prepend=start)), neuron


def _count(writers: list[_Writer], step: Ints, neuron: Ints) -> None:
    """Add spikes to the levels of one width of time bins, the finest of which comes first.

    Parameters
    ----------
    writers : list of _Writer
    step : (spike,) int64, ascending
    neuron : (spike,) int64
    """
    finest = writers[0]
    row = step >> 2 * finest.level.a
    column = neuron >> 2 * finest.level.b
    most = max(1, HELD // finest.columns)  # rows counted at once
    at = 0
    while at < row.size:
        first = int(row[at])
        end = int(np.searchsorted(row, first + most))
        rows = int(row[end - 1]) - first + 1
        key = (row[at:end] - first) * finest.columns + column[at:end]
        count = np.bincount(key, minlength=rows * finest.columns).reshape(rows, -1)
        at = end
        for writer in writers:
            if writer is not finest:  # four bins at a time: those of the writer before
                gap = 4 * writer.columns - count.shape[1]
                count = np.pad(count, ((0, 0), (0, gap))).reshape(rows, writer.columns, 4).sum(2)
            writer.add(first, count)


class _Writer:
    """A level on its way to disk, in rows of whole chunks.

    Parameters
    ----------
    group : zarr.Group
    level : Level
    shape : tuple of int
        Steps and neurons of the recording.
    """

    def __init__(self, group: zarr.Group, level: Level, shape: tuple[int, int]) -> None:
        self.level = level
        self._rows, self.columns = level.shape(*shape)
        rows = max(1, min(CHUNK_ROWS, self._rows, HELD // self.columns))
        columns = max(1, min(self.columns, CHUNK // rows))
        spec = replace(schema.PYRAMID["count"], name=level.name)
        self._array: Any = schema.create(group, spec, (self._rows, self.columns), (rows, columns))
        self._held: Counts = np.zeros((rows, self.columns), np.uint32)
        self._first = 0  # row of those held

    def add(self, first: int, count: Ints) -> None:
        """Add counts to rows from `first` on, none of which is before those held: (row, bin)."""
        while first + len(count) > self._first + len(self._held):
            inside = self._first + len(self._held) - first
            if inside > 0:
                self._put(first, count[:inside])
                first, count = first + inside, count[inside:]
            self._flush()
        self._put(first, count)

    def finish(self) -> None:
        """Write what is left, and the zeros after it."""
        while self._first < self._rows:
            self._flush()

    def _put(self, first: int, count: Ints) -> None:
        at = first - self._first
        self._held[at : at + len(count)] += count.astype(np.uint32)

    def _flush(self) -> None:
        n = min(len(self._held), self._rows - self._first)
        self._array[self._first : self._first + n] = self._held[:n]
        self._held[:] = 0
        self._first += len(self._held)
