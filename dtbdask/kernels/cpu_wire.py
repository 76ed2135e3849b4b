"""Wiring in Numba: in-edges from the recipe.

Slot `k` of neuron `i` draws, in round `r`, the Philox words of counter `(i, k + 2^24 r)`: the first
chooses a term of the neuron's population and the fourth, if the term has one, an entry of its far
table (Walker's alias tables in integers), which gives the source population; the second chooses a
neuron of it (never `i` itself), the third the weight pair. In a round the lowest slot keeps a
source that several drew, and nobody takes one that was kept before; the losers draw again in the
next round, in the same population unless that is used up. So the in-degree is exact, no source
occurs twice, the mix of populations is multinomial, and by symmetry each set of sources within a
population is equally likely. After `ROUNDS` rounds (which only happens when a population is almost
used up) a slot takes the next free neuron after the one it drew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels.cpu_random import philox

ROUNDS = 32
ROUND_STRIDE = 1 << 24
"""Slots of a round: the largest in-degree."""

_WIRE = np.uint32(rng.Purpose.WIRE)
_ONE = np.int64(1 << 32)
_BYTE = np.uint32(255)


@njit(nogil=True, cache=True)
def alias(
    indptr: NDArray[np.int64], probability: NDArray[np.float64],
    threshold: NDArray[np.uint32], other: NDArray[np.int32],
) -> None:  # fmt: skip
    """Alias tables of the rows of a probability matrix, in integers (Walker 1977; Vose 1991).

    Parameters
    ----------
    indptr : (row_edge,) int64
    probability : (connection,) float64
        Each row sums to 1.
    threshold : (connection,) uint32
        Written: column `c` is kept when 32 random bits are below it.
    other : (connection,) int32
        Written: the column, within the row, that is taken instead.
    """
    for row in range(indptr.size - 1):
        first, m = indptr[row], indptr[row + 1] - indptr[row]
        share = np.empty(m, np.int64)
        total, largest = np.int64(0), 0
        for c in range(m):
            share[c] = np.int64(probability[first + c] * np.float64(m) * np.float64(_ONE))
            total += share[c]
            if share[c] > share[largest]:
                largest = c
        share[largest] += np.int64(m) * _ONE - total
        small, large = np.empty(m, np.int64), np.empty(m, np.int64)
        n_small, n_large = 0, 0
        for c in range(m):
            if share[c] < _ONE:
                small[n_small] = c
                n_small += 1
            else:
                large[n_large] = c
                n_large += 1
        while n_small > 0 and n_large > 0:
            n_small -= 1
            low, high = small[n_small], large[n_large - 1]
            threshold[first + low] = share[low]
            other[first + low] = high
            share[high] -= _ONE - share[low]
            if share[high] < _ONE:
                n_large -= 1
                small[n_small] = high
                n_small += 1
        for k in range(n_large):
            threshold[first + large[k]] = 0xFFFFFFFF
            other[first + large[k]] = large[k]


@njit(inline="always")
def _column(word: Any, first: Any, count: Any, threshold: Any, other: Any) -> Any:
    """Entry of an alias table of `count` columns from `first` on, chosen by one word."""
    scaled = np.uint64(word) * np.uint64(count)
    column = first + np.int64(scaled >> np.uint64(32))
    alternative = first + np.int64(other[column])
    kept = np.uint32(scaled & np.uint64(0xFFFFFFFF)) < threshold[column]
    return column if kept else alternative


@njit(inline="always")
def _keep(table: Any, mark: Any, neuron: Any) -> Any:
    """Put a source into the hash set of one target; False if it was there."""
    mask = table.size - 1
    entry = (np.uint64(mark) << np.uint64(32)) | np.uint64(neuron)
    at = np.int64((np.uint32(neuron) * np.uint32(0x9E3779B1)) >> np.uint32(7)) & mask
    while table[at] >> np.uint64(32) == np.uint64(mark):
        if table[at] == entry:
            return False
        at = (at + 1) & mask
    table[at] = entry
    return True


@njit(inline="always")
def _neuron(word: Any, population: Any, target: Any, own: Any, first: Any, size: Any) -> Any:
    """Neuron of a population chosen by one word, never the target itself."""
    mine = population == own
    n = size[population] - mine
    at = np.int64((np.uint64(word) * np.uint64(n)) >> np.uint64(32)) + first[population]
    return at + (mine & (at >= target))


@njit(inline="always")
def _draw(words: Any, slots: Any, n: Any, target: Any, rounds: Any, key: Any) -> None:
    """Four words for each of the first `n` slots of a list, in one round."""
    c0, c1 = np.uint32(target & 0xFFFFFFFF), np.uint32(target >> 32)
    shift = np.uint32(rounds * ROUND_STRIDE)
    k0, k1 = key[0], key[1]
    for i in range(n):
        w0, w1, w2, w3 = philox(c0, c1, np.uint32(slots[i] + shift), _WIRE, k0, k1)
        words[0, i] = w0
        words[1, i] = w1
        words[2, i] = w2
        words[3, i] = w3


@njit(inline="always")
def _choose(
    picked: Any, outside: Any, words: Any, n: Any, first_term: Any, n_terms: Any, source: Any,
    table: Any, threshold: Any, other: Any, far_indptr: Any, far_population: Any,
    far_threshold: Any, far_other: Any,
) -> None:  # fmt: skip
    """Source populations of the first `n` draws, by their first and fourth words."""
    n_outside = 0
    for i in range(n):
        term = _column(words[0, i], first_term, n_terms, threshold, other)
        picked[i] = source[term]
        outside[n_outside] = i
        n_outside += table[term] >= 0
        words[0, i] = table[term]
    for j in range(n_outside):
        i = outside[j]
        low = far_indptr[np.int64(words[0, i])]
        count = far_indptr[np.int64(words[0, i]) + 1] - low
        entry = _column(words[3, i], low, count, far_threshold, far_other)
        picked[i] += far_population[entry]


@njit(nogil=True, cache=True)
def wire(
    source: NDArray[np.uint32], weight: NDArray[np.uint8], start: int, stop: int,
    first: NDArray[np.int64], size: NDArray[np.int64], degree: NDArray[np.int32],
    terms: Any, far: Any, low: int, high: int, key: NDArray[np.uint32],
) -> None:  # fmt: skip
    """In-edges of the neurons `start` to `stop`, in target order, slot by slot.

    Parameters
    ----------
    source : (synapse,) uint32
        Written: global index of the source neuron.
    weight : (synapse, pair) uint8
        Written: weight pair, uniform on `low` to `high`.
    start, stop : int
        Range of global neuron indices.
    first, size : (population,) int64
        First neuron and number of neurons of each population.
    degree : (population,) int32
        In-degree of each neuron; feasible, see `dtbdask.graph.wiring`.
    terms : tuple of (population_edge,) int64, and (term,) int32, int32, uint32, int32
        Pointers, sources, far tables and alias tables of the terms of each population.
    far : tuple of (table_edge,) int64, and (far,) int32, uint32, int32
        Pointers, first populations and alias tables of the far tables.
    low, high : int
        Smallest and largest weight, 0 to 255.
    key : (2,) uint32
        Seed of the network.
    """
    widest = max(degree.max(), 1)
    words = np.empty((4, widest), np.uint32)
    slots, lost = np.empty(widest, np.uint32), np.empty(widest, np.uint32)
    chosen, kept = np.empty(widest, np.int64), np.empty(widest, np.int64)
    picked, outside = np.empty(widest, np.int64), np.empty(widest + 1, np.int64)
    capacity = 4
    while capacity < 4 * widest:
        capacity *= 2
    table = np.zeros(capacity, np.uint64)
    span = np.uint32(high - low + 1)
    indptr, near_source, near_table, threshold, other = terms
    far_indptr, far_population, far_threshold, far_other = far
    edge = 0
    own = np.searchsorted(first, start, side="right") - 1
    for target in range(start, stop):
        while target >= first[own] + size[own]:
            own += 1
        d = n = degree[own]
        mark = target - start + 1
        for k in range(d):
            slots[k], kept[k] = k, ROUNDS
        rounds = 0
        while n > 0 and rounds < ROUNDS:
            _draw(words, slots, n, target, rounds, key)
            _choose(
                picked, outside, words, n, indptr[own], indptr[own + 1] - indptr[own],
                near_source, near_table, threshold, other,
                far_indptr, far_population, far_threshold, far_other,
            )  # fmt: skip
            for i in range(n):
                if rounds == 0 or _used_up(chosen, kept, rounds, d, slots[i], own, size):
                    chosen[slots[i]] = picked[i]
            for i in range(n):
                k = slots[i]
                source[edge + k] = _neuron(words[1, i], chosen[k], target, own, first, size)
                word = words[2, i]
                x = ((word & _BYTE) << np.uint32(8)) + ((word >> np.uint32(16)) & _BYTE)
                y = (word & np.uint32(0xFF00)) + (word >> np.uint32(24))
                weight[edge + k, 0] = np.uint32(low) + ((x * span) >> np.uint32(16))
                weight[edge + k, 1] = np.uint32(low) + ((y * span) >> np.uint32(16))
            n_lost = 0
            for i in range(n):
                k = slots[i]
                if _keep(table, mark, source[edge + k]):
                    kept[k] = rounds
                else:
                    lost[n_lost] = k
                    n_lost += 1
            slots[:n_lost] = lost[:n_lost]
            n = n_lost
            rounds += 1
        for i in range(n):
            k = slots[i]
            source[edge + k] = _next_free(source[edge + k], chosen[k], target, own, terms, far,
                                          first, size, table, mark)  # fmt: skip
        edge += d


@njit(inline="always")
def _used_up(chosen: Any, kept: Any, rounds: Any, d: Any, slot: Any, own: Any, size: Any) -> Any:
    """Whether every neuron of the population of a slot was kept before this round."""
    n, population = 0, chosen[slot]
    for k in range(d):
        n += (chosen[k] == population) & (kept[k] < rounds)
    return n >= size[population] - (population == own)


@njit
def _next_in(
    at: Any, population: Any, target: Any, first: Any, size: Any, table: Any, mark: Any
) -> Any:
    """Next neuron, cyclically in its population, not yet kept; -1 if there is none."""
    for _ in range(size[population]):
        at = (at + 1) % size[population]
        neuron = first[population] + at
        if neuron != target and _keep(table, mark, neuron):
            return neuron
    return np.int64(-1)


@njit
def _next_free(
    at: Any, population: Any, target: Any, own: Any, terms: Any, far: Any, first: Any, size: Any,
    table: Any, mark: Any,
) -> Any:  # fmt: skip
    """Next free neuron of its population, or of the first that has one among the own terms."""
    offset = np.int64(at) - first[population]
    neuron = _next_in(offset, population, target, first, size, table, mark)
    indptr, source, far_table, _, _ = terms
    far_indptr, far_population, _, _ = far
    for term in range(indptr[own], indptr[own + 1]):
        low, high = np.int64(0), np.int64(1)
        if far_table[term] >= 0:
            low, high = far_indptr[far_table[term]], far_indptr[far_table[term] + 1]
        for entry in range(low, high):
            if neuron >= 0:
                return neuron
            base = far_population[entry] if far_table[term] >= 0 else 0
            other = np.int64(source[term]) + np.int64(base)
            neuron = _next_in(np.int64(-1), other, target, first, size, table, mark)
    return neuron  # never -1 when the recipe is feasible
