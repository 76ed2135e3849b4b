"""What each peer asked to hear: the neurons of its list, found from those that fired.

A peer names the neurons it hears once, as a list, with a number for each, that of the row of its
edges there, and is told the numbers of those that fired. Kept by neuron, the lists take 8 bytes for
each neuron and peer that hears it, and a spike costs as much as it has hearers, however many blocks
there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import ExchangeError
from dtbdask.kernels import cpu
from dtbdask.sim.block import Block

Ids = NDArray[np.uint32]


class Asked:
    """Lists of all peers, by neuron.

    Parameters
    ----------
    lists : sequence of (2, asked) uint32
        Local neurons that each peer hears, none of them twice; and what it calls them.
    n_neurons : int

    Attributes
    ----------
    indptr : (neuron_edge,) int64
        Entries of each neuron in the two that follow.
    peer, place : (entry,) uint32
        Who hears it, and what that peer calls it.
    size : list of int
        Neurons in each list.

    Raises
    ------
    ExchangeError
        A list names a neuron that is not there.
    """

    def __init__(self, lists: Sequence[Ids], n_neurons: int) -> None:
        self.size = [asked.shape[1] for asked in lists]
        neuron, number = np.concatenate([*lists, np.zeros((2, 0), np.uint32)], axis=1)
        if neuron.max(initial=0) >= n_neurons:
            raise ExchangeError(
                f"a peer asks for neuron {neuron.max():,} of a block of {n_neurons:,}: blocks are "
                "not of one network"
            )
        order = np.argsort(neuron, kind="stable")
        self.indptr = np.zeros(n_neurons + 1, np.int64)
        np.cumsum(np.bincount(neuron, minlength=n_neurons), out=self.indptr[1:])
        self.peer = np.repeat(np.arange(len(lists), dtype=np.uint32), self.size)[order]
        self.place = number[order]
        self._n_peers = len(lists)

    def of(self, block: Block) -> list[Ids]:
        """What each peer calls the neurons it hears that fired in the last step."""
        stop = np.zeros(self._n_peers + 1, np.int64)
        heard = (block.fired[0], block.n_fired[0], block.bounds, self.indptr, self.peer)
        cpu.count_heard(stop[1:], *heard)
        np.cumsum(stop, out=stop)
        found = np.empty(stop[-1], np.uint32)
        cpu.place_heard(found, stop[:-1].copy(), *heard, self.place)
        return np.split(found, stop[1:-1])
