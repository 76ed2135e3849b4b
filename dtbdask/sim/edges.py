"""The edges of a block, by source row: what a spike touches is one contiguous stretch.

Rows are the block's own neurons in order, then, ascending, the foreign neurons that some neuron of
the block hears. The in-edges come by target, in chunks; two passes over them (count, then place)
keep the memory at that of the result. Edges are ordered by part first, so that each thread reads
its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.network import Network
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import Features, cpu

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


def collect(network: Network, start: int, stop: int, bounds: Ints, features: Features) -> Edges:
    """Edges that end in the neurons `start` to `stop`.

    Parameters
    ----------
    network : Network
    start, stop : int
        Global range of the block.
    bounds : (part_edge,) int64
        Local ranges of its parts.
    features : Features
        Receptors that are on: weights of the others are dropped.

    Returns
    -------
    Edges
    """
    n, parts = stop - start, bounds.size - 1
    per_source = np.zeros((parts, network.n_neurons), np.int64)
    everyone = np.arange(network.n_neurons)
    for part, _, edges in _chunks(network, start, bounds):
        cpu.count(per_source[part], edges.source, everyone)
    foreign: NDArray[np.bool_] = np.any(per_source, axis=0)
    foreign[start:stop] = False
    heard = np.flatnonzero(foreign)
    order = np.concatenate([np.arange(start, stop), heard])
    row_of = np.full(network.n_neurons, -1, np.int64)
    row_of[order] = np.arange(order.size)
    indptr = np.zeros(parts * order.size + 1, np.int64)
    np.cumsum(per_source[:, order].ravel(), out=indptr[1:])
    del per_source
    starts = np.arange(parts)[:, None] * order.size + np.arange(order.size + 1)
    indptr = indptr[starts]
    excitatory = network.populations.excitatory[_population_of(network, order)]
    inhibitory = (~excitatory).astype(np.uint8)
    kind = np.dtype(network.synapses.weight_dtype)
    packed = kind == np.uint8 and not features.paired and n <= PACKED_TARGETS
    target = np.empty(indptr[-1, -1], np.uint32)
    weight = None if packed else np.empty((target.size, 1 + features.paired), kind)
    column, cursor = _columns(features), indptr[:, :-1].copy()
    for part, first, edges in _chunks(network, start, bounds):
        cpu.place(cursor[part], target, weight, edges.source, edges.weight, edges.indptr,
                  first - start, row_of, column, inhibitory)  # fmt: skip
    largest = network.synapses.largest_degree * (np.iinfo(kind).max if kind == np.uint8 else 0)
    return Edges(
        indptr, target, weight, inhibitory, heard, _kick_dtype(kind, largest, features.paired)
    )


def _chunks(network: Network, start: int, bounds: Ints) -> Iterator[tuple[int, int, InEdges]]:
    """Part, first target and in-edges of stretches of each part."""
    stride = max(1, CHUNK // max(network.synapses.largest_degree, 1))
    for part in range(bounds.size - 1):
        low, high = start + int(bounds[part]), start + int(bounds[part + 1])
        for first in range(low, high, stride):
            yield part, first, network.synapses.in_edges(first, min(first + stride, high))


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
