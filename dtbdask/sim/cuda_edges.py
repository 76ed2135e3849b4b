"""The edges of a block on a device, in tiles of targets, by source row.

Two passes over the in-edges: they are counted, then put into their rows. A network without a store
is wired on the device in both; any other is read from where it is, twice. Targets are cut into
tiles whose kicks stay in the device's cache while a step delivers to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.errors import CapacityError
from dtbdask.graph.network import Network
from dtbdask.graph.ranges import spread
from dtbdask.graph.synapses import Procedural
from dtbdask.graph.wiring import Recipe
from dtbdask.kernels import Features, cuda, cuda_memory
from dtbdask.sim.edges import columns, kick_dtype

Ints = NDArray[np.int64]

CHUNK = 1 << 24
"""Synapses of a stretch that is read and sent to the device."""
SHARED_BYTES = 96 << 10
"""Shared memory of a block of threads that wires."""
MOST_SHARED_BYTES = 200 << 10
"""Shared memory that a target may take; one with more sources is wired on the host."""


@dataclass(frozen=True)
class CudaEdges:
    """Edges that end in a block, on the device.

    Attributes
    ----------
    indptr : (tile, row_edge) uint32
        Edges of a row in a tile, from the first edge of the tile.
    first : (tile,) uint64
        First edge of each tile.
    target : (edge,) uint32
        Target neuron in the tile; with an 8-bit weight below it where weights have 8 bits.
    weight : (edge,) uint8 or (edge, pair) uint32, or None
        Second weights, or all of them.
    inhibitory : (row,) uint8
    heard : (foreign,) int64
        On the host: global indices of the foreign neurons, in the order of their rows.
    tile_size : int
    most : (receptor,) int
        Largest sum of the weights that end on one neuron.
    longest : int
        Edges of the longest row in a tile.
    n_long : int
        Rows in tiles that have more edges than a warp delivers.
    packed : bool
        Weights have 8 bits.
    kick_dtype : dtype
        Of kicks at rest: that of a block on the host.
    """

    indptr: Any
    first: Any
    target: Any
    weight: Any
    inhibitory: Any
    heard: Ints
    tile_size: int
    most: tuple[int, ...]
    longest: int
    n_long: int
    packed: bool
    kick_dtype: np.dtype[np.unsignedinteger]

    def struct(self) -> Any:
        """What kernels take."""
        return cuda.filled(
            cuda.EDGES, indptr=self.indptr, first=self.first, target=self.target,
            weight=0 if self.weight is None else self.weight, inhibitory=self.inhibitory,
            n_rows=self.indptr.shape[1] - 1, n_tiles=self.indptr.shape[0],
            tile_size=self.tile_size, longest=self.longest,
        )  # fmt: skip


def collect(network: Network, ranges: Ints, features: Features) -> CudaEdges:
    """Edges that end in the neurons of some ranges.

    Parameters
    ----------
    network : Network
    ranges : (range, 2) int64
        Of global indices, ascending: the neurons of the block.
    features : Features
        Receptors that are on: weights of the others are dropped.

    Raises
    ------
    CapacityError
        The device has too little free memory, or a tile too many edges to be counted.
    """
    cp: Any = cuda.load_cupy()
    populations, n = network.populations, int((ranges[:, 1] - ranges[:, 0]).sum())
    packed = network.wiring.weight_dtype == np.uint8
    tile_size = _tile_size(n, network.wiring.largest_degree)
    tiles = [(low, min(low + tile_size, n)) for low in range(0, n, tile_size)]
    size, inhibits = populations.size, (~populations.excitatory).astype(np.uint8)
    inhibitory = cp.asarray(np.repeat(inhibits, size))
    cursor = cp.zeros((len(tiles), network.n_neurons), np.uint32)
    most = cp.zeros(4, np.uint64)
    source = _source(network, features, inhibitory)
    for tile, count in zip(tiles, cursor, strict=True):
        source.pass_over(_pieces(ranges, tile), "tally", cursor=count, most=most)
    whole = n == network.n_neurons
    own = np.zeros(0, np.int64) if whole else spread(ranges)
    heard = np.zeros(0, np.int64) if whole else _heard(cursor, own)
    rows = slice(None) if whole else cp.asarray(np.concatenate([own, heard]))
    indptr = cp.zeros((len(tiles), n + heard.size + 1), np.uint32)
    total = [int(count.sum(dtype=np.uint64)) for count in cursor]
    if max(total) >= 2**32:
        raise CapacityError(f"a tile has {max(total):,} synapses, more than {2**32 - 1:,}")
    bytes_an_edge = (4 + features.paired) if packed else 8 + 4 * features.paired
    cuda_memory.check_free(sum(total) * bytes_an_edge, "the synapses of the block")
    for edge, count in zip(indptr, cursor, strict=True):
        cp.cumsum(count[rows], dtype=np.uint32, out=edge[1:])
        count[rows] = edge[:-1]
    first = np.concatenate([[0], np.cumsum(total)])
    target = cp.empty(first[-1], np.uint32)
    weight = _weights(cp, int(first[-1]), packed=packed, paired=features.paired)
    for k, (tile, at) in enumerate(zip(tiles, cursor, strict=True)):
        place = {"target": target[first[k] :], "cursor": at}
        if weight is not None:
            place["weight"] = weight[first[k] :]
        source.pass_over(_pieces(ranges, tile), "place", **place)
    longest = [edge[1:] - edge[:-1] for edge in indptr]
    return CudaEdges(
        indptr, cp.asarray(first[:-1], np.uint64), target, weight,
        inhibitory if whole else inhibitory[rows], heard, tile_size,
        tuple(int(top) for top in most.get()),
        max(int(length.max()) for length in longest),
        sum(int((length > cuda.LONG).sum()) for length in longest),
        bool(packed), kick_dtype(network.wiring, features),
    )  # fmt: skip


def _weights(cp: Any, n: int, *, packed: bool, paired: bool) -> Any:
    """Room for the weights that do not share a word with their target."""
    if packed:
        return cp.empty(n, np.uint8) if paired else None
    return cp.empty((n, 1 + paired), np.uint32)


def _tile_size(n: int, degree: int) -> int:
    """Neurons of a tile: whole tiles of random numbers, in equal shares."""
    cp: Any = cuda.load_cupy()
    share = -(-n // cuda.tiles(n, degree, cp.cuda.Device().attributes["L2CacheSize"]))
    return -(-share // rng.TILE) * rng.TILE


def _pieces(ranges: Ints, tile: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """Global ranges of a tile, and what is taken from a global index to get that in the tile."""
    before = 0
    for low, high in ranges.tolist():
        first, last = max(tile[0], before), min(tile[1], before + high - low)
        if first < last:
            shift = low - before
            yield first + shift, last + shift, shift + tile[0]
        before += high - low


def _heard(cursor: Any, own: Ints) -> Ints:
    """Foreign neurons that have edges, ascending."""
    has_edges = cursor.any(axis=0)
    has_edges[own] = False
    heard: Ints = has_edges.nonzero()[0].get()
    return heard


def _source(network: Network, features: Features, inhibitory: Any) -> _Wired | _Read:
    """Where the in-edges come from."""
    wiring = network.wiring
    if type(wiring) is Procedural and Wirer.fits(wiring.recipe):
        return _Wired(Wirer(wiring.recipe, network.populations.excitatory), features)
    return _Read(network, features, inhibitory)


class Wirer:
    """A recipe on the device.

    Parameters
    ----------
    recipe : Recipe
    excitatory : (population,) bool
    """

    def __init__(self, recipe: Recipe, excitatory: NDArray[np.bool_]) -> None:
        cp: Any = cuda.load_cupy()
        m, widest = recipe.mixture, int(recipe.degree.max())
        capacity = 1 << (2 * widest - 1).bit_length()
        k0, k1 = rng.split_seed(recipe.seed)
        self._arrays = {
            name: cp.asarray(np.ascontiguousarray(values, kind))
            for name, values, kind in (
                ("first", recipe.first, np.int64), ("size", recipe.size, np.int64),
                ("degree", recipe.degree, np.int32), ("excitatory", excitatory, np.uint8),
                ("terms", m.indptr, np.int64), ("source", m.source, np.int32),
                ("table", m.table, np.int32), ("threshold", recipe.near[0], np.uint32),
                ("other", recipe.near[1], np.int32), ("far", m.far_indptr, np.int64),
                ("far_population", m.far_population, np.int32),
                ("far_threshold", recipe.far[0], np.uint32),
                ("far_other", recipe.far[1], np.int32),
            )
        }  # fmt: skip
        self._recipe = cuda.filled(
            cuda.RECIPE, **self._arrays, n_populations=recipe.size.size, widest=widest,
            capacity=capacity, low=recipe.weights[0], high=recipe.weights[1], k0=k0, k1=k1,
        )  # fmt: skip
        self._bytes = _shared_bytes(widest)
        self._warps = max(1, min(8, SHARED_BYTES // self._bytes))

    @staticmethod
    def fits(recipe: Recipe) -> bool:
        """Whether the shared memory of a device holds the sources of a target."""
        return _shared_bytes(int(recipe.degree.max())) <= MOST_SHARED_BYTES

    def launch(self, kernel: Any, out: Any, start: int, stop: int, *more: Any) -> None:
        """Wire the targets of a range."""
        cp: Any = cuda.load_cupy()
        shared = self._warps * self._bytes
        kernel.max_dynamic_shared_size_bytes = shared
        most = cp.cuda.Device().attributes["MultiProcessorCount"] * 32
        blocks = min(most, -(-(stop - start) // self._warps))
        arguments = (self._recipe, out, np.int64(start), np.uint32(stop - start), *more)
        kernel((blocks,), (self._warps * cuda.WARP,), arguments, shared_mem=shared)


def _shared_bytes(widest: int) -> int:
    """Shared memory of a warp that wires, as `cuda_wire.warp_memory` lays it out."""
    capacity = 1 << (2 * max(widest, 1) - 1).bit_length()
    words = 2 * capacity + 3 * widest + (3 * widest + 3) // 4
    return 4 * (words + words % 2)


class _Wired:
    """In-edges wired on the device."""

    def __init__(self, wirer: Wirer, features: Features) -> None:
        self._wirer, self._paired = wirer, features.paired
        self._column = cuda.load_cupy().asarray(columns(features), np.int32)

    def pass_over(self, pieces: Iterator[tuple[int, int, int]], work: str, **out: Any) -> None:
        """Count or place the in-edges of a tile."""
        kernel = cuda.wiring(f"wire_{work}", packed=True, paired=self._paired)
        for start, stop, shift in pieces:
            to = cuda.filled(cuda.OUT, column=self._column, shift=shift, **out)
            self._wirer.launch(kernel, to, start, stop)


class _Read:
    """In-edges read from where the network has them, a stretch at a time."""

    def __init__(self, network: Network, features: Features, inhibitory: Any) -> None:
        self._wiring, self._paired, self._inhibitory = network.wiring, features.paired, inhibitory
        self._column = cuda.load_cupy().asarray(columns(features), np.int32)
        self._stride = max(1, CHUNK // max(1, network.wiring.largest_degree))

    def pass_over(self, pieces: Iterator[tuple[int, int, int]], work: str, **out: Any) -> None:
        """Count or place the in-edges of a tile."""
        cp: Any = cuda.load_cupy()
        packed = self._wiring.weight_dtype == np.uint8
        kernel = cuda.wiring(f"given_{work}", packed=bool(packed), paired=self._paired)
        read = self._wiring.forward(weights=True)
        for start, stop, shift in pieces:
            to = cuda.filled(cuda.OUT, column=self._column, shift=shift, **out)
            for low in range(start, stop, self._stride):
                high = min(low + self._stride, stop)
                edges = read(low, high)
                on_device = [cp.asarray(a) for a in (edges.indptr, edges.source, edges.weight)]
                given = cuda.filled(
                    cuda.IN_EDGES, inhibitory=self._inhibitory,
                    **dict(zip(("indptr", "source", "weight"), on_device, strict=True)),
                )  # fmt: skip
                blocks = min(4096, -(-(high - low) // 8))
                arguments = (given, to, np.int64(low), np.uint32(high - low))
                kernel((blocks,), (8 * cuda.WARP,), arguments)
