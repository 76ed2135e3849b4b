"""The tables of a network store: all of it but the synapses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask import schema
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.parameters import AUXILIARY, PARAMETERS, Parameters
from dtbdask.graph.population import Populations

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    import zarr

MIXTURE = ("indptr", "source", "table", "share", "far_indptr", "far_population", "far_share",
           "far_delay")  # fmt: skip
NEURONS_PER_CHUNK = 1 << 20


def write_tables(
    group: zarr.Group,
    populations: Populations,
    parameters: Parameters,
    brain: xr.Dataset | None = None,
) -> None:
    """Write voxels, populations, their mixture and parameters into a new store."""

    def put(name: str, values: Any) -> None:
        schema.write(group, schema.NETWORK[name], values)

    if brain is not None:
        _write_voxels(group, brain)
    for name in ("voxel", "slot", "excitatory", "size", "degree"):
        put(f"population/{name}", getattr(populations, name))
    for name in MIXTURE:
        put(f"mixture/{name}", getattr(populations.mixture, name))
    for name, values in parameters.told().items():
        schema.write(group, parameter_spec("population", name), values)
    for name, values in parameters.neuron.items():
        schema.write(group, parameter_spec("neuron", name), values, chunk=NEURONS_PER_CHUNK)


def parameter_spec(dimension: str, name: str) -> schema.Array:
    """What the array of a parameter is, for populations or for neurons."""
    spec = PARAMETERS[name]
    path = f"{dimension}/parameter/{name}"
    return schema.Array(path, (dimension,), "float64", spec.unit, spec.meaning)


def read_populations(group: zarr.Group) -> Populations:
    """Populations of a store."""
    names = ("voxel", "slot", "excitatory", "size", "degree")
    table = {name: schema.read(group, f"population/{name}") for name in names}
    mixture = Mixture(**{name: schema.read(group, f"mixture/{name}") for name in MIXTURE})
    return Populations(
        table["voxel"].astype(np.int64), table["slot"].astype(np.int64), table["excitatory"],
        table["size"], table["degree"], mixture,
    )  # fmt: skip


def parameter_array(root: Mapping[str, Any], dimension: str, name: str) -> str:
    """Path of the array that holds a parameter now: `modify` writes a new one.

    Parameters
    ----------
    root : mapping
        Root attribute of the store.
    dimension : {"population", "neuron"}
    name : str
    """
    usual = f"{dimension}/parameter/{name}"
    return str(root.get("revised", {}).get(usual, usual))


def read_parameters(group: zarr.Group) -> Parameters:
    """Parameters of a store; auxiliary ones that it lacks are at their defaults."""
    root = schema.root_of(group)
    population = {name: parameter_array(root, "population", name) for name in PARAMETERS}
    neuron = {name: parameter_array(root, "neuron", name) for name in PARAMETERS}
    shape = schema.array(group, population["c"]).shape
    return Parameters(
        {
            name: np.full(shape, PARAMETERS[name].default)
            if name in AUXILIARY and array not in group
            else schema.read(group, array)
            for name, array in population.items()
        },
        {name: schema.read(group, array) for name, array in neuron.items() if array in group},
    )


def _write_voxels(group: zarr.Group, brain: xr.Dataset) -> None:
    schema.write(group, schema.NETWORK["voxel/grey_matter"], brain["grey_matter"].values)
    for name in ("xyz", "is_cortex"):
        if name in brain:
            schema.write(group, schema.NETWORK[f"voxel/{name}"], brain[name].values)
    if "region" in brain:
        names, index = np.unique(brain["region"].values.astype(str), return_inverse=True)
        schema.update_root(group, regions=names.tolist())
        schema.write(group, schema.NETWORK["voxel/region"], index)
