"""Counts of spikes in bins of time and neurons, of many widths: so any view reads a few numbers.

A level has bins of 4^a steps and 4^b neurons, from the start of the recording and from neuron 0.
Time and neurons are coarsened apart, since a view may be long and low or short and high. Kept are
all levels with at most one bin for every two spikes; where bins would be finer, the spikes of a
view are few enough to be read themselves. `dtbdask.sim.pyramid_build` writes them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import StoreError

Counts = NDArray[np.uint32]
Range = tuple[int, int]

FOLDER = "pyramid"
"""Where a recording keeps it."""
SPIKES_A_BIN = 2
"""Fewest spikes for each bin of a level, on average."""
FEWEST = 1 << 16
"""Bins that a level may always have."""
COARSEST = 16
"""Bins along a dimension that are not put together further."""
VIEW = (1024, 512)
"""Most bins of a view: along time, and of neurons."""
TILES = 128
"""Chunks that are kept in memory, of 1 MiB at most."""


@dataclass(frozen=True, order=True)
class Level:
    """Widths of bins.

    Attributes
    ----------
    a, b : int
        A bin has 4^a steps and 4^b neurons.
    """

    a: int
    b: int

    @property
    def name(self) -> str:
        """Of its array."""
        return f"count/{self.a}-{self.b}"

    @property
    def steps(self) -> int:
        """Steps of a bin."""
        return 1 << 2 * self.a

    @property
    def neurons(self) -> int:
        """Neurons of a bin."""
        return 1 << 2 * self.b

    def shape(self, n_steps: int, n_neurons: int) -> tuple[int, int]:
        """Bins along time, and of neurons."""
        return -(-n_steps // self.steps), -(-n_neurons // self.neurons)

    def bins(self, steps: Range, neurons: Range) -> tuple[Range, Range]:
        """Ranges of bins that cover ranges of steps and of neurons, neither of them empty."""
        return (
            (steps[0] // self.steps, -(-steps[1] // self.steps)),
            (neurons[0] // self.neurons, -(-neurons[1] // self.neurons)),
        )


@dataclass(frozen=True)
class View:
    """Counts of a range of steps and neurons.

    Attributes
    ----------
    count : (time_bin, neuron_bin) uint32, spikes
    level : Level
        Whose bins these are.
    steps, neurons : tuple of int
        What the bins cover, counted from the start of the recording and from neuron 0; the last
        bin may reach beyond the end.
    """

    count: Counts
    level: Level
    steps: Range
    neurons: Range


def levels(n_steps: int, n_neurons: int, n_spikes: int) -> tuple[Level, ...]:
    """Levels that a pyramid has, those of shortest time bins first, then of fewest neurons.

    Parameters
    ----------
    n_steps, n_neurons, n_spikes : int
        Of the recording.
    """
    most = max(FEWEST, n_spikes // SPIKES_A_BIN)
    made = [Level(a, b) for a in range(_depth(n_steps)) for b in range(_depth(n_neurons))]
    return tuple(
        level for level in made if np.prod(level.shape(n_steps, n_neurons), dtype=float) <= most
    )


def _depth(n: int) -> int:
    """Number of widths of bins of n things."""
    depth = 1
    while -(-n // (1 << 2 * (depth - 1))) > COARSEST:
        depth += 1
    return depth


class Pyramid:
    """The levels of a recording, read tile by tile; tiles are kept for the next view.

    Parameters
    ----------
    group : zarr.Group
        Root of the store.

    Attributes
    ----------
    n_steps, n_neurons, n_spikes : int
        Of the recording.
    levels : tuple of Level
    """

    def __init__(self, group: zarr.Group) -> None:
        root = schema.root_of(group)
        self.n_steps, self.n_neurons = int(root["n_steps"]), int(root["n_neurons"])
        self.n_spikes = int(root["n_spikes"])
        self.levels = tuple(Level(a, b) for a, b in root["levels"])
        self._group = group
        self._arrays: dict[Level, Any] = {}
        self._tiles: OrderedDict[tuple[Level, int, int], Counts] = OrderedDict()
        self._lock = Lock()

    def choose(self, steps: Range, neurons: Range, most: tuple[int, int] = VIEW) -> Level:
        """Level that shows a view in most detail, with so many bins along time and neurons at most.

        Parameters
        ----------
        steps, neurons : tuple of int
            First and one after the last, none of them empty.
        most : tuple of int
            `COARSEST` or more of each.
        """

        def detail(level: Level) -> tuple[float, float]:
            time, neuron = (high - low for low, high in level.bins(steps, neurons))
            fits = time <= most[0] + 1 and neuron <= most[1] + 1  # the outermost may stick out
            return (time * neuron if fits else 0.0, min(time / most[0], neuron / most[1]))

        return max(self.levels, key=detail)

    def view(self, steps: Range, neurons: Range, most: tuple[int, int] = VIEW) -> View:
        """Counts of a view, at the level that `choose` takes.

        Parameters
        ----------
        steps, neurons : tuple of int
            First and one after the last, counted from the start of the recording and neuron 0.
        most : tuple of int
            Bins along time, and of neurons.

        Raises
        ------
        StoreError
            A chunk is damaged.
        """
        level = self.choose(steps, neurons, most)
        time, neuron = level.bins(steps, neurons)
        return View(
            self.counts(level, time, neuron), level,
            (time[0] * level.steps, time[1] * level.steps),
            (neuron[0] * level.neurons, neuron[1] * level.neurons),
        )  # fmt: skip

    def counts(self, level: Level, time: Range, neuron: Range) -> Counts:
        """Counts of ranges of bins of a level: (time_bin, neuron_bin) uint32."""
        array = self._array(level)
        count = np.empty((time[1] - time[0], neuron[1] - neuron[0]), np.uint32)
        rows, columns = array.chunks
        for i in range(time[0] // rows, -(-time[1] // rows)):
            for j in range(neuron[0] // columns, -(-neuron[1] // columns)):
                tile, at = self._tile(level, i, j), (i * rows, j * columns)
                low = (max(time[0], at[0]), max(neuron[0], at[1]))
                high = (min(time[1], at[0] + rows), min(neuron[1], at[1] + columns))
                there = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, at, strict=True))
                here = tuple(
                    slice(a - s, b - s)
                    for a, b, s in zip(low, high, (time[0], neuron[0]), strict=True)
                )
                count[here] = tile[there]
        return count

    def _tile(self, level: Level, i: int, j: int) -> Counts:
        key = (level, i, j)
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        array = self._array(level)
        rows, columns = array.chunks
        try:
            part = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            tile: Counts = array[part]
        except (ValueError, RuntimeError, OSError) as error:
            raise StoreError(
                f"{self._group.store_path}: damaged, array {level.name!r}: {error}"
            ) from error
        with self._lock:
            self._tiles[key] = tile
            while len(self._tiles) > TILES:
                self._tiles.popitem(last=False)
        return tile

    def _array(self, level: Level) -> Any:
        if level not in self._arrays:
            self._arrays[level] = schema.array(self._group, level.name)
        return self._arrays[level]


def open_pyramid(recording: str | Path) -> Pyramid | None:
    """Pyramid of a recording, or None where none was built.

    Parameters
    ----------
    recording : path
        Store of the recording.

    Raises
    ------
    StoreError
        The pyramid is damaged.
    """
    path = Path(recording) / FOLDER
    return Pyramid(schema.open_store(path, "pyramid")) if path.exists() else None
