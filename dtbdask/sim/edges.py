"""The edges of a block, by source row: what a spike touches is one contiguous stretch.

Rows are the block's own neurons in order, then, ascending, the foreign neurons that some neuron of
the block hears. The in-edges come by target, in stretches; two passes over them (count, then sort
and place) keep the memory near that of the result, and what is held of the network's other neurons
is a number for each tile of them. Edges are ordered by part first: each thread reads its own, and
fills its own. What was scratch is given back before the edges take their place, and after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import heap
from dtbdask.graph.network import Network
from dtbdask.graph.ranges import spread, tiles_of
from dtbdask.graph.synapses import Range, Synapses
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import Features, cpu_rows
from dtbdask.rng import TILE

Ints = NDArray[np.int64]

CHUNK = 1 << 20
"""Synapses that a part handles at once."""
PACKED_TARGETS = 1 << 24
"""Largest block whose targets share a word with an 8-bit weight."""
BUCKETS = 1 << 9
"""Most buckets of sources that a stretch is sorted into: as many as are written to at once."""


@dataclass(frozen=True)
class Edges:
    """Edges that end in a block.

    Attributes
    ----------
    indptr : (part, row_edge) int64
        Edges of a row that end in a part.
    target : (edge,) uint32
        Target neuron in the block; with an 8-bit weight below it where `weight` is None.
    weight : (edge, pair) uint8 or uint32, or None
    inhibitory : (row,) uint8
    heard : (foreign,) int64
        Global indices of the foreign neurons, in the order of their rows.
    kick_dtype : dtype
        Narrowest integer that no kick can overflow.
    """

    indptr: Ints
    target: NDArray[np.uint32]
    weight: Any
    inhibitory: NDArray[np.uint8]
    heard: Ints
    kick_dtype: np.dtype[np.unsignedinteger]


class _Slots:
    """Numbers of the neurons of the tiles that a block has or hears, and counts of their edges."""

    def __init__(self, n_neurons: int, ranges: Ints, parts: int) -> None:
        own = np.unique(tiles_of(ranges))
        self.first = np.full(-(-n_neurons // TILE), -1, np.int64)
        self.first[own] = np.arange(own.size) * TILE
        self.n = own.size * TILE
        self._meeting = threading.Lock()
        self._count = [np.zeros(0, np.uint32)] * parts

    def add(self, part: int, stretches: Iterable[tuple[int, InEdges]]) -> None:
        """Count the edges of a part."""
        count = np.zeros(self.n, np.uint32)
        for _, edges in stretches:
            if self.n < self.first.size * TILE:
                with self._meeting:
                    self.n = cpu_rows.meet(self.first, edges.source, self.n)
            if self.n > count.size:
                count = np.pad(count, (0, max(self.n, 2 * count.size) - count.size))
            cpu_rows.tally(count, edges.source, self.first)
        self._count[part] = count

    def of(self, neuron: Ints) -> Ints:
        """Slot of each neuron, all of tiles that were met."""
        slot = np.empty(neuron.size, np.int64)
        cpu_rows.slots(slot, neuron, self.first)
        return slot

    def taken(self, part: int, slot: Ints) -> NDArray[np.uint32]:
        """Counts of some slots in a part, which are then forgotten."""
        count = self._count[part][: self.n]
        self._count[part] = count[:0].copy()
        return np.pad(count, (0, self.n - count.size))[slot]

    def heard(self, own: Ints) -> Ints:
        """Global indices of those that have edges, ascending, but the own ones."""
        has_edges = np.zeros(self.n, np.bool_)
        for count in self._count:
            has_edges[: count.size] |= count[: self.n] > 0
        has_edges[self.of(own)] = False
        tiles = np.flatnonzero(self.first >= 0)
        inside = np.arange(TILE)
        met = has_edges[self.first[tiles][:, None] + inside]
        heard: Ints = (tiles[:, None] * TILE + inside)[met]
        return heard


def collect(network: Network, ranges: Ints, bounds: Ints, features: Features) -> Edges:
    """Edges that end in the neurons of some ranges; a thread works on each part.

    Parameters
    ----------
    network : Network
    ranges : (range, 2) int64
        Of global indices, ascending: the neurons of the block.
    bounds : (part_edge,) int64
        Local ranges of its parts.
    features : Features
        Receptors that are on: weights of the others are dropped.

    Returns
    -------
    Edges
    """
    own, parts = spread(ranges), bounds.size - 1
    largest = network.wiring.largest_degree
    room = max(CHUNK, largest)
    slots = _Slots(network.n_neurons, ranges, parts)

    def stretches(part: int, *, weights: bool) -> Iterator[tuple[int, InEdges]]:
        read = network.wiring.forward(weights=weights)
        return _ahead(_stretches(read, ranges, bounds[part : part + 2], room // max(largest, 1)))

    _each(parts, lambda part: slots.add(part, stretches(part, weights=False)))
    heard = slots.heard(own)
    order = np.concatenate([own, heard])
    slot = slots.of(order)
    indptr = np.zeros((parts, order.size + 1), np.int64)
    for part in range(parts):
        indptr[part, 0] = indptr[part - 1, -1] if part else 0
        indptr[part, 1:] = slots.taken(part, slot)
        np.cumsum(indptr[part], out=indptr[part])
    excitatory = network.populations.excitatory[network.populations.of(order)]
    kind = np.dtype(network.wiring.weight_dtype)
    packed = kind == np.uint8 and not features.paired and own.size <= PACKED_TARGETS
    del own, order  # before the edges take their place
    heap.give_back()
    target = np.empty(indptr[-1, -1], np.uint32)
    weight = None if packed else np.empty((target.size, 1 + features.paired), kind)
    kick = kick_dtype(network.wiring, features)
    edges = Edges(indptr, target, weight, (~excitatory).astype(np.uint8), heard, kick)
    rows = _Rows(edges, slots, slot, columns(features), room)
    _each(parts, lambda part: rows.fill(part, stretches(part, weights=True)))
    heap.give_back()
    return edges


@dataclass(frozen=True)
class _Rows:
    """Rows to be filled.

    Attributes
    ----------
    edges : Edges
    slots : _Slots
    slot : (row,) int64
    column : (2, 2) int64
        See `cpu_rows.place`.
    room : int
        Most edges of a stretch.
    """

    edges: Edges
    slots: _Slots
    slot: Ints
    column: Ints
    room: int

    def fill(self, part: int, stretches: Iterable[tuple[int, InEdges]]) -> None:
        """Put the in-edges of a part into their rows."""
        edges, slots, indptr = self.edges, self.slots, self.edges.indptr[part]
        cursor, inhibitory = np.zeros(slots.n, np.int64), np.zeros(slots.n, np.uint8)
        cursor[self.slot], inhibitory[self.slot] = indptr[:-1], edges.inhibitory
        shift = max(int(slots.n - 1).bit_length() - (BUCKETS.bit_length() - 1), 0)
        end = np.empty((slots.n >> shift) + 1, np.uint64)
        room = min(self.room, indptr[-1] - indptr[0])
        record = np.empty(room, np.uint64)
        kept = None if edges.weight is None else np.empty((room, 2), edges.weight.dtype)
        for first, given in stretches:
            cpu_rows.sort(
                record, kept, end, shift, given.source, given.weight, given.indptr, first,
                slots.first,
            )  # fmt: skip
            cpu_rows.place(
                edges.target, edges.weight, cursor, inhibitory, self.column, record, kept, end,
                shift,
            )  # fmt: skip


def _each(parts: int, work: Callable[[int], None]) -> None:
    """Do a part's work in a thread of its own."""
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(work, part) for part in range(parts)]:
            done.result()


def _ahead(stretches: Iterator[tuple[int, InEdges]]) -> Iterator[tuple[int, InEdges]]:
    """Each stretch is made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, stretches, None)
        while (stretch := coming.result()) is not None:
            coming = pool.submit(next, stretches, None)
            yield stretch


def _stretches(
    read: Range, ranges: Ints, bounds: Ints, stride: int
) -> Iterator[tuple[int, InEdges]]:
    """First target, in the block, and in-edges of stretches of the ranges between two bounds."""
    length = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(length) - length  # neurons of the block before a range
    low = np.maximum(before, bounds[0])
    high = np.minimum(before + length, bounds[1])
    for r in np.flatnonzero(low < high):
        shift = int(ranges[r, 0] - before[r])
        for first in range(int(low[r]), int(high[r]), stride):
            stop = min(first + stride, int(high[r]))
            yield first, read(first + shift, stop + shift)


def columns(features: Features) -> Ints:
    """Which weights of a pair an edge keeps, by the type of its source; see `cpu_rows.place`."""
    chosen = np.full((2, 2), -1, np.int64)
    for kind in range(2):
        on = [which for which in range(2) if features.receptors[2 * kind + which]]
        chosen[kind, : len(on)] = on
    return chosen


def kick_dtype(wiring: Synapses, features: Features) -> np.dtype[np.unsignedinteger]:
    """Narrowest accumulator; 32-bit weights are imported such that their sums fit 32 bits."""
    if wiring.weight_dtype != np.uint8:
        return np.dtype(np.uint64 if features.paired else np.uint32)
    narrow = wiring.largest_degree * np.iinfo(np.uint8).max < 2**16
    if features.paired:
        return np.dtype(np.uint32 if narrow else np.uint64)
    return np.dtype(np.uint16 if narrow else np.uint32)
