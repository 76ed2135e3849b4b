"""Writing a network whose synapses come from elsewhere, in target order, into a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.network import Network, digest_of, open_network, synapses_per_chunk
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.store import write_tables


class ImportWriter:
    """Takes the synapses of a network neuron after neuron, and writes whole chunks of them.

    Parameters
    ----------
    group : zarr.Group
        Root of the store, its synapse arrays created.
    path : path
        The store.
    """

    def __init__(self, group: zarr.Group, path: str | Path) -> None:
        self._path, self._group = path, group
        self._arrays = [schema.array(group, f"synapse/{name}") for name in ("source", "weight")]
        self._n, self._chunk = self._arrays[0].shape[0], self._arrays[0].chunks[0]
        self._n_neurons = schema.array(group, "synapse/indptr").shape[0] - 1
        self._waiting: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._held = self._written = 0

    def append(self, source: NDArray[np.uint32], weight: NDArray[np.unsignedinteger]) -> None:
        """Take the next synapses.

        Parameters
        ----------
        source : (synapse,) uint32
            Global index of the source neuron.
        weight : (synapse, pair) uint8 or uint32
        """
        wrong = np.flatnonzero(source >= self._n_neurons)
        if wrong.size:
            raise InputError(
                f"{self._path}: source is neuron {source[wrong[0]]:,}; "
                f"there are {self._n_neurons:,} neurons"
            )
        if weight.dtype != self._arrays[1].dtype:
            raise InputError(
                f"{self._path}: weights have dtype {weight.dtype}; expected {self._arrays[1].dtype}"
            )
        if self._written + self._held + source.size > self._n or weight.shape != (source.size, 2):
            raise InputError(
                f"{self._path}: {source.size:,} synapses with weights of shape {weight.shape} "
                f"after {self._written + self._held:,}; the in-degrees make {self._n:,}"
            )
        self._waiting.append((source.copy(), weight.copy()))
        self._held += source.size
        if self._held >= self._chunk:
            self._flush(self._held - self._held % self._chunk)

    def finish(self) -> Network:
        """Write what is left, complete the store and open it."""
        if self._written + self._held != self._n:
            raise InputError(
                f"{self._path}: got {self._written + self._held:,} synapses; the in-degrees make "
                f"{self._n:,}"
            )
        self._flush(self._held)
        schema.commit(self._group)
        return open_network(self._path)

    def _flush(self, count: int) -> None:
        """Write the first of the synapses that wait; whole chunks, or the rest."""
        joined = [np.concatenate(parts) for parts in zip(*self._waiting, strict=True)]
        for array, values in zip(self._arrays, joined, strict=False):
            array[self._written : self._written + count] = values[:count]
        self._written, self._held = self._written + count, self._held - count
        self._waiting = [(joined[0][count:], joined[1][count:])] if self._held else []


def create_import(
    path: str | Path,
    populations: Populations,
    parameters: Parameters,
    labels: Sequence[str],
    in_degree: ArrayLike,
    *,
    weight_dtype: Any,
    weight_scale: float,
    attributes: Mapping[str, Any],
    sources: tuple[ArrayLike, ArrayLike] | None = None,
    overwrite: bool = False,
    chunk: int | None = None,
) -> ImportWriter:
    """Begin the store of an imported network: all but its synapses is written.

    Parameters
    ----------
    path : path
        Of the new store.
    populations : Populations
        Their mixture may be empty: the synapses follow no recipe.
    parameters : Parameters
    labels : sequence of str
        Names of the voxels.
    in_degree : (neuron,) int
        Number of in-edges of each neuron.
    weight_dtype : {uint8, uint32}
    weight_scale : float
        Weight of integer 1.
    attributes : mapping
        `source`, what it is; `slots`, names by slot number; and more for the root of the store.
    sources : (step, neuron) of (spike,) int64, optional
        Scripted spikes.
    overwrite : bool
        Replace a network that is at `path`.
    chunk : int, optional
        Synapses in a chunk.

    Returns
    -------
    ImportWriter
        Wants the synapses, in target order.
    """
    degree, n_neurons = np.asarray(in_degree, np.int64), populations.n_neurons
    if degree.shape != (n_neurons,) or (degree < 0).any():
        raise InputError(
            f"in_degree has shape {degree.shape} and least value {degree.min(initial=0)}; expected "
            f"({n_neurons},) neurons and 0 or more"
        )
    _check_sources(sources, n_neurons)
    indptr = np.concatenate([[0], np.cumsum(degree)])
    chunk = synapses_per_chunk(chunk)
    root = {
        "seed": None, "again": "import it again, with overwrite", "layout": "imported",
        "weights": (0, 255), "synapses": "imported",
        "weight_scale": float(weight_scale), "largest_degree": int(degree.max(initial=0)),
        "labels": list(labels), "recipe_sha256": digest_of(populations, parameters, 0, (0, 255)),
        **attributes,
    }  # fmt: skip
    group = schema.create_store(path, "network", root, overwrite=overwrite)
    write_tables(group, populations, parameters)
    schema.write(group, schema.NETWORK["synapse/indptr"], indptr)
    n, spec = int(indptr[-1]), schema.NETWORK["synapse/weight"]
    schema.create(group, schema.NETWORK["synapse/source"], (n,), (chunk,), compressor="lz4")
    weight = schema.Array(spec.name, spec.dims, np.dtype(weight_dtype).name, "scale", spec.meaning)
    schema.create(group, weight, (n, 2), (chunk, 2), compressor="lz4")
    for name, values in zip(("step", "neuron"), sources or (), strict=False):
        schema.write(group, schema.NETWORK[f"spike_source/{name}"], values)
    return ImportWriter(group, path)


def _check_sources(sources: tuple[ArrayLike, ArrayLike] | None, n_neurons: int) -> None:
    if sources is None:
        return
    step, neuron = (np.asarray(values, np.int64) for values in sources)
    if step.shape != neuron.shape or step.ndim != 1:
        raise InputError(f"sources: steps have shape {step.shape}, neurons {neuron.shape}")
    if step.size and (step.min() < 0 or neuron.min() < 0 or neuron.max() >= n_neurons):
        raise InputError(
            f"sources: steps from {step.min()}, neurons {neuron.min()} to {neuron.max()}; expected "
            f"0 or more, and 0 to {n_neurons - 1}"
        )
