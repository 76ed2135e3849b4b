"""Spikes that virtual nodes play back, from the files that a simulation configuration names.

A time in ms falls into the step of 1 ms, the default one, that holds it; several spikes of a node
in one step are one.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.guard import refuse_bomb
from dtbdask.errors import InputFileError
from dtbdask.graph.sonata.files import Circuit, Input
from dtbdask.graph.sonata.hdf5 import Folder, open_hdf5
from dtbdask.graph.sonata.models import DELAY_MS
from dtbdask.graph.sonata.nodes import Nodes
from dtbdask.graph.sonata.populations import Arrangement

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

LAST_STEP = 2**40
"""Steps in 35 years of 1 ms."""


def read_spikes(circuit: Circuit, nodes: Nodes, made: Arrangement) -> tuple[Ints, Ints] | None:
    """Scripted spikes of the virtual nodes.

    Parameters
    ----------
    circuit : Circuit
    nodes : Nodes
    made : Arrangement

    Returns
    -------
    (step, neuron) of (spike,) int64, or None
        By step and neuron; None for a network without virtual nodes.

    Raises
    ------
    InputFileError
        A file is damaged, or holds spikes of nodes that are not there or not virtual.
    """
    virtual = nodes.virtual()
    if not virtual.any():
        return None
    parts = [np.empty((0, 2), np.int64)]
    for given in circuit.inputs:
        place, step = _read(given, nodes)
        wrong = np.flatnonzero(~virtual[place])
        if wrong.size:
            raise InputFileError(
                f"{given.path}: has spikes of {nodes.called(int(place[wrong[0]]))}, which is no "
                "virtual node"
            )
        parts.append(np.column_stack([step, made.neuron[place]]))
    spikes = np.concatenate(parts)
    distinct = np.unique(spikes, axis=0)
    if len(distinct) < len(spikes):
        logger.warning(
            "%d of %d spikes share a step of %g ms with another of their node and are left out",
            len(spikes) - len(distinct), len(spikes), DELAY_MS,
        )  # fmt: skip
    return distinct[:, 0], distinct[:, 1]


def _read(given: Input, nodes: Nodes) -> tuple[Ints, Ints]:
    """Places of nodes, and steps of their spikes."""
    if given.population not in nodes.lookups:
        raise InputFileError(
            f"{given.path}: is for node population {given.population[:80]!r}, which the network "
            "lacks"
        )
    with open_hdf5(given.path) as file:
        group = _group(file, given.population)
        time = group.required("timestamps", "numbers")
        name = "node_ids" if "node_ids" in group.names() else "gids"
        node = group.required(name, "integers", len(time))
        refuse_bomb(given.path, 64 * len(time), None)
        place = nodes.lookups[given.population].places(node.read(), node)
        step = np.floor(time.read().astype(np.float64) / DELAY_MS)
        bad = np.flatnonzero(~((step >= 0) & (step < LAST_STEP)))
        if bad.size:
            raise InputFileError(f"{time}[{bad[0]}] is no time of 0 ms or more")
    return place, step.astype(np.int64)


def _group(file: Folder, population: str) -> Folder:
    """Spikes of a population: a group of its name, or in old files of all there is."""
    spikes = file.folder("spikes")
    if spikes is None:
        raise InputFileError(f"{file.path}: lacks the group /spikes")
    if "timestamps" in spikes.names():
        return spikes
    group = spikes.folder(population)
    if group is None:
        raise InputFileError(f"{spikes} has no population {population!r}")
    return group
