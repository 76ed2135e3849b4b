"""The sizes of a network that its bytes depend on, whatever the blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dtbdask.graph.delays import longest_delay
from dtbdask.graph.lesions import intact
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.planning.equal_voxels import EqualVoxels
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import Procedural
from dtbdask.kernels import RECEPTORS
from dtbdask.rng import TILE

BYTES_OF_POPULATION = 45 + 8 * len(PARAMETERS)
"""Voxel, slot, kind, size, degree, pointers, and the parameters."""
BYTES_OF_TERM, BYTES_OF_FAR = 24, 20
"""Source, table, share and alias tables."""


@dataclass(frozen=True)
class Anatomy:
    """Sizes of a network.

    Attributes
    ----------
    neurons, synapses, populations : int
    terms, tables, far : int
        Entries of its mixture.
    places : int
        Slots that send axons to other voxels.
    largest_degree : int
    receptors : four bool
        Those that are on.
    own : int
        Parameters with a value for each neuron.
    weight_bytes : int
        Of one weight.
    chunk : int
        Synapses in a chunk of the store; 0 where none are stored.
    currents : int
        Auxiliary currents that are on and have a state.
    delay : int
        The longest, steps.
    """

    neurons: int
    synapses: int
    populations: int
    terms: int
    tables: int
    far: int
    places: int
    largest_degree: int
    receptors: tuple[bool, ...]
    own: int = 0
    weight_bytes: int = 1
    chunk: int = 0
    currents: int = 0
    delay: int = 1

    @classmethod
    def of_populations(
        cls, populations: Populations, parameters: Parameters, *, own: int = 0, chunk: int = 0
    ) -> Anatomy:
        """Of known populations; `own` parameters have a value for each neuron."""
        m = populations.mixture
        return cls(
            populations.n_neurons, populations.n_synapses, populations.size.size, m.share.size,
            m.far_indptr.size - 1, m.far_share.size, np.unique(m.source[m.table >= 0]).size,
            int(populations.degree.max(initial=0)), _on(parameters), own, 1, chunk,
            _currents(parameters),
            longest_delay(populations),
        )  # fmt: skip

    @classmethod
    def of_equals(
        cls, voxels: EqualVoxels, parameters: Parameters, *, own: int = 0, chunk: int = 0
    ) -> Anatomy:
        """Of equal voxels; `own` parameters have a value for each neuron."""
        local, outer, axons = voxels.shares()
        far = np.outer(outer, axons) > 0
        n = voxels.voxels
        return cls(
            voxels.n_neurons, voxels.n_synapses, voxels.n_populations,
            n * int((local > 0).sum() + far.sum()), n, n * voxels.partners if far.any() else 0,
            int(far.any(axis=0).sum()), int(voxels.degree.max()), _on(parameters), own, 1, chunk,
            _currents(parameters),
        )  # fmt: skip

    @classmethod
    def of_network(cls, network: Network) -> Anatomy:
        """Of a network that is there."""
        synapses = intact(network.wiring)
        chunk = 0
        if network.path and not isinstance(synapses, Procedural):
            chunk = int(network.synapses["source"].data.chunksize[0])
        made = cls.of_populations(
            network.populations, network.parameters, own=len(network.parameters.neuron), chunk=chunk
        )
        return replace(
            made, synapses=synapses.n_synapses, largest_degree=synapses.largest_degree,
            weight_bytes=synapses.weight_dtype.itemsize,
        )  # fmt: skip

    @property
    def paired(self) -> bool:
        """Both receptors of a pair are on."""
        ampa, nmda, gaba_a, gaba_b = self.receptors
        return (ampa and nmda) or (gaba_a and gaba_b)

    @property
    def most_blocks(self) -> int:
        """Blocks of one tile of neurons."""
        return -(-self.neurons // TILE)

    @property
    def bytes(self) -> int:
        """Bytes of memory of the network without its synapses."""
        return (
            BYTES_OF_POPULATION * self.populations + BYTES_OF_TERM * self.terms
            + BYTES_OF_FAR * self.far + 8 * self.tables + 8 * self.own * self.neurons
        )  # fmt: skip


def _on(parameters: Parameters) -> tuple[bool, ...]:
    return tuple(parameters.on(f"g_{receptor}") for receptor in RECEPTORS)


def _currents(parameters: Parameters) -> int:
    return sum(parameters.on(name) for name in ("g_t", "g_ahp"))
