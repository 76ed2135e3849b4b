"""A homogeneous block: neurons with the same constants, isolated or hearing each other.

Excitatory and inhibitory neurons, 80 % and 20 %, differ in what they do to others only. *Isolated*
neurons hear *drivers*, as many as they are, which have no currents, never fire by themselves and
send noise spikes; nobody hears the neurons. *Connected* neurons hear each other's spikes and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import Procedural
from dtbdask.graph.wiring import Recipe
from dtbdask.kernels import RECEPTORS
from dtbdask.sim.block import Block
from dtbdask.sim.spec import BlockSpec

Floats = NDArray[np.float64]

EXCITATORY = 0.8
"""Share of the neurons."""


@dataclass(frozen=True)
class Trial:
    """What one simulation showed.

    Attributes
    ----------
    conductance : (receptor,) float64, 1/ms
        With which it ran; receptors in the order of `dtbdask.kernels.RECEPTORS`.
    current : (receptor,) float64, mV/ms
        Mean of abs(I_u) = abs(g_u (E_u - V) J_u) over neurons and the last steps.
    rate_hz : float
        Spikes of the neurons' own, noise spikes not counted.
    """

    conductance: Floats
    current: Floats
    rate_hz: float


@dataclass(frozen=True)
class Homogeneous:
    """How to simulate a homogeneous block.

    Attributes
    ----------
    values : mapping of str to float
        All parameters, by name; the conductances are given anew for each trial.
    neurons, degree : int
        Number of neurons, and in-degree of each.
    excitatory_share : float
        Share of in-edges that come from excitatory neurons or drivers.
    steps, average : int
        Steps of a trial, and how many at its end are averaged.
    dt_ms : float
        Exchange step.
    seed : int
        Of wiring and noise.

    Raises
    ------
    InputError
        The share is not between 0 and 1, or there are too few neurons to hear.
    """

    values: Mapping[str, float]
    neurons: int
    degree: int
    excitatory_share: float
    steps: int
    average: int
    dt_ms: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.excitatory_share < 1:
            raise InputError(
                f"excitatory_share is {self.excitatory_share}; expected more than 0, less than 1"
            )
        wanted = self.degree * self._mix
        if (self._size <= wanted).any():
            most = np.max(wanted / np.array([EXCITATORY, 1 - EXCITATORY]))
            raise InputError(
                f"neurons={self.neurons:,}: of {self._size[0]:,} excitatory and {self._size[1]:,} "
                f"inhibitory ones a neuron is to hear {wanted[0]:.0f} and {wanted[1]:.0f}; use "
                f"more than {most:,.0f}, or a smaller degree than {self.degree}"
            )

    def isolated(self, conductance: Floats, drive: float) -> Trial:
        """Simulate neurons that hear drivers.

        Parameters
        ----------
        conductance : (receptor,) float64, 1/ms
        drive : float
            Probability of a driver's spike in a step.

        Returns
        -------
        Trial
        """
        matrix = np.zeros((4, 4))
        matrix[:2, 2:] = self._mix
        matrix[2:, 2] = 1.0  # drivers must hear somebody
        values = self._values(conductance, 4)
        for name, value in values.items():
            if name.startswith("g_") or name in ("i_ext", "ou_mean", "ou_sigma"):
                value[2:] = 0.0
        values["noise_rate"] = np.array([0.0, 0.0, drive, drive])
        return self._watch(self._network(matrix, values), conductance)

    def connected(self, conductance: Floats) -> Trial:
        """Simulate neurons that hear each other, with noise at their own `noise_rate`.

        Parameters
        ----------
        conductance : (receptor,) float64, 1/ms

        Returns
        -------
        Trial
        """
        values = self._values(conductance, 2)
        return self._watch(self._network(np.tile(self._mix, (2, 1)), values), conductance)

    @property
    def _mix(self) -> Floats:
        """Shares of the in-edges from excitatory and from inhibitory sources."""
        return np.array([self.excitatory_share, 1 - self.excitatory_share])

    @property
    def _size(self) -> NDArray[np.int64]:
        excitatory = round(EXCITATORY * self.neurons)
        return np.array([excitatory, self.neurons - excitatory])

    def _values(self, conductance: Floats, n_populations: int) -> dict[str, Floats]:
        g = {f"g_{name}": g for name, g in zip(RECEPTORS, conductance, strict=True)}
        given = {**self.values, **g}
        return {name: np.full(n_populations, value) for name, value in given.items()}

    def _network(self, matrix: Floats, values: Mapping[str, Floats]) -> Network:
        """Network of pairs of populations; neurons have the in-degree, drivers one in-edge."""
        n = len(matrix)
        populations = Populations(
            voxel=np.zeros(n, np.int64),
            slot=np.arange(n),
            excitatory=np.arange(n) % 2 == 0,
            size=np.tile(self._size, n // 2),
            degree=np.array([self.degree, self.degree, 1, 1][:n], np.int32),
            mixture=Mixture.direct(sp.csr_array(matrix)),
        )
        synapses = Procedural(Recipe.make(populations, self.seed))
        parameters = Parameters.make(n, values)
        return Network(populations, parameters, synapses, ("block",), {"seed": self.seed})

    def _watch(self, network: Network, conductance: Floats) -> Trial:
        """Simulate, and average over the first `neurons` of the network."""
        block = Block(BlockSpec.whole(network, self.seed, dt_ms=self.dt_ms))
        here = slice(0, self.neurons)
        on = np.flatnonzero(conductance)
        reversal = [self.values[f"e_{name}"] for name in RECEPTORS]
        current, spikes = np.zeros(len(RECEPTORS)), 0
        for step in range(self.steps):
            block.step()
            if step < self.steps - self.average:
                continue
            block.settle()
            v = block.state.v[0, here]
            spikes += int(np.count_nonzero(v >= v.dtype.type(self.values["v_th"])))
            for u in on:
                i = conductance[u] * (reversal[u] - v) * block.state.j[u][0, here]
                current[u] += np.abs(i).mean(dtype=np.float64)
        block.close()
        seconds = self.average * self.dt_ms / 1000
        return Trial(conductance, current / self.average, spikes / self.neurons / seconds)
