"""The read-only handle on a network, stored or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from dask.utils import parse_bytes
from numpy.typing import ArrayLike

from dtbdask import config, schema
from dtbdask.errors import StoreError, whole_number
from dtbdask.graph import summary
from dtbdask.graph.description import figures
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.store import MIXTURE, read_parameters, read_populations
from dtbdask.graph.synapses import Imported, Procedural, Stored, Synapses, lazy
from dtbdask.graph.wiring import Recipe

if TYPE_CHECKING:
    import xarray as xr

    pass

BYTES_PER_SYNAPSE = 6
"""At rest, before compression: 4 of source and 2 of weight."""


@dataclass(frozen=True)
class Network:
    """A spiking network: populations, parameters and synapses; read-only.

    Attributes
    ----------
    populations : Populations
    parameters : Parameters
    wiring : Synapses
        Where the in-edges come from.
    labels : tuple of str
        Names of the voxels.
    attributes : mapping
        Seed, recipe, provenance.
    path : str
        Of its store; empty for a network held in memory.
    """

    populations: Populations
    parameters: Parameters
    wiring: Synapses
    labels: tuple[str, ...]
    attributes: Mapping[str, Any]
    path: str = ""

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.populations.n_neurons

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return self.wiring.n_synapses

    @property
    def population_labels(self) -> list[str]:
        """Name of each population: its voxel and its slot."""
        where = zip(self.populations.voxel, self.populations.slot, strict=True)
        return [f"{self.labels[v]} {self.slots[s]}" for v, s in where]

    @property
    def slots(self) -> tuple[str, ...]:
        """Name of each slot of a voxel."""
        return tuple(self.attributes["slots"])

    @property
    def synapses(self) -> xr.Dataset:
        """All synapses in target order, stored or procedural: lazy Dask arrays.

        `source` (synapse) uint32, the global index of the source neuron, and `weight` (synapse,
        pair) uint8 or uint32, of AMPA and NMDA of an excitatory source, GABA_A and GABA_B of an
        inhibitory; weight of integer 1 is the attribute `scale`.
        """
        import dask.array as da
        import xarray as xr

        from dtbdask.graph.lesions import Lesioned

        if isinstance(self.wiring, Lesioned):
            data = replace(self, wiring=self.wiring.intact).synapses
            lazily = self.wiring.lazy(data["source"].data, data["weight"].data)
            return data.assign(weight=data["weight"].copy(data=lazily))
        if isinstance(self.wiring, Stored | Imported):
            source, weight = (
                da.from_zarr(self.path, component=f"synapse/{name}")
                for name in ("source", "weight")
            )
        elif isinstance(self.wiring, Procedural):
            source, weight = lazy(self.wiring.recipe, synapses_per_chunk(None))
        else:
            edges = self.wiring.in_edges(0, self.n_neurons)
            source, weight = da.from_array(edges.source), da.from_array(edges.weight)
        scale = {"scale": self.wiring.weight_scale}
        return xr.Dataset(
            {"source": ("synapse", source), "weight": (("synapse", "pair"), weight, scale)}
        )

    def lesioned(
        self, *, source: str | ArrayLike | None = None, target: str | ArrayLike | None = None,
        scale: float = 0.0,
    ) -> Network:  # fmt: skip
        """The network with its connections between some populations weakened or removed.

        It shares everything with this one, and weights are scaled where they are read.

        Parameters
        ----------
        source, target : str, sequence of str, (index,) int or (population,) bool, optional
            Populations that the connections come from and end on: by the name of a population
            ("V1 E"), a slot ("L5E"), a voxel ("V1"), or "E" or "I"; by index; or by mask. By
            default all.
        scale : float
            0, which removes them, to 1. Lesions on one another multiply; a weight is rounded once,
            half to even, to the integers that weights are.

        Returns
        -------
        Network
            Its attribute `lesions` lists all of them.
        """
        from dtbdask.graph.lesions import lesioned

        return lesioned(self, source, target, scale)

    def __reduce__(self) -> tuple[Callable[..., Network], tuple[Any, ...]]:
        """Travel as a path where there is one: the other side opens the same store."""
        from dtbdask.graph.lesions import Lesioned, reopened

        if self.path and isinstance(self.wiring, Lesioned):
            return reopened, (self.path, self.wiring.lesions)
        if self.path:
            return open_network, (self.path,)
        parts = (self.populations, self.parameters, self.wiring, self.labels, self.attributes)
        return Network, parts

    def summary(self) -> dict[str, Any]:
        """What a reader wants to know first: see `dtbdask.graph.description.figures`."""
        return figures(self)

    def __repr__(self) -> str:
        return summary.line(self)

    def _repr_html_(self) -> str:
        return summary.html(self)


def open_network(path: str | Path) -> Network:
    """Open a committed network store.

    Parameters
    ----------
    path : path

    Returns
    -------
    Network

    Raises
    ------
    StoreError
        Not a network of ours, never completed, or damaged.
    """
    group = schema.open_store(path, "network")
    root = schema.root_of(group)
    populations, parameters = read_populations(group), read_parameters(group)
    seed, weights = root["seed"] or 0, tuple(root["weights"])
    if digest_of(populations, parameters, seed, weights) != root["recipe_sha256"]:
        raise StoreError(f"{path}: populations or parameters do not match the recipe's checksum")
    recipe = Recipe.make(populations, seed, weights)
    return Network(
        populations, parameters, _synapses(group, str(path), recipe), tuple(root["labels"]), root,
        str(path),
    )  # fmt: skip


def _synapses(group: zarr.Group, path: str, recipe: Recipe) -> Synapses:
    root = schema.root_of(group)
    if root["synapses"] == "procedural":
        return Procedural(recipe)
    arrays = {name: schema.array(group, f"synapse/{name}") for name in ("source", "weight")}
    if root["synapses"] == "stored":
        return Stored(recipe, path)
    weight = arrays["weight"]
    return Imported(
        path, weight.shape[0], root["largest_degree"], np.dtype(weight.dtype), root["weight_scale"]
    )


def synapses_per_chunk(chunk: int | None) -> int:
    """Synapses in a chunk of a store: those asked for, or by default."""
    if chunk is None:
        return max(1, int(parse_bytes(config.get("build.chunk-bytes"))) // BYTES_PER_SYNAPSE)
    return whole_number("chunk", chunk, 1)


def digest_of(
    populations: Populations, parameters: Parameters, seed: int, weights: tuple[int, int]
) -> str:
    """SHA-256, in hex, of all that synapses and parameters follow from."""
    digest = hashlib.sha256(f"{seed} {weights}".encode())
    tables = ("voxel", "slot", "excitatory", "size", "degree")
    arrays = [getattr(populations, name) for name in tables]
    arrays += [getattr(populations.mixture, name) for name in MIXTURE]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    for kind in (parameters.told(), parameters.neuron):
        for name in sorted(kind):
            digest.update(name.encode() + np.ascontiguousarray(kind[name]).tobytes())
    return digest.hexdigest()
