"""Pieces of a network that blocks are made of: stretches of tiles, and how much they are tied.

A tile of 128 neurons draws its random numbers together and is never divided. Neighbouring voxels
are joined, or a voxel is divided, until a piece is a small fraction of a block; the populations of
a voxel stay together as far as they fit. Two pieces are tied by the spikes that would pass between
them, were they in different blocks.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.graph.population import Populations
from dtbdask.graph.traffic import neuron_cost, overlap
from dtbdask.rng import TILE

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]

PIECES = 32
"""Pieces that a block has, or more."""
NEIGHBOURS = 64
"""Strongest ties of a piece, those that are kept."""


class Profile(NamedTuple):
    """What a piece is to the blocks it may belong to, over the populations that it has or hears."""

    population: Ints
    drawn: Reals
    """Times that the piece draws a neuron of the population as a source."""
    neurons: Reals
    """Neurons of the population in the piece."""


class Tiles:
    """The tiles of a network.

    Parameters
    ----------
    populations : Populations
    rate_hz : float
        Mean rate.

    Attributes
    ----------
    cost_before : (tile_edge,) int64, ps
        Of all tiles before a tile; whole numbers, so that sums have no order.
    """

    def __init__(self, populations: Populations, rate_hz: float) -> None:
        self.populations = populations
        self.n_tiles = -(-populations.n_neurons // TILE)
        self.size = np.maximum(populations.size, 1).astype(np.float64)
        cost = np.concatenate(
            [[0], np.cumsum(populations.size * neuron_cost(populations, rate_hz))]
        )
        edge = np.append(populations.first, populations.n_neurons)
        at = np.minimum(np.arange(self.n_tiles + 1) * TILE, populations.n_neurons)
        self.cost_before: Ints = np.rint(1000 * np.interp(at, edge, cost)).astype(np.int64)

    @cached_property
    def _matrix(self) -> sp.csr_array:
        return self.populations.matrix()

    @property
    def known(self) -> bool:
        """Whether the populations tell who hears whom."""
        return bool(self._matrix.nnz)

    def owned(self, start: Ints, stop: Ints) -> sp.csr_array:
        """Neurons of stretches of tiles: (piece, population) float64, sparse."""
        end = np.minimum(stop * TILE, self.populations.n_neurons)
        return overlap(self.populations, start * TILE, end)

    def drawn(self, owned: sp.csr_array) -> sp.csr_array:
        """Times that pieces draw each source: (piece, population) float64, sparse."""
        degree = sp.diags_array(self.populations.degree.astype(np.float64))
        drawn = sp.csr_array(owned @ degree @ self._matrix)
        drawn.sort_indices()
        drawn.data /= self.size[drawn.indices]
        return drawn

    def profiles(self, start: Ints, stop: Ints) -> list[Profile]:
        """Profile of each of some stretches of tiles."""
        owned = self.owned(start, stop)
        drawn, found = self.drawn(owned), []
        for i in range(start.size):
            has = slice(*owned.indptr[i : i + 2])
            hears = slice(*drawn.indptr[i : i + 2])
            population = np.union1d(owned.indices[has], drawn.indices[hears]).astype(np.int64)
            times, neurons = np.zeros((2, population.size), np.float32)
            times[np.searchsorted(population, drawn.indices[hears])] = drawn.data[hears]
            neurons[np.searchsorted(population, owned.indices[has])] = owned.data[has]
            found.append(Profile(population, times, neurons))
        return found

    def pieces(self, n_blocks: int) -> tuple[Ints, Ints]:
        """Cut the tiles into pieces, at the bounds of voxels where there is a choice.

        Returns
        -------
        start, stop : (piece,) int64
            Tiles.
        """
        most = -(-self.n_tiles // (n_blocks * PIECES))
        voxel = self.populations.voxel
        begin = self.populations.first[np.concatenate([[True], np.diff(voxel) != 0])]
        bound = np.unique(np.append(np.rint(begin / TILE), [0, self.n_tiles])).astype(np.int64)
        kept = [0]
        for here, following in zip(bound[1:-1].tolist(), bound[2:].tolist(), strict=True):
            if following - kept[-1] > most:  # the voxel after this bound would not fit
                kept.append(here)
        edge = np.append(kept, self.n_tiles)
        count = -(-np.diff(edge) // most)
        width, whole = np.repeat(np.diff(edge), count), np.repeat(count, count)
        inside = np.arange(whole.size) - np.repeat(np.cumsum(count) - count, count)
        start = np.repeat(edge[:-1], count) + inside * width // whole
        return start, np.append(start[1:], self.n_tiles)

    def ties(self, start: Ints, stop: Ints) -> sp.csr_array:
        """How much each pair of pieces is tied: (piece, piece) float64, sparse and symmetric.

        The neurons of one that the other hears, both ways; only the strongest ties of each.
        """
        owned = self.owned(start, stop)
        hears = self.drawn(owned)
        hears.data = -np.expm1(-hears.data)
        both = sp.csr_array(hears @ owned.T.tocsr())
        both = sp.csr_array(both + both.T)
        both.setdiag(0.0)
        both.eliminate_zeros()
        row = np.repeat(np.arange(start.size), np.diff(both.indptr))
        order = np.lexsort((both.indices, -both.data, row))
        kept = order[np.arange(order.size) - both.indptr[row] < NEIGHBOURS]
        strong = sp.csr_array((both.data[kept], (row[kept], both.indices[kept])), shape=both.shape)
        ties = sp.csr_array(strong.maximum(strong.T))
        ties.sort_indices()
        return ties
