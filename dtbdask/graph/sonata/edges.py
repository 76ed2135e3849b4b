"""Edges of a SONATA network, checked and read a stretch at a time, however they are sorted.

A synapse has one weight, `syn_weight` (of the edge, or else of its type) times `nsyns` where there
is one. It must be static: plasticity, gap junctions, receptor ports, functions for weights and
places on sections cannot be represented. A delay is looked at and told, not kept: in our network a
spike arrives at the end of the step it was fired in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputFileError
from dtbdask.graph.sonata.files import OURS, Circuit, Part
from dtbdask.graph.sonata.hdf5 import Column, Folder, open_hdf5
from dtbdask.graph.sonata.nodes import Lookup, Nodes
from dtbdask.graph.sonata.texts import Row, number_of, read_numbers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STATIC = ("static_synapse",)
PRODUCTS = ("default_weight_fnc", "set_syn_weight", "wmax")
"""Weight functions of BMTK's that are syn_weight times nsyns."""

FOREIGN: Mapping[str, str] = {
    "afferent_section_id": "places on sections",
    "afferent_section_pos": "places on sections",
    "efferent_section_id": "places on sections",
    "efferent_section_pos": "places on sections",
    "sec_id": "places on sections",
    "sec_x": "places on sections",
    "receptor_type": "receptor ports",
    "is_gap_junction": "gap junctions",
    "weight_function": "functions for weights",
    "dynamics_params": "models of synapses",
}
"""What an edge may have that a synapse of ours has not."""

QUANTITIES = ("syn_weight", "nsyns", "delay")


@dataclass(frozen=True)
class Batch:
    """Some synapses, in the order of the file.

    Attributes
    ----------
    source, target : (synapse,) int64
        Places among the nodes of the files.
    weight : (synapse, pair) float64 or unsigned integer
        Signed floating-point ones, or the integers that `export_sonata` wrote.
    delay : (synapse,) float64, ms
        NaN where none is told.
    """

    source: Ints
    target: Ints
    weight: NDArray[np.float64] | NDArray[np.unsignedinteger]
    delay: Floats


def batches(circuit: Circuit, nodes: Nodes, chunk: int) -> Iterator[Batch]:
    """All synapses of a network: edge populations in the order of the files.

    Parameters
    ----------
    circuit : Circuit
    nodes : Nodes
    chunk : int
        Synapses at a time; what is held is some hundred bytes for each.

    Raises
    ------
    InputFileError
        A file is damaged or contradicts itself, or a synapse cannot be represented.
    """
    for part in circuit.edges:
        with open_hdf5(part.data) as file:
            edges = file.folder("edges")
            if edges is None:
                raise InputFileError(f"{part.data}: lacks the group /edges")
            for name, group in edges.folders():
                yield from _Population.open(circuit, part, group, name, nodes).batches(chunk)


@dataclass(frozen=True)
class _Types:
    """Edge types of a population by ascending number, and what each gives its edges."""

    number: Ints
    values: dict[str, Floats]

    @classmethod
    def read(cls, circuit: Circuit, part: Part, population: str) -> _Types:
        rows = part.types("edge_type_id", population)
        numbers = sorted(rows)
        told: dict[str, list[float]] = {name: [] for name in QUANTITIES}
        for number in numbers:
            row = rows[number]
            extra = _check_type(circuit, part, number, row)
            for name in QUANTITIES:
                value = number_of(row, name, part.table)
                told[name].append(extra.get(name, np.nan) if value is None else value)
        return cls(np.array(numbers, np.int64), {key: np.array(v) for key, v in told.items()})

    def index(self, number: NDArray[np.integer], column: Column) -> Ints:
        number = number.astype(np.int64)
        at = np.minimum(np.searchsorted(self.number, number), max(self.number.size - 1, 0))
        known = self.number[at] == number if self.number.size else np.zeros(number.size, bool)
        bad = np.flatnonzero(~known)
        if bad.size:
            raise InputFileError(
                f"{column} holds {number[bad[0]]}, which its table of edge types lacks"
            )
        return at


@dataclass(frozen=True)
class _Population:
    """One edge population, opened."""

    group: Folder
    types: _Types
    exact: np.dtype[np.unsignedinteger] | None
    source: Column
    target: Column
    source_nodes: Lookup
    target_nodes: Lookup
    virtual: NDArray[np.bool_]

    @classmethod
    def open(
        cls, circuit: Circuit, part: Part, group: Folder, name: str, nodes: Nodes
    ) -> _Population:
        target = group.required("target_node_id", "integers")
        source = group.required("source_node_id", "integers", len(target))
        types = _Types.read(circuit, part, name)
        ends = [_lookup(column, nodes) for column in (source, target)]
        exact = weight_dtype(circuit) if circuit.marks else None
        return cls(group, types, exact, source, target, ends[0], ends[1], nodes.virtual())

    def batches(self, chunk: int) -> Iterator[Batch]:
        n = len(self.target)
        kind = self.group.required("edge_type_id", "integers", n)
        which = self.group.column("edge_group_id", "integers", n)
        where = self.group.column("edge_group_index", "integers", n)
        for start in range(0, n, chunk):
            stop = min(start + chunk, n)
            number = np.zeros(stop - start, np.int64) if which is None else which.read(start, stop)
            index = np.arange(start, stop) if where is None else where.read(start, stop)
            of_type = self.types.index(kind.read(start, stop), kind)
            target = self.target_nodes.places(self.target.read(start, stop), self.target)
            source = self.source_nodes.places(self.source.read(start, stop), self.source)
            self._refuse_virtual(target, start)
            weight, delay = self._values(of_type, number, index, chunk)
            yield Batch(source, target, weight, delay)

    def _refuse_virtual(self, target: Ints, start: int) -> None:
        bad = np.flatnonzero(self.virtual[target])
        if bad.size:
            raise InputFileError(
                f"{self.target}[{start + bad[0]}] is a virtual node, which only sends spikes"
            )

    def _values(
        self, of_type: Ints, number: NDArray[np.integer], index: NDArray[np.integer], chunk: int
    ) -> tuple[NDArray[np.float64] | NDArray[np.unsignedinteger], Floats]:
        """Weights and delays: those of the edge's group, or else of its type."""
        names = ("delay",) if self.exact else QUANTITIES
        told = {name: self.types.values[name][of_type] for name in names}
        pair = np.zeros((of_type.size, 2), self.exact or np.float64)
        for one in np.unique(number):
            group = self._group(int(one))
            here = np.flatnonzero(number == one)
            for name in names:
                column = group.column(name, "numbers")
                if column is not None:
                    told[name][here] = _gather(column, index[here], chunk)
            for place, name in enumerate(("fast", "slow") if self.exact else ()):
                column = group.required(f"{OURS}_weight_{name}", "integers")
                if column.dtype != self.exact:
                    raise InputFileError(
                        f"{column} has dtype {column.dtype}, but weight_dtype "
                        f"of the network is {self.exact}"
                    )
                pair[here, place] = _gather(column, index[here], chunk)
        if "nsyns" in told:
            told["nsyns"][np.isnan(told["nsyns"])] = 1
        self._check(told)
        if not self.exact:
            pair[:, 0] = told["syn_weight"] * told["nsyns"]
        return pair, told["delay"]

    def _group(self, number: int) -> Folder:
        group = self.group.folder(str(number))
        where = str(self.group)
        if group is None:
            raise InputFileError(f"{where} lacks the group {number}, which edge_group_id names")
        foreign = sorted(set(group.names()) & set(FOREIGN))
        if foreign:
            raise InputFileError(
                f"{where}/{number} has {foreign[0]}: {FOREIGN[foreign[0]]} cannot be represented"
            )
        return group

    def _check(self, told: dict[str, Floats]) -> None:
        right = {"syn_weight": "a finite number", "delay": "0 ms or more", "nsyns": "0 or more"}
        for name, value in told.items():
            wrong = ~np.isfinite(value) | ((value < 0) & (name != "syn_weight"))
            bad = np.flatnonzero(wrong & ~(np.isnan(value) & (name == "delay")))
            if bad.size:
                first = value[bad[0]]
                raise InputFileError(
                    f"{self.group}: {name} of an edge is "
                    f"{'missing' if np.isnan(first) else f'{first:g}'}; expected {right[name]}"
                )


def weight_dtype(circuit: Circuit) -> np.dtype[np.unsignedinteger]:
    """Integer type of the weights that `export_sonata` wrote."""
    name = circuit.marks.get("weight_dtype")
    if name not in ("uint8", "uint32"):
        raise InputFileError(f"{circuit.path}: weight_dtype is {name!r}; expected uint8 or uint32")
    return np.dtype(str(name))


def _lookup(column: Column, nodes: Nodes) -> Lookup:
    name = column.attribute("node_population")
    if name not in nodes.lookups:
        raise InputFileError(
            f"{column} is of node population {name[:80]!r}; known are {', '.join(nodes.lookups)}"
        )
    return nodes.lookups[name]


def _gather(column: Column, index: NDArray[np.integer], block: int) -> NDArray[np.generic]:
    """Values of a column at any places, of which at most `block` are read at once."""
    low, high = (int(index.min()), int(index.max()) + 1) if index.size else (0, 0)
    if low < 0 or high > len(column):
        raise InputFileError(
            f"{column} has {len(column):,} values, but an edge_group_index is "
            f"{low if low < 0 else high - 1}"
        )
    found = np.empty(index.size, column.dtype)
    for start in range(low, high, block):
        stop = min(start + block, high)
        here = np.flatnonzero((index >= start) & (index < stop))
        if here.size:
            found[here] = column.read(start, stop)[index[here].astype(np.int64) - start]
    return found


def _check_type(circuit: Circuit, part: Part, number: int, row: Row) -> dict[str, float]:
    """Refuse an edge type that is more than a weight; what its parameter file gives."""
    where = f"{part.table}: edge_type_id {number}"
    template = row.get("model_template", STATIC[0]).removeprefix("nest:")
    if template not in STATIC:
        raise InputFileError(
            f"{where}: model_template {template[:80]!r} cannot be represented; read are "
            f"{', '.join(STATIC)} and none (NULL)"
        )
    function = row.get("weight_function", PRODUCTS[0])
    if function not in PRODUCTS:
        raise InputFileError(
            f"{where}: weight_function {function[:80]!r} is code, not data; write its weights as "
            "syn_weight"
        )
    extra: dict[str, float] = {}
    if "dynamics_params" in row:
        extra = read_numbers(circuit.synapse_models, row["dynamics_params"], part.table)
    extra = {"syn_weight" if key == "weight" else key: value for key, value in extra.items()}
    for name in ("receptor_type", "is_gap_junction"):
        value = row.get(name, extra.pop(name, 0))
        if str(value).lower() not in ("0", "0.0", "false"):
            raise InputFileError(f"{where}: {name} is {value}; {FOREIGN[name]} cannot be "
                                 "represented")  # fmt: skip
    unknown = sorted(set(extra) - set(QUANTITIES))
    if unknown:
        raise InputFileError(f"{where}: unknown parameter {unknown[0][:80]!r} of a static synapse")
    return extra
