"""What an export to DTB will write: decided, and refused where DTB's files cannot hold it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.dtb.property import MOST_POPULATIONS
from dtbdask.graph.dtb.weights import weight_type
from dtbdask.graph.network import Network
from dtbdask.graph.partition import cut

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]

MOST_BLOCKS = 2**15
"""The block of a source is told relative to the own one, in 16 bits with a sign."""

MOST_FILES = 2**16
"""DTB numbers the blocks of all members in 16 bits."""

UNHELD = ("ou_mean", "ou_sigma", "g_t", "g_da", "g_ahp")
"""Parameters that DTB's files have no column for."""


@dataclass(frozen=True)
class Plan:
    """What will be written.

    Attributes
    ----------
    network : Network
    bounds : (block_edge,) int64
        First neuron of each block, and the number of all.
    ids : (population,) int64
        Population ids of DTB.
    plays : (population,) bool
        Its neurons play back given spikes.
    spikes : (step, neuron) of (spike,) int64
        Those spikes.
    weight : numpy.dtype
    members : int
    """

    network: Network
    bounds: Ints
    ids: Ints
    plays: NDArray[np.bool_]
    spikes: tuple[Ints, Ints]
    weight: np.dtype[Any]
    members: int

    @property
    def n_blocks(self) -> int:
        """Number of blocks of one member."""
        return self.bounds.size - 1

    @classmethod
    def make(
        cls, network: Network, folder: Path, blocks: int | Sequence[int] | None,
        dtype: str | None, members: int,
    ) -> Plan:  # fmt: skip
        """Decide; see `dtbdask.graph.dtb.exporting.export_dtb`."""
        if network.populations.mixture.far_delay.size:
            raise InputError("network has axonal delays, of which DTB knows nothing")
        plays = np.zeros(network.populations.size.size, np.bool_)
        plays[network.attributes.get("scripted_population", [])] = True
        bounds = _bounds(network, blocks, plays)
        members = whole_number("members", members, 1, MOST_FILES // (bounds.size - 1))
        ids = _ids(network)
        _check_starts(network, bounds, ids, members)
        weight = weight_type(network, dtype, folder)
        if left := [name for name in UNHELD if network.parameters.on(name)]:
            logger.warning("DTB's files do not hold %s; tell its client", ", ".join(left))
        spikes = _spikes(network) if plays.any() else (np.zeros(0, np.int64),) * 2
        return cls(network, bounds, ids, plays, spikes, weight, members)


def _bounds(network: Network, blocks: int | Sequence[int] | None, plays: NDArray[np.bool_]) -> Ints:
    n = network.n_neurons
    if blocks is None:
        bounds = np.array(network.attributes.get("block_bounds", [0, n]), np.int64)
    elif np.ndim(blocks):
        bounds = np.array([whole_number("blocks", bound, 0, n) for bound in np.ravel(blocks)])
    else:
        bounds = cut(network, whole_number("blocks", blocks, 1, MOST_BLOCKS))
    if bounds[0] != 0 or bounds[-1] != n or bounds.size < 2 or (np.diff(bounds) < 1).any():
        raise InputError(
            f"blocks is {bounds.tolist()[:20]}; expected the first neuron of each block, "
            f"ascending from 0, and last the number of neurons, {n}"
        )
    seams = np.flatnonzero(np.diff(plays)) + 1
    bounds = np.union1d(bounds, network.populations.first[seams]).astype(np.int64)
    if bounds.size - 1 > MOST_BLOCKS:
        raise InputError(
            f"blocks: {bounds.size - 1:,} of them; at most {MOST_BLOCKS:,} can be told apart by "
            "the 16 bits of input_block_idx"
        )
    return bounds


def _ids(network: Network) -> Ints:
    """Population ids of DTB: voxel times ids a voxel, plus DTB's number of the slot."""
    populations, slots = network.populations, network.slots
    numbers = np.array(network.attributes.get("dtb_slots", range(len(slots))), np.int64)
    per_voxel = _ids_per_voxel(network)
    ids: Ints = per_voxel * populations.voxel + numbers[populations.slot]
    if (top := int(ids.max())) >= MOST_POPULATIONS:
        raise InputError(f"network has population id {top:,}; at most {MOST_POPULATIONS - 1:,}")
    wrong = np.flatnonzero((ids % 2 == 0) != populations.excitatory)
    if wrong.size:
        p = int(wrong[0])
        raise InputError(
            f"population {p} ({network.population_labels[p]}) would have DTB's id {ids[p]}, and "
            f"DTB takes {'even' if ids[p] % 2 == 0 else 'odd'} ids for "
            f"{'excitatory' if ids[p] % 2 == 0 else 'inhibitory'}; order the slots of the layout "
            "so that they excite and inhibit in turn"
        )
    return ids


def _ids_per_voxel(network: Network) -> int:
    numbers = network.attributes.get("dtb_slots", range(len(network.slots)))
    return 2 * (int(max(numbers)) // 2 + 1)


def _check_starts(network: Network, bounds: Ints, ids: Ints, members: int) -> None:
    """Let DTB's client find the members, and none where there is none: see `dtb_folder`."""
    start = 0 if _ids_per_voxel(network) == 2 else 2
    populations = network.populations
    begins = ids[populations.of(bounds[:-1])] == start
    later = np.flatnonzero(begins[1:]) + 1
    if members > 1 and (later.size or not begins[0]):
        raise InputError(
            f"members is {members}: DTB's client takes a block that begins with population {start} "
            f"for a new member, but block {later[0] if later.size else 0} does"
            f"{'' if later.size else ' not'}; give other blocks"
        )
    seen = populations.first[ids != start]
    misread = later[bounds[later] > seen[0]] if seen.size else later[:0]
    if misread.size:
        logger.warning(
            "block %d begins with population %d, by which DTB's client knows a new member of an "
            "ensemble; tell it allow_rebase=False", misread[0], start,
        )  # fmt: skip


def _spikes(network: Network) -> tuple[Ints, Ints]:
    """Step and neuron of the spikes that are played back."""
    group = zarr.open_group(network.path, mode="r")
    return schema.read(group, "spike_source/step"), schema.read(group, "spike_source/neuron")
