"""The edges of a block, by source row: what a spike touches is one contiguous stretch.

Rows are the block's own neurons in order, then, ascending, the foreign neurons that some neuron of
the block hears. The in-edges come by target, in chunks; two passes over them (count, then place)
keep the memory at that of the result, and what is held of the network's other neurons is a number
for each tile of them. Edges are ordered by part first, so that each thread reads its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.network import Network
from dtbdask.graph.ranges import spread, tiles_of
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import Features, cpu, cpu_rows
from dtbdask.rng import TILE

Ints = NDArray[np.int64]

CHUNK = 1 << 22
"""Synapses handled at once."""
PACKED_TARGETS = 1 << 24
"""Largest block whose targets share a word with an 8-bit weight."""


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
    """Numbers of the neurons of the tiles that a block has or hears, and counts of their edges.

    Attributes
    ----------
    count : (part, slot) uint32
        Edges of each slot that end in a part.
    """

    def __init__(self, n_neurons: int, ranges: Ints, parts: int) -> None:
        own = np.unique(tiles_of(ranges))
        self._first = np.full(-(-n_neurons // TILE), -1, np.int64)
        self._first[own] = np.arange(own.size) * TILE
        self._n = own.size * TILE
        self.count = np.zeros((parts, self._n), np.uint32)

    def add(self, part: int, source: NDArray[np.uint32]) -> None:
        """Count the edges of some sources."""
        self._n = cpu_rows.meet(self._first, source, self._n)
        held = self.count.shape[1]
        if self._n > held:
            grown = np.zeros((self.count.shape[0], max(self._n, 2 * held)), np.uint32)
            grown[:, :held] = self.count
            self.count = grown
        cpu_rows.tally(self.count[part], self.of(source))

    def of(self, source: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Slot of each source that was met."""
        slot = np.empty(source.size, np.uint32)
        cpu_rows.slots(slot, source, self._first)
        return slot

    def heard(self, own: Ints) -> Ints:
        """Global indices of those that have edges, ascending, but the own ones."""
        has_edges: NDArray[np.bool_] = np.any(self.count, axis=0)
        has_edges[self.of(own.astype(np.uint32))] = False
        tiles = np.flatnonzero(self._first >= 0)
        inside = np.arange(TILE)
        met = has_edges[self._first[tiles][:, None] + inside]
        heard: Ints = (tiles[:, None] * TILE + inside)[met]
        return heard


def collect(network: Network, ranges: Ints, bounds: Ints, features: Features) -> Edges:
    """Edges that end in the neurons of some ranges.

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
    slots = _Slots(network.n_neurons, ranges, parts)
    for part, _, edges in _stretches(network, ranges, bounds):
        slots.add(part, edges.source)
    heard = slots.heard(own)
    order = np.concatenate([own, heard])
    slot = slots.of(order.astype(np.uint32))
    row_of = np.full(slots.count.shape[1], -1, np.int64)
    row_of[slot] = np.arange(order.size)
    indptr = np.zeros(parts * order.size + 1, np.int64)
    np.cumsum(slots.count[:, slot].ravel(), out=indptr[1:])
    indptr = indptr[np.arange(parts)[:, None] * order.size + np.arange(order.size + 1)]
    excitatory = network.populations.excitatory[_population_of(network, order)]
    inhibitory = (~excitatory).astype(np.uint8)
    kind = np.dtype(network.wiring.weight_dtype)
    packed = kind == np.uint8 and not features.paired and own.size <= PACKED_TARGETS
    target = np.empty(indptr[-1, -1], np.uint32)
    weight = None if packed else np.empty((target.size, 1 + features.paired), kind)
    column, cursor = _columns(features), indptr[:, :-1].copy()
    for part, first, edges in _stretches(network, ranges, bounds):
        cpu.place(cursor[part], target, weight, slots.of(edges.source), edges.weight, edges.indptr,
                  first, row_of, column, inhibitory)  # fmt: skip
    largest = network.wiring.largest_degree * (np.iinfo(kind).max if kind == np.uint8 else 0)
    return Edges(
        indptr, target, weight, inhibitory, heard, _kick_dtype(kind, largest, features.paired)
    )


def _stretches(network: Network, ranges: Ints, bounds: Ints) -> Iterator[tuple[int, int, InEdges]]:
    """Part, first local target and in-edges of stretches of each range in each part."""
    stride = max(1, CHUNK // max(network.wiring.largest_degree, 1))
    length = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(length) - length  # neurons of the block before a range
    for part in range(bounds.size - 1):
        low = np.maximum(before, bounds[part])
        high = np.minimum(before + length, bounds[part + 1])
        for r in np.flatnonzero(low < high):
            shift = int(ranges[r, 0] - before[r])
            for first in range(int(low[r]), int(high[r]), stride):
                stop = min(first + stride, int(high[r]))
                yield part, first, network.wiring.in_edges(first + shift, stop + shift)


def _population_of(network: Network, neuron: Ints) -> Ints:
    return np.searchsorted(network.populations.first, neuron, side="right") - 1


def _columns(features: Features) -> Ints:
    """Which weights of a pair an edge keeps, by the type of its source; see `place`."""
    columns = np.full((2, 2), -1, np.int64)
    for kind in range(2):
        on = [which for which in range(2) if features.receptors[2 * kind + which]]
        columns[kind, : len(on)] = on
    return columns


def _kick_dtype(kind: np.dtype[Any], largest: int, paired: bool) -> np.dtype[np.unsignedinteger]:
    """Narrowest accumulator; 32-bit weights are imported such that their sums fit 32 bits."""
    if kind != np.uint8:
        return np.dtype(np.uint64 if paired else np.uint32)
    narrow = largest < 2**16
    if paired:
        return np.dtype(np.uint32 if narrow else np.uint64)
    return np.dtype(np.uint16 if narrow else np.uint32)
