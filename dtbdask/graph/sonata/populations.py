"""The neurons of a SONATA network as populations of ours.

A node population becomes a voxel, a node type a slot of it; a type whose neurons have both signs
becomes two populations. What `export_sonata` wrote says itself which voxel and slot a type is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError, InputFileError
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.sonata.files import OURS, Circuit
from dtbdask.graph.sonata.nodes import Kind, Nodes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Arrangement:
    """Which node of the files becomes which neuron.

    Attributes
    ----------
    node : (neuron,) int64
        Place of each neuron among the nodes of the files.
    neuron : (node,) int64
        And the other way round.
    kinds : list of Kind
        Of each population.
    excitatory : (population,) bool
    size : (population,) int64
    """

    node: Ints
    neuron: Ints
    kinds: list[Kind]
    excitatory: NDArray[np.bool_]
    size: Ints


def arrange(nodes: Nodes, sign: Ints) -> Arrangement:
    """Number the neurons population by population.

    Parameters
    ----------
    nodes : Nodes
    sign : (node,) int64
        1 excites, 0 inhibits.
    """
    code = 2 * nodes.kind.astype(np.int64) + 1 - sign
    node = np.argsort(code, kind="stable")
    neuron = np.empty_like(node)
    neuron[node] = np.arange(node.size)
    size = np.bincount(code, minlength=2 * len(nodes.kinds))
    used = np.flatnonzero(size)
    kinds = [nodes.kinds[place] for place in used // 2]
    return Arrangement(node, neuron, kinds, used % 2 == 0, size[used].astype(np.int64))


def populations_of(
    circuit: Circuit, made: Arrangement, in_degree: Ints
) -> tuple[Populations, tuple[str, ...], list[str]]:
    """Populations, names of the voxels and names of the slots.

    Parameters
    ----------
    circuit : Circuit
    made : Arrangement
    in_degree : (neuron,) int64
    """
    if circuit.marks:
        labels, slots = (_names(circuit, key) for key in ("labels", "slots"))
        voxel = _indices(circuit, made, "voxel", len(labels))
        slot = _indices(circuit, made, "slot", len(slots))
    else:
        labels = list(dict.fromkeys(kind.population for kind in made.kinds))
        voxel = np.array([labels.index(kind.population) for kind in made.kinds])
        names = _slot_names(made.kinds)
        slots = list(dict.fromkeys(names))
        place = {name: index for index, name in enumerate(slots)}
        slot = np.array([place[name] for name in names])
    if len(slots) > 2**15:
        raise InputFileError(f"{circuit.path}: {len(slots):,} names of node types; at most 32,768")
    first = np.cumsum(made.size) - made.size
    degree = np.maximum.reduceat(in_degree, first).astype(np.int32)
    return (
        Populations.bare(voxel, slot, made.excitatory, made.size, degree), tuple(labels), slots,
    )  # fmt: skip


def parameters_of(circuit: Circuit, nodes: Nodes, made: Arrangement) -> Parameters:
    """Parameters of the populations, and those of single neurons."""
    values = {
        name: np.array([kind.values.get(name, parameter.default) for kind in made.kinds])
        for name, parameter in PARAMETERS.items()
    }
    own = {}
    for name, given in nodes.own.items():
        usual, given = np.repeat(values[name], made.size), given[made.node]
        own[name] = np.where(np.isnan(given), usual, given)
    try:
        parameters = Parameters.make(made.size.size, values)
        return parameters.with_neuron(own, made.node.size)
    except InputError as error:
        raise InputFileError(f"{circuit.path}: {error}") from error


def _slot_names(kinds: list[Kind]) -> list[str]:
    """What each type is called: `pop_name` or `model_name` where no other type has the same."""
    told = [kind.row.get("pop_name") or kind.row.get("model_name") or "" for kind in kinds]
    numbers: dict[tuple[str, str], set[int]] = {}
    for kind, name in zip(kinds, told, strict=True):
        numbers.setdefault((kind.population, name), set()).add(kind.number)
    return [
        name
        if name and len(numbers[kind.population, name]) == 1
        else f"{name or 'type'} {kind.number}"
        for kind, name in zip(kinds, told, strict=True)
    ]


def _names(circuit: Circuit, key: str) -> list[str]:
    names = circuit.marks.get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputFileError(f"{circuit.path}: {key} of its {OURS} file is not a list of text")
    return names


def _indices(circuit: Circuit, made: Arrangement, what: str, stop: int) -> Ints:
    column = f"{OURS}_{what}"
    for kind in made.kinds:
        told: Any = kind.row.get(column, "")
        if not told.isdecimal() or int(told) >= stop:
            raise InputFileError(
                f"{circuit.path}: {column} of node_type_id {kind.number} is {told[:80]!r}; "
                f"expected 0 to {stop - 1}"
            )
    return np.array([int(kind.row[column]) for kind in made.kinds], dtype=np.int64)
