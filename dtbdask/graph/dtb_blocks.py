"""DTB's block files: a folder of `block_<i>.npz`, read into a network held in memory.

A block file holds the properties of its neurons and the synapses that end on them; sources are
given by block, relative to the own one, and by index in that block. Weights may be uint8 (1/255) or
floating point; the latter become fixed-point integers (see `fixed_point`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.errors import InputError, InputFileError
from dtbdask.graph.network import Network
from dtbdask.graph.npz import read_arrays
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import UINT8_SCALE, Held, fixed_point
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import RECEPTORS

COLUMNS: dict[str, int] = {
    "noise_rate": 0, "i_ext": 2, "c": 4, "t_ref": 5, "g_l": 6, "v_l": 7, "v_th": 8, "v_reset": 9,
    **{f"g_{name}": 10 + u for u, name in enumerate(RECEPTORS)},
    **{f"e_{name}": 14 + u for u, name in enumerate(RECEPTORS)},
    **{f"tau_{name}": 18 + u for u, name in enumerate(RECEPTORS)},
}  # fmt: skip
"""Column of each parameter in `property`; column 3 is the population, whose parity is E or I."""
POPULATION_COLUMN, N_COLUMNS = 3, 22


@dataclass(frozen=True)
class _Block:
    """One block file, checked."""

    property: NDArray[np.float64]
    target: NDArray[np.int64]
    source_block: NDArray[np.int64]
    source: NDArray[np.int64]
    inhibitory: NDArray[np.bool_]
    weight: NDArray[Any]


def read_dtb(folder: str | Path) -> Network:
    """Read a folder of DTB block files.

    Neurons keep their order: those of block 0, then of block 1, and so on. A run of neurons of one
    population id in one block becomes a population of ours.

    Parameters
    ----------
    folder : path
        With `block_0.npz`, `block_1.npz`, ...

    Returns
    -------
    Network
        In memory.

    Raises
    ------
    InputFileError
        A block is missing, damaged, or contradicts itself or another.
    """
    folder = Path(folder)
    paths = _block_paths(folder)
    blocks = [_read_block(path, index, len(paths)) for index, path in enumerate(paths)]
    first = np.cumsum([0, *(block.property.shape[0] for block in blocks)])
    properties = np.concatenate([block.property for block in blocks])
    target = np.concatenate([block.target + first[i] for i, block in enumerate(blocks)])
    source = np.concatenate(
        [_global_source(paths[i], block, first) for i, block in enumerate(blocks)]
    )
    populations = _populations(properties, first, target)
    neuron_population = populations.population_of(0, properties.shape[0])
    inhibitory = np.concatenate([block.inhibitory for block in blocks])
    wrong = np.flatnonzero(~populations.excitatory[neuron_population[source]] != inhibitory)
    if wrong.size:
        raise InputFileError(
            f"{folder}: input_channel_offset of synapse {wrong[0]} says that its source is "
            f"{'inhibitory' if inhibitory[wrong[0]] else 'excitatory'}, but neuron "
            f"{source[wrong[0]]} is in a population of the other kind"
        )
    edges, scale = _edges(blocks, target, source, properties.shape[0])
    try:
        parameters = _parameters(properties, populations.size.size)
    except InputError as error:
        raise InputFileError(f"{folder}: property: {error}") from error
    labels = tuple(f"population {v}" for v in range(int(populations.voxel.max()) + 1))
    about = {"source": f"DTB blocks {folder.name}", "seed": None}
    return Network(populations, parameters, Held(edges, scale), labels, about)


def _parameters(properties: NDArray[np.float64], n_populations: int) -> Parameters:
    """Columns that are the same everywhere for the populations, the others for each neuron."""
    values = {name: properties[:, column] for name, column in COLUMNS.items()}
    constant = {name: value[0] for name, value in values.items() if np.all(value == value[0])}
    own = {name: value for name, value in values.items() if name not in constant}
    quiet = {"ou_mean": 0.0, "ou_sigma": 0.0}
    widest = {"v_reset": np.nanmin(values["v_reset"]), "v_th": np.nanmax(values["v_th"])}
    parameters = Parameters.make(n_populations, {**widest, **constant, **quiet})
    return parameters.with_neuron(own, properties.shape[0])


def _block_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputFileError(
            f"{folder}: no such folder; expected one with block_0.npz, block_1.npz, ..."
        )
    count = len(list(folder.glob("block_*.npz")))
    paths = [folder / f"block_{index}.npz" for index in range(count)]
    missing = [path.name for path in paths if not path.exists()]
    if not paths or missing:
        raise InputFileError(f"{folder}: lacks {missing[0] if missing else 'block_0.npz'}")
    return paths


def _read_block(path: Path, index: int, n_blocks: int) -> _Block:
    arrays = read_arrays(path)
    names = ("property", "output_neuron_idx", "input_block_idx", "input_neuron_idx",
             "input_channel_offset", "weight")  # fmt: skip
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputFileError(f"{path}: lacks {', '.join(missing)}; found are {', '.join(arrays)}")
    prop = arrays["property"].astype(np.float64)
    if prop.ndim != 2 or prop.shape[1] != N_COLUMNS:
        raise InputFileError(
            f"{path}: property has shape {prop.shape}; expected (neuron, {N_COLUMNS})"
        )
    target, block, source, offset = (arrays[name].astype(np.int64) for name in names[1:5])
    weight = arrays["weight"]
    if weight.shape != (target.size, 2) or not (
        block.size == source.size == offset.size == target.size
    ):
        raise InputFileError(
            f"{path}: synapse arrays differ in length, or weight is not (synapse, 2)"
        )
    _within(path, "output_neuron_idx", target, prop.shape[0])
    _within(path, "input_block_idx", block + index, n_blocks)
    _within(path, "input_neuron_idx", source, 2**32)
    wrong = np.flatnonzero((offset != 0) & (offset != 2))
    if wrong.size:
        raise InputFileError(
            f"{path}: input_channel_offset[{wrong[0]}] is {offset[wrong[0]]}; expected 0 or 2"
        )
    ids = prop[:, POPULATION_COLUMN]
    if not ((ids >= 0) & (ids == np.floor(ids))).all():
        raise InputFileError(f"{path}: column {POPULATION_COLUMN} of property, the population, "
                             "has values that are negative or not whole")  # fmt: skip
    if weight.dtype != np.uint8 and not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise InputFileError(f"{path}: weight has values that are negative or not finite")
    return _Block(prop, target, block + index, source, offset == 2, weight)


def _within(path: Path, name: str, values: NDArray[np.int64], stop: int) -> None:
    bad = np.flatnonzero((values < 0) | (values >= stop))
    if bad.size:
        raise InputFileError(
            f"{path}: {name}[{bad[0]}] points at {values[bad[0]]}; expected 0 to {stop - 1}"
        )


def _global_source(path: Path, block: _Block, first: NDArray[np.int64]) -> NDArray[np.int64]:
    sizes = np.diff(first)
    bad = np.flatnonzero(block.source >= sizes[block.source_block])
    if bad.size:
        raise InputFileError(
            f"{path}: input_neuron_idx[{bad[0]}] is {block.source[bad[0]]}, but block "
            f"{block.source_block[bad[0]]} has {sizes[block.source_block[bad[0]]]} neurons"
        )
    return block.source + first[block.source_block]


def _populations(
    properties: NDArray[np.float64], first: NDArray[np.int64], target: NDArray[np.int64]
) -> Populations:
    ids = properties[:, POPULATION_COLUMN].astype(np.int64)
    cuts = np.union1d(np.flatnonzero(np.diff(ids)) + 1, first[1:-1])
    start = np.concatenate([[0], cuts]).astype(np.int64)
    ids = ids[start]
    degree = np.bincount(target, minlength=properties.shape[0])
    empty = sp.csr_array((ids.size, ids.size), dtype=np.float64)
    size = np.diff(np.append(start, properties.shape[0]))
    most = np.maximum.reduceat(degree, start).astype(np.int32)
    return Populations(ids // 2, ids % 2, ids % 2 == 0, size, most, empty)


def _edges(
    blocks: list[_Block], target: NDArray[np.int64], source: NDArray[np.int64], n: int
) -> tuple[InEdges, float]:
    order = np.argsort(target, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n))]).astype(np.int64)
    weight = np.concatenate([block.weight for block in blocks])[order]
    scale = UINT8_SCALE
    if weight.dtype != np.uint8:
        weight, scale = fixed_point(weight, int(np.diff(indptr).max(initial=0)))
    return InEdges(indptr, source[order].astype(np.uint32), weight), scale
