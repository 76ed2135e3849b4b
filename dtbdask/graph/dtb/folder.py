"""A folder of DTB block files: one network, or the members of an ensemble of one network.

DTB makes an ensemble by putting copies of a network's blocks, or links to them, into one folder
with the numbering going on. Its client finds the copies by the population ids: a block that begins
with the first id of a brain (0; with ten slots 2, as layer 1 is empty) after another id was seen
begins a new member, whose ids are shifted behind those before. We take such a block for a new
member only if its ids were there before and no synapse joins the two. Members of ours share their
wiring, so an ensemble whose members have the same files, or files with the same arrays, is one
network; of one whose members differ, a single member can be taken.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError, InputFileError, whole_number
from dtbdask.graph.dtb.format import (
    SLOTS,
    SPIKE,
    STRETCH,
    SYNAPSE,
    WEIGHTS,
    Block,
    read_block,
    within,
)
from dtbdask.graph.dtb.npz_stream import open_npz
from dtbdask.graph.dtb.property import COLUMNS, POPULATION_COLUMN, property_rows

BLOCK_NAME = re.compile(r"block_(0|[1-9][0-9]{0,8})\.npz")
"""Of a block file; the number has no leading zeros."""


@dataclass(frozen=True)
class Folder:
    """The blocks of one network, as they follow one another in a folder.

    Attributes
    ----------
    path : path
    blocks : tuple of Block
    slots : tuple of str
        Names of the populations of a voxel.
    members : int
        Members of the ensemble that these blocks stand for.
    """

    path: Path
    blocks: tuple[Block, ...]
    slots: tuple[str, ...]
    members: int

    @property
    def first(self) -> NDArray[np.int64]:
        """First neuron of each block, and the number of all: (block_edge,) int64."""
        return np.cumsum([0, *(block.n_neurons for block in self.blocks)]).astype(np.int64)

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return sum(block.n_synapses for block in self.blocks)

    @property
    def weight_dtype(self) -> np.dtype[Any]:
        """Type of the weights; uint8 if there are none."""
        found = [block.weight_dtype for block in self.blocks if block.n_synapses]
        return found[0] if found else WEIGHTS[0]


def open_folder(path: str | Path, slots: int, member: int | None = None) -> Folder:
    """Look at the blocks of a folder, and compare the members if it holds an ensemble.

    Parameters
    ----------
    path : path
        With `block_0.npz`, `block_1.npz`, ...
    slots : {2, 10}
        Population ids of a voxel.
    member : int, optional
        The one member to take; by default all, which must be alike.

    Raises
    ------
    InputError
        `slots` or `member` is none that there is.
    InputFileError
        A block is missing or damaged, or the members differ.
    """
    if slots not in SLOTS:
        raise InputError(f"slots is {slots!r}; expected one of {', '.join(map(str, SLOTS))}")
    path = Path(path)
    blocks = _read_blocks(_block_paths(path))
    members = _members(blocks, 0 if slots == 2 else 2)
    chosen = 0 if member is None else whole_number("member", member, 0, len(members) - 1)
    if member is None:
        for other in members[1:]:
            _compare_members(members[0], other, len(members))
    _check_weights(members[chosen])
    stands_for = len(members) if member is None else 1
    return Folder(path, tuple(members[chosen]), SLOTS[slots], stands_for)


def _block_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputFileError(
            f"{folder}: no such folder; expected one with block_0.npz, block_1.npz, ..."
        )
    names = [file.name for file in folder.glob("block_*.npz")]
    foreign = sorted(name for name in names if not BLOCK_NAME.fullmatch(name))
    if foreign:
        raise InputFileError(
            f"{folder / foreign[0]}: not the name of a block; expected block_<number>.npz, "
            "the number without leading zeros"
        )
    paths = [folder / f"block_{index}.npz" for index in range(len(names))]
    missing = [path.name for path in paths if path.name not in set(names)]
    if not paths or missing:
        raise InputFileError(
            f"{folder}: lacks {missing[0] if missing else 'block_0.npz'}; blocks are numbered "
            "from 0 without gaps"
        )
    return paths


def _read_blocks(paths: list[Path]) -> list[Block]:
    """All blocks; a file that stands in the folder under several names is read once."""
    known: dict[tuple[int, int], Block] = {}
    blocks = []
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            raise InputFileError(f"{path}: cannot be read: {error.strerror}") from error
        key = (found.st_dev, found.st_ino)
        if key not in known:
            known[key] = read_block(path)
        blocks.append(known[key])
    return blocks


def _check_weights(blocks: list[Block]) -> None:
    """Refuse a network whose blocks have weights of different types."""
    weighted = [block for block in blocks if block.n_synapses]
    for block in weighted:
        if block.weight_dtype != weighted[0].weight_dtype:
            raise InputFileError(
                f"{block.path}: weight is {block.weight_dtype}, in {weighted[0].path.name} it is "
                f"{weighted[0].weight_dtype}; expected one type in all blocks"
            )


def _members(blocks: list[Block], start: int) -> list[list[Block]]:
    """Blocks by member; all of them in one if this is no ensemble."""
    edges, seen = [0], False
    for index, block in enumerate(blocks):
        if seen and block.runs.id[0] == start:
            edges.append(index)
            seen = False
        seen |= bool((block.runs.id != start).any())
    edges.append(len(blocks))
    members = [blocks[low:high] for low, high in pairwise(edges)]
    ids = [{int(i) for block in member for i in block.runs.id} for member in members]
    again = all(ids[0] & other for other in ids[1:])
    if len(members) == 1 or not again or _are_joined(blocks, edges):
        return [blocks]
    return members


def _are_joined(blocks: list[Block], edges: list[int]) -> bool:
    """Whether a synapse joins blocks of the folder that are of two members."""
    reach: dict[Path, tuple[int, int]] = {}
    for low, high in pairwise(edges):
        for index, block in enumerate(blocks[low:high], low):
            if block.path not in reach:
                reach[block.path] = _reach(block)
            nearest, farthest = reach[block.path]
            if 0 <= index + nearest < low or high <= index + farthest < len(blocks):
                return True
    return False


def _reach(block: Block) -> tuple[int, int]:
    """Smallest and largest relative block that synapses of a block start in."""
    nearest = farthest = 0
    if block.n_synapses:
        with open_npz(block.path) as archive:
            for start, (relative,) in archive.stretches((SYNAPSE[1],), STRETCH):
                within(block.path, SYNAPSE[1], relative, -(2**15), 2**15 - 1, start)
                nearest = min(nearest, int(relative.min()))
                farthest = max(farthest, int(relative.max()))
    return nearest, farthest


def _compare_members(one: list[Block], other: list[Block], count: int) -> None:
    """Refuse an ensemble of which two members differ."""
    hint = (
        f"the {count} members of this ensemble differ, and ours share their wiring and parameters; "
        f"choose one with member=0 to {count - 1}"
    )
    if len(one) != len(other):
        raise InputFileError(
            f"{other[0].path} begins a member of {len(other)} blocks, {one[0].path.name} one of "
            f"{len(one)}: {hint}"
        )
    for mine, theirs in zip(one, other, strict=True):
        if mine is theirs:
            continue
        for name, n in (("neurons", "n_neurons"), ("synapses", "n_synapses")):
            a, b = getattr(mine, n), getattr(theirs, n)
            if a != b:
                raise InputFileError(
                    f"{theirs.path} has {b:,} {name}, {mine.path.name} has {a:,}: {hint}"
                )
        if mine.plays != theirs.plays:
            raise InputFileError(
                f"one of {mine.path} and {theirs.path.name} plays back given spikes: {hint}"
            )
        _compare_properties(mine, theirs, hint)
        for name in ("property", *(SPIKE if mine.plays else SYNAPSE)):
            if _digest(mine, name) != _digest(theirs, name):
                raise InputFileError(
                    f"{theirs.path}: {name} is not that of {mine.path.name}: {hint}"
                )


def _compare_properties(mine: Block, theirs: Block, hint: str) -> None:
    names = {POPULATION_COLUMN: "population", **{c: name for name, c in COLUMNS.items()}}
    with open_npz(mine.path) as a, open_npz(theirs.path) as b:
        both = zip(property_rows(a), property_rows(b), strict=True)
        for (start, here), (_, there) in both:
            differ = np.argwhere(here != there)
            if differ.size:
                row, column = differ[0]
                raise InputFileError(
                    f"{theirs.path}: property[{start + row}, {column}], {names[column]}, is "
                    f"{there[row, column]:g}, in {mine.path.name} it is {here[row, column]:g}: "
                    f"{hint}"
                )


def _digest(block: Block, name: str) -> bytes:
    """SHA-256 of an array of a block: its type, and its values row by row."""
    digest = hashlib.sha256()
    with open_npz(block.path) as archive:
        digest.update(archive.entries[name].dtype.str.encode())
        for _, (rows,) in archive.stretches((name,), STRETCH):
            digest.update(np.ascontiguousarray(rows).data)
    return digest.digest()
