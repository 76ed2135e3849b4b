"""Building a network from a connectome into a Zarr store; what broke off is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import zarr
from dask.callbacks import Callback

from dtbdask import progress, schema
from dtbdask.brain.connectome import validate_connectome
from dtbdask.errors import InputError, StoreError
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.layouts import Layout, Motif, describe, layout_of
from dtbdask.graph.network import (
    BYTES_PER_SYNAPSE,
    Network,
    digest_of,
    open_network,
    synapses_per_chunk,
)
from dtbdask.graph.parameter_sets import ParameterSet, spread
from dtbdask.graph.parameters import PARAMETERS, Parameters, known
from dtbdask.graph.planning.capacity import check_build, disk_room
from dtbdask.graph.population import Populations, populate
from dtbdask.graph.store import write_tables
from dtbdask.graph.synapses import write_chunk
from dtbdask.graph.wiring import Recipe

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray


def build(
    brain: xr.Dataset,
    path: str | Path,
    *,
    neurons: float,
    degree: int = 100,
    layout: str | Layout | Motif = "voxel",
    seed: int = 0,
    min_size: int = 0,
    weights: tuple[int, int] = (0, 255),
    speed: float | None = None,
    dt_ms: float = 1.0,
    parameter_set: str | ParameterSet | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    neuron_parameters: Mapping[str, ArrayLike] | None = None,
    gamma: Mapping[str, float] | None = None,
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
        Mean in-degree of a voxel's neurons, without double or self edges.
    layout : str, Layout or Motif
        Populations of a voxel: a name in `dtbdask.graph.layouts.LAYOUTS`, or one's own.
    seed : int
        Seed of the wiring and of the gamma factors.
    min_size : int
        Smallest population: smaller ones are filled up.
    weights : (int, int)
        Smallest and largest weight in 1/255; uniform between them.
    speed : float, optional
        Conduction speed, mm/ms: the brain's tract lengths become axonal delays; see `populate`.
    dt_ms : float
        Step of the delays, ms.
    parameter_set : str or ParameterSet, optional
        Values that belong together, of `dtbdask.graph.parameter_sets.PARAMETER_SETS`; by default
        those of `dtbdask.graph.parameters.PARAMETERS`.
    parameters : mapping of str to float or (population,) float, optional
        Values that replace them.
    neuron_parameters : mapping of str to (neuron,) float, optional
        Values of single neurons.
    gamma : mapping of str to float, optional
        Shape of the gamma-distributed factors, of mean one, by which the value of each neuron
        deviates from that of its population.
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
    CapacityError
        The disk has not the room; nothing was written.
    StoreExistsError
        Something else is at `path`; it was left untouched.
    """
    brain = validate_connectome(brain)
    populations = populate(
        brain, neurons, degree, layout, min_size=min_size, speed=speed, dt_ms=dt_ms
    )
    recipe = Recipe.make(populations, seed, weights)
    slots = layout_of(layout)
    given: dict[str, ArrayLike] = {}
    if parameter_set is not None:
        given |= spread(parameter_set, [slots.slots[slot] for slot in populations.slot])
    values = Parameters.make(populations.size.size, {**given, **(parameters or {})})
    values = _of_neurons(values, populations, recipe.seed, neuron_parameters or {}, gamma or {})
    if synapses not in ("stored", "procedural"):
        raise InputError(f"synapses is {synapses!r}; use 'stored' or 'procedural'")
    chunk = synapses_per_chunk(chunk)
    attributes = {
        "seed": recipe.seed, "layout": describe(layout), "slots": slots.slots,
        "dtb_slots": slots.dtb_slots, "degree": int(degree), "neurons": int(neurons),
        "weights": recipe.weights, "synapses": synapses, "chunk": chunk,
        "gamma": {name: float(shape) for name, shape in (gamma or {}).items()},
        "parameter_set": getattr(parameter_set, "name", parameter_set),
        "speed": None if speed is None else float(speed), "delay_dt_ms": float(dt_ms),
        "source": str(brain.attrs.get("source", "")),
        "source_sha256": str(brain.attrs.get("sha256", "")),
        "labels": [str(label) for label in brain["label"].values],
        "recipe_sha256": digest_of(populations, values, recipe.seed, recipe.weights),
    }  # fmt: skip
    attributes = json.loads(json.dumps(attributes))
    if synapses == "stored" and recipe.n_synapses * BYTES_PER_SYNAPSE > disk_room(path):
        from dtbdask.graph.planning.plan import plan

        check_build(
            plan(brain, neurons=neurons, degree=degree, layout=layout, min_size=min_size,
                 weights=weights, seed=seed, parameters=parameters, gamma=gamma, chunk=chunk),
            path,
        )  # fmt: skip
    begun = _begun(path, attributes)
    if begun and not overwrite and begun.get("tables"):
        group = zarr.open_group(Path(path), mode="r+")
    else:  # a build that broke off among its tables has nothing to keep
        group = schema.create_store(path, "network", attributes, overwrite=overwrite or bool(begun))
        write_tables(group, populations, values, brain)
        schema.update_root(group, tables=True)
    if synapses == "stored":
        _write_synapses(group, str(path), recipe, chunk, client)
    schema.commit(group)
    return open_network(path)


def _of_neurons(
    values: Parameters,
    populations: Populations,
    seed: int,
    given: Mapping[str, ArrayLike],
    gamma: Mapping[str, float],
) -> Parameters:
    """Parameters with the values of single neurons, given or drawn."""
    if twice := sorted(set(given) & set(gamma)):
        raise InputError(f"gamma: {twice} are in neuron_parameters too; give one of both")
    n = populations.n_neurons
    own: dict[str, Any] = dict(given)
    for name, shape in gamma.items():
        known(name)
        base: NDArray[np.float64] = np.repeat(values.population[name], populations.size)
        try:
            factors = gamma_factors(seed, list(PARAMETERS).index(name), n, float(shape))
        except (TypeError, ValueError) as error:
            raise InputError(f"gamma of {name} is {shape}; expected a shape above 0") from error
        own[name] = base * factors
    if not own:
        return values
    return values.with_neuron(own, n, np.repeat(np.arange(populations.size.size), populations.size))


def _begun(path: str | Path, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Root of an uncommitted store at `path` of the very same network."""
    try:
        root = schema.read_root(path)
    except StoreError:
        return None
    same = all(root.get(key) == value for key, value in attributes.items())
    return root if root["kind"] == "network" and root.get("status") == "writing" and same else None


def _write_synapses(group: zarr.Group, path: str, recipe: Recipe, chunk: int, client: Any) -> None:
    n = int(recipe.first_synapse[-1])
    if "synapse/source" not in group:
        for name, shape in (("source", (n,)), ("weight", (n, 2))):
            spec, chunks = schema.NETWORK[f"synapse/{name}"], (chunk, *shape[1:])
            schema.create(group, spec, shape, chunks, compressor="lz4")
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
