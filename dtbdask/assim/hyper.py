"""Hyper-parameters by voxel, and how a session is given them.

A hyper-parameter is named as the parameter that it is of all populations of its voxel, "g_ampa", or
with those that it is of: "g_ampa E", "g_ampa L5E". Neuron i of these populations runs with
h gamma_i (`dtbdask.graph.factors`); all others keep what the network has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import known
from dtbdask.graph.selection import choose_populations
from dtbdask.sim.session import Session

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Hyper:
    """Some hyper-parameters of a network.

    Parameters
    ----------
    network : Network
    names : sequence of str
        As above; no population may belong to two of the same parameter.
    gamma_shape : float or None
        Shape of the factors of the neurons; None for none.
    voxels : sequence of str or int, optional
        Voxels that have them; by default all.

    Attributes
    ----------
    names : tuple of str
    voxel : (index,) int64
        Voxels that have them.

    Raises
    ------
    InputError
        A name or voxel is unknown, or two hyper-parameters share a population.
    """

    def __init__(
        self, network: Network, names: Sequence[str], gamma_shape: float | None,
        voxels: Sequence[str | int] | None = None,
    ) -> None:  # fmt: skip
        self.names, self._network, self._shape = tuple(names), network, gamma_shape
        self.voxel = chosen_voxels(network, voxels)
        self._of = [populations_of(network, name, self.voxel) for name in self.names]
        taken: dict[str, Ints] = {}
        for name, at in zip(self.names, self._of, strict=True):
            parameter = parameter_of(name)
            both = np.intersect1d(at, taken.get(parameter, np.zeros(0, np.int64)))
            if both.size:
                label = network.population_labels[both[0]]
                raise InputError(f"parameters: {label} has two hyper-parameters of {parameter}")
            taken[parameter] = np.union1d(at, taken.get(parameter, at))
        self._taken = taken

    def begin(self, session: Session) -> None:
        """Give a session the factors of its neurons."""
        if self._shape is None:
            return
        network, table = self._network, self._network.populations
        seed = int(network.attributes.get("seed") or 0)
        population = np.repeat(np.arange(table.size.size), table.size)
        for index, (parameter, at) in enumerate(self._taken.items()):
            factors = gamma_factors(seed, index, network.n_neurons, self._shape)
            if at.size < table.size.size:
                base = network.parameters.population[parameter][population]
                factors = np.where(np.isin(population, at), factors, base)
            session.set(parameter, factors, neuron="all")

    def put(self, session: Session, h: Floats) -> None:
        """Set hyper-parameters from the next step on.

        Parameters
        ----------
        session : Session
            After `begin`.
        h : (member, parameter, voxel) or (parameter, voxel) float64
            In the unit of each parameter.
        """
        how = "assign" if self._shape is None else "multiply"
        everything = self._network.populations.size.size
        for index, (name, at) in enumerate(zip(self.names, self._of, strict=True)):
            values = h[..., index, :][..., self._network.populations.voxel[at]]
            which = None if at.size == everything else at
            session.set(parameter_of(name), values, population=which, how=how)

    def values(self) -> Floats:
        """Those of the network: (parameter, voxel) float64, mean over the populations."""
        voxel, n = self._network.populations.voxel, len(self._network.labels)
        found = np.empty((len(self.names), n))
        for index, (name, at) in enumerate(zip(self.names, self._of, strict=True)):
            held = self._network.parameters.population[parameter_of(name)][at]
            count = np.bincount(voxel[at], minlength=n)
            total = np.bincount(voxel[at], weights=held, minlength=n)
            found[index] = np.where(count > 0, total / np.maximum(count, 1), held.mean())
        return found


class Fixed:
    """Hyper-parameters that stay: those of an earlier stage of a fit.

    Parameters
    ----------
    names : sequence of str
    h : (parameter, voxel) float64
    gamma_shape : float or None
    """

    def __init__(self, names: Sequence[str], h: Floats, gamma_shape: float | None) -> None:
        self.names, self.gamma_shape = tuple(names), gamma_shape
        self.h = np.asarray(h, dtype=np.float64)

    @classmethod
    def mean_of(cls, posterior: xr.Dataset, first_frame: int = 50) -> Fixed:
        """Mean of a posterior over members and frames.

        Parameters
        ----------
        posterior : xarray.Dataset
            From `dtbdask.open_posterior`.
        first_frame : int
            Frames before it are left out; of a shorter posterior its second half counts.
        """
        first = min(first_frame, posterior.sizes["frame"] // 2)
        h = posterior["parameter_value"].isel(frame=slice(first, None)).mean(("frame", "member"))
        names = [str(name) for name in posterior["parameter"].values]
        return cls(names, h.values, posterior.attrs["gamma_shape"])

    def told(self) -> Mapping[str, Any]:
        """What a posterior says of it."""
        return {
            "parameters": list(self.names), "gamma_shape": self.gamma_shape, "h": self.h.tolist()
        }  # fmt: skip

    def put(self, network: Network, session: Session) -> None:
        """Give them to a session."""
        wanted = (len(self.names), len(network.labels))
        if self.h.shape != wanted:
            raise InputError(f"fixed has values of shape {self.h.shape}; expected {wanted}")
        held = Hyper(network, self.names, self.gamma_shape)
        held.begin(session)
        held.put(session, self.h)


def parameter_of(name: str) -> str:
    """The parameter that a hyper-parameter is of; refused if there is none of that name."""
    parameter = name.split(" ", 1)[0]
    known(parameter)
    return parameter


def populations_of(network: Network, name: str, voxel: Ints | None = None) -> Ints:
    """Populations that a hyper-parameter is of, in some voxels: (index,) int64.

    Parameters
    ----------
    network : Network
    name : str
    voxel : (index,) int64, optional
        By default all.
    """
    _, _, chosen = name.partition(" ")
    at = choose_populations(network, chosen or None)
    if voxel is None:
        return at
    at = at[np.isin(network.populations.voxel[at], voxel)]
    if not at.size:
        raise InputError(f"parameters: no population of the chosen voxels is one of {name!r}")
    return at


def chosen_voxels(network: Network, voxels: Sequence[str | int] | None) -> Ints:
    """Voxels by label or index, in order: (index,) int64.

    Parameters
    ----------
    network : Network
    voxels : sequence of str or int, optional
        By default all.
    """
    n = len(network.labels)
    if voxels is None:
        return np.arange(n)
    place = {label: index for index, label in enumerate(network.labels)}
    found = []
    for voxel in voxels:
        index = place.get(voxel, -1) if isinstance(voxel, str) else int(voxel)
        if not 0 <= index < n:
            raise InputError(f"voxel {voxel!r} is unknown; use a label, or 0 to {n - 1}")
        found.append(index)
    if not found:
        raise InputError("voxels is empty; name at least one")
    return np.unique(found)
