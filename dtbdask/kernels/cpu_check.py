"""Looking at in-edges in Numba: what is wrong with them, and who hears whom how often."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BEYOND, ITSELF, TWICE = 0, 1, 2
"""Kinds of a bad edge: a source that is no neuron, the target itself, or a source once more."""
SHIFT = 6
"""Neurons of a place in the table that leads from a neuron to its population, as a power of two."""


def landmarks(first: NDArray[np.int64]) -> NDArray[np.int32]:
    """Population of every 2^`SHIFT`-th neuron: a short way from a neuron to its population.

    Parameters
    ----------
    first : (population_edge,) int64
        First neuron of each population, and the number of all.

    Returns
    -------
    (landmark,) int32
    """
    at = np.arange(0, max(int(first[-1]), 1), 1 << SHIFT)
    return (np.searchsorted(first[:-1], at, side="right") - 1).astype(np.int32)


@njit(inline="always")
def _population(neuron: Any, first: Any, landmark: Any) -> Any:
    p = landmark[neuron >> SHIFT]
    while first[p + 1] <= neuron:
        p += 1
    return p


@njit(inline="always")
def _seen(table: Any, stamp: Any, mark: Any, neuron: Any) -> Any:
    """Whether a source is in the hash set of one target; it is from now on."""
    mask = table.size - 1
    at = np.int64((np.uint32(neuron) * np.uint32(0x9E3779B1)) >> np.uint32(7)) & mask
    while stamp[at] == mark:
        if table[at] == neuron:
            return True
        at = (at + 1) & mask
    stamp[at] = mark
    table[at] = neuron
    return False


@njit(nogil=True, cache=True)
def examine(
    bad: NDArray[np.int64], place: NDArray[np.int64], row: NDArray[np.int32],
    column: NDArray[np.int32], number: NDArray[np.int64], source: NDArray[np.uint32],
    indptr: NDArray[np.int64], start: int, whole: tuple[int, int], first: NDArray[np.int64],
    landmark: NDArray[np.int32],
) -> int:  # fmt: skip
    """Find bad edges, and count the others by population of their target and source.

    Parameters
    ----------
    bad, place : (kind,) int64
        Written: how many edges of each kind are bad, and the first of them or -1.
    row, column : (synapse,) int32
        Written: entries of the counts, target and source population; each once.
    number : (synapse,) int64
        Written: edges of each entry.
    source : (synapse,) uint32
        Global index of each source.
    indptr : (target_edge,) int64
        First edge of each target, within `source`.
    start : int
        Global index of the first target.
    whole : (int, int)
        Range of the targets all of whose edges are here: only those are searched for twins.
    first : (population_edge,) int64
        First neuron of each population, and the number of all.
    landmark : (landmark,) int32
        From `landmarks`.

    Returns
    -------
    int
        Number of entries.
    """
    n_neurons, n = first[-1], 0
    heard = np.zeros(first.size - 1, np.int64)
    touched = np.empty(first.size - 1, np.int32)
    widest, capacity = 1, 4
    for t in range(whole[0], whole[1]):
        widest = max(widest, indptr[t + 1] - indptr[t])
    while capacity < 2 * widest:
        capacity *= 2
    table, stamp = np.empty(capacity, np.uint32), np.full(capacity, -1, np.int64)
    bad[:], place[:] = 0, -1
    n_touched, own = 0, _population(start, first, landmark)
    for t in range(indptr.size - 1):
        target = start + t
        while first[own + 1] <= target:
            for i in range(n_touched):
                row[n], column[n], number[n] = own, touched[i], heard[touched[i]]
                heard[touched[i]] = 0
                n += 1
            n_touched = 0
            own += 1
        complete = whole[0] <= t < whole[1]
        for e in range(indptr[t], indptr[t + 1]):
            neuron, kind = np.int64(source[e]), -1
            if neuron >= n_neurons:
                kind = BEYOND
            elif neuron == target:
                kind = ITSELF
            elif complete and _seen(table, stamp, t, source[e]):
                kind = TWICE
            if kind >= 0:
                bad[kind] += 1
                if place[kind] < 0:
                    place[kind] = e
            if kind != BEYOND:
                p = _population(neuron, first, landmark)
                if heard[p] == 0:
                    touched[n_touched] = p
                    n_touched += 1
                heard[p] += 1
    for i in range(n_touched):
        row[n], column[n], number[n] = own, touched[i], heard[touched[i]]
        n += 1
    return n


@njit(nogil=True, cache=True)
def histogram(count: NDArray[np.int64], weight: NDArray[np.uint8]) -> None:
    """Count the values of both weights of a pair.

    Parameters
    ----------
    count : (pair, value) int64
        Added to.
    weight : (synapse, pair) uint8
    """
    for e in range(weight.shape[0]):
        count[0, weight[e, 0]] += 1
        count[1, weight[e, 1]] += 1
