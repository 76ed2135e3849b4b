"""The HDF5 files of an exported network: nodes, edges and their indices, written in stretches.

Synapses are written by ascending target, as the network has them. The index of the sources needs
them by source: it is sorted through buckets on disk, 16 bytes for each synapse meanwhile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.graph.population import Populations
from dtbdask.graph.sonata.files import OURS
from dtbdask.graph.sonata.models import DELAY_MS, NANO, NEEDS, to_nest
from dtbdask.graph.sonata.spill import Spill, stretches
from dtbdask.graph.wiring import InEdges

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NAME = "brain"
"""Of the node population."""

FIRST_TYPE = 100
"""Number of the first node type; edge types are this (excitatory source) and the next."""

EDGES_AT_ONCE = 2**20
"""Synapses that are written, or sorted, at a time."""

CHUNK = 2**16
"""Values in a chunk of an HDF5 dataset."""


def write_nodes(network: Network, file: Any) -> None:
    """Write all neurons as one node population, with the parameters that single neurons have.

    Parameters
    ----------
    network : Network
    file : h5py.File
        New and open.
    """
    group = _begin(file).create_group(f"nodes/{NAME}")
    n, own = network.n_neurons, network.parameters.neuron
    told = [key for key, names in NEEDS.items() if own.keys() & set(names)]
    kinds: dict[str, Any] = {
        "node_id": np.uint64, "node_type_id": np.uint64, "node_group_id": np.uint32,
        "node_group_index": np.uint64, **{f"0/{OURS}_{name}": np.float64 for name in own},
        **{f"0/dynamics_params/{key}": np.float64 for key in told},
    }  # fmt: skip
    group.create_group("0")
    for name, kind in kinds.items():
        _create(group, name, n, kind)
    for start in range(0, n, EDGES_AT_ONCE):
        stop = min(start + EDGES_AT_ONCE, n)
        place = np.arange(start, stop)
        columns: dict[str, Any] = {
            "node_id": place, "node_group_index": place, "node_group_id": np.zeros_like(place),
            "node_type_id": FIRST_TYPE + network.populations.population_of(start, stop),
            **{f"0/{OURS}_{name}": values[start:stop] for name, values in own.items()},
        }  # fmt: skip
        if told:
            nest = to_nest({name: _values(network, name, start, stop) for name in PARAMETERS})
            columns |= {f"0/dynamics_params/{key}": nest[key] for key in told}
        _write(group, start, columns)


def write_edges(network: Network, file: Any, folder: Path) -> None:
    """Write all synapses as one edge population, and its indices.

    Parameters
    ----------
    network : Network
    file : h5py.File
        New and open.
    folder : Path
        For temporary files.
    """
    group = _begin(file).create_group(f"edges/{NAME}_to_{NAME}")
    n, dtype = network.n_synapses, network.wiring.weight_dtype
    delays = _Delays.make(network.populations)
    kinds: dict[str, Any] = {
        "source_node_id": np.uint64, "target_node_id": np.uint64, "edge_type_id": np.uint32,
        "edge_group_id": np.uint16, "edge_group_index": np.uint64, "0/syn_weight": np.float32,
        f"0/{OURS}_weight_fast": dtype, f"0/{OURS}_weight_slow": dtype,
        **({"0/delay": np.float32} if delays else {}),
    }  # fmt: skip
    for name, kind in kinds.items():
        _create(group, name, n, kind)
    for end in ("source", "target"):
        group[f"{end}_node_id"].attrs["node_population"] = NAME
    sent, indptr = np.zeros(network.n_neurons, np.int64), np.zeros(network.n_neurons + 1, np.int64)
    with progress.track("Exporting", n, "synapses") as step:
        for start, stop in _targets(network.populations):
            edges = network.wiring.in_edges(start, stop)
            first = int(indptr[start])
            indptr[start + 1 : stop + 1] = first + edges.indptr[1:]
            _write(group, first, _columns(network, start, stop, edges, first, delays))
            source, count = np.unique(edges.source, return_counts=True)
            sent[source] += count
            step(edges.source.size)
    _index_targets(group, indptr)
    _index_sources(group, sent, folder)


def _targets(populations: Populations) -> Iterable[tuple[int, int]]:
    """Stretches of targets with few enough synapses, by what their populations may have."""
    degree = np.repeat(populations.degree.astype(np.int64), populations.size)
    edges = stretches(degree, EDGES_AT_ONCE).tolist()
    return pairwise(edges)


def _columns(
    network: Network, start: int, stop: int, edges: InEdges, first: int, delays: _Delays | None
) -> dict[str, NDArray[Any]]:
    """What is written of the in-edges of the neurons `start` to `stop`."""
    populations = network.populations
    count = np.diff(edges.indptr)
    source = populations.of(edges.source)
    excites = populations.excitatory[source]
    ampa, gaba = (
        np.repeat(_values(network, name, start, stop), count) for name in ("g_ampa", "g_gaba_a")
    )
    weight = edges.weight[:, 0] * network.wiring.weight_scale
    columns: dict[str, NDArray[Any]] = {
        "source_node_id": edges.source,
        "target_node_id": np.repeat(np.arange(start, stop), count),
        "edge_type_id": np.where(excites, FIRST_TYPE, FIRST_TYPE + 1),
        "edge_group_id": np.zeros(edges.source.size),
        "edge_group_index": np.arange(first, first + edges.source.size),
        "0/syn_weight": NANO * np.where(excites, ampa, -gaba) * weight,
        f"0/{OURS}_weight_fast": edges.weight[:, 0],
        f"0/{OURS}_weight_slow": edges.weight[:, 1],
    }
    if delays:
        target = np.repeat(populations.population_of(start, stop), count)
        columns["0/delay"] = DELAY_MS * delays.steps(target, source)
    return columns


@dataclass(frozen=True)
class _Delays:
    """Axonal delays between voxels.

    Attributes
    ----------
    voxel : (population,) int64
    pair : (tract,) int64
        Number of voxels times target voxel, plus source voxel; ascending.
    step : (tract,) uint16
    """

    voxel: Ints
    pair: Ints
    step: NDArray[np.uint16]

    @classmethod
    def make(cls, populations: Populations) -> _Delays | None:
        """Delays of a network, or None where all are one step."""
        mixture, voxel = populations.mixture, populations.voxel
        if not mixture.far_delay.size:
            return None
        far = mixture.table >= 0
        target = np.zeros(mixture.far_indptr.size - 1, np.int64)
        target[mixture.table[far]] = voxel[mixture.population[far]]
        n = int(voxel.max()) + 1
        pair = n * np.repeat(target, np.diff(mixture.far_indptr)) + voxel[mixture.far_population]
        order = np.argsort(pair)
        return cls(voxel, pair[order], mixture.far_delay[order])

    def steps(self, target: Ints, source: Ints) -> Ints:
        """Delays between populations: (synapse,) int64, steps."""
        target, source = self.voxel[target], self.voxel[source]
        at = np.searchsorted(self.pair, (int(self.voxel.max()) + 1) * target + source)
        far: Ints = self.step[np.minimum(at, self.pair.size - 1)].astype(np.int64)
        return np.where(target == source, 1, far)


def _values(network: Network, name: str, start: int, stop: int) -> Floats:
    """Values of a parameter for the neurons `start` to `stop`."""
    own = network.parameters.neuron.get(name)
    if own is not None:
        return own[start:stop]
    of = network.populations.population_of(start, stop)
    values: Floats = network.parameters.population[name][of]
    return values


def _index_targets(group: Any, indptr: Ints) -> None:
    """Index of the edges of each target: one range, or none."""
    some = np.diff(indptr) > 0
    first = np.concatenate([[0], np.cumsum(some)])
    ranges = np.column_stack([indptr[:-1], indptr[1:]])[some]
    index = _index(group, "target_to_source", np.column_stack([first[:-1], first[1:]]), len(ranges))
    _write(index, 0, {"range_to_edge_id": ranges})


def _index_sources(group: Any, sent: Ints, folder: Path) -> None:
    """Index of the edges of each source: a range for each edge, for they lie apart."""
    last = np.cumsum(sent)
    n = int(last[-1])
    index = _index(group, "source_to_target", np.column_stack([last - sent, last]), n)
    with tempfile.TemporaryDirectory(dir=folder) as spilled:
        spill = Spill(Path(spilled), stretches(sent, EDGES_AT_ONCE), 2, np.dtype(np.int64))
        for start in range(0, n, EDGES_AT_ONCE):
            source = group["source_node_id"][start : start + EDGES_AT_ONCE].astype(np.int64)
            spill.put(np.column_stack([source, np.arange(start, start + source.size)]))
        start = 0
        for records in spill.buckets():
            edge = records[:, 1]
            _write(index, start, {"range_to_edge_id": np.column_stack([edge, edge + 1])})
            start += edge.size


def _index(group: Any, name: str, of_node: Ints, n_ranges: int) -> Any:
    """Begin an index; the specification and libsonata say "ranges", BMTK says "range"."""
    index = group.create_group(f"indices/{name}")
    _create(index, "node_id_to_range", of_node.shape, np.int64)
    _write(index, 0, {"node_id_to_range": of_node})
    index["node_id_to_ranges"] = index["node_id_to_range"]
    _create(index, "range_to_edge_id", (n_ranges, 2), np.int64)
    return index


def _begin(file: Any) -> Any:
    """The file, marked as SONATA 0.1."""
    file.attrs["magic"] = np.uint32(0x0A7A)
    file.attrs["version"] = np.array([0, 1], np.uint32)
    return file


def _create(group: Any, name: str, shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Create a dataset with checksums; it is not packed, for not every reader can unpack."""
    shape = (shape,) if isinstance(shape, int) else shape
    if not shape[0]:
        return group.create_dataset(name, shape, dtype)
    chunks = (min(CHUNK, shape[0]), *shape[1:])
    return group.create_dataset(name, shape, dtype, chunks=chunks, fletcher32=True)


def _write(group: Any, start: int, columns: dict[str, Any]) -> None:
    for name, values in columns.items():
        group[name][start : start + len(values)] = values
