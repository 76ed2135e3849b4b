"""Where in-edges come from: regenerated from the recipe, read from a store, or held in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.graph.wiring import InEdges, Recipe

if TYPE_CHECKING:
    import dask.array as da

Range = Callable[[int, int], InEdges]
"""In-edges of the neurons of a range."""


class Synapses(Protocol):
    """Anything that knows the in-edges of every neuron."""

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""

    @property
    def largest_degree(self) -> int:
        """Largest in-degree of a neuron: it bounds the kick of a step."""

    @property
    def weight_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the weights."""

    @property
    def weight_scale(self) -> float:
        """Weight of integer 1."""

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""

    def forward(self, *, weights: bool) -> Range:
        """The same as a function for one reader, who asks for ranges in ascending order.

        Nothing is read twice, whatever the ranges and the chunks; what is returned may be
        overwritten by the next call but one. Without `weights` those are not read where that saves
        time.
        """


UINT8 = np.dtype(np.uint8)
UINT8_SCALE = 1 / 255


@dataclass(frozen=True)
class FromRecipe:
    """What a recipe tells of its synapses, wherever they are kept."""

    recipe: Recipe

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.recipe.first_synapse[-1])

    @property
    def largest_degree(self) -> int:
        """Largest in-degree."""
        return int(self.recipe.degree.max())

    @property
    def weight_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the weights."""
        return UINT8

    @property
    def weight_scale(self) -> float:
        """Weight of integer 1."""
        return UINT8_SCALE


@dataclass(frozen=True)
class Procedural(FromRecipe):
    """Synapses made from the recipe whenever they are asked for."""

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        return self.recipe.wire(start, stop)

    def forward(self, *, weights: bool) -> Range:
        """The same as a function."""
        return self.in_edges


@dataclass(frozen=True)
class Stored(FromRecipe):
    """Synapses read from the `synapse` group of a network store."""

    path: str

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        return self.forward(weights=True)(start, stop)

    def forward(self, *, weights: bool) -> Range:
        """The same as a function for ascending ranges; each chunk is decoded once."""
        read = _Forward(zarr.open_group(self.path, mode="r"), weights)
        return lambda start, stop: read(self.recipe.synapse_of(np.arange(start, stop + 1)))


@dataclass(frozen=True)
class Imported:
    """Synapses read from a store that follow no recipe: in-degrees differ from neuron to neuron."""

    path: str
    n_synapses: int
    largest_degree: int
    weight_dtype: np.dtype[np.unsignedinteger]
    weight_scale: float

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        return self.forward(weights=True)(start, stop)

    def forward(self, *, weights: bool) -> Range:
        """The same as a function for ascending ranges; each chunk is decoded once."""
        group = zarr.open_group(self.path, mode="r")
        read = _Forward(group, weights)
        return lambda start, stop: read(schema.read(group, "synapse/indptr", start, stop + 1))


class _Forward:
    """In-edges of ascending ranges of neurons, whose synapses begin at `indptr` in a store."""

    def __init__(self, group: zarr.Group, weights: bool) -> None:
        self._source = _Ascending(group, "synapse/source")
        self._weight = _Ascending(group, "synapse/weight") if weights else None

    def __call__(self, indptr: NDArray[np.int64]) -> InEdges:
        low, high = int(indptr[0]), int(indptr[-1])
        source = self._source.read(low, high)
        weight = self._weight.read(low, high) if self._weight else np.empty((0, 2), np.uint8)
        return InEdges(indptr - low, source, weight)


class _Ascending:
    """Ascending ranges of an array of a store; of what is decoded beyond one, a chunk is kept.

    A range that is read is overwritten by the next but one.
    """

    def __init__(self, group: zarr.Group, name: str) -> None:
        self._group, self._name = group, name
        array = schema.array(group, name)
        self._chunk, self._size = array.chunks[0], array.shape[0]
        self._kept = np.empty((0, *array.shape[1:]), array.dtype)
        self._first, self._end = 0, 0  # of the chunk that is kept
        self._out = self._other = self._kept

    def read(self, low: int, high: int) -> Any:
        """Values of a range."""
        self._out, self._other = self._other, self._out
        if high - low > self._out.shape[0]:
            self._out = np.empty((high - low, *self._kept.shape[1:]), self._kept.dtype)
        whole = high if high == self._size else high // self._chunk * self._chunk
        at = low
        while at < high:
            if at >= self._end and at % self._chunk == 0 and at < whole:
                stop = whole  # straight to where it belongs
                schema.read(self._group, self._name, at, stop, out=self._out[at - low : stop - low])
            else:
                self._keep(at)
                stop = min(high, self._end)
                self._out[at - low : stop - low] = self._kept[at - self._first : stop - self._first]
            at = stop
        return self._out[: high - low]

    def _keep(self, at: int) -> None:
        """Have the chunk of a value."""
        if at < self._end:
            return
        self._first = at // self._chunk * self._chunk
        self._end = min(self._first + self._chunk, self._size)
        if not self._kept.size:
            self._kept = np.empty(
                (self._end - self._first, *self._kept.shape[1:]), self._kept.dtype
            )
        kept = self._kept[: self._end - self._first]
        schema.read(self._group, self._name, self._first, self._end, out=kept)


@dataclass(frozen=True)
class Held:
    """Synapses of an imported network, in memory.

    Attributes
    ----------
    edges : InEdges
        Of all neurons.
    weight_scale : float
    """

    edges: InEdges
    weight_scale: float

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.edges.indptr[-1])

    @property
    def largest_degree(self) -> int:
        """Largest in-degree."""
        return int(np.diff(self.edges.indptr).max(initial=0))

    @property
    def weight_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the weights."""
        return self.edges.weight.dtype

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        indptr = self.edges.indptr[start : stop + 1]
        low, high = indptr[0], indptr[-1]
        return InEdges(indptr - low, self.edges.source[low:high], self.edges.weight[low:high])

    def forward(self, *, weights: bool) -> Range:
        """The same as a function."""
        return self.in_edges


def lazy(recipe: Recipe, chunk: int) -> tuple[da.Array, da.Array]:
    """Source and weight of all synapses as lazy Dask arrays, regenerated chunk by chunk.

    Parameters
    ----------
    recipe : Recipe
    chunk : int
        Synapses in a chunk.

    Returns
    -------
    source : (synapse,) uint32
    weight : (synapse, pair) uint8
    """
    import dask
    import dask.array as da

    n = int(recipe.first_synapse[-1])
    made = dask.delayed(recipe, pure=True)
    sources, weights = [], []
    for start in range(0, n, chunk):
        stop = min(start + chunk, n)
        both = made.synapses(start, stop, pure=True)
        sources.append(da.from_delayed(both[0], (stop - start,), np.uint32))
        weights.append(da.from_delayed(both[1], (stop - start, 2), np.uint8))
    return da.concatenate(sources), da.concatenate(weights)


def write_chunk(path: str, recipe: Recipe, chunk: int, start: int) -> int:
    """Wire one chunk of synapses and write it: the only writer of that chunk.

    A chunk that is there already is left alone, which makes an interrupted build resumable: chunk
    files appear whole or not at all.

    Returns
    -------
    int
        Synapses in the chunk.
    """
    group = zarr.open_group(path, mode="r+")
    stop = min(start + chunk, int(recipe.first_synapse[-1]))
    if not _present(group, start // chunk):
        source, weight = recipe.synapses(start, stop)
        schema.array(group, "synapse/source")[start:stop] = source
        schema.array(group, "synapse/weight")[start:stop] = weight
    return stop - start


def _present(group: zarr.Group, index: int) -> bool:
    store: Any = group.store_path.store  # a LocalStore: networks are built on a file system
    return all(
        (store.root / group.path / name / "c" / str(index) / tail).exists()
        for name, tail in (("synapse/source", ""), ("synapse/weight", "0"))
    )
