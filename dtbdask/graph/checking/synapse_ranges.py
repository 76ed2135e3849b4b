"""Synapses by their own numbers, however they are kept, and threads that work on ranges of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import dask
import numpy as np
import zarr
from dask.system import CPU_COUNT
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.graph.lesions import Lesioned, intact
from dtbdask.graph.synapses import FromRecipe, Held, Imported, Procedural, Stored, Synapses

Ints = NDArray[np.int64]
Pairs = tuple[NDArray[np.uint32], NDArray[np.unsignedinteger]]
Item = TypeVar("Item")
Result = TypeVar("Result")

STRETCH = 1 << 20
"""Synapses, or neurons, that are looked at together where nothing else decides."""


def reader(synapses: Synapses) -> Callable[[int, int], Pairs]:
    """A function from a range of synapses, in target order, to their sources and weight pairs."""
    if isinstance(synapses, Lesioned):
        return _lesioned_reader(synapses)
    if isinstance(synapses, Procedural):
        return synapses.recipe.synapses
    if isinstance(synapses, Stored | Imported):
        group = zarr.open_group(synapses.path, mode="r")
        return lambda start, stop: (
            schema.read(group, "synapse/source", start, stop),
            schema.read(group, "synapse/weight", start, stop),
        )
    assert isinstance(synapses, Held)
    edges = synapses.edges
    return lambda start, stop: (edges.source[start:stop], edges.weight[start:stop])


def _lesioned_reader(synapses: Lesioned) -> Callable[[int, int], Pairs]:
    read, of_synapses = reader(synapses.intact), synapses.of_synapses()

    def scaled(start: int, stop: int) -> Pairs:
        source, weight = read(start, stop)
        return source, of_synapses(source, weight, np.arange(start, stop))

    return scaled


def together(synapses: Synapses) -> int:
    """Synapses to read at a time: of a store whole chunks."""
    synapses = intact(synapses)
    if not isinstance(synapses, Stored | Imported):
        return STRETCH
    chunk = int(schema.array(zarr.open_group(synapses.path, mode="r"), "synapse/source").chunks[0])
    return chunk * max(1, STRETCH // chunk)


def in_degree(synapses: Synapses, start: int, stop: int) -> Ints:
    """In-degrees of the neurons `start` to `stop`: (neuron,) int64."""
    synapses = intact(synapses)
    if isinstance(synapses, FromRecipe):
        first = synapses.recipe.synapse_of(np.arange(start, stop + 1))
    elif isinstance(synapses, Imported):
        group = zarr.open_group(synapses.path, mode="r")
        first = schema.read(group, "synapse/indptr", start, stop + 1)
    else:
        assert isinstance(synapses, Held)
        first = synapses.edges.indptr[start : stop + 1]
    return np.diff(first)


def cut(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """The range `start` to `stop`, cut at the multiples of `step`."""
    while start < stop:
        end = min(stop, (start // step + 1) * step)
        yield start, end
        start = end


def over_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of a function of each item, in order; as many threads as Dask would take."""
    with ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT) as pool:
        yield from pool.map(function, items)
