"""Bytes of memory from sizes alone: of a build, and of blocks while they load and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask import config
from dtbdask.graph.network import BYTES_PER_SYNAPSE
from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.planning.audience import Audience
from dtbdask.kernels import N_COEFFICIENTS, cuda
from dtbdask.rng import TILE

Floats = NDArray[np.float64]

CHUNK = 1 << 20
"""Synapses that a part handles at once while it loads, as in `dtbdask.sim.edges`."""
PACKED_TARGETS = 1 << 24
"""Largest block whose targets share a word with a weight, as in `dtbdask.sim.edges`."""
CONCURRENT = 10
"""Chunks that Zarr decodes at once."""
GROWN = 1.5
"""Room for what a block meets, over what it needs: it doubles, so 1 to 2."""
DEVICE_KICK = 4
"""Bytes of the kicks of a neuron, where the largest sums of its weights have 32 bits together."""
LITTLE = 4_000_000
"""Bytes that any build takes."""
BYTES_PER_TASK = 7_000
"""Of Dask, for each chunk to be written."""
DECODED, DECODED_WEIGHT = 1.55, 2.0
"""Bytes held for a byte of sources, or of weights, that is decoded: it and its compressed form."""


@dataclass(frozen=True)
class Run:
    """How a network is to be run.

    Attributes
    ----------
    threads : int
        Of a block.
    members : int
        Ensemble members that a block holds.
    dtype : {"float32", "float64"}
        Of the state.
    device : {"cpu", "cuda"}
        Whose memory is told.
    """

    threads: int = 1
    members: int = 1
    dtype: str = "float32"
    device: str = "cpu"

    @property
    def itemsize(self) -> int:
        """Bytes of a number of the state."""
        return np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Footprint:
    """Bytes of memory of each block: (block,) float64.

    Attributes
    ----------
    edges
        Targets and weights.
    rows
        Where the edges of each own and foreign source begin, and their delays.
    state
        Of the neurons of all members, with the lists of those that fired and the kicks of as many
        steps as the longest delay has.
    tables
        Populations, recipe, parameters and coefficients.
    peers
        Which of its neurons each other block hears.
    window
        Spike counts of an epoch.
    everyone
        For all neurons of the network, whatever the block: where their tiles are.
    loading
        Most while the block is made.
    """

    edges: Floats
    rows: Floats
    state: Floats
    tables: Floats
    peers: Floats
    window: Floats
    everyone: Floats
    loading: Floats

    @property
    def held(self) -> Floats:
        """Bytes of a block that is loaded."""
        return self.edges + self.rows + self.state + self.tables

    @property
    def running(self) -> Floats:
        """Bytes that a run adds."""
        return self.peers + self.window

    @property
    def need(self) -> Floats:
        """Bytes that its worker must have."""
        return np.maximum(self.loading, self.held + self.running)


def footprint(anatomy: Anatomy, audience: Audience, n_blocks: int, run: Run) -> Footprint:
    """Bytes of blocks.

    Parameters
    ----------
    anatomy : Anatomy
    audience : Audience
        What the blocks own and hear.
    n_blocks : int
        Of the session; the audience may be that of some of them.
    run : Run
    """
    if run.device == "cuda":
        return _on_device(anatomy, audience, run)
    n, foreign, members = audience.neurons, audience.foreign, run.members
    sources, parts = n + foreign, run.threads
    kick = _kick_bytes(anatomy)
    packed = (anatomy.weight_bytes == 1) & (not anatomy.paired) & (n <= PACKED_TARGETS)
    weights = np.where(packed, 0, (1 + anatomy.paired) * anatomy.weight_bytes)
    edges = audience.synapses * (4 + weights)
    rows = 8 * parts * (sources + 1) + sources + 8 * foreign + _delaying(anatomy, n, sources)
    numbers = 2 + sum(anatomy.receptors) + anatomy.currents
    lists = 8 * n + 4 * anatomy.populations
    state = members * (n * (run.itemsize * numbers + 2 + 2 * kick * anatomy.delay) + lists)
    here = np.minimum(anatomy.populations, anatomy.populations * n / anatomy.neurons + 1)
    coefficients = members * anatomy.populations * N_COEFFICIENTS * run.itemsize
    own = anatomy.own * run.itemsize * n
    tables = anatomy.bytes + (8 + 8 / TILE) * n + 16 * here + coefficients + own
    window = 4 * members * anatomy.populations * int(config.get("session.window-steps"))
    divided = n_blocks > 1
    held = edges + rows + state + tables
    loading = tables + _collecting(anatomy, audience, edges, parts, packed)
    where = 16 * divided * anatomy.neurons / TILE
    return Footprint(
        edges, rows, state, tables,
        peers=divided * (8.0 * n * n_blocks + 4 * foreign + where),
        window=np.full_like(n, window),
        everyone=np.full_like(n, where + 8 * anatomy.neurons / TILE),
        loading=np.maximum(held + 16 * n, loading),
    )  # fmt: skip


def _on_device(anatomy: Anatomy, audience: Audience, run: Run) -> Footprint:
    """Bytes of blocks on CUDA devices; what the host holds beside them is not counted."""
    n, members, none = audience.neurons, run.members, np.zeros_like(audience.neurons)
    sources = n + audience.foreign
    edge = 4 + anatomy.paired if anatomy.weight_bytes == 1 else 8 + 4 * anatomy.paired
    edges = edge * audience.synapses
    tiles = np.array([cuda.tiles(int(own), anatomy.largest_degree, cuda.CACHE) for own in n])
    rows = tiles * 4 * (sources + 1) + sources + _delaying(anatomy, n, sources)
    numbers = 2 + sum(anatomy.receptors) + anatomy.currents
    kick = DEVICE_KICK if anatomy.weight_bytes == 1 and not anatomy.paired else 8
    counts = 4 * anatomy.populations * int(config.get("session.window-steps"))
    state = members * n * (run.itemsize * numbers + 2 + kick * anatomy.delay + 4) + n / 8
    coefficients = members * anatomy.populations * N_COEFFICIENTS * run.itemsize
    tables = anatomy.bytes + 32 * n / TILE + coefficients + anatomy.own * run.itemsize * n
    counting = tiles * 4 * anatomy.neurons + anatomy.neurons  # of every source of the network
    return Footprint(
        edges, rows, state, tables, peers=none, window=np.full_like(n, members * counts),
        everyone=none, loading=edges + rows + counting,
    )  # fmt: skip


def _delaying(anatomy: Anatomy, n: Floats, sources: Floats) -> Floats:
    """Bytes that tell the delays: a list for each source, and two runs for each tract at most."""
    tracts = anatomy.far * n / anatomy.neurons
    return (4 * sources + 2 * 6 * tracts) * (anatomy.delay > 1)


def _kick_bytes(anatomy: Anatomy) -> int:
    """Bytes of the integer that no kick can overflow."""
    if anatomy.weight_bytes > 1:
        return 8 if anatomy.paired else 4
    narrow = anatomy.largest_degree * 255 < 2**16
    return (2 if narrow else 4) * (1 + anatomy.paired)


def _collecting(
    anatomy: Anatomy, audience: Audience, edges: Floats, parts: int, packed: NDArray[np.bool_]
) -> Floats:
    """Most bytes while the edges of a block are put in the order of their sources."""
    n, foreign, met = audience.neurons, audience.foreign, audience.met
    sources = n + foreign
    of_part = audience.synapses / parts
    most = CHUNK * (audience.synapses / n) / max(anatomy.largest_degree, 1)
    stretch = np.minimum(most, of_part)  # of as many neurons as the largest in-degree allows
    once = (of_part <= most) & (parts == 1)
    slots = np.where(met <= n, n, np.maximum(2 * n, np.where(once, met, GROWN * met)))
    fixed = 8 * anatomy.neurons / TILE + 8 * n  # tiles, own neurons
    counts = fixed + 4 * parts * slots
    counting = counts + parts * _reading(anatomy, audience, stretch, of_part, weights=False)
    listing = counts + 10 * met + 8 * foreign
    rows = 8 * foreign + (16 + 8 * parts) * sources  # foreign, order, slots, where rows begin
    ordering = counts + rows + 4 * (met + sources)
    typing = fixed + rows + 17 * sources
    sorting = np.where(packed, 8, 8 + 2 * anatomy.weight_bytes) * np.minimum(CHUNK, of_part)
    sorting += 9 * met + _reading(anatomy, audience, stretch, of_part, weights=True)
    filled = fixed + rows - 8 * (n + sources)  # own neurons and order are forgotten
    placing = filled + sources + edges + parts * sorting
    return np.maximum.reduce(  # type: ignore[no-any-return]
        [counting, listing, ordering, typing, placing]
    )


def _reading(
    anatomy: Anatomy, audience: Audience, stretch: Floats, of_part: Floats, *, weights: bool
) -> Floats:
    """Bytes of a stretch that is used, of the next, of a chunk kept, and of what Zarr decodes."""
    pair = 2 * anatomy.weight_bytes
    following = np.clip(of_part - stretch, 0, stretch)
    if not anatomy.chunk:
        made: Floats = (4 + pair) * (stretch + following)
        return made
    chunk = min(anatomy.chunk, anatomy.synapses)
    offset = audience.block * audience.synapses.mean() % chunk
    rest = -(offset + stretch) % chunk  # of the chunk that the first stretch ends in
    pair *= weights
    first, both = stretch + chunk, stretch + following + chunk
    sources = _decoded(stretch, chunk, DECODED * 4)
    others = _decoded(stretch, chunk, DECODED_WEIGHT * pair)
    at_first = np.maximum(4 * first + sources, (4 + pair) * first + others)
    later = (4 + pair) * both + np.maximum(sources, others) * (following > rest)
    needed: Floats = np.maximum(at_first, later)
    return needed


def _decoded(read: Floats, chunk: int, each: float) -> Floats:
    """Bytes that Zarr holds while it decodes, of as many chunks at once as lie in what is read."""
    whole = np.floor(np.minimum(read, CONCURRENT * chunk) / chunk)
    held: Floats = np.maximum(whole, 1) * chunk * each
    return held


def growth(anatomy: Anatomy, threads: int) -> int:
    """Bytes that a process gains at most while it builds, threads of its own doing the work.

    A thread holds a chunk and what it is packed into; so do, after use, Zarr's threads, by way of
    the allocator. The numbers are fits to measured builds (`docs/plan.md`).

    Parameters
    ----------
    anatomy : Anatomy
    threads : int
        Chunks that are wired at once.
    """
    tables = (34 + 11 * anatomy.places) * anatomy.far + 800 * anatomy.populations
    tables += (30 + 24 * anatomy.own) * anatomy.neurons if anatomy.own else 0
    if not anatomy.chunk:
        return LITTLE + tables
    chunk = BYTES_PER_SYNAPSE * min(anatomy.chunk, anatomy.synapses)
    n_chunks = anatomy.synapses / anatomy.chunk
    at_once = 1.3 * min(threads, max(n_chunks, 1)) - 0.5
    kept = 0.7 * np.log(np.clip(n_chunks, 1, 32))
    packing = chunk * max(3.0, at_once + kept)
    writing = packing + BYTES_PER_TASK * n_chunks + 0.8 * tables
    return LITTLE + int(max(tables, writing))
