"""Nodes of a SONATA network: which neurons there are, of which kind and sign, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputFileError
from dtbdask.graph.sonata.hdf5 import Column
from dtbdask.graph.sonata.models import Model
from dtbdask.graph.sonata.texts import Row

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNTOLD = -1
"""Sign of a neuron that no `ei` tells; 1 excites, 0 inhibits."""


@dataclass(frozen=True)
class Kind:
    """A node type that has nodes.

    Attributes
    ----------
    population : str
        Its node population.
    number : int
        Its `node_type_id`.
    row : dict of str to str
        Its columns in the table of types.
    model : Model or None
        Of its parameters; None for a virtual node, which has none.
    values : dict of str to float
        Parameters by our names; what is absent has our default.
    """

    population: str
    number: int
    row: Row
    model: Model | None
    values: dict[str, float]


@dataclass(frozen=True)
class Lookup:
    """From the ids of a node population to places among all nodes."""

    name: str
    first: int
    ids: Ints
    """Ascending."""
    place: Ints
    """Of each id, in the node population."""

    def places(self, node_id: NDArray[np.integer], column: Column) -> Ints:
        """Places of nodes among all, or an `InputFileError` about an id that is not there."""
        node_id = node_id.astype(np.int64)
        at = np.searchsorted(self.ids, node_id)
        at[at == self.ids.size] = 0
        bad = np.flatnonzero(self.ids[at] != node_id) if self.ids.size else np.arange(node_id.size)
        if bad.size:
            raise InputFileError(
                f"{column} holds {node_id[bad[0]]}, which is no node of "
                f"population {self.name!r} ({self.ids.size:,} nodes)"
            )
        return self.first + self.place[at]


@dataclass(frozen=True)
class Nodes:
    """All nodes, in the order of the files.

    Attributes
    ----------
    kinds : list of Kind
    lookups : dict of str to Lookup
        By node population.
    kind : (node,) int32
        Index into `kinds`.
    sign : (node,) int8
        1 excites, 0 inhibits, `UNTOLD`.
    own : dict of str to (node,) float64
        Parameters of single nodes; NaN where a node has none of its own.
    """

    kinds: list[Kind]
    lookups: dict[str, Lookup]
    kind: NDArray[np.int32]
    sign: NDArray[np.int8]
    own: dict[str, Floats]

    def virtual(self) -> NDArray[np.bool_]:
        """Nodes that only send spikes: (node,) bool."""
        return np.array([kind.model is None for kind in self.kinds], bool)[self.kind]

    def called(self, place: int) -> str:
        """Name of a node for a message."""
        lookup = next(x for x in reversed(self.lookups.values()) if x.first <= place)
        node_id = lookup.ids[lookup.place == place - lookup.first][0]
        return f"node {node_id} of population {lookup.name!r}"


def signs(
    path: Path, nodes: Nodes, positive: NDArray[np.bool_], negative: NDArray[np.bool_]
) -> Ints:
    """Sign of every node, from what its `ei` says and the weights it sends.

    Parameters
    ----------
    path : Path
        Of the configuration, for messages.
    nodes : Nodes
    positive, negative : (node,) bool
        Nodes that are the source of such weights.

    Returns
    -------
    (node,) int64
        1 excites, 0 inhibits.

    Raises
    ------
    InputFileError
        A node has weights of both signs, or excites by `ei` and has negative weights.
    """
    bad = np.flatnonzero(negative & (positive | (nodes.sign == 1)))
    if bad.size:
        at = int(bad[0])
        number = nodes.kinds[nodes.kind[at]].number
        told = "excites by its ei" if nodes.sign[at] == 1 else "has positive ones too"
        raise InputFileError(
            f"{path}: {nodes.called(at)} (node_type_id {number}) has negative weights, but {told}; "
            "a neuron must excite or inhibit"
        )
    return np.where(nodes.sign == UNTOLD, ~negative, nodes.sign == 1).astype(np.int64)
