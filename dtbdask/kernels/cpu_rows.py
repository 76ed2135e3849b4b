"""Slots in Numba: room for the neurons of those tiles alone that a block has or hears.

A network may have many times more neurons than a block hears of. A block that loads therefore
numbers what it meets by *slots*: a tile of 128 neurons gets the next 128 of them when one of its
neurons is met.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng

_TILE = rng.TILE


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
        tile = source[e] // _TILE
        if first_slot[tile] < 0:
            first_slot[tile] = n
            n += _TILE
    return n


@njit(nogil=True, cache=True)
def slots(
    out: NDArray[np.uint32], source: NDArray[np.uint32], first_slot: NDArray[np.int64]
) -> None:
    """Slot of each source.

    Parameters
    ----------
    out : (synapse,) uint32
        Written.
    source : (synapse,) uint32
        Global indices, of tiles that have slots.
    first_slot : (tile,) int64
    """
    for e in range(source.size):
        out[e] = first_slot[source[e] // _TILE] + source[e] % _TILE


@njit(nogil=True, cache=True)
def tally(per_slot: NDArray[np.uint32], slot: NDArray[np.uint32]) -> None:
    """Count the edges of each slot.

    Parameters
    ----------
    per_slot : (slot,) uint32
        Added to.
    slot : (synapse,) uint32
    """
    for e in range(slot.size):
        per_slot[slot[e]] += 1
