"""Delivery with axonal delays, in Numba: kicks go into the slot of the step in which they act.

Used only where some delay is above one step. The delay of an edge follows from its source, and from
where its target lies: for each source voxel the targets of a block fall into *runs* of one delay.
The edges of a row ascend by target, so a run is looked up when the row leaves it, which is seldom.

A synapse adds to a slot once at most: its source fires at most once in a step, and all spikes of
a synapse are equally late. The bound by which a kick cannot overflow is that without delays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.kernels.cpu_machine import AHEAD, prefetch, prefetch_row


@njit
def _run(stop: Any, low: Any, high: Any, neuron: Any) -> Any:
    """First run, from `low` on and below `high`, that ends beyond a neuron."""
    while low < high:
        middle = (low + high) // 2
        if stop[middle] <= neuron:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def deliver_delayed(
    kick: NDArray[Any], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], indptr: NDArray[np.int64], target: NDArray[np.uint32],
    weight: Any, inhibitory: NDArray[np.uint8], step: int, of: NDArray[np.int32],
    first: NDArray[np.int64], stop: NDArray[np.uint32], delay: NDArray[np.uint16],
) -> None:  # fmt: skip
    """Add the weights of the edges of every fired row to the kicks of the step they arrive in.

    Parameters
    ----------
    kick : (slot, 2, member, neuron) uint16, uint32 or uint64
        Added to: what acts at the beginning of step s is in slot s modulo their number, which is
        the longest delay.
    fired : (member, row) uint32
        Rows that fired; list `k` of a member starts at `bounds[k]` and has `n_fired[member, k]`.
    n_fired : (member, list) int64
    bounds : (list_edge,) int64
    indptr : (row_edge,) int64
        Edges of a row that end in this part.
    target : (edge,) uint32
        As in `cpu.deliver`; ascending in each row.
    weight : (edge, pair) uint8 or uint32, or None
    inhibitory : (row,) uint8
    step : int
        In which a spike with a delay of one step acts: the one after that of the spikes.
    of : (row,) int32
        Which list of runs belongs to the source of each row.
    first : (list_edge,) int64
        First run of each list.
    stop : (run,) uint32
        Last target + 1 of each run; a list ends with the last neuron of the block.
    delay : (run,) uint16, steps
    """
    number, one = kick.dtype.type, np.uint64(1)  # indices without a sign, as in `cpu.deliver`
    half = number(4 * kick.itemsize)
    n_slots = kick.shape[0]
    for m in range(n_fired.shape[0]):
        for part in range(n_fired.shape[1]):
            last = np.uint64(bounds[part] + n_fired[m, part])
            for k in range(np.uint64(bounds[part]), last):
                if k + AHEAD < last:
                    prefetch_row(target, indptr, np.uint64(fired[m, k + AHEAD]))
                if k + AHEAD + AHEAD < last:
                    prefetch(indptr, fired[m, k + AHEAD + AHEAD])
                row = np.uint64(fired[m, k])
                kind, run, end = inhibitory[row], first[of[row]], np.uint32(0)
                last_run = first[of[row] + 1]
                sums = kick[0, kind, m]
                for e in range(np.uint64(indptr[row]), np.uint64(indptr[row + one])):
                    neuron = target[e] >> np.uint32(8) if weight is None else target[e]
                    if neuron >= end:
                        run = _run(stop, run, last_run, neuron)
                        end = stop[run]
                        sums = kick[(step + np.int64(delay[run]) - 1) % n_slots, kind, m]
                    if weight is None:
                        sums[neuron] += number(target[e] & np.uint32(255))
                    elif weight.shape[1] == 1:
                        sums[neuron] += number(weight[e, 0])
                    else:
                        sums[neuron] += number(weight[e, 0]) + (number(weight[e, 1]) << half)


@njit(nogil=True, cache=True)
def least_delay(
    least: NDArray[np.int64], start: int, indptr: NDArray[np.int64], target: NDArray[np.uint32],
    packed: bool, of: NDArray[np.int32], first: NDArray[np.int64], stop: NDArray[np.uint32],
    delay: NDArray[np.uint16],
) -> None:  # fmt: skip
    """Shortest delay of the edges of each row, in one part.

    Parameters
    ----------
    least : (row,) int64
        Of the rows from `start` on; lowered.
    start : int
    indptr : (row_edge,) int64
    target : (edge,) uint32
        As in `deliver_delayed`.
    packed : bool
        A target shares its word with a weight.
    of : (row,) int32
    first : (list_edge,) int64
    stop : (run,) uint32
    delay : (run,) uint16, steps
    """
    for i in range(least.size):
        row = start + i
        run, end, last = first[of[row]], np.uint32(0), first[of[row] + 1]
        for e in range(indptr[row], indptr[row + 1]):
            neuron = target[e] >> np.uint32(8) if packed else target[e]
            if neuron >= end:
                run = _run(stop, run, last, neuron)
                end = stop[run]
                least[i] = min(least[i], np.int64(delay[run]))
