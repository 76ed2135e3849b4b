"""A network as a folder of DTB's block files, which DTB simulates as they are.

Blocks are stretches of neurons. Synapses are sorted by (target, block of the source), as DTB's
generator leaves them; those of one target and source block keep their order. Properties are single
precision, as DTB has them. Files are plain `numpy.savez` archives: DTB's reader cannot unpack.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.brain.guard import listed
from dtbdask.errors import StoreError, StoreExistsError
from dtbdask.graph.dtb.folder import BLOCK_NAME
from dtbdask.graph.dtb.format import SPIKE, SYNAPSE
from dtbdask.graph.dtb.outline import Plan
from dtbdask.graph.dtb.property import COLUMNS, N_COLUMNS, POPULATION_COLUMN
from dtbdask.graph.dtb.weights import decode
from dtbdask.graph.network import Network


def export_dtb(
    network: Network,
    folder: str | Path,
    *,
    blocks: int | Sequence[int] | None = None,
    dtype: str | None = None,
    members: int = 1,
    overwrite: bool = False,
) -> Path:
    """Write a network as DTB block files, one block in memory at a time.

    `block_0.npz` is written last, so a folder that has it is complete. DTB's server takes the type
    of the weights from the path: let the folder be called `uint8`, `half`, `single` or `double`.
    Not in DTB's files are the background current and axonal delays: the former is told in a
    warning, a network with the latter is refused.

    Parameters
    ----------
    network : Network
    folder : path
        To be made, or empty.
    blocks : int or sequence of int, optional
        Number of blocks of about equal cost, or the first neuron of each and the number of all
        neurons; by default the blocks that the network was imported from, else one. Neurons that
        play back given spikes get further blocks of their own.
    dtype : {"uint8", "float16", "float32", "float64"}, optional
        Of the weights, which it must hold exactly; by default that of the import, else uint8, or
        float32 where weights are fixed-point integers.
    members : int
        Members of an ensemble; those after the first are symbolic links to its files.
    overwrite : bool
        Replace the block files of a folder that holds nothing else.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    InputError
        The network, in these blocks and with such weights, is none that DTB's files can hold;
        nothing was written.
    StoreExistsError
        Something is in the folder; it was left untouched.
    """
    folder = Path(folder)
    _check_free(folder, overwrite)
    plan = Plan.make(network, folder, blocks, dtype, members)
    _clear(folder)
    with progress.track("Exporting", network.n_synapses, "synapses") as step:
        for index in reversed(range(plan.n_blocks)):
            arrays = _arrays(plan, index)
            for member in range(1, plan.members):
                link = folder / f"block_{member * plan.n_blocks + index}.npz"
                link.symlink_to(f"block_{index}.npz")
            _write(folder / f"block_{index}.npz", arrays)
            step(len(arrays.get(SYNAPSE[0], ())))
    return folder


def _arrays(plan: Plan, index: int) -> dict[str, NDArray[Any]]:
    """Contents of the file of one block."""
    start, stop = int(plan.bounds[index]), int(plan.bounds[index + 1])
    made = {"property": _property(plan, start, stop)}
    population = int(plan.network.populations.population_of(start, start + 1)[0])
    if plan.plays[population]:
        step, neuron = plan.spikes
        mine = (neuron >= start) & (neuron < stop)
        spikes = (step[mine], neuron[mine] - start)
        return made | {n: v.astype(np.uint32) for n, v in zip(SPIKE, spikes, strict=True)}
    return made | dict(zip(SYNAPSE, _synapses(plan, index, start, stop), strict=True))


def _property(plan: Plan, start: int, stop: int) -> NDArray[np.float32]:
    parameters = plan.network.parameters
    population = plan.network.populations.population_of(start, stop)
    table = np.empty((stop - start, N_COLUMNS), np.float32)
    table[:, POPULATION_COLUMN] = plan.ids[population]
    for name, column in COLUMNS.items():
        own = parameters.neuron.get(name)
        table[:, column] = (
            parameters.population[name][population] if own is None else own[start:stop]
        )
    return table


def _synapses(plan: Plan, index: int, start: int, stop: int) -> list[NDArray[Any]]:
    """Arrays of the synapses that end on the neurons `start` to `stop`, by (target, block)."""
    network, bounds = plan.network, plan.bounds
    edges = network.wiring.in_edges(start, stop)
    source = edges.source.astype(np.int64)
    target = np.repeat(np.arange(stop - start), np.diff(edges.indptr))
    owner = np.searchsorted(bounds, source, side="right") - 1
    order = np.argsort(target * plan.n_blocks + owner, kind="stable")
    target, source, owner = target[order], source[order], owner[order]
    population = network.populations.of(source)
    offset = np.where(network.populations.excitatory[population], 0, 2)
    weight = decode(edges.weight[order], network.wiring.weight_scale, plan.weight)
    return [
        target.astype(np.uint32), (owner - index).astype(np.int16),
        (source - bounds[owner]).astype(np.uint32), offset.astype(np.uint8), weight,
    ]  # fmt: skip


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file under another name, and give it its own when it is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder with anything in it but blocks that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StoreExistsError(f"{folder} exists already and is no folder; it was left untouched")
    names = sorted(file.name for file in folder.iterdir())
    foreign = [name for name in names if not BLOCK_NAME.fullmatch(name.removesuffix(".part"))]
    if foreign or (names and not overwrite):
        hint = "choose another folder" if foreign else "pass overwrite to replace the blocks"
        raise StoreExistsError(
            f"{folder} exists already and holds {listed(foreign or names)}; it was left untouched; "
            f"{hint}"
        )


def _clear(folder: Path) -> None:
    """An empty folder, the old blocks removed, the first of them first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            file.unlink()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
