"""DTB's block file: what it holds, and reading it in bounded memory, every value checked.

`block_<b>.npz` holds the neurons of block `b` and the synapses that *end* on them:

    property              (neuron, 22) float32     parameters by neuron, see `dtb_property`
    output_neuron_idx     (synapse,) uint32        target, local index
    input_block_idx       (synapse,) int16         block of the source, minus the own one
    input_neuron_idx      (synapse,) uint32        source, local index in its block
    input_channel_offset  (synapse,) uint8         0 for an excitatory source, 2 for an inhibitory
    weight                (synapse, 2)             uint8 (1/255), float16, float32 or float64

Synapses may stand in any order; DTB sorts them by (target, block of the source), or by source.

An *input block* plays back given spikes. It has `property` too, of which DTB reads the population
and whether it is excluded; and instead of synapses

    src_timestamp   (spike,) uint32    step, counted from 0, in which
    src_neuron_idx  (spike,) uint32    the neuron of this local index fires

in any order. DTB sets a flag for each, so a spike told twice is one. The neurons of an input block
are not integrated and nothing ends on them; synapses that start on them are in the other blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.guard import listed
from dtbdask.errors import InputFileError
from dtbdask.graph.dtb.npz_stream import Archive, open_npz
from dtbdask.graph.dtb.property import N_COLUMNS, Runs, property_runs
from dtbdask.graph.layouts import COLUMN_SLOTS, LAYOUTS

Ints = NDArray[np.int64]

SLOTS: dict[int, tuple[str, ...]] = {2: LAYOUTS["voxel"].slots, 10: COLUMN_SLOTS}
"""Names of the populations of a voxel, by their number; voxel `v` has ids `v * n` and on."""

SYNAPSE = (
    "output_neuron_idx", "input_block_idx", "input_neuron_idx", "input_channel_offset", "weight",
)  # fmt: skip
SPIKE = ("src_timestamp", "src_neuron_idx")
WEIGHTS = tuple(np.dtype(kind) for kind in ("uint8", "float16", "float32", "float64"))
"""Types that weights may have; DTB calls the floating-point ones half, single and double."""

MOST_STEPS = 2**31
LARGEST_WEIGHT = 65_504.0
"""The largest number of half precision."""

STRETCH = 2**20
"""Synapses that are looked at at once."""


@dataclass(frozen=True)
class Block:
    """One block file, its neurons checked.

    Attributes
    ----------
    path : path
    n_neurons, n_synapses : int
    weight_dtype : numpy.dtype
    plays : bool
        An input block, which plays back given spikes.
    runs : Runs
        Its neurons, population by population.
    """

    path: Path
    n_neurons: int
    n_synapses: int
    weight_dtype: np.dtype[Any]
    plays: bool
    runs: Runs


@dataclass(frozen=True)
class Stretch:
    """Consecutive synapses of a block file, checked against their own file.

    Attributes
    ----------
    start : int
        Place of the first one in the file.
    target, block, source : (synapse,) int64
        Local target; block of the source, relative; local index there.
    inhibitory : (synapse,) bool
    weight : (synapse, pair)
    """

    start: int
    target: Ints
    block: Ints
    source: Ints
    inhibitory: NDArray[np.bool_]
    weight: NDArray[Any]


def read_block(path: Path) -> Block:
    """Sizes and types of a block file, and its neurons.

    Parameters
    ----------
    path : path

    Returns
    -------
    Block

    Raises
    ------
    InputFileError
        It lacks something, is damaged, or holds what makes no sense; the message says where.
    """
    with open_npz(path) as archive:
        plays = any(name in archive.entries for name in SPIKE)
        _require(archive, ("property", *(SPIKE if plays else SYNAPSE)))
        n, n_synapses = _property_shape(archive), 0
        dtype = WEIGHTS[0]
        if plays:
            _lengths(archive, SPIKE)
            _no_synapses(archive)
        else:
            n_synapses = _lengths(archive, SYNAPSE[:-1])
            dtype = _weight_dtype(archive, n_synapses)
        return Block(path, n, n_synapses, dtype, plays, property_runs(archive, plays))


def read_synapses(block: Block, length: int | None = None) -> Iterator[Stretch]:
    """The synapses of a block in the order of the file, stretch by stretch.

    Parameters
    ----------
    block : Block
    length : int, optional
        Synapses in a stretch; by default `STRETCH`.

    Raises
    ------
    InputFileError
        An index, a channel or a weight makes no sense; the message names it.
    """
    if block.plays:
        return
    path = block.path
    with open_npz(path) as archive:
        for start, arrays in archive.stretches(SYNAPSE, length or STRETCH):
            target, relative, source, offset, weight = arrays
            within(path, SYNAPSE[0], target, 0, block.n_neurons - 1, start)
            within(path, SYNAPSE[1], relative, -(2**15), 2**15 - 1, start)
            within(path, SYNAPSE[2], source, 0, 2**32 - 1, start)
            bad = np.flatnonzero((offset != 0) & (offset != 2))
            if bad.size:
                raise InputFileError(
                    f"{path}: input_channel_offset[{start + bad[0]}] is {offset[bad[0]]}; "
                    "expected 0 (excitatory source) or 2 (inhibitory)"
                )
            _check_weight(path, weight, start)
            yield Stretch(start, target.astype(np.int64), relative.astype(np.int64),
                          source.astype(np.int64), offset == 2, weight)  # fmt: skip


def read_spikes(block: Block) -> tuple[Ints, Ints]:
    """Step and local index of the spikes that an input block plays back, in order, each once."""
    with open_npz(block.path) as archive:
        step, neuron = (archive.read(name) for name in SPIKE)
    within(block.path, SPIKE[0], step, 0, MOST_STEPS - 1)
    within(block.path, SPIKE[1], neuron, 0, block.n_neurons - 1)
    both = np.unique(np.stack([step.astype(np.int64), neuron.astype(np.int64)], axis=1), axis=0)
    return both[:, 0], both[:, 1]


def within(
    path: Path, name: str, values: NDArray[Any], low: int, high: int, start: int = 0
) -> None:
    """Refuse an array with a value beyond its bounds, by its place in the file."""
    bad = np.flatnonzero((values < low) | (values > high))
    if bad.size:
        raise InputFileError(
            f"{path}: {name}[{start + bad[0]}] is {values[bad[0]]}; expected {low} to {high}"
        )


def _require(archive: Archive, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in archive.entries]
    if missing:
        raise InputFileError(
            f"{archive.path}: lacks {', '.join(missing)}; found are {listed(archive.entries)}"
        )


def _property_shape(archive: Archive) -> int:
    entry = archive.entries["property"]
    if len(entry.shape) != 2 or entry.shape[1] != N_COLUMNS or entry.dtype.kind != "f":
        raise InputFileError(
            f"{archive.path}: property is {entry.dtype} of shape {entry.shape}; "
            f"expected float32 (neuron, {N_COLUMNS})"
        )
    if not entry.shape[0]:
        raise InputFileError(f"{archive.path}: property has no rows; a block has neurons")
    return entry.shape[0]


def _lengths(archive: Archive, names: Sequence[str]) -> int:
    """Common length of integer arrays."""
    for name in names:
        entry = archive.entries[name]
        if len(entry.shape) != 1 or entry.dtype.kind not in "iu":
            raise InputFileError(
                f"{archive.path}: {name} is {entry.dtype} of shape {entry.shape}; "
                "expected whole numbers in one dimension"
            )
    lengths = {name: archive.entries[name].shape[0] for name in names}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n:,}" for name, n in lengths.items())
        raise InputFileError(f"{archive.path}: arrays that go together differ in length: {told}")
    return lengths[names[0]]


def _weight_dtype(archive: Archive, n: int) -> np.dtype[Any]:
    entry = archive.entries["weight"]
    dtype = entry.dtype.newbyteorder("=")
    if dtype not in WEIGHTS or entry.shape != (n, 2):
        raise InputFileError(
            f"{archive.path}: weight is {entry.dtype} of shape {entry.shape}; expected uint8, "
            f"float16, float32 or float64 of shape ({n}, 2), a pair for each synapse"
        )
    return dtype


def _no_synapses(archive: Archive) -> None:
    both = [n for n in SYNAPSE if n in archive.entries and 0 not in archive.entries[n].shape]
    if both:
        raise InputFileError(
            f"{archive.path}: holds {SPIKE[0]}, given spikes, and {both[0]}, synapses; "
            "a block has the one or the other"
        )


def _check_weight(path: Path, weight: NDArray[Any], start: int) -> None:
    if weight.dtype == np.uint8:
        return
    good = np.isfinite(weight) & (weight >= 0) & (weight <= LARGEST_WEIGHT)
    bad = np.argwhere(~good)
    if bad.size:
        row, pair = bad[0]
        raise InputFileError(
            f"{path}: weight[{start + row}, {pair}] is {weight[row, pair]}; "
            f"expected 0 to {LARGEST_WEIGHT:,.0f}"
        )
