"""Which neurons of a list fired: their numbers, or a bit for each neuron of the list.

Of the two the shorter is sent. A list of numbers that has fewer words than the bits would take is
sent as it is; otherwise the bits are, so that the length alone tells which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import ExchangeError

Ids = NDArray[np.uint32]
WORD = 32


class Masks:
    """What two blocks call the same list of neurons, for one block and all its peers.

    Parameters
    ----------
    told : sequence of (neuron,) uint32
        What each peer calls the neurons that it hears, ascending.
    heard : sequence of (neuron,) uint32
        What this block calls those that it hears from each peer, ascending.
    """

    def __init__(self, told: Sequence[Ids], heard: Sequence[Ids]) -> None:
        self._told, self._heard = told, heard

    def folded(self, peer: int, ids: Ids) -> Ids:
        """Words that tell a peer which neurons fired.

        Parameters
        ----------
        peer : int
        ids : (spike,) uint32
            As the peer calls them.

        Returns
        -------
        (word,) uint32
        """
        told = self._told[peer]
        n_words = _words(told)
        if ids.size < n_words:
            return ids
        fired = np.zeros(n_words * WORD, np.bool_)
        fired[np.searchsorted(told, ids)] = True
        return np.packbits(fired, bitorder="little").view(np.uint32)

    def unfolded(self, peer: int, words: Ids) -> Ids:
        """Neurons that a peer tells of, as this block calls them.

        Parameters
        ----------
        peer : int
        words : (word,) uint32

        Returns
        -------
        (spike,) uint32

        Raises
        ------
        ExchangeError
            There are more words than the bits would take.
        """
        heard = self._heard[peer]
        n_words = _words(heard)
        if words.size < n_words:
            return words
        if words.size > n_words:
            raise ExchangeError(
                f"swap: block {peer} sent {words.size:,} words for {heard.size:,} neurons, which "
                f"{n_words:,} tell; blocks are not of one network"
            )
        return heard[np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little",
                                                  count=heard.size))]  # fmt: skip


def _words(ids: Ids) -> int:
    """Words that have a bit for each."""
    return -(-ids.size // WORD)
