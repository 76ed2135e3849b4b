"""An ensemble of one network: members share the wiring and differ in hyper-parameters and noise.

A neuron's parameter is `theta_i = h_v gamma_i`: the hyper-parameter h of its voxel, which the
filter estimates, times a factor drawn once from Gamma(shape, rate = shape), which all members share
(Lu et al. 2024, hierarchical mesoscale data assimilation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import known
from dtbdask.sim.session import Session

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """What the members look like at the end of a frame.

    Attributes
    ----------
    bold : (member, voxel) float64
    balloon : (member, voxel, 4) float64
        s in 1/s, f, v, q.
    rate : (member, voxel) float64, Hz
        Mean over the frame.
    """

    bold: Floats
    balloon: Floats
    rate: Floats


class Ensemble:
    """Members of a network, advanced frame by frame.

    Parameters
    ----------
    network : Network
    client : distributed.Client or None
        Cluster to divide the members among; None runs them in this process.
    parameters : sequence of str
        Hyper-parameters, one value for each voxel.
    members : int
        At least two.
    tr_s : float
        Length of a frame, s.
    seed : int
        Of the noise. The factors of the neurons belong to the network and follow its own seed.
    gamma_shape : float or None
        Shape of the neurons' factors; None leaves all neurons of a voxel alike.
    """

    def __init__(
        self, network: Network, client: Any, *, parameters: tuple[str, ...], members: int,
        tr_s: float, seed: int, gamma_shape: float | None,
    ) -> None:  # fmt: skip
        for name in parameters:
            known(name)
        if members < 2:
            raise InputError(f"members is {members}; an ensemble needs 2 at least")
        self.parameters = parameters
        self._voxel = network.populations.voxel
        self._size = network.populations.size
        self._tr_s = tr_s
        self._session = Session(network, client, seed=seed, members=members, tr_s=tr_s)
        self._how = "assign" if gamma_shape is None else "multiply"
        if gamma_shape is not None:
            for index, name in enumerate(parameters):
                own = int(network.attributes.get("seed") or 0)
                factors = gamma_factors(own, index, network.n_neurons, gamma_shape)
                self._session.set(name, factors, neuron="all")

    def put(self, h: Floats) -> None:
        """Set the hyper-parameters.

        Parameters
        ----------
        h : (member, parameter, voxel) float64
            In the unit of each parameter.
        """
        shape = (self._session.members, len(self.parameters), int(self._voxel.max()) + 1)
        if h.shape != shape:
            raise InputError(
                f"h has shape {h.shape}; expected (member, parameter, voxel) = {shape}"
            )
        for index, name in enumerate(self.parameters):
            self._session.set(name, h[:, index][:, self._voxel], how=self._how)

    def put_balloon(self, balloon: Floats) -> None:
        """Replace the haemodynamic states: (member, voxel, 4) float64."""
        self._session.put_balloon(np.moveaxis(balloon, -1, 0))

    def forecast(self) -> Forecast:
        """Advance all members by one frame."""
        window = self._session.advance(self._session.frame_steps)
        spikes = window.spike_count.sum(axis=0)
        n_voxels = int(self._voxel.max()) + 1
        per_voxel = np.zeros((spikes.shape[0], n_voxels))
        np.add.at(per_voxel.T, self._voxel, spikes.T)
        neurons = np.bincount(self._voxel, weights=self._size, minlength=n_voxels)
        return Forecast(
            bold=window.bold[-1],
            balloon=np.moveaxis(self._session.balloon(), 0, -1),
            rate=per_voxel / (neurons * self._tr_s),
        )

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def __enter__(self) -> Self:
        """Use as a context: closed at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def spread_between(
    bounds: Mapping[str, tuple[float, float]], members: int, voxels: int, seed: int
) -> Floats:
    """Prior hyper-parameters: members evenly spread in the logarithm between the bounds.

    Each voxel and parameter has its own order of the members, so that voxels are independent.

    Parameters
    ----------
    bounds : mapping of str to (float, float)
    members, voxels, seed : int

    Returns
    -------
    (member, parameter, voxel) float64
    """
    from dtbdask import rng

    h = np.empty((members, len(bounds), voxels))
    place = (np.arange(members) + 0.5) / members
    for index, (low, high) in enumerate(bounds.values()):
        values = low * (high / low) ** place
        for voxel in range(voxels):
            order = rng.generator(seed, "prior", index, voxel).permutation(members)
            h[:, index, voxel] = values[order]
    return h
