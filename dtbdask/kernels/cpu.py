"""The hot operations in Numba: one part of a block a call, GIL released, no atomics.

The contract stands in `dtbdask.kernels`, the random numbers in `dtbdask.rng`, and what belongs to
one idea in a file of its own; those that a block calls are all here by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels.cpu_bold import balloon
from dtbdask.kernels.cpu_integrate import integrate
from dtbdask.kernels.cpu_machine import AHEAD, prefetch, prefetch_row
from dtbdask.kernels.cpu_wire import alias, wire

__all__ = [
    "alias", "balloon", "census", "count_heard", "deliver", "integrate", "place_heard", "unroll",
    "wire",
]  # fmt: skip


@njit(nogil=True, cache=True)
def deliver(
    kick: NDArray[Any], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], indptr: NDArray[np.int64], target: NDArray[np.uint32],
    weight: Any, inhibitory: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Add the weights of the edges of every fired row to the kicks of their targets in one part.

    Parameters
    ----------
    kick : (2, member, neuron) uint16, uint32 or uint64
        Added to.
    fired : (member, row) uint32
        Rows that fired; list `k` of a member starts at `bounds[k]` and has `n_fired[member, k]`.
    n_fired : (member, list) int64
    bounds : (list_edge,) int64
    indptr : (row_edge,) int64
        Edges of a row that end in this part.
    target : (edge,) uint32
        Target neuron; with its weight in the low 8 bits where `weight` is None.
    weight : (edge, pair) uint8 or uint32, or None
    inhibitory : (row,) uint8
    """
    number, one = kick.dtype.type, np.uint64(1)  # indices without a sign need no look at it
    half = number(4 * kick.itemsize)
    for m in range(n_fired.shape[0]):
        for part in range(n_fired.shape[1]):
            last = np.uint64(bounds[part] + n_fired[m, part])
            for k in range(np.uint64(bounds[part]), last):
                if k + AHEAD < last:
                    prefetch_row(target, indptr, np.uint64(fired[m, k + AHEAD]))
                if k + AHEAD + AHEAD < last:
                    prefetch(indptr, fired[m, k + AHEAD + AHEAD])
                row = np.uint64(fired[m, k])
                sums = kick[inhibitory[row], m]
                for e in range(np.uint64(indptr[row]), np.uint64(indptr[row + one])):
                    if weight is None:
                        edge = target[e]
                        sums[edge >> np.uint32(8)] += number(edge & np.uint32(255))
                    elif weight.shape[1] == 1:
                        sums[target[e]] += number(weight[e, 0])
                    else:
                        sums[target[e]] += number(weight[e, 0]) + (number(weight[e, 1]) << half)


@njit(nogil=True, cache=True)
def count_heard(
    count: NDArray[np.int64], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], indptr: NDArray[np.int64], peer: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Count the fired neurons that each peer hears.

    Parameters
    ----------
    count : (peer,) int64
        Added to.
    fired : (neuron,) uint32
        Local indices; list `k` starts at `bounds[k]` and has `n_fired[k]`.
    n_fired : (list,) int64
    bounds : (list_edge,) int64
    indptr : (neuron_edge,) int64
        Entries of each neuron.
    peer : (entry,) uint32
        Who hears it.
    """
    for part in range(n_fired.size):
        for k in range(bounds[part], bounds[part] + n_fired[part]):
            for e in range(indptr[fired[k]], indptr[fired[k] + 1]):
                count[peer[e]] += 1


@njit(nogil=True, cache=True)
def place_heard(
    out: NDArray[np.uint32], cursor: NDArray[np.int64], fired: NDArray[np.uint32],
    n_fired: NDArray[np.int64], bounds: NDArray[np.int64], indptr: NDArray[np.int64],
    peer: NDArray[np.uint32], place: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Write, for each peer, what it calls those of the neurons that fired that it hears.

    Parameters
    ----------
    out : (spike,) uint32
        Written: those of one peer after those of the other, each in the order of `fired`.
    cursor : (peer,) int64
        Where those of each peer begin; moved to where they end.
    fired : (neuron,) uint32
    n_fired : (list,) int64
    bounds : (list_edge,) int64
    indptr : (neuron_edge,) int64
    peer : (entry,) uint32
        As of `count_heard`.
    place : (entry,) uint32
        What that peer calls the neuron.
    """
    for part in range(n_fired.size):
        for k in range(bounds[part], bounds[part] + n_fired[part]):
            for e in range(indptr[fired[k]], indptr[fired[k] + 1]):
                out[cursor[peer[e]]] = place[e]
                cursor[peer[e]] += 1


@njit(nogil=True, cache=True)
def census(
    spikes: NDArray[np.int32], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], run_stop: NDArray[np.int64], run_population: NDArray[np.int64],
) -> None:  # fmt: skip
    """Count the spikes of each population.

    Parameters
    ----------
    spikes : (member, population) int32
        Added to.
    fired : (member, neuron) uint32
        As `integrate` writes it.
    n_fired : (member, part) int64
    bounds : (part_edge,) int64
    run_stop, run_population : (run,) int64
    """
    for m in range(n_fired.shape[0]):
        run = 0
        for part in range(n_fired.shape[1]):
            for k in range(n_fired[m, part]):
                neuron = fired[m, bounds[part] + k]
                while run_stop[run] <= neuron:
                    run += 1
                spikes[m, run_population[run]] += 1


_TILE = np.uint32(rng.TILE)


@njit(nogil=True, cache=True)
def unroll(
    neuron: NDArray[np.int64], log: NDArray[np.uint32], stop: NDArray[np.int64],
    n_log: NDArray[np.int64], shift: NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the spikes of one part among those of all parts.

    Parameters
    ----------
    neuron : (spike,) int64
        Global indices of all parts, step by step; those of this part are written.
    log : (spike,) uint32
        Local indices of this part, step by step.
    stop, n_log : (step,) int64
        Where those of each step end among all, and how many they are.
    shift : (tile,) int64
        What makes a local index of each tile a global one.
    """
    k = 0
    for s in range(n_log.size):
        for at in range(stop[s] - n_log[s], stop[s]):
            neuron[at] = log[k] + shift[log[k] // _TILE]
            k += 1
