"""Networks in SONATA, the format of the Allen Institute, BMTK and NEST, imported into a store.

The files are passed over twice: once to count the in-degrees and look at the weights, once to bring
the synapses into the order of their targets through buckets on disk. What is held in memory is some
hundred bytes for each neuron and for each of `EDGES_AT_ONCE` synapses (or of the synapses of one
neuron, if it has more); the disk beside the new store holds 16 bytes for each synapse meanwhile.

A foreign network and ours agree by these rules; whatever they leave open is an error:

- a neuron is a point neuron of `dtbdask.graph.sonata.models`; a virtual node becomes a silent
  neuron without in-edges, `excluded` from the statistics, that plays back the spikes of its
  population's file of spikes, where a configuration with `inputs` is read
  (`dtbdask.graph.sonata.spikes`); the attribute `scripted_population` tells such populations;
- the sign of a neuron is that of its `ei`, or else of the weights it sends, which must agree;
- the absolute weight is that of the fast receptor, AMPA or GABA_A, as a fixed-point integer
  (`dtbdask.graph.fixed_point`); the slow one has none;
- delays are not kept: the attribute `delay_ms` tells the smallest and the largest, a warning that
  they are not 1 ms.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress, schema
from dtbdask.errors import CapacityError, DTBDaskError, InputFileError, StoreError
from dtbdask.graph.fixed_point import LARGEST_KICK, FixedPoint, choose, fraction_bits
from dtbdask.graph.imported import ImportWriter, create_import
from dtbdask.graph.network import Network
from dtbdask.graph.sonata.edges import Batch, batches, weight_dtype
from dtbdask.graph.sonata.files import OURS, Circuit, read_circuit
from dtbdask.graph.sonata.models import DELAY_MS
from dtbdask.graph.sonata.neurons import read_nodes
from dtbdask.graph.sonata.nodes import Nodes, signs
from dtbdask.graph.sonata.populations import Arrangement, arrange, parameters_of, populations_of
from dtbdask.graph.sonata.spikes import read_spikes
from dtbdask.graph.sonata.spill import Spill, stretches

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

EDGES_AT_ONCE = 2**20
"""Synapses that are read, or sorted, at a time."""

RECORD = 4
"""32-bit integers of a synapse on its way: target, source and two weights."""


def import_sonata(
    config: str | Path, path: str | Path, *, overwrite: bool = False, chunk: int | None = None
) -> Network:
    """Import a SONATA network into a store.

    Parameters
    ----------
    config : path
        Its `circuit_config.json`, or a configuration that names one as `network`, whose `inputs`
        then are read too. All files must be in its folder or below.
    path : path
        Of the new store.
    overwrite : bool
        Replace a network that is at `path`.
    chunk : int, optional
        Synapses in a chunk of the store; by default `dtbdask.build.chunk-bytes` of them.

    Returns
    -------
    Network
        What `export_sonata` wrote comes back with the same synapses, parameters and populations,
        save the matrix between populations. To read such a network as NEST would, remove the
        entry `dtbdask` of its configuration.

    Raises
    ------
    InputFileError
        A file is missing, damaged, contradicts another, or holds what cannot be represented.
    StoreExistsError
        Something is at `path` already; it was left untouched.
    CapacityError
        The disk has no room for the synapses.
    MissingDependencyError
        h5py is not installed.
    """
    schema.check_free(path, "network", overwrite=overwrite)
    circuit = read_circuit(config)
    nodes = read_nodes(circuit)
    census = _census(circuit, nodes)
    made = arrange(nodes, signs(circuit.path, nodes, census.positive, census.negative))
    in_degree = census.in_degree[made.node]
    populations, labels, slots = populations_of(circuit, made, in_degree)
    parameters = parameters_of(circuit, nodes, made)
    fixed = None if circuit.marks else census.fixed_point()
    dtype, scale = (np.dtype(np.uint32), fixed.scale) if fixed else _weights(circuit, census)
    _refuse_full_disk(Path(path), int(in_degree.sum()))
    spikes = read_spikes(circuit, nodes, made)
    attributes = {
        "source": _source(circuit), "slots": slots, **census.told(),
        "scripted_population": [p for p, kind in enumerate(made.kinds) if kind.model is None],
    }  # fmt: skip
    writer = create_import(
        path, populations, parameters, labels, in_degree, weight_dtype=dtype, weight_scale=scale,
        attributes=attributes, sources=spikes, overwrite=overwrite, chunk=chunk,
    )  # fmt: skip
    try:
        _place(_records(circuit, nodes, made, fixed), writer, Path(path), in_degree, dtype)
    except OSError as error:
        if isinstance(error, DTBDaskError):
            raise
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return writer.finish()


def _source(circuit: Circuit) -> str:
    origin = str(circuit.marks.get("source", ""))
    return f"SONATA {circuit.path.parent.name}" + (f" ({origin})" if origin else "")


@dataclass
class _Census:
    """What the first pass over the synapses finds; by place among the nodes of the files."""

    in_degree: Ints
    kick: NDArray[np.float64]
    """Sum of the weights that a node receives."""
    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    largest: float = 0.0
    bits: int = 0
    """Fractional bits with which all weights are exact."""
    delay: tuple[float, float] = (np.inf, -np.inf)

    def add(self, batch: Batch) -> None:
        target, of_target = np.unique(batch.target, return_inverse=True)
        weight = np.abs(batch.weight.astype(np.float64))
        self.in_degree[target] += np.bincount(of_target, minlength=target.size)
        self.kick[target] += np.bincount(of_target, weight.max(axis=1), minlength=target.size)
        self.positive[batch.source[(batch.weight > 0).any(axis=1)]] = True
        self.negative[batch.source[(batch.weight < 0).any(axis=1)]] = True
        self.largest = max(self.largest, float(weight.max(initial=0)))
        self.bits = max(self.bits, fraction_bits(weight))
        known = batch.delay[~np.isnan(batch.delay)]
        low, high = self.delay
        self.delay = (min(low, known.min(initial=np.inf)), max(high, known.max(initial=-np.inf)))

    def fixed_point(self) -> FixedPoint:
        """How floating-point weights are counted; a warning where they are rounded."""
        degree, kick = int(self.in_degree.max()), float(self.kick.max())
        fixed = choose(self.bits, self.largest, kick, degree)
        if fixed.bits < self.bits:
            logger.warning("weights are rounded to multiples of 2^%d", -fixed.bits)
        return fixed

    def told(self) -> dict[str, list[float]]:
        """Attributes of the network; a warning where delays are lost."""
        low, high = self.delay
        if low > high:
            return {}
        if not low == high == DELAY_MS:
            logger.warning(
                "delays of %g to %g ms are not kept: every spike arrives after one step", low, high
            )
        return {"delay_ms": [float(low), float(high)]}


def _census(circuit: Circuit, nodes: Nodes) -> _Census:
    n = nodes.kind.size
    census = _Census(np.zeros(n, np.int64), np.zeros(n), np.zeros(n, bool), np.zeros(n, bool))
    for batch in batches(circuit, nodes, EDGES_AT_ONCE):
        census.add(batch)
    if circuit.marks:  # integers without a sign: it is in the populations
        census.positive[:] = census.negative[:] = False
    return census


def _weights(circuit: Circuit, census: _Census) -> tuple[np.dtype[np.unsignedinteger], float]:
    """Integer type of the weights that `export_sonata` wrote, and the weight of integer 1."""
    scale = circuit.marks.get("weight_scale")
    if not isinstance(scale, float) or not 0 < scale < np.inf:
        raise InputFileError(f"{circuit.path}: weight_scale is {scale!r}; expected more than 0")
    if census.kick.max() > LARGEST_KICK:
        raise InputFileError(
            f"{circuit.path}: the integer weights of a neuron sum to {census.kick.max():,.0f}, "
            f"more than {LARGEST_KICK:,}; remove the entry {OURS!r} to read syn_weight"
        )
    return weight_dtype(circuit), scale


def _refuse_full_disk(path: Path, n_synapses: int) -> None:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    need, free = n_synapses * (4 * RECORD + 12), shutil.disk_usage(folder).free
    if need > free:
        raise CapacityError(
            f"{path}: an import of {n_synapses:,} synapses needs {need:,} bytes of disk, of which "
            f"{4 * RECORD * n_synapses:,} for a while; {free:,} are free"
        )


def _place(
    records: Iterator[NDArray[np.uint32]],
    writer: ImportWriter,
    path: Path,
    in_degree: Ints,
    dtype: np.dtype[np.unsignedinteger],
) -> None:
    """Bring the synapses into the order of their targets, and write them."""
    edges = stretches(in_degree, EDGES_AT_ONCE)
    with (
        tempfile.TemporaryDirectory(prefix=".dtbdask-import-", dir=path.parent) as folder,
        progress.track("Importing", 2 * int(in_degree.sum()), "synapses") as step,
    ):
        spill = Spill(Path(folder), edges, RECORD, np.dtype(np.uint32))
        for some in records:
            spill.put(some)
            step(len(some))
        for some in spill.buckets():
            writer.append(some[:, 1], some[:, 2:].astype(dtype))
            step(len(some))


def _records(
    circuit: Circuit, nodes: Nodes, made: Arrangement, fixed: FixedPoint | None
) -> Iterator[NDArray[np.uint32]]:
    """Target, source and integer weights of all synapses, in the order of the files."""
    for batch in batches(circuit, nodes, EDGES_AT_ONCE):
        weight = batch.weight if fixed is None else fixed.encode(np.abs(batch.weight))
        ends = (made.neuron[batch.target], made.neuron[batch.source])
        yield np.column_stack([*ends, weight]).astype(np.uint32)
