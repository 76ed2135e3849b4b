"""When a block swaps spikes with each other block, and what waits until then.

A spike that takes at least *m* steps to every neuron of a peer that hears it may as well be sent
*m* steps later. Two blocks tell each other the shortest delay of their edges when they meet, and
swap once in as many steps, by the shorter of the two; the last step of a window is a swap in any
case, so that between windows nothing is left to be sent. A message of several steps begins with
the number of words of each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.block import Block
from dtbdask.sim.masks import Masks

Ids = NDArray[np.uint32]
Ints = NDArray[np.int64]


class Swaps:
    """What one block has for each peer.

    Parameters
    ----------
    interval : list of int
        Steps between two swaps with each peer; 0 with itself.
    masks : Masks, optional
        Have many spikes told by bits.

    Attributes
    ----------
    interval : list of int
    """

    def __init__(self, interval: list[int], masks: Masks | None = None) -> None:
        self.interval, self._masks = interval, masks
        self._waiting: list[list[Ids]] = [[] for _ in interval]

    @classmethod
    def agreed(cls, own: list[int], told: list[Ids], masks: Masks | None = None) -> Swaps:
        """Swaps by the shorter delay of both: `shortest` of this block and of each peer.

        Parameters
        ----------
        own : list of int
        told : list of (word,) uint32
            What each peer told, its delay first; nothing from itself.
        masks : Masks, optional
        """
        both = zip(own, told, strict=True)
        return cls([min(soon, int(words[0])) if words.size else 0 for soon, words in both], masks)

    def add(self, outgoing: list[Ids]) -> None:
        """Take what a step has for each peer."""
        for peer, (ids, interval) in enumerate(zip(outgoing, self.interval, strict=True)):
            if interval:
                words = ids if self._masks is None else self._masks.folded(peer, ids)
                self._waiting[peer].append(words)

    def due(self, *, last: bool) -> list[int]:
        """Steps that the message to each peer is of, now; 0 where none is sent."""
        steps = [len(waiting) for waiting in self._waiting]
        return [n if last or n == m else 0 for n, m in zip(steps, self.interval, strict=True)]

    def take(self, due: list[int]) -> list[Ids | None]:
        """Messages for those who are due, and None for the others."""
        messages = [_packed(self._waiting[peer]) if n else None for peer, n in enumerate(due)]
        for peer, n in enumerate(due):
            if n:
                self._waiting[peer] = []
        return messages

    def told(self, peer: int, message: Ids, n_steps: int) -> list[Ids]:
        """Spikes of each step of a message."""
        steps = _unpacked(message, n_steps)
        if self._masks is None:
            return steps
        return [self._masks.unfolded(peer, words) for words in steps]


def shortest(block: Block, of_peer: list[Ints]) -> list[int]:
    """Shortest delay of what a block hears from each peer, steps; the longest where nothing is.

    Parameters
    ----------
    block : Block
    of_peer : list of (foreign,) int64
        Places, in the list of foreign neurons that it hears, of those of each peer.
    """
    if block.delays is None:
        return [1] * len(of_peer)
    least = block.soonest()
    return [int(least[of].min(initial=block.n_slots)) for of in of_peer]


def _packed(steps: list[Ids]) -> Ids:
    """Message of the words of some steps."""
    if len(steps) == 1:
        return steps[0]
    count = np.array([ids.size for ids in steps], np.uint32)
    return np.concatenate([count, *steps])


def _unpacked(message: Ids, n_steps: int) -> list[Ids]:
    """Words of each step of a message."""
    if n_steps == 1:
        return [message]
    count = message[:n_steps].astype(np.int64)
    return np.split(message[n_steps:], np.cumsum(count)[:-1])
