"""The tables of a DTB network: populations, parameters, scripted spikes, and where it came from.

Neurons keep their order: those of block 0, then of block 1, and so on. Consecutive neurons of one
population id are a population of ours, whatever the blocks; id `n v + s` is slot `s` of voxel `v`,
with `n` slots a voxel.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.dtb.format import read_spikes
from dtbdask.graph.dtb.property import COLUMNS, Runs, read_columns
from dtbdask.graph.dtb.survey import Survey
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import UINT8_SCALE

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]


def tables(seen: Survey) -> tuple[Populations, Parameters, tuple[str, ...]]:
    """Populations, parameters and names of the voxels of a surveyed network."""
    populations = _populations(seen.runs, len(seen.folder.slots), seen.in_degree)
    labels = tuple(f"voxel {v}" for v in range(int(populations.voxel.max()) + 1))
    return populations, _parameters(seen), labels


def weights(seen: Survey) -> tuple[np.dtype[np.unsignedinteger], float]:
    """Integer type of the weights of a surveyed network, and the weight of integer 1."""
    if seen.fixed is None:
        return np.dtype(np.uint8), UINT8_SCALE
    if seen.rounding:
        logger.warning(
            "%s: weights were rounded by at most %.2g, to multiples of 2^%d",
            seen.folder.path, seen.rounding, -seen.fixed.bits,
        )  # fmt: skip
    return np.dtype(np.uint32), seen.fixed.scale


def attributes(seen: Survey) -> dict[str, Any]:
    """What else the store tells: where it came from, and how to write the same blocks again."""
    return {
        "source": f"DTB blocks {seen.folder.path.name}", "seed": None,
        "slots": list(seen.folder.slots), "members": seen.folder.members,
        "block_bounds": seen.folder.first.tolist(), "weight_type": seen.folder.weight_dtype.name,
        "weight_rounding": seen.rounding,
        "scripted_population": np.flatnonzero(seen.runs.plays).tolist(),
    }  # fmt: skip


def scripted(seen: Survey) -> tuple[Ints, Ints] | None:
    """Step and global neuron of the spikes that are played back; None without such neurons."""
    parts = [
        (step, neuron + first)
        for block, first in zip(seen.folder.blocks, seen.folder.first, strict=False)
        if block.plays
        for step, neuron in [read_spikes(block)]
    ]
    if not parts:
        return None
    steps, neurons = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((neurons, steps))
    return steps[order], neurons[order]


def _populations(runs: Runs, slots: int, in_degree: Ints) -> Populations:
    first = np.cumsum(runs.size) - runs.size
    degree = np.maximum.reduceat(in_degree, first)
    return Populations.bare(runs.id // slots, runs.id % slots, runs.id % 2 == 0, runs.size, degree)


def _parameters(seen: Survey) -> Parameters:
    """Columns that are the same in every population, and the others neuron by neuron."""
    runs, folder = seen.runs, seen.folder
    values = {name: runs.row[:, COLUMNS[name]] for name in PARAMETERS if name in COLUMNS}
    own = [name for name in values if not runs.same[:, COLUMNS[name]].all()]
    quiet = {"ou_mean": 0.0, "ou_sigma": 0.0}
    parameters = Parameters.make(runs.id.size, {**values, **quiet})
    if not own:
        return parameters
    table = np.concatenate([read_columns(block.path, own) for block in folder.blocks], axis=1)
    return parameters.with_neuron(dict(zip(own, table, strict=True)), table.shape[1])
