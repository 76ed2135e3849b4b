"""From target order to source order, in Numba: edges put into the rows of their sources.

A network may have many times more neurons than a block hears of. A block that loads therefore
numbers what it meets by *slots*: a tile of 128 neurons gets the next 128 of them when one of its
neurons is met. To put each edge where it belongs at once would miss the caches with every edge;
a stretch of edges is first sorted into buckets of neighbouring slots, whose rows the cache holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels.cpu_machine import prefetch

_TILE = np.uint64(rng.TILE)
_AHEAD = np.uint64(24)
"""Edges by which the prefetch runs ahead."""


@njit(inline="always")
def _slot(neuron: Any, first_slot: Any) -> Any:
    wide = np.uint64(neuron)
    return np.uint64(first_slot[wide // _TILE]) + wide % _TILE


@njit(nogil=True, cache=True)
def meet(first_slot: NDArray[np.int64], source: NDArray[np.uint32], n: int) -> int:
    """Give slots to the tiles of sources that have none.

    Parameters
    ----------
    first_slot : (tile,) int64
        First slot of each tile of the network, or -1; written.
    source : (synapse,) uint32
        Global indices.
    n : int
        Slots given so far.

    Returns
    -------
    int
        Slots given now.
    """
    for e in range(source.size):
        tile = np.uint64(source[e]) // _TILE
        if first_slot[tile] < 0:
            first_slot[tile] = n
            n += rng.TILE
    return n


@njit(nogil=True, cache=True)
def slots(out: NDArray[np.int64], neuron: NDArray[np.int64], first_slot: NDArray[np.int64]) -> None:
    """Slot of each neuron.

    Parameters
    ----------
    out : (neuron,) int64
        Written.
    neuron : (neuron,) int64
        Global indices, of tiles that have slots.
    first_slot : (tile,) int64
    """
    for i in range(neuron.size):
        out[i] = _slot(neuron[i], first_slot)


@njit(nogil=True, cache=True)
def tally(
    per_slot: NDArray[np.uint32], source: NDArray[np.uint32], first_slot: NDArray[np.int64]
) -> None:
    """Count the edges of each slot.

    Parameters
    ----------
    per_slot : (slot,) uint32
        Added to.
    source : (synapse,) uint32
        Global indices, of tiles that have slots.
    first_slot : (tile,) int64
    """
    for e in range(source.size):
        per_slot[_slot(source[e], first_slot)] += np.uint32(1)


@njit(nogil=True, cache=True)
def sort(
    record: NDArray[np.uint64], kept: Any, end: NDArray[np.uint64], shift: int,
    source: NDArray[np.uint32], weight: NDArray[Any], indptr: NDArray[np.int64], first_target: int,
    first_slot: NDArray[np.int64],
) -> None:  # fmt: skip
    """Sort in-edges, given by target, into buckets of slots; the order within a bucket is kept.

    Parameters
    ----------
    record : (synapse,) uint64
        Written, for `place`: place of the slot in its bucket and target; also the pair of weights
        where `kept` is None.
    kept : (synapse, pair) uint8 or uint32, or None
        Written: the pairs of weights.
    end : (bucket,) uint64
        Written: where each bucket ends.
    shift : int
        A bucket has 2^shift slots.
    source : (synapse,) uint32
    weight : (synapse, pair) uint8 or uint32
    indptr : (target_edge,) int64
        First synapse of each target in `source`.
    first_target : int
        Index, in the block, of the first target.
    first_slot : (tile,) int64
    """
    by = np.uint64(shift)
    inside = (np.uint64(1) << by) - np.uint64(1)
    end[:] = 0
    for e in range(source.size):
        end[_slot(source[e], first_slot) >> by] += np.uint64(1)
    total = np.uint64(0)
    for bucket in range(end.size):
        total, end[bucket] = total + end[bucket], total
    for t in range(indptr.size - 1):
        local = np.uint64(first_target + t)
        for e in range(np.uint64(indptr[t]), np.uint64(indptr[t + 1])):
            slot = _slot(source[e], first_slot)
            at = end[slot >> by]
            end[slot >> by] = at + np.uint64(1)
            if kept is None:
                pair = np.uint64(weight[e, 0]) | np.uint64(weight[e, 1]) << np.uint64(8)
                record[at] = (slot & inside) << np.uint64(40) | local << np.uint64(16) | pair
            else:
                record[at] = (slot & inside) << np.uint64(32) | local
                kept[at, 0], kept[at, 1] = weight[e, 0], weight[e, 1]


@njit(nogil=True, cache=True)
def place(
    target: NDArray[np.uint32], weight: Any, cursor: NDArray[np.int64],
    inhibitory: NDArray[np.uint8], column: NDArray[np.int64],
    record: NDArray[np.uint64], kept: Any, end: NDArray[np.uint64], shift: int,
) -> None:  # fmt: skip
    """Put sorted in-edges into the rows of their sources.

    Parameters
    ----------
    target : (edge,) uint32
        Written, as `deliver` reads it.
    weight : (edge, pair) uint8 or uint32, or None
        Written.
    cursor : (slot,) int64
        Next free edge of the row of each slot; moved on.
    inhibitory : (slot,) uint8
    column : (2, 2) int64
        For an excitatory and an inhibitory source: which of the pair goes into the first and the
        second column of `weight`, or -1 for a zero.
    record : (synapse,) uint64
    kept : (synapse, pair) uint8 or uint32, or None
    end : (bucket,) uint64
    shift : int
        From `sort`, all four.
    """
    shifts, mask = np.empty(2, np.uint64), np.empty(2, np.uint64)
    for inhibits in range(2):
        shifts[inhibits] = 8 * max(column[inhibits, 0], 0)
        mask[inhibits] = 255 if column[inhibits, 0] >= 0 else 0
    slot_at = np.uint64(40 if kept is None else 32)
    e = np.uint64(0)
    for bucket in range(end.size):
        first_slot, last = np.uint64(bucket) << np.uint64(shift), end[bucket]
        while e < last:
            if e + _AHEAD < last:
                ahead = first_slot + (record[e + _AHEAD] >> slot_at)
                prefetch(target, cursor[ahead])
            slot = first_slot + (record[e] >> slot_at)
            at = np.uint64(cursor[slot])
            cursor[slot] = at + np.uint64(1)
            kind = np.uint64(inhibitory[slot])
            if kept is None:
                local = np.uint32(record[e] >> np.uint64(16)) & np.uint32(0xFFFFFF)
                first = np.uint32(record[e] >> shifts[kind] & mask[kind])
                target[at] = local << np.uint32(8) | first
            else:
                target[at] = np.uint32(record[e])
                for c in range(weight.shape[1]):
                    weight[at, c] = kept[e, column[kind, c]] if column[kind, c] >= 0 else 0
            e += np.uint64(1)
