"""Recordings are written window by window, in whole chunks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import writable
from dtbdask.graph.identity import identity
from dtbdask.graph.network import Network
from dtbdask.sim.gang import Window
from dtbdask.sim.observe import assemble, counted_neurons
from dtbdask.sim.quantities import QUICK, Request
from dtbdask.sim.recording import Recording


class Column:
    """An array that grows along its first dimension and writes only whole chunks until its end.

    Parameters
    ----------
    group : zarr.Group
    spec : schema.Array
    tail : tuple of int
        Sizes of the other dimensions.
    rows : int
        First dimension of a chunk of an array that is made.
    quick : bool
        Compress in the least time, not to the least room.
    """

    def __init__(
        self, group: zarr.Group, spec: schema.Array, tail: tuple[int, ...], rows: int, *,
        quick: bool = False,
    ) -> None:  # fmt: skip
        if spec.name in group:
            self._array = schema.array(group, spec.name)
        else:
            self._array = schema.create(
                group, spec, (0, *tail), (rows, *tail),
                compressor="lz4" if quick else "zstd", shuffle="shuffle" if quick else "bitshuffle",
            )  # fmt: skip
        self._rows, self._n = int(self._array.chunks[0]), 0
        self._held = np.empty((self._rows, *tail), self._array.dtype)

    @property
    def written(self) -> int:
        """Rows on disk."""
        return int(self._array.shape[0])

    @property
    def held(self) -> NDArray[Any]:
        """Rows that wait for their chunk to be full: (row, ...); good until more are added."""
        return self._held[: self._n]

    def cut(self, written: int, held: NDArray[Any] | None) -> None:
        """Go back to when there were fewer rows on disk, and some held: (row, ...)."""
        self._array.resize((written, *self._array.shape[1:]))
        self._n = 0
        if held is not None:
            self._hold(held)

    def append(self, values: NDArray[Any]) -> None:
        """Add rows: (row, ...)."""
        gap = -self._n % self._rows
        self._hold(values[:gap])
        begun, rest = self.held[: self._n // self._rows * self._rows], values[gap:]
        n = rest.shape[0] // self._rows * self._rows
        self._write(begun, rest[:n])
        self._n -= begun.shape[0]
        self._hold(rest[n:])

    def finish(self) -> None:
        """Write what is left."""
        self._write(self.held)
        self._n = 0

    def _hold(self, values: NDArray[Any]) -> None:
        self._held[self._n : self._n + values.shape[0]] = values
        self._n += values.shape[0]

    def _write(self, *pieces: NDArray[Any]) -> None:
        """Write pieces of whole chunks, or what is last, from where they lie, chunk by chunk.

        Chunks of one assignment would be written in any order, and a reader takes their number
        for that of the rows.
        """
        start = self.written
        n = sum(piece.shape[0] for piece in pieces)
        with writable(self._array.store_path):
            if n:
                self._array.resize((start + n, *self._array.shape[1:]))
            for piece in pieces:
                for k in range(0, piece.shape[0], self._rows):
                    chunk = piece[k : k + self._rows]
                    self._array[start : start + chunk.shape[0]] = chunk
                    start += chunk.shape[0]


class Recorder:
    """Writes what a session sees.

    Parameters
    ----------
    path : path
        Of the store.
    group : zarr.Group
        Root of the store, open for writing; arrays that are there are taken up.
    network : Network
    request : Request
        What is recorded.

    Attributes
    ----------
    path : pathlib.Path
    group : zarr.Group
    request : Request
    watch : Watch or None
        What blocks are to look at beside spikes.
    """

    def __init__(
        self, path: str | Path, group: zarr.Group, network: Network, request: Request
    ) -> None:
        self.path, self.group, self.request = Path(path), group, request
        self._lay_out(network)

    @classmethod
    def new(
        cls, path: str | Path, network: Network, request: Request, attributes: dict[str, Any], *,
        overwrite: bool,
    ) -> Recorder:  # fmt: skip
        """Recorder of a recording that begins.

        Parameters
        ----------
        path : path
            Of the new store.
        network : Network
        request : Request
            What is recorded.
        attributes : dict
            About the run, for the root of the store.
        overwrite : bool
            Replace a recording that is there.
        """
        about = {
            "network": network.path,
            "source": network.attributes.get("source", ""),
            **identity(network),
            "labels": list(network.labels),
            "population_labels": network.population_labels,
            **request.attributes(),
            **attributes,
        }
        group = schema.create_store(path, "recording", about, overwrite=overwrite)
        return cls(path, group, network, request)

    @classmethod
    def reopened(cls, path: str | Path, network: Network, store: Path) -> Recorder:
        """Recorder of an unfinished recording, cut back to when a checkpoint was written.

        Parameters
        ----------
        path : path
            Of the recording.
        network : Network
        store : path
            Of the checkpoint.
        """
        kept = schema.open_store(store, "checkpoint")
        rows = schema.root_of(kept).get("rows", {})
        group = zarr.open_group(Path(path), mode="r+", zarr_format=3)
        made = cls(path, group, network, Request.of_root(schema.root_of(group)))
        for name, column in made._columns.items():
            held = schema.read(kept, f"held/{name}") if rows else None
            column.cut(rows.get(name, 0), held)
        return made

    def _lay_out(self, network: Network) -> None:
        """Write the tables, and begin the columns or take up those there."""
        populations, request = network.populations, self.request
        tables = [
            (schema.NETWORK[f"population/{name}"], getattr(populations, name))
            for name in ("voxel", "excitatory", "size")
        ]
        if request.sample.size:
            tables.append((schema.RECORDING["sample_neuron"], request.sample))
        for spec, values in tables:
            if spec.name in self.group:  # perhaps without its values
                del self.group[spec.name]
            schema.write(self.group, spec, values)
        self.watch = request.watch(network)
        self._counted = counted_neurons(network)
        self._columns = {}
        for name in request.names():
            tail = request.tail(name, populations.size.size, len(network.labels))
            spec, rows = schema.RECORDING[name], request.rows(name, tail)
            self._columns[name] = Column(self.group, spec, tail, rows, quick=name in QUICK)

    def take(self, window: Window) -> None:
        """Append what was seen in a window of whole bins and looks."""
        request, more = self.request, {}
        if self.watch is not None:
            more = assemble(request, self.watch, self._counted, window.seen)
        self.write(
            **request.counts(window.spike_count[:, 0]), **more, bold=window.bold[:, 0],
            n_spikes=window.n_spikes, spike_neuron=window.spike_neuron,
        )  # fmt: skip

    def write(self, **values: NDArray[Any]) -> None:
        """Append the rows of one window to the arrays that are recorded, all at once."""
        self._on_columns(lambda name, column: column.append(values[name]))

    def rows(self) -> dict[str, int]:
        """Rows of each array that are on disk."""
        return {name: column.written for name, column in self._columns.items()}

    def held(self) -> dict[str, NDArray[Any]]:
        """Rows of each array that wait for their chunk to be full: (row, ...)."""
        return {name: column.held for name, column in self._columns.items()}

    def finish(self) -> Recording:
        """Write the rest and mark the recording complete."""
        self._on_columns(lambda _, column: column.finish())
        with writable(self.path):
            schema.commit(self.group)
        return Recording(self.path)

    def _on_columns(self, work: Callable[[str, Column], None]) -> None:
        """Call `work` with the name of each array and its column, each on a thread."""
        with ThreadPoolExecutor(len(self._columns)) as pool:
            list(pool.map(work, self._columns, self._columns.values()))
