"""A folder of DTB's block files as a network held in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dtbdask.errors import InputError
from dtbdask.graph.dtb.folder import open_folder
from dtbdask.graph.dtb.property import COLUMNS
from dtbdask.graph.dtb.survey import survey
from dtbdask.graph.dtb.tables import attributes, tables, weights
from dtbdask.graph.network import Network
from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges

__all__ = ["COLUMNS", "read_dtb"]


def read_dtb(folder: str | Path, *, slots: int = 2, member: int | None = None) -> Network:
    """Read a folder of DTB block files into memory.

    Parameters
    ----------
    folder : path
        With `block_0.npz`, `block_1.npz`, ...; see `dtbdask.graph.dtb.importing.import_dtb`, which
        makes the same network in a store.
    slots : {2, 10}
        Population ids of a voxel.
    member : int, optional
        The one member of an ensemble to read, where the members differ.

    Returns
    -------
    Network
        In memory.

    Raises
    ------
    InputError
        `slots` or `member` is none that there is, or a block plays back given spikes, which only a
        store can keep.
    InputFileError
        A block is missing, damaged, or contradicts itself or another.
    """
    seen = survey(open_folder(folder, slots, member))
    playing = [block.path for block in seen.folder.blocks if block.plays]
    if playing:
        raise InputError(
            f"{playing[0]}: an input block, whose spikes a network in memory cannot keep; "
            "import it into a store with import_dtb"
        )
    populations, parameters, labels = tables(seen)
    kind, scale = weights(seen)
    source = np.empty(seen.folder.n_synapses, np.uint32)
    weight = np.empty((source.size, 2), kind)
    start = 0
    for sources, pairs in seen.synapses():
        stop = start + sources.size
        source[start:stop], weight[start:stop] = sources, pairs
        start = stop
    indptr = np.concatenate([[0], np.cumsum(seen.in_degree)]).astype(np.int64)
    edges = Held(InEdges(indptr, source, weight), scale)
    return Network(populations, parameters, edges, labels, attributes(seen))
