"""Which neurons a block owns: chosen when a session starts, never stored with the network.

A block owns a union of ranges of neurons. Every range begins at a tile of random numbers, so that
one block draws each tile, and any such partition gives the same spikes; they differ in time alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError, whole_number
from dtbdask.graph.beginnings import BEGINNINGS
from dtbdask.graph.pieces import Tiles
from dtbdask.graph.placement import Placement
from dtbdask.graph.population import Populations
from dtbdask.graph.ranges import check_cover, joined, spread, tiles_of
from dtbdask.graph.traffic import RATE_HZ
from dtbdask.rng import TILE

if TYPE_CHECKING:
    from dtbdask.graph.network import Network

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = ("auto", "metis", "greedy", "contiguous")
"""How to find a partition; `auto` is `metis` where it is installed, else `greedy`."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Ranges of neurons that each block owns.

    Attributes
    ----------
    ranges : tuple of (range, 2) int64
        First neuron of each range of a block and the one after its last, ascending. They begin at
        multiples of 128, and end there or with the network; neighbours are joined.
    method : str
        How the partition was made.
    """

    ranges: tuple[Ints, ...]
    method: str = "given"

    def __post_init__(self) -> None:
        ranges = tuple(joined(b, ranges) for b, ranges in enumerate(self.ranges))
        object.__setattr__(self, "ranges", ranges)
        check_cover(ranges)

    @classmethod
    def contiguous(cls, network: Network | Populations, n_blocks: int) -> Partition:
        """One range a block, of about equal cost.

        Parameters
        ----------
        network : Network or Populations
        n_blocks : int
            At most as many as there are tiles.
        """
        populations = _populations(network)
        n_blocks = _check_blocks(populations, n_blocks)
        return cls.of_tiles(
            _contiguous(Tiles(populations, RATE_HZ), n_blocks), populations.n_neurons, "contiguous"
        )

    @classmethod
    def of_tiles(cls, owner: ArrayLike, n_neurons: int, method: str = "given") -> Partition:
        """Partition from the block of each tile of 128 neurons.

        Parameters
        ----------
        owner : (tile,) int
            Blocks from 0 on, each of them somewhere.
        n_neurons : int
            Of the network; its last tile need not be full.
        method : str
            How it was made.
        """
        block = np.asarray(owner)
        n_tiles = -(-n_neurons // TILE)
        if block.shape != (n_tiles,) or block.dtype.kind not in "iu":
            raise InputError(
                f"owner has shape {block.shape} and dtype {block.dtype}; {n_neurons:,} neurons "
                f"are {n_tiles:,} tiles of {TILE}, each with the number of a block"
            )
        if not np.array_equal(np.unique(block), np.arange(block.max() + 1)):
            raise InputError(f"owner: of the blocks 0 to {block.max()} some own no tile")
        first = np.flatnonzero(np.diff(block, prepend=-1)) * TILE
        runs = np.stack([first, np.append(first[1:], n_neurons)], axis=1)
        of = block[first // TILE]
        order = np.argsort(of, kind="stable")
        cuts = np.searchsorted(of[order], np.arange(1, block.max() + 1))
        return cls(tuple(np.split(runs[order], cuts)), method)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.ranges)

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return max(int(ranges[-1, 1]) for ranges in self.ranges)

    def owner(self, neuron: ArrayLike) -> Ints:
        """Block that owns each neuron.

        Parameters
        ----------
        neuron : (...) int
            Global indices.

        Returns
        -------
        (...) int64
        """
        return self._tables[0][self._checked(neuron) // TILE]

    def local(self, neuron: ArrayLike) -> Ints:
        """Index of each neuron in the block that owns it.

        Parameters
        ----------
        neuron : (...) int
            Global indices.

        Returns
        -------
        (...) int64
        """
        index = self._checked(neuron)
        found: Ints = self._tables[1][index // TILE] + index % TILE
        return found

    def neurons(self, block: int) -> Ints:
        """Global indices of the neurons of a block, ascending: (neuron,) int64."""
        return spread(self.ranges[whole_number("block", block, 0, self.n_blocks - 1)])

    def check(self, network: Network | Populations) -> None:
        """Refuse a network of another number of neurons."""
        if self.n_neurons != network.n_neurons:
            raise InputError(
                f"partition is one of {self.n_neurons:,} neurons, but the network has "
                f"{network.n_neurons:,}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the tables that follow from the ranges."""
        return Partition, (self.ranges, self.method)

    def __repr__(self) -> str:
        ranges = sum(map(len, self.ranges))
        return (
            f"<Partition of {self.n_neurons:,} neurons, {self.n_blocks} blocks in {ranges} ranges "
            f"({self.method})>"
        )

    def _checked(self, neuron: ArrayLike) -> Ints:
        index = np.asarray(neuron)
        if index.size and not (index.min() >= 0 and index.max() < self.n_neurons):
            raise InputError(
                f"neurons {index.min()} to {index.max()}; expected 0 to {self.n_neurons - 1}"
            )
        return index.astype(np.int64)

    @cached_property
    def _tables(self) -> tuple[Ints, Ints]:
        """Block of each tile, and the index of its first neuron there."""
        block, local = np.empty((2, -(-self.n_neurons // TILE)), np.int64)
        for b, ranges in enumerate(self.ranges):
            tiles = tiles_of(ranges)
            block[tiles] = b
            local[tiles] = np.arange(tiles.size) * TILE
        return block, local


def partition(
    network: Network | Populations, n_blocks: int, method: str = "auto", rate_hz: float = RATE_HZ
) -> Partition:
    """Partition of a network: blocks of equal cost first, with little traffic between them second.

    The same arguments give the same partition. It never causes more traffic than contiguous blocks,
    which it returns where it finds nothing better, or where nothing is known of who hears whom.

    Parameters
    ----------
    network : Network or Populations
    n_blocks : int
        At most as many as there are tiles of 128 neurons.
    method : {"auto", "metis", "greedy", "contiguous"}
        `metis` starts from METIS, which `pip install 'dtbdask[partition]'` brings, `greedy` from
        filling block after block; `auto` is `metis` where that is installed, else `greedy`.
    rate_hz : float
        At which spikes arrive: the more, the more a synapse costs beside a neuron.

    Returns
    -------
    Partition
        Its `method` says which was taken.
    """
    populations = _populations(network)
    n_blocks = _check_blocks(populations, n_blocks)
    if method not in METHODS:
        raise InputError(f"method is {method!r}; use {', '.join(METHODS)}")
    if not 0 <= rate_hz < np.inf:
        raise InputError(f"rate_hz is {rate_hz}; expected a finite rate of 0 or more")
    if method == "auto":
        method = "metis" if importlib.util.find_spec("pymetis") else "greedy"
    tiles = Tiles(populations, rate_hz)
    plain = _contiguous(tiles, n_blocks)
    owner = plain
    if n_blocks > 1 and method != "contiguous" and tiles.known:
        owner = _sought(tiles, n_blocks, BEGINNINGS[method], plain)
    if owner is plain:
        method = "contiguous"
    return Partition.of_tiles(owner, populations.n_neurons, method)


def cut(network: Network, n_blocks: int) -> Ints:
    """Bounds of contiguous blocks that may begin at any neuron, as in files of other programs.

    Populations may be split. A neuron costs one and a synapse one more.

    Parameters
    ----------
    network : Network
    n_blocks : int

    Returns
    -------
    (block_edge,) int64
        Block `b` owns the neurons `bounds[b]` to `bounds[b + 1]`.
    """
    n_blocks = whole_number("blocks", n_blocks, 1, network.n_neurons)
    populations = network.populations
    per_neuron = 1 + populations.degree.astype(np.float64)
    cost = np.concatenate([[0.0], np.cumsum(populations.size * per_neuron)])
    edges = np.append(populations.first, network.n_neurons)
    return _shares(np.interp(cost[-1] * np.arange(n_blocks + 1) / n_blocks, cost, edges))


def _populations(network: Network | Populations) -> Populations:
    return network if isinstance(network, Populations) else network.populations


def _check_blocks(populations: Populations, n_blocks: int) -> int:
    number = whole_number("blocks", n_blocks, 1)
    n_tiles = -(-populations.n_neurons // TILE)
    if number > n_tiles:
        raise InputError(
            f"blocks is {number:,}; expected 1 to {n_tiles:,}: a block owns whole tiles of {TILE} "
            f"neurons, and there are {populations.n_neurons:,} neurons"
        )
    return number


def _shares(bound: Floats) -> Ints:
    """Whole bounds near the wanted ones, with at least one thing between two of them."""
    bounds = np.rint(bound).astype(np.int64)
    last = bounds.size - 1
    for b in range(1, last):
        bounds[b] = max(bounds[b], bounds[b - 1] + 1)
    for b in range(last - 1, 0, -1):
        bounds[b] = min(bounds[b], bounds[b + 1] - 1)
    return bounds


def _contiguous(tiles: Tiles, n_blocks: int) -> Ints:
    """Block of each tile where blocks are contiguous: (tile,) int64."""
    before = tiles.cost_before
    share = before[-1] * np.arange(n_blocks + 1) / n_blocks
    bounds = _shares(np.interp(share, before, np.arange(before.size)))
    return np.repeat(np.arange(n_blocks), np.diff(bounds))


def _sought(tiles: Tiles, n_blocks: int, begin: Callable[..., Ints], plain: Ints) -> Ints:
    """Block of each tile, such that loads are even and traffic is little; see `partition`."""
    start, stop = tiles.pieces(n_blocks)
    ties = tiles.ties(start, stop)
    if not ties.nnz:  # nobody hears another piece
        return plain
    cost = tiles.cost_before[stop] - tiles.cost_before[start]
    placed = Placement(tiles, start, stop, begin(ties, cost, n_blocks), n_blocks)
    placed.fill()
    placed.refine(ties)
    placed.rebalance()
    edge = np.flatnonzero(np.diff(plain, prepend=-1, append=n_blocks))
    simple = Placement(tiles, edge[:-1], edge[1:], np.arange(n_blocks), n_blocks)
    return placed.owner if placed.traffic < simple.traffic else plain
