"""The recipe of the synapses: a pure function from a range of neurons to their in-edges.

Stored equals procedural: the synapses of a neuron follow from the seed, the populations and nothing
else, so they may be written to disk or made again where they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.population import Populations

Ints = NDArray[np.int64]
Alias = tuple[NDArray[np.uint32], NDArray[np.int32]]


@dataclass(frozen=True)
class InEdges:
    """In-edges of consecutive neurons, by target.

    Attributes
    ----------
    indptr : (target_edge,) int64
        First synapse of each target, from 0.
    source : (synapse,) uint32
        Global index of the source neuron.
    weight : (synapse, pair) uint8 or uint32
        Weight pair.
    """

    indptr: Ints
    source: NDArray[np.uint32]
    weight: NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Recipe:
    """All that the wiring depends on; small, and it pickles.

    Attributes
    ----------
    seed : int
        Seed of the network.
    first, size : (population,) int64
    degree : (population,) int32
    mixture : Mixture
        Shares of the in-edges of each population.
    near, far : (threshold, other) of (term,) and of (far,) uint32 and int32
        Alias tables of the terms of the populations and of the far tables.
    weights : (int, int)
        Smallest and largest weight, 0 to 255.
    """

    seed: int
    first: Ints
    size: Ints
    degree: NDArray[np.int32]
    mixture: Mixture
    near: Alias
    far: Alias
    weights: tuple[int, int] = (0, 255)

    @classmethod
    def make(
        cls, populations: Populations, seed: int, weights: tuple[int, int] = (0, 255)
    ) -> Recipe:
        """Recipe of populations.

        Parameters
        ----------
        populations : Populations
            Feasible ones.
        seed : int
            0 to 2^64 - 1.
        weights : (int, int)
            Smallest and largest weight in 1/255, between which they are uniform.
        """
        seed = whole_number("seed", seed, 0, 2**64 - 1)
        if np.shape(weights) != (2,):
            raise InputError(f"weights is {weights!r}; expected (smallest, largest), 0 to 255")
        low = whole_number("weights[0]", weights[0], 0, 255)
        high = whole_number("weights[1]", weights[1], low, 255)
        mixture = populations.mixture
        return cls(
            seed, populations.first, populations.size, populations.degree, mixture,
            _alias(mixture.indptr, mixture.share), _alias(mixture.far_indptr, mixture.far_share),
            (low, high),
        )  # fmt: skip

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(self.size.sum())

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.first_synapse[-1])

    @cached_property
    def first_synapse(self) -> Ints:
        """First synapse of each population, and the number of all: (population_edge,) int64."""
        return np.concatenate([[0], np.cumsum(self.size * self.degree)]).astype(np.int64)

    def synapse_of(self, neuron: Ints) -> Ints:
        """First synapse of each neuron.

        Parameters
        ----------
        neuron : (neuron,) int64
            Global indices, up to the number of neurons itself.

        Returns
        -------
        (neuron,) int64
        """
        p = np.minimum(np.searchsorted(self.first, neuron, side="right") - 1, self.size.size - 1)
        return self.first_synapse[p] + (neuron - self.first[p]) * self.degree[p]

    def neuron_of(self, synapse: int) -> int:
        """Neuron that a synapse ends on."""
        p = int(np.searchsorted(self.first_synapse, synapse, side="right")) - 1
        return int(self.first[p] + (synapse - self.first_synapse[p]) // self.degree[p])

    def wire(self, start: int, stop: int) -> InEdges:
        """In-edges of the neurons `start` to `stop`."""
        from dtbdask.kernels import cpu

        indptr = self.synapse_of(np.arange(start, stop + 1))
        indptr -= indptr[0]
        source = np.empty(indptr[-1], np.uint32)
        weight = np.empty((indptr[-1], 2), np.uint8)
        key = np.array(rng.split_seed(self.seed), np.uint32)
        m = self.mixture
        cpu.wire(
            source, weight, start, stop, self.first, self.size, self.degree,
            (m.indptr, m.source, m.table, *self.near), (m.far_indptr, m.far_population, *self.far),
            *self.weights, key,
        )  # fmt: skip
        return InEdges(indptr, source, weight)

    def synapses(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.unsignedinteger]]:
        """Source and weight pair of the synapses `start` to `stop`, in target order."""
        low, high = self.neuron_of(start), self.neuron_of(stop - 1) + 1
        edges = self.wire(low, high)
        skip = start - int(self.synapse_of(np.array([low]))[0])
        return edges.source[skip : skip + stop - start], edges.weight[skip : skip + stop - start]


def _alias(indptr: Ints, share: NDArray[np.float64]) -> Alias:
    from dtbdask.kernels import cpu

    threshold, other = np.empty(share.size, np.uint32), np.empty(share.size, np.int32)
    cpu.alias(indptr, share, threshold, other)
    return threshold, other
