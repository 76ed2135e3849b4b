"""DTB's block files into a network store of ours, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from dtbdask import progress, schema
from dtbdask.graph.dtb.folder import open_folder
from dtbdask.graph.dtb.survey import survey
from dtbdask.graph.dtb.tables import attributes, scripted, tables, weights
from dtbdask.graph.imported import create_import
from dtbdask.graph.network import Network


def import_dtb(
    folder: str | Path,
    path: str | Path,
    *,
    slots: int = 2,
    member: int | None = None,
    overwrite: bool = False,
    chunk: int | None = None,
) -> Network:
    """Import a folder of DTB block files into a network store.

    All is read and checked before anything is written. Memory holds the neurons, and a stretch of
    the synapses (of a block whose synapses are not in target order, all of its synapses).

    Parameters
    ----------
    folder : path
        With `block_0.npz`, `block_1.npz`, ...; if it holds an ensemble of one network, that network
        is imported once and the number of members is kept as attribute `members`.
    path : path
        Of the new store.
    slots : {2, 10}
        Population ids of a voxel: E and I, or those of the ten slots of a micro-column.
    member : int, optional
        The one member of an ensemble to import, where the members differ.
    overwrite : bool
        Replace a network that is at `path`.
    chunk : int, optional
        Synapses in a chunk of the store.

    Returns
    -------
    Network
        Floating-point weights are fixed-point integers, see `dtbdask.graph.fixed_point`; attribute
        `weight_rounding` is the largest difference that makes.

    Raises
    ------
    InputError
        `slots` or `member` is none that there is.
    InputFileError
        A block is missing, damaged, or contradicts itself or another.
    StoreExistsError
        Something else is at `path`; it was left untouched.
    """
    schema.check_free(path, "network", overwrite=overwrite)
    seen = survey(open_folder(folder, slots, member))
    populations, parameters, labels = tables(seen)
    kind, scale = weights(seen)
    writer = create_import(
        path, populations, parameters, labels, seen.in_degree, weight_dtype=kind,
        weight_scale=scale, attributes=attributes(seen), sources=scripted(seen),
        overwrite=overwrite, chunk=chunk,
    )  # fmt: skip
    with progress.track("Importing", seen.folder.n_synapses, "synapses") as step:
        for source, weight in seen.synapses():
            writer.append(source, weight)
            step(source.size)
    return writer.finish()
