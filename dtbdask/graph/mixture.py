"""Who hears whom, in two steps: from the own voxel, or from a slot of another voxel.

The shares of the in-edges of all populations form a matrix of populations by populations. For
22,703 voxels of ten populations it would have some 10^9 entries. But the outside of a voxel is the
same for all its populations, so two small tables are enough: each population has *terms*, and a
term is either one population of its voxel, or a slot of whichever voxel the *far* table of its
voxel gives. Row = target, column = source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRETCH = 1 << 22
"""Entries of far tables that are looked at together."""


def _no_delay() -> NDArray[np.uint16]:
    return np.zeros(0, np.uint16)


@dataclass(frozen=True)
class Mixture:
    """Shares of the in-edges of each population.

    Attributes
    ----------
    indptr : (population_edge,) int64
        Terms of each population.
    source : (term,) int32
        Source population; with a far table, the place among those of the voxel it gives.
    table : (term,) int32
        Far table of the term, or -1 for none.
    share : (term,) float64
        Those of a population add up to one.
    far_indptr : (table_edge,) int64
        Entries of each far table.
    far_population : (far,) int32
        First population of a source voxel, ascending within a table.
    far_share : (far,) float64
        Those of a table add up to one.
    far_delay : (far,) uint16
        Axonal delay in steps; empty where all are one step.
    """

    indptr: Ints
    source: NDArray[np.int32]
    table: NDArray[np.int32]
    share: Floats
    far_indptr: Ints
    far_population: NDArray[np.int32]
    far_share: Floats
    far_delay: NDArray[np.uint16] = field(default_factory=_no_delay)

    @classmethod
    def direct(cls, matrix: sp.csr_array) -> Mixture:
        """Of a matrix of shares (population, population), without far tables."""
        matrix = sp.csr_array(matrix)
        matrix.eliminate_zeros()
        matrix.sort_indices()
        return cls(
            matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32),
            np.full(matrix.nnz, -1, np.int32), matrix.data.astype(np.float64),
            np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0),
        )  # fmt: skip

    @property
    def n_populations(self) -> int:
        """Number of populations."""
        return self.indptr.size - 1

    @property
    def population(self) -> Ints:
        """Population of each term: (term,) int64."""
        return np.repeat(np.arange(self.n_populations), np.diff(self.indptr))

    def matrix(self) -> sp.csr_array:
        """All shares: (population, population) float64, sparse CSR."""
        whole = self._direct()
        for terms, tables in self._far():
            whole = whole + terms @ tables
        whole = sp.csr_array(whole)
        whole.sort_indices()
        return whole

    def pull(self, weight: Floats) -> Floats:
        """Product of weights with the matrix, which is not made.

        Parameters
        ----------
        weight : (..., population) float64

        Returns
        -------
        (..., population) float64
        """
        rows = np.reshape(weight, (-1, self.n_populations))
        pulled = rows @ self._direct()
        for terms, tables in self._far():
            pulled = pulled + (rows @ terms) @ tables
        result: Floats = np.asarray(pulled).reshape(np.shape(weight))
        return result

    def push(self, value: Floats, *, support: bool = False) -> Floats:
        """Product of the matrix, or of its support, with a value of each source.

        Parameters
        ----------
        value : (population,) float64
        support : bool
            Take each entry as one.

        Returns
        -------
        (population,) float64
        """
        weight = np.ones_like(self.share) if support else self.share
        each, near = np.zeros(self.share.size), self.table < 0
        each[near] = weight[near] * value[self.source[near]]
        for place in np.unique(self.source[~near]):
            at, of = ~near & (self.source == place), self._at(int(place))
            at_place = partial(_weighted, value, of, None if support else self.far_share)
            each[at] = weight[at] * self._per_table(np.add, at_place)[self.table[at]]
        pushed = np.bincount(self.population, weights=each, minlength=self.n_populations)
        return pushed.astype(np.float64)

    def crowding(self, size: Ints) -> Floats:
        """Largest share of a single neuron in a population's in-edges: (population,) float64.

        Parameters
        ----------
        size : (population,) int64
            Neurons that each population offers to others.
        """
        each = np.zeros(self.share.size)
        near = self.table < 0
        own = self.source[near] == self.population[near]
        each[near] = self.share[near] / np.maximum(size[self.source[near]] - own, 1)
        for place in np.unique(self.source[~near]):
            at, of = ~near & (self.source == place), self._at(int(place))
            at_place = partial(_weighted, 1 / np.maximum(size, 1), of, self.far_share)
            each[at] = self.share[at] * self._per_table(np.maximum, at_place)[self.table[at]]
        if not each.size:
            return np.zeros(self.n_populations)
        most: Floats = np.maximum.reduceat(each, self.indptr[:-1])
        return most

    def _per_table(self, reduce: np.ufunc, entry: Callable[[slice], Floats]) -> Floats:
        """A reduction of the entries of each far table, a stretch of them at a time."""
        n_tables = self.far_indptr.size - 1
        found, table = np.empty(n_tables), 0
        while table < n_tables:
            low = self.far_indptr[table]
            stop = int(np.searchsorted(self.far_indptr, low + STRETCH, side="right")) - 1
            stop = min(max(stop, table + 1), n_tables)
            starts = self.far_indptr[table:stop] - low
            found[table:stop] = reduce.reduceat(entry(slice(low, self.far_indptr[stop])), starts)
            table = stop
        return found

    def _at(self, place: int) -> NDArray[np.int32]:
        """Population of each far entry at a place; any, where its voxel has no such place.

        No term leads to that: far tables are of voxels of one kind.
        """
        last = np.int32(self.n_populations - 1)
        found: NDArray[np.int32] = np.minimum(self.far_population + np.int32(place), last)
        return found

    def _direct(self) -> sp.csr_array:
        n, near = self.n_populations, self.table < 0
        at = (self.population[near], self.source[near])
        return sp.csr_array((self.share[near], at), shape=(n, n))

    def _far(self) -> list[tuple[sp.csr_array, sp.csr_array]]:
        """For each place in a voxel: shares of the tables, and the tables at that place."""
        n, n_tables, owner = self.n_populations, self.far_indptr.size - 1, self.population
        pairs = []
        for place in np.unique(self.source[self.table >= 0]):
            at = (self.table >= 0) & (self.source == place)
            terms = sp.csr_array((self.share[at], (owner[at], self.table[at])), shape=(n, n_tables))
            columns = self._at(int(place))
            tables = sp.csr_array((self.far_share, columns, self.far_indptr), shape=(n_tables, n))
            pairs.append((terms, tables))
        return pairs


def _weighted(value: Floats, of: NDArray[np.int32], share: Floats | None, entry: slice) -> Floats:
    """Value of the population of each entry, times its share if there are shares."""
    found = value[of[entry]]
    return found if share is None else found * share[entry]
