"""The node files of a SONATA network, checked against their tables of types.

Node populations come in the order of the configuration, types in the order of their table, and
neurons of one type by their place in the file, so that `export_sonata` is undone exactly.

The sign of a neuron is told by `ei`, in the table of types or node by node: text that begins with e
or i. Where it is not told, a neuron with negative weights inhibits, any other excites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.guard import refuse_bomb
from dtbdask.errors import InputFileError
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.graph.sonata.files import OURS, Circuit, Part
from dtbdask.graph.sonata.hdf5 import Column, Folder, open_hdf5
from dtbdask.graph.sonata.models import SILENT, Model
from dtbdask.graph.sonata.nodes import UNTOLD, Kind, Lookup, Nodes
from dtbdask.graph.sonata.texts import Row, read_numbers

if TYPE_CHECKING:
    from pathlib import Path

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

POINT = ("point_neuron", "point_process")
VIRTUAL = "virtual"
PER_NODE = ("model_type", "model_template", "morphology", "model_processing")
"""What makes a neuron another one and is read from the table of types alone."""


def read_nodes(circuit: Circuit) -> Nodes:
    """Read all node populations of a network.

    Parameters
    ----------
    circuit : Circuit

    Raises
    ------
    InputFileError
        A file is damaged, contradicts its table, or holds neurons that cannot be represented.
    """
    kinds: list[Kind] = []
    lookups: dict[str, Lookup] = {}
    kind, sign = [np.empty(0, np.int32)], [np.empty(0, np.int8)]
    pieces: list[tuple[Ints, str, Floats]] = []
    numbers = cache(lambda name, table: read_numbers(circuit.neuron_models, name, table))
    first = 0
    for part, group, name in _populations(circuit):
        if name in lookups:
            raise InputFileError(f"{part.data}: node population {name!r} is in two files")
        found = _Population.read(part, group, name, bool(circuit.marks))
        lookups[name] = found.lookup(first)
        kind.append(found.kind + len(kinds))
        new = [
            _kind(part, name, number, row, numbers, ours=found.exact)
            for number, row in found.types.items()
        ]
        sign.append(found.signs(new))
        pieces += [(first + place, own_name, own) for place, own_name, own in found.own(new)]
        kinds += new
        first += found.kind.size
    if not 0 < first < 2**32:
        raise InputFileError(f"{circuit.path}: has {first:,} nodes; expected 1 to {2**32 - 1:,}")
    every: dict[str, Floats] = {}
    for place, name, values in pieces:
        every.setdefault(name, np.full(first, np.nan))[place] = values
    return Nodes(kinds, lookups, np.concatenate(kind), np.concatenate(sign), every)


def _populations(circuit: Circuit) -> Iterator[tuple[Part, Folder, str]]:
    for part in circuit.nodes:
        with open_hdf5(part.data) as file:
            nodes = file.folder("nodes")
            if nodes is None or not nodes.names():
                raise InputFileError(f"{part.data}: holds no node population in /nodes")
            for name, group in nodes.folders():
                yield part, group, name


@dataclass(frozen=True)
class _Population:
    """A node population as its file tells it."""

    part: Part
    group: Folder
    name: str
    exact: bool
    """Written by `export_sonata`: parameters of single neurons are in datasets of ours."""
    types: dict[int, Row]
    kind: NDArray[np.int32]
    node_id: Ints

    @classmethod
    def read(cls, part: Part, group: Folder, name: str, exact: bool) -> _Population:
        column = group.required("node_type_id", "integers")
        given = group.column("node_id", "integers", len(column))
        refuse_bomb(part.data, 64 * len(column), None)
        rows = part.types("node_type_id", name)
        numbers, inverse = np.unique(column.read(), return_inverse=True)
        lost = [int(number) for number in numbers if int(number) not in rows]
        if lost:
            raise InputFileError(f"{column} holds {lost[0]}, which {part.table.name} lacks")
        used = {number: row for number, row in rows.items() if number in set(numbers.tolist())}
        place = {number: index for index, number in enumerate(used)}
        kind = np.array([place[int(number)] for number in numbers], np.int32)[inverse]
        ids = np.arange(len(column)) if given is None else given.read()
        if ids.size and (ids.min() < 0 or ids.max() >= 2**63):
            raise InputFileError(f"{group}/node_id holds a negative id")
        return cls(part, group, name, exact, used, kind, ids.astype(np.int64))

    def lookup(self, first: int) -> Lookup:
        place = np.argsort(self.node_id, kind="stable")
        ids = self.node_id[place]
        twice = ids[:-1][np.diff(ids) == 0]
        if twice.size:
            raise InputFileError(f"{self.group}/node_id holds {twice[0]} twice")
        return Lookup(self.name, first, ids, place)

    def signs(self, kinds: list[Kind]) -> NDArray[np.int8]:
        """Signs by `ei`, that of a node before that of its type."""
        where = f"{self.part.table}: node_type_id"
        told = [_sign(kind.row.get("ei"), f"{where} {kind.number}") for kind in kinds]
        sign = np.array(told, np.int8)[self.kind]
        for group, node, index in self._groups():
            column = group.column("ei", "text")
            if column is not None:
                words = column.text()
                known = {word: _sign(word, f"{column}") for word in set(words)}
                each = np.array([known[word] for word in words], np.int8)
                sign[node] = each[_inside(index, column)]
        return sign

    def own(self, kinds: list[Kind]) -> Iterator[tuple[Ints, str, Floats]]:
        """Parameters of single nodes: their places, our name, values."""
        for group, node, index in self._groups():
            if self.exact:
                for name in PARAMETERS:
                    column = group.column(f"{OURS}_{name}", "numbers")
                    if column is not None:
                        yield node, name, _values(column, index)
                continue
            folder = group.folder("dynamics_params")
            for key in folder.names() if folder is not None else ():
                assert folder is not None
                column = folder.required(key, "numbers")
                values = _values(column, index)
                for model in {kind.model for kind in kinds} - {None}:
                    assert model is not None
                    name, factor = model.translate(key, f"{column}")
                    its = np.array([kind.model == model for kind in kinds])[self.kind[node]]
                    yield node[its], name, values[its] / factor

    def _groups(self) -> Iterator[tuple[Folder, Ints, Ints]]:
        """Groups of nodes, the nodes of each and their places in its columns."""
        n = self.kind.size
        which = self.group.column("node_group_id", "integers", n)
        where = self.group.column("node_group_index", "integers", n)
        number = np.zeros(n, np.int64) if which is None else which.read()
        index = np.arange(n) if where is None else where.read()
        for one in np.unique(number):
            group = self.group.folder(str(one))
            if group is None and which is None:
                continue
            if group is None:
                raise InputFileError(
                    f"{self.group} lacks the group {one}, which node_group_id names"
                )
            foreign = sorted(set(group.names()) & set(PER_NODE))
            if foreign:
                raise InputFileError(
                    f"{group}/{foreign[0]} gives single nodes another "
                    f"model; {foreign[0]} is read from the table of types alone"
                )
            node = np.flatnonzero(number == one)
            yield group, node, index[node]


def _inside(index: NDArray[np.integer], column: Column) -> Ints:
    bad = np.flatnonzero((index < 0) | (index >= len(column)))
    if bad.size:
        raise InputFileError(
            f"{column} has {len(column):,} values, but a group index is {index[bad[0]]}"
        )
    return index.astype(np.int64)


def _values(column: Column, index: NDArray[np.integer]) -> Floats:
    """Parameters of single nodes, which all must have one."""
    values = column.read()[_inside(index, column)].astype(np.float64)
    bad = np.flatnonzero(np.isnan(values))
    if bad.size:
        raise InputFileError(f"{column}[{index[bad[0]]}] is nan; expected a number")
    return values


def _sign(word: str | None, where: str) -> int:
    if word is None:
        return UNTOLD
    first = word.strip("'\" ")[:1].lower()
    if first not in ("e", "i"):
        raise InputFileError(
            f"{where}: ei is {word[:80]!r}; expected a word that begins with e or i"
        )
    return int(first == "e")


def _kind(
    part: Part,
    population: str,
    number: int,
    row: Row,
    numbers: Callable[[str, Path], dict[str, float]],
    *,
    ours: bool,
) -> Kind:
    where = f"{part.table}: node_type_id {number}"
    model_type = row.get("model_type")
    if model_type == VIRTUAL:
        return Kind(population, number, row, None, {**SILENT, "excluded": 1.0})
    if model_type not in POINT:
        raise InputFileError(
            f"{where}: model_type {model_type!r} cannot be represented; read are "
            f"{', '.join(POINT)} and {VIRTUAL}"
        )
    exact = row.get(f"{OURS}_params") if ours else None
    model = Model("") if exact else Model.of(row.get("model_template"), where)
    file = exact or row.get("dynamics_params")
    given = numbers(file, part.table) if file else {}
    return Kind(population, number, row, model, model.values(given, where))
