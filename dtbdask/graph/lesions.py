"""Lesions: a network whose connections between chosen populations are scaled, and nothing copied.

A weight is that of the intact network times the scales of all lesions that it lies in, which are
multiplied first, rounded once, half to even, to the integers that weights are. So a lesion of scale
one changes nothing, the order of lesions does not matter, and 0.5 of a weight of 3/255 is 2/255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.network import Network, open_network
from dtbdask.graph.population import Populations
from dtbdask.graph.selection import choose_populations, tell
from dtbdask.graph.synapses import FromRecipe, Held, Imported, Range, Synapses
from dtbdask.graph.wiring import InEdges

if TYPE_CHECKING:
    import dask.array as da

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Weights = NDArray[np.unsignedinteger]

STRETCH = 1 << 20
"""Neurons whose first synapses are read together."""


@dataclass(frozen=True)
class Lesion:
    """What is scaled.

    Attributes
    ----------
    source, target : (population,) bool
    scale : float
        0 removes the connections, 1 leaves them as they are.
    told : mapping
        What the attributes of the network say of it.
    """

    source: Bools
    target: Bools
    scale: float
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Lesioned:
    """Synapses of another network with some weights scaled.

    Attributes
    ----------
    intact : Synapses
    populations : Populations
    lesions : tuple of Lesion
    """

    intact: Synapses
    populations: Populations
    lesions: tuple[Lesion, ...]

    @property
    def n_synapses(self) -> int:
        """Number of synapses; those of weight zero are among them."""
        return self.intact.n_synapses

    @property
    def largest_degree(self) -> int:
        """Largest in-degree."""
        return self.intact.largest_degree

    @property
    def weight_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the weights."""
        return self.intact.weight_dtype

    @property
    def weight_scale(self) -> float:
        """Weight of integer 1."""
        return self.intact.weight_scale

    def in_edges(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        return self._scaled(self.intact.in_edges(start, stop), start, stop)

    def forward(self, *, weights: bool) -> Range:
        """The same as a function for ascending ranges."""
        read = self.intact.forward(weights=weights)
        if not weights:
            return read
        return lambda start, stop: self._scaled(read(start, stop), start, stop)

    def lazy(self, source: da.Array, weight: da.Array) -> da.Array:
        """Scaled weights of all synapses, from those of the intact network: lazy Dask arrays."""
        import dask.array as da

        synapse = da.arange(source.shape[0], chunks=source.chunks[0], dtype=np.int64)
        scaled: da.Array = da.blockwise(
            self.of_synapses(), "sp", source, "s", weight, "sp", synapse, "s", dtype=weight.dtype
        )
        return scaled

    def of_synapses(self) -> Callable[[Any, Weights, Ints], Weights]:
        """A function of sources, weight pairs and numbers of synapses: their scaled weights."""
        return partial(_of_synapses, self._scales, self._first_synapse())

    def _first_synapse(self) -> Ints:
        """First synapse of the neurons of each population: (population,) int64."""
        first = self.populations.first
        if isinstance(self.intact, FromRecipe):
            return self.intact.recipe.first_synapse[:-1]
        if isinstance(self.intact, Held):
            return self.intact.edges.indptr[first]
        assert isinstance(self.intact, Imported)
        group, n, parts = (
            zarr.open_group(self.intact.path, mode="r"),
            self.populations.n_neurons,
            [],
        )
        for start in range(0, n, STRETCH):
            stop = min(start + STRETCH, n)
            low, high = np.searchsorted(first, [start, stop])
            indptr = schema.read(group, "synapse/indptr", start, stop)
            parts.append(indptr[first[low:high] - start])
        return np.concatenate(parts)

    @cached_property
    def _scales(self) -> _Scales:
        return _Scales(self.populations.first, self.lesions)

    def _scaled(self, edges: InEdges, start: int, stop: int) -> InEdges:
        scales = self._scales
        low, high = _population(scales.first, np.array([start, max(start, stop - 1)]))
        if not scales.target[low : high + 1].any():
            return edges
        target = np.repeat(self.populations.population_of(start, stop), np.diff(edges.indptr))
        return replace(edges, weight=scales.weights(edges.source, edges.weight, target))


@dataclass(frozen=True)
class _Scales:
    """How lesions scale a weight, by the populations of its source and target.

    Attributes
    ----------
    first : (population,) int64
        First neuron of each.
    lesions : tuple of Lesion
    """

    first: Ints
    lesions: tuple[Lesion, ...]

    @cached_property
    def target(self) -> Bools:
        """Populations that hear less through some lesion: (population,) bool."""
        hears_less = np.zeros(self.first.size, bool)
        for lesion in self.lesions:
            hears_less |= lesion.target & (lesion.scale < 1)
        return hears_less

    def weights(self, source: Any, weight: Weights, target: Ints) -> Weights:
        """Scaled weights, in an array of their own; `target` is of populations."""
        at = np.flatnonzero(self.target[target])
        there, of = target[at], _population(self.first, source[at])
        scale = np.ones(at.size)
        for lesion in self.lesions:
            scale[lesion.target[there] & lesion.source[of]] *= lesion.scale
        made = weight.copy()
        made[at] = np.rint(weight[at] * scale[:, None]).astype(weight.dtype)
        return made


def _of_synapses(
    scales: _Scales, first_synapse: Ints, source: Any, weight: Weights, synapse: Ints
) -> Weights:
    return scales.weights(source, weight, _population(first_synapse, synapse))


def intact(synapses: Synapses) -> Synapses:
    """Synapses without lesions."""
    return synapses.intact if isinstance(synapses, Lesioned) else synapses


def lesioned(
    network: Network, source: str | ArrayLike | None, target: str | ArrayLike | None, scale: float
) -> Network:
    """The network with some connections scaled; see `dtbdask.graph.network.Network.lesioned`."""
    try:
        factor = float(scale)
    except (TypeError, ValueError):
        factor = np.nan
    if not 0 <= factor <= 1:
        raise InputError(f"scale is {scale!r}; expected a number from 0 (removed) to 1 (intact)")
    told = {"source": tell(source), "target": tell(target), "scale": factor}
    lesion = Lesion(_mask(network, source), _mask(network, target), factor, told)
    return _with(network, (lesion,))


def reopened(path: str, lesions: tuple[Lesion, ...]) -> Network:
    """A stored network with lesions, as it was before it travelled."""
    return _with(open_network(path), lesions)


def _with(network: Network, lesions: tuple[Lesion, ...]) -> Network:
    if isinstance(network.wiring, Lesioned):
        lesions = (*network.wiring.lesions, *lesions)
    wiring = Lesioned(intact(network.wiring), network.populations, lesions)
    told = [dict(lesion.told) for lesion in lesions]
    return replace(network, wiring=wiring, attributes={**network.attributes, "lesions": told})


def _mask(network: Network, chosen: str | ArrayLike | None) -> Bools:
    mask = np.zeros(network.populations.size.size, bool)
    mask[choose_populations(network, chosen)] = True
    return mask


def _population(first: Ints, number: Any) -> Ints:
    """Population of each neuron, or synapse, of populations that begin at `first`."""
    found: Ints = np.searchsorted(first, number, side="right") - 1
    return found
