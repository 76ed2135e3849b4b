"""The read-only handle on a network, stored or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from dask.utils import parse_bytes

from dtbdask import config, schema
from dtbdask.errors import StoreError, whole_number
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.store import read_parameters, read_populations
from dtbdask.graph.synapses import Imported, Procedural, Stored, Synapses, lazy
from dtbdask.graph.wiring import Recipe

if TYPE_CHECKING:
    import dask.array as da

BYTES_PER_SYNAPSE = 6
"""At rest, before compression: 4 of source and 2 of weight."""


@dataclass(frozen=True)
class Network:
    """A spiking network: populations, parameters and synapses; read-only.

    Attributes
    ----------
    populations : Populations
    parameters : Parameters
    synapses : Synapses
        Source of the in-edges.
    labels : tuple of str
        Names of the voxels.
    attributes : mapping
        Seed, recipe, provenance.
    path : str
        Of its store; empty for a network held in memory.
    """

    populations: Populations
    parameters: Parameters
    synapses: Synapses
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
        return self.synapses.n_synapses

    @property
    def population_labels(self) -> list[str]:
        """Name of each population: its voxel and its slot."""
        where = zip(self.populations.voxel, self.populations.slot, strict=True)
        return [f"{self.labels[v]} {self.slots[s]}" for v, s in where]

    @property
    def slots(self) -> tuple[str, ...]:
        """Name of each slot of a voxel."""
        return tuple(self.attributes["slots"])

    def synapse_arrays(self) -> tuple[da.Array, da.Array]:
        """Source and weight pair of all synapses in target order, as lazy Dask arrays.

        Returns
        -------
        source : (synapse,) uint32
        weight : (synapse, pair) uint8, 1/255
        """
        import dask.array as da

        if isinstance(self.synapses, Stored | Imported):
            source, weight = (
                da.from_zarr(self.path, component=f"synapse/{name}")
                for name in ("source", "weight")
            )
            return source, weight
        if isinstance(self.synapses, Procedural):
            return lazy(self.synapses.recipe, synapses_per_chunk(None))
        edges = self.synapses.in_edges(0, self.n_neurons)
        return da.from_array(edges.source), da.from_array(edges.weight)

    def __reduce__(self) -> tuple[Callable[..., Network], tuple[Any, ...]]:
        """Travel as a path where there is one: the other side opens the same store."""
        if self.path:
            return open_network, (self.path,)
        parts = (self.populations, self.parameters, self.synapses, self.labels, self.attributes)
        return Network, parts

    def summary(self) -> dict[str, Any]:
        """What a reader wants to know first: sizes, recipe and origin."""
        size = self.populations.size
        return {
            "path": self.path or "in memory",
            "neurons": self.n_neurons,
            "synapses": self.n_synapses,
            "voxels": len(self.labels),
            "populations": int(size.size),
            "population_size": [int(size.min()), int(np.median(size)), int(size.max())],
            "in_degree": [int(self.populations.degree.min()), int(self.populations.degree.max())],
            "layout": _layout_name(self.attributes.get("layout", "imported")),
            "seed": self.attributes.get("seed"),
            "synapses_are": type(self.synapses).__name__.lower(),
            "source": self.attributes.get("source", ""),
            "made": self.attributes.get("made", ""),
        }

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<Network {s['neurons']:,} neurons, {s['synapses']:,} synapses "
            f"({s['synapses_are']}), {s['populations']} populations in {s['voxels']} voxels, "
            f"seed {s['seed']}: {s['path']}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(key.replace('_', ' '))}</th>"
            f"<td>{escape(f'{value:,}' if isinstance(value, int) else str(value))}</td></tr>"
            for key, value in self.summary().items()
        )
        return f"<table><caption>Network</caption>{rows}</table>"


def _layout_name(layout: Any) -> str:
    return layout if isinstance(layout, str) else "own motif"


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
    recipe = Recipe.make(populations, root["seed"] or 0, tuple(root["weights"]))
    if digest_of(recipe, parameters) != root["recipe_sha256"]:
        raise StoreError(f"{path}: populations or parameters do not match the recipe's checksum")
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


def digest_of(recipe: Recipe, parameters: Parameters) -> str:
    """SHA-256, in hex, of all that synapses and parameters follow from."""
    digest = hashlib.sha256(f"{recipe.seed} {recipe.weights}".encode())
    mixture = recipe.mixture
    tables = (
        recipe.size, recipe.degree, *recipe.near, *recipe.far, mixture.indptr, mixture.source,
        mixture.table, mixture.far_indptr, mixture.far_population, mixture.far_delay,
    )  # fmt: skip
    for array in (*tables, *parameters.population.values(), *parameters.neuron.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
