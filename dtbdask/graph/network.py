"""Building a network into a Zarr store, and the read-only handle on one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import scipy.sparse as sp
import xarray as xr
import zarr
from dask.callbacks import Callback
from dask.utils import parse_bytes

from dtbdask import config, progress, schema
from dtbdask.errors import InputError, StoreError, whole_number
from dtbdask.graph.connectome import validate_connectome
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.population import LAYOUTS, Populations, populate
from dtbdask.graph.synapses import Procedural, Stored, Synapses, lazy, write_chunk
from dtbdask.graph.wiring import Recipe

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import ArrayLike

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
        slots = LAYOUTS[self.attributes["layout"]].slots if "layout" in self.attributes else None
        where = zip(self.populations.voxel, self.populations.slot, strict=True)
        return [f"{self.labels[v]} {slots[s] if slots else s}" for v, s in where]

    def synapse_arrays(self) -> tuple[da.Array, da.Array]:
        """Source and weight pair of all synapses in target order, as lazy Dask arrays.

        Returns
        -------
        source : (synapse,) uint32
        weight : (synapse, pair) uint8, 1/255
        """
        import dask.array as da

        if isinstance(self.synapses, Stored):
            source, weight = (
                da.from_zarr(self.path, component=f"synapse/{name}")
                for name in ("source", "weight")
            )
            return source, weight
        if isinstance(self.synapses, Procedural):
            return lazy(self.synapses.recipe, _synapses_per_chunk(None))
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
            "layout": self.attributes.get("layout", "imported"),
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


def build(
    brain: xr.Dataset,
    path: str | Path,
    *,
    neurons: float,
    degree: int = 100,
    layout: str = "voxel",
    seed: int = 0,
    parameters: Mapping[str, ArrayLike] | None = None,
    synapses: str = "stored",
    chunk: int | None = None,
    client: Any = None,
    overwrite: bool = False,
) -> Network:
    """Build a network from a connectome and write it to a Zarr store.

    An interrupted build is resumed by the same call: chunks that are there are kept.

    Parameters
    ----------
    brain : xarray.Dataset
        From `read_connectome`.
    path : path
        Of the new store.
    neurons : int
        Wanted number of neurons; shares are rounded down.
    degree : int
        In-degree of every neuron, without double or self edges.
    layout : str
        Populations of a voxel: a name in `dtbdask.graph.population.LAYOUTS`.
    seed : int
        Seed of the wiring.
    parameters : mapping of str to float or (population,) float, optional
        Values that replace defaults of `dtbdask.graph.parameters.PARAMETERS`.
    synapses : {"stored", "procedural"}
        Write the synapses, or regenerate them wherever they are needed: the same ones.
    chunk : int, optional
        Synapses in a chunk of the store; by default `dtbdask.build.chunk-bytes` of them.
    client : distributed.Client, optional
        Cluster to build on; by default threads of this process.
    overwrite : bool
        Replace a network that is at `path`.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        A value is wrong; nothing was written.
    StoreExistsError
        Something else is at `path`; it was left untouched.
    """
    brain = validate_connectome(brain)
    populations = populate(brain, neurons, degree, layout)
    values = Parameters.make(populations.size.size, parameters)
    recipe = Recipe.make(populations, seed)
    if synapses not in ("stored", "procedural"):
        raise InputError(f"synapses is {synapses!r}; use 'stored' or 'procedural'")
    chunk = _synapses_per_chunk(chunk)
    attributes = {
        "seed": recipe.seed, "layout": layout, "degree": int(degree), "neurons": int(neurons),
        "synapses": synapses, "chunk": chunk, "source": str(brain.attrs.get("source", "")),
        "source_sha256": str(brain.attrs.get("sha256", "")), "labels": _labels(brain),
        "recipe_sha256": _digest(recipe, values),
    }  # fmt: skip
    begun = _begun(path, attributes)
    if begun and not overwrite and begun.get("tables"):
        group = zarr.open_group(Path(path), mode="r+")
    else:  # a build that broke off among its tables has nothing to keep
        group = schema.create_store(path, "network", attributes, overwrite=overwrite or bool(begun))
        _write_tables(group, brain, populations, values)
        schema.update_root(group, tables=True)
    if synapses == "stored":
        _write_synapses(group, str(path), recipe, chunk, client)
    schema.commit(group)
    return open_network(path)


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
    names = ("voxel", "slot", "excitatory", "size", "degree", "indptr", "source", "probability")
    table = {name: schema.read(group, f"population/{name}") for name in names}
    n = table["size"].size
    matrix = sp.csr_array(
        (table["probability"], table["source"], table["indptr"]), shape=(n, n), dtype=np.float64
    )
    populations = Populations(
        table["voxel"].astype(np.int64), table["slot"].astype(np.int64), table["excitatory"],
        table["size"], table["degree"], matrix,
    )  # fmt: skip
    values = {name: schema.read(group, f"population/parameter/{name}") for name in PARAMETERS}
    recipe = Recipe.make(populations, root["seed"])
    stored = root["synapses"] == "stored"
    for name in ("source", "weight") if stored else ():
        schema.array(group, f"synapse/{name}")
    synapses = Stored(recipe, str(path)) if stored else Procedural(recipe)
    parameters = Parameters(values)
    if _digest(recipe, parameters) != root["recipe_sha256"]:
        raise StoreError(f"{path}: populations or parameters do not match the recipe's checksum")
    return Network(populations, parameters, synapses, tuple(root["labels"]), root, str(path))


def _labels(brain: xr.Dataset) -> list[str]:
    return [str(label) for label in brain["label"].values]


def _synapses_per_chunk(chunk: int | None) -> int:
    if chunk is None:
        return max(1, int(parse_bytes(config.get("build.chunk-bytes"))) // BYTES_PER_SYNAPSE)
    return whole_number("chunk", chunk, 1)


def _digest(recipe: Recipe, parameters: Parameters) -> str:
    digest = hashlib.sha256(str(recipe.seed).encode())
    for array in (recipe.size, recipe.degree, recipe.indptr, recipe.population, recipe.threshold,
                  recipe.other, *parameters.population.values()):  # fmt: skip
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _begun(path: str | Path, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Root of an uncommitted store at `path` of the very same network."""
    try:
        root = schema.read_root(path)
    except StoreError:
        return None
    same = all(root.get(key) == value for key, value in attributes.items())
    return root if root["kind"] == "network" and root.get("status") == "writing" and same else None


def _write_tables(
    group: zarr.Group, brain: xr.Dataset, populations: Populations, parameters: Parameters
) -> None:
    def put(name: str, values: Any) -> None:
        schema.write(group, schema.NETWORK[name], values)

    put("voxel/connection", brain["connection"].values)
    put("voxel/grey_matter", brain["grey_matter"].values)
    if "xyz" in brain:
        put("voxel/xyz", brain["xyz"].values)
    put("population/voxel", populations.voxel)
    put("population/slot", populations.slot)
    put("population/excitatory", populations.excitatory)
    put("population/size", populations.size)
    put("population/degree", populations.degree)
    put("population/indptr", populations.connection.indptr)
    put("population/source", populations.connection.indices)
    put("population/probability", populations.connection.data)
    for name, values in parameters.population.items():
        spec = PARAMETERS[name]
        array = schema.Array(
            f"population/parameter/{name}", ("population",), "float64", spec.unit, spec.meaning
        )
        schema.write(group, array, values)


def _write_synapses(group: zarr.Group, path: str, recipe: Recipe, chunk: int, client: Any) -> None:
    n = int(recipe.first_synapse[-1])
    if "synapse/source" not in group:
        schema.create(group, schema.NETWORK["synapse/source"], (n,), (chunk,))
        schema.create(group, schema.NETWORK["synapse/weight"], (n, 2), (chunk, 2))
    shared = dask.delayed(recipe, pure=True)
    write = dask.delayed(write_chunk, pure=False)
    tasks = [write(path, shared, chunk, start) for start in range(0, n, chunk)]
    with progress.track("Wiring", n, "synapses") as step:
        if client is None:
            with _on_result(write_chunk.__name__, step):
                dask.compute(*tasks, scheduler="threads")
        else:
            for future in client.compute(tasks):
                step(future.result())


@contextmanager
def _on_result(name: str, step: progress.Step) -> Iterator[None]:
    def after(key: Any, result: Any, *_: Any) -> None:
        if str(key).startswith(name):
            step(result)

    with Callback(posttask=after):
        yield
