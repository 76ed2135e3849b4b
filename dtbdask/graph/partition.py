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
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError, MissingDependencyError, whole_number
from dtbdask.graph.pieces import Tiles
from dtbdask.graph.placement import Placement
from dtbdask.graph.population import Populations
from dtbdask.graph.traffic import RATE_HZ
from dtbdask.rng import TILE

if TYPE_CHECKING:
    from dtbdask.graph.network import Network

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = ("auto", "metis", "greedy", "contiguous")
"""How to find a partition; `auto` is `metis` where it is installed, else `greedy`."""
SEED = 1
"""Of METIS, so that a partition repeats."""
UNEVEN = 10
"""Load above the mean that METIS may leave, in thousandths."""
HEAVIEST = 1000
"""Integer that METIS takes for the most costly piece."""
STRONGEST, ALL_TIES = 1e6, 2.0**30
"""Integer that METIS takes for the strongest tie, at most, and for the sum of all."""


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
        ranges = tuple(_joined(b, ranges) for b, ranges in enumerate(self.ranges))
        object.__setattr__(self, "ranges", ranges)
        _check_cover(ranges)

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
        owner = _sought(tiles, n_blocks, _BEGINNINGS[method], plain)
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


def spread(ranges: Ints) -> Ints:
    """Numbers in ranges, one after the other.

    Parameters
    ----------
    ranges : (range, 2) int64

    Returns
    -------
    (number,) int64
    """
    length = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(length) - length
    numbers: Ints = np.arange(length.sum()) + np.repeat(ranges[:, 0] - before, length)
    return numbers


def tiles_of(ranges: Ints) -> Ints:
    """Tiles in ranges of neurons that begin where a tile does: (tile,) int64."""
    return spread(np.stack([ranges[:, 0] // TILE, -(-ranges[:, 1] // TILE)], axis=1))


def _populations(network: Network | Populations) -> Populations:
    return network if isinstance(network, Populations) else network.populations


def _check_blocks(populations: Populations, n_blocks: int) -> int:
    number = whole_number("blocks", n_blocks, 1)
    n_tiles = -(-populations.n_neurons // TILE)
    if number > n_tiles:
        raise InputError(
            f"blocks is {number:,}; expected 1 to {n_tiles:,}, as {populations.n_neurons:,} "
            f"neurons are {n_tiles:,} tiles of {TILE}, which are not divided"
        )
    return number


def _joined(block: int, ranges: ArrayLike) -> Ints:
    """Ranges of a block, neighbours joined."""
    given = np.array(ranges)
    if given.ndim != 2 or given.shape[1:] != (2,) or not given.size or given.dtype.kind not in "iu":
        raise InputError(
            f"ranges of block {block} have shape {given.shape} and dtype {given.dtype}; expected "
            "whole numbers (range, 2), at least one range"
        )
    flat = given.astype(np.int64).ravel()
    if (np.diff(flat) < 0).any() or (flat[1::2] == flat[::2]).any():
        raise InputError(f"ranges of block {block} are not ascending, or one is empty")
    begins = np.append(True, flat[2::2] != flat[1:-1:2])
    return np.stack([flat[::2][begins], flat[1::2][np.append(begins[1:], True)]], axis=1)


def _check_cover(ranges: tuple[Ints, ...]) -> None:
    """Refuse blocks that leave a neuron out, share one, or divide a tile."""
    if not ranges:
        raise InputError("ranges is empty; expected those of at least one block")
    every = np.concatenate(ranges)
    every = every[np.argsort(every[:, 0])]
    wrong = np.flatnonzero(every[:, 0] != np.append(0, every[:-1, 1]))
    if wrong.size:
        at = int(wrong[0])
        before = int(every[at - 1, 1]) if at else 0
        raise InputError(
            f"ranges: one begins at neuron {every[at, 0]:,} where all before end at {before:,}; "
            "every neuron belongs to one block"
        )
    if (divided := every[every[:, 0] % TILE != 0, 0]).size:
        raise InputError(
            f"ranges: one begins at neuron {divided[0]:,}; they begin at multiples of {TILE}"
        )


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


def _metis(ties: sp.csr_array, cost: Ints, n_blocks: int) -> Ints:
    """Block of each piece from METIS (Karypis and Kumar 1998): the cut ties are weak."""
    try:
        import pymetis
    except ImportError as error:
        raise MissingDependencyError(
            "method 'metis' needs pymetis: pip install 'dtbdask[partition]', or use 'greedy'"
        ) from error
    scale = min(STRONGEST / ties.data.max(), ALL_TIES / ties.data.sum())
    _, block = pymetis.part_graph(
        n_blocks,
        pymetis.CSRAdjacency(ties.indptr.astype(np.int32), ties.indices.astype(np.int32)),
        eweights=np.maximum(1, ties.data * scale).astype(np.int32),
        vweights=np.ceil(cost / cost.max() * HEAVIEST).astype(np.int32),
        options=pymetis.Options(seed=SEED, ufactor=UNEVEN),
        recursive=False,
    )
    return np.asarray(block, np.int64)


def _greedy(ties: sp.csr_array, cost: Ints, n_blocks: int) -> Ints:
    """Block of each piece, block by block: the most costly piece left, then those tied to it."""
    block, left = np.full(cost.size, n_blocks - 1), np.ones(cost.size, np.bool_)
    for b in range(n_blocks - 1):
        room, load = cost[left].sum() / (n_blocks - b), 0.0
        tied = np.zeros(cost.size)
        while left.any():
            wish = np.where(left, tied if tied[left].any() else cost, -1)
            piece = int(wish.argmax())
            if load and load + cost[piece] / 2 > room:
                break
            block[piece], left[piece] = b, False
            load += cost[piece]
            near = slice(*ties.indptr[piece : piece + 2])
            tied[ties.indices[near]] += ties.data[near]
    return block


_BEGINNINGS: dict[str, Callable[..., Ints]] = {"metis": _metis, "greedy": _greedy}
